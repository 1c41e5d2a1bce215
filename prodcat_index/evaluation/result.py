"""What an evaluation says: a row for each way to categorize, and where the tuned one fails."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, stdev
from typing import TYPE_CHECKING, Any

import numpy as np

from prodcat_index.cards.card import Catalogue
from prodcat_index.cards.split import Split
from prodcat_index.evaluation.held_out import Answer, Method
from prodcat_index.findings import Finding
from prodcat_index.types import BoolArray, Float64Array, Int64Array
from prodcat_index.voting import reliability
from prodcat_index.voting.breakdown import (
    Bucket,
    Confusion,
    HierarchyScore,
    mean_buckets,
    score_hierarchy,
    size_buckets,
    worst_confusions,
)
from prodcat_index.voting.metrics import (
    Interval,
    Sample,
    Score,
    draw_weighted_f1,
    percentile_interval,
    score_outcome,
)
from prodcat_index.voting.reliability import ReliabilityBin

if TYPE_CHECKING:
    import pandas as pd


COLUMNS = ("confidence", "calibrated")
COVERAGES = tuple(tenth / 10 for tenth in range(1, 11))


@dataclass(frozen=True)
class ConfidenceScore:
    """The quality of one kind of confidence, over the test cards of all splits."""

    kind: str
    ece: float
    brier: float
    nll: float
    area: float
    risk: Sequence[float]
    bins: Sequence[ReliabilityBin]

    def as_row(self) -> dict[str, Any]:
        """Return the numbers as a flat row."""
        named = ("kind", "ece", "brier", "nll", "area")
        return {name: getattr(self, name) for name in named}

    def as_dict(self) -> dict[str, Any]:
        """Return everything for JSON, rounded to 4 digits."""
        numbers = {
            name: value if isinstance(value, str) else round(value, 4)
            for name, value in self.as_row().items()
        }
        risk = zip(COVERAGES, self.risk, strict=True)
        return {
            **numbers,
            "risk_at_coverage": {f"{share:.1f}": round(wrong, 4) for share, wrong in risk},
            "reliability": [vars(each) for each in self.bins],
        }


@dataclass(frozen=True)
class AcceptanceScore:
    """What accepting at an asked precision came to."""

    asked: float
    accepted: float
    precision: float | None


def score_acceptance(cards: pd.DataFrame, asked: float) -> AcceptanceScore | None:
    """Judge the answers that are accepted."""
    if "accepted" not in cards or cards["accepted"].isna().any():
        return None
    accepted = cards["accepted"].to_numpy(dtype=bool)
    right = (cards["true"] == cards["predicted"]).to_numpy(dtype=bool)
    precision = float(right[accepted].mean()) if accepted.any() else None
    return AcceptanceScore(asked, float(accepted.mean()), precision)


def score_confidences(cards: pd.DataFrame) -> list[ConfidenceScore]:
    """Judge every kind of confidence that the cards come with."""
    right = (cards["true"] == cards["predicted"]).to_numpy(dtype=bool)
    return [
        score_confidence(kind, cards[kind].to_numpy(dtype=np.float64), right)
        for kind in COLUMNS
        if kind in cards
    ]


def score_confidence(kind: str, confidence: Float64Array, right: BoolArray) -> ConfidenceScore:
    """Judge one kind of confidence."""
    within = np.clip(confidence, 0.0, 1.0)
    curve = reliability.risk_coverage(within, right)
    places = np.searchsorted(curve.coverage, np.array(COVERAGES) - 1e-9)
    return ConfidenceScore(
        kind=kind,
        ece=reliability.ece(within, right),
        brier=reliability.brier(within, right),
        nll=reliability.nll(within, right),
        area=curve.area,
        risk=curve.risk[places].tolist(),
        bins=reliability.reliability_table(within, right),
    )


METRICS = ("macro_f1", "accuracy", "top3", "top5", "oracle")
COUNTS = ("cards", "categories", "unreachable")
DIGITS = 4
TUNED = "tuned"


@dataclass(frozen=True)
class Row:
    """One way to categorize.

    Attributes
    ----------
    name
        Such as ``"title"`` or ``"tuned"``.
    kind
        ``"modality"``, ``"vote"`` or ``"classifier"``.
    scores
        One for each split.
    interval
        95 % interval of the mean weighted F1, by drawing cards, or groups of them, anew.
    lead
        95 % interval of its lead over the tuned row on the same draws; None for that row itself.
    hierarchy
        Over the cards of all splits; None where categories are no tree.
    settings
        How the answers came about, one for each split.
    notes
        What should be known of the figures.
    """

    name: str
    kind: str
    scores: Sequence[Score]
    interval: Interval
    lead: Interval | None
    hierarchy: HierarchyScore | None
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
        """How it stands to the tuned row.

        ``"tie"`` where the interval of the lead has both signs in it, else ``"ahead"`` or
        ``"behind"``; empty for the tuned row itself.
        """
        if self.lead is None:
            return ""
        if 0 in self.lead:
            return "tie"
        return "ahead" if self.lead.low > 0 else "behind"

    def as_row(self) -> dict[str, Any]:
        """Return the row as flat numbers, rounded to 4 digits; means over the splits."""
        lead = self.lead
        numbers: dict[str, float | None] = {
            "weighted_f1": self.weighted_f1,
            "deviation": self.deviation,
            "low": self.interval.low,
            "high": self.interval.high,
            "lead_low": lead.low if lead else None,
            "lead_high": lead.high if lead else None,
            **{metric: self.mean(metric) for metric in METRICS},
            "unreachable_share": self.mean("unreachable_share"),
        }
        return {
            "name": self.name,
            "kind": self.kind,
            **{name: rounded(number) for name, number in numbers.items()},
            "verdict": self.verdict,
            **{count: round(self.mean(count) or 0) for count in COUNTS},
            "notes": "; ".join(self.notes),
        }

    def as_dict(self) -> dict[str, Any]:
        """Return the row with the scores and settings of every split, for JSON."""
        return {
            **self.as_row(),
            "hierarchy": None if self.hierarchy is None else rounded_fields(self.hierarchy),
            "scores": [score.as_dict() for score in self.scores],
            "settings": [dict(setting) for setting in self.settings],
        }


@dataclass(frozen=True)
class Evaluation:
    """The outcome of :func:`~prodcat_index.evaluation.evaluate.evaluate`.

    Attributes
    ----------
    catalogue
        The cards that were split.
    rows
        One for each way to categorize.
    splits
        Which cards were for training and which for the test.
    counts
        What each split held: labelled ``train`` and ``test`` cards, ``categories`` of the
        training part.
    settings
        How cards were split, embedded and tuned.
    buckets
        Of the tuned row, by the size of the true category in the training part.
    confusions
        Of the tuned row, over all splits.
    confidence
        Of the tuned row: how far its confidence can be trusted.
    acceptance
        Of the tuned row: what accepting at a precision of 0.95 came to; None where it is not
        calibrated.
    cards
        One row a test card of each split as the tuned row answers it: ``split`` (from 1),
        ``id``, ``true``, ``predicted`` (empty where nothing was), ``confidence`` (its share of
        the vote), ``calibrated`` (its probability, where the index is calibrated), ``top5`` and
        ``top5_shares`` (lists), ``nearest_id``.
    findings
        What was noticed of the cards while they were split.
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

    def row(self, name: str) -> Row:
        """Return a row by its name.

        Raises
        ------
        KeyError
            If there is none.
        """
        rows = {row.name: row for row in self.rows}
        return rows[name]

    @property
    def tuned(self) -> Row:
        """The row that the others are compared with."""
        return self.row(TUNED)

    def examples(self, confusion: Confusion) -> list[dict[str, str]]:
        """Return ``id`` and ``title`` of the example cards of a confusion."""
        titles = self._titles
        return [{"id": card, "title": titles[card]} for card in confusion.examples]

    @property
    def _titles(self) -> dict[str, str]:
        return dict(zip(self.catalogue.ids, self.catalogue.values("title"), strict=True))

    def as_dict(self) -> dict[str, Any]:
        """Return everything for JSON."""
        return {
            "source": self.catalogue.source,
            "settings": dict(self.settings),
            "splits": [dict(count) for count in self.counts],
            "rows": [row.as_dict() for row in self.rows],
            "buckets": [rounded_fields(bucket) for bucket in self.buckets],
            "confusions": [
                {**rounded_fields(confusion), "examples": self.examples(confusion)}
                for confusion in self.confusions
            ],
            "confidence": [score.as_dict() for score in self.confidence],
            "acceptance": vars(self.acceptance) if self.acceptance else None,
            "cards": self.cards.to_dict(orient="records"),
        }


