"""Reading a catalogue: a file or table of any supported shape to cleaned, checked cards."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from itertools import compress
from pathlib import Path
from typing import TYPE_CHECKING

from prodcat_index.cards.card import CORE_TEXTS, IMAGE, Catalogue
from prodcat_index.cards.cleaning import (
    MAX_TEXT,
    clean_category,
    clean_text,
    column_texts,
    tidy,
    was_cut,
    without_invisible,
)
from prodcat_index.cards.columns import OPTIONS, Columns, find_columns, list_columns
from prodcat_index.cards.pictures import (
    MISSING,
    OUTSIDE,
    WEB_ADDRESS,
    WITHOUT,
    PictureFiles,
    folders_by_id,
    is_address,
)
from prodcat_index.cards.readers import expand_text_fields, is_kazanexpress, read_table
from prodcat_index.errors import CatalogueError
from prodcat_index.findings import Finding, name_first
from prodcat_index.progress import progress_bar

if TYPE_CHECKING:
    import pandas as pd


PICTURE_FOLDER = "images"
PARTS = ("id", IMAGE, "category", "category_id", "group", *CORE_TEXTS)
RENAMED = "_in_file"

UNLABELLED = "cards have no category, and cannot teach one"
ALONE = "cards are the only one of their category"
CUT = f"cards have a text that was cut at {MAX_TEXT} characters"


def read_catalogue(
    path: str | Path | pd.DataFrame,
    *,
    id_column: str | None = None,
    title_column: str | None = None,
    description_column: str | None = None,
    category_column: str | None = None,
    group_column: str | None = None,
    image_column: str | None = None,
    text_columns: Sequence[str] = (),
    image_root: str | Path | None = None,
    encoding: str | None = None,
) -> Catalogue:
    """Read a catalogue, clean its texts, find its pictures and check its ids.

    Columns are found by their usual English or Russian names where they are not given. A
    catalogue in the KazanExpress layout (``product_id`` and ``text_fields``) is recognised, and
    its attributes and characteristics can be named in `text_columns`.

    Parameters
    ----------
    path
        A ``.csv``, ``.tsv``, ``.jsonl``, ``.ndjson`` or ``.parquet`` file, or a table. A CSV may
        be delimited by ``,``, ``;``, tab or ``|``.
    id_column
        Column of unique identifiers. Without one, ids are the row numbers, from ``"1"``.
    title_column, description_column
        Columns of the two usual texts.
    category_column
        Column of the label; ``category_id`` is it where there is no other.
    group_column
        Column that is the same for variants of one product.
    image_column
        Column of picture paths, relative to `image_root` or absolute and inside it. Without
        one, pictures are the files ``{id}.jpg`` (jpeg, png, webp) in `image_root` or in its
        folder of the catalogue's name, such as ``train`` for ``train.parquet``.
    text_columns
        Further columns to embed, each as a modality of its own.
    image_root
        The picture folder. By default the folder of the file or, for pictures found by their
        ids, the folder ``images`` in it. Nothing outside it is ever read.
    encoding
        Encoding of a text file; by default its byte order mark decides, or it is UTF-8.

    Returns
    -------
    Catalogue
        The cards in the order of the file. A column that has no part in a card but has the name
        of one, such as ``category`` beside ``category_column="level2"``, becomes
        ``category_in_file``. What was skipped or mended is in ``findings``.

    Raises
    ------
    CatalogueError
        When the file cannot be read, a named column is absent, ids are empty or repeat, or
        there is neither a text nor a picture.
    """
    wanted = {
        "id": id_column,
        "title": title_column,
        "description": description_column,
        "category": category_column,
        "group": group_column,
        "image": image_column,
    }
    table, name, file = _open(path, encoding)
    columns = find_columns(list(table.columns), wanted, text_columns)
    ids = _read_ids(table, columns.id, name)
    texts = _read_texts(table, columns)
    pictures = _find_pictures(table, columns.image, ids, file, image_root)
    _check_content(columns, pictures, list(table.columns))
    labels = _read_labels(table, columns)
    parts = {"id": ids, **texts.values, IMAGE: pictures.paths, **labels}
    return Catalogue(
        cards=_join(parts, table.drop(columns=list(columns.used))),
        text_modalities=tuple(texts.values),
        findings=_list_findings(ids, labels["category"], texts.cut, pictures.problems),
        source=name,
    )


@dataclass(frozen=True)
class _Texts:
    """Cleaned texts by modality, and which cards had one cut."""

    values: dict[str, list[str]]
    cut: list[bool]


@dataclass(frozen=True)
class _Pictures:
    """A path or nothing for every card, and a problem or nothing."""

    paths: list[str]
    problems: list[str]


def _open(
    path: str | Path | pd.DataFrame, encoding: str | None
) -> tuple[pd.DataFrame, str, Path | None]:
    """Return the raw table with plain column names, its name for people, and its file."""
    if isinstance(path, (str, Path)):
        file, name = Path(path), str(path)
        table = read_table(file, encoding)
    else:
        file, name, table = None, "the table", path
    table = _with_plain_names(table, name)
    return expand_text_fields(table) if is_kazanexpress(table) else table, name, file


def _with_plain_names(table: pd.DataFrame, name: str) -> pd.DataFrame:
    if not len(table):
        raise CatalogueError(f"There are no cards in {name}.")
    named = [level for level in table.index.names if level and level not in table.columns]
    table = (table.reset_index(level=named) if named else table).reset_index(drop=True)
    heads = [str(head).strip() or f"column {n}" for n, head in enumerate(table.columns, start=1)]
    repeated = [head for head, count in Counter(heads).items() if count > 1]
    if repeated:
        raise CatalogueError(
            f"In {name} more than one column is named {name_first(repeated)}: rename all but one."
        )
    plain: pd.DataFrame = table.set_axis(heads, axis=1)
    return plain


def _read_ids(table: pd.DataFrame, column: str, name: str) -> list[str]:
    if not column:
        return [str(row) for row in range(1, len(table) + 1)]
    ids = [without_invisible(value).strip() for value in column_texts(table[column])]
    way_out = f"mend the column {column!r}, or choose another with --id-column"
    without = [str(row) for row, card in enumerate(ids, start=1) if not card]
    if without:
        raise CatalogueError(
            f"{len(without)} cards of {name} have no id (card number {name_first(without)}): "
            f"{way_out}."
        )
    repeated = [card for card, count in Counter(ids).items() if count > 1]
    if repeated:
        raise CatalogueError(
            f"{len(repeated)} ids of {name} occur more than once ({name_first(repeated)}): "
            f"{way_out}."
        )
    return ids


def _read_texts(table: pd.DataFrame, columns: Columns) -> _Texts:
    sources = dict(zip(CORE_TEXTS, (columns.title, columns.description), strict=True))
    for column in columns.texts:
        sources[_free_name(column, {*PARTS, *sources})] = column
    values: dict[str, list[str]] = {}
    cut = [False] * len(table)
    for modality, column in sources.items():
        raw = _column(table, column)
        cleaned = _clean_all(set(raw), modality)
        values[modality] = [cleaned[text] for text in raw]
        cut = [old or was_cut(text, cleaned[text]) for old, text in zip(cut, raw, strict=True)]
    return _Texts(values, cut)


def _clean_all(raw: Set[str], modality: str) -> dict[str, str]:
    """Clean every different text once, for variants of one product share theirs."""
    cleaned = {}
    with progress_bar(len(raw), f"cleaning {modality}", "text") as bar:
        for text in raw:
            cleaned[text] = clean_text(text)
            bar.update()
    return cleaned


def _read_labels(table: pd.DataFrame, columns: Columns) -> dict[str, list[str]]:
    return {
        "category": [clean_category(label) for label in _column(table, columns.category)],
        "category_id": [tidy(key) for key in _column(table, columns.category_id)],
        "group": [tidy(group) for group in _column(table, columns.group)],
    }


def _column(table: pd.DataFrame, column: str) -> list[str]:
    return column_texts(table[column]) if column else [""] * len(table)


def _find_pictures(
    table: pd.DataFrame,
    column: str,
    ids: Sequence[str],
    file: Path | None,
    image_root: str | Path | None,
) -> _Pictures:
    root = _picture_root(file, image_root, "" if column else PICTURE_FOLDER)
    if column:
        values = [without_invisible(value) for value in column_texts(table[column])]
        return _pictures_by_path(values, root)
    if root is None:
        return _Pictures([""] * len(ids), [""] * len(ids))
    paths = PictureFiles(root).find_all(ids, folders_by_id(root, file.stem if file else ""))
    return _Pictures(paths, ["" if path else WITHOUT for path in paths])


def _pictures_by_path(values: Sequence[str], root: Path | None) -> _Pictures:
    if root is None and any(value and not is_address(value) for value in values):
        raise CatalogueError("The table names picture files: say in image_root where they are.")
    files = PictureFiles(root or Path())
    paths, problems = zip(*(files.find(value) for value in values), strict=True)
    return _Pictures(list(paths), list(problems))


def _picture_root(file: Path | None, image_root: str | Path | None, inside: str) -> Path | None:
    if image_root is not None:
        if not Path(image_root).is_dir():
            raise CatalogueError(f"There is no picture folder {image_root}.")
        return Path(image_root)
    folder = file.parent / inside if file else None
    return folder if folder and folder.is_dir() else None


def _check_content(columns: Columns, pictures: _Pictures, seen: Sequence[str]) -> None:
    texts = (columns.title, columns.description, *columns.texts)
    if not (any(texts) or columns.image or any(pictures.paths)):
        raise CatalogueError(
            f"No column is a title, description or picture by its name: choose one with {OPTIONS}. "
            f"{list_columns(seen)}"
        )


def _join(parts: Mapping[str, list[str]], rest: pd.DataFrame) -> pd.DataFrame:
    import pandas as pd

    names = list(parts)
    for name in rest.columns:
        names.append(_free_name(name, set(names)))
    cards: pd.DataFrame = pd.concat([pd.DataFrame(parts), rest], axis=1)
    cards.columns = pd.Index(names)
    return cards


def _free_name(name: str, taken: Set[str]) -> str:
    return name if name not in taken else _free_name(name + RENAMED, taken)


def _list_findings(
    ids: Sequence[str], labels: Sequence[str], cut: Sequence[bool], problems: Sequence[str]
) -> tuple[Finding, ...]:
    sizes = Counter(labels)
    noticed: dict[str, Iterable[bool]] = {
        UNLABELLED: (not label and len(sizes) > 1 for label in labels),
        ALONE: (bool(label) and sizes[label] == 1 for label in labels),
        CUT: cut,
    }
    for what in (MISSING, OUTSIDE, WEB_ADDRESS, WITHOUT):
        noticed[what] = [problem == what for problem in problems]
    found = (Finding(what, tuple(compress(ids, where))) for what, where in noticed.items())
    return tuple(finding for finding in found if finding.ids)


def read_labels(path: str | Path, *, encoding: str | None = None) -> dict[str, str]:
    """Read a file with an id and a category (or its key) a row.

    Parameters
    ----------
    path
        Any file that :func:`~prodcat_index.cards.catalogue.read_catalogue` reads.
    encoding
        Of a text file, when it is not UTF-8.

    Returns
    -------
    dict
        Id -> category, cleaned as in a catalogue; rows without either are left out.

    Raises
    ------
    CatalogueError
        If the file cannot be read, or has no such columns.
    """
    table = read_table(Path(path), encoding)
    seen = [str(column) for column in table.columns]
    columns = find_columns(seen, {})
    if not columns.id or not columns.category:
        raise CatalogueError(
            f"{path} needs a column of ids and one of categories. {list_columns(seen)}"
        )
    ids = [value.strip() for value in column_texts(table[columns.id])]
    categories = [clean_category(value) for value in column_texts(table[columns.category])]
    return {i: category for i, category in zip(ids, categories, strict=True) if i and category}
