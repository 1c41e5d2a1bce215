"""Splitting a catalogue into train, valid and test, so that no product is in two of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from numbers import Real

import numpy as np

from prodcat_index.cards.card import Catalogue
from prodcat_index.cards.catalogue import as_catalogue
from prodcat_index.cards.cleaning import column_texts
from prodcat_index.cards.codes import category_counts, encode, join_codes, order_codes
from prodcat_index.cards.duplicates import Groups, find_groups
from prodcat_index.cards.inputs import CardSource
from prodcat_index.cards.roles import list_columns, no_category
from prodcat_index.cards.split import PARTS, Split
from prodcat_index.errors import CatalogueError, check_type, did_you_mean, whole_number
from prodcat_index.findings import list_findings
from prodcat_index.types import BoolArray, Float64Array, Int64Array

GROUP = "group"
RANDOM = "random"
# Codes of PARTS.
TRAIN, VALID, TEST = range(3)
Shares = Mapping[int, float]

TIME_FORMATS = ("ISO8601", "%d.%m.%Y", "%d.%m.%Y %H:%M", "%d.%m.%Y %H:%M:%S")
# Numbers outside these years are keys, not seconds.
EARLIEST, LATEST = 1990, 2100

ONE_GROUP = "cards are the only group of their category (kept in train)"
UNDATED = "cards have no date in a group without one (kept in train)"
OLDER_GROUP = (
    "cards are newer than the oldest outside train, but in train with an older card of their group"
)
LARGE_GROUP = "cards are of one group, too large for the requested shares"
# A part may miss its share by this before the largest group is named as the reason.
TOLERANCE = 0.05


@dataclass(frozen=True, eq=False)
class Plan:
    """How the N cards of a catalogue are to be split."""

    groups: Int64Array  # (N,), each stays whole
    categories: Int64Array  # (N,), -1 for none
    method: str = ""  # for people
    times: Float64Array | None = None  # (N,) seconds, NaN where not known
    by_value: bool = False  # groups are whole values of a column, such as shops

    @property
    def labelled(self) -> BoolArray:
        """Cards that have a category, (N,)."""
        return self.categories >= 0


def split_catalogue(
    catalogue: CardSource,
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
        N cards, at least one with a category: a catalogue, or what read_catalogue reads.
    valid, test
        Shares from 0, together above 0 and below 1.
    by
        ``"group"``: every category in these shares, as far as its groups allow; one group of
        every category is always in train. ``"random"``: the same with every card a group of its
        own, so that duplicates leak. Or a column. Of times (dates of the years 1990 to 2100, or
        seconds or milliseconds since 1970), the newest groups are the test, the next newest valid;
        a group is as old as its oldest card. Of anything else, such as shops, cards of equal value
        stay together as well as those of a group.
    seed
        Seed of the random choice, from 0.
    groups
        Result of :func:`~prodcat_index.cards.duplicates.find_groups`, where already known.

    Returns
    -------
    Split
        The part of each card.

    Raises
    ------
    CatalogueError
        If a share or the column is wrong, there is no label, or a part would be empty.
    """
    return repeated_splits(catalogue, 1, valid=valid, test=test, by=by, seed=seed, groups=groups)[0]


def repeated_splits(
    catalogue: CardSource,
    n: int,
    *,
    valid: float = 0.0,
    test: float = 0.25,
    by: str = GROUP,
    seed: int = 0,
    groups: Groups | None = None,
) -> list[Split]:
    """Split with `n` seeds from `seed`, looking for groups once; by time there is one split."""
    catalogue, seed = as_catalogue(catalogue), whole_number("seed", seed)
    n = whole_number("number of splits", n)
    check_type(by, str, f"Cards are split by {GROUP}, {RANDOM} or the name of a column")
    for part, share in (("valid", valid), ("test", test)):
        check_type(share, Real, f"The share of {part} is a number, such as 0.25")
    if not (valid >= 0 and test >= 0 and 0 < valid + test < 1):
        raise CatalogueError(
            "The shares of valid and test must be 0 or more, and together above 0 and below 1; "
            f"they are {valid} and {test}."
        )
    if seed < 0:
        raise CatalogueError(f"The seed must be 0 or more; it is {seed}.")
    if n < 1:
        raise CatalogueError(f"The number of splits must be 1 or more; it is {n}.")
    plan = _plan(catalogue, by, groups)
    if n > 1 and plan.times is not None:
        raise CatalogueError(
            f"{by!r} holds times, by which there is one split only; request one, or split by group."
        )
    shares = {part: share for part, share in ((TEST, test), (VALID, valid)) if share}
    return [_make_split(catalogue, plan, shares, seed + i) for i in range(n)]


