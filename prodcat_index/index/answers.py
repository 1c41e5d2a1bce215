"""From queries to neighbours and votes, and from these to answers that people and programs read."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from prodcat_index.cards.card import IMAGE
from prodcat_index.index.encoded_listings import Queries
from prodcat_index.index.manifest import LEARNED
from prodcat_index.index.parts import IndexParts
from prodcat_index.index.search import Neighbours, find_neighbours
from prodcat_index.learning.projection import unit_parts
from prodcat_index.types import DIGITS, MISSING, BoolArray, Float32Array, Float64Array, Int64Array
from prodcat_index.voting.decision import Decision
from prodcat_index.voting.label_shift import FEWEST_LISTINGS, LabelShift, reweigh
from prodcat_index.voting.prediction import (
    SET_SEPARATOR,
    TOP,
    Explanation,
    Familiarity,
    Neighbour,
    Prediction,
)
from prodcat_index.voting.vote import Vote, VoteParameters, vote

HUBNESS = "hubness"
# Words named as reasons, at most, and the least part of all that speaks for a category.
MOST_WORDS = 5
LEAST_PART = 0.1
# Categories named as those that come more or less often, at most, and the least change of a share.
MOST_MOVED = 5
LEAST_MOVED = 0.005


class VoteResult(NamedTuple):
    """The nearest labelled cards of n queries, and their vote."""

    found: Neighbours
    codes: Int64Array  # (n, k): category of each neighbour, MISSING after the last
    log_reliability: Float64Array  # (n, k)
    vote: Vote
    head: Float64Array  # (n,): probability of the answer by the linear head; NaN where it is unused
    # (n, F): what speaks for a known category; None where the calibration does not ask for it
    evidence: Float64Array | None = None


def search_and_vote(
    parts: IndexParts,
    vectors: Sequence[Float32Array],
    present: BoolArray,
    weights: Float64Array,
    parameters: VoteParameters,
    eligible: BoolArray | None = None,
    *,
    by_block: bool = False,
) -> VoteResult:
    """Let the nearest labelled cards vote, together with the linear head where one is weighed.

    Of the cards only eligible ones vote, (N,). The head counts in proportion to the weight of the
    learned block and of the text scores. With `by_block`, neighbours are compared by block as well.
    """
    labels = parts.labels
    k = min(parameters.k, len(parts.catalogue))
    voters = parts.voter_codes >= 0
    allowed = voters if eligible is None else voters & eligible
    found = find_neighbours(parts.space, vectors, present, weights, k, allowed, by_block=by_block)
    codes = np.where(found.rows >= 0, labels.codes[found.rows], MISSING)
    log_proba = parts.head_log_proba(vectors, codes)
    reliability = np.where(codes >= 0, parts.log_reliability[found.rows], 0.0)
    weighed = weights[-parts.head_blocks :].sum() * log_proba
    result = vote(found.similarities, codes, labels.sizes, parameters, weighed, reliability)
    is_used = parameters.head_exponent > 0 and bool(weighed.any())
    of_answer = (codes == result.categories[:, :1]) & (codes >= 0) & is_used
    proba = np.exp(np.where(of_answer, log_proba, -np.inf).max(axis=1))
    return VoteResult(
        found, codes, reliability, result, np.where(of_answer.any(axis=1), proba, np.nan)
    )


@dataclass(frozen=True)
class Reasons:
    """Other votes on the same queries: by comparison they explain the answers."""

    without: Mapping[str, Vote]  # modality -> the vote if the queries lacked it
    without_head: Vote  # the vote of the same neighbours alone


def find_reasons(
    parts: IndexParts,
    queries: Queries,
    result: VoteResult,
    weights: Float64Array,
    parameters: VoteParameters,
    modalities: Sequence[str],
    eligible: BoolArray | None = None,
) -> Reasons:
    """Vote again without each modality in turn, and without the linear head."""
    lacking = {modality: parts.without(queries, modality) for modality in modalities}
    sizes, no_head = parts.labels.sizes, replace(parameters, head_exponent=0.0)
    return Reasons(
        without={
            modality: search_and_vote(
                parts, other.vectors, other.present, weights, parameters, eligible
            ).vote
            for modality, other in lacking.items()
        },
        without_head=vote(
            result.found.similarities,
            result.codes,
            sizes,
            no_head,
            log_reliability=result.log_reliability,
        ),
    )


def follow_shift(
    result: VoteResult, reasons: Reasons | None, shift: LabelShift, sharpness: float
) -> tuple[VoteResult, Reasons | None]:
    """Weigh all votes by how much more often categories come among the listings."""

    def weighed(other: Vote) -> Vote:
        return reweigh(other, shift.factors, sharpness)

    vote = reweigh(result.vote, shift.factors, sharpness, result.codes)
    # What the head said is known of the first answer only.
    same = vote.categories[:, 0] == result.vote.categories[:, 0]
    result = result._replace(vote=vote, head=np.where(same, result.head, np.nan))
    without = reasons and {name: weighed(other) for name, other in reasons.without.items()}
    return result, reasons and Reasons(without or {}, weighed(reasons.without_head))


def describe_shift(shift: LabelShift, names: Sequence[str], listings: int) -> str:
    """Say how the shares of the categories differ, and name those that moved most."""
    if shift.estimated is shift.source:
        return (
            f"the answers are not adjusted: it takes {FEWEST_LISTINGS} listings with an answer to "
            "estimate the shares of the categories"
        )
    moved = shift.estimated - shift.source
    most = np.argsort(-np.abs(moved), kind="stable")[:MOST_MOVED]
    named = [
        f"{names[code]} {shift.source[code]:.1%} to {shift.estimated[code]:.1%}"
        for code in most.tolist()
        if abs(moved[code]) >= LEAST_MOVED
    ]
    examples = f" ({', '.join(named)})" if named else ""
    return (
        f"answers are weighed by the shares of the categories as estimated from these {listings:,} "
        "listings: the mix of categories differs from the index's by "
        f"{shift.distance:.0%}{examples}"
    )


@dataclass(frozen=True)
class Answers:
    """The cards and categories of an index by their numbers, for people and programs."""

    parts: IndexParts

    @cached_property
    def _blocks(self) -> list[str]:
        return self.parts.block_names

    def neighbours(
        self, found: Neighbours, queries: Queries, query: int, shares: Float64Array | None = None
    ) -> list[Neighbour]:
        """Return one query's neighbours; with shares, (n, k), of the vote if there was one."""
        rows = found.rows[query][found.rows[query] >= 0]
        catalogue = self.parts.catalogue
        fields = (catalogue.values_at(n, rows) for n in ("id", "title", IMAGE, "category"))
        own_parts = unit_parts([part[[query]] for part in queries.parts]) if queries.parts else []
        own = [vectors[[query]] for vectors in queries.vectors]
        by_block = (
            self.parts.space.compare(own, found.rows[[query]])[0]
            if found.by_block is None
            else found.by_block[query]
        )
        contributions = self._contributions(found, own_parts, query, rows)
        return [
            Neighbour(
                id=card_id,
                title=title,
                image=image,
                category=category,
                similarity=float(found.similarities[query, place]),
                by_block=self._cosines(by_block[place], found.weights[query]),
                contributions=contributions[place],
                vote_share=None if shares is None else float(shares[query, place]),
            )
            for place, (card_id, title, image, category) in enumerate(zip(*fields, strict=True))
        ]

    def _cosines(self, cosines: Float32Array, weights: Float64Array) -> dict[str, float]:
        named = zip(self._blocks, cosines.tolist(), weights, strict=True)
        return {name: cosine for name, cosine, w in named if w > 0 and not np.isnan(cosine)}

    def _contributions(
        self, found: Neighbours, own_parts: Sequence[Float32Array], query: int, rows: Int64Array
    ) -> list[dict[str, float]]:
        """Split similarities into what each block adds to them, the learned one by its sources."""
        added, weights = found.contributions[query, : len(rows)], found.weights[query]
        total = added.sum(axis=1)
        # A similarity that was clipped is split in proportion: rounded rows are a little too
        # long, and hubness is taken off what is near -1 already.
        scale = np.ones(len(rows))
        is_clipped = np.abs(total) > 1
        similarities = found.similarities[query, : len(rows)]
        scale[is_clipped] = similarities[is_clipped] / total[is_clipped]
        scaled = scale[:, None] * added
        weighed = [place for place, weight in enumerate(weights) if weight > 0]
        names = [self._blocks[place] for place in weighed]
        splits = [dict(zip(names, own, strict=True)) for own in scaled[:, weighed].tolist()]
        learned = self.parts.learned
        if learned and LEARNED in names:
            projected = np.flatnonzero(learned.present[rows])
            cards = learned.vectors[rows[projected]].astype(np.float32)
            sources = self._split_learned(
                scaled[projected, -1], scale[projected] * weights[-1], cards, own_parts
            )
            for place, source in zip(projected.tolist(), sources, strict=True):
                del splits[place][LEARNED]
                splits[place].update(source)
        return splits

    def _split_learned(
        self,
        whole: Float64Array,
        factors: Float64Array,
        cards: Float32Array,
        own_parts: Sequence[Float32Array],
    ) -> list[dict[str, float]]:
        """Split what the learned block adds for n cards by the blocks projected into it."""
        split = {
            f"{LEARNED}:{block.name}": factors * (cards[:, : part.shape[1]] @ part[0])
            for block, part in zip(self.parts.encoder_blocks, own_parts, strict=True)
            if part.any()
        }
        if cards.shape[1] > own_parts[0].shape[1]:
            split[f"{LEARNED}:{HUBNESS}"] = factors * cards[:, -1]
        values = np.stack(list(split.values()), axis=1)
        # The projected rows are rounded sums of the parts; the difference goes to the largest.
        largest = np.argmax(np.abs(values), axis=1)
        values[np.arange(len(cards)), largest] += whole - values.sum(axis=1)
        return [dict(zip(split, own, strict=True)) for own in values.tolist()]

    def ranked(self, vote: Vote, query: int) -> list[tuple[str, float]]:
        """Return categories and shares, largest first."""
        names = self.parts.labels.names
        pairs = zip(vote.categories[query], vote.shares[query], strict=True)
        return [(names[code], float(share)) for code, share in pairs if code >= 0]


