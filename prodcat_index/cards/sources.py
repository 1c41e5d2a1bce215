"""Sources: the bytes of a file or of stdin, unpacked within limits and decoded line by line."""

from __future__ import annotations

import codecs
import gzip
import io
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import BinaryIO

from prodcat_index.errors import CatalogueError

BYTE_ORDER_MARKS = {
    codecs.BOM_UTF8: "utf-8",
    # Before UTF-16, whose mark it begins with.
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
LATIN = re.compile("[a-zA-Z]")
CYRILLIC_ENCODINGS = ["cp1251", "koi8_r", "cp866"]
# What a file that begins so is, whatever its name says.
FIRST_BYTES = {
    b"PK\x03\x04": "an Excel workbook or another zip file",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook",
    b"\x1f\x8b": "a gzip file",
    b"PAR1": "a Parquet file",
    b"%PDF": "a PDF document",
}
DAMAGED = "lines are not UTF-8 (\ufffd stands for the wrong bytes)"
SAMPLE = 100_000
# Bytes that are 0 in half of the places: the spaces, digits and delimiters of UTF-16.
WIDE_SHARE = 0.03
# A text has a stray NUL at most.
BINARY_SHARE = 0.1
MAX_LINE = 2**26
# Real catalogues unpack to 2 to 16 times their size; a made one to a million times.
MAX_RATIO = 100
MIN_LIMIT = 512 * 2**20
READ_AT_ONCE = 2**16
PART = 2**20


@dataclass(frozen=True)
class Source:
    """Bytes that can be opened several times, and their name for people."""

    name: str
    open: Callable[[], BinaryIO]


def file_source(path: Path) -> Source:
    """Return the source of a file; one that ends in ``.gz`` is unpacked within `max_unpacked`."""
    if path.suffix.lower() != ".gz":
        return Source(str(path), lambda: path.open("rb"))
    limit = max_unpacked(path)

    def unpack() -> BinaryIO:
        return io.BufferedReader(_Limited(gzip.GzipFile(path), limit, path), READ_AT_ONCE)

    return Source(str(path), unpack)


def max_unpacked(path: Path) -> int:
    """Return how many bytes a compressed file may unpack to: a small one must not fill memory."""
    return max(MIN_LIMIT, MAX_RATIO * path.stat().st_size)


def unpacks_to_too_much(path: Path | str, limit: int) -> CatalogueError:
    """Return the error for a file that unpacks to more than it may."""
    return CatalogueError(
        f"{path} unpacks to more than {limit // 2**20:,} MB, which no catalogue of its size does. "
        "If it is one, unpack it and give it as plain text, or in several files."
    )


class _Limited(io.RawIOBase):
    """A stream that raises CatalogueError after `limit` bytes."""

    def __init__(self, stream: gzip.GzipFile, limit: int, path: Path) -> None:
        self._stream, self._limit, self._path, self._count = stream, limit, path, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        part = self._stream.read(len(buffer))
        buffer[: len(part)] = part
        self._count += len(part)
        if self._count > self._limit:
            raise unpacks_to_too_much(self._path, self._limit)
        return len(part)

    def close(self) -> None:
        self._stream.close()
        super().close()


def read_lines(
    source: Source, encoding: str | None, damaged: list[str] | None = None
) -> Iterator[str]:
    """Yield the lines of a text with their ends, without NUL characters.

    Where `damaged` is given, a few wrong bytes of UTF-8 are replaced, and their lines named in it.
    """
    errors = "strict" if damaged is None or not _is_slightly_damaged(source) else "replace"
    lines = _decode(source, encoding, lambda text: text.readline(MAX_LINE), errors)
    for number, line in enumerate(lines, start=1):
        if damaged is not None and errors == "replace" and "\ufffd" in line:
            damaged.append(f"line {number}")
        if len(line) == MAX_LINE:
            raise CatalogueError(
                f"{source.name}, line {number} is longer than {MAX_LINE // 10**6} million "
                "characters: it is no line of a catalogue."
            )
        yield line


def read_parts(source: Source, encoding: str | None) -> Iterator[str]:
    """Yield a text in parts of the same size, else as `read_lines`."""
    return _decode(source, encoding, lambda text: text.read(PART))


def _decode(
    source: Source,
    encoding: str | None,
    read: Callable[[io.TextIOWrapper], str],
    errors: str = "strict",
) -> Iterator[str]:
    with source.open() as stream:
        head = stream.read(SAMPLE)
    encoding = encoding or _find_encoding(head)
    _check_text(head, encoding, source.name)
    with io.TextIOWrapper(source.open(), encoding, errors, newline="") as text:
        try:
            first = read(text).lstrip("\ufeff")
            for part in chain([first], iter(lambda: read(text), "")):
                yield part.replace("\0", "") if "\0" in part else part
        except UnicodeError:
            raise _wrong_encoding(source, encoding) from None


def _find_encoding(head: bytes) -> str:
    for mark, name in BYTE_ORDER_MARKS.items():
        if head.startswith(mark):
            return name
    even, odd = head[::2].count(0), head[1::2].count(0)
    # Text as such has no NUL; in UTF-16 they are the upper halves, all on one side.
    if max(even, odd) > WIDE_SHARE * len(head) and min(even, odd) * 10 < max(even, odd):
        return "utf-16-le" if odd > even else "utf-16-be"
    return "utf-8"


def _check_text(head: bytes, encoding: str, name: str) -> None:
    for beginning, what in FIRST_BYTES.items():
        if head.startswith(beginning):
            raise CatalogueError(f"{name} is {what}: give it the ending of its format.")
    try:
        text = head.decode(encoding, "ignore")
    except (LookupError, ValueError):
        raise CatalogueError(
            f"There is no encoding {encoding!r}: give --encoding a name such as utf-8 or cp1251."
        ) from None
    if text.count("\0") > BINARY_SHARE * len(text):
        raise CatalogueError(
            f"{name} holds no readable text: it is a binary file, or its encoding is another "
            "(name it with --encoding)."
        )


def _is_slightly_damaged(source: Source) -> bool:
    """Check for lines that are not UTF-8 among more that are, beyond ASCII."""
    right = wrong = 0
    with source.open() as stream:
        for line in stream:
            if not line.isascii():
                decodes = _decodes(line, "utf-8")
                right, wrong = right + decodes, wrong + (not decodes)
    return 0 < wrong < right


def _wrong_encoding(source: Source, encoding: str) -> CatalogueError:
    """Return the error that names the first line that is not in the encoding, and a better one."""
    where, sample = "", b""
    # In UTF-16 and UTF-32 a line break is a part of a character.
    if "16" not in encoding and "32" not in encoding:
        with source.open() as stream:
            for number, line in enumerate(stream, start=1):
                if where or not _decodes(line, encoding):
                    where = where or f" (line {number})"
                    sample += line
                if len(sample) > SAMPLE:
                    break
    if encoding == "utf-8" and _is_slightly_damaged(source):
        return CatalogueError(
            f"{source.name} is utf-8 with wrong bytes{where}: correct them, or go on without them "
            "with --skip-bad-rows."
        )
    return CatalogueError(f"{source.name} is not {encoding}{where}; {_encoding_hint(sample)}.")


def check_encoding(source: Source, encoding: str) -> None:
    """Raise CatalogueError with a better encoding if the bytes are not in this one."""
    try:
        for _ in read_parts(source, encoding):
            pass
    except LookupError:
        return


def _decodes(line: bytes, encoding: str) -> bool:
    try:
        line.decode(encoding)
    except UnicodeError:
        return False
    return True


def _encoding_hint(content: bytes) -> str:
    from charset_normalizer import from_bytes

    # Among all encodings it takes a short list of Russian titles for Japanese.
    best = from_bytes(content[:SAMPLE], cp_isolation=CYRILLIC_ENCODINGS).best()
    words = re.findall(r"\w*[^\W\d_a-zA-Z]\w*", str(best) if best else "")
    # A Western word has few letters with accents, which would be Cyrillic ones among Latin ones.
    if 5 * sum(bool(LATIN.search(word)) for word in words) >= len(words):
        return (
            "name its encoding, for instance --encoding cp1252 (Western Europe), cp1250 (Central "
            "Europe) or cp1251 (Cyrillic)"
        )
    guess = best.encoding.replace("_", "-") if best else ""
    return f"it looks like {guess}: add --encoding {guess}"
