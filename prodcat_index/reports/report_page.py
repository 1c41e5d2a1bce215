"""The page of a report, which needs nothing beside it."""

from __future__ import annotations

from functools import cache
from importlib.metadata import version
from pathlib import Path
from statistics import mean

from prodcat_index import __version__
from prodcat_index.cards.cleaning import tidy
from prodcat_index.evaluation.result import Evaluation, Row
from prodcat_index.index.storage import PACKAGES
from prodcat_index.reports import evaluation_figures as figures
from prodcat_index.reports.canvas import thumbnail
from prodcat_index.reports.evaluation_tables import tabulate_evaluation
from prodcat_index.reports.page import (
    Table,
    excerpt,
    render_page,
    write_counted,
    write_figure,
    write_file,
    write_percent,
)
from prodcat_index.reports.report import Report
from prodcat_index.reports.style import Picture
from prodcat_index.reports.tuning_figures import draw_tuning
from prodcat_index.voting.vote import VoteParameters

PAGE = "report.html"
CONTENTS = {
    "made": "What was evaluated",
    "scores": "Scores",
    "confidence": "Confidence",
    "sizes": "By the size of the category",
    "tree": "In the tree of categories",
    "confusions": "Worst confusions",
    "review": "Least confident answers",
    "tuning": "Tuning",
}
ALT_TITLE = 60


def write_report(report: Report, file: str | Path) -> Path:
    """Write a report into an HTML file with all pictures inside.

    Parameters
    ----------
    report
        The report to write.
    file
        The file; an existing file is replaced, a missing folder is created.

    Returns
    -------
    pathlib.Path
        The file.

    Raises
    ------
    ProdcatError
        If the file cannot be written.
    """
    drawn, tables = draw_report(report), tabulate_report(report)
    missing = {"tree"} - set(tables) | {"tuning"} - set(drawn)
    page = render_page(
        PAGE,
        title=f"Report on {Path(report.evaluation.catalogue.source).name}",
        contents={id: heading for id, heading in CONTENTS.items() if id not in missing},
        found=report,
        evaluation=report.evaluation,
        drawn=drawn,
        draw_card=cache(draw_card),
        tables=tables,
        coverage=figures.coverage_at(report.curve, report.precision),
        describe_lead=describe_lead,
    )
    write_file(Path(file), page)
    return Path(file)


def tabulate_report(report: Report) -> dict[str, Table]:
    """Make the tables of a report; ``tree`` is left out where the categories are none."""
    return {"made": _tabulate_settings(report), **tabulate_evaluation(report.evaluation)}


def _tabulate_settings(report: Report) -> Table:
    evaluation, settings = report.evaluation, report.evaluation.settings
    parts, tuned = report.parts, evaluation.tuned.settings[0]
    weights = ", ".join(f"{name} {write_figure(w)}" for name, w in tuned["weights"].items())
    vote = VoteParameters(**{name: tuned[name] for name in vars(VoteParameters())})
    labelled = write_figure(parts.labels.labelled.sum())
    size = (
        f"{write_counted(len(parts.catalogue), 'card')}, {labelled} of them in "
        f"{write_counted(len(parts.labels.names), 'category', 'categories')}"
    )
    packages = {"prodcat-index": __version__} | {name: version(name) for name in PACKAGES}
    rows = {
        "catalogue": f"{evaluation.catalogue.source} ({size})",
        "split": settings["splits"][0],
        "number of splits": str(len(evaluation.splits)),
        "training cards": _write_mean([count["train"] for count in evaluation.counts]),
        "test cards": _write_mean([count["test"] for count in evaluation.counts]),
        "test cards of categories that training does not have": write_percent(
            evaluation.tuned.mean("unreachable_share") or 0.0
        ),
        "seed": str(settings["seed"]),
        "tuned for": settings["objective"],
        "found by tuning, first split": f"weights {weights}; {vote.describe()}",
        **{f"encoder of {block.name}": block.slot.spec for block in parts.blocks},
        "projection learned from labels": settings["projection"],
        "versions": ", ".join(f"{name} {number}" for name, number in packages.items()),
    }
    return Table("Settings of the evaluation", ("setting", "value"), list(rows.items()))


def _write_mean(counts: list[int]) -> str:
    return write_figure(mean(counts)) + (" on average" if len(set(counts)) > 1 else "")


def describe_lead(row: Row, evaluation: Evaluation) -> str:
    """Describe the lead of a row over the tuned one; empty for that row itself."""
    if row.lead is None:
        return ""
    lead = row.weighted_f1 - evaluation.tuned.weighted_f1
    within = f"({_write_signed(row.lead.low)} to {_write_signed(row.lead.high)})"
    if row.verdict == "tie":
        return f"tie: {_write_signed(lead)} lies inside the noise {within}"
    return f"{row.verdict} by {abs(lead):.3f} {within}"


def _write_signed(value: float) -> str:
    return f"{value:+.3f}".replace("-", "−")


def draw_report(report: Report) -> dict[str, Picture]:
    """Draw the figures of a report; one without data is left out."""
    evaluation, parts = report.evaluation, report.parts
    drawn = {
        "f1": figures.draw_f1(evaluation.rows),
        "reliability": figures.draw_reliability(evaluation.confidence),
        "risk": figures.draw_risk(report.curve, report.precision),
        "buckets": figures.draw_buckets(evaluation.buckets),
    }
    if evaluation.confusions:
        drawn["confusions"] = figures.draw_confusions(evaluation.confusions)
    if parts.tuning:
        drawn["tuning"] = draw_tuning(parts.tuning, parts.block_names)
    return drawn


def draw_card(path: str, title: str) -> Picture | None:
    """Make a small picture of a card; None where it has none that can be read."""
    content = thumbnail(path)
    alt = f"Picture of {excerpt(tidy(title), ALT_TITLE) or 'a card without title'}"
    return None if content is None else Picture("card.jpg", content, alt)
