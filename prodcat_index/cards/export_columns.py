"""The columns of an export: which are parts of a card, and parts made from several of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from prodcat_index.cards.roles import free_name
from prodcat_index.cards.table import Table, texts_of
from prodcat_index.findings import name_findings

if TYPE_CHECKING:
    import pandas as pd

# Folded name of a column -> its name.
Names = Mapping[str, str]


def make_table(
    table: Table,
    frame: pd.DataFrame,
    columns: Mapping[str, str | None],
    form: str,
    found: Mapping[str, Sequence[str]],
) -> Table:
    """Return the table of an export, with the columns of its parts and what was noticed."""
    named = {part: name for part, name in columns.items() if name and part != "attributes"}
    return Table(frame, named, (*table.findings, *name_findings(found)), form)


def fullest(frame: pd.DataFrame, names: Names, *wanted: str) -> str | None:
    """Return the column of these names that has the most values, the first one where equal."""
    there = [names[name] for name in wanted if name in names]
    filled = [sum(map(bool, texts_of(frame, column))) for column in there]
    return there[filled.index(max(filled))] if there else None


def assign_parts(
    frame: pd.DataFrame, parts: Mapping[str, Sequence[str]], origins: Mapping[str, str | None]
) -> tuple[pd.DataFrame, dict[str, str]]:
    """Put the values of parts into the columns that they are made from, or new ones; name them."""
    columns = {part: origins.get(part) or free_name(part, list(frame.columns)) for part in parts}
    return frame.assign(**{columns[part]: list(parts[part]) for part in parts}), columns
