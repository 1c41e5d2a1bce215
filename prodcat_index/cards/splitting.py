"""Splitting a catalogue so that nothing that is scored has been taught."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import compress
from typing import Any

import numpy as np
import numpy.typing as npt

from prodcat_index.cards.card import Catalogue
from prodcat_index.cards.cleaning import column_texts
from prodcat_index.cards.codes import category_counts, encode, join_codes, order_codes
from prodcat_index.cards.columns import list_columns
from prodcat_index.cards.duplicates import Groups, find_groups
from prodcat_index.cards.split import PARTS, PartSummary, Split, read_split
from prodcat_index.errors import CatalogueError
from prodcat_index.findings import Finding
from prodcat_index.types import Int64Array

FORMATS = ("ISO8601", "%d.%m.%Y", "%d.%m.%Y %H:%M", "%d.%m.%Y %H:%M:%S")
EARLIEST, LATEST = 1990, 2100


def read_times(values: Sequence[str]) -> npt.NDArray[np.float64] | None:
    """Read the values of a column as times, if they are times."""
    times = np.full(len(values), np.nan)
    told = np.array([bool(value) for value in values], dtype=bool)
    texts = [value for value in values if value]
    if not texts:
        return None
    for read in (_read_seconds, _read_dates):
        found = read(texts)
        if found is not None:
            times[told] = found
            return times
    return None


def _read_seconds(texts: Sequence[str]) -> npt.NDArray[np.float64] | None:
    if not all(text.isascii() and text.isdigit() and len(text) < 16 for text in texts):
        return None
    numbers = np.array(texts, dtype=np.float64)
    return next((n for n in (numbers, numbers / 1000) if _are_plausible(n)), None)


def _read_dates(texts: Sequence[str]) -> npt.NDArray[np.float64] | None:
    import pandas as pd

    for form in FORMATS:
        dates = pd.to_datetime(pd.Series(texts), format=form, errors="coerce", utc=True)
        seconds = dates.dt.tz_localize(None).to_numpy(dtype="datetime64[s]").astype(np.float64)
        if _are_plausible(seconds):
            return seconds
    return None


def _are_plausible(seconds: npt.NDArray[np.float64]) -> bool:
    first, last = (np.datetime64(f"{year}-01-01", "s").astype(int) for year in (EARLIEST, LATEST))
    return bool(np.all((seconds >= first) & (seconds < last)))


TRAIN, VALID, TEST = range(3)
Shares = Mapping[int, float]


def allot_by_category(
    groups: Int64Array,
    categories: Int64Array,
    shares: Shares,
    rng: np.random.Generator,
    *,
    teach_all: bool = True,
    most_owed: float = 1.0,
) -> Int64Array:
    """Allot groups at random, each category in the shares asked for as far as its groups allow."""
    counts = category_counts(groups, categories)
    sizes = counts.sum(axis=1)
    order = rng.permutation(len(sizes))
    free = sizes > 0
    if teach_all:
        free[_first_of_each_category(counts, order)] = False
    parts = np.full(len(sizes), TRAIN, dtype=np.int64)
    owed = {part: rng.uniform(-0.5, 0.5) for part in shares}
    mains = np.asarray(counts.argmax(axis=1)).ravel()
    for main in rng.permutation(counts.shape[1]):
        members = order[mains[order] == main]
        total = int(sizes[members].sum())
        rest = members[free[members]]
        for part, share in shares.items():
            owed[part] += share * total
            taken = _take(sizes[rest], owed[part])
            parts[rest[taken]] = part
            left = owed[part] - int(sizes[rest[taken]].sum())
            owed[part] = min(max(left, -most_owed), most_owed)
            rest = rest[~taken]
    return parts[groups]


def allot_newest(
    groups: Int64Array,
    times: npt.NDArray[np.float64],
    labelled: npt.NDArray[np.bool_],
    shares: Shares,
    rng: np.random.Generator,
) -> Int64Array:
    """Allot the newest groups to the first part, the next to the second; older ones are train."""
    oldest = np.full(int(groups.max()) + 1, np.inf)
    np.fmin.at(oldest, groups, times)
    sizes = np.bincount(groups[labelled], minlength=len(oldest)) * np.isfinite(oldest)
    newest_first = np.lexsort((rng.permutation(len(oldest)), -oldest))
    newest_first = newest_first[sizes[newest_first] > 0]
    middles = np.cumsum(sizes[newest_first]) - sizes[newest_first] / 2
    parts = np.full(len(oldest), TRAIN, dtype=np.int64)
    wanted = np.cumsum([share * labelled.sum() for share in shares.values()])
    bounds = np.searchsorted(middles, wanted, side="right")
    for part, start, end in zip(shares, [0, *bounds[:-1]], bounds, strict=True):
        parts[newest_first[start:end]] = part
    return parts[groups]


def _first_of_each_category(counts: Any, order: Int64Array) -> Int64Array:
    ordered = counts[order].tocoo()
    by_place = np.argsort(ordered.row, kind="stable")
    _, first = np.unique(ordered.col[by_place], return_index=True)
    return order[ordered.row[by_place][first]]


def _take(sizes: Iterable[int], wanted: float) -> npt.NDArray[np.bool_]:
    taken, total = [], 0.0
    for size in sizes:
        fits = total + size / 2 <= wanted
        taken.append(fits)
        total += fits * size
    return np.array(taken, dtype=bool)


__all__ = ["PartSummary", "Split", "read_split", "repeated_splits", "split_catalogue"]

GROUP = "group"
RANDOM = "random"

ONE_GROUP = "cards are the only group of their category, and stay in train"
UNDATED = "cards have no date in a group without one, and stay in train"
OLDER_GROUP = (
    "cards are newer than the oldest that is scored, but in train with an older card of their group"
)
LARGE_GROUP = "cards are of one group, too large for the parts asked for"
TOLERANCE = 0.05


@dataclass(frozen=True, eq=False)
class _Plan:
    """What is kept together, and by what else the parts are chosen."""

    groups: Int64Array
    categories: Int64Array
    how: str
    times: npt.NDArray[np.float64] | None = None
    names: bool = False


def split_catalogue(
    catalogue: Catalogue,
    *,
    valid: float = 0.0,
    test: float = 0.25,
    by: str = GROUP,
    seed: int = 0,
    groups: Groups | None = None,
) -> Split:
    """Split a catalogue into train, valid and test, no group in two of them.

    Shares are of labelled cards, for the others cannot be scored: a group without any label is
    train. The split depends on ids, labels and groups, not on the order of the cards.

    Parameters
    ----------
    catalogue
        N cards, at least one with a category.
    valid, test
        Shares from 0, together above 0 and below 1.
    by
        ``"group"``: every category in these shares, as far as its groups allow; one group of
        every category is always in train. ``"random"``: the same with every card a group of its
        own, so that duplicates leak. Or a column: where it holds times (dates of the years 1990 to
        2100, or seconds or milliseconds since 1970), the newest groups are the test, the next
        newest valid, a group being as old as its oldest card; where it holds anything else, such
        as shops, the cards of equal value are in one part as well as those of a group, and
        values that share a group are one.
    seed
        Of chance, from 0.
    groups
        From :func:`~prodcat_index.cards.duplicates.find_groups`, where already known.

    Raises
    ------
    CatalogueError
        If a share or the column is wrong, there is no label, or a part would be empty.
    """
    shares = _read_shares(valid, test)
    return _make_split(catalogue, _plan(catalogue, by, groups), shares, seed)


def repeated_splits(
    catalogue: Catalogue,
    n: int,
    *,
    valid: float = 0.0,
    test: float = 0.25,
    by: str = GROUP,
    seed: int = 0,
    groups: Groups | None = None,
) -> list[Split]:
    """Split a catalogue in n ways, looking for groups once.

    Parameters
    ----------
    n
        At least 1; the seeds are ``seed`` to ``seed + n - 1``.
    catalogue, valid, test, by, seed, groups
        As for :func:`split_catalogue`.

    Raises
    ------
    CatalogueError
        As there; or if there is but one way, because the split is by time.
    """
    shares = _read_shares(valid, test)
    plan = _plan(catalogue, by, groups)
    if n < 1:
        raise CatalogueError(f"The number of splits must be 1 or more; it is {n}.")
    if n > 1 and plan.times is not None:
        raise CatalogueError(
            f"{by!r} holds times, and by time there is one split only; ask for one, or split by "
            "group."
        )
    return [_make_split(catalogue, plan, shares, seed + i) for i in range(n)]


def _read_shares(valid: float, test: float) -> dict[int, float]:
    if not (valid >= 0 and test >= 0 and 0 < valid + test < 1):
        raise CatalogueError(
            "The shares of valid and test must be 0 or more, and together above 0 and below 1; "
            f"they are {valid} and {test}."
        )
    return {part: share for part, share in ((TEST, test), (VALID, valid)) if share}


def _plan(catalogue: Catalogue, by: str, groups: Groups | None) -> _Plan:
    categories = encode(catalogue.values("category"))
    if not np.any(categories >= 0):
        raise CatalogueError(
            f"No card of {catalogue.source} has a category, so nothing could be scored; "
            "name the column with --category-column."
        )
    if by == RANDOM:
        alone = order_codes(np.arange(len(catalogue)), catalogue.ids)
        return _Plan(alone, categories, "at random, duplicates apart")
    values = None if by == GROUP else _read_column(catalogue, by)
    codes = (groups or find_groups(catalogue)).codes
    if values is None:
        return _Plan(codes, categories, "by group")
    times = read_times(values)
    if times is not None:
        return _Plan(codes, categories, f"by group, the newest by {by!r}", times)
    joined = order_codes(join_codes([codes, encode(values)]), catalogue.ids)
    return _Plan(joined, categories, f"by group and whole {by!r}", names=True)


def _read_column(catalogue: Catalogue, column: str) -> list[str]:
    columns = [str(name) for name in catalogue.cards.columns]
    if column not in columns:
        raise CatalogueError(
            f"There is no column {column!r} to split by; give one, {GROUP} or {RANDOM}. "
            f"{list_columns(columns)}"
        )
    return column_texts(catalogue.cards[column])


def _make_split(catalogue: Catalogue, plan: _Plan, shares: dict[int, float], seed: int) -> Split:
    if seed < 0:
        raise CatalogueError(f"The seed must be 0 or more; it is {seed}.")
    parts = _allot(plan, shares, np.random.default_rng(seed))
    _check_parts(parts, plan, shares)
    asked = ", ".join(f"{share:.0%} {PARTS[part]}" for part, share in shares.items())
    return Split(
        ids=tuple(catalogue.ids),
        parts=tuple(PARTS[part] for part in parts),
        groups=plan.groups,
        made=f"{plan.how}; {asked}; seed {seed}",
        findings=tuple(_list_findings(catalogue.ids, plan, parts, shares)),
    )


def _allot(plan: _Plan, shares: dict[int, float], rng: np.random.Generator) -> Int64Array:
    if plan.times is not None:
        return allot_newest(plan.groups, plan.times, plan.categories >= 0, shares, rng)
    if plan.names:
        return allot_by_category(
            plan.groups, plan.categories, shares, rng, teach_all=False, most_owed=np.inf
        )
    return allot_by_category(plan.groups, plan.categories, shares, rng)


def _check_parts(parts: Int64Array, plan: _Plan, shares: dict[int, float]) -> None:
    labelled = parts[plan.categories >= 0]
    for part in (TRAIN, *shares):
        if part not in labelled:
            raise CatalogueError(
                f"No card is left for {PARTS[part]}: there are {len(labelled)} labelled cards, "
                f"{plan.groups.max() + 1} groups that stay whole, and "
                f"{plan.categories.max() + 1} categories; ask for another share, or split by "
                "something else."
            )


def _list_findings(
    ids: list[str], plan: _Plan, parts: Int64Array, shares: dict[int, float]
) -> Iterable[Finding]:
    noticed = {LARGE_GROUP: _in_too_large_group(plan, parts, shares)}
    if plan.times is not None:
        noticed |= _judge_times(plan.times, plan, parts)
    elif not plan.names:
        noticed[ONE_GROUP] = _in_only_group(plan)
    found = (Finding(what, tuple(compress(ids, where))) for what, where in noticed.items())
    return (finding for finding in found if finding.ids)


def _in_only_group(plan: _Plan) -> npt.NDArray[np.bool_]:
    counts = category_counts(plan.groups, plan.categories)
    alone = np.diff(counts.tocsc().indptr) == 1
    return (plan.categories >= 0) & alone[plan.categories]


def _in_too_large_group(
    plan: _Plan, parts: Int64Array, shares: dict[int, float]
) -> npt.NDArray[np.bool_]:
    labelled = plan.categories >= 0
    missed = (abs(np.mean(parts[labelled] == part) - share) for part, share in shares.items())
    sizes = np.bincount(plan.groups[labelled])
    is_largest = plan.groups == sizes.argmax()
    return is_largest & (max(missed) > TOLERANCE) & (sizes.max() > TOLERANCE * labelled.sum())


def _judge_times(
    times: npt.NDArray[np.float64], plan: _Plan, parts: Int64Array
) -> dict[str, npt.NDArray[np.bool_]]:
    dated = np.zeros(plan.groups.max() + 1, dtype=bool)
    dated[plan.groups[np.isfinite(times)]] = True
    taught = (parts == TRAIN) & (plan.categories >= 0)
    newer = times > np.nanmin(times[parts != TRAIN])
    return {UNDATED: ~dated[plan.groups], OLDER_GROUP: taught & newer}
