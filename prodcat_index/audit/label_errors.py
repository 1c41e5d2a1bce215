"""Wrong labels: cards whose category what has not seen them contradicts, with another proposed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from prodcat_index.audit.check import CheckName, CheckResult, Item
from prodcat_index.audit.graph import AuditGraph, NewCards
from prodcat_index.findings import counted
from prodcat_index.index.answers import LEAST_PART, MOST_WORDS
from prodcat_index.index.block import listing_values
from prodcat_index.index.manifest import SCORES
from prodcat_index.types import MISSING, Float64Array, Int64Array, chunks
from prodcat_index.voting.logistic import logistic

# Neighbours whose labels count, and the difference in similarity to the nearest one at which a
# label counts 1/e.
NEAREST = 10
TEMPERATURE = 0.2
LEAST_VOTE = 0.01
# Power of the other category's probability in the score: half way between the probability of the
# own category and the ratio of the two.
POWER = 0.5
CARDS_AT_ONCE = 4096
# A label is called wrong where the proposal is more likely right than not, and doubtful elsewhere.
CERTAIN = 0.5
# Examples of the proposed category and of the own one.
SHOWN, SHOWN_OF_OWN = 4, 2
MOST_PAIRS = 20


@dataclass(frozen=True)
class LabelErrors:
    """Find labelled cards that seem to be in the wrong category.

    The own category of a card is compared with the likeliest other one. Their probabilities are
    those of the heads, which have not seen the card's group, multiplied by the shares of the labels
    of its nearest cards of other groups, with weights. The label of a neighbour counts as far as it
    is probable itself; the rest of its vote goes to the category that is likeliest for it, so that
    wrong labels do not confirm each other. Choices and figures: docs/decisions/audit.md.

    Parameters
    ----------
    odds
        A card is flagged where another category is so many times as likely as its own.
    few
        The logarithms of the odds and of the score's ratio are multiplied by n / (n + few) for n
        cards of the category in other groups: what has seen few cards of a category contradicts
        the right ones, too. A card whose category has none is not flagged: nothing could confirm
        its label.
    neighbour_weight
        Weight of the nearest cards' labels beside the heads, from 0 to 1.
    """

    odds: float = 30.0
    few: float = 0.3
    neighbour_weight: float = 0.1
    name: CheckName = field(default="labels", init=False)

    def run(self, graph: AuditGraph, new: NewCards | None = None) -> CheckResult:
        """Check the labels of the cards of an index; those without an answer have no score.

        It is p / (p + sqrt(q)), for the probabilities p of the card's category and q of the
        likeliest other one: low where the own category is improbable, and lower where the other
        one is certain. The ratio is drawn to 1 where the category is small.
        """
        labels, count = graph.parts.labels, len(graph.ids)
        rows = np.flatnonzero(graph.likely[:, 0] >= 0)
        # Logarithms of the probabilities of the own category and of the likeliest other one.
        log_own, log_other = np.full(count, np.nan), np.full(count, np.nan)
        proposals = np.full(count, MISSING, dtype=np.int64)
        trust = np.exp(np.minimum(graph.own_log_odds, 0))
        for part in chunks(len(rows), CARDS_AT_ONCE):
            some = rows[part]
            log_own[some], log_other[some], proposals[some] = self._compare(graph, some, trust)
        others = _others(labels.codes, graph.groups)
        alone = labels.labelled & (others == 0)
        ratio = np.where(proposals >= 0, log_own - log_other, np.nan)
        seen = others / np.maximum(others + self.few, 1)
        flagged = ratio * seen < -np.log(self.odds)
        scores = logistic((log_own - POWER * log_other) * seen)
        items = _items(graph, np.flatnonzero(flagged), scores, proposals)
        found, checked = int(flagged.sum()), len(rows)
        summary = (
            f"{counted(found, 'cards')} of {checked:,} may be in the wrong category "
            f"({found / checked:.1%}), in {counted(len(items), 'items')}."
            if checked
            else f"No labelled card was checked: {graph.notes[-1]}."
        )
        pairs = Counter((item.subject, item.proposal) for item in items for _ in item.cards)
        table = [
            {"category": own, "proposed": other, "cards": cards}
            for (own, other), cards in sorted(pairs.items(), key=lambda p: (-p[1], p[0]))
        ]
        details = {
            "checked": checked,
            "flagged": found,
            "tables": {"Categories that are mixed up most": table[:MOST_PAIRS]} if table else {},
        }
        notes = graph.notes
        if alone.any():
            notes += (f"cards of a category without another product, not flagged: {alone.sum():,}",)
        return CheckResult(self.name, graph.ids, scores, flagged, items, summary, details, notes)

    def _compare(
        self, graph: AuditGraph, rows: Int64Array, trust: Float64Array
    ) -> tuple[Float64Array, Float64Array, Int64Array]:
        """Return the log probability of n cards' own category, of the likeliest other, and this."""
        own = graph.parts.labels.codes[rows, None]
        categories = np.concatenate([own, graph.likely[rows]], axis=1)
        heads = np.concatenate([graph.own_log_likely[rows, None], graph.log_likely[rows]], axis=1)
        votes = np.log(np.maximum(_neighbour_votes(graph, rows, categories, trust), LEAST_VOTE))
        weight = self.neighbour_weight
        total = (1 - weight) * heads + weight * votes
        total[:, 1:][(categories[:, 1:] == own) | (categories[:, 1:] < 0)] = -np.inf
        best = 1 + total[:, 1:].argmax(axis=1)[:, None]
        other = np.take_along_axis(total, best, axis=1)[:, 0]
        proposals = np.take_along_axis(categories, best, axis=1)[:, 0]
        return total[:, 0], other, np.where(np.isfinite(other), proposals, MISSING)


