"""What to fix first: problems of a catalogue and of an index, those that cost most on top."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from prodcat_index.cards.card import IMAGE
from prodcat_index.evaluation.held_out import PROJECTED
from prodcat_index.reports.page import Link, Table, write_percent
from prodcat_index.types import CATEGORY_SEPARATOR, BoolArray, Int64Array

if TYPE_CHECKING:
    from prodcat_index.evaluation.result import Evaluation
    from prodcat_index.index.parts import IndexParts
    from prodcat_index.reports.explore import Exploration

# A category with at most so many cards is small: an answer rests on few of them.
FEW_CARDS = 5
# Pairs of confused categories that are named, and the fewest mistakes of one.
PAIRS, FEWEST_CONFUSED = 5, 2
# Cards with and without a value that show a difference.
FEWEST_COMPARED = 20
# Confidence of an answer that contradicts a label.
CONTRADICTS = 0.95
ALIKE = {
    "spelling": "categories that differ in spelling only",
    "leaf": "categories of one name under different paths",
    "alike": "categories whose names differ by a letter or two",
}


@dataclass(frozen=True)
class Problem:
    """Something that costs answers, and the way out."""

    what: Link
    cards: int  # that have the problem
    part: float  # of all cards, or of the answers that would be right at most
    remedy: str


def tabulate_problems(problems: Iterable[Problem], head: str) -> Table:
    """Make a table of the problems that there are."""
    return Table(
        "The worst first; a card may be in several rows",
        ("problem", "cards", head, "what to do"),
        [(p.what, p.cards, p.part, p.remedy) for p in problems if p.cards],
        write_percent,
    )


def problems_of_catalogue(found: Exploration) -> list[Problem]:
    """Rank the problems by their cards: those of labels, then those of missing values."""
    cards = len(found.catalogue)

    def rank(named: Iterable[tuple[str, str, int, str]]) -> list[Problem]:
        problems = [Problem(Link(what, at), n, n / cards, remedy) for what, at, n, remedy in named]
        return sorted(problems, key=lambda problem: -problem.cards)

    return [*rank(_of_labels(found)), *rank(_of_values(found))]


def _of_labels(found: Exploration) -> Iterator[tuple[str, str, int, str]]:
    """Yield what makes answers wrong, or keeps cards from voting."""
    categories = found.categories
    if categories.count:
        unlabelled = len(found.catalogue) - categories.cards
        yield "cards without a category", "columns", unlabelled, "label them, or predict them"
    sizes = categories.sizes.values()
    single = sum(size for size in sizes if size == 1)
    few = sum(size for size in sizes if 1 < size <= FEW_CARDS)
    more = "add cards, or merge the categories"
    yield "categories of one card", "categories", single, f"no other card can answer for it: {more}"
    yield f"categories of 2 to {FEW_CARDS} cards", "categories", few, more
    contradicting = found.duplicates.cards_of_several_categories
    mend = "correct the labels that contradict one another"
    yield "equal products in different categories", "duplicates", contradicting, mend
    for reason, groups in found.label_issues.items():
        # All but the largest of the categories would take its name.
        renamed = sum(sum(group.values()) - max(group.values()) for group in groups)
        yield ALIKE[reason], "labels", renamed, "if they are one category, give it one name"


def _of_values(found: Exploration) -> Iterator[tuple[str, str, int, str]]:
    """Yield what an answer has to do without."""
    pictures, cards = found.pictures, len(found.catalogue)
    unreadable = pictures.unreadable_count
    yield "pictures that cannot be read", "pictures", unreadable, "replace the files listed there"
    filled = {"picture": found.counts["with_picture"]}
    filled |= {name: len(text.lengths) for name, text in found.texts.items()}
    for name, count in filled.items():
        # A column that is empty as a whole is not missed.
        if count:
            yield f"cards without a {name}", "columns", cards - count, f"add the {name}"


def problems_of_index(parts: IndexParts, evaluation: Evaluation) -> list[Problem]:
    """Rank the problems by the answers that would be right at most if they were mended."""
    cards = evaluation.cards
    wrong = (cards["true"] != cards["predicted"]).to_numpy()
    sizes = _training_sizes(evaluation)
    sure = cards[evaluation.confidence[-1].kind].to_numpy() >= CONTRADICTS

    def lost(what: str, place: str, mask: BoolArray, remedy: str) -> Problem:
        return Problem(Link(what, place), int(mask.sum()), float(mask.mean()), remedy)

    found = [
        *_confused(evaluation, wrong),
        lost(
            "categories that training lacks",
            "sizes",
            wrong & (sizes == 0),
            "add cards of these categories; no other card can answer for them",
        ),
        lost(
            f"mistakes in categories of 1 to {FEW_CARDS} training cards",
            "sizes",
            wrong & (sizes > 0) & (sizes <= FEW_CARDS),
            "add cards, or merge the categories",
        ),
        lost(
            f"labels contradicted with a confidence of {write_percent(CONTRADICTS)} or more",
            "doubted",
            wrong & sure,
            "check the labels; correct them in the catalogue and build the index again",
        ),
        *_lacking(parts, evaluation, wrong),
    ]
    names = [row.name for row in evaluation.rows]
    if not parts.tuning and PROJECTED in names:
        built = evaluation.row(PROJECTED).mean("accuracy") or 0.0
        gain = (evaluation.tuned.mean("accuracy") or 0.0) - built
        count = round(gain * len(cards))
        found.append(Problem(Link("the index is not tuned", "scores"), count, gain, "prodcat tune"))
    return sorted((p for p in found if p.part > 0), key=lambda problem: -problem.part)


def _training_sizes(evaluation: Evaluation) -> Int64Array:
    """Return the training cards of each test card's true category, in its split."""
    catalogue, cards = evaluation.catalogue, evaluation.cards
    labels = np.array(catalogue.values("category"), dtype=object)
    counts = [Counter(labels[split.rows(catalogue, "train")]) for split in evaluation.splits]
    pairs = zip(cards["split"], cards["true"], strict=True)
    return np.array([counts[split - 1][true] for split, true in pairs], dtype=np.int64)


