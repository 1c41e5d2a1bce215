"""Tuning an index by leave-one-out over its own cards. Nothing is embedded or built again."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from prodcat_index.cards.card import IMAGE
from prodcat_index.encoders.base import BoolArray, FloatArray
from prodcat_index.errors import QueryError
from prodcat_index.index.neighbours import IntArray
from prodcat_index.index.parts import IndexParts
from prodcat_index.index.pooling import Asking, collect_pool
from prodcat_index.voting.pool import Pool, rank
from prodcat_index.voting.tuning import (
    OBJECTIVES,
    Objective,
    Search,
    Setting,
    Step,
    Tuning,
    vote_surface,
    weight_surface,
)

SAMPLE = 10_000
DEPTH = 100
FOLDS = 2
FEWEST_CARDS = 20
# Cosine of two pictures from which they count as one: the same file, or as good as.
SAME_PICTURE = 0.99
# A picture that cards of more categories than this share is a placeholder, and says nothing.
PLACEHOLDER_CATEGORIES = 5
RECALL_SAMPLE = 500
ENOUGH_RECALL = 0.99
MAX_DEPTH = 400


def tune(
    parts: IndexParts,
    *,
    objective: Objective = "weighted-f1",
    sample: int = SAMPLE,
    seed: int = 0,
    label: str = "",
) -> Tuning:
    """Find the weights and the vote that predict the index's own cards best.

    Every card asks the others for its category; itself, its variants (same group), cards of the
    same texts and cards with the same picture are left out.

    Parameters
    ----------
    parts
        The index.
    objective
        ``weighted-f1``, ``macro-f1``, ``accuracy``, or ``nll``, the mean logarithm of the true
        category's share.
    sample
        At most this many cards, drawn at random, ask; all are candidates.
    seed
        Of the sample.
    label
        Shown beside progress bars.

    Raises
    ------
    QueryError
        If the objective is unknown, or too few cards have a labelled card to learn from.
    """
    if objective not in OBJECTIVES:
        raise QueryError(f"There is no objective {objective!r}; choose {', '.join(OBJECTIVES)}.")
    rng = np.random.default_rng(seed)
    kin = _kin(parts)
    rows = _askers(parts, sample, rng)
    asking = _asking(parts, rows, kin)
    before = Setting(_weights(parts), parts.vote)
    equal = Setting((1 / len(parts.blocks),) * len(parts.blocks), parts.vote)
    pool, recall, search, best = _search(parts, asking, objective, (before, equal), label)
    return Tuning(
        objective=objective,
        cards=len(pool),
        categories=len(np.unique(pool.true)),
        before=Step(before, search.value(before)),
        equal=Step(equal, search.value(equal)),
        after=best,
        recall=recall,
        path=_path(search.steps, best),
        weight_surface=weight_surface(pool, best.setting, objective),
        vote_surface=vote_surface(pool, best.setting, objective),
    )


def _weights(parts: IndexParts) -> tuple[float, ...]:
    return tuple(parts.weights[name] for name in parts.block_names)


def _kin(parts: IndexParts) -> IntArray:
    """Give cards that are variants of one product or have the same texts the same number."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    catalogue = parts.catalogue
    texts = zip(*(catalogue.values(m) for m in catalogue.text_modalities), strict=True)
    keys = [catalogue.values("group"), [" ".join(t).strip().casefold() for t in texts]]
    pairs = [pair for values in keys for pair in _links(values)]
    n = len(catalogue)
    one, other = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    links = coo_array((np.ones(len(pairs), dtype=bool), (one, other)), shape=(n, n))
    components: IntArray = connected_components(links, directed=False)[1].astype(np.int64)
    return components


def _links(values: Sequence[str]) -> list[tuple[int, int]]:
    first: dict[str, int] = {}
    return [(first.setdefault(v, row), row) for row, v in enumerate(values) if v]


def _askers(parts: IndexParts, sample: int, rng: np.random.Generator) -> IntArray:
    """Draw labelled cards that have something to compare."""
    rows = np.flatnonzero(parts.labels.labelled & parts.space.present.any(axis=1))
    if len(rows) < FEWEST_CARDS:
        raise QueryError(
            f"Tuning needs at least {FEWEST_CARDS} labelled cards, and this index has {len(rows)}."
        )
    if len(rows) > sample:
        rows = np.sort(rng.choice(rows, sample, replace=False))
    return rows


def _asking(parts: IndexParts, rows: IntArray, kin: IntArray) -> Asking:
    codes = parts.labels.codes
    pictures = [b for b, block in enumerate(parts.blocks) if block.modality == IMAGE][:1]

    def hide(chosen: IntArray, similarities: Sequence[FloatArray]) -> BoolArray:
        hidden: BoolArray = kin[rows[chosen], None] == kin[None, :]
        for b in pictures:
            compared = parts.space.present[rows[chosen], b, None] & parts.space.present[:, b]
            hidden |= _same_picture(similarities[b], compared, codes)
        return hidden

    return Asking(
        vectors=[block.vectors[rows].astype(np.float32) for block in parts.blocks],
        present=parts.space.present[rows],
        true=codes[rows],
        hide=hide,
    )


def _same_picture(similarities: FloatArray, compared: BoolArray, codes: IntArray) -> BoolArray:
    same: BoolArray = (similarities >= SAME_PICTURE) & compared
    for row in np.flatnonzero(same.sum(axis=1) > PLACEHOLDER_CATEGORIES):
        if len(np.unique(codes[same[row]])) > PLACEHOLDER_CATEGORIES:
            same[row] = False
    return same


def _search(
    parts: IndexParts,
    asking: Asking,
    objective: Objective,
    starts: Sequence[Setting],
    label: str,
) -> tuple[Pool, float, Search, Step]:
    """Tune on a pool, and again on a deeper one while it lacks what the new weights call near."""
    blocks = len(parts.blocks)
    directions = [*np.eye(blocks), *(np.array(start.weights) for start in starts)]
    depth = DEPTH
    while True:
        pool = collect_pool(parts.space, parts.labels.codes, asking, directions, depth, label)
        search = Search(pool, objective)
        best = search.run(list(dict.fromkeys(starts)))
        recall = _recall(parts, asking, pool, best.setting)
        if recall >= ENOUGH_RECALL or depth >= MAX_DEPTH:
            return pool, recall, search, best
        directions.append(np.array(best.setting.weights))
        depth *= 2


def _recall(parts: IndexParts, asking: Asking, pool: Pool, setting: Setting) -> float:
    """Part of the true nearest cards that the pool ranks as such, over some queries."""
    rows = np.arange(len(asking))[:: max(1, len(asking) // RECALL_SAMPLE)]
    weights, k = np.array(setting.weights), setting.vote.k
    exact = collect_pool(parts.space, parts.labels.codes, asking.select(rows), [weights], k)
    nearest = rank(exact, weights, k)
    pooled = rank(pool.select(rows), weights, k)
    wanted = ~np.isnan(nearest.similarities)
    # Equal similarities are the same cards, or as good as.
    width = min(wanted.shape[1], pooled.similarities.shape[1])
    found = np.isclose(nearest.similarities[:, :width], pooled.similarities[:, :width], atol=1e-5)
    return float((found & wanted[:, :width]).sum() / max(1, wanted.sum()))


def _path(steps: Sequence[Step], best: Step) -> tuple[Step, ...]:
    path: list[Step] = []
    for step in steps:
        if not path or step.value > path[-1].value:
            path.append(step)
    return tuple(path) if path[-1] == best else (*path, best)
