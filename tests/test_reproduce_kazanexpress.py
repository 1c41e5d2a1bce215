"""The script that sets the original's figures and ours side by side, on a shop in its layout."""

from __future__ import annotations

import json
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from typer.testing import CliRunner

from prodcat_index.errors import CatalogueError, EncoderError

SCRIPT = Path(__file__).parents[1] / "scripts" / "reproduce_kazanexpress.py"
APP = runpy.run_path(str(SCRIPT))["app"]
# Titles and pictures tell the category, descriptions do not.
SHELVES = {"Чайники": "чайник", "Лампы": "лампа", "Сапоги": "сапоги"}
COUNT = 48


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Cards of three categories, each with a picture of its own, and one without a picture."""
    folder = tmp_path_factory.mktemp("shop")
    (folder / "images" / "train").mkdir(parents=True)
    rng = np.random.default_rng(0)
    rows = []
    for number in range(COUNT):
        shelf, word = list(SHELVES.items())[number % 3]
        model = "".join(rng.choice(list("абвгдежзик"), 9))
        fields = {"title": f"{word} {model}", "description": f"артикул {rng.integers(10**9)}"}
        rows.append(
            {
                "product_id": 500 + number,
                "category_id": number % 3,
                "shop_title": "Лавка",
                "rating": 4.5,
                "text_fields": json.dumps(fields, ensure_ascii=False),
                "category_name": f"Все категории->{shelf}",
            }
        )
        noise = rng.integers(0, 60, size=(64, 64, 3)) + np.eye(3)[number % 3] * 150
        if number:
            path = folder / "images" / "train" / f"{500 + number}.jpg"
            Image.fromarray(noise.astype(np.uint8)).save(path)
    pd.DataFrame(rows).to_parquet(folder / "train.parquet")
    return folder


def run(*arguments: object) -> Any:
    return CliRunner().invoke(APP, [str(argument) for argument in arguments])


def test_it_prints_the_originals_figures_and_ours_beside_them(shop: Path, tmp_path: Path) -> None:
    """Whoever has the data could not tell whether the project keeps its promise."""
    done = run(shop, "--output", tmp_path / "all.json")
    assert done.exit_code == 0, done.stderr
    assert "no picture file of its id (the first: " in done.stderr
    assert "500.jpg): 500\n" in done.stderr
    content = json.loads((tmp_path / "all.json").read_text(encoding="utf-8"))
    original = content["original"]
    assert original == {"image": 0.51, "title": 0.75, "description": 0.61}
    ours = {row["name"]: row["weighted_f1"] for row in content["rows"]}
    assert list(ours) == [*original, "equal weights", "learned", "tuned"]
    assert min(ours["image"], ours["tuned"]) > 0.9 > ours["description"]
    [split] = content["splits"]
    assert split["train"] + split["test"] == COUNT
    lines = [line.split() for line in done.stdout.splitlines()]
    assert ["image", "0.51", f"{ours['image']:.3f}"] in [line[:3] for line in lines]
    assert ["tuned", "–", f"{ours['tuned']:.3f}"] in [line[:3] for line in lines]
    assert "91,120 cards and these of 48" in done.stdout


def test_variants_of_a_product_are_on_one_side(shop: Path, tmp_path: Path) -> None:
    """Figures would be those of a memory: the recipe of the original splits first."""
    twice = tmp_path / "twice"
    twice.mkdir()
    table = pd.read_parquet(shop / "train.parquet")
    again = table.assign(product_id=table["product_id"] + 1000)
    pd.concat([table, again]).to_parquet(twice / "train.parquet")
    done = run(twice, "--output", tmp_path / "all.json")
    assert done.exit_code == 0, done.stderr
    content = json.loads((tmp_path / "all.json").read_text(encoding="utf-8"))
    tested = {int(card["id"]) for card in content["cards"]}
    assert tested
    assert {(card + 1000 if card < 1000 else card - 1000) for card in tested} == tested


def test_a_part_of_the_cards_can_be_drawn(shop: Path) -> None:
    done = run(shop, "--limit", 30)
    assert done.exit_code == 0, done.stderr
    assert "91,120 cards and these of 30" in done.stdout
    assert done.stdout == run(shop, "--limit", 30).stdout


def test_bad_calls_are_told(shop: Path, tmp_path: Path) -> None:
    """An hour of embedding must not end in a figure that cannot be written."""
    late = run(shop, "--output", tmp_path / "nowhere" / "all.json")
    assert late.exit_code == 2
    assert "there is no folder" in late.stderr
    assert isinstance(run(tmp_path).exception, CatalogueError)
    assert isinstance(run(shop, "--preset", "best").exception, EncoderError)


def test_it_says_what_is_missing_without_a_traceback(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, SCRIPT, "data"], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 1
    assert done.stderr.startswith("reproduce-kazanexpress: There is no file data/train.parquet")
    assert "Traceback" not in done.stderr
