"""The answers of an index as built beside a classifier of texts, over a folder of catalogues."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Annotated

import numpy as np
import typer

from prodcat_index.errors import ProdcatError
from prodcat_index.types import Int64Array
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

CARDS = "cards.csv"
# Columns of cards that belong together, where a catalogue has one: variants often share a photo.
GROUP_COLUMNS = ("group", "image_sha1")
TEST = 0.25
HEADER = [
    "",
    "cards",
    "categories",
    "unreachable",
    "as built",
    "each split",
    "TF-IDF + LinearSVC",
    "each split",
    "difference",
]


@dataclass(frozen=True)
class Answered:
    """All runs of one catalogue."""

    name: str
    cards: int
    categories: int
    runs: Sequence[Judged]


def answers(
    data: Annotated[Path, typer.Argument(help=f"Folder of folders that hold {CARDS}.")],
    seeds: Annotated[str, typer.Option(help="Seeds of the splits.")] = "0,1,2",
    category: Annotated[
        list[str] | None, typer.Option(help="Column of categories, as NAME=COLUMN; else category.")
    ] = None,
    group: Annotated[
        list[str] | None,
        typer.Option(help=f"Column of groups, as NAME=COLUMN; else {' or '.join(GROUP_COLUMNS)}."),
    ] = None,
    only: Annotated[list[str] | None, typer.Option(help="Name of a folder to take.")] = None,
    precision: PrecisionOption = 0.95,
    cache: CacheOption = None,
    page: PageOption = PAGE,
) -> None:
    """Score the answers, and their confidence, beside TF-IDF + LinearSVC on every catalogue."""
    if not re.fullmatch(r"\d+(,\d+)*", seeds):
        raise typer.BadParameter(f"the seeds {seeds!r} are no numbers with commas between them")
    chosen = [int(seed) for seed in seeds.split(",")]
    columns = {"category": read_pairs(category), "group": read_pairs(group)}
    folders = [file.parent for file in sorted(data.glob(f"*/{CARDS}"))]
    folders = [folder for folder in folders if not only or folder.name in only]
    runs, found, failed = Runs(cache), [], []
    for folder in folders:
        try:
            found.append(answer(folder, columns, chosen, precision, runs))
        except ProdcatError as error:
            typer.echo(f"{folder.name}: {error}", err=True)
            failed.append(folder.name)
    if not found:
        raise typer.BadParameter(f"no folder in {data} holds a {CARDS} that can be judged")
    given = [f" --category {name}={column}" for name, column in columns["category"].items()]
    given += [f" --group {name}={column}" for name, column in columns["group"].items()]
    given += [f" --only {folder.name}" for folder in folders if only]
    called = f"scripts/bench answers DATA --seeds {seeds} --precision {precision:g}{''.join(given)}"
    body = describe(found, failed, called, precision)
    typer.echo(body)
    write_section(page, "Answers", body)


def read_pairs(pairs: Sequence[str] | None) -> dict[str, str]:
    split = [pair.partition("=") for pair in pairs or ()]
    if wrong := ["".join(parts) for parts in split if not (parts[0] and parts[2])]:
        raise typer.BadParameter(f"{wrong[0]} is not NAME=COLUMN")
    return {name: column for name, _, column in sorted(split)}


def answer(
    folder: Path,
    columns: Mapping[str, Mapping[str, str]],
    seeds: Sequence[int],
    precision: float,
    runs: Runs,
) -> Answered:
    """Judge a catalogue on several splits."""
    from prodcat_index.cards.catalogue import read_catalogue
    from prodcat_index.cards.duplicates import find_groups

    file = folder / CARDS
    given = {name: own[folder.name] for name, own in columns.items() if folder.name in own}
    own = {"category": "category", "group": group_column(file)} | given
    catalogue = read_catalogue(
        file, category_column=own["category"], group_column=own["group"]
    ).labelled()
    codes = find_groups(catalogue).codes
    judged = []
    for seed, (train, test) in zip(seeds, split(codes, seeds), strict=True):
        start = time.perf_counter()
        parts = (catalogue.select(rows.tolist()) for rows in (train, test))
        settings = {"seed": seed, "precision": precision, **own}
        work = (*parts, codes[train], seed, precision, 0)
        judged.append(runs.judge([file], settings, *work))
        typer.echo(report(f"{folder.name}, seed {seed}", judged[-1], start), err=True)
    categories = len(set(catalogue.values("category")))
    return Answered(folder.name, len(catalogue), categories, judged)


def group_column(file: Path) -> str | None:
    from prodcat_index.cards.readers import read_table

    columns = read_table(file).frame.columns
    return next((name for name in GROUP_COLUMNS if name in columns), None)


def split(codes: Int64Array, seeds: Sequence[int]) -> Iterator[tuple[Int64Array, Int64Array]]:
    """Yield the training and test rows of each split, groups whole, categories as they fall."""
    from sklearn.model_selection import GroupShuffleSplit

    for seed in seeds:
        drawn = GroupShuffleSplit(1, test_size=TEST, random_state=seed)
        yield next(drawn.split(np.zeros(len(codes)), groups=codes))


def report(name: str, judged: Judged, start: float) -> str:
    both = [f"{mean(each):.4f}" if each else NOTHING for each in (judged.f1, judged.text_f1)]
    seconds = time.perf_counter() - start
    return f"{name}: as built {both[0]}, TF-IDF + LinearSVC {both[1]}; {seconds:.0f} s"


def describe(
    found: Sequence[Answered], failed: Sequence[str], called: str, precision: float
) -> str:
    """Write both tables and what they show."""
    scores = table(HEADER, [score_row(each) for each in found])
    confidences = [confidence_row(each.name, each.runs) for each in found]
    left_out = f" Left out, because they cannot be judged: {', '.join(failed)}." if failed else ""
    return (
        f"`{called}`: weighted F1 of an index as built with its defaults, beside TF-IDF + "
        "LinearSVC on the texts alone, the classifier of `prodcat evaluate`. Splits by "
        f"`GroupShuffleSplit`, {TEST:.0%} test, whole groups by `find_groups`, which are joined by "
        f"the column {' or '.join(GROUP_COLUMNS)} where there is one. *Unreachable*: test cards "
        f"of categories that training does not have, in each split.{left_out}\n\n"
        f"{scores}\n\n"
        "The confidence of the same answers, means over the splits. *ECE*: expected calibration "
        f"error in 15 bins. *Accepted*: share of the answers by `--precision {precision:g}`. "
        "*Could be accepted*: the largest share that a threshold of the confidence accepts at "
        "this precision, chosen with the answers known. CPU seconds of the build, without "
        "pictures, whose embeddings are in the cache.\n\n"
        f"{table(confidence_header(precision), confidences)}"
    )


def score_row(found: Answered) -> list[str]:
    ours = [mean(run.f1) for run in found.runs]
    theirs = [mean(run.text_f1) for run in found.runs if run.text_f1]
    lead = f"{mean(ours) - mean(theirs):+.3f}" if theirs else NOTHING
    return [
        found.name,
        f"{found.cards:,}",
        f"{found.categories:,}",
        ", ".join(str(run.unreachable) for run in found.runs),
        *write_scores(ours),
        *write_scores(theirs),
        f"**{lead}, behind**" if lead.startswith("-") else lead,
    ]


def write_scores(values: Sequence[float]) -> tuple[str, str]:
    each = ", ".join(f"{value:.3f}" for value in values)
    return (f"{mean(values):.3f}", each) if values else (NOTHING, NOTHING)
