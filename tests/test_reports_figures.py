"""Figures of catalogues and evaluations: what is drawn is what was measured."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from prodcat_index.evaluation.result import AcceptanceScore, Row
from prodcat_index.reports import catalogue_figures
from prodcat_index.reports import evaluation as figures
from prodcat_index.reports.explore import count_categories
from prodcat_index.reports.measurements import Languages
from prodcat_index.voting.breakdown import Bucket
from prodcat_index.voting.metrics import Interval, Score, risk_coverage, score_confidence

LONG = "Сантехника > Смесители для ванной комнаты и душа > Смеситель для раковины с гайкой " * 2


def draw(function: Any, *values: Any) -> tuple[Any, str]:
    """Return the axes that a function draws, before they become a file, and its words."""
    from matplotlib.figure import Figure

    figure = Figure()
    words = function.__wrapped__(figure, *values)
    [axes] = figure.axes
    return axes, words


def row(name: str, kind: str, f1: float, low: float, high: float) -> Row:
    score = Score(cards=9, categories=3, unreachable=0, weighted_f1=f1, macro_f1=f1, accuracy=f1)
    return Row(name, kind, [score], Interval(low, high), None, None, [{}])


ROWS = (
    row("title", "modality", 0.8, 0.7, 0.85),
    row("tuned", "vote", 0.9, 0.85, 0.95),
    row("LinearSVC", "classifier", 0.88, 0.8, 0.93),
    row("TF-IDF + LinearSVC", "texts", 0.91, 0.87, 0.94),
)


def texts(axes: Any) -> list[str]:
    return [text.get_text() for text in axes.texts]


def test_every_way_has_a_dot_a_whisker_and_its_number() -> None:
    """A tie would look like a victory."""
    axes, _ = draw(figures.draw_f1, ROWS)
    assert [tuple(w.get_segments()[0][:, 0]) for w in axes.collections] == [
        (0.7, 0.85),
        (0.85, 0.95),
        (0.8, 0.93),
        (0.87, 0.94),
    ]
    dots = [line.get_xdata()[0] for line in axes.lines if len(line.get_xdata())]
    assert dots == [0.8, 0.9, 0.88, 0.91]
    assert texts(axes) == ["0.800", "0.900", "0.880", "0.910"]
    assert [label.get_text() for label in axes.get_yticklabels()] == [row.name for row in ROWS]
    assert len({line.get_marker() for line in axes.lines[:4]}) == 4
    assert {row.kind for row in ROWS} == set(figures.KINDS)


def test_the_meaning_of_every_colour_lies_on_the_page() -> None:
    """A reader could not tell what the last colour stands for."""
    axes, _ = draw(figures.draw_f1, ROWS)
    page, legend = axes.figure.bbox, axes.get_legend().get_window_extent()
    assert page.x0 <= legend.x0 and legend.x1 <= page.x1


def test_bars_are_the_buckets() -> None:
    buckets = [Bucket("1", 1, 1, 0.25), Bucket("2-5", 1234.5, 17, 0.75)]
    axes, _ = draw(figures.draw_buckets, buckets)
    assert [bar.get_width() for bar in axes.patches] == [0.25, 0.75]
    assert [text.replace("\xa0", " ") for text in texts(axes)] == [
        "0.250   1 card, 1 category",
        "0.750   1,234 cards, 17 categories",
    ]
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels == ["1 in training", "2-5 in training"]


def test_bins_are_those_of_the_scores_and_their_counts_are_named() -> None:
    """An index that is too sure of itself would not be seen."""
    rng = np.random.default_rng(0)
    confidence = rng.random(100)
    right = rng.random(100) < confidence**2
    scores = [score_confidence(kind, confidence, right) for kind in ("confidence", "calibrated")]
    axes, _ = draw(figures.draw_reliability, scores)
    line = axes.lines[1]
    assert list(line.get_xdata()) == [each.confidence for each in scores[0].bins]
    assert list(line.get_ydata()) == [each.accuracy for each in scores[0].bins]
    assert f"{scores[0].ece:.3f}" in line.get_label()
    assert axes.get_xlabel() == "confidence, means of 15 bins of 6 or 7 answers"
    assert len(axes.collections) == len(scores[1].bins) == 15


def test_the_accepted_share_is_marked() -> None:
    """Shop-keepers would expect to accept more answers than they will, or fewer."""
    confidence = np.arange(10, 0, -1) / 10
    curve = risk_coverage(confidence, np.array([1, 1, 1, 1, 0, 1, 0, 0, 1, 0], dtype=bool))
    axes, words = draw(figures.draw_risk, curve, 0.8, AcceptanceScore(0.8, 0.35, 1.0))
    assert axes.lines[1].get_ydata() == [pytest.approx(0.2)] * 2
    assert axes.lines[2].get_xdata() == [0.35, 0.35]
    assert texts(axes) == ["accepted at a precision of 80.0\xa0%: 35.0\xa0%"]
    assert words.endswith("35.0\xa0%.")


def test_where_no_answer_is_accepted_the_figure_says_so() -> None:
    curve = risk_coverage(np.array([0.9, 0.8]), np.array([False, True]))
    axes, _ = draw(figures.draw_risk, curve, 0.9, None)
    assert texts(axes) == ["nothing is accepted, for the index is not calibrated"]


def test_names_of_any_length_stay_inside_the_picture(tmp_path: Any) -> None:
    """Half of a name would be cut off at the edge of the picture."""
    picture = figures.draw_f1([replace(ROWS[0], name=LONG)])
    (tmp_path / "a.png").write_bytes(picture.content)
    with Image.open(tmp_path / "a.png") as picture:
        grey = np.asarray(picture.convert("L"))
    assert grey[:, :3].min() == grey[:, -3:].min() == 255
    assert grey[:3].min() == grey[-3:].min() == 255
    assert (grey < 255).any(axis=0).mean() > 0.8


def test_the_texts_beside_the_buckets_stay_inside_the_picture(tmp_path: Any) -> None:
    picture = figures.draw_buckets([Bucket("21-100", 91_120, 874, 1.0)])
    (tmp_path / "a.png").write_bytes(picture.content)
    with Image.open(tmp_path / "a.png") as picture:
        assert np.asarray(picture.convert("L"))[:, -3:].min() == 255


# Catalogues


def labels(axes: Any) -> list[str]:
    return [label.get_text() for label in axes.get_yticklabels()]


def widths(bars: Any) -> list[float]:
    return [bar.get_width() for bar in bars]


def test_the_line_is_marked_where_half_of_the_cards_are_held() -> None:
    axes, words = draw(catalogue_figures.draw_rank_sizes, count_categories("aaabbc"))
    sizes, half = axes.lines
    assert (list(sizes.get_xdata()), list(sizes.get_ydata())) == ([1, 2, 3], [3, 2, 1])
    assert half.get_xdata() == [1, 1] and texts(axes) == ["half of the cards in the largest"]
    assert "from 3 cards to 1 over 3 categories" in words


def test_every_text_is_in_one_bin() -> None:
    lengths = np.array([1, 1, 2, 30, 30, 400])
    axes, words = draw(catalogue_figures.draw_lengths, "title", lengths)
    heights = [bar.get_height() for bar in axes.patches]
    assert sum(heights) == 6 and heights[0] == 2 and heights[-1] == 1
    assert texts(axes) == ["median 16"]
    assert words.endswith("of title: from 1 to 400, half of them up to 16.")


def test_every_language_has_a_part_of_its_columns_bar() -> None:
    """Languages beyond the colours, and texts of none, would be counted to others."""
    codes = dict.fromkeys(("de", "es", "fr", "it", "pl", "pt", "tr"), 1)
    shares = {"ru": 0.3, **dict.fromkeys(codes, 0.05)}
    title = Languages(20, 20, {"ru": 6, **codes}, shares, 0.35)
    brand = Languages(10, 10, {"en": 10}, {"en": 1.0}, 0.0)
    axes, _ = draw(catalogue_figures.draw_languages, {"title": title, "brand": brand})
    parts = {bars.get_label(): widths(bars) for bars in axes.containers}
    assert list(parts) == ["en", "ru", "de", "es", "fr", "it", "others", "undetermined"]
    assert (parts["en"], parts["ru"]) == ([0, 1], [0.3, 0])
    assert parts["de"] == pytest.approx([0.05, 0])
    assert parts["others"] == pytest.approx([0.15, 0])
    assert parts["undetermined"] == pytest.approx([0.35, 0])
    colours = {bars.patches[0].get_facecolor() for bars in axes.containers}
    assert len(colours) == len(parts) and labels(axes) == ["title", "brand"]


def test_dots_are_the_sizes_of_the_pictures() -> None:
    axes, words = draw(
        catalogue_figures.draw_picture_sizes, np.array([[10, 20], [300, 30], [10, 20]])
    )
    [dots] = axes.collections
    assert dots.get_offsets().tolist() == [[10, 20], [300, 30]]
    assert dots.get_sizes()[0] > dots.get_sizes()[1]
    assert "most often 10 x 20: 2" in texts(axes)
    assert words.endswith("3 pictures, 10 to 300 pixels wide and 20 to 30 pixels high.")


def test_ticks_of_counts_are_whole_numbers() -> None:
    """2.5 cards would be labelled 2, and 7.5 cards 8."""
    axes, _ = draw(catalogue_figures.draw_lengths, "title", np.array([3] * 14 + [5]))
    ticks = axes.get_yticks()
    assert len(ticks) > 3
    assert (ticks == np.round(ticks)).all()
