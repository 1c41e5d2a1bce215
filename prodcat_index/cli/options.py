"""Options that several commands share, and the helpers that read them."""

from __future__ import annotations

import os
from collections.abc import Callable, Container, Iterable, Mapping
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from prodcat_index.cli.calls import declare
from prodcat_index.cli.output import Format, note, tell
from prodcat_index.errors import IndexFolderError

if TYPE_CHECKING:
    from prodcat_index.cards.card import Catalogue
    from prodcat_index.index.product_index import ProductIndex

DEFAULT_ROOT = Path("indexes")
INDEX_VARIABLE = "PRODCAT_INDEX"
DEVICE_VARIABLE = "PRODCAT_DEVICE"

# The library has the same types, in modules that import numpy, which --help must not wait for.
Objective = Literal["weighted-f1", "macro-f1", "accuracy", "nll"]
ProjectionKind = Literal["lda", "none"]
TrainingPrecision = Literal["float32", "bfloat16", "float16"]
Device = Literal["auto", "cpu", "cuda", "mps"]
Part = Literal["train", "valid", "test"]
Per = Literal["all", "category"]

CatalogueArgument = Annotated[
    Path,
    typer.Argument(help="File of cards: CSV, Excel, JSON, Parquet, or a feed or export of a shop."),
]
IndexArgument = Annotated[
    Path | None, typer.Argument(metavar="INDEX", help="Index folder, as with --index.")
]
IndexOption = Annotated[
    Path | None,
    typer.Option(
        "--index",
        "-i",
        help=f"Index folder; by default ${INDEX_VARIABLE}, or the only index in {DEFAULT_ROOT}/.",
    ),
]
FormatOption = Annotated[Format, typer.Option("--format", "-f", help="Format of the results.")]
NeighboursOption = Annotated[int, typer.Option("--k", "-k", min=1, help="Number of neighbours.")]
WeightsOption = Annotated[
    str | None,
    typer.Option(help="Weights such as title=0.6,image=0.4; modalities left out weigh nothing."),
]
EncoderOption = Annotated[
    list[str] | None,
    typer.Option(
        help="Encoder of a modality as MODALITY=SPEC, such as title=lexical:128. Repeat it for "
        "further encoders, also of one modality."
    ),
]
PresetOption = Annotated[
    str, typer.Option(help="Encoders of the other modalities; see prodcat encoders.")
]
ProjectionOption = Annotated[
    ProjectionKind,
    typer.Option(
        help="Learn from the labels, from 100 labelled cards on: a linear discriminant, as the "
        "block learned, and text scores, as the block scores."
    ),
]
DeviceOption = Annotated[
    Device | None,
    typer.Option(help=f"Device of the networks; by default ${DEVICE_VARIABLE}, or the fastest."),
]
ImageRootOption = Annotated[
    Path | None, typer.Option(help="Folder that relative picture paths start from.")
]
DescriptionOption = Annotated[str, typer.Option(help="Description of a listing.")]


def _check_picture(image: Path | None) -> Path | None:
    """Return a picture file that can be used; whoever names one by itself wants it compared."""
    if image is not None:
        from prodcat_index.cards.pictures import load_picture
        from prodcat_index.errors import PictureError

        try:
            load_picture(image)
        except PictureError as error:
            raise PictureError(f"The picture {image} cannot be used: {error}.") from None
    return image


ImageOption = Annotated[
    Path | None, typer.Option(help="Picture file of a listing.", callback=_check_picture)
]
ExplainOption = Annotated[
    bool,
    typer.Option(
        "--explain",
        help="Show the neighbours with their similarity per modality and share of the vote, and "
        "the modality that decided.",
    ),
]
SheetOption = Annotated[
    Path | None,
    typer.Option(
        "--sheet",
        help="Draw the queries and their neighbours into this PNG file; more than 6 queries, 24 at "
        "most, into NAME-1.png, NAME-2.png and so on.",
    ),
]
SplitOption = Annotated[
    Path | None, typer.Option(help="File of ids and parts, as written by prodcat split.")
]
ByOption = Annotated[
    str,
    typer.Option(
        help="group keeps variants and near-duplicates together; random splits them, a leak. A "
        "column of times holds out the newest cards; any other column, such as the shop, keeps "
        "cards of equal value together."
    ),
]
TestOption = Annotated[float, typer.Option(help="Share of labelled cards in the test part.")]
RepeatOption = Annotated[int, typer.Option(min=1, help="Number of splits to draw.")]
SeedOption = Annotated[int, typer.Option(min=0, help="Random seed.")]
BaselinesOption = Annotated[
    bool, typer.Option(help="Compare with classifiers, on the same embeddings and on the texts.")
]
ObjectiveOption = Annotated[Objective, typer.Option(help="Measure that tuning maximises.")]
AllowTrainedOnOption = Annotated[
    bool,
    typer.Option(
        "--allow-trained-on",
        help="Score cards that a fine-tuned encoder was trained on; the scores are then too good.",
    ),
]

