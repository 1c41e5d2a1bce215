"""The page of an exploration, with its numbers and pictures as files beside it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from prodcat_index.cards.card import IMAGE, Catalogue
from prodcat_index.errors import ProdcatError
from prodcat_index.files import check_output_folder
from prodcat_index.reports import catalogue_figures as figures
from prodcat_index.reports import page
from prodcat_index.reports.explore import DuplicateGroup, Exploration
from prodcat_index.reports.problems import problems_of_catalogue, tabulate_problems
from prodcat_index.reports.style import Picture
from prodcat_index.types import CATEGORY_SEPARATOR

PAGE, NUMBERS, PICTURES = "explore.html", "explore.json", "pictures"
CONTENTS = {
    "first": "Fix these first",
    "columns": "Columns and missing values",
    "categories": "Categories",
    "labels": "Suspicious labels",
    "texts": "Texts",
    "languages": "Languages",
    "pictures": "Pictures",
    "duplicates": "Duplicates",
    "samples": "Samples of the largest categories",
}
EXTREMES = {
    "fewest_pixels": "The fewest pixels",
    "most_pixels": "The most pixels",
    "widest": "The widest for their height",
    "tallest": "The tallest for their width",
}
ISSUES = {
    "spelling": "Different in case, spaces, ё and е or punctuation only",
    "leaf": "The same last part under different paths",
    "alike": "Last parts that differ by a letter or two",
}
# Numbers of labels in a table and of cards in a strip; letters of a text.
LISTED_LABELS, SHOWN, EXCERPT = 50, 6, 160
HEADED_CATEGORIES = 5
BETWEEN = " | "


def write_exploration(exploration: Exploration, folder: str | Path, *, command: str = "") -> Path:
    """Write an exploration into a folder.

    The page bears the date of today, or of ``SOURCE_DATE_EPOCH`` where that is set.

    Parameters
    ----------
    exploration
        The numbers to write.
    folder
        Gets ``explore.html``, which needs nothing beside it, ``explore.json`` and the folder
        ``pictures`` with every figure. It may be new, empty, or written by an earlier call.
    command
        The command that made the page, for its foot.

    Returns
    -------
    pathlib.Path
        The page.

    Raises
    ------
    ProdcatError
        If the folder holds other files, or cannot be written.
    """
    target = Path(folder)
    check_page_folder(target)
    drawn = draw_exploration(exploration)
    content = page.render_page(
        PAGE,
        command,
        title=f"Exploration of {Path(exploration.catalogue.source).name}",
        contents=CONTENTS,
        issues=ISSUES,
        found=exploration,
        drawn=drawn,
        strips=collect_strips(exploration),
        tables=tabulate_exploration(exploration),
    )
    # An earlier exploration may have had more pictures.
    for old in (target / PICTURES).glob("*"):
        if old.suffix in (".png", ".jpg"):
            old.unlink()
    for picture in drawn.values():
        page.write_file(target / PICTURES / picture.file_name, picture.content)
    numbers = json.dumps(exploration.as_dict(), ensure_ascii=False, indent=2)
    page.write_file(target / NUMBERS, numbers)
    page.write_file(target / PAGE, content)
    return target / PAGE


def check_page_folder(folder: Path) -> None:
    """Raise ProdcatError if a folder holds other files than an exploration, which is replaced."""
    if not (folder / PAGE).is_file():
        check_output_folder(folder, "exploration", ProdcatError)


def tabulate_exploration(exploration: Exploration) -> dict[str, page.Table]:
    """Make the tables of an exploration; that of a text column is named ``text NAME``."""
    categories, pictures = exploration.categories, exploration.pictures
    languages = [
        (name, language, count, count / column.read)
        for name, column in exploration.languages.items()
        if column.read
        for language, count in column.with_undetermined.items()
    ]
    scales = {"width": pictures.width, "height": pictures.height}
    scales["aspect ratio"] = pictures.aspect_ratio
    places = {name: f"sample-{place}" for place, name in enumerate(exploration.samples, start=1)}
    tables = {
        "first": tabulate_problems(problems_of_catalogue(exploration), "share of all"),
        "columns": page.Table(
            "Cards with and without a value, column by column",
            ("column", "filled", "missing", "share missing", "different values"),
            [tuple(vars(column).values()) for column in exploration.columns],
            page.write_percent,
        ),
        "largest": page.Table(
            "The largest categories",
            ("category", "cards"),
            [
                (page.Link(name, places[name]) if name in places else name, size)
                for name, size in categories.largest.items()
            ],
            bars=1,
        ),
        "smallest": page.Table(
            "The smallest categories", ("category", "cards"), list(categories.smallest.items())
        ),
        "depths": page.Table(
            "Categories by the number of parts of their path",
            ("parts", "categories", "cards"),
            [(parts, *numbers.values()) for parts, numbers in categories.by_depth.items()],
        ),
        "languages": page.Table(
            "Languages by their ISO 639 codes",
            ("column", "language", "texts", "share"),
            languages,
            page.write_percent,
        ),
        "pictures": page.Table(
            "Width and height in pixels, aspect ratio as width / height",
            ("", "least", "5 %", "median", "95 %", "most", "outliers"),
            [(name, *list(vars(s).values())[1:]) for name, s in scales.items() if s],
        ),
        "rules": page.Table(
            "What joins the cards; a group may be joined by several",
            ("rule", "groups", "cards"),
            [(rule, *n.values()) for rule, n in exploration.duplicates.by_rule.items()],
        ),
    }
    for name, lengths in exploration.texts.items():
        texts = exploration.catalogue.values(name)
        ends = {"shortest": lengths.shortest, "longest": lengths.longest}
        cards = [
            (end, card.id, card.value, page.excerpt(texts[card.row], EXCERPT))
            for end, extremes in ends.items()
            for card in extremes
        ]
        heads = ("", "card", "characters", "text")
        tables[f"text {name}"] = page.Table(f"Shortest and longest {name}", heads, cards)
    for reason, groups in exploration.label_issues.items():
        listed = groups[:LISTED_LABELS]
        rows = [(BETWEEN.join(g), BETWEEN.join(map(page.write_figure, g.values()))) for g in listed]
        caption = f"{len(listed)} of {len(groups)}, those with most cards first"
        tables[reason] = page.Table(caption, ("labels", "cards of each"), rows)
    return tables


def draw_exploration(exploration: Exploration) -> dict[str, Picture]:
    """Draw what there is data of."""
    categories, pictures = exploration.categories, exploration.pictures
    languages = {name: column for name, column in exploration.languages.items() if column.read}
    drawn = {}
    if categories.count:
        drawn["rank_sizes"] = figures.draw_rank_sizes(categories)
    if languages:
        drawn["languages"] = figures.draw_languages(languages)
    if pictures.readable:
        drawn["picture_sizes"] = figures.draw_picture_sizes(pictures.sizes)
    for number, (name, text) in enumerate(exploration.texts.items(), start=1):
        if text.characters:
            picture = figures.draw_lengths(name, text.lengths)
            drawn[f"text {name}"] = replace(picture, file_name=f"text-{number}-lengths.png")
    return drawn


def collect_strips(exploration: Exploration) -> dict[str, list[page.Strip]]:
    """Collect the cards that are shown, by section."""
    catalogue, duplicates = exploration.catalogue, exploration.duplicates
    extremes = []
    for kind, cards in exploration.pictures.extremes.items():
        unit = "pixels" if "pixels" in kind else ": 1"
        notes = [f"{page.write_figure(card.value)} {unit}" for card in cards]
        rows = [card.row for card in cards]
        extremes.append(_make_strip(catalogue, kind, EXTREMES[kind], rows, notes))
    samples = []
    for number, (name, shown) in enumerate(exploration.samples.items(), start=1):
        heading = f"{name} ({page.write_figure(exploration.categories.sizes[name])})"
        samples.append(_make_strip(catalogue, f"sample-{number}", heading, shown))
    return {
        "extremes": [strip for strip in extremes if strip.tiles],
        "largest_groups": _collect_groups(catalogue, "group", duplicates.largest),
        "mixed_groups": _collect_groups(catalogue, "mixed", duplicates.of_several_categories),
        "samples": samples,
    }


def _collect_groups(
    catalogue: Catalogue, name: str, groups: Sequence[DuplicateGroup]
) -> list[page.Strip]:
    labels, strips = catalogue.values("category"), []
    for number, group in enumerate(groups, start=1):
        # The first card of each category, so that as many categories as possible are shown.
        first = {labels[row]: row for row in reversed(group.rows)}
        others = [row for row in group.rows if row not in first.values()]
        rows = sorted([*first.values(), *others][:SHOWN])
        notes = [labels[row].rpartition(CATEGORY_SEPARATOR)[2] for row in rows]
        heading = page.write_counted(group.cards, "cards")
        if group.categories:
            heading += f" in {BETWEEN.join(group.categories[:HEADED_CATEGORIES])}"
        if (rest := len(group.categories) - HEADED_CATEGORIES) > 0:
            heading += f" and {rest} more"
        strips.append(_make_strip(catalogue, f"{name}-{number}", heading, rows, notes))
    return strips


def _make_strip(
    catalogue: Catalogue, place: str, heading: str, rows: Sequence[int], notes: Sequence[str] = ()
) -> page.Strip:
    ids, titles, images = (catalogue.values(column) for column in ("id", "title", IMAGE))
    noted = zip(rows, notes or ("",) * len(rows), strict=True)
    tiles = [page.Tile(ids[row], titles[row], images[row], note) for row, note in noted]
    return page.Strip(heading, tiles, place)
