"""What cards may be given as: a file, a table, dicts or cards, opened as a raw table; vectors."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, Union

from prodcat_index.cards.card import CORE_TEXTS, IMAGE, LABELS, Card, Catalogue
from prodcat_index.cards.exports import recognise
from prodcat_index.cards.picture_files import is_address
from prodcat_index.cards.pieces import Lists, Pieces
from prodcat_index.cards.readers import read_table
from prodcat_index.cards.roles import NO_TEXTS
from prodcat_index.cards.table import Table
from prodcat_index.errors import CatalogueError, EmptyCatalogueError, check_named
from prodcat_index.findings import counted, name_first

if TYPE_CHECKING:
    import pandas as pd

    from prodcat_index.types import Float32Array

CardSource: TypeAlias = Union[
    str, Path, "pd.DataFrame", Table, Catalogue, Card, Mapping[str, Any], Iterable[Any]
]
STDIN = "stdin"
# What vectors cannot be of, and how they are given.
NO_MODALITIES = ("", "id", *LABELS)
EXAMPLE = "{'title': rows}"
DICTS, CARDS = "list of dicts", "list of cards"


def open_source(
    path: CardSource, encoding: str | None, skip_bad_rows: bool = False
) -> tuple[Table, str, Path | None]:
    """Return the raw table with plain column names, its name for people, and its file."""
    if isinstance(path, (str, Path)):
        read = read_table(Path(path), encoding, skip_bad_rows=skip_bad_rows)
        return read, str(path), read.file or Path(path)
    # Readers have recognised what a file is.
    is_read = isinstance(path, Table)
    read = path if isinstance(path, Table) else _open_memory(path)
    is_list = read.format in (DICTS, CARDS)
    name = (read.source or STDIN) if is_read else "the list" if is_list else "the table"
    if not len(read):
        raise EmptyCatalogueError(f"There are no cards in {name}.")
    return read if is_read else recognise(read, name), name, read.file


def _open_memory(source: Any) -> Table:
    """Return a table of what a program holds; raise TypeError where it is nothing of the kind."""
    import pandas as pd

    if isinstance(source, (pd.DataFrame, Catalogue)):
        frame = source.cards if isinstance(source, Catalogue) else source
        # The ids of a table are often its index.
        named = [level for level in frame.index.names if level and level not in frame.columns]
        return Table((frame.reset_index(level=named) if named else frame).reset_index(drop=True))
    if isinstance(source, Mapping) and source and all(map(_is_column, source.values())):
        raise _no_cards("this is a dict of columns, of which pandas.DataFrame makes one")
    cards = [source] if isinstance(source, (Mapping, Card)) else source
    if not isinstance(cards, Iterable) or isinstance(cards, bytes):
        raise _no_cards(f"this is of the type {type(source).__name__}")
    cards = list[Any](cards)
    kind = Card if cards and isinstance(cards[0], Card) else Mapping
    for number, card in enumerate(cards, start=1):
        if not isinstance(card, kind):
            raise _no_cards(f"number {number} is of the type {type(card).__name__}")
    if kind is Mapping:
        return Table(pd.DataFrame(cards, dtype=object), format=DICTS)
    pieces, texts = join_cards(cards)
    frame = pieces.frame()
    if not any(frame["id"]):
        frame["id"] = range(1, len(frame) + 1)
    return Table(frame, format=CARDS, texts=texts[len(CORE_TEXTS) :])


def join_cards(cards: Sequence[Card]) -> tuple[Pieces, tuple[str, ...]]:
    """Return cards by their columns, and the names of their texts."""
    further = dict.fromkeys(name for card in cards for name in card.texts if name not in NO_TEXTS)
    texts = (*CORE_TEXTS, *further)
    columns = {"id": [card.id for card in cards]}
    columns |= {name: [card.value(name) for card in cards] for name in texts}
    pictures = [card.image for card in cards]
    # An address is left to whoever reads the pictures.
    columns[IMAGE] = [p if not p or is_address(p) else str(Path(p).absolute()) for p in pictures]
    columns |= {name: [getattr(card, name) for card in cards] for name in LABELS}
    return Pieces((Lists(columns),)), texts


def _is_column(value: Any) -> bool:
    return hasattr(value, "__len__") and not isinstance(value, (str, bytes, Mapping))


def _no_cards(what: str) -> TypeError:
    return TypeError(
        "Cards are given as the path of a file, a DataFrame, a Catalogue, or a list of dicts or of "
        f"Cards; {what}."
    )


def folder_of(values: Sequence[str], is_listed: bool) -> Path | None:
    """Return the folder of the pictures that data in memory names; None where it must be given."""
    paths = [value for value in values if value and not is_address(value)]
    if not paths or not all(Path(path).is_absolute() for path in paths):
        return Path() if is_listed else None
    folder = Path(os.path.commonpath([Path(path).parent for path in paths]))
    return next(place for place in (folder, *folder.parents) if place.is_dir())


def check_vectors(vectors: Any, cards: int) -> dict[str, Float32Array]:
    """Return rows by modality, (cards, dim), zeros where a card has none."""
    check_named("Vectors", vectors, EXAMPLE)
    return {name: _check(name, rows, cards) for name, rows in vectors.items()}


def _check(name: Any, given: Any, cards: int) -> Float32Array:
    import numpy as np

    if not isinstance(name, str) or name in NO_MODALITIES:
        raise CatalogueError(f"Vectors cannot be of {name!r}: name a modality, as {EXAMPLE}.")
    try:
        with np.errstate(over="ignore"):
            rows = np.asarray(given, dtype=np.float32)
    except (TypeError, ValueError):
        raise TypeError(
            f"The vectors of {name} are not an array of numbers; give zeros or NaN for a card "
            "without a vector."
        ) from None
    if rows.ndim == 1 and cards == 1:
        rows = rows[None]
    if rows.ndim != 2 or len(rows) != cards or not rows.shape[1]:
        raise CatalogueError(
            f"The vectors of {name} have the shape {rows.shape}, for {counted(cards, 'cards')}: "
            "give one row of numbers for each card, in their order."
        )
    rows = np.where(np.isnan(rows).all(axis=1, keepdims=True), np.float32(0), rows)
    wrong = np.flatnonzero(~np.isfinite(rows).all(axis=1))
    if len(wrong):
        raise CatalogueError(
            f"The vectors of {name} are not finite numbers in "
            f"{name_first([f'row {row}' for row in wrong], 3)}; correct them, or let whole rows be "
            "zeros or NaN."
        )
    return rows