Columns = Mapping[str, Any]
COLUMN_OPTIONS: dict[str, Any] = {
    "id_column": Annotated[str | None, typer.Option(help="Column of ids.")],
    "title_column": Annotated[str | None, typer.Option(help="Column of titles.")],
    "description_column": Annotated[str | None, typer.Option(help="Column of descriptions.")],
    "category_column": Annotated[str | None, typer.Option(help="Column of categories.")],
    "group_column": Annotated[
        str | None, typer.Option(help="Column that is equal for variants of one product.")
    ],
    "image_column": Annotated[str | None, typer.Option(help="Column of picture paths.")],
    "text_column": Annotated[
        list[str] | None, typer.Option(help="Further column of text to embed; repeat it for more.")
    ],
    "image_root": ImageRootOption,
    "encoding": Annotated[
        str | None, typer.Option(help="Encoding of a text file, such as cp1251.")
    ],
    "category_separator": Annotated[
        str | None,
        typer.Option(
            help="What separates the levels of a category, such as /; by default a mark that "
            "holds for the column."
        ),
    ],
    "skip_bad_rows": Annotated[
        bool,
        typer.Option(
            "--skip-bad-rows",
            help="Leave out and count rows with too few or too many fields, and broken JSON lines.",
        ),
    ],
}


def with_columns(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options for reading a catalogue; it gets them as ``columns``."""

    @wraps(command)
    def called(**values: Any) -> None:
        columns = {name: values.pop(name) for name in COLUMN_OPTIONS}
        command(**values, columns=columns)

    declare(called, command, "columns", COLUMN_OPTIONS, default=None)
    return called


def read_cards(
    path: Path, columns: Columns, *, index: ProductIndex | None = None, ignored: Container[str] = ()
) -> Catalogue:
    """Read a catalogue, and print what was taken from which column and what was noticed.

    What is not named is read as the cards of an index are, if one is given. Some kinds of findings
    may be `ignored`.
    """
    from prodcat_index.cards.catalogue import read_catalogue

    named = dict(columns)
    texts = named.pop("text_column") or ()
    like = index.catalogue if index is not None else None
    catalogue = read_catalogue(path, text_columns=texts, like=like, **named)
    tell(f"{catalogue.source}: {catalogue.describe_columns()}")
    note(catalogue.notes)
    note(finding for finding in catalogue.findings if finding.what not in ignored)
    return catalogue


def select_part(catalogue: Catalogue, split: Path | None, part: Part) -> Catalogue:
    """Return the cards of a part of a split, or all where there is no split."""
    if split is None:
        return catalogue
    from prodcat_index.cards.split import read_split

    chosen = read_split(split)
    chosen.check(catalogue)
    return chosen.select(catalogue, part)


def choose_index(argument: Path | None, option: Path | None = None) -> Path:
    """Return the index folder that is named, once, or the default one."""
    if argument and option:
        raise typer.BadParameter("name the index once: as INDEX or with --index")
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


def open_index(folder: Path | None, image_root: Path | None = None) -> ProductIndex:
    """Load the index that is named, or the default one."""
    from prodcat_index.index.product_index import ProductIndex

    index = ProductIndex.load(choose_index(folder), image_root=image_root)
    note(index.findings)
    return index


def choose_device(device: Device | None) -> None:
    """Let the networks of this process run on a device."""
    if device is not None:
        os.environ[DEVICE_VARIABLE] = device


def parse_weights(text: str | None) -> dict[str, float] | None:
    """Read ``title=0.6,image=0.4``."""
    if text is None:
        return None
    weights = {}
    for part in text.split(","):
        name, _, number = part.rpartition("=")
        try:
            weights[name.strip()] = float(number if name else "")
        except ValueError:
            raise typer.BadParameter(
                f"{part!r} is not NAME=NUMBER; write for example --weights title=0.6,image=0.4"
            ) from None
    return weights


def parse_encoders(pairs: Iterable[str] | None) -> dict[str, list[str]]:
    """Read ``title=lexical:128``, once or several times for a modality."""
    chosen: dict[str, list[str]] = {}
    for pair in pairs or ():
        modality, _, spec = pair.partition("=")
        if not modality or not spec:
            raise typer.BadParameter(
                f"{pair!r} is not MODALITY=SPEC; write for example --encoder title=lexical:128"
            )
        chosen.setdefault(modality, []).append(spec)
    return chosen
