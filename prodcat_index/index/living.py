"""An index that changes into another one: its cards, its labels, and what is fitted to them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from prodcat_index.cards.catalogue import ALONE, Vectors, as_catalogue
from prodcat_index.cards.inputs import CardSource
from prodcat_index.cards.target import unify
from prodcat_index.errors import EmptyCatalogueError, QueryError, check_type
from prodcat_index.findings import Finding
from prodcat_index.index.difference import (
    MAX_REMOVED,
    Difference,
    compare,
    relabel_cards,
    remove_cards,
)
from prodcat_index.index.parts import IndexParts
from prodcat_index.voting.tuning import SAMPLE, Objective, Tuning

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd
    from typing_extensions import Self


class LivingIndex:
    """The parts of an index, and all that makes another index of them.

    It does not change itself. See :class:`~prodcat_index.index.product_index.ProductIndex`.
    """

    def __init__(self, parts: IndexParts, findings: Sequence[Finding] = ()) -> None:
        self.parts = parts
        self.findings = tuple(findings)

    def compare(
        self,
        catalogue: CardSource,
        *,
        removed: bool = True,
        only_new: bool = False,
        vectors: Vectors | None = None,
    ) -> Difference:
        """Compare a delivery of cards with those of this index. Nothing is embedded.

        Parameters
        ----------
        catalogue
            Cards with the same text modalities, as for :meth:`build`; what is not a catalogue yet
            is read from the columns that the index was built from. Pictures are compared by their
            bytes. A card keeps what the delivery has no column for.
        removed
            Whether it is a whole export, so that cards that it lacks are no longer there.
        only_new
            Whether cards of the index are left as they are.
        vectors
            As for :meth:`build`; for each modality that the index has vectors of.

        Returns
        -------
        Difference
            What is new, changed, gone, renamed or of another category; for :meth:`apply`.

        Raises
        ------
        CatalogueError
            If the text modalities differ, ids repeat, or vectors or, of a whole export, other
            parts of the cards are missing.
        QueryError
            If vectors are of another modality or dimension than those of the index.
        """
        try:
            read = as_catalogue(catalogue, like=self.parts.catalogue, vectors=vectors)
        except EmptyCatalogueError:
            # An empty delivery is no error here; `check` refuses it where it is a whole export.
            source = str(catalogue) if isinstance(catalogue, (str, os.PathLike)) else "the delivery"
            read = replace(self.parts.catalogue.select([]), source=source)
        if self.parts.choices.target:
            meant = unify(read.values("category"), self.parts.labels.names)
            labels = [meant[label] for label in read.values("category")]
            read = read.relabelled(labels, read.values("category_id"))
        # A card that is alone with its category here may have others of it in the index.
        own = () if catalogue is read else read.findings
        noticed = [finding for finding in own if finding.what != ALONE]
        found = compare(self.parts, read, removed=removed, only_new=only_new)
        return replace(found, findings=(*noticed, *found.findings))

    def removal(self, ids: Iterable[object]) -> Difference:
        """Work out what :meth:`remove` would change.

        Parameters
        ----------
        ids
            Ids of cards.

        Returns
        -------
        Difference
            The cards that go; its ``findings`` name the ids that are of no card.
        """
        return remove_cards(self.parts, ids)

    def relabelling(self, mapping: Mapping[Any, Any]) -> Difference:
        """Work out what :meth:`relabel` would change.

        Parameters
        ----------
        mapping
            As for :meth:`relabel`.

        Returns
        -------
        Difference
            The categories that are renamed, and the cards of another category.

        Raises
        ------
        QueryError
            If a name is both the id of a card and a category, or a new category is only
            a separator.
        """
        return relabel_cards(self.parts, mapping)

    def apply(self, difference: Difference) -> Self:
        """Return this index after a change that was worked out for it.

        Only what is new is embedded, by what was fitted when the index was built; rows of cards
        that stay, weights, vote and calibration stay as they are. New categories take part at
        once. Scores that were fitted for a renamed category count for its new name, and those
        of merged categories add up.

        Parameters
        ----------
        difference
            Result of :meth:`compare`, :meth:`removal` or :meth:`relabelling`.

        Returns
        -------
        ProductIndex
            The changed index; its ``findings`` name what could not be read or embedded.

        Raises
        ------
        QueryError
            If the difference is not of this index.
        CatalogueError
            If no card with a category would be left.
        EncoderError
            If an encoder cannot be loaded, or is not the one of build time.
        """
        from prodcat_index.index.changes import apply_difference

        check_type(difference, Difference, "An index is changed by the result of compare()")
        return type(self)(*apply_difference(self.parts, difference))

    def sync(
        self,
        catalogue: CardSource,
        *,
        max_removed: float | None = MAX_REMOVED,
        allow_new_categories: bool = True,
        vectors: Vectors | None = None,
    ) -> Self:
        """Return this index with the cards of a whole export: new, changed and no others.

        Parameters
        ----------
        catalogue, vectors
            As for :meth:`compare`.
        max_removed, allow_new_categories
            As for :meth:`Difference.check`.

        Returns
        -------
        ProductIndex
            As from :meth:`apply`.

        Raises
        ------
        CatalogueError
            As from :meth:`compare` and :meth:`apply`; and if too many cards are gone.
        """
        difference = self.compare(catalogue, vectors=vectors)
        difference.check(max_removed=max_removed, allow_new_categories=allow_new_categories)
        return self.apply(difference)

    def add(
        self,
        catalogue: CardSource,
        *,
        only_new: bool = False,
        max_removed: float | None = MAX_REMOVED,
        allow_new_categories: bool = True,
        vectors: Vectors | None = None,
    ) -> Self:
        """Return this index with more cards, and with those that changed as they are now.

        Parameters
        ----------
        catalogue, only_new, vectors
            As for :meth:`compare`.
        max_removed, allow_new_categories
            As for :meth:`Difference.check`; no card is removed, but texts or pictures may be.

        Returns
        -------
        ProductIndex
            As from :meth:`apply`.
        """
        difference = self.compare(catalogue, removed=False, only_new=only_new, vectors=vectors)
        difference.check(max_removed=max_removed, allow_new_categories=allow_new_categories)
        return self.apply(difference)

    def remove(self, ids: Iterable[object]) -> Self:
        """Return this index without some cards.

        Parameters
        ----------
        ids
            Ids of cards; those of no card are named in the ``findings``.

        Returns
        -------
        ProductIndex
            As from :meth:`apply`.

        Raises
        ------
        CatalogueError
            If no card with a category would be left.
        """
        return self.apply(self.removal(ids))

    def relabel(self, mapping: Mapping[Any, Any]) -> Self:
        """Return this index with other categories. Nothing is embedded or fitted again.

        Parameters
        ----------
        mapping
            Category -> its new name, which may be that of another category, so that both become
            one; or id of a card -> its category. Without a category, a card does not vote.

        Returns
        -------
        ProductIndex
            As from :meth:`apply`; its ``findings`` name what is neither a card nor a category.

        Raises
        ------
        QueryError
            If a name is both the id of a card and a category, or a new category is only
            a separator.
        CatalogueError
            If no card with a category would be left.
        """
        return self.apply(self.relabelling(mapping))

    def reviewing(
        self,
        review: str | Path | pd.DataFrame,
        *,
        encoding: str | None = None,
        allow_new_categories: bool = False,
    ) -> Difference:
        """Work out what :meth:`review` would change.

        Parameters
        ----------
        review, encoding, allow_new_categories
            As for :meth:`review`.

        Returns
        -------
        Difference
            The cards that get another category or go, and the decisions that are remembered.

        Raises
        ------
        CatalogueError
            If the table cannot be read or lacks a column.
        QueryError
            If a decision is none, or two contradict each other.
        """
        from prodcat_index.cards.lists import read_review
        from prodcat_index.index.review import review_cards

        rows = read_review(review, encoding)
        if rows is None:
            raise QueryError(
                "This is not the table of an audit: it needs the columns item, check and decision."
            )
        return review_cards(self.parts, rows, allow_new_categories=allow_new_categories)

    def review(
        self,
        review: str | Path | pd.DataFrame,
        *,
        encoding: str | None = None,
        allow_new_categories: bool = False,
    ) -> Self:
        """Return this index after what a person decided about the items of an audit.

        Nothing is embedded or fitted again. The decisions are remembered, so that the next audit
        does not ask for them.

        Parameters
        ----------
        review
            The table of an audit, or a file of it, with the column ``decision`` filled in:
            ``yes`` for what is proposed, ``keep`` or ``no`` where it is right as it is,
            ``remove``, or a category. What is empty is not decided. A decision in any row of an
            item counts for all its cards.
        encoding
            Encoding of a text file, by default UTF-8.
        allow_new_categories
            Whether a decision may be a category that the index does not have.

        Returns
        -------
        ProductIndex
            As from :meth:`apply`; its ``findings`` name cards that are not there, or are of
            another category by now.
        """
        return self.apply(
            self.reviewing(review, encoding=encoding, allow_new_categories=allow_new_categories)
        )

    def tune(
        self, *, objective: Objective = "weighted-f1", sample: int = SAMPLE, seed: int = 0
    ) -> Tuning:
        """Find the weights and the vote that predict this index's own cards best.

        Each card's category is predicted from the others, without its variants (same group) and
        cards of the same texts or picture; what was fitted to labels is fitted again without
        them. A third of the cards, groups kept together, is not tuned on: unless the best
        setting is better on these as well, the index's own is kept.

        Parameters
        ----------
        objective
            ``weighted-f1``, ``macro-f1``, ``accuracy``, or ``nll``, the mean logarithm of the
            true category's share.
        sample
            Largest number of cards that are queries, drawn at random; all are candidates.
        seed
            Seed of the sample and of the third that is not tuned on.

        Returns
        -------
        Tuning
            The result, for :meth:`tuned`; this index stays as it is.

        Raises
        ------
        QueryError
            If the objective is unknown, or there are too few labelled cards.
        """
        from prodcat_index.index.tune import tune

        return tune(self.parts, objective=objective, sample=sample, seed=seed)

    def tuned(self, tuning: Tuning) -> Self:
        """Return this index with the weights, the vote and the calibration that tuning found.

        Parameters
        ----------
        tuning
            Result of :meth:`tune`.

        Returns
        -------
        LivingIndex
            The tuned index; nothing is embedded again.

        Raises
        ------
        QueryError
            If it is the tuning of another index.
        TypeError
            If it is no tuning.
        """
        from prodcat_index.index.refit import with_tuning
        from prodcat_index.index.tune import check_tuning

        check_tuning(tuning, self.parts)
        return type(self)(with_tuning(self.parts, tuning), self.findings)

    def tuned_like(self, other: LivingIndex) -> Self:
        """Return this index with the tuned weights and vote of another, calibrated anew.

        Parameters
        ----------
        other
            A tuned index of the same blocks, such as the one before it was built again.

        Returns
        -------
        ProductIndex
            The index; nothing is searched for again.

        Raises
        ------
        QueryError
            If the other index is not tuned, or has other blocks.
        """
        from prodcat_index.index.refit import keep_tuning

        return type(self)(keep_tuning(self.parts, other.parts), self.findings)

    def refit(self, *, tune: bool | None = None) -> Self:
        """Return this index with all that is fitted to labels fitted to the cards as they are.

        That is the projection and its head, the text scores, what each card's vote counts, weights
        and vote unless they were given or tuned, and the calibration. The answers are those of an
        index that is built of the same cards with the same encoders; these stay as they are, and
        nothing is embedded.

        Parameters
        ----------
        tune
            Whether to tune again. By default a tuned index keeps its weights and vote, and is
            tuned again where more than a fifth of its cards came since.

        Returns
        -------
        ProductIndex
            The index; its ``findings`` tell if the tuning had to be dropped.
        """
        from prodcat_index.index.refit import refit

        return type(self)(*refit(self.parts, tune_again=tune))

    def for_target(self, column: str) -> Self:
        """Return an index of the same cards that predicts another column than the category.

        Everything that is fitted to labels is fitted to the values of the column: the projection
        and its head, the text scores, weights and vote, and the calibration. Nothing is embedded.
        The values take the place of the categories, so all that there is for an index is there
        for this one: precision, explanation, tuning, evaluation, audit; and it can be saved.
        The column is no evidence for itself: blocks of it are left out, and so are those of a
        further text that names the value in at least half of the cards that have both.

        Parameters
        ----------
        column
            A column of the cards, by its name among them or in their source. Values that differ
            in letter case alone are one; cards without a value do not vote.

        Returns
        -------
        ProductIndex
            The index; its ``catalogue.notes`` tell what was done. For the column of the
            categories, it is the same index.

        Raises
        ------
        QueryError
            If there is no such column, if hardly any of its values recur, or if nothing is left
            to predict it from.
        """
        from prodcat_index.index.refit import fit_target

        parts = fit_target(self.parts, column)
        return self if parts is self.parts else type(self)(parts)

    def restored(self) -> Self:
        """Return this index with the weights and the vote that it had before it was tuned.

        Returns
        -------
        LivingIndex
            The index, not tuned; calibrated anew if it learns from labels.

        Raises
        ------
        QueryError
            If it is not tuned.
        """
        from prodcat_index.index.calibrate import calibrate

        if self.parts.tuning is None:
            raise QueryError("This index is not tuned, so there is nothing to restore.")
        restored = self.parts.with_setting(self.parts.tuning.before.setting)
        restored = replace(restored, tuning=None, calibration=None)
        if restored.learned:
            restored = calibrate(restored, choose=False, reweigh=False)
        return type(self)(restored, self.findings)
