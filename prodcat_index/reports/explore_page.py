"""Writing an exploration: a page that needs nothing beside it, the numbers, and the pictures."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from prodcat_index.cards.card import IMAGE, Catalogue
from prodcat_index.errors import ProdcatError
from prodcat_index.files import check_output_folder
from prodcat_index.reports import catalogue_figures as figures
from prodcat_index.reports.explore import Exploration, Extreme, TextLengths
from prodcat_index.reports.label_issues import DuplicateGroup, SimilarLabels
from prodcat_index.reports.page import (
    Picture,
    Table,
    render_page,
    write_count,
    write_figure,
    write_file,
    write_percent,
)
from prodcat_index.reports.sheet import Tile, draw_strip
from prodcat_index.types import CATEGORY_SEPARATOR

LISTED_LABELS = 50
EXCERPT = 160
BETWEEN = "  |  "


@dataclass(frozen=True)
class Tables:
    """All tables of an exploration."""

    columns: Table
    smallest: Table
    depths: Table
    languages: Table
    pictures: Table
    rules: Table
    texts: dict[str, Table]
    doubts: dict[str, Table]


def tabulate(exploration: Exploration) -> Tables:
    """Make the tables of an exploration."""
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


SHOWN = 6
EMPTIEST = 30
ALT_TITLE = 60
ENDS = {
    "fewest_pixels": "fewest pixels",
    "most_pixels": "most pixels",
    "widest": "widest for their height",
    "tallest": "tallest for their width",
}


@dataclass(frozen=True)
class Drawings:
    """All that is drawn of an exploration; a figure without data is ``None``."""

    missing: Picture | None
    rank_sizes: Picture | None
    largest: Picture | None
    languages: Picture | None
    picture_sizes: Picture | None
    lengths: Mapping[str, Picture]
    samples: Mapping[str, Picture]
    ends: Mapping[str, Picture]
    repeats: Sequence[Picture]
    mixed: Sequence[Picture]

    def __iter__(self) -> Iterator[Picture]:
        """Yield every picture."""
        single = (self.missing, self.rank_sizes, self.largest, self.languages, self.picture_sizes)
        yield from (picture for picture in single if picture is not None)
        for several in (self.lengths, self.samples, self.ends):
            yield from several.values()
        yield from (*self.repeats, *self.mixed)


def draw_exploration(exploration: Exploration) -> Drawings:
    """Draw an exploration; of the pictures of the cards only those that are shown are decoded."""
    catalogue, pictures, repeats = exploration.catalogue, exploration.pictures, exploration.repeats
    ends = {name: cards for name, cards in pictures.extremes.items() if cards}
    return Drawings(
        missing=_draw_missing(exploration),
        rank_sizes=_draw_rank_sizes(exploration),
        largest=_draw_largest(exploration),
        languages=_draw_languages(exploration),
        picture_sizes=_draw_picture_sizes(exploration),
        lengths=dict(_draw_lengths(exploration)),
        samples={
            category: _strip(f"sample-{number:02}", f"Cards of {category}", catalogue, rows)
            for number, (category, rows) in enumerate(exploration.samples.items(), start=1)
        },
        ends={
            ENDS[name]: _draw_end(f"pictures-{name.replace('_', '-')}", catalogue, cards)
            for name, cards in ends.items()
        },
        repeats=_draw_repeats("group", catalogue, repeats.largest),
        mixed=_draw_repeats("mixed-group", catalogue, repeats.mixed),
    )


def _draw_missing(exploration: Exploration) -> Picture | None:
    emptiest = sorted(exploration.columns, key=lambda column: -column.missing)[:EMPTIEST]
    shares = {column.name: column.missing_share for column in emptiest if column.missing}
    if not shares:
        return None
    told = (f"{name} {write_percent(share)}" for name, share in shares.items())
    alt = f"Bars: share of the cards without a value. {'; '.join(told)}."
    return Picture("missing.png", figures.draw_missing(shares), alt)


def _draw_rank_sizes(exploration: Exploration) -> Picture | None:
    categories = exploration.categories
    if not categories.sizes:
        return None
    sizes = list(categories.sizes.values())
    alt = (
        f"Line on logarithmic scales: category sizes fall from {write_count(sizes[0])} cards to "
        f"{write_count(sizes[-1])} over {write_count(len(sizes))} categories; the "
        f"{write_count(categories.holding_half)} largest hold half of the cards."
    )
    return Picture("category-sizes.png", figures.draw_rank_sizes(sizes), alt)


def _draw_largest(exploration: Exploration) -> Picture | None:
    largest = exploration.categories.largest
    if not largest:
        return None
    told = (f"{category} {write_count(size)}" for category, size in largest.items())
    alt = f"Bars: cards of the largest categories. {'; '.join(told)}."
    return Picture("largest-categories.png", figures.draw_largest(largest), alt)


def _draw_languages(exploration: Exploration) -> Picture | None:
    read = [column for column in exploration.languages if column.read]
    if not read:
        return None
    shares = {c.name: {code: n / c.read for code, n in c.counts.items()} for c in read}
    told = (f"{c.name} {_list_shares(shares[c.name])}" for c in read)
    alt = f"Stacked bars: languages of each text column. {'; '.join(told)}."
    return Picture("languages.png", figures.draw_languages(shares), alt)


def _list_shares(shares: Mapping[str, float]) -> str:
    told = (f"{code} {write_percent(share)}" for code, share in list(shares.items())[:3])
    return ", ".join(told) or "undetermined"


def _draw_lengths(exploration: Exploration) -> Iterator[tuple[str, Picture]]:
    for number, text in enumerate(exploration.texts, start=1):
        if text.spread is None:
            continue
        spread = text.spread
        alt = (
            f"Histogram of the characters of {text.name}: from {write_figure(spread.least)} to "
            f"{write_figure(spread.most)}, half of them up to {write_figure(spread.median)}."
        )
        content = figures.draw_lengths(text.lengths, spread.median)
        yield text.name, Picture(f"text-{number}-lengths.png", content, alt)


def _draw_picture_sizes(exploration: Exploration) -> Picture | None:
    sizes = exploration.pictures.sizes
    if not len(sizes):
        return None
    (left, low), (right, high) = sizes.min(axis=0), sizes.max(axis=0)
    alt = (
        f"Dots: width against height of {write_count(len(sizes))} pictures, {left} to {right} "
        f"pixels wide and {low} to {high} pixels high."
    )
    return Picture("picture-sizes.png", figures.draw_picture_sizes(sizes), alt)


def _draw_end(name: str, catalogue: Catalogue, cards: Sequence[Extreme]) -> Picture:
    is_aspect = "pixels" not in name.removeprefix("pictures-")
    notes = [f"{write_figure(c.value)}{' : 1' if is_aspect else ' pixels'}" for c in cards]
    return _strip(name, "Cards", catalogue, [card.row for card in cards], notes)


def _draw_repeats(
    name: str, catalogue: Catalogue, repeats: Sequence[DuplicateGroup]
) -> list[Picture]:
    labels = catalogue.values("category")
    strips = []
    for number, repeat in enumerate(repeats, start=1):
        rows = _first_of_each(repeat.rows, labels)
        notes = [labels[row].rpartition(CATEGORY_SEPARATOR)[2] for row in rows]
        strips.append(_strip(f"{name}-{number:02}", "Cards", catalogue, rows, notes))
    return strips


def _first_of_each(rows: Sequence[int], labels: Sequence[str]) -> list[int]:
    """Choose rows to show, such that as many categories as possible are among them."""
    first = {labels[row]: row for row in reversed(rows)}
    others = [row for row in rows if row not in first.values()]
    return sorted([*first.values(), *others][:SHOWN])


def _strip(
    name: str, what: str, catalogue: Catalogue, rows: Sequence[int], notes: Sequence[str] = ()
) -> Picture:
    records = catalogue.cards.iloc[list(rows)]
    titles = [str(title) for title in records["title"]] if "title" in records else [""] * len(rows)
    tiles = [
        Tile(str(card), title, str(image), note)
        for card, title, image, note in zip(
            records["id"], titles, records[IMAGE], notes or [""] * len(rows), strict=True
        )
    ]
    shown = "; ".join(f"{tile.id} {tile.title[:ALT_TITLE]}".strip() for tile in tiles)
    return Picture(f"{name}.jpg", draw_strip(tiles), f"{what}: {shown}.")


PAGE, NUMBERS, PICTURES = "explore.html", "explore.json", "pictures"
CONTENTS = {
    "columns": "Columns and missing values",
    "categories": "Categories",
    "labels": "Suspicious labels",
    "texts": "Texts",
    "languages": "Languages",
    "pictures": "Pictures",
    "duplicates": "Duplicates",
    "samples": "Samples of the largest categories",
}


def write_exploration(exploration: Exploration, folder: str | Path) -> Path:
    """Write an exploration into a folder.

    Parameters
    ----------
    exploration
        What was found.
    folder
        Gets ``explore.html``, which needs nothing beside it, ``explore.json`` and the folder
        ``pictures`` with every figure. It may be new, empty, or one that this has written before.

    Returns
    -------
    pathlib.Path
        The page.

    Raises
    ------
    ProdcatError
        When the folder holds other things, or cannot be written.
    """
    target = Path(folder)
    if not (target / PAGE).is_file():
        check_output_folder(target, "exploration", ProdcatError)
    drawings = draw_exploration(exploration)
    title = f"Exploration of {Path(exploration.catalogue.source).name}"
    page = render_page(
        PAGE,
        title=title,
        contents=CONTENTS,
        found=exploration,
        drawn=drawings,
        tables=tabulate(exploration),
    )
    _remove_old(target / PICTURES)
    for picture in drawings:
        write_file(target / PICTURES / picture.file_name, picture.content)
    numbers = json.dumps(exploration.as_dict(), ensure_ascii=False, indent=2)
    write_file(target / NUMBERS, numbers)
    write_file(target / PAGE, page)
    return target / PAGE


def _remove_old(pictures: Path) -> None:
    """Remove the pictures of an earlier exploration, of which there may have been more."""
    for kind in ("*.png", "*.jpg"):
        for file in pictures.glob(kind):
            file.unlink()
