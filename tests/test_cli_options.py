"""Options that several commands share: their values, the choice of an index, and their help."""

from __future__ import annotations

import inspect
from math import nan
from pathlib import Path
from typing import Any, get_args

import pytest
import typer
from command import COMMANDS
from typer.testing import CliRunner

from prodcat_index import ProductIndex
from prodcat_index.cards.catalogue import read_catalogue
from prodcat_index.cards.split import PARTS
from prodcat_index.cli import options, values
from prodcat_index.cli.app import app
from prodcat_index.encoders.networks import DEVICES
from prodcat_index.encoders.registry import PRESETS
from prodcat_index.errors import IndexFolderError
from prodcat_index.index.learned import ProjectionKind
from prodcat_index.learning.finetune import TrainingPrecision
from prodcat_index.voting.tuning import Objective


@pytest.mark.parametrize(
    ("choices", "known"),
    [
        (options.Objective, get_args(Objective)),
        (options.ProjectionKind, get_args(ProjectionKind)),
        (options.TrainingPrecision, get_args(TrainingPrecision)),
        (options.Device, DEVICES),
        (options.Part, PARTS),
        (options.Preset, tuple(PRESETS)),
    ],
)
def test_choices_are_those_of_the_library(choices: Any, known: tuple[str, ...]) -> None:
    """A new objective could not be chosen, or an old one would end in a traceback."""
    assert sorted(get_args(choices)) == sorted(known)


def test_column_options_are_the_parameters_of_reading() -> None:
    """A column could be named in Python and not in the shell."""
    # Arrays of vectors are of Python alone.
    other = {"path", "text_columns", "vectors"}
    parameters = {*inspect.signature(read_catalogue).parameters} - other
    assert {*options.COLUMN_OPTIONS} == parameters | {"text_column"}


INDEXED = ["sync", "add", "remove", "relabel", "refit", "rollback"]
INDEXED += ["query", "similar", "predict", "tune", "info", "report"]
READING = ["build-index", "sync", "add", "predict", "evaluate", "explore", "split", "finetune"]


@pytest.mark.parametrize("name", READING)
def test_every_command_that_reads_a_catalogue_has_all_column_options(name: str) -> None:
    """A supplier's file could be indexed, but not predicted."""
    names = {parameter.name for parameter in COMMANDS[f"prodcat {name}"].params}
    assert {*options.COLUMN_OPTIONS} <= names


@pytest.mark.parametrize("name", INDEXED)
def test_every_command_on_an_index_takes_it_by_the_same_option(name: str) -> None:
    """Users would have to remember which command wants it where."""
    parameters = COMMANDS[f"prodcat {name}"].params
    declared = {option for parameter in parameters for option in parameter.opts}
    assert {"--index", "-i"} <= declared


@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "prodcat"])
def test_no_help_line_is_cut_off_in_the_command_list(name: str) -> None:
    """The list would end in half sentences."""
    line = COMMANDS[name].get_short_help_str(45)
    assert line.endswith(".") and not line.endswith("...")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_has_a_help_sentence(name: str) -> None:
    """An option without one is found by nobody."""
    for parameter in COMMANDS[name].params:
        text = parameter.help or ""
        assert text[:1].isupper() or text.startswith(("group ", "$")), (name, parameter.name)
        assert text.endswith("."), (name, parameter.name)


def run(*arguments: object) -> Any:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_an_index_is_named_as_an_argument_or_by_an_option(saved: Path) -> None:
    """A script that is right for one command would be wrong for the next."""
    by_argument = run("info", saved, "--format", "json")
    assert by_argument.exit_code == 0
    for option in ("--index", "-i"):
        assert run("info", option, saved, "--format", "json").stdout == by_argument.stdout


@pytest.mark.parametrize("command", ["info", "tune", "report"])
def test_an_index_that_is_named_twice_is_a_usage_error(command: str, saved: Path) -> None:
    """The command would take one of two folders, and say nothing of the other."""
    twice = run(command, saved, "--index", saved)
    assert twice.exit_code == 2
    assert "Name the index once" in twice.output


def test_the_default_index_is_that_of_the_environment_or_the_only_one(
    saved: Path, index: ProductIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every command would need --index, or would take an index that is not meant."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(options.INDEX_VARIABLE, raising=False)
    with pytest.raises(IndexFolderError, match="There is no index in indexes/"):
        options.choose_index(None)
    index.save(tmp_path / "indexes" / "one")
    assert options.choose_index(None) == Path("indexes/one")
    index.save(tmp_path / "indexes" / "two")
    with pytest.raises(IndexFolderError, match=r"several indexes \(indexes/one, indexes/two\)"):
        options.choose_index(None)
    monkeypatch.setenv(options.INDEX_VARIABLE, str(saved))
    assert options.choose_index(None) == saved
    assert options.choose_index(None, Path("named")) == Path("named")


@pytest.mark.parametrize("text", ["title", "=0.5", "title=heavy", "title=1,,image=1"])
def test_weights_that_cannot_be_read_are_a_usage_error(text: str) -> None:
    """A misspelt weight would silently count for nothing."""
    with pytest.raises(typer.BadParameter, match="NAME=NUMBER"):
        values.parse_weights(text)


def test_weights_and_encoders_are_read_by_name() -> None:
    assert values.parse_weights("title=0.6, image=.4") == {"title": 0.6, "image": 0.4}
    pairs = ["title=lexical:8", "image=timm:x?a=b", "title=use-multilingual"]
    assert values.parse_encoders(pairs) == {
        "title": ["lexical:8", "use-multilingual"],
        "image": ["timm:x?a=b"],
    }
    assert values.parse_encoders(None) == {}


def test_names_of_modalities_may_hold_commas_and_equals_signs() -> None:
    """A text column such as "Size, colour" could be embedded, and never weighed."""
    text = "Size, colour=0.5,a=b=.25, title = 1"
    assert values.parse_weights(text) == {"Size, colour": 0.5, "a=b": 0.25, "title": 1.0}
    pairs = ["Size, colour=lexical:8", "a=b=sbert:x?prefix=a=b", "a=b=lexical"]
    assert values.parse_encoders(pairs) == {
        "Size, colour": ["lexical:8"],
        "a=b": ["sbert:x?prefix=a=b", "lexical"],
    }
    with pytest.raises(typer.BadParameter, match="There is no encoder 'lexicl'"):
        values.parse_encoders(["title=lexicl:b=8"])


@pytest.mark.parametrize(("value", "fits"), [(0.5, True), (0, False), (1, False), (nan, False)])
def test_a_share_lies_between_0_and_1(value: float, fits: bool) -> None:
    """--test 25 would be noticed after the file was read, and nan never."""
    check = values.between(0, 1)
    assert check(None) is None
    if fits:
        assert check(value) == value
    else:
        with pytest.raises(typer.BadParameter, match="is not above 0 and below 1"):
            check(value)


@pytest.mark.parametrize("pair", ["title", "=lexical", "title="])
def test_an_encoder_without_a_modality_or_a_spec_is_a_usage_error(pair: str) -> None:
    with pytest.raises(typer.BadParameter, match="MODALITY=SPEC"):
        values.parse_encoders([pair])


@pytest.mark.parametrize("command", ["tune", "report", "info"])
def test_the_usage_puts_the_index_in_brackets_once(command: str) -> None:
    usage = CliRunner().invoke(app, [command, "--help"]).stdout.partition("\n")[0]
    assert usage.endswith(f" {command} [OPTIONS] [INDEX]")
