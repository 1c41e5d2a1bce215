"""`prodcat info` finds what no digest shows: numbers that are none, and parts that do not fit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import made
import numpy as np
import pytest

from prodcat_index.errors import IndexFolderError
from prodcat_index.index.integrity import find_problems, verify_index
from prodcat_index.index.learned import LearnedBlock
from prodcat_index.index.parts import IndexParts
from prodcat_index.index.product_index import ProductIndex
from prodcat_index.index.searchers import FlatSearcher

WORDS = ("boots", "kettle", "lamp")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index with everything that is fitted to labels."""
    rows = [
        made.row(
            f"{n}",
            f"{WORDS[n % 3]} {WORDS[n % 2]} {n % 7}",
            "" if n % 5 else WORDS[n % 3],
            category=WORDS[n % 3] if n % 11 else WORDS[n % 2],
        )
        for n in range(120)
    ]
    index = ProductIndex.build(made.catalogue(rows))
    return index.save(tmp_path_factory.mktemp("integrity") / "index")


def problem(folder: Path, change: Callable[[IndexParts], IndexParts] = lambda parts: parts) -> str:
    parts = ProductIndex.load(folder).parts
    assert parts.opened.manifest is not None
    return next(find_problems(change(parts), parts.opened.manifest), "")


def with_rows(name: str, change: Callable[[Any], Any]) -> Callable[[IndexParts], IndexParts]:
    """Return a change of the rows of one block, given as float32."""

    def changed(parts: IndexParts) -> IndexParts:
        def other(block: Any) -> Any:
            rows = np.asarray(block.vectors).astype(np.float32)
            change(rows)
            return replace(block, vectors=rows.astype(np.float16))

        assert parts.learned is not None
        if name == "learned":
            return replace(parts, learned=other(parts.learned), searcher=None)
        blocks = [other(block) if block.name == name else block for block in parts.blocks]
        return replace(parts, blocks=blocks, searcher=None)

    return changed


def _set(row: int, column: int, value: float) -> Callable[[Any], Any]:
    return lambda rows: rows.__setitem__((row, column), value)


def _scale(row: int, factor: float) -> Callable[[Any], Any]:
    return lambda rows: rows.__setitem__(row, rows[row] * factor)


def test_a_whole_index_has_no_problem(folder: Path) -> None:
    """Else every index would be called damaged."""
    assert problem(folder) == ""
    assert verify_index(folder).cards == 120


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["title", "description", "scores", "learned"])
def test_rows_that_are_no_numbers_are_found(folder: Path, name: str, value: float) -> None:
    """One of them makes every similarity with its card, and maybe every answer, no number."""
    changed = with_rows(name, _set(0, 0, value))
    assert problem(folder, changed) == f"rows of {name} hold values that are no numbers"


@pytest.mark.parametrize(
    ("name", "factor", "is_found"),
    [
        ("title", 1.1, True),
        ("title", 0.9, True),
        ("title", 0.0, True),
        ("title", 1.001, False),
        ("scores", 1.3, True),
        ("scores", 0.9, False),
        ("learned", 1.1, True),
    ],
)
def test_rows_of_another_length_are_found(
    folder: Path, name: str, factor: float, is_found: bool
) -> None:
    """A card with a row that is too long is the nearest of everything."""
    expected = f"rows of {name} are longer or shorter than they can be" if is_found else ""
    assert problem(folder, with_rows(name, _scale(0, factor))) == expected


def test_a_row_of_a_card_that_has_none_is_found(folder: Path) -> None:
    """It would be compared although the card has no such text."""
    changed = with_rows("description", _set(1, 0, 1.0))
    assert problem(folder, changed) == "description has rows of cards that are said to have none"


def test_an_impossible_hubness_is_found(folder: Path) -> None:
    """It would lift one card above all others, whatever is asked."""
    changed = with_rows("learned", _set(0, -1, 0.6))
    assert problem(folder, changed) == "rows of learned have a hubness that they cannot have"


def test_a_search_of_other_rows_is_found(folder: Path) -> None:
    """The nearest cards would never be looked at, and all that is shown would look right."""

    def changed(parts: IndexParts) -> IndexParts:
        assert isinstance(parts.searcher, FlatSearcher)
        rows = np.array(parts.searcher.rows[:])
        rows[0, 0] += 0.01
        return replace(parts, searcher=FlatSearcher(rows))

    assert problem(folder, changed) == "the rows that are searched are not those of the blocks"


def _learned(parts: IndexParts) -> LearnedBlock:
    assert parts.learned is not None and parts.learned.model.hubness is not None
    return parts.learned


def _spoilt(array: Any) -> Any:
    changed = np.array(array)
    changed.flat[0] = np.nan
    return changed


@pytest.mark.parametrize("what", ["mean", "matrices", "offsets", "references"])
def test_fitted_numbers_that_are_none_are_found(folder: Path, what: str) -> None:
    """Every query would be answered by no numbers."""

    def changed(parts: IndexParts) -> IndexParts:
        if what == "mean":
            first = replace(parts.blocks[0], mean=_spoilt(parts.blocks[0].mean))
            return replace(parts, blocks=[first, *parts.blocks[1:]])
        learned = _learned(parts)
        model = learned.model
        if what == "references":
            assert model.hubness is not None
            hubness = replace(model.hubness, references=_spoilt(model.hubness.references))
            return replace(parts, learned=replace(learned, model=replace(model, hubness=hubness)))
        arrays = list(getattr(model.projection, what))
        arrays[0] = _spoilt(arrays[0])
        projection = replace(model.projection, **{what: arrays})
        return replace(parts, learned=replace(learned, model=replace(model, projection=projection)))

    assert problem(folder, changed).endswith("holds values that are no numbers")


def test_other_categories_than_the_manifest_says_are_found(folder: Path) -> None:
    """Cards would be on shelves that the index does not have."""

    def changed(parts: IndexParts) -> IndexParts:
        cards = parts.catalogue.cards.assign(category="another")
        catalogue = replace(parts.catalogue, cards=cards)
        return IndexParts(catalogue, parts.blocks, parts.weights, parts.vote, learned=parts.learned)

    assert problem(folder, changed) == (
        "its cards have other categories than the 3 of the manifest"
    )


def test_a_damaged_encoder_is_found(folder: Path, tmp_path: Path) -> None:
    """It is read with the first query only, long after the index was copied."""
    import shutil

    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    name = next(path.relative_to(copy).as_posix() for path in copy.rglob("0-title/vocabulary.json"))
    made.forge(copy, name, b'["boots"]')
    with pytest.raises(IndexFolderError) as caught:
        verify_index(copy)
    assert str(caught.value).startswith(f"The index {copy} is damaged (The fitted parts of the ")
