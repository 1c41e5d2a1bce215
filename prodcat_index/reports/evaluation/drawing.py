"""The figures of a report and the pictures of its cards."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from prodcat_index.cards.cleaning import tidy
from prodcat_index.reports.evaluation.report import Report
from prodcat_index.reports.figures import evaluation as figures
from prodcat_index.reports.figures.thumbnail import thumbnail
from prodcat_index.reports.figures.tuning import draw_tuning
from prodcat_index.reports.pages.page import Picture, write_figure, write_percent

ALT_TITLE = 60


@dataclass(frozen=True)
class Drawings:
    """All that is drawn of a report; a figure without data is ``None``.

    Attributes
    ----------
    f1, reliability, risk, buckets, confusions, tuning
        The figures.
    card
        Path and title of a card -> its picture, if it has one that can be read.
    """

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
