"""Any column of a catalogue as what is predicted: its values in place of the categories."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any

from prodcat_index.cards.card import CORE_TEXTS, DIGEST, IMAGE, Catalogue
from prodcat_index.cards.categories import PATH_SEPARATOR, items_of, read_categories
from prodcat_index.cards.comparison import find_column
from prodcat_index.cards.pieces import LABELLING, CodedLabels, Frame, Pieces
from prodcat_index.cards.roles import RENAMED, free_name
from prodcat_index.cards.variants import words_of
from prodcat_index.errors import QueryError
from prodcat_index.findings import counted, name_first

# Where more of the cards have a value that no other card has, they are ids or free text.
MOST_ALONE = 0.8
# From this share on, it is said: new listings of such values cannot be answered.
MANY_ALONE = 0.2
# A further text that names the value of so many cards gives it away.
GIVEN_AWAY = 0.5
# So many different numbers are measured, not named.
MANY_NUMBERS = 20
NUMBER = re.compile(r"[+-]?\d+(?:[.,]\d+)?")
BETWEEN_VALUES = re.compile(r"\s*[;|\n]\s*|,\s+")


def with_target(catalogue: Catalogue, column: str) -> Catalogue:
    """Return the cards with the values of a column as their categories.

    Values that differ in letter case or white space are one, in the most frequent spelling; of
    several values in a cell, the first counts. The column is no evidence for itself: it is not
    embedded, and neither is a further text that names the value of at least half of the cards
    which have both. Title and description stay. The categories become a further column.

    Parameters
    ----------
    catalogue
        Cards with any columns.
    column
        A column of the cards, by its name among them or in their source.

    Returns
    -------
    Catalogue
        The cards, in their order; its ``notes`` tell what was done. For the column of the
        categories, it is the same catalogue.

    Raises
    ------
    QueryError
        If there is no such column, or there are no two values in it that recur.
    """
    part = find_column(catalogue, column, "predict")
    if part in LABELLING:
        return catalogue
    if part in ("id", IMAGE, "group"):
        raise QueryError(
            f"The column {column!r} is the {part} of the cards, and no value that recurs; name a "
            "column such as the brand or the colour."
        )
    labels, notes = _read_values(catalogue.pieces.read(part), column)
    left_out = [name for name in catalogue.text_modalities if name == part]
    told = [
        name
        for name in catalogue.text_modalities
        if name not in (*CORE_TEXTS, part)
        and _share_named(catalogue.values(name), labels) >= GIVEN_AWAY
    ]
    if told:
        notes.append(
            f"left out as evidence, because at least half of the cards name their {column} there: "
            f"{', '.join(told)}"
        )
    left_out += told
    columns = {p: own for p, own in catalogue.columns.items() if p not in (*left_out, *LABELLING)}
    if catalogue.columns:
        header = catalogue.columns.get(part, part.removesuffix(RENAMED))
        columns |= {"category": header, "category_id": ""}
    names = _kept_columns(catalogue, part)
    kept = Frame(catalogue.cards[list(names.values())].set_axis(list(names), axis=1))
    return Catalogue.of_pieces(
        Pieces((kept,), labels=CodedLabels.of(labels, [""] * len(labels))),
        tuple(name for name in catalogue.text_modalities if name not in left_out),
        source=catalogue.source,
        format=catalogue.format,
        columns=columns,
        category_separator=PATH_SEPARATOR,
        notes=tuple(notes),
        vectors={n: rows for n, rows in catalogue.vectors.items() if n not in left_out},
    )


def unify(values: Sequence[str], known: Collection[str] = ()) -> dict[str, str]:
    """Return the value that each one counts as: the known or most frequent spelling.

    Of several values, each of which stands alone elsewhere or is known, it is the first.
    """
    counts = Counter(values)
    alone = {value.casefold() for value in (*counts, *known)}
    first = {}
    for value in counts:
        parts = [part for part in BETWEEN_VALUES.split(value) if part]
        are_known = len(parts) > 1 and all(part.casefold() in alone for part in parts)
        first[value] = parts[0] if are_known else value
    frequent: Counter[str] = Counter()
    for value, count in counts.items():
        frequent[first[value]] += count
    spelling = {value.casefold(): value for value in sorted(known, reverse=True)}
    for value in sorted(frequent, key=lambda value: (-frequent[value], value)):
        spelling.setdefault(value.casefold(), value)
    return {value: spelling[first[value].casefold()] for value in counts}


def _read_values(raw: Sequence[Any], column: str) -> tuple[list[str], list[str]]:
    """Return the labels of cards by the values of a column, and what was noticed."""
    firsts, several = [], 0
    for value in raw:
        items = items_of(value)
        several += items is not None and len(items) > 1
        firsts.append(value if items is None else items[0] if items else "")
    # Levels of paths are told by " > " and arrows alone: a brand may be called A/B.
    read = read_categories(firsts, [""] * len(firsts), PATH_SEPARATOR).labels
    meant = unify(read)
    labels = [meant[value] for value in read]
    sizes = Counter(label for label in labels if label)
    labelled, alone = sum(sizes.values()), sum(size == 1 for size in sizes.values())
    if len(sizes) < 2:
        has = f"has one value only, {next(iter(sizes))!r}" if sizes else "is empty"
        raise QueryError(f"The column {column!r} {has}, so there is nothing to predict.")
    if alone > MOST_ALONE * labelled:
        raise QueryError(
            f"{alone:,} of the {labelled:,} cards with a value in {column!r} have one that no "
            "other card has, so it looks like ids, free text or measured numbers; a column can "
            "be predicted where its values recur, such as a brand, a colour or a tax class."
        )
    shown = Counter(read)
    firsts_of = [v for v in shown if meant[v].casefold() != v.casefold()]
    several += sum(shown[value] for value in firsts_of)
    notes = [
        f"the answers are values of the column {column!r}: {labelled:,} of {len(labels):,} cards "
        f"have one of {len(sizes):,}"
    ]
    if several:
        notes.append(f"{counted(several, 'cards have several values')}, of which the first counts")
    merged = sorted(v for v in meant if v and meant[v] != v and meant[v].casefold() == v.casefold())
    if merged:
        notes.append(
            f"{counted(len(merged), 'values differ')} from another in letter case alone and count "
            f"as it: {name_first([f'{v} = {meant[v]}' for v in merged])}"
        )
    if alone > MANY_ALONE * labelled:
        notes.append(
            f"{alone:,} of these cards have a value that no other card has; where that is the true "
            "one of a listing, it is not found"
        )
    if len(sizes) > MANY_NUMBERS and all(map(NUMBER.fullmatch, sizes)):
        notes.append(
            f"all {len(sizes):,} values are numbers: each is a class of its own, and a near number "
            "is as wrong as any other"
        )
    return labels, notes


def _kept_columns(catalogue: Catalogue, part: str) -> dict[str, str]:
    """Return the columns besides the target, and the categories as further ones, by new names."""
    names = catalogue.pieces.names
    kept = {name: name for name in names if name not in (*LABELLING, part)}
    for label in LABELLING:
        if any(catalogue.values(label)):
            header = catalogue.columns.get(label) or label
            kept[free_name(header, [*names, *kept, DIGEST])] = label
    return kept


def _share_named(texts: Sequence[str], labels: Sequence[str]) -> float:
    """Return the share of the cards that have both whose text names the label in its words."""
    both = [(text, label) for text, label in zip(texts, labels, strict=True) if text and label]
    named = sum(
        f" {' '.join(words_of(label.split(PATH_SEPARATOR)[-1]))} "
        in f" {' '.join(words_of(text))} "
        for text, label in both
    )
    return named / max(1, len(both))
