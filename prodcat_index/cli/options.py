"""Options that several commands share, and what they mean."""

from __future__ import annotations

import os
from collections.abc import Callable, Container, Iterable, Mapping
from enum import Enum
from functools import wraps
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from prodcat_index.cli.output import Format
from prodcat_index.errors import IndexFolderError

if TYPE_CHECKING:
    from prodcat_index.cards.card import Catalogue
    from prodcat_index.index.product_index import ProductIndex

DEFAULT_ROOT = Path("indexes")
INDEX_VARIABLE = "PRODCAT_INDEX"
DEVICE_VARIABLE = "PRODCAT_DEVICE"


class Objective(str, Enum):
    """What tuning maximises."""

    weighted_f1 = "weighted-f1"
    macro_f1 = "macro-f1"
    accuracy = "accuracy"
    nll = "nll"


class ProjectionKind(str, Enum):
    """What is learned from the labels."""

    lda = "lda"
    none = "none"


class Device(str, Enum):
    """Where networks run."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"
    mps = "mps"


class Part(str, Enum):
    """Part of a split."""

    train = "train"
    valid = "valid"
    test = "test"


DeviceOption = Annotated[
    Device | None,
    typer.Option(help=f"Where networks run; by default ${DEVICE_VARIABLE}, or the fastest."),
]
IndexOption = Annotated[
    Path | None,
    typer.Option(
        "--index",
        "-i",
        help=f"Index folder. By default ${INDEX_VARIABLE}, or the only index in {DEFAULT_ROOT}/.",
    ),
]
FormatOption = Annotated[Format, typer.Option("--format", "-f", help="How to print the results.")]
NeighboursOption = Annotated[int, typer.Option("--k", "-k", min=1, help="Number of neighbours.")]
WeightsOption = Annotated[
    str | None, typer.Option(help="Such as title=0.6,image=0.4; modalities left out weigh nothing.")
]
EncoderOption = Annotated[
    list[str] | None,
    typer.Option(
        help="MODALITY=SPEC, such as title=lexical:128; repeat it, also for one modality."
    ),
]
PresetOption = Annotated[
    str, typer.Option(help="Encoders of the other modalities; see prodcat encoders.")
]
SheetOption = Annotated[
    Path | None,
    typer.Option("--sheet", help="Draw the queries and their neighbours into this PNG file."),
]
ImageRootOption = Annotated[Path | None, typer.Option(help="Folder that picture paths start from.")]
TitleOption = Annotated[str, typer.Option(help="Title of a listing.")]
DescriptionOption = Annotated[str, typer.Option(help="Description of a listing.")]
ImageOption = Annotated[Path | None, typer.Option(help="Picture file of a listing.")]
ExplainOption = Annotated[
    bool,
    typer.Option(
        "--explain",
        help="Add the neighbours with similarity per modality and share of the vote, and which "
        "modality decided.",
    ),
]
IdColumn = Annotated[str | None, typer.Option(help="Column of ids.")]
TitleColumn = Annotated[str | None, typer.Option(help="Column of titles.")]
DescriptionColumn = Annotated[str | None, typer.Option(help="Column of descriptions.")]
CategoryColumn = Annotated[str | None, typer.Option(help="Column of categories.")]
GroupColumn = Annotated[str | None, typer.Option(help="Column that variants of one product share.")]
ImageColumn = Annotated[str | None, typer.Option(help="Column of picture paths.")]
TextColumn = Annotated[
    list[str] | None, typer.Option(help="A further column of text to embed; may be repeated.")
]
ProjectionOption = Annotated[
    ProjectionKind,
    typer.Option(
        help="Learn a linear discriminant as the block learned, from 100 labelled cards on."
    ),
]
ByOption = Annotated[
    str,
    typer.Option(
        help="group keeps variants and near-duplicates on one side, random does not; or a "
        "column whose equal values stay on one side."
    ),
]
TestOption = Annotated[float, typer.Option(help="Share of test cards.")]
RepeatOption = Annotated[int, typer.Option(min=1, help="Number of splits that are drawn.")]
BaselinesOption = Annotated[
    bool, typer.Option(help="Compare with classifiers on the same embeddings.")
]
AllowTrainedOnOption = Annotated[
    bool,
    typer.Option(
        "--allow-trained-on",
        help="Score cards that a fine-tuned encoder was trained on, which is too good.",
    ),
]
ObjectiveOption = Annotated[Objective, typer.Option(help="What tuning maximises.")]
SeedOption = Annotated[int, typer.Option(help="Of everything that is drawn at random.")]
SplitOption = Annotated[
    Path | None, typer.Option(help="File of ids and parts, written by prodcat split.")
]
EncodingOption = Annotated[str | None, typer.Option(help="Of a text file, such as cp1251.")]


Columns = Mapping[str, Any]
COLUMN_OPTIONS: dict[str, Any] = {
    "id_column": IdColumn,
    "title_column": TitleColumn,
    "description_column": DescriptionColumn,
    "category_column": CategoryColumn,
    "group_column": GroupColumn,
    "image_column": ImageColumn,
    "text_column": TextColumn,
    "image_root": ImageRootOption,
    "encoding": EncodingOption,
}


def with_columns(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that say what the columns of its catalogue are."""
    declared = signature(command, eval_str=True).parameters.values()
    own = [parameter for parameter in declared if parameter.name != "columns"]
    added = [
        Parameter(name, Parameter.POSITIONAL_OR_KEYWORD, default=None, annotation=option)
        for name, option in COLUMN_OPTIONS.items()
    ]

    @wraps(command)
    def called(**values: Any) -> None:
        columns = {name: values.pop(name) for name in COLUMN_OPTIONS}
        command(**values, columns=columns)

    vars(called)["__signature__"] = Signature([*own, *added])
    called.__annotations__ = {parameter.name: parameter.annotation for parameter in (*own, *added)}
    return called


