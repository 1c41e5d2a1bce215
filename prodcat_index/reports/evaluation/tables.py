"""The tables of a report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from statistics import mean

from prodcat_index import __version__
from prodcat_index.evaluation.confidence import COVERAGES
from prodcat_index.evaluation.result import Evaluation, Row
from prodcat_index.index.storage import PACKAGES
from prodcat_index.reports.evaluation.report import Report
from prodcat_index.reports.figures.evaluation import CONFIDENCES
from prodcat_index.reports.pages.page import Table, write_count, write_figure, write_percent
from prodcat_index.voting.vote import VoteParameters

NO_BREAK = "\N{NO-BREAK SPACE}"
Cells = tuple[str | float, ...]
METRICS = {
    "macro_f1": "macro F1",
    "accuracy": "accuracy",
    "top3": "top 3",
    "top5": "top 5",
    "oracle": "oracle",
}
ROW_HEADS = ("", "weighted F1", "95 % interval", "against tuned", *METRICS.values())


@dataclass(frozen=True)
class Tables:
    """All tables of a report.

    Attributes
    ----------
    made, rows, confidence, bins, risk, confusions
        Of every report.
    hierarchy
        None where the categories are no paths.
    """

    made: Table
    rows: Table
    confidence: Table
    bins: Table
    risk: Table
    confusions: Table
    hierarchy: Table | None


def tabulate(report: Report) -> Tables:
    """Make the tables of a report; some may have no rows."""
    evaluation = report.evaluation
    return Tables(
        made=_made(report),
        rows=_rows(evaluation),
        confidence=_confidence(evaluation),
        bins=_bins(evaluation),
        risk=_risk(evaluation),
        confusions=_confusions(evaluation),
        hierarchy=_hierarchy(evaluation),
    )


def _made(report: Report) -> Table:
    evaluation, counts = report.evaluation, report.evaluation.counts
    rows: list[Cells] = [
        ("catalogue", f"{evaluation.catalogue.source} ({_counts(report)})"),
        ("split", evaluation.settings["splits"][0]),
        ("number of splits", str(len(evaluation.splits))),
        ("training cards", _mean([count["train"] for count in counts])),
        ("test cards", _mean([count["test"] for count in counts])),
        ("test cards of categories that training does not have", _unreachable(evaluation)),
        ("seed", str(evaluation.settings["seed"])),
        ("tuned for", str(evaluation.settings["objective"])),
        ("found by tuning, first split", _found(evaluation)),
        *((f"encoder of {block.name}", block.slot.spec) for block in report.parts.blocks),
        ("projection learned from labels", str(evaluation.settings["projection"])),
        ("versions", _versions()),
    ]
    return Table("How the figures came about", ("what", "value"), rows)


def _counts(report: Report) -> str:
    labels = report.parts.labels
    return (
        f"{write_count(len(report.parts.catalogue))} cards, "
        f"{write_count(int(labels.labelled.sum()))} of them in "
        f"{write_count(len(labels.names))} categories"
    )


def _mean(counts: Sequence[int]) -> str:
    return write_figure(mean(counts)) + (" on average" if len(set(counts)) > 1 else "")


def _found(evaluation: Evaluation) -> str:
    settings = evaluation.tuned.settings[0]
    weights = ", ".join(f"{name} {write_figure(w)}" for name, w in settings["weights"].items())
    vote = VoteParameters(**{name: settings[name] for name in vars(VoteParameters())})
    return f"weights {weights}; {vote.describe()}"


def _unreachable(evaluation: Evaluation) -> str:
    return write_percent(evaluation.tuned.mean("unreachable_share") or 0.0)


def _versions() -> str:
    packages = {"prodcat-index": __version__} | {name: version(name) for name in PACKAGES}
    return ", ".join(f"{name} {number}" for name, number in packages.items())


def _rows(evaluation: Evaluation) -> Table:
    several = len(evaluation.splits) > 1
    caption = "Means over the splits, ± standard deviation" if several else "Of the one split"
    return Table(caption, ROW_HEADS, [_row(row, evaluation) for row in evaluation.rows])


def _row(row: Row, evaluation: Evaluation) -> Cells:
    spread = "" if row.deviation is None else f" ± {row.deviation:.3f}"
    return (
        row.name,
        f"{row.weighted_f1:.3f}{spread}",
        f"{row.interval.low:.3f}{NO_BREAK}to{NO_BREAK}{row.interval.high:.3f}",
        in_words(row, evaluation),
        *(_three_digits(row.mean(metric)) for metric in METRICS),
    )


def _three_digits(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def in_words(row: Row, evaluation: Evaluation) -> str:
    """Say how a row stands to the tuned one.

    Parameters
    ----------
    row
        Of the evaluation.
    evaluation
        The whole.

    Returns
    -------
    str
        Empty for the tuned row itself.
    """
    if row.lead is None:
        return ""
    lead = row.weighted_f1 - evaluation.tuned.weighted_f1
    within = f"({_signed(row.lead.low)} to {_signed(row.lead.high)})"
    if row.verdict == "tie":
        return f"tie: {_signed(lead)} lies inside the noise {within}"
    return f"{row.verdict} by {abs(lead):.3f} {within}"


def _signed(value: float) -> str:
    return f"{value:+.3f}".replace("-", "−")


def _confidence(evaluation: Evaluation) -> Table:
    heads = ("", "calibration error", "Brier score", "log loss", "area under risk-coverage")
    rows = [
        (CONFIDENCES[s.kind][0], *(_three_digits(v) for v in (s.ece, s.brier, s.nll, s.area)))
        for s in evaluation.confidence
    ]
    return Table("Less is better", heads, rows)


def _bins(evaluation: Evaluation) -> Table:
    score = evaluation.confidence[-1]
    rows = [(each.answers, each.confidence, each.accuracy) for each in score.bins]
    caption = f"Bins of the figure: {CONFIDENCES[score.kind][0]}"
    return Table(caption, ("answers", "mean confidence", "accuracy"), rows)


def _risk(evaluation: Evaluation) -> Table:
    score = evaluation.confidence[-1]
    rows = [
        (f"{share:.0%}", write_percent(risk))
        for share, risk in zip(COVERAGES, score.risk, strict=True)
    ]
    return Table("The most confident answers", ("kept", "wrong among them"), rows)


def _confusions(evaluation: Evaluation) -> Table:
    rows = [
        (c.true, c.predicted or "(nothing)", c.count, write_percent(c.share), ", ".join(c.examples))
        for c in evaluation.confusions
    ]
    heads = ("true", "predicted", "cards", "of the true category", "such as")
    return Table("Over all splits", heads, rows)


def _hierarchy(evaluation: Evaluation) -> Table | None:
    found = [(row.name, row.hierarchy) for row in evaluation.rows if row.hierarchy]
    if not found:
        return None
    rows: list[Cells] = [
        (name, *(_three_digits(v) for v in (s.precision, s.recall, s.f1, s.severity)), s.mistakes)
        for name, s in found
    ]
    heads = ("", "precision", "recall", "F1", "severity", "mistakes")
    return Table(f"Severity is from 1 to {found[0][1].height}", heads, rows)
