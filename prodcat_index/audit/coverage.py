"""Coverage: categories that cannot be predicted, why, and which to look at first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from math import ceil

import numpy as np

from prodcat_index.audit.check import CheckName, CheckResult, Item
from prodcat_index.audit.graph import AuditGraph, NewCards
from prodcat_index.audit.standing import Standing
from prodcat_index.cards.label_names import find_label_issues
from prodcat_index.cards.variants import words_of
from prodcat_index.errors import QueryError
from prodcat_index.findings import agree, counted, name_first
from prodcat_index.types import Int64Array, rounded

# Two categories are one if a card of either is ranked in the right order no more often than this:
# at the upper limit for unlike names, as estimated for like ones. By chance it is 0.5.
APART = 0.8
# A category is mixed with another that takes at least this part of its errors, and this part of its
# cards, of so many products.
OF_ERRORS, OF_CARDS, FEWEST = 0.5, 0.2, 3
# More products than this are not asked for: the category has another fault.
MOST_ADDED = 200
# Expected wrong labels from which a category is worth a review.
WORTH = 1.0
SHOWN = 5
# A word that explains a confusion is in this larger part of the confused cards than of the rest.
IN_WORDS = 0.2
BETWEEN = ", "
ONE_PRODUCT = "one product only"
# Reasons of find_label_issues, for people.
LIKE = {"spelling": "spelled alike", "leaf": "equal in their last part", "alike": "nearly equal"}


@dataclass(frozen=True)
class Coverage:
    """Find categories that cannot be predicted, say why, and what to do first.

    A category has one product, so that no other answers for it; or is a second name of another,
    by its name and by cards that cannot be told apart, or by cards alone; or is mixed with one
    other; or has too few products, and the learning curve of this catalogue says how many more
    would bring it to the median F1; or probably has wrong labels. Categories of one product are
    one item together.
    """

    name: CheckName = field(default="coverage", init=False)

    def run(self, graph: AuditGraph, new: NewCards | None = None) -> CheckResult:
        """Check the categories of an index.

        The score of a card is the share of its category's cards that are answered right out of
        fold, NaN without an answer. Those of categories with an item are flagged. One minus the
        score of an item is the number of cards put right for each card looked at or added; the
        lowest score is first. Raises QueryError where no card is answered.
        """
        standing = Standing(graph)
        if not standing.answered.any():
            raise QueryError("No card of the index has an out-of-fold answer: add labelled cards.")
        found = sorted(_Finder(standing).items(), key=lambda item: (item.score, item.subject))
        code_of = graph.parts.labels.code_of
        codes = [code_of[item.subject] for item in found]
        recall = standing.right / np.maximum(standing.sizes, 1)
        kinds = Counter(item.kind for item in found)
        said = ", ".join(f"{kind}: {count:,}" for kind, count in kinds.most_common())
        categories = counted(len(graph.parts.labels.names), "categories")
        curve = standing.curve
        unknown = "too few categories have 8 products, so how F1 grows with cards is not known"
        table = [
            {
                "category": item.subject,
                "cards": int(standing.sizes[code]),
                "products": int(standing.products[code]),
                "F1": rounded(float(standing.f1[code])),
                "wrong labels expected": rounded(float(standing.wrong_labels[code])),
                "gain a card": rounded(1 - item.score),
                "why": item.kind,
                "proposal": item.proposal,
            }
            for item, code in zip(found, codes, strict=True)
        ]
        return CheckResult(
            name=self.name,
            ids=graph.ids,
            scores=np.where(standing.answered, recall[standing.codes], np.nan),
            flagged=np.isin(standing.codes, codes),
            items=_joined(found),
            summary=f"{categories}, median F1 {standing.target:.2f}; {said or 'none stands out'}.",
            details={
                "curve": rounded(vars(curve)) if curve else None,
                "tables": {"Categories, the most gain a card first": table},
            },
            notes=graph.notes if curve else (*graph.notes, unknown),
        )


def _joined(items: Sequence[Item]) -> list[Item]:
    """Make one item of all categories with one product: what to do is the same for each."""
    alone = [item for item in items if item.kind == ONE_PRODUCT]
    if len(alone) < 2:
        return list(items)
    names = tuple(item.subject for item in alone)
    why = (
        f"No card of another product answers for the cards of these {len(alone):,} categories, so "
        f"they are never predicted right out of fold: {BETWEEN.join(names)}."
    )
    shown = tuple(card for item in alone[:SHOWN] for card in item.neighbours[:1])
    joined = replace(
        alone[0], subject=name_first(names), proposal="add cards", why=why, neighbours=shown
    )
    return [joined if item is alone[0] else item for item in items if item not in alone[1:]]


class _Finder:
    """Finds what to do about each category."""

    def __init__(self, standing: Standing) -> None:
        self.standing, self.graph = standing, standing.graph
        self.names = self.graph.parts.labels.names

    def items(self) -> Iterator[Item]:
        """Yield one item for each category that is worth one, by its first reason."""
        done: set[str] = set()
        for item in (*self._merges(), *self._others()):
            if item.subject not in done:
                done.add(item.subject)
                yield item

    def _merges(self) -> Iterator[Item]:
        at, code_of = self.standing, self.graph.parts.labels.code_of
        issues = find_label_issues(dict(zip(self.names, at.sizes.tolist(), strict=True)))
        alike: dict[tuple[int, int], str] = {}
        for reason, groups in issues.items():
            for group in groups:
                for pair in combinations(sorted(code_of[name] for name in group), 2):
                    alike.setdefault(pair, reason)
        found = []
        confused = {(min(a, b), max(a, b)) for a, taken in at.confused.items() for b in taken}
        for pair in alike.keys() | confused:
            apart, high = at.told_apart(*pair)
            if (apart if pair in alike else high) <= APART and at.gain_of_merging(*pair) > 0:
                one, other = sorted(pair, key=lambda code: (at.sizes[code], -code))
                found.append((at.gain_of_merging(one, other), one, other, apart))
        merged: set[int] = set()
        kept: set[int] = set()
        for gain, one, other, apart in sorted(found, reverse=True):
            if one in merged | kept or other in merged:
                continue
            merged.add(one)
            kept.add(other)
            reason = alike.get((min(one, other), max(one, other)), "")
            cards = int(at.sizes[one] + at.sizes[other])
            why = (
                f"{f'The names are {LIKE[reason]}. ' if reason else ''}Votes rank the right one of "
                f"both first for {apart:.0%} of pairs of their cards; by chance it is 50%. As one "
                f"category, {counted(round(gain), 'more cards')} of {cards:,} would count as right "
                f"(weighted F1 +{gain / at.sizes.sum():.4f})."
            )
            rows = at.confused_rows(one, other)
            proposal = f"merge into {self.names[other]}"
            yield self._item("two names of one category", one, gain / cards, proposal, why, rows)

    def _others(self) -> Iterator[Item]:
        at = self.standing
        errors = at.curve.error(at.f1, at.products) if at.curve else 1 - at.f1
        for code in np.flatnonzero(at.products).tolist():
            if at.products[code] == 1:
                yield self._needs_more(code, errors[code])
                continue
            yield from self._mixed(code)
            # Less than one card put right is no reason to look for more.
            if (at.target - at.f1[code]) * at.sizes[code] >= 1:
                yield self._needs_more(code, errors[code])
            if at.wrong_labels[code] >= WORTH:
                rows = at.rows(code)
                why = (
                    f"About {round(at.wrong_labels[code])} of {counted(len(rows), 'cards')} may be "
                    "labelled wrong: other products speak for another category."
                )
                worst = rows[np.argsort(self.graph.own_log_odds[rows], kind="stable")]
                gain = at.wrong_labels[code] / len(rows)
                yield self._item("labels to review", code, gain, "review", why, worst)

    def _needs_more(self, code: int, error: float) -> Item:
        at, products = self.standing, int(self.standing.products[code])
        kind, why = "too few products", f"It has {products:,} products and F1 {at.f1[code]:.2f}"
        if products == 1:
            kind, why = ONE_PRODUCT, "No card of another product answers for its cards"
        rows = at.rows(code)
        if at.curve is None:
            return self._item(kind, code, 0.0, "add cards", f"{why}.", rows)
        more, low, high = at.curve.needed(error, products, at.target)
        added = max(1, ceil(min(more, MOST_ADDED)))
        after = at.curve.f1_with(error, products, added)
        upto = f"{max(1, ceil(high)):,}" if high <= 10 * MOST_ADDED else "many"
        why += (
            f"; {added:,} more would bring it to about {after:.2f} by the learning curve of this "
            f"catalogue; the median, {at.target:.2f}, takes {max(1, ceil(low)):,} to {upto}."
        )
        gain = max(0.0, after - at.f1[code]) * len(rows) / added
        return self._item(kind, code, gain, f"add {counted(added, 'cards')}", why, rows)

    def _mixed(self, code: int) -> Iterator[Item]:
        at = self.standing
        taken = at.confused.get(code, {})
        other = max(taken, key=lambda b: (taken[b], -b), default=code)
        rows, wrong = at.confused_rows(code, other), int(at.sizes[code] - at.right[code])
        is_mixed = taken.get(other, 0) >= FEWEST and len(rows) >= OF_ERRORS * wrong
        if is_mixed and len(rows) >= OF_CARDS * at.sizes[code]:
            words = self._words(rows, np.setdiff1d(at.rows(code), rows), at.rows(other))
            back, named = len(at.confused_rows(other, code)), self.names[other]
            why = (
                f"Of its {at.sizes[code]:,} cards, {wrong:,} are answered wrong, {len(rows):,} of "
                f"them as {named}; in turn, {back or 'no'} {agree(back, 'cards')} of {named} "
                f"{'is' if back == 1 else 'are'} answered as {self.names[code]}."
                f"{f' They share words with it: {BETWEEN.join(words)}.' if words else ''}"
            )
            proposal = f"review the border with {self.names[other]}"
            gain = at.wrong_labels[code] / at.sizes[code]
            yield self._item("mixed with another category", code, gain, proposal, why, rows, words)

    def _words(self, rows: Int64Array, rest: Int64Array, others: Int64Array) -> tuple[str, ...]:
        """Return the words that cards share with another category rather than with their own."""
        catalogue, shares = self.graph.parts.catalogue, []
        # Descriptions repeat what shops say of everything.
        modality = "title" if any(catalogue.values("title")) else "description"
        for each in (rows, rest, others):
            texts = catalogue.values_at(modality, each)
            found = Counter(word for text in texts for word in set(words_of(text)))
            shares.append({word: count / len(each) for word, count in found.items()})
        own, in_rest, in_others = shares
        more = {w: min(own[w], in_others.get(w, 0.0)) - in_rest.get(w, 0.0) for w in own}
        ranked = sorted(more, key=lambda word: (-more[word], word))
        return tuple(word for word in ranked[:SHOWN] if more[word] >= IN_WORDS)

    def _item(
        self,
        kind: str,
        code: int,
        gain: float,
        proposal: str,
        why: str,
        rows: Int64Array,
        words: tuple[str, ...] = (),
    ) -> Item:
        """Make an item about a category; the gain is in cards put right for each looked at."""
        score = 1 - min(1.0, max(0.0, float(gain)))
        subject, shown = self.names[code], tuple(self.graph.ids[row] for row in rows[:SHOWN])
        return Item("coverage", kind, score, (), subject, proposal, None, why, shown, words)
