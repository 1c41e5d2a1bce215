"""Splitting, building on the train part and scoring the rest, as a user does it."""

from __future__ import annotations

import csv
import io
import shutil
from pathlib import Path
from typing import Any

import made
import pandas as pd
import pytest
from command import prodcat
from PIL import Image, ImageOps

from prodcat_index import ProductIndex, read_catalogue
from prodcat_index.cards.split import Split, read_split

CATEGORIES = (made.BOOTS, made.KETTLES, made.LAMPS)
PICTURES = 24


@pytest.fixture(scope="module")
def shop_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a catalogue of 24 cards with pictures, and a split of it."""
    folder = tmp_path_factory.mktemp("shop")
    pictures = made.draw_pictures(folder, PICTURES)
    rows = [
        made.row(f"c{i:02}", f"{CATEGORIES[i % 3]} {i} of steel", image=picture.name)
        | {"category": CATEGORIES[i % 3], "owner": f"shop{i % 6}"}
        for i, picture in enumerate(pictures)
    ]
    pd.DataFrame(rows).to_csv(folder / "cards.csv", index=False)
    done = prodcat("split", "cards.csv", "-o", "split.csv", "--valid", "0.2", cwd=folder)
    assert done.code == 0, done.err
    return folder


@pytest.fixture
def shop(shop_once: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(shop_once, tmp_path / "shop"))


def test_the_table_counts_what_the_file_holds(shop: Path) -> None:
    """The user would trust shares that are not there."""
    asked = ("split", "cards.csv", "-o", "again.csv", "--valid", "0.2", "--format", "csv")
    done = prodcat(*asked, cwd=shop)
    rows = {row["part"]: row for row in csv.DictReader(io.StringIO(done.out))}
    assert (shop / "again.csv").read_bytes() == (shop / "split.csv").read_bytes()
    parts = read_split(shop / "split.csv").parts
    assert {part: int(row["cards"]) for part, row in rows.items()} == {
        part: parts.count(part) for part in ("train", "valid", "test")
    }
    assert int(rows["test"]["cards"]) == pytest.approx(6, abs=2)
    assert rows["test"]["unreachable"] == "0" and rows["train"]["categories"] == "3"
    assert "Wrote again.csv: by group; 25% test, 20% valid; seed 0." in done.err


def test_whole_shops_can_be_asked_for(shop: Path) -> None:
    done = prodcat("split", "cards.csv", "-o", "shops.csv", "--by", "owner", cwd=shop)
    assert "by group and whole 'owner'" in done.err
    split = read_split(shop / "shops.csv")
    owners = pd.read_csv(shop / "cards.csv")["owner"]
    assert all(len(parts) == 1 for parts in pd.Series(split.parts).groupby(owners).agg(set))


def test_build_takes_train_and_predict_takes_test_by_default(shop: Path) -> None:
    """The score would be of cards that the index knows."""
    split, cards = read_split(shop / "split.csv"), read_catalogue(shop / "cards.csv")
    pd.read_csv(shop / "cards.csv").drop(columns="image").to_csv(shop / "cards.csv", index=False)
    built = prodcat("build-index", "cards.csv", "--split", "split.csv", "-o", "index", cwd=shop)
    assert built.code == 0, built.err
    index = ProductIndex.load(shop / "index")
    assert index.parts.catalogue.ids == split.select(cards, "train").ids
    for options, part in (((), "test"), (("--part", "valid"), "valid")):
        told = ("predict", "cards.csv", "--split", "split.csv", "-i", "index", "-f", "json")
        done = prodcat(*told, *options, cwd=shop)
        assert [p["id"] for p in done.json] == split.select(cards, part).ids
        assert f"on {split.parts.count(part)} cards" in done.err


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("predict", "cards.csv", "--part", "test"), 2, "--part is a part of a split"),
        (("predict", "--title", "x", "--split", "split.csv"), 2, "needs the file of listings"),
        (("build-index", "cards.csv", "--split", "cards.csv"), 1, "has no column 'part'"),
        (("build-index", "few.csv", "--split", "split.csv"), 1, "are not in it"),
        (("split", "cards.csv", "-o", "x.csv", "--test", "1"), 2, "below 1"),
    ],
)
def test_what_does_not_fit_is_refused(
    shop: Path, saved: Path, arguments: tuple[str, ...], code: int, words: str
) -> None:
    """A mistake in the call would look like a result."""
    pd.read_csv(shop / "cards.csv").head(5).to_csv(shop / "few.csv", index=False)
    index = ("-i", saved) if arguments[0] == "predict" else ()
    done = prodcat(*arguments, *index, cwd=shop)
    assert done.code == code and words in " ".join(done.err.split()), done.err
    assert "Traceback" not in done.err


def poison(folder: Path, ids: set[str]) -> None:
    """Change texts, labels and pictures of these cards, to what others have where it can be."""
    table = pd.read_csv(folder / "cards.csv", dtype=str, keep_default_na=False)
    hit = table["id"].isin(ids)
    table.loc[hit, "title"] = "poison " + table["title"].iloc[0] + " яд"
    table.loc[hit, "description"] = "poisoned description"
    table.loc[hit, "category"] = made.BOOTS
    table.to_csv(folder / "cards.csv", index=False)
    for name in table["image"][hit]:
        with Image.open(folder / name) as picture:
            inverted = ImageOps.invert(picture.convert("RGB"))
        inverted.save(folder / name)


def built_files(shop: Path, split: Split, to: str) -> dict[str, Any]:
    """Build an index of the train part; return its files, and its manifest without the time."""
    cards = split.select(read_catalogue(shop / "cards.csv"), "train")
    folder = ProductIndex.build(cards).save(shop / to)
    manifest = made.read_json(folder / "manifest.json")
    for name in ("created", "change", "digest"):
        del manifest[name]
    found = [path.relative_to(folder) for path in folder.glob("versions/**/*.*") if path.is_file()]
    kept = {p: (folder / p).read_bytes() for p in found if p.name != "manifest.json"}
    assert {path.suffix for path in kept} >= {".npy", ".f16", ".f32", ".parquet"}
    return {"manifest": manifest, **{str(path): content for path, content in kept.items()}}


def test_nothing_that_is_scored_touches_what_is_built(shop: Path) -> None:
    """Every published score would be too good."""
    split = read_split(shop / "split.csv")
    part_of = dict(zip(split.ids, split.parts, strict=True))
    before = built_files(shop, split, "before")
    poison(shop, {card for card, part in part_of.items() if part != "train"})
    after = built_files(shop, split, "after")
    assert after == before
    poison(shop, {min(card for card, part in part_of.items() if part == "train")})
    changed = built_files(shop, split, "changed")
    assert {name for name in before if before[name] != changed[name]} >= {"manifest"}
