"""Reading the true categories of listings, to compare predictions with."""

from __future__ import annotations

from pathlib import Path

from prodcat_index.cards.cleaning import clean_category, column_texts
from prodcat_index.cards.columns import find_columns, list_columns
from prodcat_index.cards.readers import read_table
from prodcat_index.errors import CatalogueError


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
