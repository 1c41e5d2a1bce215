"""``prodcat report`` as a user runs it."""

from __future__ import annotations

from pathlib import Path

import made
import pytest
from typer.testing import CliRunner

from prodcat_index.cli.app import app
from prodcat_index.index.product_index import ProductIndex

WORDS = {
    made.BOOTS: ("leather", "boots"),
    made.KETTLES: ("steel", "kettle"),
    made.LAMPS: ("desk", "lamp"),
}


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
    [(["--split", "x.csv", "--repeat", "2"], "one split"), (["-o", "."], "is a folder")],
)
def test_what_cannot_be_is_refused_before_anything_is_computed(
    folder: Path, options: list[str], told: str
) -> None:
    """Minutes would pass before the error."""
    ended = CliRunner().invoke(app, ["report", str(folder), *options])
    assert ended.exit_code == 2 and told in ended.output
