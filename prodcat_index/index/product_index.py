"""ProductIndex: a catalogue that answers "which category?" and "what is like this?"."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from prodcat_index.cards.card import Card, Catalogue
from prodcat_index.encoders.base import BoolArray, FloatArray
from prodcat_index.encoders.registry import DEFAULT_PRESET
from prodcat_index.errors import QueryError
from prodcat_index.findings import Finding, name_first
from prodcat_index.index.answers import Answers
from prodcat_index.index.building import EncoderChoice, build_parts
from prodcat_index.index.fusion import weight_vector
from prodcat_index.index.neighbours import Neighbours, find_neighbours
from prodcat_index.index.parts import IndexParts
from prodcat_index.index.storage import load_parts, save_parts, save_settings
from prodcat_index.index.tuning import SAMPLE, tune
from prodcat_index.voting.metrics import Score, score_predictions
from prodcat_index.voting.prediction import Neighbour, Prediction, Predictions
from prodcat_index.voting.tuning import Objective, Setting, Tuning
from prodcat_index.voting.vote import Vote, VoteParameters, vote

Listings = Catalogue | Sequence[Card]
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
            Modality or block -> weight; equal for every modality by default.
        vote_parameters
            How neighbours vote by default.

        Raises
        ------
        CatalogueError
            If nothing can be learned from the catalogue.
        EncoderError
            If an encoder cannot be had.
        QueryError
            If the weights or vote parameters are wrong.
        """
        chosen = vote_parameters or VoteParameters()
        _check_vote(chosen)
        parts, findings = build_parts(catalogue, encoders or {}, preset, chosen)
        index = cls(parts, findings)
        if weights is None:
            return index
        vector = index._weight_vector(weights)
        named = dict(zip(parts.block_names, vector.tolist(), strict=True))
        return cls(replace(parts, weights=named), findings)

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
        _check_k(k)
        card = Card(title=query) if isinstance(query, str) else query
        found = self._neighbours([card], min(k, len(self)), self._weight_vector(weights))
        if not found.weights.any():
            raise QueryError(
                "This query has nothing that the index can compare: it weighs "
                f"{', '.join(self._weighed(weights))}, and the query has none of these "
                "that can be read and is known."
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
        _check_k(k)
        row = self._row(card_id)
        present = self.parts.space.present[[row]]
        queries = [block.vectors[[row]].astype(np.float32) for block in self.parts.blocks]
        others = np.arange(len(self)) != row
        vector = self._weight_vector(weights)
        k = min(k, len(self))
        found = find_neighbours(self.parts.space, queries, present, vector, k, others)
        if not found.weights.any():
            raise QueryError(
                f"The card {card_id!r} has none of {', '.join(self._weighed(weights))}; "
                "give other weights."
            )
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
        explain: bool = False,
    ) -> Predictions:
        """Predict the category of listings.

        Parameters
        ----------
        listings
            A catalogue, or cards.
        k, weights, temperature, prior_exponent
            Those of the index by default; any of them may change without a rebuild.
        explain
            Vote again without each modality in turn, to say which one decided.

        Returns
        -------
        Predictions
            In the listings' order. A listing with nothing to go by gets an empty category.

        Raises
        ------
        QueryError
            If a parameter is wrong, or the listings and the index have no modality in common.
        """
        given: dict[str, Any] = {
            "k": k,
            "temperature": temperature,
            "prior_exponent": prior_exponent,
        }
        asked = {name: value for name, value in given.items() if value is not None}
        parameters = replace(self.parts.vote, **asked)
        _check_vote(parameters)
        parameters = replace(parameters, k=min(parameters.k, len(self)))
        self._check_common_modality(listings)
        queries, present = self._encode(listings)
        vector = self._weight_vector(weights)

        def outcome(shared: npt.NDArray[np.float64]) -> tuple[Neighbours, Vote]:
            labels = self.parts.labels
            found = find_neighbours(
                self.parts.space, queries, present, shared, parameters.k, labels.labelled
            )
            codes = np.where(found.rows >= 0, labels.codes[found.rows], -1)
            return found, vote(found.similarities, codes, labels.sizes, parameters)

        found, decided = outcome(vector)
        without = {
            modality: outcome(np.where(self._is_block_of(modality), 0.0, vector))[1]
            for modality in (self._weighed(weights) if explain else [])
        }
        ids = listings.ids if isinstance(listings, Catalogue) else [card.id for card in listings]

        def make(position: int) -> Prediction:
            return self._answers.prediction(ids[position], found, decided, position, without)

        return Predictions(len(ids), make)

    def tune(
        self,
        *,
        objective: Objective = "weighted-f1",
        sample: int = SAMPLE,
        seed: int = 0,
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
            Of the sample.

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
        """Return this index with the weights and the vote that tuning found."""
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
        parts = replace(self.parts, weights=weights, vote=setting.vote, tuning=tuning)
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

    def _neighbours(
        self, listings: Listings, k: int, weights: npt.NDArray[np.float64]
    ) -> Neighbours:
        self._check_common_modality(listings)
        queries, present = self._encode(listings)
        return find_neighbours(self.parts.space, queries, present, weights, k)

    def _encode(self, listings: Listings) -> tuple[list[FloatArray], BoolArray]:
        label = "embedding {}" if len(listings) > 1 else ""
        encoded = [
            block.encode_queries(_values(listings, block.modality), label.format(block.name))
            for block in self.parts.blocks
        ]
        return [vectors for vectors, _ in encoded], np.stack([p for _, p in encoded], axis=1)

    def _check_common_modality(self, listings: Listings) -> None:
        if len(listings) == 0:
            raise QueryError("There is no listing to look up.")
        if not any(any(_values(listings, modality)) for modality in self.parts.modalities):
            raise QueryError(
                f"This index embeds {', '.join(self.parts.modalities)}, and the query has none of "
                "these; give one of them, or build an index with what it has."
            )

    def _weight_vector(self, weights: Weights | None) -> npt.NDArray[np.float64]:
        blocks = self.parts.blocks
        expanded: dict[str, float] = {}
        for name, weight in (self.parts.weights if weights is None else weights).items():
            of_modality = [b.name for b in blocks if b.modality == name] or [name]
            for block in of_modality:
                expanded[block] = expanded.get(block, 0.0) + weight / len(of_modality)
        return weight_vector(expanded, self.parts.block_names)

    def _weighed(self, weights: Weights | None) -> list[str]:
        vector = self._weight_vector(weights)
        blocks = self.parts.blocks
        return list(dict.fromkeys(b.modality for b, w in zip(blocks, vector, strict=True) if w))

    def _is_block_of(self, modality: str) -> BoolArray:
        return np.array([block.modality == modality for block in self.parts.blocks])

    def _row(self, card_id: str) -> int:
        ids = self.parts.catalogue.ids
        try:
            return ids.index(card_id)
        except ValueError:
            raise QueryError(
                f"There is no card {card_id!r} in this index; "
                f"its ids are like {name_first(ids, 3)}."
            ) from None


def _values(listings: Listings, modality: str) -> list[str]:
    if isinstance(listings, Catalogue):
        return listings.values(modality)
    return [card.value(modality) for card in listings]


def _check_k(k: int) -> None:
    if k < 1:
        raise QueryError(f"The number of neighbours k must be 1 or more; it is {k}.")


def _check_vote(parameters: VoteParameters) -> None:
    _check_k(parameters.k)
    if not (np.isfinite(parameters.temperature) and parameters.temperature > 0):
        raise QueryError(f"The temperature must be above 0; it is {parameters.temperature}.")
    if not np.isfinite(parameters.prior_exponent):
        raise QueryError(f"The prior exponent must be a number; it is {parameters.prior_exponent}.")
