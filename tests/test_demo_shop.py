"""The demo's folder: same bytes from the same seed, faults as its truth says, no file harmed."""

import csv
import hashlib
import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from command import prodcat
from PIL import Image

from prodcat_index import progress
from prodcat_index.demo import shop
from prodcat_index.demo.listings import LEAVES
from prodcat_index.demo.shop import DemoSummary, make_demo_catalogue
from prodcat_index.errors import ProdcatError

CARDS = 120


def read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, DemoSummary]:
    folder = tmp_path_factory.mktemp("shop") / "demo"
    return folder, make_demo_catalogue(folder, cards=CARDS)


@pytest.fixture(scope="module")
def cards(made: tuple[Path, DemoSummary]) -> list[dict[str, str]]:
    return read(made[0] / "catalogue.csv")


@pytest.fixture(scope="module")
def truth(made: tuple[Path, DemoSummary]) -> dict:
    return json.loads((made[0] / "truth.json").read_text(encoding="utf-8"))


def test_same_seed_writes_the_same_bytes(made, tmp_path):
    """Else nobody can compare scores on the demo between two machines."""
    make_demo_catalogue(tmp_path / "again", cards=CARDS)
    assert digests(tmp_path / "again") == digests(made[0])


def test_columns_are_as_documented(made, cards):
    """Else the guide's commands fail on the demo's own files."""
    assert list(cards[0]) == [
        *("id", "title", "description", "category", "group", "image", "brand", "price")
    ]
    assert list(read(made[0] / "new.csv")[0]) == ["id", "title", "description", "image"]
    assert list(read(made[0] / "new_labels.csv")[0]) == ["id", "category"]


def test_counts_are_those_of_the_truth_and_of_the_summary(made, cards, truth):
    """Else an audit of the demo is scored against faults that are not there."""
    folder, summary = made
    new = read(folder / "new.csv")
    every = [*cards, *new]
    lacking = {part: [r["id"] for r in every if not r[part]] for part in ("image", "description")}
    assert len(cards) == CARDS == summary.cards == truth["cards"]
    assert len(new) == 12 == summary.new_listings
    assert lacking["image"] == truth["without_picture"]
    assert lacking["description"] == truth["without_description"]
    assert (len(lacking["image"]), len(lacking["description"])) == (5 + 2, 18 + 2)
    assert (summary.without_picture, summary.without_description) == (7, 20)
    assert summary.wrong_labels == len(truth["wrong_labels"]) == 2
    assert summary.duplicates == len(truth["duplicates"]) == 2
    assert summary.categories == len({r["category"] for r in cards}) == len(LEAVES) == 40
    assert summary.pictures == len(list((folder / "images").iterdir())) == 132 - 7


def test_new_labels_agree_with_the_truth(made, truth):
    """Else predictions on the new listings are scored wrongly."""
    labels = {r["id"]: r["category"] for r in read(made[0] / "new_labels.csv")}
    assert labels == truth["new_categories"]
    assert list(labels) == [r["id"] for r in read(made[0] / "new.csv")]


def test_ids_are_unique_and_every_title_is_written(made, cards):
    """Else the demo is refused by the catalogue reader."""
    every = [*cards, *read(made[0] / "new.csv")]
    assert max(Counter(r["id"] for r in every).values()) == 1
    assert all(r["title"].strip() for r in every)


def test_pictures_named_are_the_pictures_drawn(made, cards):
    """Else cards show a broken picture."""
    named = {r["image"] for r in [*cards, *read(made[0] / "new.csv")]} - {""}
    there = {f"images/{path.name}" for path in (made[0] / "images").iterdir()}
    assert named == there
    for name in named:
        with Image.open(made[0] / name) as picture:
            picture.load()
            assert (picture.size, picture.mode, picture.format) == ((256, 256), "RGB", "JPEG")


def test_wrong_labels_are_wrong_and_the_right_ones_known(cards, truth):
    """Else the label audit is praised for finding nothing wrong."""
    written = {r["id"]: r["category"] for r in cards}
    known = {leaf.category for leaf in LEAVES}
    for id_, right in truth["wrong_labels"].items():
        assert written[id_] != right
        assert {written[id_], right} <= known


def test_relisted_cards_share_category_and_words_but_not_id_or_bytes(made, cards, truth):
    """Else the near-duplicate search has nothing near to find, or finds exact copies only."""
    by_id = {r["id"]: r for r in cards}
    for copy_id, original_id in truth["duplicates"].items():
        copy, original = by_id[copy_id], by_id[original_id]
        assert copy["category"] == original["category"]
        assert copy["title"] != original["title"]
        shared = set(copy["title"].split()) & set(original["title"].replace(",", "").split())
        assert len(shared) >= 2
        assert not copy["group"]
        assert copy_id not in truth["wrong_labels"]
        assert original_id not in truth["wrong_labels"]
        assert picture_distance(made[0], copy, original) < 40


def picture_distance(folder: Path, one: dict[str, str], other: dict[str, str]) -> float:
    first, second = (
        np.asarray(Image.open(folder / card["image"]).resize((32, 32)), dtype=float)
        for card in (one, other)
    )
    distance = float(np.abs(first - second).mean())
    assert distance > 0
    return distance


def test_both_languages_html_and_boilerplate_are_there(cards):
    """Else the demo does not exercise the cleaning of real shops' texts."""
    russian = [any("а" <= letter <= "я" for letter in r["title"].lower()) for r in cards]
    assert 0.35 < sum(russian) / len(cards) < 0.85
    described = [r["description"] for r in cards if r["description"]]
    assert all("<ul>" in text and "<b>" in text for text in described)
    shared = sum("&nbsp;дня" in text or "&nbsp;days" in text for text in described)
    assert 0.5 < shared / len(described) < 0.9


