"""Tuning weights and votes on a pool: coordinate ascent, every setting in milliseconds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby, product
from typing import Any, Literal, get_args

import numpy as np

from prodcat_index.types import Float64Array, Int64Array
from prodcat_index.voting.calibration import Calibration
from prodcat_index.voting.metrics import accuracy, macro_f1, weighted_f1
from prodcat_index.voting.pool import Pool, Ranked, rank
from prodcat_index.voting.vote import VoteParameters, category_totals, neighbour_shares

Objective = Literal["weighted-f1", "macro-f1", "accuracy", "nll"]
OBJECTIVES: tuple[str, ...] = get_args(Objective)

NEIGHBOURS = (1, 2, 3, 5, 7, 10, 15, 20, 30, 50)
TEMPERATURES = (0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.3, 0.5)
PRIOR_EXPONENTS = (0.0, 0.125, 0.25, 0.375, 0.5, 0.75, 1.0)
HEAD_EXPONENTS = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0)
STRETCHES = (0.0, 0.25, 0.5, 0.7, 0.85, 1.2, 1.4, 2.0, 4.0)
MAX_ROUNDS = 6
TENTHS = 10
MIXED_BLOCKS = 3
SMALLEST_GAIN = 1e-4
# Of all probability, what stays for categories that no neighbour has; keeps nll finite.
UNSEEN = 0.01


@dataclass(frozen=True)
class Setting:
    """Weights of the blocks, and how neighbours vote."""

    weights: tuple[float, ...]
    vote: VoteParameters


@dataclass(frozen=True)
class Step:
    """A setting that was tried, and what the objective said of it."""

    setting: Setting
    value: float


@dataclass(frozen=True)
class Tuning:
    """What tuning found.

    Attributes
    ----------
    objective
        What was maximised.
    cards
        Number of cards that asked, without those that calibrate.
    categories
        Number of categories among them.
    before, after
        The index's setting before and after.
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
        How far votes of ``after`` can be trusted, learned on cards that tuning did not see; None
        where there were too few.
    """

    objective: Objective
    cards: int
    categories: int
    before: Step
    equal: Step
    after: Step
    recall: float
    path: tuple[Step, ...]
    weight_surface: tuple[Step, ...]
    vote_surface: tuple[Step, ...]
    calibration: Calibration | None


def evaluate_vote(
    ranked: Ranked, true: Int64Array, categories: int, vote: VoteParameters, objective: Objective
) -> float:
    """Return the objective of one way of voting; larger is better."""
    predicted, share = outcome(ranked, true, vote)
    if objective == "nll":
        return float(np.log((1 - UNSEEN) * share + UNSEEN / categories).mean())
    if objective == "accuracy":
        return accuracy(true, predicted)
    score = weighted_f1 if objective == "weighted-f1" else macro_f1
    return score(true, predicted, categories)


def outcome(
    ranked: Ranked, true: Int64Array, vote: VoteParameters
) -> tuple[Int64Array, Float64Array]:
    """Return the predicted category, -1 where nobody votes, and the true category's share."""
    k = vote.k
    categories = ranked.categories[:, :k]
    factors = vote.log_factors(ranked.log_sizes[:, :k], ranked.head_log_proba[:, :k])
    shares = neighbour_shares(ranked.similarities[:, :k], categories, factors, vote.temperature)
    totals = category_totals(shares, ranked.first[:, :k])
    best = totals.argmax(axis=1)
    predicted = np.take_along_axis(categories, best[:, None], axis=1)[:, 0]
    return predicted, (shares * (categories == true[:, None])).sum(axis=1)


