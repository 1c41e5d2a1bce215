"""How the loss fell and the score rose while an encoder was fine-tuned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from prodcat_index.learning.finetuning.scoring import best_epoch
from prodcat_index.reports.column import GREY
from prodcat_index.reports.figures.style import BLUE, VERMILLION, draw_png

if TYPE_CHECKING:
    from matplotlib.axes import Axes

HEADROOM = 1.25


def draw_learning_curves(history: Sequence[Mapping[str, float]], before: float) -> bytes:
    """Draw the training loss and the weighted F1 of the valid part over the epochs.

    Parameters
    ----------
    history
        Entries with ``epoch`` and ``loss`` or ``f1``, in the order of training; at least one of
        each. Epoch 0 is the network as it began.
    before
        Weighted F1 of the encoder that it was made of.

    Returns
    -------
    bytes
        A PNG file.
    """
    from matplotlib.ticker import MaxNLocator

    losses = [(entry["epoch"], entry["loss"]) for entry in history if "loss" in entry]
    scores = [(entry["epoch"], entry["f1"]) for entry in history if "f1" in entry]
    best = best_epoch(history)

    def draw(axes: Axes) -> None:
        right = axes.twinx()
        right.plot(*zip(*losses, strict=True), color=VERMILLION, linewidth=1)
        right.set_ylim(0, HEADROOM * max(loss for _, loss in losses))
        right.set_ylabel("training loss", color=VERMILLION)
        right.grid(visible=False)
        right.spines["right"].set_visible(True)
        axes.axhline(before, color=GREY, linestyle="--", linewidth=1)
        axes.annotate(
            f"not fine-tuned {before:.3f}",
            (0, before),
            (6, -4),
            color=GREY,
            va="top",
            xycoords=("axes fraction", "data"),
            textcoords="offset points",
        )
        axes.plot(*zip(*scores, strict=True), "o-", color=BLUE)
        axes.annotate(
            f"kept: {best[1]:.3f}",
            best,
            (0, 8),
            color=BLUE,
            ha="center",
            textcoords="offset points",
        )
        axes.margins(y=0.2)
        axes.set_xlim(0, scores[-1][0] + 0.2)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_xlabel("epoch")
        axes.set_ylabel("weighted F1, valid part", color=BLUE)
        axes.set_zorder(right.get_zorder() + 1)
        axes.patch.set_visible(False)

    return draw_png(draw, 4.0)