def test_complete_folder_is_left_alone(made):
    """Else a second `prodcat demo` redraws everything and loses what the user edited."""
    folder, summary = made
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    again = make_demo_catalogue(str(folder), cards=CARDS)
    assert not again.made_now
    assert summary.made_now
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before
    assert again.pictures == summary.pictures


def grey() -> Image.Image:
    return Image.new("RGB", (256, 256), (128, 128, 128))


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw one grey picture for every listing."""
    monkeypatch.setattr(shop, "draw_picture", lambda listing, seed: grey())


def test_interrupted_run_is_resumed(made, tmp_path, monkeypatch):
    """Else every interruption costs all the pictures that were drawn before it."""
    count = 0

    def stop(listing, seed):
        nonlocal count
        count += 1
        if count == 40:
            raise KeyboardInterrupt
        return grey()

    monkeypatch.setattr(shop, "draw_picture", stop)
    monkeypatch.setattr(progress, "ThreadPoolExecutor", lambda: ThreadPoolExecutor(1))
    with pytest.raises(KeyboardInterrupt):
        make_demo_catalogue(tmp_path, cards=CARDS)
    kept = set((tmp_path / "images").iterdir())
    assert not any(path.suffix == ".part" for path in kept)
    assert not (tmp_path / "truth.json").exists()
    monkeypatch.setattr(shop, "draw_picture", lambda listing, seed: grey())
    before = {path: path.stat().st_mtime_ns for path in kept}
    assert make_demo_catalogue(tmp_path, cards=CARDS).made_now
    assert len(before) >= 39
    assert {path: path.stat().st_mtime_ns for path in kept} == before
    assert {p.name for p in (tmp_path / "images").iterdir()} == {
        p.name for p in (made[0] / "images").iterdir()
    }


def test_half_written_picture_is_not_kept(quick, tmp_path, monkeypatch):
    """Else a full disk leaves a picture that cannot be opened, and it stays."""

    def fail(self, path, *_, **__):
        Path(path).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Image.Image, "save", fail)
        with pytest.raises(ProdcatError, match="No space left"):
            make_demo_catalogue(tmp_path, cards=CARDS)
    assert make_demo_catalogue(tmp_path, cards=CARDS).made_now
    for path in (tmp_path / "images").glob("*.jpg"):
        with Image.open(path) as picture:
            assert picture.size == (256, 256)


@pytest.mark.parametrize("lost", ["truth.json", "new.csv", "images/N0001.jpg"])
def test_unfinished_folder_is_made_again(quick, tmp_path, lost):
    """Else a demo that was interrupted stays broken for good."""
    make_demo_catalogue(tmp_path, cards=CARDS)
    images = sorted((tmp_path / "images").iterdir())
    target = tmp_path / lost if (tmp_path / lost).exists() else images[0]
    target.unlink()
    assert make_demo_catalogue(tmp_path, cards=CARDS).made_now
    assert target.exists()


def test_other_seed_or_size_replaces_the_old_demo(quick, tmp_path):
    """Else pictures of the old demo stay among those of the new one."""
    make_demo_catalogue(tmp_path, cards=140)
    assert make_demo_catalogue(tmp_path, cards=CARDS, seed=5).made_now
    named = {r["image"] for r in read(tmp_path / "catalogue.csv") + read(tmp_path / "new.csv")}
    assert {f"images/{p.name}" for p in (tmp_path / "images").iterdir()} == named - {""}


def test_truth_comes_last(tmp_path, monkeypatch):
    """Else an interrupted demo counts as complete."""

    def fail(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(shop, "map_in_threads", fail)
    with pytest.raises(KeyboardInterrupt):
        make_demo_catalogue(tmp_path, cards=CARDS)
    assert not (tmp_path / "truth.json").exists()


def test_foreign_folder_is_refused_and_untouched(tmp_path):
    """Else the demo overwrites a user's own catalogue."""
    (tmp_path / "catalogue.csv").write_text("mine")
    with pytest.raises(ProdcatError, match="holds other files"):
        make_demo_catalogue(tmp_path)
    assert digests(tmp_path) == {"catalogue.csv": hashlib.sha256(b"mine").hexdigest()}


def test_file_in_place_of_a_folder_is_refused(tmp_path):
    """Else the user reads a traceback."""
    (tmp_path / "demo").write_text("")
    with pytest.raises(ProdcatError, match="is a file; name a folder"):
        make_demo_catalogue(tmp_path / "demo")


def test_unwritable_folder_is_named_in_words(tmp_path, monkeypatch):
    """Else a full or write-protected disk shows a traceback."""

    def fail(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", fail)
    with pytest.raises(ProdcatError, match=r"cannot be written to .*Permission denied"):
        make_demo_catalogue(tmp_path / "demo", cards=CARDS)


def test_too_few_cards_are_refused(tmp_path):
    """Else a tiny demo lacks categories without a word."""
    with pytest.raises(ProdcatError, match="100 cards or more"):
        make_demo_catalogue(tmp_path / "demo", cards=20)
    assert not (tmp_path / "demo").exists()


def test_command_says_what_was_made_and_what_is_too_small(tmp_path):
    """Else a user does not know which file to build the index of."""
    done = prodcat("demo", tmp_path / "shop", "--cards", CARDS, "--seed", 4)
    assert done.code == 0
    assert done.out.startswith(f"Made {tmp_path / 'shop'}: {CARDS} cards in 40 categories")
    assert "2 cards have a wrong label and 2 repeat another one (truth.json)" in done.out
    assert prodcat("demo", tmp_path / "shop", "--cards", CARDS, "--seed", 4).out.startswith("Found")
    assert prodcat("demo", tmp_path / "small", "--cards", 99).code == 2
    assert not (tmp_path / "small").exists()
