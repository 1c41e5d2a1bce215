"""A table: the raw values of a catalogue file, before columns are chosen and texts cleaned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from prodcat_index.findings import Finding

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class Table:
    """The raw values of a catalogue file.

    `columns` maps parts of a card (``id``, ``title``, ``attributes``, …) to the columns that the
    format itself defines; it is empty for a plain table. `format` is its name for people; `texts`
    are columns of texts beside title and description, where the format tells them.
    """

    frame: pd.DataFrame
    columns: Mapping[str, str] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
    format: str = "table"
    texts: tuple[str, ...] = ()

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.frame)