def _plan(catalogue: Catalogue, by: str, groups: Groups | None) -> Plan:
    categories = encode(catalogue.values("category"))
    if not np.any(categories >= 0):
        raise no_category(catalogue, "no part could be scored")
    if by == RANDOM:
        alone = order_codes(np.arange(len(catalogue)), catalogue.ids)
        return Plan(alone, categories, "at random, duplicates apart")
    columns = [str(name) for name in catalogue.cards.columns]
    if by != GROUP and by not in columns:
        raise CatalogueError(
            f"There is no column {by!r} to split by; give one, {GROUP} or {RANDOM}. "
            f"{list_columns(columns)}{did_you_mean(by, [*columns, GROUP, RANDOM])}"
        )
    codes = (groups or find_groups(catalogue)).codes
    if by == GROUP:
        return Plan(codes, categories, "by group")
    values = column_texts(catalogue.cards[by])
    times = read_times(values)
    if times is not None:
        return Plan(codes, categories, f"by group, the newest by {by!r}", times)
    codes = order_codes(join_codes([codes, encode(values)]), catalogue.ids)
    return Plan(codes, categories, f"by group and whole {by!r}", by_value=True)


def read_times(values: Sequence[str]) -> Float64Array | None:
    """Return N texts as seconds since 1970, NaN for an empty one; None if any is no time.

    They are ISO dates, dates such as ``31.05.2024``, seconds or milliseconds, of 1990 to 2100.
    """
    first, last = (np.datetime64(f"{year}-01-01", "s").astype(int) for year in (EARLIEST, LATEST))
    known = [text for text in values if text]
    for seconds in _interpretations(known) if known else ():
        if np.all((seconds >= first) & (seconds < last)):
            times = np.full(len(values), np.nan)
            times[[bool(text) for text in values]] = seconds
            return times
    return None


def _interpretations(texts: Sequence[str]) -> Iterator[Float64Array]:
    """Yield the seconds since 1970 that texts mean by one format after the other, or NaN."""
    import pandas as pd

    # 16 digits are no milliseconds of these years, and float64 does not hold more.
    if all(text.isascii() and text.isdigit() and len(text) < 16 for text in texts):
        numbers = np.array(texts, dtype=np.float64)
        yield numbers
        yield numbers / 1000
    for form in TIME_FORMATS:
        dates = pd.to_datetime(pd.Series(texts), format=form, errors="coerce", utc=True)
        yield dates.dt.tz_localize(None).to_numpy(dtype="datetime64[s]").astype(np.float64)


def _make_split(catalogue: Catalogue, plan: Plan, shares: Shares, seed: int) -> Split:
    rng = np.random.default_rng(seed)
    assign = assign_by_category if plan.times is None else assign_newest
    parts = assign(plan, shares, rng)
    for part in (TRAIN, *shares):
        if part not in parts[plan.labelled]:
            raise CatalogueError(
                f"No card is left for {PARTS[part]}: there are {plan.labelled.sum()} labelled "
                f"cards, {plan.groups.max() + 1} groups that stay whole, and "
                f"{plan.categories.max() + 1} categories; request another share, or split by "
                "something else."
            )
    requested = ", ".join(f"{share:.0%} {PARTS[part]}" for part, share in shares.items())
    return Split(
        ids=tuple(catalogue.ids),
        parts=tuple(PARTS[part] for part in parts),
        groups=plan.groups,
        made=f"{plan.method}; {requested}; seed {seed}",
        findings=list_findings(_list_deviations(plan, parts, shares), catalogue.ids),
    )


