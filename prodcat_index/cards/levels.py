"""Levels: one category from several columns, such as a main and a subcategory."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from prodcat_index.cards.categories import PATH_SEPARATOR
from prodcat_index.cards.cleaning import raw_text
from prodcat_index.cards.roles import MAIN, column_key, usual_columns, usual_keys
from prodcat_index.cards.table import Table

if TYPE_CHECKING:
    import pandas as pd

WORDS = "level|lvl|ebene|niveau|nivel|livello|poziom|seviye|уровень|уровня|l"
NUMBER = re.compile(rf"(?:{WORDS})?(\d+)(?:{WORDS})?")
FIRST = re.compile(rf"^(?:{MAIN}|master|top)|(?:{MAIN})$")
SUB = re.compile(r"((?:sub|unter|sotto|sous|pod|alt|под)+)(.+)")


def with_levels(table: Table, named: str | None, known: Mapping[str, str]) -> Table:
    """Join the columns of the levels of a category: those that are named, known or usual."""
    seen = list(table.frame.columns)
    column = named or known.get("category", "")
    # A name such as "main > sub" joins columns, if they are all there.
    levels = [] if column in seen else column.split(PATH_SEPARATOR)
    if not column and "category" not in table.columns:
        levels = find_levels(seen)
    if len(levels) < 2 or not set(levels).issubset(seen):
        return table
    return replace(
        table,
        frame=_join_levels(table.frame, levels),
        columns={**table.columns, "category": PATH_SEPARATOR.join(levels)},
    )


def find_levels(seen: Sequence[str]) -> list[str]:
    """Return the columns of the levels of a category from the first level on, or none.

    They are a category and its subcategories, or numbered, where no column is the category.
    """
    usual, keys = usual_columns("category", seen), usual_keys("category") | {"gruppe"}
    numbers, mains, depths = dict[str, int](), list[str](), dict[str, tuple[int, int]]()
    for column in seen:
        key = column_key(column)
        number, plain = NUMBER.search(key), NUMBER.sub("", key, count=1)
        sub, place = SUB.fullmatch(plain), int(number[1]) if number else 0
        if number and plain in keys:
            numbers[column] = place
        if FIRST.search(key) and FIRST.sub("", key) in keys:
            mains.append(column)
        if sub and sub[2] in keys:
            depths[column] = len(sub[1]), place
    subs = sorted(depths, key=depths.__getitem__)
    if subs and (mains or usual):
        return [*mains[:1], *usual[: 0 if mains else 1], *subs]
    levels = sorted(numbers, key=numbers.__getitem__)
    return levels if len(levels) > 1 and not usual else []


def _join_levels(table: pd.DataFrame, levels: Sequence[str]) -> pd.DataFrame:
    """Add the column of the paths, ``main > sub``, to a table with a column for each level.

    A level that holds the path so far stands for it; one that repeats the last is left out.
    """
    paths = [""] * len(table)
    for level in levels:
        for row, name in enumerate(map(raw_text, table[level])):
            path = paths[row]
            if not path or name.startswith(path + PATH_SEPARATOR):
                paths[row] = name
            elif name not in ("", path, path.split(PATH_SEPARATOR)[-1]):
                paths[row] = f"{path}{PATH_SEPARATOR}{name}"
    return table.assign(**{PATH_SEPARATOR.join(levels): paths})
