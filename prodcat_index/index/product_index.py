"""ProductIndex: a catalogue that answers "which category?" and "which products are similar?"."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from html import escape
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Any

import numpy as np

from prodcat_index.cards.card import IMAGE, Card, Catalogue
from prodcat_index.cards.catalogue import Vectors, as_catalogue, as_listings
from prodcat_index.cards.cleaning import raw_text, tidy
from prodcat_index.cards.comparison import Column
from prodcat_index.cards.inputs import CardSource
from prodcat_index.cards.target import unify
from prodcat_index.cards.where import Filter, Matches, parse
from prodcat_index.encoders.registry import DEFAULT_PRESET
from prodcat_index.errors import QueryError, check_named, check_type
from prodcat_index.findings import Finding, list_findings, name_first
from prodcat_index.index.answers import (
    Answers,
    LazyAnswers,
    Reasons,
    VoteResult,
    describe_shift,
    follow_shift,
)
from prodcat_index.index.block import (
    check_comparable,
    hint_vectors,
    lacked_vectors,
    unusable_pictures,
)
from prodcat_index.index.encoded_listings import EncodedListings, Queries, join_queries
from prodcat_index.index.fusion import check_weights, weight_vector
from prodcat_index.index.kinds import Asked, IndexChoice, parse_memory
from prodcat_index.index.learned import ProjectionKind
from prodcat_index.index.living import LivingIndex
from prodcat_index.index.manifest import SCORES, Choices
from prodcat_index.index.parts import IndexParts
from prodcat_index.index.reading import find_moved, load_parts
from prodcat_index.index.search import find_neighbours
from prodcat_index.index.stores import StoreAddress
from prodcat_index.types import BoolArray, Int64Array
from prodcat_index.voting.calibration import Calibration
from prodcat_index.voting.decision import (
    Decision,
    Per,
    accept_or_review,
    check_targets,
    trusted_calibration,
)
from prodcat_index.voting.label_shift import check_adjustable, estimate_for
from prodcat_index.voting.metrics import Score, score_predictions
from prodcat_index.voting.prediction import Neighbour, Predictions
from prodcat_index.voting.vote import VoteParameters, check_k

if TYPE_CHECKING:
    from prodcat_index.index.build import EncoderChoice
    from prodcat_index.index.own_cards import Voting

Weights = Mapping[str, float]

BLANK = "listings have nothing that this index embeds (no answer)"


class ProductIndex(LivingIndex):
    """An index of product cards, made by :meth:`build` or :meth:`load`.

    It does not change: :meth:`add`, :meth:`sync`, :meth:`tuned` and the like return another one.

    Parameters
    ----------
    parts
        Cards, embeddings, weights, vote parameters and search index.
    findings
        What was noticed while building, such as pictures that cannot be read.

    Examples
    --------
    >>> index = ProductIndex.build(read_catalogue("catalogue.csv"))  # doctest: +SKIP
    >>> index.predict([Card(title="leather boots")])[0].category     # doctest: +SKIP
    'Shoes > Boots'
    """

    def __init__(self, parts: IndexParts, findings: Sequence[Finding] = ()) -> None:
        super().__init__(parts, findings)
        self._answers = Answers(parts)
        self._columns: dict[str, Column] = {}

    def __len__(self) -> int:
        """Return the number of cards."""
        return len(self.parts.catalogue)

    def __repr__(self) -> str:
        """Return the size, the weights and the state of the index in one line."""
        parts = self.parts
        weights = ", ".join(f"{name} {parts.weights[name]:.2f}" for name in parts.block_names)
        state = "tuned" if parts.tuning else "not tuned"
        calibrated = "calibrated" if parts.calibration else "not calibrated"
        return (
            f"<ProductIndex: {len(self):,} cards, {len(parts.labels.names):,} categories; "
            f"weights: {weights}; {state}, {calibrated}>"
        )

    def _repr_html_(self) -> str:
        """Return the same with a table of the blocks, for notebooks."""
        import pandas as pd

        parts, searched = self.parts, self.parts.search_weights
        specs = [block.slot.spec for block in parts.blocks]
        table = pd.DataFrame(
            {
                "block": parts.block_names,
                "encoder": specs + ["fitted projection"] * (parts.learned is not None),
                "dimensions": [block.dim for block in parts.all_blocks],
                "weight in votes": [parts.weights[name] for name in parts.block_names],
                "weight in a search": [searched.get(name, 0.0) for name in parts.block_names],
            }
        )
        shown = table.to_html(index=False, float_format="%.2f")
        return f"<p>{escape(repr(self)[1:-1])}; {self.parts.vote.describe()}</p>\n{shown}"

    @classmethod
    def build(
        cls,
        catalogue: CardSource,
        *,
        encoders: EncoderChoice | None = None,
        preset: str = DEFAULT_PRESET,
        weights: Weights | None = None,
        vote_parameters: VoteParameters | None = None,
        projection: ProjectionKind = "lda",
        vectors: Vectors | None = None,
        index: Asked = "auto",
        memory: int | str | None = None,
        recall: float = 0.99,
    ) -> ProductIndex:
        """Embed a catalogue and index it.

        Parameters
        ----------
        catalogue
            Cards, at least one with a category: a catalogue, or anything that
            :func:`~prodcat_index.cards.catalogue.read_catalogue` reads, such as a file, a
            DataFrame or a list of dicts. Unlabelled cards are found but do not vote.
        encoders
            Modality -> encoder spec, or several specs. The other modalities take the preset's.
        preset
            Name of a preset of encoders.
        weights
            Modality or block -> weight of the vote. By default ``learned`` and ``scores``
            share it as answers the cards best, each answered by the others; where there is no
            ``learned``, every modality weighs the same.
        vote_parameters
            Default parameters of the vote. Where neither they nor the weights are given and there
            is a block ``learned``, temperature and head exponent are chosen in the same way.
        projection
            ``"lda"`` learns from the labels if at least 100 cards have a category: a linear
            discriminant projection, as the block ``learned``; scores of the categories by the
            n-grams of all texts, as the block ``scores``; and the calibration of the confidence.
            ``"none"`` does not.
        vectors
            Modality -> embeddings of your own, one row a card, zeros or NaN where a card has none.
            They take the place of an encoder; listings are compared by vectors of the same model.
        index
            Kind of the search index: ``"flat"`` compares every card, ``"sq8"`` 8 bits a value of
            every card, ``"ivf"`` those of the cards in cells near the query, ``"hnsw"`` those on a
            walk through a graph. By default chosen by size and memory. Similarities are exact
            in all of them; those that are not flat may miss a card.
        memory
            Bytes, or a size such as ``"2GB"``, that the search index may keep in memory.
        recall
            Share of the nearest cards that a search index is to find, measured while building.

        Returns
        -------
        ProductIndex
            The index, in memory; its ``findings`` name the cards that could not be read or
            embedded.

        Raises
        ------
        CatalogueError
            If no card has a category, or none has anything to embed.
        EncoderError
            If an encoder cannot be loaded.
        QueryError
            If the weights, the vote parameters or the projection are impossible.
        TypeError
            If something is of the wrong type.
        """
        from prodcat_index.index.build import build_parts, possible_blocks, settle

        what = "Parameters of the vote are VoteParameters, such as VoteParameters(k=5)"
        check_type(vote_parameters, (VoteParameters, NoneType), what)
        # Before anything is embedded, as the weights below.
        if memory is not None and index != "auto":
            raise QueryError(f"Leave out memory, or index={index!r}: each says the kind.")
        asked = IndexChoice(
            index, parse_memory(memory) if isinstance(memory, str) else memory, recall
        )
        read = as_catalogue(catalogue, vectors=vectors)
        noticed = () if catalogue is read else read.findings
        if weights is not None:
            # Before anything is embedded, which may take hours.
            weight_vector(weights, possible_blocks(read, encoders or {}, preset))
        parts, findings = build_parts(read, encoders or {}, preset, vote_parameters, projection)
        has_vote = vote_parameters is not None
        parts = settle(parts, weights, has_vote=has_vote)
        choices = Choices(projection, weights=weights is not None, vote=has_vote)
        parts = replace(parts, choices=choices, asked=asked).indexed(is_fitted=True)
        return cls(parts, (*noticed, *findings))

    @property
    def catalogue(self) -> Catalogue:
        """The cards, with the columns that they were read from: ``read_catalogue(like=)``.

        Vectors that came with them are centred, as the index holds them.
        """
        given = {b.modality: np.asarray(b.vectors) for b in self.parts.blocks if b.kind == "vector"}
        return replace(self.parts.catalogue, vectors=given) if given else self.parts.catalogue

    def save(
        self, folder: str | Path, *, wait: float = 0.0, store: str | StoreAddress | None = None
    ) -> Path:
        """Write the index into a folder, as a whole or not at all.

        Parameters
        ----------
        folder
            A new or empty folder, or an index, which is replaced in one step.
        wait
            Seconds to wait for another process that writes the index.
        store
            Address of a store, such as ``"postgresql://shop@db.example/catalogue"``, that is to
            hold the rows of the cards and to search them; the folder holds all else. By default
            the folder holds all. The index that is loaded from the folder stays in its store.

        Returns
        -------
        pathlib.Path
            The folder.

        Raises
        ------
        IndexFolderError
            If the folder cannot be written. What was there before is unchanged then.
        StoreError
            If the store cannot be reached, or cannot hold rows of this length; likewise.
        """
        from prodcat_index.index.storage import save_parts

        address = StoreAddress(store) if isinstance(store, str) else store
        save_parts(self.parts, _as_folder(folder), wait=wait, store=address)
        return Path(folder)

    @classmethod
    def load(
        cls, folder: str | Path, *, verify: bool = True, image_root: str | Path | None = None
    ) -> ProductIndex:
        """Open an index folder. Its arrays stay on disk; its encoders are loaded when needed.

        Parameters
        ----------
        folder
            Folder written by :meth:`save`.
        verify
            Whether to compare the sha256 of every file with the manifest's. Without, those of
            files above 4 MB are left out, which are the rows and large catalogues.
        image_root
            Folder of the pictures, if they moved since the index was built; for good with
            :meth:`save_image_root`.

        Returns
        -------
        ProductIndex
            The index; its ``findings`` tell if its pictures are not where they were.

        Raises
        ------
        IndexFolderError
            If the folder is no index, of a newer format, or damaged.
        """
        root = Path(os.path.realpath(image_root)) if image_root else None
        folder = _as_folder(folder)
        parts = load_parts(folder, verify=verify, image_root=root)
        return cls(parts, find_moved(parts.catalogue, folder))

    def save_next(self, folder: str | Path, *, wait: float = 0.0) -> Path:
        """Write this index over the one that it was loaded as, if that is still there.

        Parameters
        ----------
        folder
            Folder that the index was loaded from before it was changed.
        wait
            Seconds to wait for another process that writes the index.

        Returns
        -------
        pathlib.Path
            The folder.

        Raises
        ------
        IndexFolderError
            If the folder has changed since, or cannot be written. It is left as it is then.
        """
        from prodcat_index.index.storage import save_next

        save_next(self.parts, _as_folder(folder), wait)
        return Path(folder)

    @staticmethod
    def rollback(folder: str | Path, *, wait: float = 0.0) -> Path:
        """Go back to the version of an index folder before the current one; twice is back again.

        Parameters
        ----------
        folder
            Folder of an index.
        wait
            Seconds to wait for another process that writes the index.

        Returns
        -------
        pathlib.Path
            The folder; :meth:`load` it again.

        Raises
        ------
        IndexFolderError
            If there is no version before, or the folder cannot be written.
        """
        from prodcat_index.index.transaction import rollback

        rollback(_as_folder(folder), wait)
        return Path(folder)

    def search(
        self,
        query: Card | str | EncodedListings = "",
        k: int = 10,
        *,
        weights: Weights | None = None,
        where: str | Filter | None = None,
        vectors: Vectors | None = None,
    ) -> list[Neighbour]:
        """Find the cards nearest to a listing.

        Parameters
        ----------
        query
            A listing, or a text, which is taken as its title; or one from :meth:`encode`.
        k
            Number of neighbours.
        weights
            Modality or block -> weight. By default those of the index for a search, in which
            the blocks that are fitted to labels count nothing: they tell categories apart, not
            products.
        where
            Filter of the cards that may be found, as for :meth:`matches`.
        vectors
            Modality -> vector of the listing, where the index has vectors of a modality.

        Returns
        -------
        list of Neighbour
            Nearest first, equally near ones in the order of their ids; fewer than ``k`` if the
            index holds fewer cards, or fewer match the filter.

        Raises
        ------
        QueryError
            If the query has nothing that this index embeds and weighs, if its picture cannot be
            read, or if the filter is none of these cards.
        """
        return self.search_each([query], k, weights=weights, where=where, vectors=vectors)[0]

    def search_each(
        self,
        queries: Sequence[Card | str | EncodedListings],
        k: int = 10,
        *,
        weights: Weights | None = None,
        where: str | Filter | None = None,
        vectors: Vectors | None = None,
    ) -> list[list[Neighbour]]:
        """Find the cards nearest to each of several listings, as :meth:`search` does, at once.

        Parameters
        ----------
        queries
            Listings, texts, or one encoded listing each.
        k, weights, where, vectors
            As for :meth:`search`.

        Returns
        -------
        list of list of Neighbour
            For each query what :meth:`search` returns for it alone.
        """
        k = check_k(k)
        weights = self.parts.search_weights if weights is None else weights
        check_weights(weights)
        eligible = self._eligible(where)
        # To read the n-grams of the text scores may take longer than all the rest.
        is_scored = weights.get(SCORES, 0.0) > 0
        encoded = [self._as_query(query, vectors, is_scored=is_scored) for query in queries]
        joined = join_queries([each.queries for each in encoded])
        return self._nearest(joined, k, weights, eligible, is_exact=where is not None)

    def _as_query(self, query: Any, vectors: Vectors | None, *, is_scored: bool) -> EncodedListings:
        """Return what is searched for, encoded; raise an error if it is not one listing."""
        if isinstance(query, EncodedListings):
            if len(query) != 1:
                raise QueryError(f"A query is one listing; these are {len(query):,}.")
            check_comparable(self.parts, query.listings, scored=is_scored)
        else:
            card: Any = Card(title=query) if isinstance(query, str) else query
            if not isinstance(card, Card):
                kind = type(card).__name__
                raise TypeError(
                    f"A query is a Card, or a text for its title; this is of type {kind}."
                )
            listing = as_listings(card, self.parts.catalogue, vectors)
            check_comparable(self.parts, listing, scored=is_scored)
            query = EncodedListings(listing, self.parts.encode(listing, scored=is_scored))
        for reason in query.queries.problems:
            picture = query.listings.values(IMAGE)[0]
            raise QueryError(f"The picture {picture} of the query cannot be used: {reason}.")
        return query

    def similar(
        self,
        card_id: object,
        k: int = 10,
        *,
        weights: Weights | None = None,
        where: str | Filter | None = None,
    ) -> list[Neighbour]:
        """Find the cards nearest to a card of the index, the card itself left out.

        Parameters
        ----------
        card_id
            Id of the card, a text or any other scalar, such as the number 100.
        k, weights, where
            As for :meth:`search`.

        Returns
        -------
        list of Neighbour
            As from :meth:`search`.

        Raises
        ------
        QueryError
            If there is no such card, or it has nothing of what is weighed.
        """
        k = check_k(k)
        row, blocks = self._row(card_id), self.parts.blocks
        vectors = [block.vectors[[row]].astype(np.float32) for block in blocks]
        queries = self.parts.with_learned(vectors, np.array([[b.present[row] for b in blocks]]))
        others = self._eligible(where) & (np.arange(len(self)) != row)
        weights = self.parts.search_weights if weights is None else weights
        what, is_exact = f"The card {card_id!r}", where is not None
        return self._nearest(queries, k, weights, others, is_exact=is_exact, what=what)[0]

    def matches(self, where: str | Filter) -> Matches:
        """Return the cards of the index that match a filter.

        Parameters
        ----------
        where
            Comparisons of columns of the cards, such as ``brand = Bosch and price < 5000`` or
            ``category under "Tools > Drills" and not brand in (Bosch, "Black & Decker")``.

        Returns
        -------
        Matches
            ``mask``, whether each card matches, of shape (N,); and ``notes``, how many match, and
            how many are left out because a price, or what else is compared with a number, is none.

        Raises
        ------
        QueryError
            If the filter cannot be read, or names a column that the cards do not have.
        """
        parsed = where if isinstance(where, Filter) else parse(where)
        return parsed.matches(self.parts.catalogue, self._columns)

    def _eligible(self, where: str | Filter | None) -> BoolArray:
        found = self.parts.found
        return found if where is None else found & self.matches(where).mask

    def card(self, card_id: object) -> Card:
        """Return a card of the index.

        Parameters
        ----------
        card_id
            Id of the card, a text or any other scalar.

        Returns
        -------
        Card
            The card as it was indexed.

        Raises
        ------
        QueryError
            If there is no such card.
        """
        return self.parts.catalogue.card(self._row(card_id))

    def encode(self, listings: CardSource, *, vectors: Vectors | None = None) -> EncodedListings:
        """Embed listings, to be asked about any number of times.

        Parameters
        ----------
        listings, vectors
            As for :meth:`predict`.

        Returns
        -------
        EncodedListings
            For :meth:`predict` and, listing by listing, for :meth:`search`, of this index.

        Raises
        ------
        QueryError
            If the listings and the index have no modality in common.
        CatalogueError
            If the listings are not a catalogue yet and cannot be read as one.
        TypeError
            If something is of the wrong type.
        """
        read, noticed = self._read_listings(listings, vectors)
        return EncodedListings(read, self.parts.encode(read), noticed)

    def _read_listings(
        self, listings: CardSource, vectors: Vectors | None
    ) -> tuple[Catalogue, tuple[str, ...]]:
        """Return listings that can be compared with this index, and what was noticed."""
        parts = self.parts
        read = as_listings(listings, parts.catalogue, vectors)
        noticed = () if listings is read else (*read.notes, *map(str, read.findings))
        check_comparable(parts, read)
        if lacked := lacked_vectors(parts, read):
            what = f"no listing has vectors of {' or '.join(lacked)}, so only the rest is compared"
            noticed = (*noticed, f"{what}.{hint_vectors(lacked)}")
        return read, noticed

    def predict(
        self,
        listings: CardSource | EncodedListings,
        *,
        k: int | None = None,
        weights: Weights | None = None,
        temperature: float | None = None,
        prior_exponent: float | None = None,
        head_exponent: float | None = None,
        explain: bool = False,
        precision: float | None = None,
        per: Per = "all",
        coverage: float | None = None,
        where: str | Filter | None = None,
        vectors: Vectors | None = None,
        adjust_prior: bool = False,
    ) -> Predictions:
        """Predict the categories of listings.

        A listing that is a labelled card of this index, with the same id and title, is answered
        as a new one: without itself and its group, and by what is fitted without them, as in
        cross-validation. A note counts these.

        Parameters
        ----------
        listings
            A catalogue; cards, texts, which are taken as titles, or a list of these; listings
            from :meth:`encode`; or anything else that :meth:`build` takes, which is read from the
            columns that the index was built from. A text that ends as the name of a file, such as
            ``"new.csv"``, is a path.
        k, weights, temperature, prior_exponent, head_exponent
            By default those of the index. Any of them may change without a rebuild.
        explain
            Whether to vote again without each modality in turn and without the linear head, to
            show what the answer is due to.
        precision
            Target precision of accepted answers. The other answers are for review, and may be
            backed off to a prefix of the category.
        per
            What keeps the precision: all accepted answers together, or those of each category by
            itself, ``"category"``. Answers of categories that cannot show it are for review then,
            and nothing is backed off.
        coverage
            Target share of listings whose set of categories holds the true one.
        where
            Filter of the cards that may vote, as for :meth:`matches`. The confidence is not
            calibrated then.
        vectors
            Modality -> array of one row a listing, where the index has vectors of a modality.
        adjust_prior
            Whether to estimate how often each category comes among these listings, by expectation
            maximization (Saerens et al., 2002), and to weigh the answers by it: for a delivery
            whose categories are mixed otherwise than in the index. A note says what changed.
            Fewer than 30 listings are answered as they are.

        Returns
        -------
        Predictions
            In the order of the listings. A listing with nothing to compare gets an empty
            category. What was noticed while reading them is in its ``notes``.

        Raises
        ------
        QueryError
            If a parameter is impossible, if the listings and the index have no modality in
            common, if a target or `adjust_prior` is given and the index is not calibrated for this
            vote, or if the filter is none of these cards or matches none of them.
        CatalogueError
            If the listings are not a catalogue yet and cannot be read as one.
        TypeError
            If something is of the wrong type.
        """
        return self.predict_each(
            [listings],
            k=k,
            weights=weights,
            temperature=temperature,
            prior_exponent=prior_exponent,
            head_exponent=head_exponent,
            explain=explain,
            precision=precision,
            per=per,
            coverage=coverage,
            where=where,
            vectors=vectors,
            adjust_prior=adjust_prior,
        )[0]

    def predict_each(
        self,
        deliveries: Sequence[CardSource | EncodedListings],
        *,
        k: int | None = None,
        weights: Weights | None = None,
        temperature: float | None = None,
        prior_exponent: float | None = None,
        head_exponent: float | None = None,
        explain: bool = False,
        precision: float | None = None,
        per: Per = "all",
        coverage: float | None = None,
        where: str | Filter | None = None,
        vectors: Vectors | None = None,
        adjust_prior: bool = False,
    ) -> list[Predictions]:
        """Predict the categories of several deliveries of listings at once.

        Parameters
        ----------
        deliveries
            Listings as for :meth:`predict`, of each delivery.
        k, weights, temperature, prior_exponent, head_exponent, explain, precision, per, coverage, \
        where, vectors, adjust_prior
            As for :meth:`predict`.

        Returns
        -------
        list of Predictions
            For each delivery what :meth:`predict` returns for it alone, notes included.
        """
        from prodcat_index.index.own_cards import Voting, find_own

        parts, own = self.parts, self.parts.vote
        parameters = VoteParameters(
            own.k if k is None else k,
            own.temperature if temperature is None else temperature,
            own.prior_exponent if prior_exponent is None else prior_exponent,
            own.head_exponent if head_exponent is None else head_exponent,
        )
        vector = parts.weight_vector(weights)
        is_own = parameters == own and np.allclose(vector, parts.weight_vector(None))
        matched = None if where is None else self.matches(where)
        voters = matched and matched.mask
        if matched and not matched.mask.any():
            summary = matched.notes[0]
            raise QueryError(f"{summary[0].upper()}{summary[1:]}")
        trusted = trusted_calibration(parts.calibration, is_own, is_filtered=voters is not None)
        # Before anything is embedded, which may take hours.
        check_targets(trusted, precision, coverage, per)
        if adjust_prior:
            check_adjustable(trusted)
        encoded = [
            each if isinstance(each, EncodedListings) else self.encode(each, vectors=vectors)
            for each in deliveries
        ]
        for each in encoded:
            check_comparable(parts, each.listings)
        # Cards without ids are none of the index, whose ids need not be read then.
        own_rows = [
            find_own(parts, parts.row_of if any(e.listings.ids) else {}, e.listings)
            for e in encoded
        ]
        explained = parts.weighed_modalities(weights) if explain else ()
        is_judged = not isinstance(trusted, str)
        voting = Voting(vector, parameters, explained, voters, is_judged=is_judged)
        encoded, voted = self._vote(encoded, own_rows, voting)
        decide = partial(accept_or_review, trusted, precision=precision, coverage=coverage, per=per)
        noticed = matched.notes if matched else ()
        adjusted = trusted if adjust_prior else ""
        return [
            self._predictions(each, rows, result, reasons, decide, noticed, adjusted)
            for each, rows, (result, reasons) in zip(encoded, own_rows, voted, strict=True)
        ]

    def _vote(
        self, encoded: list[EncodedListings], own_rows: Sequence[Int64Array], voting: Voting
    ) -> tuple[list[EncodedListings], list[tuple[VoteResult, Reasons | None]]]:
        """Vote on several deliveries, at once; an engine may embed them first."""
        from prodcat_index.index.own_cards import share_out, vote_as_new

        joined = join_queries([each.queries for each in encoded])
        voted = vote_as_new(self.parts, joined, np.concatenate(own_rows), voting)
        return encoded, share_out(voted, [*map(len, encoded)])

    def _predictions(
        self,
        encoded: EncodedListings,
        own_rows: Int64Array,
        result: VoteResult,
        reasons: Reasons | None,
        decide: Callable[..., Decision],
        noticed: Sequence[str],
        adjusted: Calibration | str,
    ) -> Predictions:
        """Decide on the votes of one delivery; where a calibration is given, its mix counts."""
        from prodcat_index.index import familiarity
        from prodcat_index.index.own_cards import describe_own

        parts, read, queries = self.parts, encoded.listings, encoded.queries
        noticed = (*noticed, *encoded.notes)
        names = parts.labels.names
        if not isinstance(adjusted, str):
            shift = estimate_for(adjusted, names, parts.labels.sizes, result.vote)
            result, reasons = follow_shift(result, reasons, shift, adjusted.model.sharpness)
            noticed = (*noticed, describe_shift(shift, names, len(read)))
        seen = result.evidence
        is_new = not (own_rows >= 0).any()
        decision = decide(
            result.vote, result.found.similarities, names, evidence=seen, is_new=is_new
        )
        answers = LazyAnswers(
            self._answers,
            read.ids,
            read.values("title"),
            queries,
            result,
            decision,
            reasons,
            None if seen is None else seen[:, familiarity.NEAREST],
        )
        blank = {BLANK: ~np.any(queries.present, axis=1)}
        unusable = (*list_findings(blank, read.ids), *unusable_pictures(read.ids, queries.problems))
        notes = (*noticed, *describe_own(own_rows), *map(str, unusable), *decision.notes)
        return Predictions(answers, notes)

    def save_settings(self, folder: str | Path) -> Path:
        """Write weights, vote and tuning into an index folder that holds this very index.

        Parameters
        ----------
        folder
            Folder that the index was saved to or loaded from.

        Returns
        -------
        pathlib.Path
            The folder.

        Raises
        ------
        IndexFolderError
            If the folder holds another index by now, or cannot be written.
        """
        from prodcat_index.index.storage import save_settings

        save_settings(self.parts, _as_folder(folder))
        return Path(folder)

    def save_image_root(self, folder: str | Path) -> Path:
        """Write where the pictures are now into an index folder.

        Parameters
        ----------
        folder
            Folder that this index was loaded from with another ``image_root``.

        Returns
        -------
        pathlib.Path
            The folder.

        Raises
        ------
        IndexFolderError
            If the pictures are not there, if the folder holds another index by now, or if it
            cannot be written.
        """
        from prodcat_index.index.storage import save_image_root

        save_image_root(self.parts, _as_folder(folder))
        return Path(folder)

    def score(self, predictions: Predictions, truths: Mapping[Any, Any]) -> Score:
        """Compare predictions with true categories.

        Parameters
        ----------
        predictions
            Predictions from :meth:`predict`.
        truths
            Id of a listing -> its true category, or the shop's own key of it. Listings that are
            not named, or without a category (None, NaN), are left out.

        Returns
        -------
        Score
            Accuracy and F1 scores of the listings that are named.

        Raises
        ------
        QueryError
            If no listing is named.
        """
        check_named("True categories", truths, "{'P1': 'Shoes > Boots'}")
        named = {raw_text(card): tidy(raw_text(true)) for card, true in truths.items()}
        truths = {card: true for card, true in named.items() if true}
        labels = self.parts.labels
        if self.parts.choices.target:
            meant = unify([*truths.values()], labels.names)
            truths = {card: meant[true] for card, true in truths.items()}
        true = set(truths.values())
        by_key = len(true.intersection(labels.keys)) > len(true.intersection(labels.names))
        known = [row for row in predictions.to_rows() if row["id"] in truths]
        if not known:
            raise QueryError("No listing is among the true categories; compare the ids of both.")
        return score_predictions(
            [truths[row["id"]] for row in known],
            [row["category_id" if by_key else "category"] for row in known],
            labels.keys if by_key else labels.names,
        )

    def _nearest(
        self,
        queries: Queries,
        k: int,
        weights: Weights,
        eligible: BoolArray,
        *,
        is_exact: bool,
        what: str = "This query",
    ) -> list[list[Neighbour]]:
        """Return the neighbours of n queries, each of which is called `what` in an error."""
        parts, k = self.parts, min(k, len(self))
        # Blocks that the queries lack need no searcher; their weights would be shared out anyway.
        vector = np.where(queries.present.any(axis=0), parts.weight_vector(weights), 0.0)
        space = replace(parts.space, is_exact=is_exact)
        found = find_neighbours(space, queries.vectors, queries.present, vector, k, eligible)
        if not found.weights.any(axis=1).all():
            weighed = parts.weighed_modalities(weights)
            dims = {name: dim for name, dim in parts.vector_dims.items() if name in weighed}
            are_texts = not {*parts.catalogue.text_modalities}.isdisjoint(weighed)
            known = " (a text needs words that the index knows)" if are_texts else ""
            raise QueryError(
                f"{what} has no {' or '.join(weighed)} that can be compared{known}, and nothing "
                f"else is weighed; give other weights.{hint_vectors(dims)}"
            )
        return [
            self._answers.neighbours(found, queries, query) for query in range(len(queries.present))
        ]

    def _row(self, card_id: object) -> int:
        row = self.parts.row_of.get(raw_text(card_id))
        if row is None:
            raise QueryError(
                f"There is no card {card_id!r} in this index; "
                f"its ids are like {name_first(self.parts.catalogue.ids, 3)}."
            )
        return row


def _as_folder(folder: Any) -> Path:
    check_type(folder, (str, os.PathLike), "An index folder is given by its path")
    return Path(folder)
