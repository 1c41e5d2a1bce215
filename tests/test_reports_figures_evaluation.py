"""Figures of an evaluation: what is drawn is what was measured."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image

from prodcat_index.evaluation.result import Row, score_confidence
from prodcat_index.reports import evaluation_figures as figures
from prodcat_index.voting.breakdown import Bucket, Confusion
from prodcat_index.voting.metrics import Interval, Score
from prodcat_index.voting.reliability import risk_coverage

LONG = "Сантехника > Смесители для ванной комнаты и душа > Смеситель для раковины с гайкой " * 2


@pytest.fixture
def axes(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The axes that a figure draws on, instead of its file."""
    from matplotlib.figure import Figure

    plain = Figure().add_subplot()

    def draw_plain(draw: Callable[[Any], None], *_: float) -> bytes:
        draw(plain)
        return b""

    monkeypatch.setattr(figures, "draw_png", draw_plain)
    return plain


def row(name: str, kind: str, f1: float, low: float, high: float) -> Row:
    score = Score(cards=9, categories=3, unreachable=0, weighted_f1=f1, macro_f1=f1, accuracy=f1)
    return Row(name, kind, [score], Interval(low, high), None, None, [{}])


ROWS = (
    row("title", "modality", 0.8, 0.7, 0.85),
    row("tuned", "vote", 0.9, 0.85, 0.95),
    row("LinearSVC", "classifier", 0.88, 0.8, 0.93),
)


def texts(axes: Any) -> list[str]:
    return [text.get_text() for text in axes.texts]


def test_every_way_has_a_dot_a_whisker_and_its_number(axes: Any) -> None:
    """A tie would look like a victory."""
    figures.draw_f1(ROWS)
    assert [tuple(w.get_segments()[0][:, 0]) for w in axes.collections] == [
        (0.7, 0.85),
        (0.85, 0.95),
        (0.8, 0.93),
    ]
    dots = [line.get_xdata()[0] for line in axes.lines if len(line.get_xdata())]
    assert dots == [0.8, 0.9, 0.88]
    assert texts(axes) == ["0.800", "0.900", "0.880"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["title", "tuned", "LinearSVC"]
    assert len({line.get_marker() for line in axes.lines[:3]}) == 3


def test_bars_are_the_buckets(axes: Any) -> None:
    buckets = [Bucket("1", 4, 3, 0.25), Bucket("2-5", 1234.5, 17, 0.75)]
    figures.draw_buckets(buckets)
    assert [bar.get_width() for bar in axes.patches] == [0.25, 0.75]
    assert texts(axes) == ["0.250   4 cards, 3 categories", "0.750   1,234 cards, 17 categories"]
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels == ["1 in training", "2-5 in training"]


def test_bars_are_the_confusions(axes: Any) -> None:
    found = [Confusion("A > x", "B > y", 7, 0.5, ()), Confusion("B", "", 2, 1.0, ())]
    figures.draw_confusions(found)
    assert [bar.get_width() for bar in axes.patches] == [7, 2]
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels == ["A > x\n→ B > y", "B\n→ nothing"]


def test_bins_are_those_of_the_scores_and_their_counts_are_told(axes: Any) -> None:
    """An index that is too sure of itself would not be seen."""
    rng = np.random.default_rng(0)
    confidence = rng.random(100)
    right = rng.random(100) < confidence**2
    scores = [score_confidence(kind, confidence, right) for kind in ("confidence", "calibrated")]
    figures.draw_reliability(scores)
    drawn = axes.lines[1]
    assert list(drawn.get_xdata()) == [each.confidence for each in scores[0].bins]
    assert list(drawn.get_ydata()) == [each.accuracy for each in scores[0].bins]
    assert f"{scores[0].ece:.3f}" in drawn.get_label()
    assert axes.get_xlabel() == "confidence, means of 15 bins of 6 or 7 answers"
    assert len(axes.collections) == len(scores[1].bins) == 15


def test_the_interval_of_a_share_is_that_of_wilsons_example() -> None:
    low, high = figures.wilson_interval(0.5, 10)
    assert low == pytest.approx(0.2366, abs=1e-4)
    assert high == pytest.approx(0.7634, abs=1e-4)
    assert figures.wilson_interval(1.0, 10)[1] == pytest.approx(1.0)


def test_the_asked_precision_is_marked_where_it_is_reached(axes: Any) -> None:
    """Shop-keepers would accept more answers than they want, or fewer."""
    confidence = np.arange(10, 0, -1) / 10
    curve = risk_coverage(confidence, np.array([1, 1, 1, 1, 0, 1, 0, 0, 1, 0], dtype=bool))
    assert figures.coverage_at(curve, 0.8) == pytest.approx(0.6)
    assert figures.coverage_at(curve, 0.99) == pytest.approx(0.4)
    figures.draw_risk(curve, 0.8, 0.6)
    assert axes.lines[1].get_ydata() == [pytest.approx(0.2)] * 2
    assert axes.collections[0].get_segments()[0][:, 0].tolist() == [0.6, 0.6]
    assert texts(axes) == ["80.0 % are right among the most confident 60.0 %"]


def test_where_no_answer_is_sure_enough_the_figure_says_so(axes: Any) -> None:
    curve = risk_coverage(np.array([0.9, 0.8]), np.array([False, True]))
    assert figures.coverage_at(curve, 0.9) == 0.0
    figures.draw_risk(curve, 0.9, 0.0)
    assert texts(axes) == ["no answers are right 90.0 % of the time"]


def test_names_of_any_length_stay_inside_the_picture(tmp_path: Any) -> None:
    """Half of a category would be cut off at the edge of the picture."""
    (tmp_path / "a.png").write_bytes(figures.draw_confusions([Confusion(LONG, LONG, 3, 1.0, ())]))
    with Image.open(tmp_path / "a.png") as picture:
        grey = np.asarray(picture.convert("L"))
    assert grey[:, :3].min() == grey[:, -3:].min() == 255
    assert grey[:3].min() == grey[-3:].min() == 255
    assert (grey < 255).any(axis=0).mean() > 0.8