def rounded(value: Any) -> Any:
    """Round a float to 4 digits, and leave anything else as it is."""
    return round(value, DIGITS) if isinstance(value, float) else value


def rounded_fields(record: Any) -> dict[str, Any]:
    """Return the fields of a dataclass, floats rounded to 4 digits."""
    return {name: rounded(value) for name, value in vars(record).items()}


@dataclass(frozen=True)
class Run:
    """What every contender answered on one split."""

    test: Catalogue
    training_sizes: Int64Array
    clusters: Int64Array
    answers: Mapping[str, Answer]

    def sample(self, name: str) -> Sample:
        """Return what a contender's F1 is drawn from."""
        outcome = self.answers[name].outcome
        return Sample(outcome.true, outcome.predicted, self.clusters)


def summarise_rows(
    runs: Sequence[Run], entered: Sequence[Method], names: Sequence[str], seed: int
) -> list[Row]:
    """Judge every contender over all splits, and compare it with the tuned one."""
    drawn = {
        contender.name: draw_weighted_f1(
            [run.sample(contender.name) for run in runs], len(names), seed=seed
        )
        for contender in entered
    }
    return [_row(runs, contender, names, drawn) for contender in entered]


def _row(
    runs: Sequence[Run], contender: Method, names: Sequence[str], drawn: Mapping[str, Float64Array]
) -> Row:
    name = contender.name
    answers = [run.answers[name] for run in runs]
    return Row(
        name=name,
        kind=contender.kind,
        scores=[score_outcome(answer.outcome) for answer in answers],
        interval=percentile_interval(drawn[name]),
        lead=None if name == TUNED else percentile_interval(drawn[name] - drawn[TUNED]),
        hierarchy=_hierarchy(answers, names),
        settings=[answer.settings for answer in answers],
        notes=list(dict.fromkeys(answer.note for answer in answers if answer.note)),
    )