def _confused(evaluation: Evaluation, wrong: BoolArray) -> Iterator[Problem]:
    """Yield the pairs of categories that are taken for one another most often."""
    mistakes = evaluation.cards[wrong]
    pairs = Counter(
        tuple(sorted(pair))
        for pair in zip(mistakes["true"], mistakes["predicted"], strict=True)
        if all(pair)
    )
    places = {
        tuple(sorted((c.true, c.predicted))): f"confusion-{number}"
        for number, c in reversed(list(enumerate(evaluation.confusions, start=1)))
    }
    for pair, count in sorted(pairs.items(), key=lambda item: (-item[1], item[0]))[:PAIRS]:
        if count >= FEWEST_CONFUSED:
            ends = [name.rpartition(CATEGORY_SEPARATOR)[2] for name in pair]
            names = ends if ends[0] != ends[1] else pair
            what = Link(" confused with ".join(names), places.get(pair, "confusions"))
            remedy = "check the labels of the examples, or merge the two"
            yield Problem(what, count, count / len(wrong), remedy)


def _lacking(parts: IndexParts, evaluation: Evaluation, wrong: BoolArray) -> Iterator[Problem]:
    """Yield what cards without a modality lose against those that have it."""
    rows = {card: row for row, card in enumerate(evaluation.catalogue.ids)}
    tested = [rows[card] for card in evaluation.cards["id"]]
    for modality in parts.modalities:
        blocks = [block for block in parts.encoder_blocks if block.modality == modality]
        lacks = ~np.any([block.present for block in blocks], axis=0)[tested]
        if min(lacks.sum(), (~lacks).sum()) >= FEWEST_COMPARED:
            gain = float(lacks.mean() * (wrong[lacks].mean() - wrong[~lacks].mean()))
            name = "picture" if modality == IMAGE else modality
            what = Link(f"cards without a {name}", "scores")
            yield Problem(
                what, int(lacks.sum()), gain, f"add the {name}; such cards are wrong more often"
            )
