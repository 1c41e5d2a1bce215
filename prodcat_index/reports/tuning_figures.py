"""Figures of a search for settings: tuning over weights and votes, fine-tuning over epochs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from prodcat_index.learning.training_data import best_epoch
from prodcat_index.reports import style
from prodcat_index.reports.page import write_figure
from prodcat_index.reports.style import drawn_as
from prodcat_index.types import Float64Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from prodcat_index.voting.tuning import Setting, Tuning


# Dark to light without red and green.
COLOURS = "cividis"
# Inches: of the whole figure, of the votes alone.
HEIGHT, WIDTH, VOTES_WIDTH = 5.4, 12.0, 6.0
# Pixels; three names stand beside one another.
NAME_WIDTH = 190
TRIANGLE = np.array([[0.0, 0.0], [1.0, 0.0], [0.5, 3**0.5 / 2]])
# The worst fifth of the votes takes one colour, so that the differences that matter have the rest.
DARKEST = 0.2
# Room above the largest loss, where the note of the kept epoch stands.
HEADROOM = 1.25
# A star looks smaller than a disc; sizes in points.
DISC: dict[str, Any] = {"marker": "o", "ms": 10, "label": "equal weights"}
STAR: dict[str, Any] = {"marker": "*", "ms": 17, "label": "tuned"}


@drawn_as("tuning.png")
def draw_tuning(figure: Figure, tuning: Tuning, blocks: Sequence[str]) -> str:
    """Draw what tuning found."""
    figure.set_size_inches(WIDTH if len(blocks) > 1 else VOTES_WIDTH, HEIGHT)
    names = [style.axis_label(block, width=NAME_WIDTH) for block in blocks]
    panels = _lay_out(figure, len(names))
    _draw_votes(panels.pop("votes"), tuning)
    if len(names) == 3:
        _draw_triangle(panels["0"], tuning, names)
    elif panels:
        _draw_profiles(figure, list(panels.values()), tuning, names)
    figure.suptitle(_title(tuning, names))
    found = tuning.after
    best = [f"{name} {write_figure(w)}" for name, w in zip(blocks, found.weights, strict=True)]
    best += [f"k {found.vote.k}", f"temperature {found.vote.temperature:g}"]
    return (
        f"Surfaces of {tuning.objective} over weights, and over k and temperature. Best at "
        f"{'; '.join(best)}."
    )


def _lay_out(figure: Figure, blocks: int) -> dict[str, Axes]:
    """Make axes for the votes at the right, and at the left for what is drawn of the weights."""
    if blocks == 1:
        return figure.subplot_mosaic([["votes"]])
    if blocks <= 3:
        return figure.subplot_mosaic([["0", "votes"]])
    places = [str(block) for block in range(blocks)] + ["."] * (blocks % 2)
    pairs = zip(places[::2], places[1::2], strict=True)
    return figure.subplot_mosaic([[*pair, "votes", "votes"] for pair in pairs])


def _title(tuning: Tuning, names: Sequence[str]) -> str:
    """Return the gain, the weights and the vote, each on a line, for together they may be cut."""
    before, after, found = tuning.before.value, tuning.after.value, tuning.after
    gain = f"{tuning.objective}: {before:.3f} before, {after:.3f} after ({tuning.cards:,} cards)"
    weights = zip(names, found.weights, strict=True)
    shown = ", ".join(f"{name} {weight:.2f}" for name, weight in weights)
    return f"{gain}\n{shown}\n{found.vote.describe()}"


def _draw_triangle(axes: Axes, tuning: Tuning, names: Sequence[str]) -> None:
    """Draw the objective over mixtures of three blocks, each of them alone at a corner."""
    x, y = _mix_corners(tuning.weight_surface).T
    values = [step.value for step in tuning.weight_surface]
    heat = axes.tricontourf(x, y, values, levels=24, cmap=COLOURS)
    for corner, name, side in zip(TRIANGLE, names, ("top", "top", "bottom"), strict=True):
        away = (0, -8 if side == "top" else 8)
        axes.annotate(f"only {name}", corner, away, va=side, **style.OFFSET, ha="center")
    look: dict[str, Any] = {"color": style.VERMILLION, "mec": style.WHITE, "clip_on": False}
    for step, marker in ((tuning.equal, DISC), (tuning.after, STAR)):
        axes.plot(*_mix_corners([step]).T, linestyle="", **marker, **look)
    axes.set_aspect("equal")
    axes.set_axis_off()
    axes.legend(loc="upper left", bbox_to_anchor=(-0.05, 1.0))
    axes.figure.colorbar(heat, ax=axes, label=tuning.objective, shrink=0.8, format="%.3f")


def _mix_corners(settings: Sequence[Setting]) -> Float64Array:
    return np.array([setting.weights for setting in settings]) @ TRIANGLE


def _draw_profiles(
    figure: Figure, panels: Sequence[Axes], tuning: Tuning, names: Sequence[str]
) -> None:
    """Draw the objective over the weight of each block, the others sharing the rest."""
    profiles = np.array_split(np.arange(len(tuning.weight_surface)), len(panels))
    for block, (axes, rows) in enumerate(zip(panels, profiles, strict=True)):
        if block:
            # Before anything is drawn: limits that are shared later do not grow.
            axes.sharey(panels[0])
        steps = [tuning.weight_surface[row] for row in rows]
        weights, values = [s.weights[block] for s in steps], [s.value for s in steps]
        axes.plot(weights, values, ".-", color=style.BLUE)
        tuned, equal = tuning.after.weights[block], tuning.equal.weights[block]
        axes.axvline(tuned, color=style.VERMILLION, label="tuned")
        axes.axvline(equal, color=style.GREY, linestyle="--", label="equal weights")
        axes.set_xlim(-0.03, 1.03)
        # Of two blocks one line says all.
        rest = f" (the rest is {names[1]}'s)" if len(panels) == 1 else ""
        axes.set_xlabel(f"weight of {names[block]}{rest}")
        if block % 2 == 0:
            axes.set_ylabel(tuning.objective)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower left", ncols=2)


def _draw_votes(axes: Axes, tuning: Tuning) -> None:
    """Draw the objective over k and temperature."""
    by_vote = {(s.vote.k, s.vote.temperature): s.value for s in tuning.vote_surface}
    many, temperatures = (sorted(set(values)) for values in zip(*by_vote, strict=True))
    values = np.array([[by_vote.get((k, t), np.nan) for k in many] for t in temperatures])
    least = np.quantile(values, DARKEST)
    heat = axes.imshow(values, origin="lower", aspect="auto", cmap=COLOURS, vmin=least)
    axes.set_xticks(range(len(many)), [str(k) for k in many])
    axes.set_yticks(range(len(temperatures)), [f"{t:g}" for t in temperatures])
    axes.set(xlabel="k, cards that vote", ylabel="temperature")
    axes.grid(visible=False)
    found = tuning.after.vote
    # An index may keep a vote of its own that is not on the grid.
    if found in [step.vote for step in tuning.vote_surface]:
        place = (many.index(found.k), temperatures.index(found.temperature))
        box = {"facecolor": style.WHITE, "edgecolor": style.VERMILLION, "linewidth": 2.5}
        axes.text(*place, "tuned", color=style.INK, ha="center", va="center", bbox=box)
    axes.figure.colorbar(heat, ax=axes, label=tuning.objective, format="%.3f", extend="min")


@drawn_as("learning-curves.png")
def draw_learning_curves(
    figure: Figure, history: Sequence[Mapping[str, float]], before: float
) -> str:
    """Draw the training loss and the weighted F1 of the valid part over the epochs."""
    losses = [(entry["epoch"], entry["loss"]) for entry in history if "loss" in entry]
    scores = [(entry["epoch"], entry["f1"]) for entry in history if "f1" in entry]
    best = best_epoch(history)
    axes = figure.add_subplot()
    right = axes.twinx()
    right.plot(*zip(*losses, strict=True), color=style.VERMILLION, linewidth=1)
    right.set_ylim(0, HEADROOM * max(loss for _, loss in losses))
    right.set_ylabel("training loss", color=style.VERMILLION)
    right.grid(visible=False)
    right.spines["right"].set_visible(True)
    axes.axhline(before, color=style.GREY, linestyle="--", linewidth=1)
    at_left: dict[str, Any] = {"xycoords": ("axes fraction", "data"), "va": "top", **style.OFFSET}
    axes.annotate(f"not fine-tuned {before:.3f}", (0, before), (6, -4), color=style.GREY, **at_left)
    axes.plot(*zip(*scores, strict=True), "o-", color=style.BLUE)
    kept = f"kept: {best[1]:.3f}"
    axes.annotate(kept, best, (0, 8), color=style.BLUE, ha="center", **style.OFFSET)
    axes.margins(y=0.2)
    axes.set_xlim(0, scores[-1][0] + 0.2)
    style.show_whole_counts(axes.xaxis)
    axes.set_xlabel("epoch")
    axes.set_ylabel("weighted F1, valid part", color=style.BLUE)
    # The score lies above the loss, whose axes would otherwise cover it.
    axes.set_zorder(right.get_zorder() + 1)
    axes.patch.set_visible(False)
    return (
        f"Lines: training loss and weighted F1 of the valid part over {scores[-1][0]:g} epochs, "
        f"from {before:.3f} to {best[1]:.3f}."
    )
