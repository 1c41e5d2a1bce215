"""The figure of a tuning."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from prodcat_index.reports import tuning_figures as figure
from prodcat_index.reports.tuning_figures import draw_tuning
from prodcat_index.voting.tuning import Setting, Step, Tuning
from prodcat_index.voting.vote import VoteParameters

NAMES = ["image", "title", "description", "title:sbert:ai-forever/sbert_large_nlu_ru", "a $x$ b_c"]


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
def test_any_number_of_blocks_is_drawn(tmp_path: Path, blocks: int) -> None:
    """After minutes of tuning, a figure that fails for somebody's blocks would be a shame."""
    draw_tuning(made_up(blocks), NAMES[:blocks], tmp_path / "t.png")
    with Image.open(tmp_path / "t.png") as drawn:
        assert drawn.format == "PNG"
        assert drawn.size == ((720 if blocks == 1 else 1440), 648)
        assert len(drawn.convert("RGB").getcolors(2**24) or ()) > 100


def test_a_vote_that_was_not_on_the_grid_is_drawn(tmp_path: Path) -> None:
    """An index may keep a k of its own, where nothing better is found."""
    draw_tuning(made_up(2, k=8), NAMES[:2], tmp_path / "t.png")
    assert (tmp_path / "t.png").stat().st_size > 10_000


def test_the_title_tells_what_was_gained() -> None:
    found = made_up(3, value=0.8766)
    assert figure._title(found, NAMES[:3]) == (
        "weighted-f1: 0.500 before, 0.877 after (1,234 cards)\n"
        "image 1.00, title 0.00, description 0.00; k 5, temperature 0.1, prior exponent 0.25, "
        "head exponent 0"
    )


def test_a_mixture_lies_between_the_corners_of_its_blocks() -> None:
    """The star would stand beside another modality than the one that has the weight."""
    vote = VoteParameters()
    corners = [Setting(tuple(row), vote) for row in np.eye(3).tolist()]
    left, right, top = figure._corners_mixed(corners)
    assert left[0] < top[0] < right[0] and top[1] > left[1] == right[1]
    mixed = figure._corners_mixed([Setting((0.5, 0.25, 0.25), vote)])[0]
    assert mixed.tolist() == pytest.approx((0.5 * left + 0.25 * right + 0.25 * top).tolist())
