"""ProductIndex: a catalogue that answers "which category?" and "what is like this?"."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from prodcat_index.cards.card import Card, Catalogue
from prodcat_index.encoders.registry import DEFAULT_PRESET
from prodcat_index.errors import QueryError
from prodcat_index.findings import Finding, name_first
from prodcat_index.index.adding import add_cards
from prodcat_index.index.answers import Answers, LazyAnswers, VoteResult, search_and_vote
from prodcat_index.index.build import EncoderChoice, build_parts
from prodcat_index.index.learned import ProjectionKind
from prodcat_index.index.parts import (
    IndexParts,
    Listings,
    check_comparable,
    encode_listings,
    listing_ids,
    without_modality,
)
from prodcat_index.index.search import Neighbours, find_neighbours
from prodcat_index.index.storage import load_parts, save_next, save_parts, save_settings
from prodcat_index.index.tune import SAMPLE, tune
from prodcat_index.types import BoolArray, Float32Array
from prodcat_index.voting.decision import accept_or_review, check_targets, trusted_calibration
from prodcat_index.voting.metrics import Score, score_predictions
from prodcat_index.voting.prediction import Neighbour, Predictions
from prodcat_index.voting.tuning import Objective, Setting, Tuning
from prodcat_index.voting.vote import VoteParameters, check_k

Weights = Mapping[str, float]


class ProductIndex:
    """An index of product cards.

    Make one with :meth:`build` or :meth:`load`.

    Parameters
    ----------
    parts
        Cards, embeddings, weights, vote parameters and FAISS index.
    findings
        What was noticed while building.

    Examples
    --------
    >>> index = ProductIndex.build(read_catalogue("catalogue.csv"))  # doctest: +SKIP
    >>> index.predict([Card(title="leather boots")])[0].category     # doctest: +SKIP
    'Shoes > Boots'
    """

    def __init__(self, parts: IndexParts, findings: Sequence[Finding] = ()) -> None:
        self.parts = parts
        self.findings = tuple(findings)
        self._answers = Answers(parts)

    def __len__(self) -> int:
        """Return the number of cards."""
        return len(self.parts.catalogue)

    @classmethod
    def build(
        cls,
        catalogue: Catalogue,
        *,
        encoders: EncoderChoice | None = None,
        preset: str = DEFAULT_PRESET,
        weights: Weights | None = None,
        vote_parameters: VoteParameters | None = None,
        projection: ProjectionKind = "lda",
    ) -> ProductIndex:
        """Embed a catalogue and index it.

        Parameters
        ----------
        catalogue
            Cards, at least one with a category. Unlabelled ones are found but do not vote.
        encoders
            Modality -> spec, or several specs; others take the preset's.
        preset
            Name of a preset of encoders.
        weights
            Modality or block -> weight. By default what is learned is weighed alone; where
            nothing is, every modality weighs the same.
        vote_parameters
            How neighbours vote by default. Where they are not given and something is learned,
            they vote together with a linear head.
        projection
            ``"lda"`` learns a linear discriminant from the labels, as the block ``learned``, and
            a linear head over it, where at least 100 cards have one; ``"none"`` does not.

        Raises
        ------
        CatalogueError
            If nothing can be learned from the catalogue.
        EncoderError
            If an encoder cannot be had.
        QueryError
            If the weights or vote parameters are wrong.
        """
        parts, findings = build_parts(
            catalogue, encoders or {}, preset, vote_parameters, projection
        )
        if weights is not None:
            vector = parts.weight_vector(weights)
            parts = parts.weighed(dict(zip(parts.block_names, vector.tolist(), strict=True)))
        return cls(parts.indexed(), findings)

    def save(self, folder: str | Path) -> Path:
        """Write the index into a folder, as a whole or not at all.

        Parameters
        ----------
        folder
            New, empty, or an index, which is replaced in one step.

        Returns
        -------
        pathlib.Path
            The folder.

        Raises
        ------
        IndexFolderError
            If it cannot be written; what was there before is unchanged then.
        """
        save_parts(self.parts, Path(folder))
        return Path(folder)

    @classmethod
    def load(
        cls, folder: str | Path, *, verify: bool = True, image_root: str | Path | None = None
    ) -> ProductIndex:
        """Open an index folder; its arrays stay on disk and its encoders are loaded when needed.

        Parameters
        ----------
        folder
            Written by :meth:`save`.
        verify
            Compare the sha256 of every file with the manifest's.
        image_root
            Where the pictures are now, if they moved since the index was built.

        Raises
        ------
        IndexFolderError
            If the folder is no index, of a newer format, or damaged.
        """
        root = Path(image_root).resolve() if image_root else None
        return cls(load_parts(Path(folder), verify=verify, image_root=root))

    def add(self, catalogue: Catalogue) -> ProductIndex:
        """Return this index with more cards, embedded by what was fitted when it was built.

        Encoders, means, projection, weights and vote stay as they are, and so do the rows of the
        cards that are there. New categories take part at once.

        Parameters
        ----------
        catalogue
            Cards with the same text modalities. One whose id is there already is skipped where
            its texts, labels and picture are the same too.

        Raises
        ------
        CatalogueError
            If the text modalities are others, or a card has the id of another card.
        EncoderError
            If an encoder cannot be loaded, or is another than at build time.
        """
        return ProductIndex(*add_cards(self.parts, catalogue))

    def save_next(self, folder: str | Path) -> Path:
        """Write this index over the one that it was loaded as, if that is still there.

        Parameters
        ----------
        folder
            That the index was loaded from before cards were added to it.

        Raises
        ------
        IndexFolderError
            If the folder has been changed since, or cannot be written; it is left as it is then.
        """
        save_next(self.parts, Path(folder))
        return Path(folder)

    def search(
        self, query: Card | str, k: int = 10, *, weights: Weights | None = None
    ) -> list[Neighbour]:
        """Find the cards nearest to a listing.

        Parameters
        ----------
        query
            A listing, or a text, which is taken as its title.
        k
            Number of neighbours.
        weights
            Modality or block -> weight; those of the index by default.

        Returns
        -------
        list of Neighbour
            Nearest first, equally near ones in the order of their ids; fewer than ``k`` when the
            index holds fewer cards.

        Raises
        ------
        QueryError
            If the query has nothing that this index embeds and weighs.
        """
        check_k(k)
        card = Card(title=query) if isinstance(query, str) else query
        check_comparable(self.parts, [card])
        encoded = encode_listings(self.parts.blocks, [card])
        found = self._find(*encoded, self.parts.weight_vector(weights), min(k, len(self)))
        if not found.weights.any():
            weighed = ", ".join(self.parts.weighed_modalities(weights))
            raise QueryError(
                f"This query has nothing that the index can compare: it weighs {weighed}, and the "
                "query has none of these that can be read and is known."
            )
        return self._answers.neighbours(found, 0)

    def similar(
        self, card_id: str, k: int = 10, *, weights: Weights | None = None
    ) -> list[Neighbour]:
        """Find the cards nearest to a card of the index, itself left out.

        Parameters
        ----------
        card_id
            Its id.
        k, weights
            As for :meth:`search`.

        Raises
        ------
        QueryError
            If there is no such card, or it has nothing of what is weighed.
        """
        check_k(k)
        row = self._row(card_id)
        queries = [block.vectors[[row]].astype(np.float32) for block in self.parts.blocks]
        present = np.array([[block.present[row] for block in self.parts.blocks]])
        others = np.arange(len(self)) != row
        vector = self.parts.weight_vector(weights)
        k = min(k, len(self))
        found = self._find(queries, present, vector, k, others)
        if not found.weights.any():
            weighed = ", ".join(self.parts.weighed_modalities(weights))
            raise QueryError(f"The card {card_id!r} has none of {weighed}; give other weights.")
        return self._answers.neighbours(found, 0)

    def card(self, card_id: str) -> Card:
        """Return a card of the index.

        Raises
        ------
        QueryError
            If there is no such card.
        """
        return self.parts.catalogue.card(self._row(card_id))

    def predict(
        self,
        listings: Listings,
        *,
        k: int | None = None,
        weights: Weights | None = None,
        temperature: float | None = None,
        prior_exponent: float | None = None,
        head_exponent: float | None = None,
        explain: bool = False,
        precision: float | None = None,
        coverage: float | None = None,
    ) -> Predictions:
        """Predict the category of listings.

        Parameters
        ----------
        listings
            A catalogue, or cards.
        k, weights, temperature, prior_exponent, head_exponent
            Those of the index by default; any of them may change without a rebuild.
        explain
            Vote again without each modality in turn, to say which one decided.
        precision
            Target precision of the answers to accept; the others are for review, and may be
            backed off to a prefix of their category.
        coverage
            Target share of the predictions' sets of categories that hold the true one.

        Returns
        -------
        Predictions
            In the listings' order. A listing with nothing to go by gets an empty category.

        Raises
        ------
        QueryError
            If a parameter is wrong, or the listings and the index have no modality in common; if
            a precision or sets are asked of an index that is not calibrated for this vote.
        """
        given: dict[str, Any] = {
            "k": k,
            "temperature": temperature,
            "prior_exponent": prior_exponent,
            "head_exponent": head_exponent,
        }
        asked = {name: value for name, value in given.items() if value is not None}
        parameters = replace(self.parts.vote, **asked)
        vector = self.parts.weight_vector(weights)
        is_own = parameters == self.parts.vote and np.allclose(
            vector, self.parts.weight_vector(None)
        )
        trusted = trusted_calibration(self.parts.calibration, is_own)
        check_targets(trusted, precision, coverage)
        check_comparable(self.parts, listings)
        encoded = encode_listings(self.parts.blocks, listings)

        def outcome(lacked: str = "") -> VoteResult:
            seen = without_modality(lacked, self.parts.blocks, *encoded)
            return search_and_vote(self.parts, *self.parts.with_learned(*seen), vector, parameters)

        decided = outcome()
        decided = decided._replace(found=self._told_apart(decided.found, *encoded))
        without = {
            modality: outcome(modality).vote
            for modality in (self.parts.weighed_modalities(weights) if explain else [])
        }
        ids = listing_ids(listings)
        names = self.parts.labels.names
        similarities = decided.found.similarities
        decision = accept_or_review(trusted, decided.vote, similarities, names, precision, coverage)
        answers = LazyAnswers(self._answers, ids, decided, decision, without)
        return Predictions(answers, decision.notes)

    def tune(
        self, *, objective: Objective = "weighted-f1", sample: int = SAMPLE, seed: int = 0
    ) -> Tuning:
        """Find the weights and the vote that predict this index's own cards best.

        Every card asks the others for its category; itself, its variants (same group), cards of
        the same texts and cards with the same picture are left out. Nothing is embedded again.

        Parameters
        ----------
        objective
            ``weighted-f1``, ``macro-f1``, ``accuracy``, or ``nll``, the mean logarithm of the
            true category's share.
        sample
            At most this many cards, drawn at random, ask; all are candidates.
        seed
            Of the sample and of the third that calibrates the confidence.

        Returns
        -------
        Tuning
            For :meth:`tuned`; this index stays as it is.

        Raises
        ------
        QueryError
            If the objective is unknown, or there are too few labelled cards.
        """
        return tune(self.parts, objective=objective, sample=sample, seed=seed, label="tuning")

    def tuned(self, tuning: Tuning) -> ProductIndex:
        """Return this index with the weights, the vote and the calibration that tuning found."""
        return self._with(tuning.after.setting, tuning)

    def restored(self) -> ProductIndex:
        """Return this index with the weights and the vote that it had before it was tuned.

        Raises
        ------
        QueryError
            If it is not tuned.
        """
        if self.parts.tuning is None:
            raise QueryError("This index is not tuned, so there is nothing to restore.")
        return self._with(self.parts.tuning.before.setting, None)

    def save_settings(self, folder: str | Path) -> Path:
        """Write weights, vote and tuning into an index folder that holds this very index.

        Parameters
        ----------
        folder
            That it was saved to or loaded from.

        Raises
        ------
        IndexFolderError
            If the folder holds another index by now, or cannot be written.
        """
        save_settings(self.parts, Path(folder))
        return Path(folder)

    def _with(self, setting: Setting, tuning: Tuning | None) -> ProductIndex:
        weights = dict(zip(self.parts.block_names, setting.weights, strict=True))
        drift = self.parts.drift
        if tuning and drift:
            drift = replace(drift, tuned_cards=len(self))
        parts = replace(
            self.parts,
            weights=weights,
            vote=setting.vote,
            tuning=tuning,
            calibration=tuning.calibration if tuning else None,
            drift=drift,
        )
        return ProductIndex(parts, self.findings)

    def score(self, predictions: Predictions, truths: Mapping[str, str]) -> Score:
        """Compare predictions with true categories.

        Parameters
        ----------
        predictions
            From :meth:`predict`.
        truths
            Id of a listing -> its true category, or the shop's own key of it. Listings that are
            not named are left out.

        Raises
        ------
        QueryError
            If no listing is named.
        """
        labels = self.parts.labels
        true = set(truths.values())
        by_key = len(true.intersection(labels.keys)) > len(true.intersection(labels.names))
        told = [p for p in predictions if p.id in truths]
        if not told:
            raise QueryError("No listing is among the true categories; compare the ids of both.")
        return score_predictions(
            [truths[p.id] for p in told],
            [p.category_id if by_key else p.category for p in told],
            labels.keys if by_key else labels.names,
        )

    def _find(
        self,
        queries: Sequence[Float32Array],
        present: BoolArray,
        weights: npt.NDArray[np.float64],
        k: int,
        eligible: BoolArray | None = None,
    ) -> Neighbours:
        vectors, there = self.parts.with_learned(queries, present)
        found = find_neighbours(self.parts.space, vectors, there, weights, k, eligible)
        return self._told_apart(found, queries, present)

    def _told_apart(
        self, found: Neighbours, queries: Sequence[Float32Array], present: BoolArray
    ) -> Neighbours:
        """Add what each block of the queries contributes to the learned one."""
        if self.parts.learned is None:
            return found
        return replace(found, learned=self.parts.learned.learner.projection.parts(queries, present))

    def _row(self, card_id: str) -> int:
        ids = self.parts.catalogue.ids
        try:
            return ids.index(card_id)
        except ValueError:
            raise QueryError(
                f"There is no card {card_id!r} in this index; "
                f"its ids are like {name_first(ids, 3)}."
            ) from None