def choose_device(device: Device | None) -> None:
    """Let the networks of this process run on a device."""
    if device is not None:
        os.environ[DEVICE_VARIABLE] = device.value


def parse_weights(text: str | None) -> dict[str, float] | None:
    """Read ``title=0.6,image=0.4``."""
    if text is None:
        return None
    weights = {}
    for part in text.split(","):
        name, separator, number = part.rpartition("=")
        try:
            weights[name.strip()] = float(number)
        except ValueError:
            separator = ""
        if not separator:
            raise typer.BadParameter(
                f"{part!r} is not NAME=NUMBER; write for example --weights title=0.6,image=0.4"
            )
    return weights


def parse_encoders(pairs: Iterable[str]) -> dict[str, list[str]]:
    """Read ``title=lexical:128``, once or several times for a modality."""
    chosen: dict[str, list[str]] = {}
    for pair in pairs:
        modality, separator, spec = pair.partition("=")
        if not separator or not modality or not spec:
            raise typer.BadParameter(
                f"{pair!r} is not MODALITY=SPEC; write for example --encoder title=lexical:128"
            )
        chosen.setdefault(modality, []).append(spec)
    return chosen


def open_index(folder: Path | None, image_root: Path | None = None) -> ProductIndex:
    """Load the index that a command asks for, or the one that is meant when it asks for none."""
    from prodcat_index.index.product_index import ProductIndex

    return ProductIndex.load(folder or default_index(), image_root=image_root)


def default_index() -> Path:
    """Return the index folder that is meant when none is named."""
    if os.environ.get(INDEX_VARIABLE):
        return Path(os.environ[INDEX_VARIABLE])
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


def read_listed(path: Path, *, unsaid: Container[str] = (), **columns: Any) -> Catalogue:
    """Read a catalogue for a command, and say on stderr what was noticed but for some of it."""
    from prodcat_index.cards.catalogue import read_catalogue

    text_columns = columns.pop("text_column") or ()
    catalogue = read_catalogue(path, text_columns=text_columns, **columns)
    warn(finding for finding in catalogue.findings if finding.what not in unsaid)
    return catalogue


def further_texts(index: ProductIndex) -> list[str]:
    """List the columns of text that an index has besides title and description."""
    from prodcat_index.cards.card import CORE_TEXTS

    return [name for name in index.parts.catalogue.text_modalities if name not in CORE_TEXTS]


def select_part(catalogue: Catalogue, split: Path | None, part: Part) -> Catalogue:
    """Return the cards of a part of a split, or all where there is no split."""
    from prodcat_index.cards.split import read_split

    if split is None:
        return catalogue
    chosen = read_split(split)
    chosen.check(catalogue)
    return chosen.select(catalogue, part.value)


def warn(findings: Iterable[object]) -> None:
    """Print each finding on stderr."""
    for finding in findings:
        typer.echo(f"note: {finding}", err=True)