def assign_by_category(plan: Plan, shares: Shares, rng: np.random.Generator) -> Int64Array:
    """Assign groups to parts at random, the shares kept in each category, or of values over all."""
    # The cards that a category may lack, or have too many, at the cost of the next: 1 evens out
    # rounding. A shop may be larger than a category.
    max_carry = np.inf if plan.by_value else 1.0
    counts = category_counts(plan.groups, plan.categories)
    sizes = counts.sum(axis=1)
    order = rng.permutation(len(sizes))
    free = sizes > 0
    # One group of each category stays in train, but a shop may be the only one of a category.
    if not plan.by_value:
        by_category = counts[order].tocsc()
        first = by_category.indptr[:-1][np.diff(by_category.indptr) > 0]
        free[order[by_category.indices[first]]] = False
    parts = np.full(len(sizes), TRAIN, dtype=np.int64)
    deficit = {part: rng.uniform(-0.5, 0.5) for part in shares}
    # The category of a group is that of most of its cards.
    mains = np.asarray(counts.argmax(axis=1)).ravel()
    for main in rng.permutation(counts.shape[1]):
        members = order[mains[order] == main]
        total = int(sizes[members].sum())
        rest = members[free[members]]
        for part, share in shares.items():
            deficit[part] += share * total
            taken = _take(sizes[rest], deficit[part])
            parts[rest[taken]] = part
            left = deficit[part] - int(sizes[rest[taken]].sum())
            deficit[part] = min(max(left, -max_carry), max_carry)
            rest = rest[~taken]
    return parts[plan.groups]


def _take(sizes: Iterable[int], wanted: float) -> BoolArray:
    """Take groups in their order, but for those that overfill a part by more than their half."""
    taken, total = [], 0.0
    for size in sizes:
        fits = total + size / 2 <= wanted
        taken.append(fits)
        total += fits * size
    return np.array(taken, dtype=bool)


def assign_newest(plan: Plan, shares: Shares, rng: np.random.Generator) -> Int64Array:
    """Assign the newest groups to the first part, the next to the second; older ones are train.

    A group is as old as its oldest card: a product that was known before must not be tested.
    """
    assert plan.times is not None
    groups, labelled = plan.groups, plan.labelled
    oldest = np.full(int(groups.max()) + 1, np.inf)
    np.fmin.at(oldest, groups, plan.times)
    sizes = np.bincount(groups[labelled], minlength=len(oldest)) * np.isfinite(oldest)
    # Groups of equal age stand in random order.
    newest_first = np.lexsort((rng.permutation(len(oldest)), -oldest))
    newest_first = newest_first[sizes[newest_first] > 0]
    middles = np.cumsum(sizes[newest_first]) - sizes[newest_first] / 2
    parts = np.full(len(oldest), TRAIN, dtype=np.int64)
    wanted = np.cumsum([share * labelled.sum() for share in shares.values()])
    bounds = np.searchsorted(middles, wanted, side="right")
    for part, start, end in zip(shares, [0, *bounds[:-1]], bounds, strict=True):
        parts[newest_first[start:end]] = part
    return parts[groups]


def _list_deviations(plan: Plan, parts: Int64Array, shares: Shares) -> dict[str, BoolArray]:
    """Return the cards that could not be split as requested, by reason."""
    groups, labelled = plan.groups, plan.labelled
    misses = [abs(np.mean(parts[labelled] == part) - share) for part, share in shares.items()]
    sizes = np.bincount(groups[labelled])
    is_reason = max(misses) > TOLERANCE and sizes.max() > TOLERANCE * labelled.sum()
    found = {LARGE_GROUP: (groups == sizes.argmax()) & is_reason}
    if plan.times is not None:
        dated = np.zeros(groups.max() + 1, dtype=bool)
        dated[groups[np.isfinite(plan.times)]] = True
        newer = plan.times > np.nanmin(plan.times[parts != TRAIN])
        found |= {UNDATED: ~dated[groups], OLDER_GROUP: (parts == TRAIN) & labelled & newer}
    elif not plan.by_value:
        groups_of = np.diff(category_counts(groups, plan.categories).tocsc().indptr)
        found[ONE_GROUP] = labelled & (groups_of == 1)[plan.categories]
    return found
