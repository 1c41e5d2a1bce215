"""``prodcat explore`` and ``prodcat report`` as a user runs them."""

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
from prodcat_index.index.product_index import ProductIndex

WORDS = {
    made.BOOTS: ("leather", "boots"),
    made.KETTLES: ("steel", "kettle"),
    made.LAMPS: ("desk", "lamp"),
}


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


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index of thirty cards."""
    rows = [
        made.row(f"{words[1]}{n}", f"{words[n % 2]} {words[1]} model {n}", category=category)
        for category, words in WORDS.items()
        for n in range(10)
    ]
    index = ProductIndex.build(made.catalogue(rows), encoders={"title": "lexical:8"})
    return index.save(tmp_path_factory.mktemp("shops") / "shop")


def test_a_page_of_the_indexs_name_is_written_and_its_path_printed(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Users would look for what was found."""
    monkeypatch.chdir(tmp_path)
    Path("split.csv").write_text(
        "id,part\n"
        + "".join(
            f"{words[1]}{n},{'test' if n < 3 else 'train'}\n"
            for words in WORDS.values()
            for n in range(10)
        )
    )
    asked = ["report", str(folder), "--split", "split.csv", "--no-baselines"]
    ended = CliRunner().invoke(app, asked, catch_exceptions=False)
    assert (ended.exit_code, ended.stdout) == (0, "report-shop.html\n")
    page = Path("report-shop.html").read_text(encoding="utf-8")
    assert "<h1>Report on shop</h1>" in page and "read from split.csv" in page
    assert "<dd>9</dd>" in page and "LinearSVC" not in page


@pytest.mark.parametrize(
    ("options", "told"),
    [(["--split", "x.csv", "--repeat", "2"], "Leave out --repeat"), (["-o", "."], "is a folder")],
)
def test_what_cannot_be_is_refused_before_anything_is_computed(
    folder: Path, options: list[str], told: str
) -> None:
    """Minutes would pass before the error."""
    ended = CliRunner().invoke(app, ["report", str(folder), *options])
    assert ended.exit_code == 2 and told in ended.output
