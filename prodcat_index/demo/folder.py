"""The demo catalogue's folder: what is written, in which order, and when it is left alone."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from prodcat_index.demo.drawing import draw_picture, relist_picture
from prodcat_index.demo.planning import Listing, Plan, make_plan
from prodcat_index.demo.tree import LEAVES
from prodcat_index.demo.writing import write_text
from prodcat_index.errors import ProdcatError
from prodcat_index.files import check_output_folder
from prodcat_index.progress import progress_bar

DEMO_VERSION = 1
FEWEST_CARDS = 100
QUALITY = 85
RELISTED_QUALITY = 62
MARK = "# The demo catalogue of prodcat"
README, CATALOGUE, NEW = "README.md", "catalogue.csv", "new.csv"
NEW_LABELS, TRUTH, IMAGES = "new_labels.csv", "truth.json", "images"
CATALOGUE_COLUMNS = ("id", "title", "description", "category", "group", "image", "brand", "price")
NEW_COLUMNS = ("id", "title", "description", "image")
ABOUT = f"""{MARK}

Made by `prodcat demo`; every text and picture is generated, nothing in it is a real product.

| file | what it holds |
|---|---|
| `{CATALOGUE}` | labelled cards: {", ".join(CATALOGUE_COLUMNS)} |
| `{NEW}` | new listings without a category |
| `{NEW_LABELS}` | their categories, to score predictions with |
| `{TRUTH}` | the faults put in on purpose: wrong labels, re-listed cards, missing parts |
| `{IMAGES}/` | pictures, 256 x 256 |
"""


@dataclass(frozen=True)
class DemoSummary:
    """What a demo folder holds."""

    folder: Path
    cards: int
    new_listings: int
    categories: int
    pictures: int
    without_picture: int
    without_description: int
    wrong_labels: int
    duplicates: int
    seed: int
    made_now: bool

    def __str__(self) -> str:
        """Return the sentences that people read."""
        return (
            f"{'Made' if self.made_now else 'Found'} {self.folder}: {self.cards} cards in "
            f"{self.categories} categories (catalogue.csv) and {self.new_listings} new listings "
            f"(new.csv), with {self.pictures} pictures.\n"
            f"{self.without_picture} of them lack a picture and {self.without_description} a "
            f"description; {self.wrong_labels} cards have a wrong label and {self.duplicates} "
            "repeat another one (truth.json)."
        )


def make_demo_catalogue(folder: Path, *, cards: int = 1500, seed: int = 0) -> DemoSummary:
    """Write the demo catalogue into a folder; a complete one is left as it is.

    Parameters
    ----------
    folder
        Where to write; absent, empty, or a demo folder made earlier, which is replaced unless it
        is complete with the same ``cards`` and ``seed``.
    cards
        How many labelled cards; a tenth as many new listings come on top.
    seed
        The same seed writes the same bytes.

    Returns
    -------
    DemoSummary
        What the folder holds.

    Raises
    ------
    ProdcatError
        When there are too few cards for the categories, when the folder holds something else, or
        when it cannot be written.
    """
    if cards < FEWEST_CARDS:
        raise ProdcatError(
            f"A demo catalogue of {cards} cards is too small for its {len(LEAVES)} categories; "
            f"ask for {FEWEST_CARDS} cards or more."
        )
    if not _is_demo(folder):
        check_output_folder(folder, "demo catalogue", ProdcatError)
    known = _complete_truth(folder, cards, seed)
    if known:
        return _summary(folder, known, made_now=False)
    try:
        truth = _write_all(folder, make_plan(cards, seed), cards, seed)
    except OSError as cause:
        raise ProdcatError(
            f"The demo catalogue cannot be written to {folder} ({cause.strerror or cause}); "
            "choose a folder that you may write to, on a disk with 50 MB left."
        ) from cause
    return _summary(folder, truth, made_now=True)


def _is_demo(folder: Path) -> bool:
    readme = folder / README
    return readme.is_file() and readme.read_bytes().startswith(MARK.encode())


def _complete_truth(folder: Path, cards: int, seed: int) -> dict[str, Any]:
    try:
        truth = json.loads((folder / TRUTH).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    made = {"version": DEMO_VERSION, "cards": cards, "seed": seed}
    same = isinstance(truth, dict) and made.items() <= truth.items()
    return truth if same and _all_there(folder, truth) else {}


def _all_there(folder: Path, truth: dict[str, Any]) -> bool:
    tables = all((folder / name).is_file() for name in (CATALOGUE, NEW, NEW_LABELS))
    return tables and len(list((folder / IMAGES).glob("*.jpg"))) == truth["pictures"]


def _write_all(folder: Path, plan: Plan, cards: int, seed: int) -> dict[str, Any]:
    _start_afresh(folder)
    _write_tables(folder, plan, seed)
    _write_pictures(folder, (*plan.catalogue, *plan.new), seed)
    truth = _truth(plan, cards, seed)
    text = json.dumps(truth, ensure_ascii=False, indent=1)
    (folder / TRUTH).write_text(text + "\n", encoding="utf-8", newline="\n")
    return truth


def _start_afresh(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    # The truth says that all is there, so it goes first and comes last.
    (folder / TRUTH).unlink(missing_ok=True)
    (folder / README).write_text(ABOUT, encoding="utf-8", newline="\n")
    if (folder / IMAGES).exists():
        shutil.rmtree(folder / IMAGES)
    (folder / IMAGES).mkdir()


def _write_tables(folder: Path, plan: Plan, seed: int) -> None:
    _write_table(folder / CATALOGUE, CATALOGUE_COLUMNS, plan.catalogue, seed)
    _write_table(folder / NEW, NEW_COLUMNS, plan.new, seed)
    _write_table(folder / NEW_LABELS, ("id", "category"), plan.new, seed)


def _write_table(
    path: Path, columns: Sequence[str], listings: Iterable[Listing], seed: int
) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(_row(listing, seed) for listing in listings)


def _row(listing: Listing, seed: int) -> dict[str, Any]:
    return {
        "id": listing.id,
        **asdict(write_text(listing, seed)),
        "category": listing.label,
        "group": listing.group,
        "image": _image_name(listing) if listing.has_picture else "",
    }


def _image_name(listing: Listing) -> str:
    return f"{IMAGES}/{listing.id}.jpg"


def _write_pictures(folder: Path, listings: Sequence[Listing], seed: int) -> None:
    shown = [listing for listing in listings if listing.has_picture]
    with (
        progress_bar(len(shown), "Drawing the demo's pictures", "picture") as bar,
        ThreadPoolExecutor() as pool,
    ):
        for _ in pool.map(lambda one: _write_picture(folder / _image_name(one), one, seed), shown):
            bar.update(1)


def _write_picture(path: Path, listing: Listing, seed: int) -> None:
    if not listing.original:
        draw_picture(listing, seed).save(path, "JPEG", quality=QUALITY)
        return
    first = draw_picture(replace(listing, id=listing.original), seed)
    relist_picture(first, seed, listing.id).save(path, "JPEG", quality=RELISTED_QUALITY)


def _truth(plan: Plan, cards: int, seed: int) -> dict[str, Any]:
    every = (*plan.catalogue, *plan.new)
    return {
        "version": DEMO_VERSION,
        "cards": cards,
        "seed": seed,
        "categories": len({one.leaf.category for one in plan.catalogue}),
        "pictures": sum(one.has_picture for one in every),
        "wrong_labels": {
            one.id: one.leaf.category for one in plan.catalogue if one.label != one.leaf.category
        },
        "duplicates": {one.id: one.original for one in plan.catalogue if one.original},
        "without_picture": [one.id for one in every if not one.has_picture],
        "without_description": [one.id for one in every if not one.has_description],
        "new_categories": {one.id: one.leaf.category for one in plan.new},
    }


def _summary(folder: Path, truth: dict[str, Any], *, made_now: bool) -> DemoSummary:
    return DemoSummary(
        folder=folder,
        cards=truth["cards"],
        new_listings=len(truth["new_categories"]),
        categories=truth["categories"],
        pictures=truth["pictures"],
        without_picture=len(truth["without_picture"]),
        without_description=len(truth["without_description"]),
        wrong_labels=len(truth["wrong_labels"]),
        duplicates=len(truth["duplicates"]),
        seed=truth["seed"],
        made_now=made_now,
    )
