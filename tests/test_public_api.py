"""The names that the package exports: all there, imported late, and documented in full."""

from __future__ import annotations

import inspect
import subprocess
import sys
from itertools import pairwise
from typing import Any

import pytest

import prodcat_index

NAMES = sorted(set(prodcat_index.__all__) - {"__version__"})
CLASSES = [name for name in NAMES if inspect.isclass(getattr(prodcat_index, name))]
ERRORS = [name for name in CLASSES if issubclass(getattr(prodcat_index, name), Exception)]
DOCUMENTED = ("ProductIndex", "ProductKNNClassifier")


def sections(thing: Any) -> set[str]:
    """Titles of the sections of a docstring: lines that are underlined."""
    lines = inspect.getdoc(thing).splitlines()  # type: ignore[union-attr]
    return {a for a, b in pairwise(lines) if b and set(b) == {"-"}}


def check_function(function: Any) -> None:
    signature = inspect.signature(function)
    titles = sections(function)
    if set(signature.parameters) - {"self", "cls"}:
        assert "Parameters" in titles
    if signature.return_annotation not in (None, "None"):
        assert titles & {"Returns", "Yields"}


def test_the_public_names_are_few_and_listed() -> None:
    """Whoever presses the tabulator key would see nothing, or the whole inside."""
    assert 40 <= len(NAMES) <= 70
    assert dir(prodcat_index) == sorted(prodcat_index.__all__)
    assert {"ProductIndex", "read_catalogue", "evaluate", "QueryError"} <= set(NAMES)
    assert prodcat_index.__version__.count(".") == 2


@pytest.mark.parametrize("name", NAMES)
def test_a_public_name_is_imported_from_where_it_is_defined(name: str) -> None:
    """An alias of an alias leads nowhere in an editor."""
    thing = getattr(prodcat_index, name)
    assert thing.__name__ == name
    assert thing.__module__ == f"prodcat_index.{prodcat_index._MODULES[name]}"


def test_an_unknown_name_is_an_error_as_of_any_module() -> None:
    with pytest.raises(AttributeError, match="module 'prodcat_index' has no attribute 'Produkt'"):
        prodcat_index.Produkt  # noqa: B018


def test_importing_the_package_imports_nothing_of_it() -> None:
    """`prodcat --help` would take seconds."""
    code = "import sys, prodcat_index; print([m for m in sys.modules if m.startswith('prodcat_')])"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "['prodcat_index']"


@pytest.mark.parametrize("name", sorted(set(NAMES) - set(CLASSES)))
def test_a_public_function_documents_what_it_takes_and_returns(name: str) -> None:
    """People would have to read the source."""
    check_function(getattr(prodcat_index, name))


@pytest.mark.parametrize("name", sorted(set(CLASSES) - set(ERRORS)))
def test_a_public_class_documents_its_fields(name: str) -> None:
    assert sections(getattr(prodcat_index, name)) & {"Parameters", "Attributes"}


@pytest.mark.parametrize("name", ERRORS)
def test_a_public_error_is_one_of_the_package_in_a_sentence(name: str) -> None:
    """`except ProdcatError` must catch all that is raised on purpose."""
    error = getattr(prodcat_index, name)
    assert issubclass(error, prodcat_index.ProdcatError)
    assert error.__doc__.endswith(".")


@pytest.mark.parametrize("name", DOCUMENTED)
def test_every_method_of_the_classes_that_users_call_is_documented(name: str) -> None:
    for method_name, method in inspect.getmembers(getattr(prodcat_index, name), inspect.isroutine):
        is_own = str(getattr(method, "__module__", "")).startswith("prodcat_index")
        if is_own and not method_name.startswith("_"):
            check_function(method)
