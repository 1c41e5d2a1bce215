"""Cards that were skipped or corrected on the way, counted and named."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import compress

NAMED = 5
PLURAL = re.compile(r"(\w+?)(ies|s)\b(?: (have|are|name|hold|occur|share)\b)?")
SINGULAR = {"have": "has", "are": "is"}


def agree(number: float, what: str) -> str:
    """Return a clause such as ``cards have no id`` in the singular where it is said of one."""
    if number != 1:
        return what

    def singular(found: re.Match[str]) -> str:
        stem, ending, verb = found.groups()
        noun = f"{stem}{'y' if ending == 'ies' else ''}"
        return f"{noun} {SINGULAR.get(verb, f'{verb}s')}" if verb else noun

    return PLURAL.sub(singular, what, count=1).replace(" their ", " its ")


def counted(number: int, what: str) -> str:
    """Return a count and what is counted, given in the plural: ``1 card has no id``."""
    return f"{number:,} {agree(number, what)}"


def name_first(names: Sequence[str], limit: int = NAMED, more: int = 0) -> str:
    """Join the first few names, and count the others and those that are not given."""
    shown = ", ".join(names[:limit])
    rest = max(0, len(names) - limit) + more
    return f"{shown} and {rest} more" if rest > 0 else shown


@dataclass(frozen=True)
class Finding:
    """One kind of thing that was noticed, with its cards.

    Attributes
    ----------
    what
        A clause after the count, in the plural, such as ``"cards have no usable picture (the file
        is truncated)"``; or so of rows, lines, columns.
    ids
        Identifiers of the cards, in catalogue order, or the names of what else is counted, such as
        ``"line 5"``.
    more
        Number of further cards, whose identifiers were not kept: of a catalogue in shards.
    """

    what: str
    ids: tuple[str, ...]
    more: int = 0

    @property
    def count(self) -> int:
        """Number of cards."""
        return len(self.ids) + self.more

    def __str__(self) -> str:
        """Return the sentence with the count and the first few ids."""
        return f"{counted(self.count, self.what)}: {name_first(self.ids, more=self.more)}"


def name_findings(names: Mapping[str, Iterable[str]]) -> tuple[Finding, ...]:
    """Return a finding for each clause that at least one name is given for."""
    findings = (Finding(what, tuple(named)) for what, named in names.items())
    return tuple(finding for finding in findings if finding.ids)


def list_findings(noticed: Mapping[str, Iterable[bool]], ids: Sequence[str]) -> tuple[Finding, ...]:
    """Return a finding for each clause whose mask marks at least one of the cards."""
    return name_findings({what: compress(ids, marked) for what, marked in noticed.items()})
