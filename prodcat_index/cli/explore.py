"""Commands that write pages: ``explore`` about a catalogue and ``report`` about an index."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from prodcat_index.cli import options
from prodcat_index.cli.calls import Given
from prodcat_index.cli.output import command_line, emit, note, say, tell
from prodcat_index.cli.values import output_option, share_option, writable

if TYPE_CHECKING:
    from prodcat_index.reports.explore import Exploration

OF_CARDS = ("labelled", "with_picture")
DOUBTS = {"spelling": "all but spelling", "leaf": "their last part", "alike": "nearly all letters"}
LANGUAGES = 3


def explore(
    catalogue: options.CatalogueArgument,
    output: Annotated[
        Path | None, output_option("Folder of the page; by default explore-NAME.")
    ] = None,
    form: options.FormatOption = "table",
    *,
    columns: options.Columns,
) -> None:
    """Describe a catalogue and its problems.

    The page shows what the catalogue holds, what it lacks, and what looks odd in it.
    """
    from prodcat_index.reports.explore import explore as explore_catalogue
    from prodcat_index.reports.explore_page import check_page_folder, write_exploration

    folder = output or writable(Path(f"explore-{catalogue.stem}"))
    check_page_folder(folder)
    found = explore_catalogue(options.read_cards(catalogue, columns))
    page = write_exploration(found, folder, command=command_line())
    emit(found.as_dict() if form in ("json", "jsonl") else list(_summarize(found)), form)
    tell(f"Wrote {page}")


def _summarize(found: Exploration) -> Iterator[dict[str, Any]]:
    cards = len(found.catalogue)
    for name, count in found.counts.items():
        yield _row(name.replace("_", " "), count, count / cards if name in OF_CARDS else None)
    for column in found.columns:
        if column.missing:
            yield _row(f"without {column.name}", column.missing, column.missing_share)
    yield _row("pictures that cannot be read", found.pictures.unreadable_count)
    yield _row("categories with one card", found.categories.with_one_card)
    yield _row("in duplicate groups", found.duplicates.cards, found.duplicates.cards / cards)
    yield _row(
        "duplicate groups of several categories", found.duplicates.groups_of_several_categories
    )
    for kind, groups in found.label_issues.items():
        yield _row(f"labels alike in {DOUBTS[kind]}", len(groups))
    for name, text in found.languages.items():
        sampled = f" (of {text.read:,} read)" if text.read < text.texts else ""
        for code, count in list(text.counts.items())[:LANGUAGES]:
            yield _row(f"{name} in {code}{sampled}", count, count / text.read)


def _row(what: str, value: int, share: float | None = None) -> dict[str, Any]:
    return {"what": what, "count": value, "share": "" if share is None else f"{share:.1%}"}


def report(
    index: options.IndexArgument = None,
    index_option: options.IndexOption = None,
    output: Annotated[
        Path | None,
        output_option("HTML file to write; by default report-NAME.html.", ".html", ".htm"),
    ] = None,
    *,
    splitting: options.Splitting,
    baselines: options.BaselinesOption = True,
    precision: Annotated[
        float, share_option("Target precision of the answers that are accepted.")
    ] = 0.95,
    allow_trained_on: options.AllowTrainedOnOption = False,
    image_root: options.ImageRootOption = None,
    device: options.DeviceOption = None,
    given: Given,
) -> None:
    """Write a page about the quality of an index.

    The cards of the index are split, and the index is built again from the training part.
    """
    options.check_split(given, "by", "test", "repeat")
    from prodcat_index.reports.report import report as make_report
    from prodcat_index.reports.report import write_report

    folder = options.choose_index(index, index_option)
    page = output or writable(Path(f"report-{Path(os.path.realpath(folder)).name}.html"))
    options.choose_device(device)
    found = make_report(
        options.open_index(folder, image_root),
        **splitting.arguments(),
        baselines=baselines,
        precision=precision,
        allow_trained_on=allow_trained_on,
    )
    note((*found.evaluation.findings, *found.evaluation.notes))
    say(str(write_report(found, page, command=command_line())))