def _hierarchy(answers: Sequence[Answer], names: Sequence[str]) -> HierarchyScore | None:
    true = np.concatenate([answer.outcome.true for answer in answers])
    predicted = np.concatenate([answer.outcome.predicted for answer in answers])
    return score_hierarchy(true, predicted, names)


def summarise_buckets(runs: Sequence[Run]) -> list[Bucket]:
    """Break the tuned row's weighted F1 down by the size of categories in training."""
    outcomes = [(run.answers[TUNED].outcome, run.training_sizes) for run in runs]
    return mean_buckets([size_buckets(o.true, o.predicted, sizes) for o, sizes in outcomes])


def summarise_confusions(cards: pd.DataFrame) -> list[Confusion]:
    """Find what the tuned row confuses most often."""
    return worst_confusions(*(cards[column].tolist() for column in ("true", "predicted", "id")))


def card_table(runs: Sequence[Run], names: Sequence[str]) -> pd.DataFrame:
    """List every test card of every split with the tuned row's answer."""
    import pandas as pd

    return pd.concat(
        [_cards_of(run, number, names) for number, run in enumerate(runs, start=1)],
        ignore_index=True,
    )


def _cards_of(run: Run, number: int, names: Sequence[str]) -> pd.DataFrame:
    import pandas as pd

    answer = run.answers[TUNED]
    ranked, shares = answer.outcome.ranked, answer.shares
    assert ranked is not None and shares is not None, "the tuned row is a vote"
    label = np.array([*names, ""], dtype=object)
    told = {"calibrated": answer.calibrated, "accepted": answer.accepted}
    known = {name: values for name, values in told.items() if values is not None}
    return pd.DataFrame(
        {
            "split": number,
            "id": run.test.ids,
            "true": label[answer.outcome.true],
            "predicted": label[answer.outcome.predicted],
            "confidence": shares[:, 0],
            **known,
            "top5": [label[row[row >= 0]].tolist() for row in ranked],
            "top5_shares": [
                share[row >= 0].round(4).tolist() for row, share in zip(ranked, shares, strict=True)
            ],
            "nearest_id": list(answer.nearest),
        }
    )
