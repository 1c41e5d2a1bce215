"""How the loss fell and the score rose while an encoder was fine-tuned."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from prodcat_index.learning.finetuning.training_data import best_epoch
from prodcat_index.reports.column import GREY, INK, WHITE, load_font, shorten_middle
from prodcat_index.reports.style import BLUE, DPI, LETTERS, VERMILLION, draw_png

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from prodcat_index.voting.tuning import Setting, Step, Tuning


COLOURS = "cividis"
WIDTH, HEIGHT = 12.0, 5.4
NAME_WIDTH = 190
TRIANGLE = np.array([[0.0, 0.0], [1.0, 0.0], [0.5, 3**0.5 / 2]])
# Beside the lines, a legend would hide some of them.
ABOVE: dict[str, Any] = {"loc": "lower left", "bbox_to_anchor": (0, 1), "ncols": 2}
COLUMNS = 2
DARKEST = 0.2


def draw_tuning(tuning: Tuning, blocks: Sequence[str], path: Path) -> None:
    """Draw what tuning found."""
    names = [_short(block) for block in blocks]
    draw_weights = {1: None, 2: _draw_line, 3: _draw_triangle}.get(len(names), _draw_profiles)

    def draw(axes: Axes) -> None:
        place, figure = axes.get_subplotspec(), axes.get_figure(root=True)
        assert place is not None and figure is not None
        axes.remove()
        columns = place.subgridspec(1, COLUMNS if draw_weights else 1)
        if draw_weights:
            draw_weights(figure, columns[0], tuning, names)
        _draw_votes(figure, columns[-1], tuning)
        figure.suptitle(_title(tuning, names))

    Path(path).write_bytes(draw_png(draw, HEIGHT, WIDTH if draw_weights else WIDTH / COLUMNS))


def _short(block: str) -> str:
    return shorten_middle(block, load_font(round(LETTERS * DPI / 72)), NAME_WIDTH)


def _title(tuning: Tuning, names: Sequence[str]) -> str:
    found = tuning.after.setting
    weights = zip(names, found.weights, strict=True)
    return (
        f"{tuning.objective}: {tuning.before.value:.3f} before, {tuning.after.value:.3f} after "
        f"({tuning.cards:,} cards)\n"
        + ", ".join(f"{name} {weight:.2f}" for name, weight in weights)
        + f"; {found.vote.describe()}"
    )


def _values(steps: Sequence[Step]) -> Any:
    return np.array([step.value for step in steps])


def _draw_triangle(figure: Any, place: Any, tuning: Tuning, names: Sequence[str]) -> None:
    axes = figure.add_subplot(place)
    x, y = _corners_mixed([step.setting for step in tuning.weight_surface]).T
    heat = axes.tricontourf(x, y, _values(tuning.weight_surface), levels=24, cmap=COLOURS)
    for (left, bottom), name in zip(TRIANGLE, names, strict=True):
        below = bottom == 0
        axes.annotate(
            f"only {name}",
            (left, bottom),
            (0, -8 if below else 8),
            textcoords="offset points",
            ha="center",
            va="top" if below else "bottom",
        )
    _mark(axes.scatter, _corners_mixed([tuning.equal.setting]).T, "o", "equal weights")
    _mark(axes.scatter, _corners_mixed([tuning.after.setting]).T, "*", "tuned")
    axes.set_aspect("equal")
    axes.set_axis_off()
    axes.legend(loc="upper left", bbox_to_anchor=(-0.05, 1.0))
    figure.colorbar(heat, ax=axes, label=tuning.objective, shrink=0.8, format="%.3f")


def _corners_mixed(settings: Sequence[Setting]) -> Any:
    return np.array([setting.weights for setting in settings]) @ TRIANGLE


def _mark(scatter: Callable[..., Any], at: Any, marker: str, label: str) -> None:
    size = {"o": 90, "*": 280}[marker]
    scatter(*at, s=size, marker=marker, color=VERMILLION, edgecolor=WHITE, label=label, zorder=3)


def _draw_line(figure: Any, place: Any, tuning: Tuning, names: Sequence[str]) -> None:
    axes = figure.add_subplot(place)
    _draw_profile(axes, tuning.weight_surface, tuning, 0)
    axes.set_xlabel(f"weight of {names[0]} (the rest is {names[1]}'s)")
    axes.set_ylabel(tuning.objective)
    axes.legend(**ABOVE)


def _draw_profiles(figure: Any, place: Any, tuning: Tuning, names: Sequence[str]) -> None:
    grid = place.subgridspec(-(-len(names) // COLUMNS), COLUMNS)
    profiles = np.array_split(np.arange(len(tuning.weight_surface)), len(names))
    first = None
    for block, (name, rows) in enumerate(zip(names, profiles, strict=True)):
        axes = first = figure.add_subplot(grid[block], sharey=first)
        _draw_profile(axes, [tuning.weight_surface[row] for row in rows], tuning, block)
        axes.set_xlabel(f"weight of {name}")
        if block % COLUMNS == 0:
            axes.set_ylabel(tuning.objective)
        if block == 0:
            axes.legend(**ABOVE)


def _draw_profile(axes: Axes, steps: Sequence[Step], tuning: Tuning, block: int) -> None:
    weights = [step.setting.weights[block] for step in steps]
    axes.plot(weights, _values(steps), ".-", color=BLUE)
    tuned, equal = (s.setting.weights[block] for s in (tuning.after, tuning.equal))
    axes.axvline(tuned, color=VERMILLION, label="tuned")
    axes.axvline(equal, color=GREY, linestyle="--", label="equal weights")
    axes.set_xlim(-0.03, 1.03)


def _draw_votes(figure: Any, place: Any, tuning: Tuning) -> None:
    axes = figure.add_subplot(place)
    votes = [step.setting.vote for step in tuning.vote_surface]
    many = sorted({vote.k for vote in votes})
    temperatures = sorted({vote.temperature for vote in votes})
    values = np.full((len(temperatures), len(many)), np.nan)
    for vote, value in zip(votes, _values(tuning.vote_surface), strict=True):
        values[temperatures.index(vote.temperature), many.index(vote.k)] = value
    # The worst corner must not take all the colours from the differences that matter.
    least = np.quantile(values, DARKEST)
    heat = axes.imshow(values, origin="lower", aspect="auto", cmap=COLOURS, vmin=least)
    axes.set_xticks(range(len(many)), [str(k) for k in many])
    axes.set_yticks(range(len(temperatures)), [f"{t:g}" for t in temperatures])
    axes.set_xlabel("k, cards that vote")
    axes.set_ylabel("temperature")
    axes.grid(visible=False)
    found = tuning.after.setting.vote
    if found in votes:
        _frame_cell(axes, many.index(found.k), temperatures.index(found.temperature))
    figure.colorbar(heat, ax=axes, label=tuning.objective, format="%.3f", extend="min")


def _frame_cell(axes: Axes, column: int, row: int) -> None:
    from matplotlib.patches import Rectangle

    for colour, width in ((WHITE, 5), (VERMILLION, 2.5)):
        frame = Rectangle(
            (column - 0.5, row - 0.5), 1, 1, fill=False, edgecolor=colour, linewidth=width
        )
        frame.set_clip_on(False)
        axes.add_patch(frame)
    axes.annotate(
        "tuned",
        (column, row),
        color=INK,
        ha="center",
        va="center",
        fontsize="small",
        bbox={"boxstyle": "round,pad=0.15", "facecolor": WHITE, "edgecolor": "none"},
    )


HEADROOM = 1.25


def draw_learning_curves(history: Sequence[Mapping[str, float]], before: float) -> bytes:
    """Draw the training loss and the weighted F1 of the valid part over the epochs."""
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
