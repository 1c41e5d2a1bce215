"""Figures of tuning and of fine-tuning."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO
from itertools import product
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from prodcat_index.reports import style
from prodcat_index.reports import tuning_figures as figure
from prodcat_index.reports.tuning_figures import draw_learning_curves, draw_tuning
from prodcat_index.voting.tuning import Setting, Step, Tuning
from prodcat_index.voting.vote import VoteParameters

NAMES = ["image", "title", "description", "title:sbert:ai-forever/sbert_large_nlu_ru", "a $x$ b_c"]


def draw(function: Any) -> Any:
    """Return what draws, without what makes a file of it."""
    return function.__wrapped__


def made_up(blocks: int, value: float = 0.9, k: int = 5) -> Tuning:
    vote = VoteParameters(k, 0.1, 0.25)
    equal = Step((1 / blocks,) * blocks, vote, 0.5)
    after = Step((1.0,) + (0.0,) * (blocks - 1), vote, value)
    if blocks <= 3:
        tenths = [t for t in product(range(11), repeat=blocks) if sum(t) == 10]
    else:
        others = [[(10 - t) / (blocks - 1)] * (blocks - 1) for t in range(11)]
        tenths = [(*o[:b], t, *o[b:]) for b in range(blocks) for t, o in enumerate(others)]
    weights = tuple(
        Step(tuple(t / 10 for t in mixture), vote, mixture[0] / 10) for mixture in tenths
    )
    votes = tuple(
        Step(after.weights, VoteParameters(k, t), k * t)
        for k, t in product((1, 5, 10), (0.05, 0.1, 0.2))
    )
    return Tuning(
        objective="weighted-f1",
        cards=1234,
        categories=7,
        before=equal,
        equal=equal,
        after=after,
        recall=1.0,
        path=(equal, after),
        weight_surface=weights,
        vote_surface=votes,
        calibration=None,
    )


@pytest.mark.parametrize("blocks", [1, 2, 3, 4, 5])
def test_any_number_of_blocks_is_drawn(blocks: int) -> None:
    """After minutes of tuning, a figure that fails for somebody's blocks would be a shame."""
    picture = draw_tuning(made_up(blocks), NAMES[:blocks])
    with Image.open(BytesIO(picture.content)) as drawn:
        assert drawn.format == "PNG"
        assert drawn.size == ((720 if blocks == 1 else 1440), 648)
        assert len(drawn.convert("RGB").getcolors(2**24) or ()) > 100
    assert "Best at image 1;" in picture.alt and picture.alt.endswith("k 5; temperature 0.1.")


def test_a_vote_that_was_not_on_the_grid_is_drawn() -> None:
    """An index may keep a k of its own, where nothing better is found."""
    assert len(draw_tuning(made_up(2, k=8), NAMES[:2]).content) > 10_000


def test_profiles_and_votes_are_those_of_the_surfaces() -> None:
    """The figure would show the objective over another block's weight."""
    found = made_up(4)
    on_the_grid = replace(found.after, vote=VoteParameters(5, 0.1))
    drawn = Figure(layout="constrained")
    draw(draw_tuning)(drawn, replace(found, after=on_the_grid), NAMES[:4])
    panels = {axes.get_xlabel(): axes for axes in drawn.axes if axes.get_xlabel()}
    for block, name in enumerate(style.axis_label(n, width=190) for n in NAMES[:4]):
        line, tuned, equal = panels[f"weight of {name}"].lines
        assert line.get_xdata() == pytest.approx(np.arange(11) / 10)
        steps = found.weight_surface[11 * block : 11 * (block + 1)]
        assert list(line.get_ydata()) == [step.value for step in steps]
        assert (tuned.get_xdata()[0], equal.get_xdata()[0]) == (float(block == 0), 0.25)
        low, high = panels[f"weight of {name}"].get_ylim()
        assert low < 0 and high > 1
    votes = panels["k, cards that vote"]
    values = votes.images[0].get_array()
    assert values.tolist() == [[k * t for k in (1, 5, 10)] for t in (0.05, 0.1, 0.2)]
    assert [text.get_text() for text in votes.texts] == ["tuned"]
    assert votes.texts[0].get_position() == (1, 1)


def test_learning_curves_are_the_history_and_mark_the_kept_epoch() -> None:
    """The encoder of another epoch would seem to be kept."""
    history = [{"epoch": e, "loss": 1 / e} for e in (0.5, 1, 1.5, 2)]
    history += [{"epoch": 1, "f1": 0.8}, {"epoch": 2, "f1": 0.7}]
    drawn = Figure()
    words = draw(draw_learning_curves)(drawn, history, 0.6)
    scores, loss = drawn.axes
    assert list(scores.lines[0].get_ydata()) == [0.6, 0.6]
    assert scores.lines[1].get_xydata().tolist() == [[1, 0.8], [2, 0.7]]
    assert loss.lines[0].get_xydata().tolist() == [[0.5, 2], [1, 1], [1.5, 1 / 1.5], [2, 0.5]]
    texts = [text.get_text() for text in scores.texts]
    assert texts == ["not fine-tuned 0.600", "kept: 0.800"]
    assert words.endswith("over 2 epochs, from 0.600 to 0.800.")


def test_the_title_names_what_was_gained() -> None:
    found = made_up(3, value=0.8766)
    assert figure._title(found, NAMES[:3]) == (
        "weighted-f1: 0.500 before, 0.877 after (1,234 cards)\n"
        "image 1.00, title 0.00, description 0.00\n"
        "k 5, temperature 0.1, prior exponent 0.25, head exponent 0"
    )


def test_a_mixture_lies_between_the_corners_of_its_blocks() -> None:
    """The star would stand beside another modality than the one that has the weight."""
    vote = VoteParameters()
    corners = [Setting(tuple(row), vote) for row in np.eye(3).tolist()]
    left, right, top = figure._mix_corners(corners)
    assert left[0] < top[0] < right[0] and top[1] > left[1] == right[1]
    mixed = figure._mix_corners([Setting((0.5, 0.25, 0.25), vote)])[0]
    assert mixed.tolist() == pytest.approx((0.5 * left + 0.25 * right + 0.25 * top).tolist())
