"""``prodcat tune`` as a user runs it."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from command import prodcat
from made import settings_of

NAMES = {"Shoes": "boots", "Kitchen": "kettle", "Home": "lamp"}
SOUNDS = ["ka", "lo", "mi", "ne", "ru", "sa", "te", "vu"]
# Without what is learned from labels, which is weighed alone until it is tuned.
PLAIN = ("--projection", "none")


def cards() -> pd.DataFrame:
    """Titles tell the category among other words, descriptions are random syllables."""
    rng = np.random.default_rng(0)

    def words(count: int) -> str:
        return " ".join("".join(rng.choice(SOUNDS, 3)) for _ in range(count))

    return pd.DataFrame(
        {
            "id": f"c{n:02d}",
            "title": f"{words(2)} {NAMES[category]} {words(2)}",
            "description": words(6),
            "category": category,
        }
        for n, category in enumerate([*NAMES] * 12)
    )


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tune")
    cards().to_csv(folder / "cards.csv", index=False)
    done = prodcat("build-index", folder / "cards.csv", "-o", folder / "index", *PLAIN)
    assert done.code == 0, done.err
    return folder / "index"


@pytest.fixture
def shop(built: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(built, tmp_path / "indexes" / "shop")).parents[1]


def test_tuning_tells_what_was_gained_and_restoring_undoes_it(shop: Path) -> None:
    """Predictions must follow the tuned settings, and the way back must be open."""
    index = shop / "indexes" / "shop"
    before = settings_of(index)
    done = prodcat("tune", "--objective", "nll", "--format", "json", cwd=shop)
    assert done.code == 0, done.err
    rows = {r["setting"]: r for r in done.json}
    assert list(rows) == ["before", "equal weights", "tuned"]
    assert rows["before"]["weight"] == {"title": 0.5, "description": 0.5}
    assert rows["tuned"]["value"] > rows["before"]["value"]
    assert rows["tuned"]["weight"]["title"] > 0.7
    assert {r["objective"] for r in rows.values()} == {"nll"}
    assert {(r["cards"], r["categories"]) for r in rows.values()} == {(36, 3)}
    assert settings_of(index) != before
    undone = prodcat("tune", "--restore", cwd=shop)
    assert undone.code == 0, undone.err
    assert "weights and vote are those from before the tuning" in undone.out
    assert settings_of(index) == before


def test_answers_follow_the_tuning(shop: Path) -> None:
    """A query with a title and a strange description: the one that tells is heard more."""
    listing = ("--title", "boots", "--description", "kalomi", "--index", "indexes/shop")

    def nearest() -> float:
        answered = prodcat("predict", *listing, "--explain", "--format", "json", cwd=shop)
        assert answered.code == 0, answered.err
        return float(answered.json[0]["neighbours"][0]["similarity"])

    before = nearest()
    assert prodcat("tune", "indexes/shop", "--objective", "nll", cwd=shop).code == 0
    assert nearest() != before


def test_the_figure_is_drawn(shop: Path) -> None:
    """After a search of minutes, nobody wants to learn that the plot failed."""
    from PIL import Image

    done = prodcat("tune", "indexes/shop", "--plot", "tuning.png", cwd=shop)
    assert done.code == 0, done.err
    assert "Wrote tuning.png" in done.err
    with Image.open(shop / "tuning.png") as picture:
        assert picture.format == "PNG"
        assert picture.width > 800


@pytest.mark.parametrize(
    ("arguments", "code", "what"),
    [
        (("--restore",), 1, "not tuned, so there is nothing to restore"),
        (("--objective", "f1"), 2, "f1"),
        (("--sample", "5"), 2, "20"),
        (("elsewhere",), 1, "There is no index at elsewhere"),
    ],
)
def test_what_cannot_be_done_is_said_in_words(
    shop: Path, arguments: tuple[str, ...], code: int, what: str
) -> None:
    done = prodcat("tune", *arguments, cwd=shop)
    assert (done.code, done.out) == (code, "")
    assert what in done.err
    assert "Traceback" not in done.err


def test_an_index_of_few_cards_is_refused_in_words(shop: Path) -> None:
    cards().head(19).to_csv(shop / "few.csv", index=False)
    assert prodcat("build-index", "few.csv", "-o", "few", *PLAIN, cwd=shop).code == 0
    before = (shop / "few" / "manifest.json").read_bytes()
    done = prodcat("tune", "few", cwd=shop)
    assert done.code == 1
    assert "Tuning needs at least 20 labelled cards, and this index has 19." in done.err
    assert (shop / "few" / "manifest.json").read_bytes() == before


def test_tuned_settings_stand_side_by_side(shop: Path) -> None:
    """A reader would have to join three tables by their first column to see what changed."""
    lines = prodcat("tune", cwd=shop).out.splitlines()
    assert re.fullmatch(r"Predicted \d+ cards of \d+ categories\.", lines[0])
    start = next(place for place, line in enumerate(lines) if line.startswith("──"))
    head = " ".join(lines[1:start]).split()
    assert sorted(head) == ["before", "equal", "tuned", "weights"]
    rows = dict(re.split(r" {2,}", line, maxsplit=1) for line in lines[start + 1 :] if line)
    assert {"weighted-f1", "weight of title", "k", "temperature", "head exponent"} < set(rows)
    assert rows["weight of title"].split()[:2] == ["0.500", "0.500"]


def test_an_index_that_is_built_again_keeps_its_tuning_or_says_that_it_is_gone(shop: Path) -> None:
    """A shop that builds every week would lose each week, without a word, what tuning found."""
    index = shop / "indexes" / "shop"
    cards().to_csv(shop / "cards.csv", index=False)
    build = ("build-index", "cards.csv", "-o", "indexes/shop", *PLAIN)

    def tuned() -> object:
        content = settings_of(index)
        weights = [block["weight"] for block in content["blocks"]]
        return content["vote"], content["tuning"], content["calibration"], weights

    assert prodcat("tune", "--objective", "nll", cwd=shop).code == 0
    before = tuned()
    again = prodcat(*build, cwd=shop)
    assert again.code == 0 and tuned() == before
    assert "note: the tuned weights and vote of the index that is replaced are kept" in again.err
    two = ("--encoder", "title=lexical:8", "--encoder", "title=lexical:16")
    other = prodcat(*build, *two, "-o", "other", cwd=shop)
    assert "tun" not in other.err
    shutil.copytree(index, shop / "copy")
    other = prodcat(*build, *two, "-o", "copy", cwd=shop)
    assert other.code == 0 and "dropped: The tuning cannot be kept: the other index" in other.err
    given = prodcat(*build, "--weights", "title=1", cwd=shop)
    assert given.code == 0 and "dropped, since weights are given" in given.err
