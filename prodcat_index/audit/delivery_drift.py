"""How a delivery differs from the catalogue, or from an earlier delivery.

Old and new cards are compared by what encodes both alike. Rows of an encoder that was fitted to the
cards of the index know these better than any new card, so that texts are compared by their words;
pictures, and texts that a network embeds, by their rows as well.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from prodcat_index.audit import two_samples
from prodcat_index.audit.check import CheckName, CheckResult, Item
from prodcat_index.audit.graph import AuditGraph, NewCards, answer_new
from prodcat_index.cards.card import Catalogue, join_catalogues
from prodcat_index.cards.duplicates import find_groups
from prodcat_index.cards.variants import words_of
from prodcat_index.errors import QueryError
from prodcat_index.findings import name_first
from prodcat_index.index.leave_one_out import leave_out_groups
from prodcat_index.index.parts import IndexParts
from prodcat_index.types import MISSING, BoolArray, Float64Array, FloatingArray, Int64Array, rounded
from prodcat_index.voting.calibration import sharpened
from prodcat_index.voting.label_shift import LabelShift, estimate_for
from prodcat_index.voting.vote import Vote

# Cards of each side that are told apart, at most; fewer than the least number tell nothing.
SAMPLE, FEWEST = 2_000, 20
# Once in so many comparisons without any drift, one is reported.
ALPHA = 0.05
# A new card is flagged if fewer old ones look as new as it does.
FLAGGED = 0.01
# Begins the specs of encoders that are fitted to the cards of the index.
FITTED = "lexical"
# Characters of a text that are read, and words and categories that are named.
MAX_CHARACTERS = 500
MOST_WORDS, MOST_CATEGORIES = 5, 20
MORE, LESS = "more of a category", "less of a category"


@dataclass(frozen=True)
class DeliveryDrift:
    """Compare a delivery with the index, or with an earlier delivery.

    Each modality is told apart by a logistic regression, whose AUC is 0.5 where nothing differs
    (D. Lopez-Paz and M. Oquab, "Revisiting Classifier Two-Sample Tests", 2017); the predicted
    categories are compared by permutation; their shares are estimated as for
    ``predict(adjust_prior=True)``; and the accuracy is what the confidence says.

    Parameters
    ----------
    against
        An earlier delivery to compare with; by default the cards of the index, answered out of
        fold.
    sample
        Cards of each side that are told apart, at most.
    """

    against: Catalogue | None = None
    sample: int = SAMPLE
    name: CheckName = field(default="drift", init=False)

    def run(self, graph: AuditGraph, new: NewCards | None = None) -> CheckResult:
        """Check a delivery.

        The score of a card is how likely it is of the old cards, by what has not seen its group;
        NaN where it has nothing to compare. Raises QueryError without a delivery, or with too few
        cards.
        """
        if new is None:
            raise QueryError("Drift is between an index and a delivery: name a new catalogue.")
        parts = graph.parts
        late = _Side.of_new(parts, new)
        early = (
            _Side.of_index(graph)
            if self.against is None
            else _Side.of_new(parts, answer_new(graph.index, self.against, graph))
        )
        for side in (early, late):
            if len(side.catalogue) < FEWEST:
                raise QueryError(
                    f"Drift needs {FEWEST} cards on each side; one has {len(side.catalogue)}."
                )
        what = "the index" if self.against is None else "the earlier delivery"
        return _Comparison(parts, early, late, self.sample, what).result()


class _Side(NamedTuple):
    """Some cards, embedded and answered."""

    catalogue: Catalogue
    rows: Sequence[Any]  # of each encoder's block, (n, dim)
    groups: Int64Array
    vote: Vote
    confidence: Float64Array
    of_none: int = 0  # cards that are like no category of the index

    @classmethod
    def of_index(cls, graph: AuditGraph) -> _Side:
        catalogue, rows = graph.parts.catalogue, [b.vectors for b in graph.parts.encoder_blocks]
        vote = Vote(graph.shares, graph.ranked, graph.shares)
        return cls(catalogue, rows, graph.groups, vote, graph.confidence)

    @classmethod
    def of_new(cls, parts: IndexParts, new: NewCards) -> _Side:
        # Rounded as those of the index are.
        rows = [new.queries.vectors[b].astype(np.float16) for b in range(len(parts.encoder_blocks))]
        of_none = 0 if new.decision.of_none is None else int(new.decision.of_none.sum())
        groups, confidence = leave_out_groups(new.catalogue), new.decision.confidence
        return cls(new.catalogue, rows, groups, new.result.vote, confidence, of_none)


class _Told(NamedTuple):
    """What a modality tells apart."""

    auc: two_samples.Difference
    lacking: two_samples.Difference  # of the shares of cards without it
    cards: Int64Array  # new cards that were looked at
    scores: Float64Array  # probability that each is no old one
    usual: float  # that few old cards exceed
    words: tuple[str, ...]  # that come more often in the new ones


@dataclass(frozen=True, eq=False)
class _Comparison:
    """All that is compared between two sides."""

    parts: IndexParts
    early: _Side
    late: _Side
    limit: int
    what: str  # name of the early side

    def result(self) -> CheckResult:
        told, ids = self.told, self.late.catalogue.ids
        tests = [test.p for each in told.values() for test in (each.auc, each.lacking)]
        level = ALPHA / (len(tests) + 2)  # Bonferroni
        items = [*self._changed_modalities(level), *self._changed_contents(level)]
        scores, flagged = np.full(len(ids), np.nan), np.zeros(len(ids), dtype=bool)
        for each in told.values():
            scores[each.cards] = np.fmin(scores[each.cards], 1 - each.scores)
            if each.auc.p < level:
                flagged[each.cards] |= each.scores > each.usual
        notes = []
        if max(len(self.early.catalogue), len(ids)) > self.limit:
            notes.append(
                f"at most {self.limit:,} cards of each side were told apart; the others have no "
                "score"
            )
        if unjudged := [name for name, each in told.items() if not each.auc.is_known]:
            notes.append(
                f"the cards of one side are too few products to be told apart by "
                f"{name_first(unjudged)}"
            )
        if self.expected is None:
            notes.append("the index is not calibrated: no accuracy of the answers can be expected")
        return CheckResult(
            "drift",
            ids,
            scores,
            flagged,
            sorted(items, key=lambda item: item.score),
            self._summary(items),
            self._details(),
            tuple(notes),
        )

    @cached_property
    def told(self) -> dict[str, _Told]:
        """What each modality tells apart, by whole groups of both sides together."""
        sides = self.early, self.late
        chosen = [_whole_groups(side.groups, self.limit) for side in sides]
        some = [s.catalogue.select(rows.tolist()) for s, rows in zip(sides, chosen, strict=True)]
        is_new = np.repeat([False, True], [len(rows) for rows in chosen])
        # A product that is on both sides is one group, which no model is fitted to and judged on.
        groups = find_groups(join_catalogues(*some), pictures=False).codes
        cards = np.concatenate(chosen)
        # In the order of the ids: the result does not depend on that of the cards.
        order = np.lexsort([is_new, np.array([*some[0].ids, *some[1].ids], dtype=object)])
        told = {}
        for modality in self.parts.modalities:
            blocks = {
                b: np.concatenate([s.rows[b][r] for s, r in zip(sides, chosen, strict=True)])
                for b, block in enumerate(self.parts.encoder_blocks)
                if block.modality == modality
            }
            has = np.any([rows.any(axis=1) for rows in blocks.values()], axis=0)
            kept = order[has[order]]
            if np.bincount(is_new[kept], minlength=2).min() < FEWEST:
                continue
            texts: list[str] = []
            if modality in self.parts.catalogue.text_modalities:
                texts = [text for each in some for text in each.values(modality)]
            specs = {b: self.parts.encoder_blocks[b].slot.spec for b in blocks}
            steady = [rows for b, rows in blocks.items() if not specs[b].startswith(FITTED)]
            names, rows = _comparable(texts, steady, kept)
            found = two_samples.tell_apart(rows, is_new[kept], groups[kept])
            old = found.scores[~is_new[kept]]
            weights = _added(rows, is_new[kept], found.coefficients)[: len(names)]
            telling = np.argsort(-weights, kind="stable")[:MOST_WORDS]
            told[modality] = _Told(
                auc=found.auc,
                lacking=two_samples.share_difference((~has).astype(np.float64), is_new, groups),
                cards=cards[kept][is_new[kept]],
                scores=found.scores[is_new[kept]],
                usual=float(np.quantile(old, 1 - FLAGGED)),
                words=tuple(names[place] for place in telling if weights[place] > 0),
            )
        return told

    @cached_property
    def sides(self) -> tuple[BoolArray, Int64Array]:
        """Of all cards, early ones first: whether they are new; groups, none on both sides."""
        early, late = self.early.groups, self.late.groups
        is_new = np.repeat([False, True], [len(early), len(late)])
        return is_new, np.concatenate([early, late + int(early.max()) + 1])

    @cached_property
    def categories(self) -> two_samples.CategoryShift:
        """How the predicted categories differ."""
        codes = np.concatenate([s.vote.categories[:, 0] for s in (self.early, self.late)])
        return two_samples.compare_categories(codes, *self.sides, len(self.parts.labels.names))

    @cached_property
    def unseen(self) -> tuple[two_samples.Difference, list[tuple[str, int]]]:
        """How the shares of words differ that no other group of the early side has.

        Also the words that are on the late side alone, each with the number of its cards.
        """
        before, after = (_words_of_cards(side.catalogue) for side in (self.early, self.late))
        groups = self.early.groups.tolist()
        group_of: dict[str, int] = {}
        for words, group in zip(before, groups, strict=True):
            for word in words:
                # Of several groups: no card of the early side is alone in having it.
                group_of[word] = group if group_of.get(word, group) == group else MISSING
        counts = Counter(word for words in after for word in words if word not in group_of)
        pairs = zip(before, groups, strict=True)
        alone = [[group_of[word] == group for word in own] for own, group in pairs]
        alone += [[word not in group_of for word in own] for own in after]
        shares = np.array([sum(own) / max(1, len(own)) for own in alone])
        ranked = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
        return two_samples.share_difference(shares, *self.sides), ranked[:MOST_CATEGORIES]

    @cached_property
    def shift(self) -> LabelShift | None:
        """Estimated shares of the categories; None where the index is not calibrated for that."""
        calibration, labels = self.parts.calibration, self.parts.labels
        if calibration is None or calibration.answered is None:
            return None
        early, late = (
            estimate_for(calibration, labels.names, labels.sizes, side.vote).estimated
            for side in (self.early, self.late)
        )
        return LabelShift(early, late)

    @cached_property
    def expected(self) -> two_samples.ExpectedQuality | None:
        """How good the answers to the late side are expected to be."""
        calibration, late = self.parts.calibration, self.late
        if calibration is None:
            return None
        return two_samples.expect_quality(
            late.confidence,
            sharpened(late.vote.shares, calibration.model.sharpness),
            late.vote.categories,
            late.groups,
            len(self.parts.labels.names),
            1 / np.sqrt(calibration.cards),
        )

    def _changed_modalities(self, level: float) -> Iterator[Item]:
        for name, told in self.told.items():
            auc, lacking = told.auc, told.lacking
            if auc.p < level:
                words = f", above all by {name_first(told.words)}" if told.words else ""
                why = (
                    f"By {name} alone, a card of the delivery is told from one of {self.what} in "
                    f"{auc.value:.0%} of all pairs ({auc.low:.0%} to {auc.high:.0%}; 50 % is no "
                    f"difference){words}."
                )
                yield _item(f"changed {name}", 2 * (1 - auc.value), name, why, told.words)
            if lacking.p < level:
                more, higher = ("more", "higher") if lacking.value > 0 else ("fewer", "lower")
                why = (
                    f"The share of cards without {name} is {100 * abs(lacking.value):.1f} "
                    f"percentage points {higher} than in {self.what} "
                    f"(95 % interval {100 * lacking.low:+.1f} to {100 * lacking.high:+.1f})."
                )
                yield _item(f"{more} cards without {name}", 1 - abs(lacking.value), name, why)

    def _changed_contents(self, level: float) -> Iterator[Item]:
        shift, (unseen, words) = self.categories, self.unseen
        for code in np.flatnonzero(shift.changed & (shift.p < level)).tolist():
            old, new = float(shift.old[code]), float(shift.new[code])
            why = (
                f"Predicted for {new:.1%} of the delivery, and for {old:.1%} of the cards of "
                f"{self.what}."
            )
            score = min(old, new) / max(old, new)
            yield _item(MORE if new > old else LESS, score, self.parts.labels.names[code], why)
        if unseen.p < level and unseen.value > 0:
            first = tuple(word for word, _ in words[:MOST_WORDS])
            why = (
                f"{unseen.value:.1%} more of the words of a card were never seen than of a card "
                f"that was there before (interval {unseen.low:+.1%} to {unseen.high:+.1%}); most "
                f"often {name_first(first)}."
            )
            yield _item("words never seen", 1 - unseen.value, "texts", why, first)

    def _summary(self, items: Sequence[Item]) -> str:
        """Say in one sentence what changed, and what is expected of the answers."""
        changes = [item.kind for item in items if item.kind not in (MORE, LESS)]
        for kind in (MORE, LESS):
            of_kind = sorted((i for i in items if i.kind == kind), key=lambda item: item.score)
            if of_kind:
                names = name_first([item.subject for item in of_kind])
                changes.append(f"{kind.split()[0]} of {names}")
        judged = {name: each.auc for name, each in self.told.items() if each.auc.is_known}
        aucs = ", ".join(f"{name} {auc.value:.2f}" for name, auc in judged.items())
        told_by = f" (AUC by {aucs}; 0.5 is no difference)" if aucs else ""
        sentence = (
            f"The delivery differs from {self.what}: {'; '.join(changes)}{told_by}"
            if changes
            else f"No drift was found: the delivery is like {self.what}{told_by}"
        )
        expected, late = self.expected, self.late
        if expected is None:
            return f"{sentence}."
        low, high = expected.accuracy_interval.low, expected.accuracy_interval.high
        unless = (
            f" if all cards are of categories of the index; {late.of_none:,} of "
            f"{len(late.catalogue):,} are like none"
            if late.of_none
            else ""
        )
        return (
            f"{sentence}; {expected.accuracy:.0%} of the answers are expected to be right "
            f"({low:.0%} to {high:.0%}; weighted F1 {expected.weighted_f1:.2f}){unless}."
        )

    def _details(self) -> dict[str, Any]:
        categories, shift, (unseen, words) = self.categories, self.shift, self.unseen
        modalities = [
            {
                "modality": name,
                "AUC": each.auc.value,
                "low": each.auc.low,
                "high": each.auc.high,
                "p": each.auc.p,
                "lacking, more by": each.lacking.value,
                "telling words": ", ".join(each.words),
            }
            for name, each in self.told.items()
        ]
        moved = np.argsort(-np.abs(categories.new - categories.old), kind="stable")
        table = [
            {
                "category": self.parts.labels.names[code],
                "predicted before": float(categories.old[code]),
                "predicted now": float(categories.new[code]),
                "changed": bool(categories.changed[code]),
            }
            | ({} if shift is None else {"estimated now": float(shift.estimated[code])})
            for code in moved[:MOST_CATEGORIES].tolist()
        ]
        numbers: dict[str, Any] = {
            "category_distance": categories.distance,
            "category_distance_by_chance": categories.by_chance,
            "category_p": categories.p,
            "label_shift": None if shift is None else shift.distance,
            "unseen_words_more_by": vars(unseen),
        }
        if (expected := self.expected) is not None:
            intervals = expected.accuracy_interval, expected.f1_interval
            accuracy, f1 = ([interval.low, interval.high] for interval in intervals)
            numbers |= {"expected_accuracy": expected.accuracy, "accuracy_interval": accuracy}
            numbers |= {"expected_f1": expected.weighted_f1, "f1_interval": f1}
        tables = {
            "How well the delivery is told apart": modalities,
            "Categories": table,
            "Words that were never seen": [{"word": w, "cards": n} for w, n in words],
        }
        details: dict[str, Any] = rounded(numbers | {"tables": tables})
        return details


def _item(kind: str, score: float, subject: str, why: str, words: tuple[str, ...] = ()) -> Item:
    return Item("drift", kind, score, (), subject, why=why, words=words)


def _whole_groups(groups: Int64Array, limit: int) -> Int64Array:
    """Draw cards of whole groups, at most `limit`: their rows, rising."""
    _, codes = np.unique(groups, return_inverse=True)
    place = np.random.default_rng(two_samples.SEED).permutation(int(codes.max()) + 1)[codes]
    order = np.argsort(place, kind="stable")
    if len(order) <= limit:
        return np.arange(len(order))
    # The last group is left out where it does not fit.
    whole = order[:limit][place[order[:limit]] < place[order[limit]]]
    return np.sort(whole if len(whole) else order[:limit])


def _comparable(
    texts: Sequence[str], steady: Sequence[FloatingArray], kept: Int64Array
) -> tuple[list[str], Any]:
    """Return the words of texts, and rows, (n, dim), that encode the cards kept of both sides.

    Beside the words, the lengths of the texts count: words that are left out leave no trace.
    """
    from scipy.sparse import csr_array, hstack
    from sklearn.feature_extraction.text import TfidfVectorizer

    dense = [rows[kept].astype(np.float64) for rows in steady]
    if not texts:
        return [], np.concatenate(dense, axis=1)
    own = [texts[row] for row in kept.tolist()]
    lengths = np.log1p([[len(text), len(text.split())] for text in own])
    dense.append((lengths - lengths.mean(axis=0)) / np.maximum(lengths.std(axis=0), 1e-9))
    vectorizer = TfidfVectorizer(analyzer=_terms, min_df=2, sublinear_tf=True)
    try:
        words = vectorizer.fit_transform(own)
    except ValueError:  # no word comes twice
        return [], np.concatenate(dense, axis=1)
    names = vectorizer.get_feature_names_out().tolist()
    return names, hstack([words, *map(csr_array, dense)], format="csr")


def _added(rows: Any, is_new: BoolArray, coefficients: Float64Array) -> Float64Array:
    """Return what each column adds to how new the new cards look, by mean, on top of the old."""
    new, old = (np.asarray(rows[np.flatnonzero(side)].mean(axis=0)) for side in (is_new, ~is_new))
    added: Float64Array = coefficients * (new - old).ravel()
    # A word that comes less often speaks for the old cards.
    return np.where((new > old).ravel(), added, 0.0)


def _terms(text: str) -> list[str]:
    """Return the words of a text and the pairs of neighbouring words."""
    words = words_of(text[:MAX_CHARACTERS])
    return [*words, *map(" ".join, pairwise(words))]


def _words_of_cards(catalogue: Catalogue) -> list[set[str]]:
    columns = [catalogue.values(name) for name in catalogue.text_modalities]
    texts = zip(*columns, strict=True)
    return [{word for text in own for word in words_of(text[:MAX_CHARACTERS])} for own in texts]
