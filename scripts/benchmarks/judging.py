"""The index as built and TF-IDF + LinearSVC on one split, and a file of finished runs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import mean
from typing import Annotated, Any

import numpy as np
import typer

from prodcat_index.cards.card import IMAGE, Catalogue
from prodcat_index.errors import QueryError
from prodcat_index.types import CATEGORY_SEPARATOR, Int64Array
from scripts.benchmarks.measuring import in_own_process, stopwatch

PACKAGE = Path(__file__).parents[2] / "prodcat_index"
NOTHING = "–"

CacheOption = Annotated[
    Path | None,
    typer.Option(help="File of finished runs, one a line; what is in it is not run again."),
]
PrecisionOption = Annotated[
    float, typer.Option(help="Target precision of the answers that are accepted.")
]


@dataclass(frozen=True)
class Judged:
    """Figures of one split; F1 is weighted."""

    test: int
    unreachable: int
    f1: list[float]  # one value, or one a level
    text_f1: list[float]  # of TF-IDF + LinearSVC; empty where no card has a text
    accuracy: float
    confidence: float
    ece: float
    refused: bool  # whether the index is not calibrated, and so accepts nothing
    accepted: int
    accepted_right: int
    oracle: float  # share that could be accepted by a threshold, if it were known who is right
    build_cpu: float


def judge(
    train: Catalogue, test: Catalogue, groups: Int64Array, seed: int, precision: float, depth: int
) -> Judged:
    """Build from the training cards, and score the answers for the test cards."""
    from prodcat_index.index.product_index import ProductIndex
    from prodcat_index.voting.metrics import score_confidence

    embed_pictures(train)
    with stopwatch() as built:
        index = ProductIndex.build(train)
    answers, refused = ask(index, test, precision)
    true, predicted = test.values("category"), [answer.category for answer in answers]
    right = np.array([said == told for said, told in zip(predicted, true, strict=True)])
    accepted = np.array([answer.decision == "accept" for answer in answers])
    # Sums of shares may exceed 1 by rounding.
    confidence = np.clip([answer.confidence for answer in answers], 0.0, 1.0)
    scored = score_confidence("confidence", confidence, right)
    curve = scored.curve
    known = set(train.values("category"))
    return Judged(
        test=len(test),
        unreachable=sum(category not in known for category in true),
        f1=level_f1(true, predicted, depth),
        text_f1=level_f1(true, classify(train, groups, test, seed), depth),
        accuracy=float(right.mean()),
        confidence=float(confidence.mean()),
        ece=scored.ece,
        refused=refused,
        accepted=int(accepted.sum()),
        accepted_right=int(right[accepted].sum()),
        # Risks are quotients of counts: 1 in 20 is 5 % whatever rounding makes of 1 - 0.95.
        oracle=float(curve.coverage[curve.risk <= 1 - precision + 1e-12].max(initial=0.0)),
        build_cpu=built.cpu,
    )


def embed_pictures(cards: Catalogue) -> None:
    """Fill the cache, so that the seconds of a build are not those of the network."""
    from prodcat_index.index.product_index import ProductIndex

    if any(cards.values(IMAGE)):
        ProductIndex.build(replace(cards, text_modalities=()), projection="none")


def ask(index: Any, test: Catalogue, precision: float) -> tuple[list[Any], bool]:
    """Return the predictions, and whether a target precision was refused."""
    try:
        return list(index.predict(test, precision=precision)), False
    except QueryError:
        return list(index.predict(test)), True


def classify(train: Catalogue, groups: Int64Array, test: Catalogue, seed: int) -> list[str]:
    """Return the categories by TF-IDF + LinearSVC; none where there is no text."""
    from prodcat_index.evaluation.text_classifier import classify_texts

    scores = classify_texts(train, groups, test, seed).scores
    names = sorted(set(train.values("category")) - {""})
    return [] if scores is None else [names[code] for code in scores.argmax(axis=1)]


def level_f1(true: Sequence[str], predicted: Sequence[str], depth: int) -> list[float]:
    """Return the weighted F1 of each of the first levels of a path, or of the whole for 0."""
    from sklearn.metrics import f1_score

    def score(level: int) -> float:
        told, said = ([_cut(label, level, depth) for label in own] for own in (true, predicted))
        return float(f1_score(told, said, average="weighted", zero_division=0))

    return [score(level) for level in range(max(1, depth))] if predicted else []


def _cut(label: str, level: int, depth: int) -> str:
    own = label.split(CATEGORY_SEPARATOR) if depth else [label]
    return own[level] if level < len(own) else ""


class Runs:
    """Finished runs by what they depend on: the cards, the settings and the code."""

    def __init__(self, file: Path | None) -> None:
        self._file, self._code = file, digest_of(sorted(PACKAGE.rglob("*.py")))
        self._finished = dict(_read(file)) if file and file.is_file() else {}

    def judge(self, cards: Sequence[Path], settings: Mapping[str, Any], *work: Any) -> Judged:
        """Return the run of before, or judge in a process of its own and keep it."""
        depends = {"cards": digest_of(cards), "code": self._code, **settings}
        key = json.dumps(depends, sort_keys=True)
        if key not in self._finished:
            self._finished[key] = in_own_process(judge, *work)
            if self._file:
                line = json.dumps([key, asdict(self._finished[key])])
                with self._file.open("a", encoding="utf-8") as file:
                    file.write(f"{line}\n")
        return self._finished[key]


def digest_of(files: Sequence[Path]) -> str:
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _read(file: Path) -> Iterator[tuple[str, Judged]]:
    for line in file.read_text(encoding="utf-8").splitlines():
        try:
            key, figures = json.loads(line)
        except ValueError:  # A run was killed while it wrote this.
            continue
        yield key, Judged(**figures)


def confidence_header(precision: float) -> list[str]:
    return [
        "",
        "accuracy",
        "mean confidence",
        "ECE",
        f"accepted at {precision:g}",
        "of these right",
        "could be accepted",
        "build, CPU s",
    ]


def confidence_row(name: str, runs: Sequence[Judged]) -> list[str]:
    """Average the splits; the accepted answers of all of them are counted together."""
    accepted, right = (
        sum(getattr(run, field) for run in runs) for field in ("accepted", "accepted_right")
    )
    return [
        name,
        *(write_mean(runs, field) for field in ("accuracy", "confidence", "ece")),
        "refused"
        if all(run.refused for run in runs)
        else f"{mean(run.accepted / run.test for run in runs):.1%}",
        f"{right / accepted:.1%}" if accepted else NOTHING,
        f"{mean(run.oracle for run in runs):.1%}",
        f"{mean(run.build_cpu for run in runs):.0f}",
    ]


def write_mean(runs: Sequence[Judged], field: str) -> str:
    return f"{mean(getattr(run, field) for run in runs):.3f}"
