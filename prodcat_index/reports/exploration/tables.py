"""The tables of an exploration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from prodcat_index.reports.exploration.columns import TextLengths
from prodcat_index.reports.exploration.doubts import SimilarLabels
from prodcat_index.reports.exploration.exploration import Exploration
from prodcat_index.reports.pages.page import Table, write_percent

LISTED_LABELS = 50
EXCERPT = 160
BETWEEN = "  |  "


@dataclass(frozen=True)
class Tables:
    """All tables of an exploration.

    Attributes
    ----------
    columns, smallest, depths, languages, pictures, rules
        Of the whole catalogue.
    texts
        Text modality -> its shortest and longest texts.
    doubts
        Kind of doubt -> labels; those without labels are left out.
    """

    columns: Table
    smallest: Table
    depths: Table
    languages: Table
    pictures: Table
    rules: Table
    texts: dict[str, Table]
    doubts: dict[str, Table]


def tabulate(exploration: Exploration) -> Tables:
    """Make the tables of an exploration.

    Parameters
    ----------
    exploration
        What was found.

    Returns
    -------
    Tables
        Some may have no rows.
    """
    doubts = vars(exploration.doubts)
    return Tables(
        columns=_columns(exploration),
        smallest=Table(
            "The smallest categories",
            ("category", "cards"),
            list(exploration.categories.smallest.items()),
        ),
        depths=_depths(exploration),
        languages=_languages(exploration),
        pictures=_pictures(exploration),
        rules=_rules(exploration),
        texts={text.name: _texts(exploration, text) for text in exploration.texts if text.spread},
        doubts={kind: _doubts(groups) for kind, groups in doubts.items() if groups},
    )


def _columns(exploration: Exploration) -> Table:
    return Table(
        "Cards with and without a value, column by column",
        ("column", "filled", "missing", "share missing", "different values"),
        [
            (c.name, c.filled, c.missing, write_percent(c.missing_share), c.distinct)
            for c in exploration.columns
        ],
    )


def _depths(exploration: Exploration) -> Table:
    return Table(
        "Categories by the number of parts of their path",
        ("parts", "categories", "cards"),
        [(parts, *counts) for parts, counts in exploration.categories.depths.items()],
    )


def _languages(exploration: Exploration) -> Table:
    rows = [
        (column.name, language, texts, write_percent(texts / column.read))
        for column in exploration.languages
        if column.read
        for language, texts in {**column.counts, "undetermined": column.undetermined}.items()
    ]
    heads = ("column", "language", "texts", "share")
    return Table("Languages by their ISO 639 codes", heads, rows)


def _pictures(exploration: Exploration) -> Table:
    rows = [
        (name.replace("_", " "), s.least, s.low, s.median, s.high, s.most, s.far_out)
        for name, s in exploration.pictures.spreads.items()
        if s is not None
    ]
    heads = ("", "least", "5 %", "median", "95 %", "most", "far out")
    return Table("Width and height in pixels, aspect ratio as width / height", heads, rows)


def _rules(exploration: Exploration) -> Table:
    return Table(
        "What joins the cards; a group may be joined by several",
        ("rule", "groups", "cards"),
        [(rule.name, rule.groups, rule.cards) for rule in exploration.repeats.rules],
    )


def _texts(exploration: Exploration, text: TextLengths) -> Table:
    texts = exploration.catalogue.values(text.name)
    rows = [
        (end, card.id, card.value, texts[card.row][:EXCERPT])
        for end, cards in (("shortest", text.shortest), ("longest", text.longest))
        for card in cards
    ]
    heads = ("", "card", "characters", "text")
    return Table(f"Shortest and longest {text.name}", heads, rows)


def _doubts(groups: Sequence[SimilarLabels]) -> Table:
    listed = groups[:LISTED_LABELS]
    rows = [(BETWEEN.join(g.labels), " | ".join(f"{size:,}" for size in g.sizes)) for g in listed]
    caption = f"{len(listed)} of {len(groups)}, those with most cards first"
    return Table(caption, ("labels", "cards of each"), rows)
