"""Short files about the cards of an index: ids, and names with their new categories."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from prodcat_index.cards.card import Catalogue
from prodcat_index.cards.categories import clean_category
from prodcat_index.cards.readers import is_catalogue_name, read_table
from prodcat_index.cards.roles import find_columns, list_columns
from prodcat_index.cards.sources import file_source, read_lines
from prodcat_index.cards.table import Table, texts_of
from prodcat_index.errors import CatalogueError, EmptyCatalogueError
from prodcat_index.findings import name_first

if TYPE_CHECKING:
    import pandas as pd

# Columns of the table of an audit that a decision is read with.
REVIEW = ("item", "check", "kind", "id", "category", "proposal", "decision")


def read_ids(path: Path, like: Catalogue, encoding: str | None = None) -> list[str]:
    """Read ids of cards: the column of ids, or the only one, or a line each of another file."""
    if not is_catalogue_name(path.name) or path.suffix.lower() == ".txt":
        try:
            lines = [line.strip() for line in read_lines(file_source(path), encoding)]
        except OSError as error:
            raise CatalogueError(f"{path} cannot be read: {error.strerror or error}.") from None
        return [line for line in lines if line]
    needed = "A line such as id is needed before the first id, and each id in its line."
    frame = _read_frame(path, encoding, needed)
    seen = list(frame.columns)
    column = like.columns.get("id")
    if column not in seen:
        column = seen[0] if len(seen) == 1 else find_columns(seen, {})["id"]
    if not column:
        raise CatalogueError(f"{path} needs a column of ids. {list_columns(seen)}")
    # A file without names of columns begins with an id.
    first = [column] if column in like.ids else []
    return [*first, *filter(None, texts_of(frame, column))]


def read_new_categories(path: Path, like: Catalogue, encoding: str | None = None) -> dict[str, str]:
    """Return category or id -> new category, from a file of two columns with any names."""
    needed = "A line such as old,new is needed before the first category."
    frame = _read_frame(path, encoding, needed)
    seen = list(frame.columns)
    if len(seen) != 2:
        raise CatalogueError(
            f"{path} needs two columns, a category or the id of a card and its new category. "
            f"{list_columns(seen)}"
        )
    known = {*like.ids, *like.values("category")}
    if {seen[0], clean_category(seen[0], like.category_separator)} & known:
        raise CatalogueError(
            f"{path} begins with {seen[0]!r} and not with the names of its columns; put a line "
            "such as old,new before it."
        )
    new: dict[str, str] = {}
    pairs = list(zip(*(texts_of(frame, column) for column in seen), strict=True))
    lacking = [name or "nothing" for name, category in pairs if not (name and category)]
    several = [n for n, category in pairs if new.setdefault(n, category) != category]
    if lacking:
        raise CatalogueError(
            f"{path} has lines without a name or a new category ({name_first(lacking)}); complete "
            "them, or leave them out."
        )
    if several:
        raise CatalogueError(
            f"{path} has several new categories for {name_first(several)}; leave one of each."
        )
    return new


def read_review(
    review: str | Path | pd.DataFrame, encoding: str | None = None, more: Sequence[str] = ()
) -> list[dict[str, str]] | None:
    """Read the table of an audit, in which a person has filled in the column ``decision``.

    Each row has the columns of `REVIEW`, those of `more` that are there, and its ``line``; there is
    none of another file.
    """
    name = "This"
    if isinstance(review, (str, Path)):
        name, table = str(review), read_table(Path(review), encoding)
    else:
        table = Table(review)
    seen = {str(column).strip().lower(): str(column) for column in table.frame.columns}
    if "check" not in seen or not {"item", "decision"} & seen.keys():
        return None
    if lacking := [name for name in REVIEW if name not in seen]:
        raise CatalogueError(
            f"{name} is the table of an audit without {name_first(lacking)}; keep all "
            "its columns, and fill in the column decision alone."
        )
    lines = map(str, table.rows or range(2, len(table) + 2))
    names = [*REVIEW, *(name for name in more if name in seen)]
    columns = [texts_of(table.frame, seen[name]) for name in names]
    return [
        dict(zip((*names, "line"), row, strict=True)) for row in zip(*columns, lines, strict=True)
    ]


def _read_frame(path: Path, encoding: str | None, needed: str) -> pd.DataFrame:
    """Read a table; where it has no rows, its only line may be taken for the names of columns."""
    try:
        return read_table(path, encoding).frame
    except EmptyCatalogueError as error:
        raise EmptyCatalogueError(f"{error} {needed}") from None
