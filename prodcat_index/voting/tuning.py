"""Tuning weights and votes on a pool: coordinate ascent, every setting in milliseconds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby, product
from typing import Annotated, Any, Literal, get_args

import numpy as np
from pydantic import Field

from prodcat_index.errors import QueryError
from prodcat_index.progress import progress_bar
from prodcat_index.types import Float64Array, Int64Array
from prodcat_index.voting.calibration import Calibration
from prodcat_index.voting.metrics import macro_f1, weighted_f1
from prodcat_index.voting.pool import Pool, Ranked, rank
from prodcat_index.voting.thresholds import Share
from prodcat_index.voting.vote import StoredVote, VoteParameters, category_totals, neighbour_shares

Objective = Literal["weighted-f1", "macro-f1", "accuracy", "nll"]
OBJECTIVES: tuple[str, ...] = get_args(Objective)

# Cards that are queries, at most.
SAMPLE = 10_000
# Grids that are about even on a logarithmic scale.
NEIGHBOURS = (1, 2, 3, 5, 7, 10, 15, 20, 30, 50)
TEMPERATURES = (0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.3, 0.5)
VOTE_SURFACE = {"k": NEIGHBOURS, "temperature": TEMPERATURES}
PRIOR_GRIDS = VOTE_SURFACE | {"prior_exponent": (0.0, 0.125, 0.25, 0.375, 0.5, 0.75, 1.0)}
HEAD_GRIDS = {"temperature": TEMPERATURES, "head_exponent": (0.0, 0.25, 0.5, 1.0, 2.0, 4.0)}
# Factors that one block's weight is multiplied by.
STRETCHES = (0.0, 0.25, 0.5, 0.7, 0.85, 1.2, 1.4, 2.0, 4.0)
MAX_ROUNDS = 6
# Less is an accident of the sample, and not worth another round.
SMALLEST_GAIN = 1e-4
# The weight surface: mixtures in tenths; of more blocks than three these would be too many.
TENTHS = 10
MIXED_BLOCKS = 3
# Of all probability, what stays for categories that no neighbour has; keeps nll finite.
UNSEEN = 0.01


@dataclass(frozen=True)
class Setting:
    """Weights of the blocks, in their order, and the vote."""

    weights: Annotated[tuple[Share, ...], Field(min_length=1, max_length=1000)]
    vote: StoredVote


@dataclass(frozen=True)
class Step(Setting):
    """A setting that was tried, and its value by the objective."""

    value: float

    @property
    def setting(self) -> Setting:
        """The setting alone."""
        return Setting(self.weights, self.vote)


# Bounds of what is read from a stored index: drawing a hostile one must not take for ever.
Steps = Annotated[tuple[Step, ...], Field(max_length=10_000)]


@dataclass(frozen=True)
class Tuning:
    """The result of tuning.

    Attributes
    ----------
    objective
        The objective that was maximised.
    cards
        Number of cards that were predicted, without those that calibrate.
    categories
        Number of categories among them.
    before, after
        The index's setting before and after: the same where nothing better was found.
    check
        What the setting before and the best one found are worth on the cards that tuning did not
        see; None where there are too few of them.
    equal
        Equal weights with the vote of ``before``.
    recall
        Part of the k nearest cards under the new weights that the pool held.
    path
        The best settings so far, in the order in which they were found.
    weight_surface
        The objective over the weights of the blocks, with the vote of ``after``.
    vote_surface
        The objective over k and temperature, with the rest of ``after``.
    calibration
        Reliability of the vote of ``after``, learned on cards that tuning did not see, or on all
        cards where these are too few or nothing better was found; None where all are too few.
    tuned_on
        Digest of the index that was tuned; empty once it is stored with that index.
    """

    objective: Objective
    cards: Annotated[int, Field(ge=0, le=2**40)]
    categories: Annotated[int, Field(ge=0, le=2**40)]
    before: Step
    equal: Step
    after: Step
    recall: Share
    path: Steps
    weight_surface: Steps
    vote_surface: Steps
    check: tuple[float, float] | None = None
    calibration: Calibration | None = None
    tuned_on: str = field(default="", compare=False, repr=False)

    @property
    def is_better(self) -> bool:
        """Whether a better setting than the one before was found."""
        return self.after.setting != self.before.setting

    @property
    def steps(self) -> tuple[Step, ...]:
        """Every setting that is named here."""
        named = (self.before, self.equal, self.after)
        return (*named, *self.path, *self.weight_surface, *self.vote_surface)


def evaluate_vote(
    ranked: Ranked, true: Int64Array, categories: int, vote: VoteParameters, objective: Objective
) -> float:
    """Return the objective of one way of voting; larger is better, so nll is negated."""
    predicted, share = outcome(ranked, true, vote)
    if objective == "nll":
        return float(np.log((1 - UNSEEN) * share + UNSEEN / categories).mean())
    if objective == "accuracy":
        return float(np.mean(true == predicted))
    score = weighted_f1 if objective == "weighted-f1" else macro_f1
    return score(true, predicted, categories)


def outcome(
    ranked: Ranked, true: Int64Array, vote: VoteParameters
) -> tuple[Int64Array, Float64Array]:
    """Return the predicted category, -1 where nobody votes, and the true category's share."""
    k = vote.k
    categories = ranked.categories[:, :k]
    factors = vote.log_factors(ranked.log_sizes[:, :k], ranked.head_log_proba[:, :k])
    factors += ranked.log_reliability[:, :k]
    shares = neighbour_shares(ranked.similarities[:, :k], categories, factors, vote.temperature)
    totals = category_totals(shares, ranked.first[:, :k])
    best = totals.argmax(axis=1)
    predicted = np.take_along_axis(categories, best[:, None], axis=1)[:, 0]
    return predicted, (shares * (categories == true[:, None])).sum(axis=1)


