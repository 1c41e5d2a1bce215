"""Commands that change an index, as a user runs them: what is printed, what is left, and undone."""

from __future__ import annotations

import shutil
from pathlib import Path

import made
import pandas as pd
import pytest
from command import prodcat

from prodcat_index import ProductIndex

GNOME = made.row("n1", "garden gnome", "painted clay", category="Garden > Gnomes")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("changes")
    pd.DataFrame(made.CARDS).to_csv(folder / "cards.csv", index=False)
    done = prodcat("build-index", "cards.csv", "-o", "indexes/shop", cwd=folder)
    assert done.code == 0, done.err
    return folder


@pytest.fixture
def shop(built: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(built, tmp_path / "shop"))


def write(path: Path, *rows: dict[str, str]) -> None:
    pd.DataFrame(rows, columns=["id", "title", "description", "category"]).to_csv(path, index=False)


def index_of(shop: Path) -> ProductIndex:
    return ProductIndex.load(shop / "indexes" / "shop")


def test_a_change_is_undone_and_done_again(shop: Path) -> None:
    """A wrong delivery would stay until the next night's build."""
    write(shop / "new.csv", GNOME)
    added = prodcat("add", "new.csv", "--allow-new-categories", cwd=shop)
    assert added.code == 0, added.err
    undone = prodcat("rollback", cwd=shop)
    assert (undone.code, undone.err) == (0, "")
    assert undone.out == (
        "Undid the last change of indexes/shop (add: 1 added): 9 cards in 3 categories.\n"
    )
    assert index_of(shop).catalogue.ids == [card["id"] for card in made.CARDS]
    again = prodcat("rollback", "indexes/shop", cwd=shop)
    assert again.out.endswith("(rollback to version 1): 10 cards in 4 categories.\n")
    assert index_of(shop).card("n1").category == "Garden > Gnomes"


def test_info_lists_the_changes(shop: Path) -> None:
    """Nobody could tell which delivery an answer is due to."""
    write(shop / "new.csv", GNOME)
    assert prodcat("add", "new.csv", "--allow-new-categories", cwd=shop).code == 0
    assert prodcat("rollback", cwd=shop).code == 0
    changes = prodcat("info", "--log", "--format", "json", cwd=shop).json
    told = [(change["version"], change["verb"], change["counts"]) for change in changes]
    assert told == [
        (1, "build", {"cards": 9}),
        (2, "add", {"added": 1}),
        (3, "rollback", {"version": 1}),
    ]
    table = prodcat("info", "--log", cwd=shop).out.splitlines()
    assert [" ".join(line.split()) for line in table[2:-1]] == [
        f"{version} {change['when']} {words} {change['package']}"
        for version, words, change in zip(
            (1, 2, 3),
            ("build: 9 cards", "add: 1 added", "rollback to version 1"),
            changes,
            strict=True,
        )
    ]
    # The page of the index shows the last ones.
    assert "".join(table[2:-1]) in prodcat("info", cwd=shop).out.replace("\n", "")
