"""From arrays of neighbours and votes to answers that people and programs read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from prodcat_index.cards.card import IMAGE
from prodcat_index.index.learned import head_log_proba
from prodcat_index.index.parts import IndexParts
from prodcat_index.index.search import Neighbours, find_neighbours
from prodcat_index.types import BoolArray, Float32Array, Int64Array
from prodcat_index.voting.decision import Decision
from prodcat_index.voting.prediction import ACCEPT, REVIEW, Explanation, Neighbour, Prediction
from prodcat_index.voting.vote import Vote, VoteParameters, vote


class VoteResult(NamedTuple):
    """What the nearest cards say of n queries."""

    found: Neighbours
    codes: Int64Array
    vote: Vote
    head: npt.NDArray[np.float64]


def search_and_vote(
    parts: IndexParts,
    vectors: Sequence[Float32Array],
    present: BoolArray,
    weights: npt.NDArray[np.float64],
    parameters: VoteParameters,
) -> VoteResult:
    """Let the nearest labelled cards vote, together with the linear head where one is weighed."""
    labels, learned = parts.labels, parts.learned
    k = min(parameters.k, len(parts.catalogue))
    found = find_neighbours(parts.space, vectors, present, weights, k, labels.labelled)
    codes = np.where(found.rows >= 0, labels.codes[found.rows], -1)
    heads = head_log_proba(learned.learner if learned else None, vectors, codes)
    weighed = weights[-1] * heads
    decided = vote(found.similarities, codes, labels.sizes, parameters, weighed)
    is_heard = parameters.head_exponent > 0 and bool(weighed.any())
    return VoteResult(found, codes, decided, _of_answer(heads, codes, decided, is_heard))


def _of_answer(
    heads: npt.NDArray[np.float32], codes: Int64Array, decided: Vote, is_heard: bool
) -> npt.NDArray[np.float64]:
    answered = (codes == decided.categories[:, :1]) & (codes >= 0) & is_heard
    probable = np.exp(np.where(answered, heads, -np.inf).max(axis=1))
    return np.where(answered.any(axis=1), probable, np.nan)


HUBNESS = "hubness"


@dataclass(frozen=True)
class Answers:
    """Looks up the cards behind row numbers."""

    parts: IndexParts

    @cached_property
    def _columns(self) -> dict[str, list[str]]:
        catalogue = self.parts.catalogue
        return {name: catalogue.values(name) for name in ("id", "title", IMAGE, "category")}

    def neighbours(
        self, found: Neighbours, query: int, vote: Vote | None = None
    ) -> list[Neighbour]:
        """Return one query's neighbours, with their shares of the vote if there was one."""
        shares = found.similarities * np.nan if vote is None else vote.neighbour_shares
        return [
            self._neighbour(found, query, place, None if vote is None else shares[query, place])
            for place in range(found.rows.shape[1])
            if found.rows[query, place] >= 0
        ]

    def _neighbour(
        self, found: Neighbours, query: int, place: int, share: float | None
    ) -> Neighbour:
        row = found.rows[query, place]
        cosines = zip(self.parts.block_names, found.by_block[query, place], strict=True)
        return Neighbour(
            id=self._columns["id"][row],
            title=self._columns["title"][row],
            image=self._columns[IMAGE][row],
            category=self._columns["category"][row],
            similarity=float(min(found.similarities[query, place], 1.0)),
            by_block={name: float(cosine) for name, cosine in cosines if not np.isnan(cosine)},
            vote_share=None if share is None else float(share),
            learned_from=self._learned_from(found, query, row),
        )

    def _learned_from(self, found: Neighbours, query: int, row: int) -> dict[str, float]:
        """Return what each block adds to the similarity in the learned block, and hubness."""
        learned = self.parts.learned
        if learned is None:
            return {}
        card = learned.unit_rows[row].astype(np.float32)
        blocks = zip(self.parts.blocks, found.learned, strict=True)
        added = {b.name: float(part[query] @ card) for b, part in blocks if part[query].any()}
        if added and learned.learner.hubness:
            added[HUBNESS] = float(learned.vectors[row, -1])
        return added

    def prediction(
        self,
        listing_id: str,
        result: VoteResult,
        decision: Decision,
        query: int,
        without: Mapping[str, Vote],
    ) -> Prediction:
        """Return one query's prediction, explained if it was voted on without each modality."""
        vote = result.vote
        ranked = self.ranked(vote, query)
        category = ranked[0][0] if ranked else ""
        key = self.parts.labels.keys[vote.categories[query, 0]] if ranked else ""
        return Prediction(
            id=listing_id,
            category=category,
            category_id=key,
            confidence=float(decision.confidence[query]),
            ranked=ranked,
            neighbours=self.neighbours(result.found, query, vote),
            explanation=self._explanation(ranked, result, query, without) if without else None,
            **self._decided(decision, vote, query),
        )

    def _decided(self, decision: Decision, vote: Vote, query: int) -> dict[str, Any]:
        fields: dict[str, Any] = {}
        if decision.accepted is not None and decision.backed_off is not None:
            fields["decision"] = ACCEPT if decision.accepted[query] else REVIEW
            fields["backed_off"] = decision.backed_off[query]
        if decision.in_set is not None:
            chosen = vote.categories[query][decision.in_set[query]]
            fields["category_set"] = tuple(self.parts.labels.names[code] for code in chosen)
        return fields

    def ranked(self, vote: Vote, query: int) -> list[tuple[str, float]]:
        """Return categories and shares, largest first."""
        names = self.parts.labels.names
        return [
            (names[code], float(share))
            for code, share in zip(vote.categories[query], vote.shares[query], strict=True)
            if code >= 0
        ]

    def _explanation(
        self,
        ranked: Sequence[tuple[str, float]],
        result: VoteResult,
        query: int,
        without: Mapping[str, Vote],
    ) -> Explanation:
        category, share = ranked[0] if ranked else ("", 0.0)
        rankings = {modality: self.ranked(vote, query) for modality, vote in without.items()}
        cost = {m: share - dict(ranking).get(category, 0.0) for m, ranking in rankings.items()}
        return Explanation(
            without={m: (r[0] if r else ("", 0.0)) for m, r in rankings.items()},
            decided_by=max(cost, key=cost.__getitem__) if category else "",
            head=None if np.isnan(result.head[query]) else float(result.head[query]),
        )


@dataclass(frozen=True)
class LazyAnswers:
    """The predictions for n listings, each made when it is read: with neighbours they are large."""

    answers: Answers
    ids: Sequence[str]
    result: VoteResult
    decision: Decision
    without: Mapping[str, Vote]

    def __len__(self) -> int:
        """Return the number of listings."""
        return len(self.ids)

    def __getitem__(self, query: int) -> Prediction:
        """Make the prediction for one listing."""
        return self.answers.prediction(
            self.ids[query], self.result, self.decision, query, self.without
        )
