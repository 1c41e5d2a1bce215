"""Splitting a catalogue, and judging every way to categorize on cards that were held out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

from prodcat_index.cards.card import Catalogue
from prodcat_index.cards.codes import join_codes
from prodcat_index.cards.duplicates import Groups, find_groups
from prodcat_index.cards.split import Split
from prodcat_index.cards.splits import repeated_splits
from prodcat_index.encoders.registry import DEFAULT_PRESET
from prodcat_index.errors import CatalogueError
from prodcat_index.evaluation.confidence import score_acceptance, score_confidences
from prodcat_index.evaluation.contenders import contenders
from prodcat_index.evaluation.leaks import find_trained_on, refuse_trained_on
from prodcat_index.evaluation.result import Evaluation
from prodcat_index.evaluation.summary import (
    Run,
    card_table,
    summarise_buckets,
    summarise_confusions,
    summarise_rows,
)
from prodcat_index.evaluation.trial import PRECISION, Contender, Trial
from prodcat_index.findings import Finding
from prodcat_index.index.building import EncoderChoice
from prodcat_index.index.learned import ProjectionKind
from prodcat_index.index.neighbours import IntArray
from prodcat_index.index.product_index import ProductIndex
from prodcat_index.progress import progress_bar
from prodcat_index.voting.tuning import Objective

FEWEST_CATEGORIES = 2


def evaluate(
    catalogue: Catalogue,
    *,
    split: Split | None = None,
    by: str = "group",
    test: float = 0.25,
    repeat: int = 1,
    seed: int = 0,
    encoders: EncoderChoice | None = None,
    preset: str = DEFAULT_PRESET,
    baselines: bool = True,
    objective: Objective = "weighted-f1",
    projection: ProjectionKind = "lda",
    allow_trained_on: bool = False,
) -> Evaluation:
    """Compare ways to categorize on cards that were held out.

    The index, its encoders, its tuning and the classifiers see the training part alone. Compared
    are each modality by itself, all with equal weights, the index as it is built, the tuned index,
    and classifiers on the same embeddings. A card that has nothing of what is weighed counts as
    wrong.

    Parameters
    ----------
    catalogue
        Cards. Those without a category are not judged.
    split
        Which cards are for training and which for the test; drawn by default, as `by`, `test`,
        `repeat` and `seed` say.
    by, test
        As for :func:`~prodcat_index.cards.splits.split_catalogue`.
    repeat
        Number of splits.
    seed
        Of splits, tuning, classifiers and intervals.
    encoders, preset, projection
        As for :meth:`~prodcat_index.index.product_index.ProductIndex.build`.
    baselines
        Compare with classifiers.
    objective
        What tuning maximises.
    allow_trained_on
        Judge even if the test part holds values that a fine-tuned encoder was trained or stopped
        on. Its scores are then too good.

    Raises
    ------
    CatalogueError
        If there are fewer than two categories, or the cards cannot be split, or not so, or an
        encoder was trained on test cards.
    EncoderError
        If an encoder cannot be had.
    QueryError
        If there are too few cards to tune on.
    """
    names = sorted(set(catalogue.values("category")) - {""})
    _check_categories(names, catalogue.source)
    groups = find_groups(catalogue)
    splits = (
        [split]
        if split is not None
        else repeated_splits(catalogue, repeat, test=test, by=by, seed=seed, groups=groups)
    )
    entered = contenders(
        catalogue.modalities,
        baselines=baselines,
        objective=objective,
        seed=seed,
        projection=projection,
    )
    clusters = _clusters(catalogue, groups, splits[0])
    setup = _Setup(catalogue, names, clusters, encoders or {}, preset, projection, entered)
    leaks = [setup.find_leaks(chosen, allow_trained_on) for chosen in splits]
    labels = [f"split {number} of {len(splits)}" for number in range(1, len(splits) + 1)]
    runs = [setup.run(chosen, label) for chosen, label in zip(splits, labels, strict=True)]
    cards = card_table(runs, names)
    return Evaluation(
        catalogue=catalogue,
        rows=summarise_rows(runs, entered, names, seed),
        splits=splits,
        counts=[_counts(run) for run in runs],
        settings={
            "splits": [chosen.made for chosen in splits],
            "preset": preset,
            "encoders": dict(encoders or {}),
            "objective": objective,
            "projection": projection,
            "seed": seed,
        },
        buckets=summarise_buckets(runs),
        confusions=summarise_confusions(cards),
        confidence=score_confidences(cards),
        acceptance=score_acceptance(cards, PRECISION),
        cards=cards,
        findings=(*groups.findings, *splits[0].findings, *chain.from_iterable(leaks)),
    )


def _check_categories(names: Sequence[str], source: str) -> None:
    if len(names) < FEWEST_CATEGORIES:
        told = f"all of the category {names[0]!r}" if names else "without a category"
        raise CatalogueError(
            f"The cards of {source} are {told}, and two categories is the least that can be told "
            "apart; name the column with --category-column."
        )


def _clusters(catalogue: Catalogue, groups: Groups, split: Split) -> IntArray:
    """Join cards that are one product or that the split kept together."""
    group_of = dict(zip(split.ids, split.groups.tolist(), strict=True))
    kept = np.array([group_of.get(card, -1) for card in catalogue.ids], dtype=np.int64)
    return join_codes([groups.codes, kept])


@dataclass(frozen=True)
class _Setup:
    """What is the same for every split."""

    catalogue: Catalogue
    names: Sequence[str]
    clusters: IntArray
    encoders: EncoderChoice
    preset: str
    projection: ProjectionKind
    contenders: Sequence[Contender]

    def find_leaks(self, split: Split, allowed: bool) -> list[Finding]:
        """Find test cards that an encoder was trained on; refuse them unless allowed."""
        test = self.catalogue.select(self._test_rows(split).tolist())
        found = find_trained_on(test, self.encoders)
        if not allowed:
            refuse_trained_on(found, len(test))
        return found

    def run(self, split: Split, label: str) -> Run:
        """Build an index of the training part, and let every contender answer the test part."""
        train = split.select(self.catalogue, "train")
        test = self._test_rows(split)
        index = ProductIndex.build(
            train, encoders=self.encoders, preset=self.preset, projection=self.projection
        )
        trial = Trial.embed(index, self.catalogue.select(test.tolist()), self.names)
        answers = {}
        with progress_bar(len(self.contenders), label, "row") as bar:
            for contender in self.contenders:
                bar.set_postfix_str(contender.name)
                answers[contender.name] = contender.answer(trial)
                bar.update()
        return Run(trial.test, trial.training_sizes, self.clusters[test], answers)

    def _test_rows(self, split: Split) -> IntArray:
        rows = split.rows(self.catalogue, "test")
        labels = self.catalogue.values("category")
        labelled = rows[[bool(labels[row]) for row in rows]]
        if not len(labelled):
            raise CatalogueError(
                f"No test card of the split has a category in {self.catalogue.source}, so nothing "
                "can be judged; make another split."
            )
        return labelled


def _counts(run: Run) -> dict[str, int]:
    return {
        "train": int(run.training_sizes.sum()),
        "test": len(run.test),
        "categories": int(np.sum(run.training_sizes > 0)),
    }
