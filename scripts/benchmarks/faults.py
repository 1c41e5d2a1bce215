"""Does a damaged file end a run, or take memory or time? Random mutations of whole ones."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from prodcat_index import ProductIndex
from prodcat_index.cards.catalogue import read_catalogue
from prodcat_index.cards.pictures import load_picture, read_header
from prodcat_index.encoders.registry import make_encoder
from prodcat_index.errors import CatalogueError, PictureError
from prodcat_index.files import create
from prodcat_index.index.stored_cards import write_cards
from scripts.benchmarks.catalogue_samples import catalogue_files
from scripts.benchmarks.faults_index import GOOD, Damage, damage_index
from scripts.benchmarks.faults_kills import Kills, kill_writers, usual_commands
from scripts.benchmarks.faults_mutations import mutations
from scripts.benchmarks.faults_points import (
    FAILURES,
    NEW,
    OLD,
    Points,
    fail_every_call,
    usual_changes,
)
from scripts.benchmarks.faults_sample import build_sample
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
    indexes: Annotated[int, typer.Option(min=1, help="Damaged indexes to open.")] = 10_000,
    every: Annotated[int, typer.Option(min=1, help="Of the calls to the disk, fail each nth.")] = 1,
    kills: Annotated[int, typer.Option(min=1, help="Processes to kill.")] = 300,
    page: PageOption = PAGE,
) -> None:
    """Read damaged files and indexes, fail the disk, and kill writers: nothing may be lost."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = {
            "catalogues": in_own_process(damage_catalogues, folder, catalogues),
            "pictures": in_own_process(damage_pictures, folder, pictures),
        }
        work = folder / "work"
        work.mkdir()
        sample = build_sample(folder)
        picture = folder / "pictures" / "3.png"
        damage = damage_index(sample, picture, mutations(sample, indexes), work)
        points = in_own_process(_fail_disk, sample, work, every)
        killed = in_own_process(_kill_writers, sample, work, kills)
    _write_files(page, files)
    _write_indexes(page, damage)
    _write_points(page, points, every)
    _write_kills(page, killed)
    failures = [f"{name}: {each}" for name, found in files.items() for each in found.failures]
    failures += [*damage.failures, *points.failures, *killed.failures]
    for failure in failures:
        typer.echo(failure, err=True)
    if failures or any(found.memory > MAX_MEMORY for found in files.values()):
        raise typer.Exit(1)


def _fail_disk(sample: Path, work: Path, every: int) -> Points:
    """Fail the calls of all changes of an index."""
    other = ProductIndex.load(sample)
    more = other.catalogue.to_frame().head(3).assign(id=["new1", "new2", "new3"])
    points = Points()
    for change in usual_changes(work, other, more):
        found = fail_every_call(change, work, every)
        points.counts |= found.counts
        points.failures += found.failures
    return points


def _kill_writers(sample: Path, work: Path, count: int) -> Kills:
    """Kill all commands that change an index; without pictures, whose network loads for long."""
    cards = ProductIndex.load(sample).catalogue.to_frame().assign(image="")
    before = ProductIndex.build(cards)
    folder = work / "killed"
    return kill_writers(before, folder, usual_commands(before, folder, work), count)


def _write_files(page: Path, outcomes: Mapping[str, Outcome]) -> None:
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


def _write_indexes(page: Path, damage: Damage) -> None:
    failed = sorted({name for counts in damage.counts.values() for name in counts} - {*GOOD})
    columns = [*GOOD, *failed]
    rows = [
        [family, str(counts.total()), *(str(counts[name]) for name in columns)]
        for family, counts in sorted(damage.counts.items())
    ]
    write_section(
        page,
        "Damaged indexes",
        "`scripts/bench faults`: mutations of the files of an index of titles, descriptions and "
        "pictures with everything that is fitted; of six in ten, the digests in the manifest are "
        "made to fit. Each is opened, asked and verified as `prodcat query`, `predict`, `similar` "
        "and `info` do, in a process that may take 1 GB more than before. *Another whole index* "
        "has a right digest and nothing that is impossible: no check can tell it from one that "
        f"was built so. The slowest took {damage.slowest:.1f} s; the most memory was "
        f"{damage.memory / MB:.0f} MB.\n\n" + table(["changed", "tried", *columns], rows),
    )


def _write_points(page: Path, points: Points, every: int) -> None:
    by_change: dict[str, dict[str, Counter[str]]] = {}
    for name, counts in points.counts.items():
        change, failure = name.split(", ", 1)
        by_change.setdefault(change, {})[failure] = counts
    rows = [
        [
            change,
            str(sum(counts.total() for counts in by_failure.values())),
            *(f"{by_failure[f][OLD]} / {by_failure[f][NEW]}" for f in FAILURES),
            str(sum(name.startswith(f"{change}, ") for name in points.failures)),
        ]
        for change, by_failure in by_change.items()
    ]
    what = "every call" if every == 1 else f"each {every}th call"
    write_section(
        page,
        "Failing disks",
        f"`scripts/bench faults`: {what} to the disk that a change of an index makes fails once: "
        "as an error (a full disk, or one that is broken), as the end of the process with half of "
        "a write done, and as a power cut that takes the names, or the content, of all files that "
        "were not flushed. In the columns: how often the old index was there afterwards, and the "
        "new one, each with all its answers; the next change then worked and left no file behind. "
        "*Failed* is anything else.\n\n"
        + table(["change", "failed calls", *FAILURES, "failed"], rows),
    )


def _write_kills(page: Path, killed: Kills) -> None:
    columns = sorted({name for counts in killed.counts.values() for name in counts})
    rows = [
        [name, str(counts.total()), *(str(counts[column]) for column in columns)]
        for name, counts in killed.counts.items()
    ]
    write_section(
        page,
        "Killed writers",
        "`scripts/bench faults`: `kill -9` at random moments of processes that change an index, "
        f"while another process opened and asked it {killed.reads:,} times, of which "
        f"{sum('reader' in each for each in killed.failures)} failed.\n\n"
        + table(["command", "killed", *columns], rows),
    )


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
