"""How text scores and neighbours count in an index as built is what answers its cards best."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from itertools import product

import numpy as np
import pytest
from made import catalogue, row
from sklearn.metrics import f1_score

from prodcat_index.index.calibrate import HEAD_EXPONENTS, NEIGHBOURS, SCORE_WEIGHTS, TEMPERATURES
from prodcat_index.index.leave_one_out import LeaveOneOut
from prodcat_index.index.product_index import ProductIndex
from prodcat_index.voting.pool import Pool, rank
from prodcat_index.voting.vote import VoteParameters, vote


@cache
def noisy() -> ProductIndex:
    """Titles that tell the category three times in four, so that no setting is always right."""
    rng = np.random.default_rng(4)
    words = ["boots", "kettle", "lamp", "scarf", "mug", "plate"]
    rows = []
    for n in range(240):
        told = n % 6 if rng.random() < 0.75 else rng.integers(6)
        title = f"{words[told]} {rng.integers(9)} {rng.integers(9)}"
        rows.append(row(f"c{n:03}", title, f"number {n}", category=words[n % 6]))
    return ProductIndex.build(catalogue(rows))


def value_of(pool: Pool, weights: np.ndarray, parameters: VoteParameters) -> float:
    near = rank(pool, weights, parameters.k)
    factors = near.head_log_proba, near.log_reliability
    cast = vote(near.similarities, near.categories, pool.sizes, parameters, *factors)
    return float(f1_score(pool.true, cast.categories[:, 0], average="weighted"))


def test_an_index_as_built_has_the_best_of_all_settings() -> None:
    """Shops that are told apart by pictures would lose by their texts, and the other way round."""
    parts = noisy().parts
    directions = [parts.weight_vector({"learned": 1 - s, "scores": s}) for s in SCORE_WEIGHTS]
    asked = LeaveOneOut.from_index(parts, 240, np.random.default_rng(0))
    pool = asked.collect(directions, max(NEIGHBOURS))
    votes = [
        replace(parts.vote, k=k, temperature=temperature, head_exponent=exponent)
        for k, temperature, exponent in product(NEIGHBOURS, TEMPERATURES, HEAD_EXPONENTS)
    ]
    values = {
        (tuple(weights), own): value_of(pool, weights, own)
        for weights, own in product(directions, votes)
    }
    assert min(values.values()) < max(values.values())
    assert values[tuple(parts.weight_vector(None)), parts.vote] == pytest.approx(
        max(values.values()), abs=1e-9
    )
    assert parts.calibration is not None and parts.calibration.cards == 240


def test_the_same_cards_give_the_same_setting_and_confidence() -> None:
    """Nobody could measure what a change of the code is worth."""
    again = ProductIndex.build(noisy().parts.catalogue).parts
    assert (again.weights, again.vote) == (noisy().parts.weights, noisy().parts.vote)
    assert again.calibration == noisy().parts.calibration
