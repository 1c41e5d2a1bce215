"""Errors that a user reads: one sentence with the thing, the cause and the way out."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping
from typing import Any

# Characters of a file's own words in an error.
LONGEST = 300


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return the question for the nearest name that is known, or nothing where none is near."""
    from difflib import get_close_matches

    folded = {other.casefold(): other for other in known}
    near = get_close_matches(str(name).casefold(), folded, n=1)
    return "".join(f" Did you mean {folded[each]!r}?" for each in near)


def one_line(text: object) -> str:
    """Return what a damaged or hostile file made of a text or an error, so that it can be read."""
    words = " ".join(str(text).split())
    shown = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in words)
    return shown if len(shown) <= LONGEST else f"{shown[:LONGEST]}\u2026"


def check_named(what: str, values: object, example: str) -> None:
    """Raise TypeError unless values are given by name."""
    if not isinstance(values, Mapping):
        kind = type(values).__name__
        raise TypeError(f"{what} are given by name, such as {example}; this is of the type {kind}.")


def check_type(value: object, expected: type | tuple[type, ...], sentence: str) -> None:
    """Raise TypeError with the start of a sentence unless a value is of a type."""
    if not isinstance(value, expected):
        raise TypeError(f"{sentence}; this is of the type {type(value).__name__}.")


def whole_number(what: str, value: Any) -> int:
    """Return a whole number of any type, such as those of numpy, or raise TypeError."""
    try:
        return operator.index(value)
    except TypeError:
        raise TypeError(f"The {what} is a whole number; {value!r} is none.") from None


class ProdcatError(Exception):
    """Base of every error that this package raises on purpose."""


class CatalogueError(ProdcatError):
    """A catalogue file cannot be read as cards."""


class EmptyCatalogueError(CatalogueError):
    """A catalogue has no card."""


class PictureError(ProdcatError):
    """A picture file cannot be read as a picture."""


class EncoderError(ProdcatError):
    """An encoder cannot be found, loaded or applied."""


class NoWordError(EncoderError):
    """A text encoder found no word in the texts that it is fitted to."""


class IndexFolderError(ProdcatError):
    """An index folder is missing, damaged, foreign, or of a newer format."""


class StoreError(ProdcatError):
    """A store cannot be reached, refuses to answer, or does not hold what an index has in it."""


class ClusterError(ProdcatError):
    """A cluster cannot be reached, or its workers do not get on."""


class QueryError(ProdcatError, ValueError):
    """A query cannot be answered by this index."""
