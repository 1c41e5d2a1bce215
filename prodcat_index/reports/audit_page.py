"""The page of an audit: what to fix first with its pictures, and each check by itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prodcat_index.audit.audit import Audit
from prodcat_index.audit.check import CheckResult, Item
from prodcat_index.cards.card import IMAGE, Catalogue
from prodcat_index.findings import name_first
from prodcat_index.reports import page

PAGE = "audit.html"
HEADINGS = {
    "labels": "Labels",
    "duplicates": "Duplicates",
    "novelty": "New categories",
    "drift": "The delivery",
    "coverage": "Categories",
    "leaks": "Leaks",
}
# Items with pictures: on top, and of each check those that are not there already; rows of a table.
FIRST, OWN, LISTED = 24, 12, 50
# Cards of an item, and its neighbours: six fill a line, of which a single card takes one.
CARDS, NEIGHBOURS, NEIGHBOURS_OF_SEVERAL = 12, 5, 6
NAMED = 2
# A column of this name is drawn as bars.
BARS = "share"


@dataclass(frozen=True)
class ShownItem:
    """An item with the cards that are shown of it."""

    number: int
    item: Item
    cards: Sequence[page.Tile]
    neighbours: Sequence[page.Tile]

    @property
    def place(self) -> str:
        """Id of the element, for links."""
        return f"item-{self.number}"

    @property
    def rest(self) -> int:
        """Number of cards that are not shown."""
        return len(self.item.cards) - len(self.cards)

    @property
    def has_pictures(self) -> bool:
        """Whether any of the cards has one."""
        return any(tile.image for tile in (*self.cards, *self.neighbours))


def write_audit(audit: Audit, file: str | Path, *, command: str = "") -> Path:
    """Write the page of an audit, which needs nothing beside it.

    The page bears the date of today, or of ``SOURCE_DATE_EPOCH`` where that is set.

    Parameters
    ----------
    audit
        The audit.
    file
        HTML file to write.
    command
        The command that made the page, for its foot.

    Returns
    -------
    pathlib.Path
        The file.

    Raises
    ------
    ProdcatError
        If the file cannot be written.
    """
    every = _show_items(audit)
    with_cards = [each for each in every if each.item.cards or each.item.neighbours]
    first, others = with_cards[:FIRST], with_cards[FIRST:]
    by_check = {name: _of_check(others, name)[:OWN] for name in audit.results}
    shown = {each.number for own in (first, *by_check.values()) for each in own}
    contents = {"first": "Fix these first"}
    contents |= {name: HEADINGS[name] for name in audit.results}
    content = page.render_page(
        PAGE,
        command,
        title=f"Audit of {Path(audit.index.parts.catalogue.source).name}",
        contents=contents,
        audit=audit,
        first=first,
        by_check=by_check,
        listed={name: _tabulate_items(_of_check(every, name), shown) for name in audit.results},
        tables={name: tabulate_details(result) for name, result in audit.results.items()},
    )
    page.write_file(Path(file), content)
    return Path(file)


def tabulate_details(result: CheckResult) -> list[page.Table]:
    """Make tables of the records in the details of a check, by their captions."""
    found: Mapping[str, Sequence[Mapping[str, Any]]] = result.details.get("tables", {})
    tables = []
    for caption, records in found.items():
        heads = list(dict.fromkeys(name for record in records for name in record))
        rows = [[_as_cell(record.get(head)) for head in heads] for record in records]
        bars = heads.index(BARS) if BARS in heads else None
        heads = [head.replace("_", " ") for head in heads]
        tables.append(page.Table(caption, heads, rows, write_rounded, bars))
    return [table for table in tables if table.rows]


def write_rounded(number: float) -> str:
    """Write an estimate with two digits that count, or whole: more of them say nothing."""
    is_whole = abs(number) >= 10 or number == int(number)
    return f"{number:,.0f}" if is_whole else f"{number:.2g}"


def _as_cell(value: Any) -> page.Cell:
    if isinstance(value, (list, tuple)):
        return name_first([str(each) for each in value])
    if isinstance(value, bool):
        return "yes" if value else ""
    return value if isinstance(value, (str, int, float)) or value is None else str(value)


def _show_items(audit: Audit) -> list[ShownItem]:
    """Return all items with the first of their cards."""
    own_cards = {name: _tiles(audit.catalogue_of(name), audit.items) for name in audit.results}
    indexed = _tiles(audit.index.parts.catalogue, audit.items)
    shown = []
    for number, item in enumerate(audit.items, start=1):
        own, near = own_cards[item.check], item.neighbours
        near = near[: NEIGHBOURS if len(item.cards) == 1 else NEIGHBOURS_OF_SEVERAL]
        cards = [own[card] for card in item.cards[:CARDS] if card in own]
        neighbours = [indexed[card] for card in near if card in indexed]
        shown.append(ShownItem(number, item, cards, neighbours))
    return shown


def _of_check(items: Sequence[ShownItem], check: str) -> list[ShownItem]:
    return [each for each in items if each.item.check == check]


def _tiles(catalogue: Catalogue, items: Sequence[Item]) -> dict[str, page.Tile]:
    """Return the cards of a catalogue that items name, by their ids."""
    named = {card for item in items for card in (*item.cards, *item.neighbours)}
    rows = zip(*map(catalogue.values, ("id", "title", IMAGE, "category")), strict=True)
    return {row[0]: page.Tile(*row) for row in rows if row[0] in named}


def _tabulate_items(own: Sequence[ShownItem], shown: set[int]) -> page.Table:
    """Make a table of the items of a check, with links to those that are shown with pictures."""
    rows = [
        (
            page.Link(str(each.number), each.place) if each.number in shown else str(each.number),
            each.item.kind,
            name_first(each.item.cards, NAMED),
            each.item.subject,
            each.item.proposal,
            "" if each.item.confidence is None else page.write_percent(each.item.confidence),
            each.item.why,
        )
        for each in own[:LISTED]
    ]
    caption = "The worst first"
    if len(own) > LISTED:
        caption += f": {LISTED} of {page.write_counted(len(own), 'items')}"
    heads = ("item", "what", "cards", "category", "proposal", "confidence", "why")
    return page.Table(caption, heads, rows, page.write_figure)
