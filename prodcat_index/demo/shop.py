"""The demo catalogue's folder; an interrupted one is completed and a complete one is left alone."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from prodcat_index.demo.drawing import draw_picture, relist_picture
from prodcat_index.demo.listings import LEAVES, SHOP, Listing, plan_listings, write_text
from prodcat_index.errors import ProdcatError
from prodcat_index.files import check_output_folder, replace_text
from prodcat_index.progress import map_in_threads

DEMO_VERSION = 2
# Fewer cards would leave most of the 40 categories with one.
MIN_CARDS = 100
TRUTH, README, IMAGES = "truth.json", "README.md", "images"
CATALOGUE, NEW, NEW_LABELS = "catalogue.csv", "new.csv", "new_labels.csv"
CATALOGUE_COLUMNS = ("id", "title", "description", "category", "group", "image", "brand", "price")
NEW_COLUMNS = ("id", "title", "description", "image")


@dataclass(frozen=True)
class DemoSummary:
    """Counts of what a demo folder holds; ``made_now`` is false where it was already complete."""

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
            f"{self.without_picture} cards and listings lack a picture and "
            f"{self.without_description} a description; {self.wrong_labels} "
            f"cards have a wrong label and {self.duplicates} repeat another one (truth.json)."
        )


def make_demo_catalogue(folder: Path | str, *, cards: int = 1500, seed: int = 0) -> DemoSummary:
    """Write the demo catalogue into a folder.

    A complete demo of the same parameters is left as it is, an interrupted one is completed, and
    any other demo is replaced.

    Parameters
    ----------
    folder
        Folder to write to: absent, empty, or a demo folder made earlier.
    cards
        Number of labelled cards; a tenth as many new listings come on top.
    seed
        The same seed writes the same bytes.

    Returns
    -------
    DemoSummary
        Counts of what the folder holds.

    Raises
    ------
    ProdcatError
        If there are too few cards for the categories, if the folder holds other files, or if it
        cannot be written.
    """
    folder = Path(folder)
    if cards < MIN_CARDS:
        raise ProdcatError(
            f"A demo catalogue of {cards} cards is too small for its {len(LEAVES)} categories; "
            f"ask for {MIN_CARDS} cards or more."
        )
    readme = folder / README
    is_demo = readme.is_file() and readme.read_bytes().startswith(SHOP["readme"][0].encode())
    if not is_demo:
        check_output_folder(folder, "demo catalogue", ProdcatError)
    made = {"version": DEMO_VERSION, "cards": cards, "seed": seed}
    truth = _complete_truth(folder, made)
    made_now = not truth
    if made_now:
        try:
            truth = _write_folder(folder, made)
        except OSError as error:
            raise ProdcatError(
                f"The demo catalogue cannot be written to {folder} ({error.strerror or error}); "
                "choose a folder that you may write to, on a disk with 50 MB left."
            ) from error
    faults = ("without_picture", "without_description", "wrong_labels", "duplicates")
    return DemoSummary(
        folder=folder,
        new_listings=len(truth["new_categories"]),
        made_now=made_now,
        **{name: truth[name] for name in ("cards", "seed", "categories", "pictures")},
        **{name: len(truth[name]) for name in faults},
    )


def _complete_truth(folder: Path, made: dict[str, int]) -> dict[str, Any]:
    """Read the truth of a folder where all is there; empty for any other folder."""
    try:
        truth = json.loads((folder / TRUTH).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    complete = (
        isinstance(truth, dict)
        and made.items() <= truth.items()
        and all((folder / name).is_file() for name in (CATALOGUE, NEW, NEW_LABELS))
        and len(list((folder / IMAGES).glob("*.jpg"))) == truth["pictures"]
    )
    return truth if complete else {}


def _write_folder(folder: Path, made: dict[str, int]) -> dict[str, Any]:
    seed = made["seed"]
    about = "\n".join(SHOP["readme"]).format(**made) + "\n"
    images, readme = folder / IMAGES, folder / README
    folder.mkdir(parents=True, exist_ok=True)
    # The truth marks a complete folder, so it goes first and comes last.
    (folder / TRUTH).unlink(missing_ok=True)
    if not readme.is_file() or readme.read_text(encoding="utf-8") != about:
        # The pictures are of another demo; those of an interrupted run of this one are kept.
        shutil.rmtree(images, ignore_errors=True)
        readme.write_text(about, encoding="utf-8", newline="\n")
    images.mkdir(exist_ok=True)
    catalogue, new = plan_listings(made["cards"], seed)
    _write_table(folder / CATALOGUE, CATALOGUE_COLUMNS, catalogue, seed)
    _write_table(folder / NEW, NEW_COLUMNS, new, seed)
    _write_table(folder / NEW_LABELS, ("id", "category"), new, seed)
    every = [*catalogue, *new]
    shown = [one for one in every if one.has_picture]
    map_in_threads(partial(_write_picture, images, seed), shown, "Drawing the demo's pictures")
    truth = {
        **made,
        "categories": len({one.leaf for one in catalogue}),
        "pictures": len(shown),
        "wrong_labels": {o.id: o.leaf.category for o in catalogue if o.label != o.leaf.category},
        "duplicates": {one.id: one.original for one in catalogue if one.original},
        "without_picture": [one.id for one in every if not one.has_picture],
        "without_description": [one.id for one in every if not one.has_description],
        "new_categories": {one.id: one.leaf.category for one in new},
    }
    replace_text(folder / TRUTH, json.dumps(truth, ensure_ascii=False, indent=1) + "\n")
    return truth


def _write_table(path: Path, columns: Sequence[str], listings: list[Listing], seed: int) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        for one in listings:
            image = f"{IMAGES}/{one.id}.jpg" if one.has_picture else ""
            card = {"id": one.id, "category": one.label, "group": one.group, "image": image}
            writer.writerow({**card, **write_text(one, seed)})


def _write_picture(images: Path, seed: int, listing: Listing) -> None:
    path = images / f"{listing.id}.jpg"
    if path.exists():
        return
    picture, quality = draw_picture(replace(listing, id=listing.original or listing.id), seed), 85
    if listing.original:
        picture, quality = relist_picture(picture, seed, listing.id), 62
    # Under its name only when it is whole: a later run keeps every picture that it finds.
    partial = path.with_suffix(".part")
    picture.save(partial, "JPEG", quality=quality)
    partial.replace(path)