class Search:
    """A search for the best setting over one pool."""

    def __init__(self, pool: Pool, objective: Objective) -> None:
        self.pool = pool
        self._objective: Objective = objective
        self._values: dict[Setting, float] = {}

    def run(self, starts: Sequence[Setting]) -> Step:
        """Climb from each start, and return the best setting found."""
        return max((self._climb(start) for start in starts), key=lambda step: step.value)

    @property
    def steps(self) -> list[Step]:
        """Every setting that was tried, once, in the order of the first times."""
        return [Step(setting, value) for setting, value in self._values.items()]

    def value(self, setting: Setting) -> float:
        """Return the objective of one setting."""
        return self.run_all([setting])[0].value

    def _climb(self, start: Setting) -> Step:
        best = self.run_all([start])[0]
        for _ in range(MAX_ROUNDS):
            before = best.value
            if self._is_headed:
                best = self._better(best, _headed_votes(best.setting))
            best = self._better(best, _votes(best.setting))
            best = self._climb_weights(best)
            if best.value < before + SMALLEST_GAIN:
                break
        return best

    def _climb_weights(self, best: Step) -> Step:
        while True:
            improved = best
            for block in range(len(best.setting.weights)):
                improved = self._better(improved, _stretched(improved.setting, block))
            if improved.value < best.value + SMALLEST_GAIN:
                return improved
            best = improved

    def _better(self, best: Step, settings: Sequence[Setting]) -> Step:
        found = max(self.run_all(settings), key=lambda step: step.value, default=best)
        return found if found.value > best.value + SMALLEST_GAIN else best

    @property
    def _is_headed(self) -> bool:
        return bool(self.pool.head_log_proba.any())

    def run_all(self, settings: Sequence[Setting]) -> list[Step]:
        """Return the objective of each setting."""
        new = [setting for setting in dict.fromkeys(settings) if setting not in self._values]
        deepest = max((setting.vote.k for setting in new), default=0)
        for weights, same in groupby(new, key=lambda setting: setting.weights):
            ranked = rank(self.pool, np.array(weights), deepest)
            self._values |= {setting: self._evaluate(ranked, setting) for setting in same}
        return [Step(setting, self._values[setting]) for setting in settings]

    def _evaluate(self, ranked: Ranked, setting: Setting) -> float:
        categories = len(self.pool.sizes)
        return evaluate_vote(ranked, self.pool.true, categories, setting.vote, self._objective)


def _votes(setting: Setting) -> list[Setting]:
    return [
        _voting(setting, k=k, temperature=temperature, prior_exponent=exponent)
        for k, temperature, exponent in product(NEIGHBOURS, TEMPERATURES, PRIOR_EXPONENTS)
    ]


def _headed_votes(setting: Setting) -> list[Setting]:
    return [
        _voting(setting, temperature=temperature, head_exponent=exponent)
        for temperature, exponent in product(TEMPERATURES, HEAD_EXPONENTS)
    ]


def _voting(setting: Setting, **changes: Any) -> Setting:
    return replace(setting, vote=replace(setting.vote, **changes))


def _stretched(setting: Setting, block: int) -> list[Setting]:
    stretched = []
    for factor in STRETCHES:
        weights = np.array(setting.weights)
        weights[block] *= factor
        if weights.sum() > 0:
            stretched.append(replace(setting, weights=tuple((weights / weights.sum()).tolist())))
    return stretched


def vote_surface(pool: Pool, setting: Setting, objective: Objective) -> tuple[Step, ...]:
    """Return the objective over k and temperature, the rest as in the setting."""
    return _surface(
        pool,
        [
            _voting(setting, k=k, temperature=temperature)
            for k, temperature in product(NEIGHBOURS, TEMPERATURES)
        ],
        objective,
    )


def weight_surface(pool: Pool, setting: Setting, objective: Objective) -> tuple[Step, ...]:
    """Return the objective over the weights, the vote as in the setting."""
    blocks = len(setting.weights)
    mixtures = _mixtures(blocks) if blocks <= MIXED_BLOCKS else _profiles(setting.weights)
    return _surface(pool, [replace(setting, weights=weights) for weights in mixtures], objective)


def _surface(pool: Pool, settings: Sequence[Setting], objective: Objective) -> tuple[Step, ...]:
    search = Search(pool, objective)
    return tuple(search.run_all(settings))


def _mixtures(blocks: int) -> list[tuple[float, ...]]:
    tenths = product(range(TENTHS + 1), repeat=blocks)
    return [tuple(t / TENTHS for t in parts) for parts in tenths if sum(parts) == TENTHS]


def _profiles(weights: tuple[float, ...]) -> list[tuple[float, ...]]:
    profiles = []
    for block, tenth in product(range(len(weights)), range(TENTHS + 1)):
        others = np.arange(len(weights)) != block
        shares = np.where(others, weights, 0.0)
        if not shares.any():
            shares = others.astype(np.float64)
        profile = shares / shares.sum() * (1 - tenth / TENTHS)
        profile[block] = tenth / TENTHS
        profiles.append(tuple(profile.tolist()))
    return profiles
