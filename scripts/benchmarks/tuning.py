"""Tuning an index beside a grid search over a classifier of scikit-learn."""

from __future__ import annotations

import tempfile
import warnings
from dataclasses import dataclass
from importlib.metadata import version
from math import prod
from pathlib import Path
from typing import Annotated, Any
from unittest.mock import patch

import numpy as np
import typer

from scripts.benchmarks.measuring import MB, cores, in_own_process, peak_bytes, stopwatch
from scripts.benchmarks.page import PAGE, PageOption, table, write_section

FOLDS = 5
WEIGHTS = ((1 / 3, 1 / 3, 1 / 3), (0.25, 0.5, 0.25))
GRID: dict[str, list[Any]] = {"n_neighbors": [10, 30], "weights": ["uniform", "distance"]}
SETTINGS = len(WEIGHTS) * prod(len(values) for values in GRID.values())


@dataclass(frozen=True)
class Tuned:
    """What tuning took."""

    cards: int
    tuning: int
    settings: int
    wall: float
    cpu: float
    peak: int
    before: float
    after: float
    recall: float


def tune(
    cards: Annotated[int, typer.Option(min=1000, help="Cards of the made-up index.")] = 91_120,
    compared: Annotated[
        int, typer.Option(min=1000, max=10_000, help="Cards that the grid search has.")
    ] = 8000,
    page: PageOption = PAGE,
) -> None:
    """Time tuning, and compare it with GridSearchCV over KNeighborsClassifier."""
    with tempfile.TemporaryDirectory() as large, tempfile.TemporaryDirectory() as small:
        for folder, count in ((large, cards), (small, compared)):
            in_own_process(_draw, Path(folder), count)
        whole = in_own_process(tune_once, Path(large))
        typer.echo(f"{whole}", err=True)
        part = in_own_process(tune_once, Path(small))
        grid = in_own_process(seconds_a_setting, Path(small))
    ratio = grid * part.settings / part.wall
    header = ["cards", "that tune", "settings tried", "seconds", "CPU seconds", "peak MB", "recall"]
    rows = [
        [
            f"{run.cards:,}",
            f"{run.tuning:,}",
            f"{run.settings:,}",
            f"{run.wall:.0f}",
            f"{run.cpu:.0f}",
            f"{run.peak / MB:,.0f}",
            f"{run.recall:.3f}",
        ]
        for run in (whole, part)
    ]
    write_section(
        page,
        "Tuning",
        f"`scripts/bench tune --cards {cards} --compared {compared}`: made-up clustered cards in "
        "874 categories of Zipf sizes, blocks of 1,280 + 256 + 256 dimensions in 16 bits "
        "and what is learned from them; "
        f"{cores()} cores; numpy {version('numpy')}, scikit-learn {version('scikit-learn')}; each "
        "run in a process of its own, its memory that of the whole process.\n\n"
        f"{table(header, rows)}\n\n"
        f"GridSearchCV over KNeighborsClassifier (brute, on the blocks side by side, each scaled "
        f"by the root of its weight, {FOLDS} folds) on the same {compared:,} cards: {grid:.2f} s "
        f"a setting, measured over {SETTINGS}. For the {part.settings:,} settings that tuning "
        f"tried that makes {grid * part.settings / 60:,.0f} minutes, **{ratio:,.0f} times** as "
        f"long. On {cards:,} cards it would be "
        f"{grid * cards / compared * whole.settings / 3600:,.0f} hours if it grew with the number "
        "of cards alone, and it grows faster.",
    )


def _draw(folder: Path, cards: int) -> None:
    from scripts.benchmarks.made_index import draw_cards

    draw_cards(folder, cards)


def tune_once(folder: Path) -> Tuned:
    from prodcat_index.index.tune import tune as tune_index
    from prodcat_index.voting import tuning
    from scripts.benchmarks.made_index import open_cards

    parts = open_cards(folder)
    tried, evaluate_vote = 0, tuning.evaluate_vote

    # A mock would keep the arrays of every call.
    def counted(*arguments: Any) -> float:
        nonlocal tried
        tried += 1
        return evaluate_vote(*arguments)

    with patch.object(tuning, "evaluate_vote", counted), stopwatch() as spent:
        found = tune_index(parts)
    return Tuned(
        cards=len(parts.catalogue),
        tuning=found.cards,
        settings=tried,
        wall=spent.wall,
        cpu=spent.cpu,
        peak=peak_bytes(),
        before=found.before.value,
        after=found.after.value,
        recall=found.recall,
    )


def seconds_a_setting(folder: Path) -> float:
    """Search a small grid as a user of scikit-learn would, refitting for each weighting."""
    from scripts.benchmarks.made_index import open_cards

    parts = open_cards(folder)
    blocks = [block.vectors.astype(np.float32) for block in parts.blocks]
    with stopwatch() as spent:
        for weights in WEIGHTS:
            scaled = [block * w**0.5 for block, w in zip(blocks, weights, strict=True)]
            _search(np.concatenate(scaled, axis=1), parts.labels.codes)
    return spent.wall / SETTINGS


def _search(rows: Any, codes: Any) -> None:
    from sklearn.model_selection import GridSearchCV
    from sklearn.neighbors import KNeighborsClassifier

    classifier = KNeighborsClassifier(algorithm="brute")
    with warnings.catch_warnings():
        # Categories with fewer cards than folds.
        warnings.filterwarnings("ignore", message="The least populated class")
        GridSearchCV(classifier, GRID, scoring="f1_weighted", cv=FOLDS, refit=False).fit(
            rows, codes
        )
