"""The result of an evaluation: a row for each method, and the mistakes of the tuned index."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, stdev
from typing import TYPE_CHECKING, Any

import numpy as np

from prodcat_index.cards.card import Catalogue
from prodcat_index.cards.split import Split
from prodcat_index.evaluation.held_out import TUNED, Answer, Method
from prodcat_index.findings import Finding, counted
from prodcat_index.types import BoolArray, Int64Array, rounded
from prodcat_index.voting.breakdown import Bucket, Confusion, HierarchyScore, score_hierarchy
from prodcat_index.voting.metrics import (
    ConfidenceScore,
    Interval,
    Score,
    draw_weighted_f1,
    percentile_interval,
    score_confidence,
    score_outcome,
)

if TYPE_CHECKING:
    import pandas as pd

METRICS = ("macro_f1", "accuracy", "top3", "top5", "oracle", "unreachable_share")
COUNTS = ("cards", "categories", "unreachable")
CONFIDENCES = ("confidence", "calibrated")
# Columns of the table that a notebook shows.
SHOWN = ("name", "weighted_f1", "low", "high", "verdict", "macro_f1", "accuracy", "top3", "oracle")


@dataclass(frozen=True)
class Row:
    """The scores of one method."""

    name: str
    kind: str  # modality, vote, classifier or texts
    scores: Sequence[Score]  # one a split, as are the settings
    interval: Interval  # 95 % of the mean weighted F1, by drawing clusters of cards again
    lead: Interval | None  # over the tuned row on the same draws; None for that row itself
    hierarchy: HierarchyScore | None  # over all splits; None where categories are no tree
    settings: Sequence[Mapping[str, Any]]
    notes: Sequence[str] = ()

    def mean(self, metric: str) -> float | None:
        """Return the mean of a field of the scores; None where it does not apply."""
        values = [getattr(score, metric) for score in self.scores]
        return None if None in values else mean(values)

    @property
    def weighted_f1(self) -> float:
        """Mean weighted F1."""
        return mean(score.weighted_f1 for score in self.scores)

    @property
    def deviation(self) -> float | None:
        """Standard deviation of the weighted F1 among splits; None where there is one split."""
        values = [score.weighted_f1 for score in self.scores]
        return stdev(values) if len(values) > 1 else None

    @property
    def verdict(self) -> str:
        """Word for the lead: a tie where its interval holds 0, empty for the tuned row itself."""
        if self.lead is None:
            return ""
        if 0 in self.lead:
            return "tie"
        return "ahead" if self.lead.low > 0 else "behind"

    def as_row(self) -> dict[str, Any]:
        """Return the row as flat numbers, rounded to 4 digits; means over the splits."""
        row = {
            "name": self.name,
            "kind": self.kind,
            "weighted_f1": self.weighted_f1,
            "deviation": self.deviation,
            "low": self.interval.low,
            "high": self.interval.high,
            "lead_low": self.lead.low if self.lead else None,
            "lead_high": self.lead.high if self.lead else None,
            **{metric: self.mean(metric) for metric in METRICS},
            "verdict": self.verdict,
            **{count: round(self.mean(count) or 0) for count in COUNTS},
            "notes": "; ".join(self.notes),
        }
        return dict(rounded(row))

    def as_dict(self) -> dict[str, Any]:
        """Return the row with the scores and settings of every split, for JSON."""
        return {
            **self.as_row(),
            "hierarchy": self.hierarchy and rounded(vars(self.hierarchy)),
            "scores": [score.as_dict() for score in self.scores],
            "settings": [dict(setting) for setting in self.settings],
        }


@dataclass(frozen=True)
class AcceptanceScore:
    """The answers that are accepted at a target precision."""

    target: float
    accepted: float  # share of the answers
    precision: float | None  # of the accepted ones; None where there are none

    def as_dict(self) -> dict[str, float | None]:
        """Return the fields for JSON."""
        return {"asked": self.target, "accepted": self.accepted, "precision": self.precision}


@dataclass(frozen=True, repr=False)
class Evaluation:
    """The result of :func:`~prodcat_index.evaluation.evaluate.evaluate`.

    Attributes
    ----------
    catalogue
        The cards that were split.
    rows
        Scores of each method.
    splits
        The splits into training and test cards.
    counts
        Numbers of labelled ``train`` and ``test`` cards and of ``categories`` in the training
        part, for each split.
    settings
        Settings of the splits, encoders and tuning.
    buckets
        Weighted F1 of the tuned row by the size of the true category in the training part.
    confusions
        Pairs of categories that the tuned row confuses most often, over all splits.
    confidence
        Quality of the tuned row's confidence: its share of the vote, and its probability where
        the index is calibrated.
    acceptance
        Answers of the tuned row that are accepted at the target precision; None where it is not
        calibrated.
    cards
        One row a test card of each split as the tuned row answers it: ``split`` (from 1),
        ``id``, ``true``, ``predicted`` (empty where nothing was), ``confidence`` (its share of
        the vote), ``calibrated`` (its probability) and ``accepted`` where the index is
        calibrated, ``top5`` and ``top5_shares`` (lists), ``nearest_id``.
    findings
        Problems noticed in the cards while they were split.
    notes
        Sentences on the groups of cards, on near-duplicates of test cards in training, and on rows
        that were left out.
    """

    catalogue: Catalogue
    rows: Sequence[Row]
    splits: Sequence[Split]
    counts: Sequence[Mapping[str, int]]
    settings: Mapping[str, Any]
    buckets: Sequence[Bucket]
    confusions: Sequence[Confusion]
    confidence: Sequence[ConfidenceScore]
    acceptance: AcceptanceScore | None
    cards: pd.DataFrame
    findings: Sequence[Finding] = ()
    notes: Sequence[str] = ()

    def __repr__(self) -> str:
        """Return the catalogue, the number of splits and methods, and the tuned score."""
        tuned, splits = self.tuned, len(self.counts)
        return (
            f"<Evaluation of {self.catalogue.source}: {len(self.rows)} methods, "
            f"{counted(splits, 'splits')}, {counted(len(self.cards), 'test cards')}; "
            f"tuned index: weighted F1 {tuned.weighted_f1:.3f} "
            f"({tuned.interval.low:.3f} to {tuned.interval.high:.3f})>"
        )

    def _repr_html_(self) -> str:
        """Return the scores of all methods as a table, for notebooks."""
        from html import escape

        table = self.to_frame()[list(SHOWN)].to_html(index=False, na_rep="", float_format="%.3f")
        return f"<p>{escape(repr(self)[1:-1])}</p>\n{table}"

    def to_frame(self) -> pd.DataFrame:
        """Return one row a method, with columns as in :meth:`Row.as_row`."""
        import pandas as pd

        return pd.DataFrame([row.as_row() for row in self.rows])

    def row(self, name: str) -> Row:
        """Return a row by its name; raise KeyError if there is none."""
        return {row.name: row for row in self.rows}[name]

    @property
    def tuned(self) -> Row:
        """The row that the others are compared with."""
        return self.row(TUNED)

    def examples(self, confusion: Confusion) -> list[dict[str, str]]:
        """Return ``id`` and ``title`` of the example cards of a confusion."""
        ids, titles = self.catalogue.ids, self.catalogue.values("title")
        title = dict(zip(ids, titles, strict=True))
        return [{"id": card, "title": title[card]} for card in confusion.examples]

    def as_dict(self) -> dict[str, Any]:
        """Return everything for JSON."""
        return {
            "source": self.catalogue.source,
            "settings": dict(self.settings),
            "splits": [dict(count) for count in self.counts],
            "rows": [row.as_dict() for row in self.rows],
            "buckets": [rounded(vars(bucket)) for bucket in self.buckets],
            "confusions": [
                {**rounded(vars(confusion)), "examples": self.examples(confusion)}
                for confusion in self.confusions
            ],
            "confidence": [score.as_dict() for score in self.confidence],
            "acceptance": self.acceptance and self.acceptance.as_dict(),
            "cards": self.cards.to_dict(orient="records"),
            "notes": list(self.notes),
        }


@dataclass(frozen=True)
class Run:
    """The answers of every method on one split."""

    test: Catalogue
    training_sizes: Int64Array  # (C,)
    clusters: Int64Array  # (n,): test cards of one cluster are drawn together
    answers: Mapping[str, Answer]


def summarise_rows(
    runs: Sequence[Run], methods: Sequence[Method], names: Sequence[str], seed: int
) -> list[Row]:
    """Score every method over all splits, and compare it with the tuned one on equal draws."""
    clusters = [run.clusters for run in runs]
    answers = {name: [run.answers[name] for run in runs] for name, _ in methods}
    outcomes = {name: [answer.outcome for answer in own] for name, own in answers.items()}
    drawn = {name: draw_weighted_f1(own, clusters, seed) for name, own in outcomes.items()}
    return [
        Row(
            name=name,
            kind=kind,
            scores=[score_outcome(outcome) for outcome in outcomes[name]],
            interval=percentile_interval(drawn[name]),
            lead=None if name == TUNED else percentile_interval(drawn[name] - drawn[TUNED]),
            hierarchy=score_hierarchy(
                np.concatenate([outcome.true for outcome in outcomes[name]]),
                np.concatenate([outcome.predicted for outcome in outcomes[name]]),
                names,
            ),
            settings=[answer.settings for answer in answers[name]],
            notes=list(dict.fromkeys(answer.note for answer in answers[name] if answer.note)),
        )
        for name, kind in methods
    ]


def card_table(runs: Sequence[Run], names: Sequence[str]) -> pd.DataFrame:
    """List every test card of every split with the tuned row's answer."""
    import pandas as pd

    # Code -1 stands for no category, and picks the empty name at the end.
    label = np.array([*names, ""], dtype=object)
    tables = []
    for number, run in enumerate(runs, start=1):
        answer = run.answers[TUNED]
        ranked, shares = answer.outcome.ranked, answer.shares
        assert ranked is not None and shares is not None, "the tuned row is a vote"
        columns = {
            "split": number,
            "id": run.test.ids,
            "true": label[answer.outcome.true],
            "predicted": label[answer.outcome.predicted],
            "confidence": shares[:, 0],
            "calibrated": answer.calibrated,
            "accepted": answer.accepted,
            "top5": [label[row[row >= 0]].tolist() for row in ranked],
            "top5_shares": [
                share[row >= 0].round(4).tolist() for row, share in zip(ranked, shares, strict=True)
            ],
            "nearest_id": list(answer.nearest),
        }
        known = {name: values for name, values in columns.items() if values is not None}
        tables.append(pd.DataFrame(known))
    return pd.concat(tables, ignore_index=True)


def score_acceptance(cards: pd.DataFrame, target: float) -> AcceptanceScore | None:
    """Score the accepted answers; None where the index of a split is not calibrated."""
    if "accepted" not in cards or cards["accepted"].isna().any():
        return None
    accepted = cards["accepted"].to_numpy(dtype=bool)
    precision = float(_is_right(cards)[accepted].mean()) if accepted.any() else None
    return AcceptanceScore(target, float(accepted.mean()), precision)


def score_confidences(cards: pd.DataFrame) -> list[ConfidenceScore]:
    """Score every kind of confidence that the cards come with."""
    # Where the index of one split is not calibrated, its cards have no probability.
    known = [kind for kind in CONFIDENCES if kind in cards and cards[kind].notna().all()]
    # Sums of shares may exceed 1 by rounding.
    columns = {kind: np.clip(cards[kind].to_numpy(dtype=np.float64), 0.0, 1.0) for kind in known}
    right = _is_right(cards)
    return [score_confidence(kind, column, right) for kind, column in columns.items()]


def _is_right(cards: pd.DataFrame) -> BoolArray:
    return (cards["true"] == cards["predicted"]).to_numpy(dtype=bool)
