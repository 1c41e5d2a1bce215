"""Does a damaged file end a run, or take memory or time? Random mutations of whole ones."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from prodcat_index.cards.catalogue import read_catalogue
from prodcat_index.cards.pictures import load_picture, read_header
from prodcat_index.encoders.registry import make_encoder
from prodcat_index.errors import CatalogueError, PictureError
from prodcat_index.files import create
from prodcat_index.index.stored_cards import write_cards
from scripts.benchmarks.catalogue_samples import catalogue_files
from scripts.benchmarks.measuring import MB, in_own_process, peak_bytes, stopwatch
from scripts.benchmarks.page import PAGE, PageOption, table, write_section

SEED = 0
SIDES = (64, 48)
# Format, mode, and how it is saved.
PICTURES: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("JPEG", "RGB", {}),
    ("JPEG", "CMYK", {"progressive": True}),
    ("JPEG", "L", {"progressive": True, "exif": b"Exif\x00\x00II*\x00\x08\x00\x00\x00\x00\x00"}),
    ("PNG", "RGB", {}),
    ("PNG", "RGBA", {}),
    ("PNG", "P", {"transparency": 0}),
    ("PNG", "I;16", {}),
    ("GIF", "P", {"save_all": True, "animated": True}),
    ("WEBP", "RGB", {"save_all": True, "animated": True}),
    ("WEBP", "RGBA", {"lossless": True}),
    ("BMP", "RGB", {}),
    ("BMP", "1", {}),
    ("TIFF", "RGB", {"compression": "tiff_deflate"}),
    ("TIFF", "F", {"compression": "tiff_lzw"}),
    ("TIFF", "RGB", {"compression": "jpeg"}),
    ("AVIF", "RGB", {}),
)
# Numbers that sizes and offsets of headers are made of.
EXTREMES = (b"\x00\x00\x00\x00", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\x00\x00\xff\xff")
# What has a meaning in one of the formats.
TOKENS = (
    *(b'"', b'""', b"'", b"\n", b"\r", b"\t", b",", b";", b"[", b"]", b"{", b"}", b"null", b"NaN"),
    *(b"1e999", b"9" * 5_000, b"\\ud800", b"&a;", b"&#99999999999999999;", b"]]>", b"<!--"),
    *(b"<![CDATA[", b"<item>", b"</item>", b"</offer>", b"sep=;\n", b"\0", b"\xff\xfe"),
    *("\ufeff".encode(), "\u202e".encode(), b"\xed\xa0\x80"),
)
MAX_MEMORY, MAX_SECONDS = 1024 * MB, 10.0


@dataclass
class Outcome:
    """What became of damaged files: how many were read or refused, and what went wrong."""

    read: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    slowest: float = 0.0
    memory: int = 0  # bytes, above what the process had before


def faults(
    catalogues: Annotated[int, typer.Option(min=1, help="Damaged catalogues to read.")] = 1000,
    pictures: Annotated[int, typer.Option(min=1, help="Damaged pictures to read.")] = 400,
    page: PageOption = PAGE,
) -> None:
    """Read damaged files: each is read or refused in words, within bounded memory and time."""
    with tempfile.TemporaryDirectory() as folder:
        outcomes = {
            "catalogues": in_own_process(damage_catalogues, Path(folder), catalogues),
            "pictures": in_own_process(damage_pictures, Path(folder), pictures),
        }
    rows = [
        [
            name,
            str(found.read + found.refused.total() + len(found.failures)),
            str(found.read),
            ", ".join(f"{reason} ({n})" for reason, n in found.refused.most_common()),
            str(len(found.failures)),
            f"{found.slowest:.2f}",
            f"{found.memory / MB:.0f}",
        ]
        for name, found in outcomes.items()
    ]
    header = ["files", "damaged", "read", "refused", "failed", "slowest, s", "memory, MB"]
    write_section(
        page,
        "Damaged files",
        "`scripts/bench faults`: random mutations of files of every format. Catalogues are read, "
        "half of them with `--skip-bad-rows`, and their cards stored as an index stores them. "
        "Pictures are measured, loaded and embedded by `efficientnet-lite0`. *Failed* is any other "
        "error than the one of an unreadable catalogue or picture, or one that takes more than "
        f"{MAX_SECONDS:.0f} s. *Memory* is the peak above that of the process with whole files "
        "read and the network loaded.\n\n" + table(header, rows),
    )
    for name, found in outcomes.items():
        for failure in found.failures:
            typer.echo(f"{name}: {failure}", err=True)
    if any(found.failures or found.memory > MAX_MEMORY for found in outcomes.values()):
        raise typer.Exit(1)


def damage_catalogues(folder: Path, count: int) -> Outcome:
    """Read and store mutations of catalogues of all formats."""
    rng = np.random.default_rng(SEED)
    originals = catalogue_files()
    whole = [folder / name for name in originals]
    for path in whole:
        path.write_bytes(originals[path.name])
        _read_and_store(path)
    outcome, before = Outcome(), peak_bytes()
    for number in range(count):
        path = whole[number % len(whole)]
        content = mutate(originals[path.name], rng)
        if rng.random() < 0.5:
            place = int(rng.integers(len(content) + 1))
            content = content[:place] + TOKENS[rng.integers(len(TOKENS))] + content[place:]
        path.write_bytes(content)
        read = partial(_read_and_store, skip_bad_rows=bool(number % 2))
        _try(read, path, outcome, CatalogueError, lambda _: "in a sentence")
    outcome.memory = peak_bytes() - before
    return outcome


def _read_and_store(path: Path, skip_bad_rows: bool = False) -> None:
    encoding = "cp1251" if path.name == "cp1251.csv" else None
    cards = read_catalogue(path, encoding=encoding, skip_bad_rows=skip_bad_rows)
    stored = path.with_suffix(".stored")
    stored.unlink(missing_ok=True)
    with create(stored) as output:
        write_cards(cards, "", output)


def damage_pictures(folder: Path, count: int) -> Outcome:
    """Measure, load and embed mutations of pictures of all formats."""
    rng = np.random.default_rng(SEED)
    originals = [_saved(*each) for each in PICTURES]
    encoder = make_encoder("efficientnet-lite0")
    (folder / "whole.jpg").write_bytes(originals[0])
    encoder.encode([str(folder / "whole.jpg")])

    def read(path: Path) -> None:
        read_header(path)
        load_picture(path)
        if problems := encoder.encode([str(path)]).problems:
            raise PictureError(next(iter(problems)))

    outcome, before = Outcome(), peak_bytes()
    for number in range(count):
        path = folder / f"{number}.jpg"
        path.write_bytes(mutate(originals[number % len(originals)], rng))
        _try(read, path, outcome, PictureError)
    outcome.memory = peak_bytes() - before
    return outcome


def mutate(content: bytes, rng: np.random.Generator) -> bytes:
    """Change, cut out, repeat or insert bytes of a file, often in its header."""
    changed = bytearray(content)
    for _ in range(rng.integers(1, 4)):
        place = int((len(changed) if rng.random() < 0.7 else 100) * rng.random())
        match rng.integers(5):
            case 0:
                changed[place : place + 1] = rng.bytes(1)
            case 1:
                changed[place : place + 4] = rng.choice(EXTREMES)
            case 2:
                del changed[place : place + int(rng.integers(1, 200))]
            case 3:
                changed[place:place] = changed[place : place + 200] * int(rng.integers(1, 50))
            case _:
                changed[place:place] = rng.bytes(int(rng.integers(1, 20)))
    return bytes(changed if rng.random() < 0.8 else changed[: len(changed) // 2])


def _saved(form: str, mode: str, options: dict[str, Any]) -> bytes:
    from PIL import Image

    rng = np.random.default_rng(SEED)
    noise = Image.fromarray(rng.integers(0, 256, (*SIDES, 3), dtype=np.uint8))
    grey = noise.convert("L").convert("I") if mode == "I;16" else noise
    picture, options = grey.convert(mode), dict(options)
    if options.pop("animated", False):
        options["append_images"] = [picture.rotate(180)]
    file = BytesIO()
    picture.save(file, form, **options)
    return file.getvalue()


def _try(
    read: Callable[[Path], object],
    path: Path,
    outcome: Outcome,
    refusal: type[Exception],
    kind: Callable[[Exception], str] = str,
) -> None:
    """Read a file; an error of another class than `refusal`, or a long time, is a failure."""
    with stopwatch() as spent:
        try:
            read(path)
            outcome.read += 1
        except refusal as error:
            outcome.refused[kind(error)] += 1
        except Exception as error:
            outcome.failures.append(f"{path.name}: {error!r}")
    outcome.slowest = max(outcome.slowest, spent.wall)
    if spent.wall > MAX_SECONDS:
        outcome.failures.append(f"{path.name}: {spent.wall:.0f} s")
