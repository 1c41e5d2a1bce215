"""The list of wrong calls in tests/README.md: what each one says, and with which exit status."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import made
import pandas as pd
import pytest
from command import call

from prodcat_index import ProductIndex
from prodcat_index.cli.app import app
from prodcat_index.encoders.registry import SCHEMES

PAGE = Path(__file__).parent / "README.md"
ROW = re.compile(r"^\| `prodcat ?(.*?)` \| (\d) \| (.*) \|$", re.MULTILINE)
CALLS = ROW.findall(PAGE.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def _shop_once(index: ProductIndex, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shop")
    cards = pd.DataFrame(made.CARDS)
    cards.to_csv(folder / "cards.csv", index=False)
    cards.drop(columns="category").to_csv(folder / "new.csv", index=False)
    split = pd.DataFrame({"id": cards["id"], "part": ["train"] * 6 + ["valid"] * 2 + ["test"]})
    split.to_csv(folder / "split.csv", index=False)
    index.save(folder / "indexes" / "shop")
    (folder / "other").mkdir()
    (folder / "other" / "letter.txt").write_text("Dear shop")
    return folder


@pytest.fixture
def shop(_shop_once: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fresh copy of a folder of catalogues and an index, in which the commands run."""
    folder = Path(shutil.copytree(_shop_once, tmp_path / "shop"))
    monkeypatch.chdir(folder)
    monkeypatch.delenv("PRODCAT_INDEX", raising=False)
    for toy in ("numbers", "names", "colours"):
        monkeypatch.delitem(SCHEMES, toy)
    return folder


@pytest.mark.parametrize(("arguments", "status", "message"), CALLS, ids=[c[0] for c in CALLS])
def test_a_wrong_call_is_answered_by_a_sentence_and_changes_nothing(
    arguments: str,
    status: str,
    message: str,
    shop: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A user would see a traceback, lose the work of hours, or get what was not asked for."""
    before = sorted(shop.rglob("*"))
    code, out, err = call(arguments, monkeypatch, capsys)
    said = " ".join(re.split(r"^(?:Error|prodcat): ", err, flags=re.MULTILINE)[-1].split())
    assert (code, said) == (int(status), message)
    assert out == "" and "Traceback" not in err
    assert sorted(shop.rglob("*")) == before


def test_the_list_has_wrong_calls_of_every_command() -> None:
    """A new command would come without any."""
    named = {arguments.split(" ")[0] for arguments, _, _ in CALLS}
    commands = {info.name or info.callback.__name__ for info in app.registered_commands}
    assert {command.replace("_", "-") for command in commands} | {"cache"} <= named


def test_a_command_that_runs_in_an_index_folder_leaves_it_as_it_is(
    shop: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A page of its own name would keep the index from ever being built again."""
    monkeypatch.chdir(shop / "indexes" / "shop")
    before = sorted(Path().rglob("*"))
    for command in ("report .", "explore ../../cards.csv", "build-index ../../cards.csv"):
        code, _, err = call(command, monkeypatch, capsys)
        assert code == 2 and "is in the folder of an index" in err
    assert sorted(Path().rglob("*")) == before


def test_an_index_can_be_built_and_tuned_beside_its_outputs(
    shop: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The folder of all indexes is none, and an index may be replaced."""
    command = "build-index cards.csv -o indexes/shop --encoder title=lexical:2"
    assert call(command, monkeypatch, capsys)[0] == 0
    assert call("predict new.csv -o indexes/answers.csv", monkeypatch, capsys)[0] == 0
    assert (shop / "indexes" / "answers.csv").is_file()
