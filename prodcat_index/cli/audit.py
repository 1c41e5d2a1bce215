"""The command ``audit``: what is wrong with a catalogue, and what to fix first."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, Annotated

import typer

from prodcat_index.cli import options
from prodcat_index.cli.calls import Given, WrongCallError, refuse
from prodcat_index.cli.output import INDENT, command_line, emit, note, say, tell, wrap, write_frame
from prodcat_index.cli.values import file_option, option, output_option
from prodcat_index.errors import did_you_mean
from prodcat_index.findings import counted, name_first

if TYPE_CHECKING:
    from prodcat_index.audit.audit import Audit

# The library has the same names, in a module that imports numpy, which --help must not wait for.
ALL = "all"
NAMES = (ALL, "labels", "duplicates", "novelty", "drift", "coverage", "leaks")
# Items on a terminal, the cards that are named of each, and the letters of a title.
SHOWN = 20
CARDS_NAMED = 2
TITLE = 100


def parse_checks(given: list[str]) -> list[str]:
    """Return the names of checks that are given with commas between them, or one by one."""
    names = [name.strip() for each in given for name in each.split(",") if name.strip()]
    for name in names:
        if name not in NAMES:
            raise WrongCallError(
                f"There is no check {name!r}; there are {', '.join(NAMES)}."
                f"{did_you_mean(name, NAMES)}"
            )
    return names


def audit(
    index: options.IndexArgument = None,
    new_catalogue: Annotated[
        Path | None,
        typer.Argument(metavar="NEW_CATALOGUE", help="File of new cards, such as a delivery."),
    ] = None,
    index_option: options.IndexOption = None,
    check: Annotated[
        list[str],
        option(
            "Check to run: all, or labels, duplicates, novelty, drift, coverage or leaks; "
            "with commas between them, or repeated.",
            metavar="NAME",
            callback=parse_checks,
        ),
    ] = [ALL],  # noqa: B006
    target: options.TargetOption = None,
    split: options.SplitOption = None,
    against: Annotated[
        Path | None, option("Earlier delivery that the new one is compared with.")
    ] = None,
    again: Annotated[bool, option("Show what was decided before as well.")] = False,
    output: Annotated[
        Path | None,
        output_option(
            "Write all items, a row for each card, into this file, to decide on them.",
            *(".csv", ".xlsx", ".parquet"),
        ),
    ] = None,
    page: Annotated[
        Path | None,
        file_option("Write a page with the pictures into this HTML file.", ".html", ".htm"),
    ] = None,
    device: options.DeviceOption = None,
    engine: options.EngineOption = "local",
    address: options.AddressOption = None,
    form: options.FormatOption = "table",
    *,
    columns: options.Columns,
    given: Given,
) -> None:
    """List what to fix first in a catalogue.

    New cards are checked against the index.
    Fill in the column decision of the written table, and hand it to prodcat relabel.
    """
    from prodcat_index.audit.audit import audit_catalogue
    from prodcat_index.reports.audit_page import write_audit

    # With --index, the only argument is the new catalogue.
    if index and index_option and new_catalogue is None:
        index, new_catalogue = None, index
    if new_catalogue is None:
        refuse(
            given,
            (*options.COLUMN_OPTIONS, "against"),
            "{} is about a file of new cards; name the file after the index.",
        )
    if target is not None:
        refuse(
            given,
            ("output",),
            "Leave out {}: prodcat relabel would take the values for categories of the index. "
            "Audit the index that prodcat refit --target writes.",
        )
        if engine != "local":
            refuse(given, ("target",), "Leave out {}: the workers read the index as it is stored.")
    does = options.choose_engine(engine, address, given)
    folder = options.choose_index(index, index_option)
    options.choose_device(device)
    graph = None
    if engine != "local":
        from prodcat_index.distributed.bulk_audit import graph_in_shards

        graph = graph_in_shards(folder, folder.with_name(f"{folder.name}.audit"), engine=does)
    opened = options.for_target(options.open_index(folder), target)
    read = options.read_cards
    new = None if new_catalogue is None else read(new_catalogue, columns, index=opened)
    found = audit_catalogue(
        opened,
        new,
        checks=ALL if ALL in check else check,
        split=options.open_split(split),
        against=None if against is None else read(against, columns, index=opened),
        again=again,
        graph=graph,
    )
    said = () if new is None else (*new.notes, *map(str, new.findings))
    note(each for each in found.notes if each not in said)
    for name, result in found.results.items():
        note(f"{name}: {each}" for each in result.notes if each not in found.notes)
    note(f"{name} was not checked: {why}" for name, why in found.skipped.items())
    if found.decided and form != "table":
        note([f"{counted(found.decided, 'items were')} decided before; --again shows them"])
    if output is not None:
        write_frame(output, found.to_frame())
        tell(f"Wrote {output}: {counted(len(found.items), 'items')}.")
    if page is not None:
        tell(f"Wrote {write_audit(found, page, command=command_line())}")
    if form == "json":
        emit(found.as_dict(), form)
    elif form != "table":
        emit(list(found.rows()), form)
    else:
        _print_audit(found, folder, output, new_catalogue)


def _print_audit(
    found: Audit, folder: Path, output: Path | None, new_catalogue: Path | None
) -> None:
    """Print a sentence for each check, the first items, and what to do next."""
    from prodcat_index.index.review import MERGE

    for name, result in found.results.items():
        say(wrap(f"{name}: {result.summary}"))
    if found.decided:
        what = counted(found.decided, "of these items are decided already and left out")
        say(wrap(f"{what} (--again shows them)."))
    if not found.items:
        say("There is nothing to decide.")
        return
    say("")
    for paragraph in _first_items(found):
        say(paragraph)
    say("")
    if (rest := len(found.items) - SHOWN) > 0:
        say(f"{counted(rest, 'items')} more.")
    named = shlex.quote(str(folder))
    table = shlex.quote(str(output or "review.xlsx"))
    delivery = "" if new_catalogue is None else f" {shlex.quote(str(new_catalogue))}"
    if output is None:
        say("Next: write all items into a table, and look at them:")
        say(f"  prodcat audit {named}{delivery} -o {table} --page audit.html")
    are_new = {found.catalogue_of(item.check) is found.new for item in found.items if item.cards}
    if False in are_new or any(item.proposal.startswith(MERGE) for item in found.items):
        steps = "Fill in its column decision (yes, keep, remove or a category), and carry it out:"
        say(f"{wrap(steps)}\n  prodcat relabel {table} --index {named}")
    if True in are_new:
        steps = (
            "New cards are not in the index yet, so relabel cannot change them: write the "
            "categories that you choose into their own file, and add them:"
        )
        say(f"{wrap(steps)}\n  prodcat add{delivery} --index {named} --allow-new-categories")
    if any(not item.cards and not item.proposal.startswith(MERGE) for item in found.items):
        say(wrap("Items without cards are advice: keep in the table says not to ask again."))


def _first_items(found: Audit) -> Iterator[str]:
    """Yield a paragraph for each of the first items."""
    for number, own in groupby(found.rows(), lambda row: row["item"]):
        if number > SHOWN:
            return
        rows = list(own)
        first, sure = rows[0], rows[0]["confidence"]
        cards = name_first([row["id"] for row in rows if row["id"]], CARDS_NAMED)
        what = f"{number}. {first['kind']}" + ("" if sure is None else f" ({sure:.0%})")
        title = shorten(first["title"], TITLE, placeholder="...")
        about = " ".join(filter(None, (cards, title)))
        yield wrap(": ".join(filter(None, (what, about))), INDENT).removeprefix(INDENT)
        category = name_first(list(dict.fromkeys(row["category"] for row in rows)), 2)
        yield wrap(" -> ".join(filter(None, (category, first["proposal"]))), INDENT)
