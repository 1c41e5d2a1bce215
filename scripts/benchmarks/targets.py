"""Columns other than the category as what is predicted, over a folder of catalogues."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean
from typing import Annotated, Any

import numpy as np
import typer

from prodcat_index.cards.card import Catalogue
from prodcat_index.cards.catalogue import read_catalogue
from prodcat_index.cards.target import with_target
from prodcat_index.types import Int64Array
from scripts.benchmarks.answers import CARDS, TEST, group_column, read_pairs, split
from scripts.benchmarks.judging import (
    NOTHING,
    PrecisionOption,
    ask,
    classify,
    embed_pictures,
    level_f1,
)
from scripts.benchmarks.measuring import in_own_process, stopwatch
from scripts.benchmarks.page import PAGE, PageOption, table, write_section

# The column of a shop without one: the first word of a title, which is the maker in many shops.
FIRST_WORD, LEAST_TITLES = "first word", 5
ENCODERS, FITTED = "encoders' blocks", "fitted anew"
HEADER = ["", "column", "cards", "values", "majority", "TF-IDF + LinearSVC", ENCODERS, FITTED]


@dataclass(frozen=True)
class Way:
    """Figures of one way to predict a column, on one split."""

    f1: float
    accuracy: float
    ece: float
    accepted: float  # share at the target precision
    right: float  # share of the accepted
    cpu: float  # seconds to fit


@dataclass(frozen=True)
class Targeted:
    """Figures of one column on one split; F1 is weighted."""

    majority: float
    texts: float
    ways: Mapping[str, Way]


def targets(
    data: Annotated[Path, typer.Argument(help=f"Folder of folders that hold {CARDS}.")],
    target: Annotated[list[str], typer.Option(help=f"NAME=COLUMN; {FIRST_WORD} is none of them.")],
    seeds: Annotated[str, typer.Option(help="Seeds of the splits.")] = "0,1",
    cards: Annotated[int, typer.Option(help="Cards of each catalogue, at most.")] = 1500,
    precision: PrecisionOption = 0.95,
    page: PageOption = PAGE,
) -> None:
    """Score the prediction of other columns in two ways, beside TF-IDF + LinearSVC."""
    chosen = [int(seed) for seed in seeds.split(",")]
    scores, confidences = [], []
    for name, column in read_pairs(target).items():
        catalogue = read(data / name / CARDS, column, cards)
        runs = []
        for seed in chosen:
            start = time.perf_counter()
            runs.append(in_own_process(judge_target, catalogue, column, seed, precision))
            seconds = time.perf_counter() - start
            typer.echo(f"{name}, seed {seed}: {runs[-1]}; {seconds:.0f} s", err=True)
        known = with_target(catalogue, column).labelled()
        values = len(set(known.values("category")))
        scores.append([name, column, f"{len(known):,}", f"{values:,}", *score_row(runs)])
        confidences += [[f"{name}, {way}", *way_row(runs, way)] for way in (ENCODERS, FITTED)]
    given = " ".join(f'--target "{name}={own}"' for name, own in read_pairs(target).items())
    called = f"scripts/bench targets DATA --seeds {seeds} --cards {cards} {given}"
    body = describe(scores, confidences, called, precision)
    typer.echo(body)
    write_section(page, "Other columns as targets", body)


def read(file: Path, column: str, most: int) -> Catalogue:
    """Read some cards; take the first word out of titles where that is the column."""
    from prodcat_index.cards.readers import read_table

    if column != FIRST_WORD:
        catalogue = read_catalogue(file, group_column=group_column(file))
        return catalogue.select(_some(len(catalogue), most))
    frame = read_table(file).frame
    frame = frame.iloc[_some(len(frame), most)].reset_index(drop=True)
    words = [re.match(r"\S+", str(title)) for title in frame["title"]]
    first = [word[0] if word else "" for word in words]
    usual = {word for word, count in Counter(first).items() if count >= LEAST_TITLES}
    maker = [word if word in usual else "" for word in first]
    rest = [
        str(title)[len(word) :].strip() for title, word in zip(frame["title"], maker, strict=True)
    ]
    return read_catalogue(frame.assign(**{"title": rest, FIRST_WORD: maker}))


def _some(count: int, most: int) -> Int64Array:
    drawn: Int64Array = np.random.default_rng(0).permutation(count)[:most]
    return np.sort(drawn)


def judge_target(catalogue: Catalogue, column: str, seed: int, precision: float) -> Targeted:
    """Predict a column in every way, on one split."""
    from prodcat_index.cards.duplicates import find_groups
    from prodcat_index.index.manifest import Choices
    from prodcat_index.index.product_index import ProductIndex

    labelled = with_target(catalogue, column).values("category")
    catalogue = catalogue.select([row for row, label in enumerate(labelled) if label])
    codes = find_groups(catalogue).codes
    train_rows, test_rows = next(split(codes, [seed]))
    train, test = catalogue.select(train_rows), catalogue.select(test_rows)
    whole = with_target(catalogue, column)
    true = [label.casefold() for label in whole.select(test_rows).values("category")]
    known = [label.casefold() for label in whole.select(train_rows).values("category")]
    [(most, _)] = Counter(known).most_common(1)
    said = classify(whole.select(train_rows), codes[train_rows], whole.select(test_rows), seed)
    embed_pictures(train)
    base = ProductIndex.build(train, projection="none")
    learning = ProductIndex(replace(base.parts, choices=Choices()))
    ways = {}
    for name, own in ((ENCODERS, base), (FITTED, learning)):
        with stopwatch() as spent:
            index = own.for_target(column)
            if name == ENCODERS:
                index = index.tuned(index.tune(seed=seed))
        ways[name] = _judge(index, test, true, precision, spent.cpu)
    return Targeted(
        majority=level_f1(true, [most] * len(true), 0)[0],
        texts=level_f1(true, [label.casefold() for label in said], 0)[0],
        ways=ways,
    )


def _judge(index: Any, test: Catalogue, true: Sequence[str], precision: float, cpu: float) -> Way:
    from prodcat_index.voting.metrics import score_confidence

    answers, _ = ask(index, test, precision)
    predicted = [answer.category.casefold() for answer in answers]
    right = np.array([said == told for said, told in zip(predicted, true, strict=True)])
    accepted = np.array([answer.decision == "accept" for answer in answers])
    confidence = np.clip([answer.confidence for answer in answers], 0.0, 1.0)
    return Way(
        f1=level_f1(true, predicted, 0)[0],
        accuracy=float(right.mean()),
        ece=score_confidence("confidence", confidence, right).ece,
        accepted=float(accepted.mean()),
        right=float(right[accepted].mean()) if accepted.any() else float("nan"),
        cpu=cpu,
    )


def score_row(runs: Sequence[Targeted]) -> list[str]:
    """Average the weighted F1 of the splits."""
    ways = [[run.ways[way].f1 for run in runs] for way in (ENCODERS, FITTED)]
    own = [[run.majority for run in runs], [run.texts for run in runs], *ways]
    return [f"{mean(each):.3f}" for each in own]


def way_row(runs: Sequence[Targeted], way: str) -> list[str]:
    """Average the confidence of one way over the splits."""
    own = [run.ways[way] for run in runs]
    right = [each.right for each in own if each.accepted]
    return [
        f"{mean(each.accuracy for each in own):.3f}",
        f"{mean(each.ece for each in own):.3f}",
        f"{mean(each.accepted for each in own):.1%}",
        f"{mean(right):.1%}" if right else NOTHING,
        f"{mean(each.cpu for each in own):.0f}",
    ]


def describe(
    scores: list[list[str]], confidences: list[list[str]], called: str, precision: float
) -> str:
    """Write both tables and what they show."""
    header = ["", "accuracy", "ECE", f"accepted at {precision:g}", "right", "fit, CPU s"]
    return (
        f"`{called}`: weighted F1 on held-out cards of the most frequent value, of TF-IDF + "
        "LinearSVC on the texts, and of `ProductIndex.for_target` in two ways. *Encoders' blocks*: "
        "an index without a projection, tuned. *Fitted anew*: projection, text scores, weights, "
        f"vote and calibration, as it is done. Splits by `GroupShuffleSplit`, {TEST:.0%} test, "
        "whole groups; cards without a value are left out. *First word*: a stand-in for a column "
        "of makers; it is taken out of the titles, so they do not name it.\n\n"
        f"{table(HEADER, scores)}\n\n"
        f"{table(header, confidences)}"
    )
