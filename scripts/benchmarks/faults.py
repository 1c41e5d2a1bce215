"""Does a damaged file end a run, or take memory or time? Random mutations of whole ones."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from prodcat_index.cards.pictures import load_picture, read_header
from prodcat_index.encoders.registry import make_encoder
from prodcat_index.errors import PictureError
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
    pictures: Annotated[int, typer.Option(min=1, help="Damaged pictures to read.")] = 400,
    page: PageOption = PAGE,
) -> None:
    """Read damaged files: each is read or refused in words, within bounded memory and time."""
    with tempfile.TemporaryDirectory() as folder:
        outcomes = {"pictures": in_own_process(damage_pictures, Path(folder), pictures)}
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
        "`scripts/bench faults`: random mutations of files of every format. Pictures are measured, "
        "loaded and embedded by `efficientnet-lite0`; *failed* is any other error than the one of "
        f"an unreadable picture, or one that takes more than {MAX_SECONDS:.0f} s. *Memory* is the "
        "peak above that of the process with the network loaded.\n\n" + table(header, rows),
    )
    for name, found in outcomes.items():
        for failure in found.failures:
            typer.echo(f"{name}: {failure}", err=True)
    if any(found.failures or found.memory > MAX_MEMORY for found in outcomes.values()):
        raise typer.Exit(1)


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
    read: Callable[[Path], object], path: Path, outcome: Outcome, refusal: type[Exception]
) -> None:
    """Read a file; an error of another class than `refusal`, or a long time, is a failure."""
    with stopwatch() as spent:
        try:
            read(path)
            outcome.read += 1
        except refusal as error:
            outcome.refused[str(error)] += 1
        except Exception as error:
            outcome.failures.append(f"{path.name}: {error!r}")
    outcome.slowest = max(outcome.slowest, spent.wall)
    if spent.wall > MAX_SECONDS:
        outcome.failures.append(f"{path.name}: {spent.wall:.0f} s")
