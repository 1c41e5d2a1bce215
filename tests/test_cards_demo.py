"""The demo shop: same bytes from the same seed, faults as its truth says, and no file harmed."""

import csv
import hashlib
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from prodcat_index.demo import folder as demo_folder
from prodcat_index.demo.drawing import draw_picture
from prodcat_index.demo.folder import DemoSummary, make_demo_catalogue
from prodcat_index.demo.pen import Pen, View, curve
from prodcat_index.demo.planning import Listing, make_plan
from prodcat_index.demo.shapes import SHAPES, TURNS
from prodcat_index.demo.tree import LEAVES, category_sizes
from prodcat_index.demo.vocabulary import BRANDS, COLOURS, SIZES, UNITS
from prodcat_index.demo.writing import write_text
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


def test_another_seed_draws_another_shop(made):
    """Else the seed is a promise without effect."""
    first, other = make_plan(CARDS, 0), make_plan(CARDS, 1)
    assert write_text(first.catalogue[0], 0) != write_text(other.catalogue[0], 1)
    one = first.new[0]
    assert draw_picture(one, 0).tobytes() != draw_picture(one, 1).tobytes()


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


def test_listings_that_are_not_named_wrong_are_right():
    """Else there are label errors that the truth does not confess."""
    plan = make_plan(600, 3)
    wrong = [one for one in plan.catalogue if one.label != one.leaf.category]
    assert len(wrong) == 9
    assert all(one.label == one.leaf.category for one in plan.new)


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


def test_sizes_have_a_long_tail():
    """Else the demo does not show what the tool is for: few large and many tiny categories."""
    sizes = Counter(one.label for one in make_plan(1500, 0).catalogue)
    assert sizes.total() == 1500
    assert 190 <= max(sizes.values()) <= 260
    assert sum(size == 1 for size in sizes.values()) >= 4
    assert len(sizes) == len(LEAVES)


@pytest.mark.parametrize("cards", [100, 101, 137, 999, 5000])
def test_category_sizes_sum_to_what_was_asked(cards):
    """Else the demo has another number of cards than asked for."""
    sizes = category_sizes(cards)
    assert sum(sizes.values()) == cards
    assert min(sizes.values()) >= 1


def test_no_product_is_in_both_files():
    """Else the new listings are scored on products that the catalogue already holds."""
    plan = make_plan(1500, 0)
    assert not {c.product for c in plan.catalogue} & {n.product for n in plan.new}
    assert not {n.group for n in plan.new} - {""}


def test_groups_hold_the_variants_of_one_product():
    """Else grouped splits keep the wrong cards together."""
    catalogue = make_plan(1500, 0).catalogue
    members: dict[str, list[Listing]] = {}
    for one in catalogue:
        members.setdefault(one.group, []).append(one)
    members.pop("")
    assert len(members) > 200
    for group in members.values():
        assert len(group) > 1
        assert len({(one.product, one.leaf) for one in group}) == 1
        assert len({one.variant for one in group}) == len(group)


def test_variants_share_the_product_and_differ_in_colour():
    """Else a variant group looks like unrelated cards, or like copies."""
    one = Listing("P1", LEAVES[2], "P0001", 0, LEAVES[2].category, "G1")
    other = Listing("P2", LEAVES[2], "P0001", 1, LEAVES[2].category, "G1")
    first, second = write_text(one, 0), write_text(other, 0)
    assert first.title.split(",")[0] == second.title.split(",")[0]
    assert first.title != second.title
    assert first.description == second.description
    assert draw_picture(one, 0).tobytes() != draw_picture(other, 0).tobytes()


def test_both_languages_html_and_boilerplate_are_there(cards):
    """Else the demo does not exercise the cleaning of real shops' texts."""
    russian = [any("а" <= letter <= "я" for letter in r["title"].lower()) for r in cards]
    assert 0.35 < sum(russian) / len(cards) < 0.85
    described = [r["description"] for r in cards if r["description"]]
    assert all("<ul>" in text and "<b>" in text for text in described)
    shared = sum("&nbsp;дня" in text or "&nbsp;days" in text for text in described)
    assert 0.5 < shared / len(described) < 0.9


def test_every_leaf_has_what_the_makers_look_up():
    """Else a rare category fails only for some seeds."""
    assert {leaf.shape for leaf in LEAVES} <= set(SHAPES)
    assert set(TURNS) <= set(SHAPES)
    assert {leaf.size for leaf in LEAVES} <= set(SIZES) == set(UNITS)
    assert {leaf.department for leaf in LEAVES} == set(BRANDS)
    assert all(leaf.category.count(" > ") == 1 for leaf in LEAVES)
    assert len({leaf.category for leaf in LEAVES}) == len(LEAVES)


def test_vague_nouns_join_different_categories():
    """Else the title alone settles every card and the picture has nothing to add."""
    owners = Counter(word for leaf in LEAVES for word in leaf.russian.vague)
    assert owners["чехол"] >= 3
    assert owners["лампа"] >= 3
    assert not {word for leaf in LEAVES for word in leaf.russian.nouns} & {"чехол", "лампа"}


@pytest.mark.parametrize("shape", sorted(SHAPES))
def test_every_shape_draws_inside_the_picture(shape):
    """Else a category's pictures are empty, or cut off."""
    from random import Random

    for seed in range(12):
        layer = Image.new("RGBX", (300, 300), 0)
        view = View((150, 150), 110)
        SHAPES[shape](Pen(layer, view), COLOURS[2][2], Random(seed))
        opacity = np.asarray(layer)[..., 3]
        assert (opacity > 0).mean() > 0.03
        edge = np.concatenate([opacity[0], opacity[-1], opacity[:, 0], opacity[:, -1]])
        assert not edge.any()


def test_pen_turns_clockwise_and_mirrors():
    """Else products lie on the wrong side of their shadows and props."""
    layer = Image.new("RGBX", (100, 100), 0)
    Pen(layer, View((50, 50), 40, turn=90)).disc(1, 0, 0.1, (9, 9, 9))
    assert np.asarray(layer)[90, 50, 3] == 255
    Pen(layer, View((50, 50), 40, mirrored=True)).disc(1, 0, 0.1, (9, 9, 9))
    assert np.asarray(layer)[50, 10, 3] == 255


def test_translucent_ink_is_premultiplied():
    """Else glasses shine brighter than the light that falls on them."""
    layer = Image.new("RGBX", (20, 20), 0)
    Pen(layer, View((10, 10), 10)).box(-1, -1, 1, 1, (200, 100, 50, 51))
    assert tuple(np.asarray(layer)[10, 10]) == (40, 20, 10, 51)


def test_curve_passes_through_its_points():
    """Else outlines miss the forms that they were drawn for."""
    points = [(0.0, 0.0), (1.0, 2.0), (3.0, 1.0)]
    smooth = np.array(curve(points))
    for point in points:
        assert np.abs(smooth - point).sum(axis=1).min() == pytest.approx(0)


def test_complete_folder_is_left_alone(made):
    """Else a second `prodcat demo` redraws everything and loses what the user edited."""
    folder, summary = made
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    again = make_demo_catalogue(folder, cards=CARDS)
    assert not again.made_now
    assert summary.made_now
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before
    assert again.pictures == summary.pictures


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw one grey picture for every listing."""
    grey = Image.new("RGB", (256, 256), (128, 128, 128))
    monkeypatch.setattr(demo_folder, "draw_picture", lambda listing, seed: grey)


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

    monkeypatch.setattr(demo_folder, "_write_pictures", fail)
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
