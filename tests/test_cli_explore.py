"""``prodcat explore`` as a user runs it."""

from __future__ import annotations

import json
from pathlib import Path

import made
import pandas as pd
import pytest
from command import prodcat
from typer.testing import CliRunner

from prodcat_index.cli.app import app
from prodcat_index.errors import ProdcatError


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shop")
    rows = [{**card, "shelf": card.get("category", "")[:4]} for card in made.CARDS]
    pd.DataFrame(rows).to_csv(folder / "cards.csv", index=False)
    return folder


def test_a_folder_of_the_catalogues_name_is_written_and_a_table_printed(shop: Path) -> None:
    """Users would look for what was found."""
    ended = prodcat("explore", "cards.csv", cwd=shop)
    assert ended.code == 0, ended.err
    assert (shop / "explore-cards" / "explore.html").is_file()
    assert "Wrote explore-cards" in ended.err and "note: 1 card has no category" in ended.err
    rows = {tuple(line.split()[:-2]): line.split()[-2:] for line in ended.out.splitlines()}
    assert rows["without", "description"] == ["1", "11.1%"]
    assert rows["labelled",] == ["8", "88.9%"]


def test_numbers_as_json_of_the_columns_chosen(shop: Path, tmp_path: Path) -> None:
    """A script that watches a catalogue would break."""
    asked = ["explore", str(shop / "cards.csv"), "-o", str(tmp_path / "out"), "--format", "json"]
    columns = ["--category-column", "shelf", "--title-column", "description"]
    found = json.loads(CliRunner().invoke(app, [*asked, *columns]).stdout)
    assert (found["cards"], found["labelled"], found["categories"]) == (9, 8, 3)
    assert found["by_category"]["largest"] == {"Kitc": 3, "Shoe": 3, "Home": 2}
    assert found["texts"]["title"]["characters"]["count"] == 8


def test_a_folder_in_the_way_is_an_error_in_words(shop: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("x")
    ended = CliRunner().invoke(app, ["explore", str(shop / "cards.csv"), "-o", str(tmp_path)])
    assert isinstance(ended.exception, ProdcatError)
    assert "holds other files" in str(ended.exception)