def _others(codes: Int64Array, groups: Int64Array) -> Int64Array:
    """Count the cards of each card's category in other groups; 0 without a category: (N,)."""
    _, pair, together = np.unique(
        np.stack([codes, groups]), axis=1, return_inverse=True, return_counts=True
    )
    whole = np.bincount(codes[codes >= 0], minlength=1)
    return np.where(codes >= 0, whole[codes] - together[pair], 0)


def _neighbour_votes(
    graph: AuditGraph, rows: Int64Array, categories: Int64Array, trust: Float64Array
) -> Float64Array:
    """Return the shares of some categories, (n, m), in the labels of n cards' nearest ones."""
    codes, near = graph.parts.labels.codes, graph.neighbours[rows]
    counts = (near >= 0) & (codes[near] >= 0) & (graph.groups[near] != graph.groups[rows, None])
    counts &= np.cumsum(counts, axis=1) <= NEAREST
    similarities = np.where(counts, graph.similarities[rows], -np.inf)
    nearest = similarities.max(axis=1, keepdims=True)
    nearest[~np.isfinite(nearest)] = 0.0
    weights = np.exp((similarities - nearest) / TEMPERATURE).astype(np.float64)
    weights /= np.maximum(weights.sum(axis=1, keepdims=True), 1e-12)
    kept = np.where(graph.likely[near, 0] >= 0, trust[near], 1.0)
    votes = np.zeros(categories.shape)
    for k in range(near.shape[1]):
        card = near[:, k]
        own, other = codes[card, None] == categories, graph.likely[card, :1] == categories
        votes += weights[:, k, None] * (kept[:, k, None] * own + (1 - kept[:, k, None]) * other)
    return votes


def _items(
    graph: AuditGraph, rows: Int64Array, scores: Float64Array, proposals: Int64Array
) -> list[Item]:
    """Return an item for the cards of each group with the same label and proposal, worst first."""
    codes = graph.parts.labels.codes
    together: dict[tuple[int, int, int], list[int]] = {}
    for row in rows.tolist():
        key = int(graph.groups[row]), int(codes[row]), int(proposals[row])
        together.setdefault(key, []).append(row)
    texts = listing_values(graph.parts.catalogue, SCORES) if graph.parts.scores else []
    items = [
        _item(graph, cards, float(scores[cards].mean()), proposal, texts)
        for (_, _, proposal), cards in together.items()
    ]
    return sorted(items, key=lambda item: (item.score, item.cards))


def _item(
    graph: AuditGraph, cards: list[int], score: float, proposal: int, texts: Sequence[str]
) -> Item:
    names, codes = graph.parts.labels.names, graph.parts.labels.codes
    cards = sorted(cards, key=graph.ids.__getitem__)
    first = min(cards, key=lambda row: (-graph.confidence[row], graph.ids[row]))
    own = int(codes[first])
    near = graph.neighbours[first]
    near = near[(near >= 0) & (graph.groups[near] != graph.groups[first])]
    theirs, ours = (near[codes[near] == code] for code in (proposal, own))
    of_nearest = Counter(codes[near[:NEAREST]].tolist())
    why = (
        f"labels of the {counted(min(len(near), NEAREST), 'most similar cards')}: "
        f"{of_nearest[proposal]} the proposed category, {of_nearest[own]} its own"
    )
    shown = [*theirs[:SHOWN], *ours[:SHOWN_OF_OWN]]
    is_answer = graph.predicted[first] == proposal and graph.parts.calibration is not None
    confidence = float(graph.confidence[first]) if is_answer else None
    return Item(
        check="labels",
        kind="wrong label" if (confidence or 0.0) >= CERTAIN else "doubtful label",
        score=score,
        cards=tuple(graph.ids[row] for row in cards),
        subject=names[own],
        proposal=names[proposal],
        confidence=confidence,
        why=why,
        neighbours=tuple(graph.ids[row] for row in shown),
        words=_words(graph, texts[first], names[own], names[proposal]) if texts else (),
    )


def _words(graph: AuditGraph, text: str, own: str, proposal: str) -> tuple[str, ...]:
    """Return the words that speak for the proposal more than for the own category."""
    against = dict(graph.parts.score_words(text, own))
    added = {
        word: value - max(against.get(word, 0.0), 0.0)
        for word, value in graph.parts.score_words(text, proposal)
    }
    least = LEAST_PART * sum(value for value in added.values() if value > 0)
    best = sorted((-value, word) for word, value in added.items() if value > least > 0)
    return tuple(word for _, word in best[:MOST_WORDS])
