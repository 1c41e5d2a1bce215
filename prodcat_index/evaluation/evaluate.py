"""Compare methods of categorization on cards that are held out."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import compress
from types import NoneType

import numpy as np

from prodcat_index.cards.card import Catalogue, modality_kind
from prodcat_index.cards.catalogue import Vectors, as_catalogue
from prodcat_index.cards.codes import join_codes
from prodcat_index.cards.duplicates import Groups, find_groups
from prodcat_index.cards.inputs import CardSource
from prodcat_index.cards.split import Split
from prodcat_index.cards.splitting import repeated_splits
from prodcat_index.encoders.embedding import content_digests
from prodcat_index.encoders.registry import DEFAULT_PRESET, seen_by
from prodcat_index.errors import CatalogueError, check_type, whole_number
from prodcat_index.evaluation import near_duplicates
from prodcat_index.evaluation.held_out import PRECISION, TUNED, HeldOutSplit, Method, list_methods
from prodcat_index.evaluation.result import (
    Evaluation,
    Run,
    card_table,
    score_acceptance,
    score_confidences,
    summarise_rows,
)
from prodcat_index.evaluation.text_classifier import TEXT_CLASSIFIER
from prodcat_index.findings import Finding, name_first
from prodcat_index.index.build import EncoderChoice, check_encoders
from prodcat_index.index.learned import ProjectionKind
from prodcat_index.index.product_index import ProductIndex
from prodcat_index.progress import progress_bar
from prodcat_index.types import MISSING, Int64Array
from prodcat_index.voting.breakdown import mean_buckets, size_buckets, worst_confusions
from prodcat_index.voting.thresholds import check_share
from prodcat_index.voting.tuning import Objective

NO_TEXTS = f"The row {TEXT_CLASSIFIER} is left out, because no card has a text."
# Columns of the table of cards that confusions are found by.
CONFUSED = ("true", "predicted", "id")


def evaluate(
    catalogue: CardSource,
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
    precision: float = PRECISION,
    allow_trained_on: bool = False,
    vectors: Vectors | None = None,
) -> Evaluation:
    """Compare methods of categorization on held-out cards.

    The index, its encoders, its tuning and the classifiers are fitted on the training part only.
    The methods are each modality alone, all modalities with equal weights, the index as built,
    the tuned index, classifiers on the same embeddings, and one on the n-grams of the texts. A
    test card that has none of the weighted modalities counts as wrong.

    Parameters
    ----------
    catalogue
        Cards to split, as for :meth:`~prodcat_index.index.product_index.ProductIndex.build`. Test
        cards without a category are not scored.
    split
        The training and test cards. By default they are drawn, as `by`, `test`, `repeat` and
        `seed` say.
    by, test
        As for :func:`~prodcat_index.cards.splitting.split_catalogue`.
    repeat
        Number of splits to draw.
    seed
        Seed of the splits, tuning, classifiers and intervals.
    encoders, preset, projection
        As for :meth:`~prodcat_index.index.product_index.ProductIndex.build`.
    baselines
        Compare with classifiers too.
    objective
        The measure that tuning maximises.
    precision
        Target precision at which the tuned index accepts answers.
    allow_trained_on
        Score test cards even if a fine-tuned encoder was trained or stopped on their values. The
        scores are then too good.
    vectors
        Modality -> embeddings of your own, one row a card. Make sure that the model which made
        them was not trained on these labels.

    Returns
    -------
    Evaluation
        Scores of every method, and the mistakes and the confidence of the tuned index.

    Raises
    ------
    CatalogueError
        If there are fewer than two categories, the cards cannot be split as requested, or an
        encoder was trained on test cards.
    EncoderError
        If an encoder cannot be loaded.
    QueryError
        If the precision is no share, or there are too few cards to tune on.
    TypeError
        If something is of the wrong type.
    """
    check_share("precision", precision)
    check_type(split, (Split, NoneType), "A split is what read_split or split_catalogue returns")
    seed, repeat = whole_number("seed", seed), whole_number("number of splits", repeat)
    if seed < 0:
        raise CatalogueError(f"The seed must be 0 or more; it is {seed}.")
    encoders = encoders or {}
    check_encoders(encoders)
    catalogue = as_catalogue(catalogue, vectors=vectors)
    names = sorted(set(catalogue.values("category")) - {""})
    _check_categories(names, catalogue.source)
    groups = find_groups(catalogue)
    splits = (
        repeated_splits(catalogue, repeat, test=test, by=by, seed=seed, groups=groups)
        if split is None
        else [split]
    )
    methods = list_methods(catalogue, projection, baselines)
    clusters = _clusters(catalogue, groups, splits[0])
    # All splits are checked before the first index is built, which may take an hour.
    test_rows = [_labelled_test_rows(catalogue, chosen) for chosen in splits]
    leaks: list[Finding] = []
    for rows in test_rows:
        found = _find_trained_on(catalogue.select(rows), encoders)
        if found and not allow_trained_on:
            first, name = found[0], name_first(found[0].ids)
            raise CatalogueError(
                f"{first.count} of the {len(rows)} test {first.what} ({name}), so the score would "
                "be too good; evaluate on the split.csv in its folder with --split, or pass "
                "--allow-trained-on to score it nonetheless."
            )
        leaks += found
    build = partial(ProductIndex.build, encoders=encoders, preset=preset, projection=projection)
    runs: list[Run] = []
    near: list[near_duplicates.NearDuplicates] = []
    for number, (chosen, rows) in enumerate(zip(splits, test_rows, strict=True), start=1):
        train, label = chosen.select(catalogue, "train"), f"split {number} of {len(splits)}"
        judged, kept = catalogue.select(rows), clusters[chosen.rows(catalogue, "train")]
        near.append(near_duplicates.find_near_duplicates(train, judged))
        # No name is bound to the index, so that two are never in memory at once.
        held_out = partial(HeldOutSplit, test=judged, names=names, groups=kept, precision=precision)
        runs.append(_run(held_out(build(train)), clusters[rows], methods, objective, seed, label))
    cards = card_table(runs, names)
    tuned = [(run.answers[TUNED].outcome, run.training_sizes) for run in runs]
    return Evaluation(
        catalogue=catalogue,
        rows=summarise_rows(runs, methods, names, seed),
        splits=splits,
        counts=[
            {
                "train": int(run.training_sizes.sum()),
                "test": len(run.test),
                "categories": int(np.sum(run.training_sizes > 0)),
            }
            for run in runs
        ],
        settings={
            "splits": [chosen.made for chosen in splits],
            "preset": preset,
            "encoders": dict(encoders),
            "objective": objective,
            "projection": projection,
            "seed": seed,
            "groups": {"count": groups.count, "joined": groups.joined},
        },
        buckets=mean_buckets([size_buckets(o.true, o.predicted, sizes) for o, sizes in tuned]),
        confusions=worst_confusions(*(cards[name].tolist() for name in CONFUSED)),
        confidence=score_confidences(cards),
        acceptance=score_acceptance(cards, precision),
        cards=cards,
        findings=(*groups.findings, *splits[0].findings, *leaks),
        notes=(
            groups.describe(),
            *near_duplicates.note_near_duplicates(near, [outcome for outcome, _ in tuned]),
            *((NO_TEXTS,) if baselines and methods[-1].kind != "texts" else ()),
        ),
    )


def _check_categories(names: Sequence[str], source: str) -> None:
    if len(names) < 2:
        found = f"all of the category {names[0]!r}" if names else "without a category"
        raise CatalogueError(
            f"The cards of {source} are {found}, but an evaluation needs two categories at least; "
            "name the column of categories with --category-column."
        )


def _clusters(catalogue: Catalogue, groups: Groups, split: Split) -> Int64Array:
    """Join cards that are variants of one product or that the split kept together: int64, (N,)."""
    group_of = dict(zip(split.ids, split.groups.tolist(), strict=True))
    kept = np.array([group_of.get(card, MISSING) for card in catalogue.ids], dtype=np.int64)
    return join_codes([groups.codes, kept])


def _labelled_test_rows(catalogue: Catalogue, split: Split) -> list[int]:
    labels = catalogue.values("category")
    rows = [row for row in split.rows(catalogue, "test").tolist() if labels[row]]
    if not rows:
        raise CatalogueError(
            f"No test card of the split has a category in {catalogue.source}, so nothing can be "
            "scored; make another split."
        )
    return rows


def _find_trained_on(test: Catalogue, encoders: EncoderChoice) -> list[Finding]:
    """Find cards with a value that a fine-tuned encoder was trained or stopped on."""
    findings = []
    for modality, specs in encoders.items():
        for spec in [specs] if isinstance(specs, str) else specs:
            # Hashing all values takes a while, and few encoders are fine-tuned.
            if seen := seen_by(spec):
                digests = content_digests(modality_kind(modality), test.values(modality))
                cards = tuple(compress(test.ids, [digest in seen for digest in digests]))
                what = f"cards have a value of {modality} that {spec} was trained or stopped on"
                findings.append(Finding(what, cards))
    return [finding for finding in findings if finding.ids]


def _run(
    held_out: HeldOutSplit,
    clusters: Int64Array,
    methods: Sequence[Method],
    objective: Objective,
    seed: int,
    label: str,
) -> Run:
    answers = {}
    with progress_bar(len(methods), label, "row") as bar:
        for method in methods:
            bar.set_postfix_str(method.name)
            answers[method.name] = held_out.answer(method, objective, seed)
            bar.update()
    return Run(held_out.test, held_out.training_sizes, clusters, answers)
