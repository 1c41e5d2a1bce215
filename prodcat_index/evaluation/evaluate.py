"""Splitting a catalogue, and judging every way to categorize on cards that were held out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, compress

import numpy as np

from prodcat_index.cards.card import Catalogue, modality_kind
from prodcat_index.cards.codes import join_codes
from prodcat_index.cards.duplicates import Groups, find_groups
from prodcat_index.cards.split import Split
from prodcat_index.cards.splitting import repeated_splits
from prodcat_index.encoders.embedding import content_digests
from prodcat_index.encoders.registry import DEFAULT_PRESET, seen_by
from prodcat_index.errors import CatalogueError
from prodcat_index.evaluation.held_out import PRECISION, HeldOutSplit, Method
from prodcat_index.evaluation.methods import make_methods
from prodcat_index.evaluation.result import (
    Evaluation,
    Run,
    card_table,
    score_acceptance,
    score_confidences,
    summarise_buckets,
    summarise_confusions,
    summarise_rows,
)
from prodcat_index.findings import Finding, name_first
from prodcat_index.index.build import EncoderChoice
from prodcat_index.index.learned import ProjectionKind
from prodcat_index.index.product_index import ProductIndex
from prodcat_index.progress import progress_bar
from prodcat_index.types import Int64Array
from prodcat_index.voting.tuning import Objective


def find_trained_on(test: Catalogue, encoders: EncoderChoice) -> list[Finding]:
    """Find cards with a value that a fine-tuned encoder was trained or stopped on."""
    return list(_search(test, encoders))


def _search(test: Catalogue, encoders: EncoderChoice) -> Iterator[Finding]:
    for modality, specs in encoders.items():
        for spec in [specs] if isinstance(specs, str) else specs:
            seen = seen_by(spec)
            if seen:
                reads = modality_kind(modality)
                digests = content_digests(reads, test.values(modality))
                cards = tuple(compress(test.ids, [digest in seen for digest in digests]))
                if cards:
                    what = f"cards have a value of {modality} that {spec} was trained or stopped on"
                    yield Finding(what, cards)


def refuse_trained_on(findings: list[Finding], count: int) -> None:
    """Refuse to judge on cards that were found."""
    if findings:
        first = findings[0]
        raise CatalogueError(
            f"{first.count} of the {count} test {first.what} ({name_first(first.ids)}), so its "
            "score would be too good; judge on the split.csv in its folder with --split, or say "
            "--allow-trained-on to have the score nonetheless."
        )


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
        As for :func:`~prodcat_index.cards.splitting.split_catalogue`.
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
    entered = make_methods(
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


def _clusters(catalogue: Catalogue, groups: Groups, split: Split) -> Int64Array:
    """Join cards that are one product or that the split kept together."""
    group_of = dict(zip(split.ids, split.groups.tolist(), strict=True))
    kept = np.array([group_of.get(card, -1) for card in catalogue.ids], dtype=np.int64)
    return join_codes([groups.codes, kept])


@dataclass(frozen=True)
class _Setup:
    """What is the same for every split."""

    catalogue: Catalogue
    names: Sequence[str]
    clusters: Int64Array
    encoders: EncoderChoice
    preset: str
    projection: ProjectionKind
    methods: Sequence[Method]

    def find_leaks(self, split: Split, allowed: bool) -> list[Finding]:
        """Find test cards that an encoder was trained on; refuse them unless allowed."""
        test = self.catalogue.select(self._test_rows(split).tolist())
        found = find_trained_on(test, self.encoders)
        if not allowed:
            refuse_trained_on(found, len(test))
        return found

    def run(self, split: Split, label: str) -> Run:
        """Build an index of the training part, and let every method answer the test part."""
        train = split.select(self.catalogue, "train")
        test = self._test_rows(split)
        index = ProductIndex.build(
            train, encoders=self.encoders, preset=self.preset, projection=self.projection
        )
        trial = HeldOutSplit.embed(index, self.catalogue.select(test.tolist()), self.names)
        answers = {}
        with progress_bar(len(self.methods), label, "row") as bar:
            for method in self.methods:
                bar.set_postfix_str(method.name)
                answers[method.name] = method.answer(trial)
                bar.update()
        return Run(trial.test, trial.training_sizes, self.clusters[test], answers)

    def _test_rows(self, split: Split) -> Int64Array:
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
