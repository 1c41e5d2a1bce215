"""Filters of cards by their columns, such as ``brand = Bosch and price < 5000``.

A filter is read by a grammar of its own and compared value by value: nothing is executed.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from prodcat_index.cards.comparison import Column, Comparison, Value
from prodcat_index.errors import QueryError, check_type
from prodcat_index.findings import counted

if TYPE_CHECKING:
    from lark import Lark

    from prodcat_index.cards.card import Catalogue
    from prodcat_index.types import BoolArray

MOST_CHARACTERS = 100_000
MOST_LEVELS = 100
GRAMMAR = r"""
?start: any
any: all ("or"i all)*
all: one ("and"i one)*
?one: "not"i one -> negated
    | "(" any ")"
    | name OPERATOR value -> compared
    | name IN _list -> compared
    | name (CONTAINS | UNDER) value -> compared
    | name "not"i IN _list -> refused
    | name "not"i (CONTAINS | UNDER) value -> refused
_list: "(" value ("," value)* ")"
IN: "in"i
CONTAINS: "contains"i
UNDER: "under"i
OPERATOR: "<=" | ">=" | "!=" | "==" | "=" | "<" | ">" | "~"
name: WORD | QUOTED | TICKED
value: WORD | QUOTED
WORD: /[^\s()<>=!~,"'`]+/i
QUOTED: /"(?:[^"]|"")*"|'(?:[^']|'')*'/
TICKED: /`(?:[^`]|``)*`/
%ignore /\s+/
"""
NUMBER = re.compile(r"-?\d+(\.\d+)?", re.ASCII)
# Others, such as 007 and long codes, are numbers for < and >, and equal to themselves alone.
PLAIN_NUMBER = re.compile(r"-?(0|[1-9]\d{0,14})(\.\d+)?", re.ASCII)
# What is expected where a filter cannot be read, by a token that could be there.
EXPECTED = {
    "COMMA": "a comma or ) is expected, as in (a, b)",
    "OPERATOR": "=, !=, <, <=, >, >=, ~, in, contains or under is expected after a column; put a "
    "name or value of several words in quotes",
    "CONTAINS": "in, contains or under is expected after not",
    "AND": "and, or or the end is expected; put a value of several words in quotes",
    "TICKED": "a comparison is expected, which begins with a column, such as brand = Bosch",
    "LPAR": "a list is expected, such as (a, b)",
    "QUOTED": "a value is expected: a word, a number, or a text in quotes",
    "RPAR": ") is expected",
    "$END": "the end is expected",
}


@dataclass(frozen=True)
class Group:
    """What matches where all or any of its parts do, or where the only part does not."""

    kind: Literal["all", "any", "not"]
    parts: tuple[Node, ...]
    levels: int


Node = Comparison | Group


class Matches(NamedTuple):
    """The cards that match a filter, and notes: how many, why others are left out, values meant."""

    mask: BoolArray
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Filter:
    """A filter of cards, made by :func:`parse`."""

    text: str
    root: Node = field(repr=False)

    def __str__(self) -> str:
        """Return the filter as it was written."""
        return self.text

    def matches(self, catalogue: Catalogue, columns: dict[str, Column] | None = None) -> Matches:
        """Return the cards that match; columns are kept, as 91,000 prices take 0.8 s to read."""
        tests = list(_tests(self.root))
        columns = {} if columns is None else columns
        for name in {test.column for test in tests}.difference(columns):
            columns[name] = Column.of(catalogue, name)
        yes, no = _evaluate(self.root, columns)
        numeric = dict.fromkeys(t.column for t in tests if columns[t.column].is_by_number(t))
        left_out = [columns[name].left_out(~(yes | no)) for name in numeric]
        if yes.any():
            summary = f"{yes.sum():,} of {counted(len(yes), 'cards match')} {self.text}"
        else:
            hints = dict.fromkeys(columns[test.column].nearest(test) for test in tests)
            summary = f"no card matches {self.text}.{''.join(hints)}"
        return Matches(yes, (summary, *(str(finding) for finding in left_out if finding.ids)))


def parse(text: str) -> Filter:
    """Read a filter; raise QueryError, which names the place, if it cannot be read.

    ``not`` binds closest, then ``and``; a quote in quotes is written twice.
    """
    from lark import UnexpectedCharacters, UnexpectedInput, UnexpectedToken

    check_type(text, str, "A filter is a text such as 'brand = Bosch'")
    if len(text) > MOST_CHARACTERS:
        raise QueryError(f"A filter has {MOST_CHARACTERS:,} characters at most, not {len(text):,}.")
    try:
        root: Any = _parser().parse(text)
        return Filter(text, root)
    except UnexpectedInput as error:
        place = len(text) if error.pos_in_stream is None else error.pos_in_stream
        could_be: set[str] = set()
        if isinstance(error, UnexpectedToken):
            # What is expected may be of a rule that cannot end here.
            place = len(text.rstrip()) if error.token.type == "$END" else place
            could_be = error.accepts or error.expected
        elif isinstance(error, UnexpectedCharacters):
            could_be = error.allowed or set()
        raise _unreadable(text, place, could_be) from None


def _unreadable(text: str, place: int, could_be: Iterable[str]) -> QueryError:
    found = text[place:].split()
    where = f"at its end, after {text.split()[-1]!r}" if text.split() else "for it is empty"
    if found:
        where = f"at character {place + 1}, {found[0][:20]!r}"
    what = next(said for token, said in EXPECTED.items() if token in could_be)
    if found and found[0][0] in "\"'`":
        what = "this quote is not closed"
    if found and found[0][0] == "," and text[:place][-1:].isdigit():
        what = "the decimal mark of a number is a point, as in 5000.5"
    return QueryError(f"The filter cannot be read {where}: {what}.")


