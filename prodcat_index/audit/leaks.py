"""Leaks: near twins across a split, columns that give the category away, artefacts that tell it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from prodcat_index.audit import clues
from prodcat_index.audit.check import CheckName, CheckResult, Item
from prodcat_index.audit.graph import AuditGraph, NewCards
from prodcat_index.audit.split_twins import find_twins
from prodcat_index.cards.card import CORE_TEXTS, DIGEST, IMAGE, LABELS
from prodcat_index.cards.codes import encode, join_codes, order_codes, without_placeholders
from prodcat_index.cards.roles import RENAMED
from prodcat_index.cards.split import Split
from prodcat_index.findings import counted, name_first
from prodcat_index.index.parts import IndexParts
from prodcat_index.types import Int64Array, evenly_spaced

# Gain from which a column gives the category away, and from which the id or a property of the
# pictures does; docs/decisions/audit.md says why.
GIVES_AWAY, ARTEFACT = 0.7, 0.5
# Gain of the way back from which each category has one value of a column.
DETERMINED = 0.95
# Cards whose columns, texts and ids are examined, and whose pictures are, at most.
SAMPLE, PICTURES = 20_000, 3_000
EXAMPLES = 5

Found = tuple[Item, Sequence[int]]  # an item, and the categories whose cards it flags


@dataclass(frozen=True)
class Leaks:
    """Find what makes scores too good: twins across a split, give-away columns, artefacts.

    Twins are cards of one group, with nearly equal words or with one picture. A column gives the
    category away if it alone is right about nearly all cards, by cards of other groups; brands and
    the like are not. Artefacts are the order of ids; sizes, formats and borders of pictures; and
    phrases in the texts of a category that are not about the product.

    Parameters
    ----------
    split
        The training and test cards of one's own; without it no twins are looked for.
    """

    split: Split | None = None
    name: CheckName = field(default="leaks", init=False)

    def run(self, graph: AuditGraph, new: NewCards | None = None) -> CheckResult:
        """Check the cards of an index.

        The score of a card is 0 with a twin across the split, else that of the worst artefact
        which tells its category, else 1. Raises CatalogueError if a card is not in the split.
        """
        catalogue, codes = graph.parts.catalogue, graph.parts.labels.codes
        # In the order of their ids: the result does not depend on that of the cards.
        by_id = np.argsort(np.array(graph.ids, dtype=object), kind="stable")
        rows = by_id[evenly_spaced(len(by_id), SAMPLE)]
        pictures, _ = without_placeholders(encode(catalogue.values(DIGEST)), codes)
        groups = order_codes(join_codes([graph.groups, pictures]), graph.ids)
        sample = _Sample(graph, rows, codes[rows], groups[rows])
        scores, items, found = np.ones(len(by_id)), [], []
        details: dict[str, Any] = {}
        for item, told in (*_columns(sample), *_pictures(sample), *_texts(sample)):
            items.append(item)
            found.append(f"{item.kind}: {item.subject}")
            of_told = np.isin(codes, told)
            scores[of_told] = np.minimum(scores[of_told], item.score)
        if self.split:
            twins = find_twins(graph, groups, self.split)
            scores[[row for row, _, _ in twins.pairs]] = 0.0
            details |= twins.as_dict(graph.ids)
            found.insert(0, twins.describe())
            items += [twins.item(graph.ids)] if twins.pairs else []
        note = f"Columns, ids and texts were examined on {len(rows):,} of {len(by_id):,} cards."
        return CheckResult(
            name=self.name,
            ids=graph.ids,
            scores=scores,
            flagged=scores < 1,
            items=sorted(items, key=lambda item: item.score),
            summary=f"{'; '.join(found) or 'No leak was found'}.",
            details=details,
            notes=(note,) if len(rows) < len(by_id) else (),
        )


@dataclass(frozen=True, eq=False)
class _Sample:
    """Cards that clues are looked for in."""

    graph: AuditGraph
    rows: Int64Array  # (n,)
    codes: Int64Array  # (n,): categories
    groups: Int64Array  # (n,)

    @property
    def parts(self) -> IndexParts:
        return self.graph.parts

    def values(self, column: str) -> list[str]:
        return self.parts.catalogue.values_at(column, self.rows)

    def item(
        self, kind: str, subject: str, clue: str, telling: clues.Telling, is_read: bool
    ) -> Found:
        told = [self.parts.labels.names[code] for code in telling.told]
        shown = np.isin(self.codes, telling.told[:1]) if told else np.ones(len(self.rows), bool)
        why = (
            f"By {clue} alone, the category of {telling.accuracy:.0%} of "
            f"{counted(telling.cards, 'cards')} is told, by cards of other groups; the largest "
            f"category would be right about {telling.baseline:.0%} (gain {telling.gain:.2f}, 95 % "
            f"interval {telling.low:.2f} to {telling.high:.2f})"
            f"{f'; above all {name_first(told)}' if told else ''}. "
            f"{'The index reads it.' if is_read else 'The index does not read it.'}"
        )
        # What is not read spoils no score yet.
        told_by = max(telling.gain, clues.FOUND * clues.RIGHT if told else 0.0)
        score = 1 - told_by * (1.0 if is_read else 0.5)
        examples = tuple(self.graph.ids[row] for row in self.rows[shown][:EXAMPLES])
        proposal = f"leave out {subject}" if is_read else f"do not add {subject}"
        item = Item("leaks", kind, score, (), subject, proposal, why=why, neighbours=examples)
        return item, telling.told if is_read else ()


def _columns(sample: _Sample) -> Iterator[Found]:
    """Look for the category in the id, in further columns and in texts but the usual ones."""
    parts = {"id", IMAGE, DIGEST, *CORE_TEXTS, *LABELS}
    clue, telling = clues.tell_by_column(sample.values("id"), sample.codes, sample.groups)
    if telling.low >= ARTEFACT:
        yield sample.item("id tells the category", "id", f"the id ({clue})", telling, False)
    for column in sample.parts.catalogue.pieces.names:
        if column in parts:
            continue
        values = sample.values(column)
        clue, telling = clues.tell_by_column(values, sample.codes, sample.groups)
        back = clues.tell_by_value(sample.codes, encode(values), sample.groups, seen_only=True)
        is_determined = back.low >= DETERMINED
        if telling.low >= GIVES_AWAY:
            kind = "category under another name" if is_determined else "column tells the category"
        elif is_determined and telling.low > 0:
            kind = "upper level of the category"
        else:
            continue
        name = column.removesuffix(RENAMED)
        is_read = column in sample.parts.modalities
        yield sample.item(kind, name, f"the column {name} ({clue})", telling, is_read)


def _pictures(sample: _Sample) -> Iterator[Found]:
    paths = sample.values(IMAGE)
    rows = np.flatnonzero([bool(path) for path in paths])
    rows = rows[evenly_spaced(len(rows), PICTURES)]
    found = clues.tell_by_pictures(
        [paths[row] for row in rows], sample.codes[rows], sample.groups[rows]
    )
    for clue, telling in found.items():
        if telling.low >= ARTEFACT or telling.told:
            subject, is_read = f"{clue} of the pictures", IMAGE in sample.parts.modalities
            kind = "pictures tell the category"
            yield sample.item(kind, subject, f"the {subject}", telling, is_read)


def _texts(sample: _Sample) -> Iterator[Found]:
    """Look for phrases in all texts but titles, which are short and about the product."""
    names, titles = sample.parts.labels.names, sample.values("title")
    for modality in sample.parts.catalogue.text_modalities:
        if modality == "title" or modality not in sample.parts.modalities:
            continue
        texts = sample.values(modality)
        for phrase in clues.find_phrases(texts, titles, sample.codes, sample.groups, names):
            name = names[phrase.category]
            why = (
                f'{phrase.found:.0%} of the cards of {name} have the words "{phrase.words}" in '
                f"their {modality}, and {phrase.right:.0%} of the cards that have them are of it."
            )
            rows = sample.rows[phrase.rows[:EXAMPLES]]
            item = Item(
                check="leaks",
                kind="boilerplate tells the category",
                score=1 - phrase.found * phrase.right,
                cards=(),
                subject=name,
                proposal=f"remove the phrase from {modality}",
                why=why,
                neighbours=tuple(sample.graph.ids[row] for row in rows),
                words=tuple(phrase.words.split()),
            )
            yield item, (phrase.category,)
