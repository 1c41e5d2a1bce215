"""Options that several commands share, and the helpers that read them."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from prodcat_index.cli.calls import Given, WrongCallError, refuse
from prodcat_index.cli.output import Format, note, tell
from prodcat_index.cli.values import (
    check_encoders,
    check_encoding,
    check_memory,
    check_picture,
    check_where,
    file_option,
    option,
    parse_weights,
    share_option,
)
from prodcat_index.errors import IndexFolderError

if TYPE_CHECKING:
    from prodcat_index.cards.card import Catalogue
    from prodcat_index.cards.split import Split
    from prodcat_index.cards.table import Table
    from prodcat_index.distributed.engines import Engine
    from prodcat_index.index.product_index import ProductIndex

DEFAULT_ROOT = Path("indexes")
INDEX_VARIABLE = "PRODCAT_INDEX"
DEVICE_VARIABLE = "PRODCAT_DEVICE"
# Seconds of fitting after which it is said how to keep what was fitted.
LONG_FIT = 5.0

# The library has the same types, in modules that import numpy, which --help must not wait for.
Objective = Literal["weighted-f1", "macro-f1", "accuracy", "nll"]
ProjectionKind = Literal["lda", "none"]
TrainingPrecision = Literal["float32", "bfloat16", "float16"]
Device = Literal["auto", "cpu", "cuda", "mps"]
IndexKind = Literal["auto", "flat", "sq8", "ivf", "hnsw"]
Part = Literal["train", "valid", "test"]
Per = Literal["all", "category"]
Preset = Literal["embedded", "original", "multilingual"]
EngineName = Literal["local", "ray"]

CatalogueArgument = Annotated[
    Path,
    typer.Argument(
        metavar="CATALOGUE",
        help="File of cards: CSV, Excel, JSON, Parquet or a folder of it, or a feed or export of a "
        "shop.",
    ),
]
IndexArgument = Annotated[
    Path | None, typer.Argument(metavar="INDEX", help="Index folder, as with --index.")
]
IndexOption = Annotated[
    Path | None,
    option(
        f"Index folder; by default ${INDEX_VARIABLE}, or the only index in {DEFAULT_ROOT}/.",
        "--index",
        "-i",
        metavar="FOLDER",
    ),
]
FormatOption = Annotated[Format, option("Format of the results.", "--format", "-f")]
WeightsOption = Annotated[
    dict[str, float] | None,
    option(
        "Weights such as title=0.6,image=0.4; modalities left out weigh nothing.",
        metavar="NAME=NUMBER,...",
        parser=parse_weights,
    ),
]
WhereOption = Annotated[
    str | None,
    option(
        "Compare with cards that match, such as 'brand = Bosch and price < 5000', with =, !=, "
        '<, in (a, b), contains, under "A > B" and so on.',
        metavar="FILTER",
        parser=check_where,
    ),
]
TargetOption = Annotated[
    str | None,
    option(
        "Predict the values of this column, such as brand, in place of the category.",
        metavar="COLUMN",
    ),
]
EncoderOption = Annotated[
    list[str] | None,
    option(
        "Encoder of a modality, such as title=lexical:128. Repeat it for "
        "further encoders, also of one modality.",
        metavar="MODALITY=SPEC",
        callback=check_encoders,
    ),
]
PresetOption = Annotated[Preset, option("Encoders of the other modalities; see prodcat encoders.")]
ProjectionOption = Annotated[
    ProjectionKind,
    option(
        "Learn from the labels, from 100 labelled cards on: a linear discriminant, as the "
        "block learned, and text scores, as the block scores."
    ),
]
KindOption = Annotated[
    IndexKind,
    option(
        "Kind of the search index, by default chosen by size and memory: flat compares all "
        "cards; the others compare codes of 8 bits a value, of all cards (sq8), of those in near "
        "cells (ivf) or along a graph (hnsw).",
        "--index",
    ),
]
MemoryOption = Annotated[
    str | None,
    option(
        "Memory that the search index may take, such as 2GB; by default any.",
        metavar="SIZE",
        parser=check_memory,
    ),
]
StoreOption = Annotated[
    str | None,
    option(
        "Keep and search the rows in a store, such as postgresql://USER@HOST/DATABASE or "
        "milvus+https://HOST:19530. It gets no password here: see the guide.",
        metavar="URL",
    ),
]
RecallOption = Annotated[
    float,
    share_option(
        "Share of the nearest cards that the search index is to find, from 0.5 to 1, measured on "
        "cards held out.",
        least=0.5,
    ),
]
DeviceOption = Annotated[
    Device | None, option(f"Device of the networks; by default ${DEVICE_VARIABLE}, or the fastest.")
]
EngineOption = Annotated[
    EngineName,
    option("Where shards of the work are done: local, here; ray, by the workers of a cluster."),
]
AddressOption = Annotated[
    str | None,
    option(
        "Head of the Ray cluster; without, --engine ray starts Ray on this machine.",
        metavar="HOST:PORT",
    ),
]
EncodingOption = Annotated[
    str | None,
    option("Encoding of a text file, such as cp1251.", metavar="NAME", parser=check_encoding),
]
ImageRootOption = Annotated[
    Path | None, option("Folder that relative picture paths start from.", metavar="FOLDER")
]
DescriptionOption = Annotated[str, option("Description of a listing.")]
ImageOption = Annotated[Path | None, option("Picture file of a listing.", callback=check_picture)]
ExplainOption = Annotated[
    bool,
    option(
        "Show the neighbours with their similarity per modality and, where they vote, their "
        "share and the modality that decided."
    ),
]
SheetOption = Annotated[
    Path | None,
    file_option(
        "Draw the queries and their neighbours into this PNG file; more than 6 queries, 24 at "
        "most, into NAME-1.png, NAME-2.png and so on.",
        ".png",
    ),
]
SplitOption = Annotated[Path | None, option("File of ids and parts, as written by prodcat split.")]
ByOption = Annotated[
    str,
    option(
        "group keeps variants and near-duplicates together; random splits them, a leak. A "
        "column of times holds out the newest cards; any other column, such as the shop, keeps "
        "cards of equal value together.",
        metavar="RULE",
    ),
]
TestOption = Annotated[float, share_option("Share of labelled cards in the test part.")]
SeedOption = Annotated[int, option("Random seed.", min=0)]
BaselinesOption = Annotated[
    bool, option("Compare with classifiers, on the same embeddings and on the texts.")
]
ObjectiveOption = Annotated[Objective, option("Measure that tuning maximises.")]
AllowTrainedOnOption = Annotated[
    bool,
    option("Score cards that a fine-tuned encoder was trained on; the scores are then too good."),
]

STDIN = Path("-")


def _column(help_line: str) -> Any:
    return option(help_line, metavar="COLUMN")


@dataclass(frozen=True)
class Columns:
    """Options for reading a catalogue."""

    id_column: Annotated[str | None, _column("Column of ids.")] = None
    title_column: Annotated[str | None, _column("Column of titles.")] = None
    description_column: Annotated[str | None, _column("Column of descriptions.")] = None
    category_column: Annotated[
        str | None, _column("Column of categories, or those of their levels, such as main > sub.")
    ] = None
    group_column: Annotated[
        str | None, _column("Column that is equal for variants of one product.")
    ] = None
    image_column: Annotated[str | None, _column("Column of picture paths.")] = None
    text_column: Annotated[
        list[str] | None, _column("Further column of text to embed; repeat it for more.")
    ] = None
    image_root: ImageRootOption = None
    encoding: EncodingOption = None
    category_separator: Annotated[
        str | None,
        option(
            "What separates the levels of a category, such as /; by default a mark that "
            "holds for the column."
        ),
    ] = None
    skip_bad_rows: Annotated[
        bool,
        option(
            "Leave out and count rows with too few or too many fields, broken JSON lines and "
            "bytes that are not UTF-8."
        ),
    ] = False
    like: Annotated[
        Path | None,
        option(
            "Index whose columns are used where none is named; predict, add and sync use "
            "those of their own index.",
            metavar="INDEX",
        ),
    ] = None

    def named(self, index: ProductIndex | None = None) -> dict[str, Any]:
        """Return the arguments of ``read_catalogue``; what is not named is as in an index."""
        named = dict(vars(self))
        named["text_columns"] = named.pop("text_column") or ()
        named["like"] = index and index.catalogue
        if self.like is not None:
            named["like"] = open_index(self.like, verify=False).catalogue
        return named


COLUMN_OPTIONS = tuple(Columns.__dataclass_fields__)


@dataclass(frozen=True)
class Splitting:
    """Options for what is trained on and what is tested: a split, or how some are drawn."""

    split: SplitOption = None
    by: ByOption = "group"
    test: TestOption = 0.25
    repeat: Annotated[int, option("Number of splits to draw.", min=1)] = 1
    seed: SeedOption = 0

    def arguments(self) -> dict[str, Any]:
        """Return the arguments of what draws the splits."""
        return {**vars(self), "split": open_split(self.split)}


def read_cards(
    path: Path,
    columns: Columns,
    *,
    index: ProductIndex | None = None,
    ignored: Container[str] = (),
    compared: Callable[[Catalogue], Sequence[str]] | None = None,
) -> Catalogue:
    """Read a catalogue, and print what was taken from which column and what was noticed.

    What is not named is read as the cards of an index are, if one is given. Some kinds of findings
    may be `ignored`. What `compared` returns are further columns that the command uses.
    """
    from prodcat_index.cards.catalogue import read_catalogue

    source = path if path != STDIN else _read_stdin(columns)
    catalogue = read_catalogue(source, **columns.named(index))
    used = compared(catalogue) if compared else ()
    tell(f"{catalogue.source} ({catalogue.format}): {catalogue.describe_columns(used)}")
    note(catalogue.notes)
    note(finding for finding in catalogue.findings if finding.what not in ignored)
    return catalogue


def _read_stdin(columns: Columns) -> Table:
    from prodcat_index.cards.readers import read_stdin

    return read_stdin(
        sys.stdin.buffer.read(), encoding=columns.encoding, skip_bad_rows=columns.skip_bad_rows
    )


def select_part(catalogue: Catalogue, split: Path | None, part: Part) -> Catalogue:
    """Return the cards of a part of a split, or all where there is no split."""
    if (chosen := open_split(split)) is None:
        return catalogue
    chosen.check(catalogue)
    return chosen.select(catalogue, part)


def open_split(path: Path | None) -> Split | None:
    """Read the split in a file, if one is named."""
    from prodcat_index.cards.split import read_split

    return read_split(path) if path else None


def check_split(given: Given, *ignored: str) -> None:
    """Refuse options that draw or write another split than the one that is given."""
    if "split" in given:
        refuse(given, ignored, "Leave out {}: --split says what is trained and tested.")


def check_parts(valid: float, test: float) -> None:
    """Refuse shares of parts that leave nothing to train on."""
    if valid + test >= 1:
        raise WrongCallError(f"--valid {valid:g} and --test {test:g} leave nothing to train on.")


def choose_index(argument: Path | None, option: Path | None = None) -> Path:
    """Return the index folder that is named, once, or the default one."""
    if argument and option:
        raise WrongCallError("Name the index once: as INDEX or with --index.")
    if named := argument or option or os.environ.get(INDEX_VARIABLE):
        return Path(named)
    found = sorted(manifest.parent for manifest in DEFAULT_ROOT.glob("*/manifest.json"))
    if len(found) == 1:
        return found[0]
    if not found:
        raise IndexFolderError(
            f"There is no index in {DEFAULT_ROOT}/; make one with prodcat build-index, or name "
            "one with --index."
        )
    names = ", ".join(str(folder) for folder in found)
    raise IndexFolderError(f"There are several indexes ({names}); choose one with --index.")


def open_index(
    folder: Path | None, image_root: Path | None = None, *, verify: bool = True
) -> ProductIndex:
    """Load the index that is named, or the default one.

    The digests of large files take longer than an answer: commands that only answer leave them
    to ``info``.
    """
    from prodcat_index.index.product_index import ProductIndex

    index = ProductIndex.load(choose_index(folder), verify=verify, image_root=image_root)
    note(index.findings)
    return index


def for_target(index: ProductIndex, column: str | None) -> ProductIndex:
    """Return an index that predicts another column, if one is named; say what was done."""
    if column is None:
        return index
    started = time.monotonic()
    fitted = index.for_target(column)
    if fitted is index:
        return index
    note(fitted.catalogue.notes)
    if (seconds := time.monotonic() - started) > LONG_FIT:
        note(
            [
                f"fitting to {column!r} took {seconds:.0f} s, and each call does it again; to keep "
                f'it: prodcat refit --target "{column}" -o FOLDER, then --index FOLDER'
            ]
        )
    return fitted


def choose_engine(name: EngineName, address: str | None, given: Given) -> Engine:
    """Return the engine of a name, at the address of a cluster, if one is given."""
    from prodcat_index.distributed.engines import open_engine

    if name != "ray":
        refuse(given, ("address",), "{} is that of a Ray cluster; give --engine ray as well.")
    return open_engine(name, address)


def choose_device(device: Device | None) -> None:
    """Let the networks of this process run on a device."""
    if device is not None:
        os.environ[DEVICE_VARIABLE] = device