@cache
def _parser() -> Lark:
    """Return the parser: LALR, so that its time is linear and it does not recurse."""
    from lark import Lark, Token, Transformer, v_args

    @v_args(inline=True)
    class Reader(Transformer[Token, Any]):
        def any(self, *parts: Any) -> Any:
            return _group("any", parts)

        def all(self, *parts: Any) -> Any:
            return _group("all", parts)

        def negated(self, part: Any) -> Any:
            return _group("not", (part,))

        def compared(self, column: str, operator: str, *values: Value) -> Any:
            return _compare(column, operator.lower(), values)

        def refused(self, column: str, operator: str, *values: Value) -> Any:
            return _group("not", [_compare(column, operator.lower(), values)])

        def name(self, token: Token) -> str:
            return _unquoted(token)

        def value(self, token: Token) -> Value:
            is_quoted = token.type == "QUOTED"
            is_number = not is_quoted and NUMBER.fullmatch(token)
            return Value(_unquoted(token), float(token) if is_number else None, is_quoted)

    return Lark(GRAMMAR, parser="lalr", transformer=Reader())


def _unquoted(token: str) -> str:
    mark = token[0]
    text = token[1:-1].replace(2 * mark, mark) if mark in "\"'`" else token
    return unicodedata.normalize("NFC", str(text))


def _compare(column: str, operator: str, values: Sequence[Value]) -> Node:
    """Return a comparison by one of five operators; the others are their opposites."""
    opposite = {"!=": "in", ">": "<=", ">=": "<"}.get(operator)
    own = opposite or {"=": "in", "==": "in", "~": "contains"}.get(operator, operator)
    if own in ("<", "<=") and values[0].number is None and not values[0].is_quoted:
        raise QueryError(
            f"The filter compares {column} {operator} {values[0].text}, which is no number such as "
            "5000.5; put a text, such as a date, in quotes to compare it by alphabet."
        )
    if own not in ("<", "<="):
        is_equal = own == "in"
        values = [
            v if is_equal and PLAIN_NUMBER.fullmatch(v.text) else v._replace(number=None)
            for v in values
        ]
    comparison = Comparison(column, own, tuple(values))
    return _group("not", [comparison]) if opposite else comparison


def _group(kind: Literal["all", "any", "not"], parts: Sequence[Node]) -> Node:
    """Join parts; those of the same kind make one level, however they are nested."""
    if kind == "not":
        if isinstance(parts[0], Group) and parts[0].kind == "not":
            return parts[0].parts[0]
    elif len(parts) == 1:
        return parts[0]
    else:
        same = (p.parts if isinstance(p, Group) and p.kind == kind else (p,) for p in parts)
        parts = [part for each in same for part in each]
    levels = 1 + max(part.levels for part in parts)
    if levels > MOST_LEVELS:
        raise QueryError(f"A filter is nested {MOST_LEVELS} levels deep at most.")
    return Group(kind, tuple(parts), levels)


def _tests(node: Node) -> Iterator[Comparison]:
    if isinstance(node, Comparison):
        yield node
    else:
        for part in node.parts:
            yield from _tests(part)


def _evaluate(node: Node, columns: Mapping[str, Column]) -> tuple[BoolArray, BoolArray]:
    """Return which cards match and which do not: (N,) each; neither where that is unknown."""
    if isinstance(node, Comparison):
        return columns[node.column].compare(node)
    yes, no = zip(*(_evaluate(part, columns) for part in node.parts), strict=True)
    if node.kind == "not":
        return no[0], yes[0]
    if node.kind == "all":
        return np.all(yes, axis=0), np.any(no, axis=0)
    return np.any(yes, axis=0), np.all(no, axis=0)