def _rounded(values: Float64Array) -> list[float]:
    return [round(value, DIGITS) for value in values.tolist()]


@dataclass(frozen=True)
class LazyAnswers:
    """The predictions for n listings, each made when it is read: with neighbours they are large."""

    answers: Answers
    ids: Sequence[str]
    titles: Sequence[str]
    queries: Queries
    result: VoteResult
    decision: Decision
    reasons: Reasons | None  # None where no explanation was requested
    nearest: Float64Array | None  # (n,): cosine of the nearest picture, or NaN; None if unknown

    def __len__(self) -> int:
        """Return the number of listings."""
        return len(self.ids)

    def __getitem__(self, query: int) -> Prediction:
        """Make the prediction for one listing."""
        vote, decision = self.result.vote, self.decision
        labels = self.answers.parts.labels
        ranked = self.answers.ranked(vote, query)
        optional: dict[str, Any] = {}
        if decision.words is not None and decision.backed_off is not None:
            optional["decision"] = decision.words[query]
            optional["backed_off"] = decision.backed_off[query]
        if decision.in_set is not None:
            chosen = vote.categories[query][decision.in_set[query]]
            optional["category_set"] = tuple(labels.names[code] for code in chosen)
        if decision.probabilities is not None:
            optional["probabilities"] = decision.probabilities[query, : len(ranked)].tolist()
        return Prediction(
            id=self.ids[query],
            title=self.titles[query],
            category=ranked[0][0] if ranked else "",
            category_id=labels.keys[vote.categories[query, 0]] if ranked else "",
            confidence=float(decision.confidence[query]),
            ranked=ranked,
            neighbours=self.answers.neighbours(
                self.result.found, self.queries, query, vote.neighbour_shares
            ),
            explanation=self._explanation(self.reasons, query) if self.reasons else None,
            familiarity=self._familiarity(query),
            **optional,
        )

    def rows(self) -> list[dict[str, Any]]:
        """Return :meth:`Prediction.as_row` of each, made of columns where none is explained."""
        if self.reasons:
            return [self[query].as_row() for query in range(len(self))]
        vote, found = self.result.vote, self.result.found
        catalogue = self.answers.parts.catalogue
        second = vote.categories[:, 1:2].max(axis=1, initial=MISSING)
        shares = np.where(second >= 0, vote.shares[:, 1:2].max(axis=1, initial=0.0), 0.0)
        nearest = found.rows[:, 0]
        ids = np.full(len(self), "", dtype=object)
        ids[nearest >= 0] = catalogue.values_at("id", nearest[nearest >= 0])
        columns = self._columns() | {
            "second_category": self._names(second),
            "second_share": _rounded(shares),
            "nearest_id": ids.tolist(),
        }
        columns = {"id": columns.pop("id"), "title": self.titles} | columns | self._decisions()
        sets = self._sets()
        ending = [("category_set", map(SET_SEPARATOR.join, sets))] if sets is not None else []
        return self._joined(columns, dict(ending))

    def records(self) -> list[dict[str, Any]]:
        """Return :meth:`Prediction.as_dict` of each, made of columns where none is explained."""
        if self.reasons:
            return [self[query].as_dict() for query in range(len(self))]
        vote, names = self.result.vote, self.answers.parts.labels.names
        codes, shares = vote.categories[:, 1:TOP].tolist(), vote.shares[:, 1:TOP].tolist()
        others = [
            [
                {"category": names[code], "share": round(share, DIGITS)}
                for code, share in zip(*own, strict=True)
                if code >= 0
            ]
            for own in zip(codes, shares, strict=True)
        ]
        columns = self._columns() | {"alternatives": others} | self._decisions()
        sets, ending = self._sets(), dict[str, Iterable[Any]]()
        if sets is not None:
            ending["category_set"] = sets
        if self.decision.known is not None:
            known = [self._familiarity(query) for query in range(len(self))]
            ending["evidence"] = (each.as_dict() for each in known if each)
        return self._joined(columns, ending)

    def _columns(self) -> dict[str, Sequence[Any]]:
        vote, keys = self.result.vote, self.answers.parts.labels.keys
        first = vote.categories[:, 0]
        return {
            "id": self.ids,
            "category": self._names(first),
            "category_id": [keys[code] if code >= 0 else "" for code in first.tolist()],
            "confidence": _rounded(self.decision.confidence),
            "share": _rounded(vote.shares[:, 0]),
        }

    def _names(self, codes: Int64Array) -> list[str]:
        names = self.answers.parts.labels.names
        return [names[code] if code >= 0 else "" for code in codes.tolist()]

    def _decisions(self) -> dict[str, Sequence[Any]]:
        words, backed_off = self.decision.words, self.decision.backed_off
        if words is None or backed_off is None:
            return {}
        return {"decision": words, "backed_off": backed_off}

    def _sets(self) -> list[list[str]] | None:
        in_set, names = self.decision.in_set, self.answers.parts.labels.names
        if in_set is None:
            return None
        pairs = zip(self.result.vote.categories, in_set, strict=True)
        return [[names[code] for code in codes[chosen]] for codes, chosen in pairs]

    def _joined(
        self, columns: Mapping[str, Iterable[Any]], ending: Mapping[str, Iterable[Any]]
    ) -> list[dict[str, Any]]:
        """Return the rows of columns: a note, where there is one, stands before the last ones."""
        rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        of_none = self.decision.of_none
        for query in [] if of_none is None else np.flatnonzero(of_none).tolist():
            if familiarity := self._familiarity(query):
                rows[query]["note"] = familiarity.note
        for name, values in ending.items():
            for row, value in zip(rows, values, strict=True):
                row[name] = value
        return rows

    def _familiarity(self, query: int) -> Familiarity | None:
        decision = self.decision
        if decision.known is None or decision.of_none is None or self.nearest is None:
            return None
        known, nearest = float(decision.known[query]), float(self.nearest[query])
        is_new = bool(decision.of_none[query])
        # Counting words takes time, and only who doubts the answer asks for it.
        words = self._known_words(query) if self.reasons or is_new else None
        return Familiarity(known, None if np.isnan(nearest) else nearest, words, is_new)

    def _known_words(self, query: int) -> float | None:
        texts = self.queries.texts
        if not texts:
            return None
        vectorizer = self.answers.parts.text_scores.vectorizer
        return vectorizer.known_share(json.loads(texts[query] or "{}"))

    def _explanation(self, reasons: Reasons, query: int) -> Explanation:
        ranked = self.answers.ranked
        category, share = next(iter(ranked(self.result.vote, query)), ("", 0.0))
        blocks = zip(self.answers.parts.blocks, self.queries.present[query], strict=False)
        has = {block.modality for block, here in blocks if here}
        rankings = {m: ranked(vote, query) for m, vote in reasons.without.items() if m in has}
        cost = {m: share - dict(ranking).get(category, 0.0) for m, ranking in rankings.items()}
        head = float(self.result.head[query])
        without_head = dict(ranked(reasons.without_head, query)).get(category, 0.0)
        texts, parts = self.queries.texts, self.answers.parts
        words = parts.score_words(texts[query], category) if texts else []
        total = sum(added for _, added in words if added > 0)
        return Explanation(
            without={m: (r[0] if r else ("", 0.0)) for m, r in rankings.items()},
            decided_by=max(cost, key=cost.__getitem__) if category and cost else "",
            head=None if np.isnan(head) else head,
            share_without_head=None if np.isnan(head) else without_head,
            words=[pair for pair in words[:MOST_WORDS] if pair[1] > LEAST_PART * total],
        )
