"""Catalogue files that a test writes, and what is read from them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from prodcat_index.cards.readers import read_table
from prodcat_index.errors import CatalogueError


def written(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def rows(path: Path, **options: Any) -> list[dict[str, Any]]:
    """Return the raw rows of a file, with empty texts for what is missing."""
    frame = read_table(path, **options).frame
    found = frame.astype(object).where(frame.notna(), "").to_dict("records")
    return [{str(name): value for name, value in row.items()} for row in found]


def findings(path: Path, **options: Any) -> list[str]:
    return [str(finding) for finding in read_table(path, **options).findings]


def refusal(path: Path, **options: Any) -> str:
    with pytest.raises(CatalogueError) as error:
        read_table(path, **options)
    return str(error.value)
