"""Bytes of a catalogue file to text: the encoding is told, found by its mark, or UTF-8."""

from __future__ import annotations

import codecs
import re
from pathlib import Path

from prodcat_index.errors import CatalogueError

MARKS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
CYRILLIC_ENCODINGS = ("cp1251", "koi8-r", "cp866")
RUSSIAN_WORD = re.compile("[а-яё]{3,}")
HINT = "name its encoding, for instance --encoding cp1251 or --encoding latin-1"
SAMPLE = 100_000
BINARY_SHARE = 0.1


def read_text(path: Path, encoding: str | None) -> str:
    """Read a text file whole.

    Parameters
    ----------
    path
        The file.
    encoding
        Name of its encoding. When not given: by the byte order mark, else UTF-8.

    Returns
    -------
    str
        The text without byte order mark and NUL characters.

    Raises
    ------
    CatalogueError
        When the bytes are not of that encoding, with a guess at the right one.
    """
    content = path.read_bytes()
    try:
        text = content.decode(encoding or _marked_encoding(content))
    except UnicodeError as error:
        raise CatalogueError(_wrong_encoding(path, content, encoding, error)) from None
    except (LookupError, ValueError):
        raise CatalogueError(
            f"There is no encoding {encoding!r}: give --encoding a name such as utf-8 or cp1251."
        ) from None
    if text[:SAMPLE].count("\0") > BINARY_SHARE * len(text[:SAMPLE]):
        raise CatalogueError(
            f"{path} holds no readable text: it is a binary file, or UTF-16 without its mark "
            "(then add --encoding utf-16-le)."
        )
    return text.lstrip("\ufeff").replace("\0", "")


def _marked_encoding(content: bytes) -> str:
    return next((name for mark, name in MARKS.items() if content.startswith(mark)), "utf-8")


def _wrong_encoding(path: Path, content: bytes, encoding: str | None, error: UnicodeError) -> str:
    line = content.count(b"\n", 0, getattr(error, "start", 0)) + 1
    guess = _guess_cyrillic(content)
    hint = f"it looks like {guess}: add --encoding {guess}" if guess else HINT
    return f"{path} is not {encoding or _marked_encoding(content)} (line {line}); {hint}."


def _guess_cyrillic(content: bytes) -> str:
    best = max(CYRILLIC_ENCODINGS, key=lambda name: _cyrillic_share(content[:SAMPLE], name))
    return best if _cyrillic_share(content[:SAMPLE], best) > 0.5 else ""


def _cyrillic_share(content: bytes, encoding: str) -> float:
    """Share of small Russian words in what is not ASCII: in a wrong encoding they are capitals."""
    text = content.decode(encoding, "replace")
    foreign = sum(not character.isascii() for character in text)
    return sum(map(len, RUSSIAN_WORD.findall(text))) / max(1, foreign)
