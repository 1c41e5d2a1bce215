"""Writing a report: one page that needs nothing beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory

from prodcat_index import __version__
from prodcat_index.cards.cleaning import tidy
from prodcat_index.evaluation.result import COVERAGES, Evaluation, Row
from prodcat_index.index.storage import PACKAGES
from prodcat_index.reports import evaluation_figures as figures
from prodcat_index.reports.evaluation_figures import CONFIDENCES, coverage_at
from prodcat_index.reports.page import (
    Picture,
    Table,
    render_page,
    write_count,
    write_figure,
    write_file,
    write_percent,
)
from prodcat_index.reports.report import Report
from prodcat_index.reports.sheet import thumbnail
from prodcat_index.reports.tuning_figures import draw_tuning
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
    """All tables of a report."""

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
    """Say how a row stands to the tuned one."""
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


ALT_TITLE = 60


@dataclass(frozen=True)
class Drawings:
    """All that is drawn of a report; a figure without data is ``None``."""

    f1: Picture
    reliability: Picture
    risk: Picture
    buckets: Picture
    confusions: Picture | None
    tuning: Picture | None
    card: Callable[[str, str], Picture | None]


def draw_report(report: Report) -> Drawings:
    """Draw a report; of the pictures of the cards only those that the page asks for are read."""
    return Drawings(
        f1=_draw_f1(report),
        reliability=_draw_reliability(report),
        risk=_draw_risk(report),
        buckets=_draw_buckets(report),
        confusions=_draw_confusions(report),
        tuning=_draw_tuning(report),
        card=cache(_draw_card),
    )


def _draw_f1(report: Report) -> Picture:
    rows = report.evaluation.rows
    told = (
        f"{row.name} {row.weighted_f1:.3f} ({row.interval.low:.3f} to {row.interval.high:.3f})"
        for row in rows
    )
    alt = f"Dots with whiskers: weighted F1 and its 95 % interval. {_list(told)}"
    return Picture("weighted-f1.png", figures.draw_f1(rows), alt)


def _draw_reliability(report: Report) -> Picture:
    scores = report.evaluation.confidence
    errors = (f"{figures.CONFIDENCES[score.kind][0]} {score.ece:.3f}" for score in scores)
    alt = f"Accuracy against confidence. Expected calibration errors: {_list(errors)}"
    return Picture("reliability.png", figures.draw_reliability(scores), alt)


def _draw_risk(report: Report) -> Picture:
    curve, precision = report.curve, report.precision
    coverage = figures.coverage_at(curve, precision)
    alt = (
        "Line: share of wrong answers against the share of answers kept. "
        f"{write_percent(coverage)} can be kept at a precision of {write_percent(precision)}."
    )
    return Picture("risk-coverage.png", figures.draw_risk(curve, precision, coverage), alt)


def _draw_buckets(report: Report) -> Picture:
    buckets = report.evaluation.buckets
    told = (f"{bucket.training_cards}: {bucket.weighted_f1:.3f}" for bucket in buckets)
    alt = f"Bars: weighted F1 by the training cards of the true category. {_list(told)}"
    return Picture("category-sizes.png", figures.draw_buckets(buckets), alt)


def _draw_confusions(report: Report) -> Picture | None:
    confusions = report.evaluation.confusions
    if not confusions:
        return None
    told = (f"{c.true} taken for {c.predicted or 'nothing'} {c.count}" for c in confusions)
    alt = f"Bars: test cards of one category that were taken for another. {_list(told)}"
    return Picture("confusions.png", figures.draw_confusions(confusions), alt)


def _draw_tuning(report: Report) -> Picture | None:
    tuning = report.parts.tuning
    if tuning is None:
        return None
    with TemporaryDirectory() as folder:
        file = Path(folder, "tuning.png")
        draw_tuning(tuning, report.parts.block_names, file)
        content = file.read_bytes()
    found = tuning.after.setting
    weights = zip(report.parts.block_names, found.weights, strict=True)
    told = [f"{name} {write_figure(weight)}" for name, weight in weights]
    alt = (
        f"Surfaces of {tuning.objective} over weights, and over k and temperature. Best at "
        f"{_list([*told, f'k {found.vote.k}', f'temperature {found.vote.temperature:g}'])}"
    )
    return Picture("tuning.png", content, alt)


def _draw_card(path: str, title: str) -> Picture | None:
    content = thumbnail(path)
    alt = f"Picture of {tidy(title)[:ALT_TITLE] or 'a card without title'}"
    return None if content is None else Picture("card.jpg", content, alt)


def _list(told: Iterable[str]) -> str:
    return f"{'; '.join(told)}."


PAGE = "report.html"
CONTENTS = {
    "made": "What was evaluated",
    "scores": "Scores",
    "confidence": "Confidence",
    "sizes": "By the size of the category",
    "tree": "In the tree of categories",
    "confusions": "Worst confusions",
    "review": "Least sure answers",
    "tuning": "Tuning",
}


def write_report(report: Report, file: str | Path) -> Path:
    """Write a report into an HTML file with all pictures inside.

    Parameters
    ----------
    report
        What was found.
    file
        Is replaced if it is there; its folder is created if it is not.

    Returns
    -------
    pathlib.Path
        The file.

    Raises
    ------
    ProdcatError
        When it cannot be written.
    """
    drawings, tables = draw_report(report), tabulate(report)
    there = {"tree": tables.hierarchy, "tuning": drawings.tuning}
    page = render_page(
        PAGE,
        title=f"Report on {Path(report.evaluation.catalogue.source).name}",
        contents={id: h for id, h in CONTENTS.items() if there.get(id, True) is not None},
        found=report,
        evaluation=report.evaluation,
        drawn=drawings,
        tables=tables,
        coverage=coverage_at(report.curve, report.precision),
        in_words=in_words,
    )
    write_file(Path(file), page)
    return Path(file)
