"""Reading a catalogue: a file or table of any supported shape to cleaned, checked cards."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence, Set
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
from prodcat_index.cards.columns import OPTIONS, Columns, find_columns, find_repeated, list_columns
from prodcat_index.cards.pictures import PROBLEMS, WITHOUT, PictureFiles, folders_by_id, is_address
from prodcat_index.cards.readers import expand_kazanexpress, read_table
from prodcat_index.errors import CatalogueError
from prodcat_index.findings import list_findings, name_first
from prodcat_index.progress import progress_bar

if TYPE_CHECKING:
    import pandas as pd


PICTURE_FOLDER = "images"
PARTS = ("id", IMAGE, "category", "category_id", "group", *CORE_TEXTS)
RENAMED = "_in_file"

UNLABELLED = "cards have no category, so nothing is learned from them"
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
        A ``.csv``, ``.tsv``, ``.jsonl``, ``.ndjson`` or ``.parquet`` file, or a table. The fields
        of a CSV are separated by ``,``, ``;``, tab or ``|``.
    id_column
        Column of unique identifiers. Without one, ids are the row numbers, from ``"1"``.
    title_column, description_column
        Columns of the two texts that most cards have.
    category_column
        Column of the label; without another, the column of ``category_id``.
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
        ``category_in_file``. What was skipped or corrected is in ``findings``.

    Raises
    ------
    CatalogueError
        If the file cannot be read, a named column is absent, ids are empty or repeat, or there
        is neither a text nor a picture.
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
    seen = list(table.columns)
    columns = find_columns(seen, wanted, text_columns)
    ids = _read_ids(table, columns.id, name)
    texts, cut = _read_texts(table, columns)
    pictures, problems = _find_pictures(table, columns.image, ids, file, image_root)
    if not (any(columns.embedded) or any(pictures)):
        raise CatalogueError(
            f"No column is a title, description or picture by its name: choose one with {OPTIONS}. "
            f"{list_columns(seen)}"
        )
    labels = [clean_category(label) for label in _column(table, columns.category)]
    keys = {
        "category_id": [tidy(key) for key in _column(table, columns.category_id)],
        "group": [tidy(group) for group in _column(table, columns.group)],
    }
    parts = {"id": ids, **texts, IMAGE: pictures, "category": labels, **keys}
    sizes = Counter(labels)
    noticed = {
        # Listings of which none has a category are new ones, to be categorized.
        UNLABELLED: [not label and len(sizes) > 1 for label in labels],
        ALONE: [bool(label) and sizes[label] == 1 for label in labels],
        CUT: cut,
        **{what: [problem == what for problem in problems] for what in PROBLEMS},
    }
    return Catalogue(
        cards=_join(parts, table.drop(columns=list(columns.used))),
        text_modalities=tuple(texts),
        findings=list_findings(noticed, ids),
        source=name,
    )


def _open(
    path: str | Path | pd.DataFrame, encoding: str | None
) -> tuple[pd.DataFrame, str, Path | None]:
    """Return the raw table with plain column names, its name for people, and its file."""
    if isinstance(path, (str, Path)):
        file, name = Path(path), str(path)
        table = read_table(file, encoding)
    else:
        file, name, table = None, "the table", path
    if not len(table):
        raise CatalogueError(f"There are no cards in {name}.")
    # The ids of a table are often its index.
    named = [level for level in table.index.names if level and level not in table.columns]
    table = (table.reset_index(level=named) if named else table).reset_index(drop=True)
    heads = [str(head).strip() or f"column {n}" for n, head in enumerate(table.columns, start=1)]
    if repeated := find_repeated(heads):
        raise CatalogueError(
            f"In {name} more than one column is named {name_first(repeated)}: rename all but one."
        )
    return expand_kazanexpress(table.set_axis(heads, axis=1)), name, file


def _read_ids(table: pd.DataFrame, column: str, name: str) -> list[str]:
    if not column:
        return [str(row) for row in range(1, len(table) + 1)]
    ids = [without_invisible(value).strip() for value in column_texts(table[column])]
    way_out = f"correct the column {column!r}, or choose another with --id-column"
    without = [str(row) for row, card in enumerate(ids, start=1) if not card]
    if without:
        raise CatalogueError(
            f"{len(without)} cards of {name} have no id (card number {name_first(without)}): "
            f"{way_out}."
        )
    if repeated := find_repeated(ids):
        raise CatalogueError(
            f"{len(repeated)} ids of {name} occur more than once ({name_first(repeated)}): "
            f"{way_out}."
        )
    return ids


def _read_texts(table: pd.DataFrame, columns: Columns) -> tuple[dict[str, list[str]], list[bool]]:
    """Return the cleaned texts by modality, and for each card if one of them was cut."""
    sources = dict(zip(CORE_TEXTS, (columns.title, columns.description), strict=True))
    for column in columns.texts:
        sources[_free_name(column, {*PARTS, *sources})] = column
    texts: dict[str, list[str]] = {}
    cut = [False] * len(table)
    for modality, column in sources.items():
        raw = _column(table, column)
        # Every different text once, for variants of one product share theirs.
        cleaned = dict.fromkeys(raw, "")
        with progress_bar(len(cleaned), f"cleaning {modality}", "text") as bar:
            for text in cleaned:
                cleaned[text] = clean_text(text)
                bar.update()
        texts[modality] = [cleaned[text] for text in raw]
        cut = [old or was_cut(text, cleaned[text]) for old, text in zip(cut, raw, strict=True)]
    return texts, cut


def _column(table: pd.DataFrame, column: str) -> list[str]:
    return column_texts(table[column]) if column else [""] * len(table)


def _find_pictures(
    table: pd.DataFrame,
    column: str,
    ids: Sequence[str],
    file: Path | None,
    image_root: str | Path | None,
) -> tuple[Sequence[str], Sequence[str]]:
    """Return a path or nothing for each card, and a problem or nothing."""
    root = _picture_root(file, image_root, "" if column else PICTURE_FOLDER)
    if column:
        values = [without_invisible(value) for value in column_texts(table[column])]
        if root is None and any(value and not is_address(value) for value in values):
            raise CatalogueError("The table names picture files: give their folder as image_root.")
        files = PictureFiles(root or Path())
        paths, problems = zip(*(files.find(value) for value in values), strict=True)
        return paths, problems
    if root is None:
        return [""] * len(ids), [""] * len(ids)
    found = PictureFiles(root).find_all(ids, folders_by_id(root, file.stem if file else ""))
    return found, ["" if path else WITHOUT for path in found]


def _picture_root(file: Path | None, image_root: str | Path | None, inside: str) -> Path | None:
    if image_root is not None:
        if not Path(image_root).is_dir():
            raise CatalogueError(f"There is no picture folder {image_root}.")
        return Path(image_root)
    folder = file.parent / inside if file else None
    return folder if folder and folder.is_dir() else None


def _join(parts: Mapping[str, Sequence[str]], rest: pd.DataFrame) -> pd.DataFrame:
    import pandas as pd

    names = list(parts)
    for name in rest.columns:
        names.append(_free_name(name, set(names)))
    cards: pd.DataFrame = pd.concat([pd.DataFrame(parts), rest], axis=1)
    cards.columns = pd.Index(names)
    return cards


def _free_name(name: str, taken: Set[str]) -> str:
    return name if name not in taken else _free_name(name + RENAMED, taken)


def read_labels(path: str | Path, *, encoding: str | None = None) -> dict[str, str]:
    """Read the true categories of listings, to compare predictions with.

    Parameters
    ----------
    path
        Any file that :func:`read_catalogue` reads, with a column of ids and one of categories
        (or, without that, of ``category_id``).
    encoding
        Encoding of a text file; by default its byte order mark decides, or it is UTF-8.

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
