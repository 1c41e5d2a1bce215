"""The public benchmark MWPD 2020, task 2: offers of many shops in GS1 classes of three levels."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Annotated

import typer

from prodcat_index.cards.card import Catalogue
from prodcat_index.cards.catalogue import read_catalogue
from prodcat_index.types import CATEGORY_SEPARATOR
from scripts.benchmarks.answers import CARDS, report
from scripts.benchmarks.judging import (
    NOTHING,
    CacheOption,
    Judged,
    PrecisionOption,
    Runs,
    confidence_header,
    confidence_row,
)
from scripts.benchmarks.page import PAGE, PageOption, table, write_section

TRAIN, VALIDATION, TEST = "train", "validation", "test"
# The files as they were published. test_public.json has no labels.
FILES = {TRAIN: "train.json", VALIDATION: "validation.json", TEST: "task2_testset_with_labels.json"}
FIELDS = {"id": "ID", "title": "Name", "description": "Description"}
LEVELS = ("lvl1", "lvl2", "lvl3")
# First letters of the ids where all parts are in one file of cards; others are of the test part.
LETTERS = {"t": TRAIN, "v": VALIDATION}
# The winner of the task, on the test part.
PUBLISHED = 0.886


def mwpd(
    folder: Annotated[
        Path,
        typer.Argument(
            help=f"Folder of {', '.join(FILES.values())}, or of a {CARDS} with ids t… and v…."
        ),
    ],
    on: Annotated[
        str | None, typer.Option(help="validation or test; by default test if it is there.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the classifier.")] = 0,
    precision: PrecisionOption = 0.95,
    cache: CacheOption = None,
    page: PageOption = PAGE,
) -> None:
    """Score the answers on MWPD 2020, task 2, as its organisers do: mean F1 of three levels."""
    from prodcat_index.cards.duplicates import find_groups

    parts = read_parts(folder)
    on = on or (TEST if TEST in parts else VALIDATION)
    if missing := [part for part in (TRAIN, on) if part not in parts]:
        raise typer.BadParameter(f"{folder} has no cards of the part {missing[0]}")
    start = time.perf_counter()
    train, test = parts[TRAIN], parts[on]
    settings = {"part": on, "seed": seed, "precision": precision}
    work = (train, test, find_groups(train).codes, seed, precision, len(LEVELS))
    judged = Runs(cache).judge(sources(folder), settings, *work)
    typer.echo(report(f"MWPD 2020, {on}", judged, start), err=True)
    body = describe(judged, train, on, precision)
    typer.echo(body)
    write_section(page, "MWPD 2020, task 2", body)


def sources(folder: Path) -> list[Path]:
    files = [folder / CARDS] if (folder / CARDS).is_file() else map(folder.joinpath, FILES.values())
    return [file for file in files if file.is_file()]


def read_parts(folder: Path) -> dict[str, Catalogue]:
    """Read the cards of each part that is there."""
    if (folder / CARDS).is_file():
        cards = read_catalogue(folder / CARDS).labelled()
        part_of = [LETTERS.get(card[0], TEST) for card in cards.ids]
        rows = {part: [r for r, own in enumerate(part_of) if own == part] for part in FILES}
        return {part: cards.select(own) for part, own in rows.items() if own}
    there = {part: folder / name for part, name in FILES.items() if (folder / name).is_file()}
    return {part: read_offers(file) for part, file in there.items()}


def read_offers(file: Path) -> Catalogue:
    """Read a published file: a JSON object a line."""
    import pandas as pd

    with file.open(encoding="utf-8") as lines:
        rows = [make_row(json.loads(line)) for line in lines if line.strip()]
    return read_catalogue(pd.DataFrame(rows)).labelled()


def make_row(offer: Mapping[str, object]) -> dict[str, str]:
    row = {name: str(offer.get(field) or "") for name, field in FIELDS.items()}
    return {**row, "category": CATEGORY_SEPARATOR.join(str(offer[level]) for level in LEVELS)}


def describe(judged: Judged, train: Catalogue, on: str, precision: float) -> str:
    rows = [
        score_row("prodcat, as built", judged.f1),
        score_row("TF-IDF + LinearSVC", judged.text_f1),
    ]
    if on == TEST:
        best = ["best published", *[NOTHING] * len(LEVELS), f"{PUBLISHED:.3f}"]
        rows.append(best)
    categories = len(set(train.values("category")))
    return (
        f"`scripts/bench mwpd FOLDER --on {on}`: offers of many English shops in classes of the "
        "GS1 Global Product Classification, titles and descriptions; weighted F1 of each level "
        f"and their mean, as the organisers score it. Trained on {len(train):,} cards of "
        f"{categories:,} categories, {judged.test:,} cards of the part {on}, "
        f"{judged.unreachable:,} of them of categories that training does not have.\n\n"
        f"{table(['', 'level 1', 'level 2', 'level 3', 'mean'], rows)}\n\n"
        f"{table(confidence_header(precision), [confidence_row('as built', [judged])])}"
    )


def score_row(name: str, levels: Sequence[float]) -> list[str]:
    return [name, *(f"{value:.3f}" for value in (*levels, mean(levels)))]