class Search:
    """A search for the best setting over one pool, in which no setting is tried twice."""

    def __init__(self, pool: Pool, objective: Objective) -> None:
        self.pool = pool
        self._objective: Objective = objective
        # Every setting that was tried, in the order of the first times.
        self.steps: dict[Setting, Step] = {}

    def run(self, starts: Sequence[Setting]) -> Step:
        """Climb from each start, and return the best setting found."""
        found = []
        with progress_bar(len(starts), "trying weights and votes", "start") as bar:
            for start in starts:
                found.append(self._climb(start))
                bar.update()
        return max(found, key=lambda step: step.value)

    def try_all(self, settings: Sequence[Setting]) -> tuple[Step, ...]:
        """Return the objective of each setting; those of the same weights share a ranking."""
        new = [setting for setting in dict.fromkeys(settings) if setting not in self.steps]
        deepest = max((setting.vote.k for setting in new), default=0)
        true, categories = self.pool.true, len(self.pool.sizes)
        for weights, same in groupby(new, key=lambda setting: setting.weights):
            ranked = rank(self.pool, np.array(weights), deepest)
            for setting in same:
                value = evaluate_vote(ranked, true, categories, setting.vote, self._objective)
                # Compared with anything it is neither better nor worse: climbing would not end.
                if not np.isfinite(value):
                    raise QueryError(
                        f"The {self._objective} of {len(true)} cards is not a number, so nothing "
                        "can be tuned by it."
                    )
                self.steps[setting] = Step(weights, setting.vote, value)
        return tuple(self.steps[setting] for setting in settings)

    def _climb(self, start: Setting) -> Step:
        (best,) = self.try_all([start])
        has_head = self.pool.head_log_proba.any()
        for _ in range(MAX_ROUNDS):
            before = best.value
            if has_head:
                best = self._better(best, vary_vote(best, HEAD_GRIDS))
            best = self._better(best, vary_vote(best, PRIOR_GRIDS))
            best = self._climb_weights(best)
            if best.value < before + SMALLEST_GAIN:
                break
        return best

    def _climb_weights(self, best: Step) -> Step:
        while True:
            improved = best
            for block in range(len(best.weights)):
                improved = self._better(improved, _stretched(improved.setting, block))
            if improved.value < best.value + SMALLEST_GAIN:
                return improved
            best = improved

    def _better(self, best: Step, settings: Sequence[Setting]) -> Step:
        found = max(self.try_all(settings), key=lambda step: step.value, default=best)
        return found if found.value > best.value + SMALLEST_GAIN else best


def vary_vote(setting: Setting, grids: Mapping[str, Sequence[Any]]) -> list[Setting]:
    """Vary parameters of the vote over the product of their grids, the last one fastest."""
    return [
        Setting(setting.weights, replace(setting.vote, **dict(zip(grids, values, strict=True))))
        for values in product(*grids.values())
    ]


def vary_weights(setting: Setting) -> list[Setting]:
    """Vary the weights: every mixture in tenths or, of many blocks, each beside the others."""
    blocks, tenths = len(setting.weights), range(TENTHS + 1)
    if blocks <= MIXED_BLOCKS:
        mixtures = [
            tuple(tenth / TENTHS for tenth in parts)
            for parts in product(tenths, repeat=blocks)
            if sum(parts) == TENTHS
        ]
    else:
        mixtures = [_profile(setting.weights, *pair) for pair in product(range(blocks), tenths)]
    return [replace(setting, weights=weights) for weights in mixtures]


def _profile(weights: tuple[float, ...], block: int, tenth: int) -> tuple[float, ...]:
    """Give a block some tenths; the others keep their proportion, or are alike."""
    others = np.arange(len(weights)) != block
    shares = np.where(others, weights, 0.0)
    if not shares.any():
        shares = others.astype(np.float64)
    profile = shares / shares.sum() * (1 - tenth / TENTHS)
    profile[block] = tenth / TENTHS
    return tuple(profile.tolist())


def _stretched(setting: Setting, block: int) -> list[Setting]:
    stretched = []
    for factor in STRETCHES:
        weights = np.array(setting.weights)
        weights[block] *= factor
        if weights.sum() > 0:
            stretched.append(replace(setting, weights=tuple((weights / weights.sum()).tolist())))
    return stretched
