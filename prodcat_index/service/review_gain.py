"""What a review brought: the F1 that is expected of the categories of all cards."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping

from prodcat_index.index.manifest import KEEP, REMOVE
from prodcat_index.index.review import MERGE
from prodcat_index.service.review_records import Labels

UNKNOWN = "\0"  # a category that nobody has named


def estimate_f1(labels: Iterable[Labels], sizes: Mapping[str, int]) -> dict[str, float]:
    """Estimate the weighted F1 of the categories that cards have, before and after decisions.

    The true category of a card that was decided on is the one that the person chose. One that was
    not is wrong with the probability that its item was queued with, from out-of-fold answers, and
    the proposal is the true one then. Cards without an item count as right, so that both numbers
    are too high by the same errors: what tells something is their difference. New listings count
    with the category that was predicted for them.
    """
    rest = Counter(sizes)
    true, before, now, right_before, right_now = (defaultdict[str, float](float) for _ in range(5))
    for each in labels:
        becomes = each.own if each.becomes == KEEP else each.becomes
        if not each.is_new or each.is_applied:
            rest[becomes if each.is_applied and becomes else each.own] -= each.cards
        if becomes == REMOVE:
            continue
        before[each.own] += each.cards
        if becomes:
            now[becomes] += each.cards
            true[becomes] += each.cards
            right_now[becomes] += each.cards
            right_before[each.own] += each.cards if becomes == each.own else 0
            continue
        now[each.own] += each.cards
        is_other = each.proposal in ("", REMOVE, each.own) or each.proposal.startswith(MERGE)
        true[each.own] += each.cards - each.wrong
        true[UNKNOWN if is_other else each.proposal] += each.wrong
        right_before[each.own] += each.cards - each.wrong
        right_now[each.own] += each.cards - each.wrong
    # As many as there are of each; a category may have lost cards in another way.
    for name, count in rest.items():
        for counts in (true, before, now, right_before, right_now):
            counts[name] += max(0, count)
    f1 = {"before": (before, right_before), "now": (now, right_now)}
    return {name: round(_weighted_f1(true, *counts), 4) for name, counts in f1.items()}


def _weighted_f1(
    true: Mapping[str, float], given: Mapping[str, float], right: Mapping[str, float]
) -> float:
    total = sum(true.values())
    if not total:
        return 1.0
    return (
        sum(
            count * 2 * right.get(name, 0) / (count + given.get(name, 0))
            for name, count in true.items()
            if count
        )
        / total
    )
