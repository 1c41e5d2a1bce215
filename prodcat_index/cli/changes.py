"""Commands that change the cards of an index, their labels, and what is fitted to them."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from prodcat_index.cli import options
from prodcat_index.cli.calls import Given, WrongCallError, refuse
from prodcat_index.cli.info import describe_change, describe_size
from prodcat_index.cli.output import Format, emit, note, say, tell
from prodcat_index.cli.values import option, share_option
from prodcat_index.errors import EmptyCatalogueError, IndexFolderError
from prodcat_index.findings import counted

if TYPE_CHECKING:
    from prodcat_index.index.difference import Difference
    from prodcat_index.index.product_index import ProductIndex

DryRunOption = Annotated[bool, option("Print what would change, and change nothing.")]
WaitOption = Annotated[
    float,
    option(
        "Wait so long for another command that writes the index.",
        metavar="SECONDS",
        min=0,
        show_default=False,
    ),
]


@dataclass(frozen=True)
class Delivery:
    """Options of commands that take new and changed cards."""

    max_removed: Annotated[
        float,
        share_option(
            "Largest share of the cards, or of the pictures or texts of those that stay, that may "
            "go.",
            least=0,
        ),
    ] = 0.05
    allow_new_categories: Annotated[
        bool,
        option(
            "Take cards of any number of new categories, or that are read from other columns "
            "than those of the index."
        ),
    ] = False
    dry_run: DryRunOption = False
    wait: WaitOption = 0.0
    device: options.DeviceOption = None
    form: options.FormatOption = "table"


def sync(
    catalogue: options.CatalogueArgument,
    index: options.IndexOption = None,
    *,
    delivery: Delivery,
    columns: options.Columns,
) -> None:
    """Make an index equal to a whole export.

    New and changed cards are embedded, and cards that the export lacks are removed.
    """
    _deliver(catalogue, index, delivery, columns, removed=True)


def add(
    catalogue: options.CatalogueArgument,
    index: options.IndexOption = None,
    only_new: Annotated[bool, option("Leave cards of the index as they are.")] = False,
    *,
    delivery: Delivery,
    columns: options.Columns,
) -> None:
    """Add new and changed cards to an index.

    Nothing is fitted again, and the new cards are found at once.
    """
    _deliver(catalogue, index, delivery, columns, removed=False, only_new=only_new)


def remove(
    ids: Annotated[
        list[str],
        option(
            "Ids with commas between them, or a file with an id a line or a column of ids; "
            "repeat it for more.",
            "--ids",
            metavar="IDS",
        ),
    ],
    index: options.IndexOption = None,
    dry_run: DryRunOption = False,
    wait: WaitOption = 0.0,
    encoding: options.EncodingOption = None,
    form: options.FormatOption = "table",
) -> None:
    """Remove cards from an index."""
    with _writing(index, wait, dry_run) as (folder, opened):
        named = [card for each in ids for card in _ids_of(each, opened, encoding)]
        difference = opened.removal(named)
        _carry_out(difference, opened, folder, form, dry_run)


def relabel(
    new_categories: Annotated[
        Path,
        typer.Argument(
            metavar="MAP",
            help="File of two columns: a category or the id of a card, and its new category; or "
            "the table of prodcat audit with its column decision filled in.",
        ),
    ],
    index: options.IndexOption = None,
    allow_new_categories: Annotated[
        bool, option("Take decisions in the table of an audit for categories of new names.")
    ] = False,
    dry_run: DryRunOption = False,
    wait: WaitOption = 0.0,
    encoding: options.EncodingOption = None,
    form: options.FormatOption = "table",
) -> None:
    """Change categories, or carry out a review.

    Rename, merge or split categories, or do what was decided in the table of an audit.
    Nothing is embedded or fitted again.
    """
    from prodcat_index.cards.lists import read_new_categories, read_review

    with _writing(index, wait, dry_run) as (folder, opened):
        rows = read_review(new_categories, encoding)
        if rows is not None:
            if not any(row["decision"] for row in rows):
                tell(
                    f"{new_categories} has no decisions: fill in its column decision with yes, "
                    "keep, remove or a category."
                )
            difference = opened.reviewing(
                new_categories, encoding=encoding, allow_new_categories=allow_new_categories
            )
        else:
            mapping = read_new_categories(new_categories, opened.catalogue, encoding)
            difference = opened.relabelling(mapping)
        _carry_out(difference, opened, folder, form, dry_run)


def refit(
    index: options.IndexArgument = None,
    index_option: options.IndexOption = None,
    tune: Annotated[
        bool | None,
        option(
            "Tune again, or keep weights and vote; by default a tuned index is tuned again "
            "where more than a fifth of its cards came since."
        ),
    ] = None,
    target: options.TargetOption = None,
    output: Annotated[
        Path | None,
        option("Folder of an index of its own, for --target.", "--output", "-o", metavar="FOLDER"),
    ] = None,
    wait: WaitOption = 0.0,
    *,
    given: Given,
) -> None:
    """Fit an index again to its cards.

    With --target, fit an index of its own to another column.
    That is the projection, the text scores, the vote and the calibration. Nothing is embedded.
    """
    if (target is None) != (output is None):
        raise WrongCallError("Give both --target and --output: the column, and its own index.")
    if target is not None and output is not None:
        from prodcat_index.index.folder import check_index_folder

        refuse(given, ("tune",), "Leave out {}: prodcat tune tunes the index of the target.")
        folder = options.choose_index(index, index_option)
        if os.path.realpath(folder) == os.path.realpath(output):
            raise WrongCallError(f"{output} is the index itself; name another folder.")
        check_index_folder(output)
        fitted = options.open_index(folder).for_target(target)
        note(fitted.catalogue.notes)
        fitted.save(output)
        values = counted(len(fitted.parts.labels.names), "values")
        say(f"Fitted {output}: {counted(len(fitted), 'cards')}, {values} of {target}.")
        return
    with _writing(options.choose_index(index, index_option), wait) as (folder, opened):
        fitted = opened.refit(tune=tune)
        note(fitted.findings)
        _save(fitted, folder, "Fitted", say)


def rollback(
    index: options.IndexArgument = None,
    index_option: options.IndexOption = None,
    wait: WaitOption = 0.0,
) -> None:
    """Undo the last change of an index.

    Undone once more, the change is back.
    """
    from prodcat_index.index.folder import parse_manifest
    from prodcat_index.index.product_index import ProductIndex

    folder = options.choose_index(index, index_option)
    with _locked(folder, wait):
        undone = parse_manifest(folder).change
        ProductIndex.rollback(folder)
    now = parse_manifest(folder)
    what = f" ({describe_change(undone)})" if undone else ""
    say(f"Undid the last change of {folder}{what}: {describe_size(now)}.")


@contextmanager
def _writing(
    index: Path | None, wait: float, dry_run: bool = False
) -> Iterator[tuple[Path, ProductIndex]]:
    """Open an index that no other process changes meanwhile, unless it is a dry run."""
    folder = options.choose_index(index)
    with nullcontext() if dry_run else _locked(folder, wait):
        yield folder, options.open_index(folder)


def _locked(folder: Path, wait: float) -> AbstractContextManager[None]:
    """Hold the lock of an index, and say so if it is waited for."""
    from prodcat_index.files import exclusive_folder
    from prodcat_index.index.folder import parse_manifest

    # Before the lock, which would make a folder where there is none.
    parse_manifest(folder)
    sentence = f"Another process is writing {folder}; waiting up to {wait:g} s until it ends."
    return exclusive_folder(folder, "index", IndexFolderError, wait, lambda: tell(sentence))


def _deliver(
    catalogue: Path,
    index: Path | None,
    delivery: Delivery,
    columns: options.Columns,
    **compared: Any,
) -> None:
    """Change an index by a delivery; one without cards changes nothing.

    An empty file means no news or a broken export, not that all cards are to be removed.
    """
    from prodcat_index.cards.catalogue import ALONE
    from prodcat_index.index.difference import Difference

    options.choose_device(delivery.device)
    with _writing(index, delivery.wait, delivery.dry_run) as (folder, opened):
        try:
            # A card that is alone with its category in the file may have others in the index.
            cards = options.read_cards(catalogue, columns, index=opened, ignored={ALONE})
        except EmptyCatalogueError as error:
            tell(f"{error} Nothing is added or removed.")
            difference = Difference(str(catalogue), unchanged=len(opened))
        else:
            difference = opened.compare(cards, **compared)
        _carry_out(
            difference,
            opened,
            folder,
            delivery.form,
            delivery.dry_run,
            max_removed=delivery.max_removed,
            allow_new_categories=delivery.allow_new_categories,
        )


def _ids_of(named: str, index: ProductIndex, encoding: str | None) -> list[str]:
    """Return the ids in a file, or those that are named with commas between them."""
    from prodcat_index.cards.lists import read_ids
    from prodcat_index.cards.readers import is_catalogue_name

    # Path.is_file raises an error where a long list of ids is no name of a file.
    is_file = os.path.isfile(named)  # noqa: PTH113
    if is_file or (is_catalogue_name(named) and named not in index.catalogue.ids):
        try:
            return read_ids(Path(named), index.catalogue, encoding)
        except EmptyCatalogueError as error:
            tell(str(error))
            return []
    return [card.strip() for card in named.split(",") if card.strip()]


def _print(difference: Difference, form: Format) -> None:
    """Print what would change: in a table by kind, as CSV and JSON lines card by card."""
    note(difference.findings)
    record = difference.as_dict()
    if form == "table":
        say(str(difference))
    elif form == "json":
        emit(record, form)
    else:
        kinds = ("added", "changed", "removed", "relabelled")
        moves, still = record["moves"], {"from": "", "to": ""}
        rows = [
            {"change": kind, "id": card, **moves.get(card, still), "cards": 1}
            for kind in kinds
            for card in record[kind]
        ]
        rows += [
            {
                **{"change": "renamed", "id": old, "from": old, "to": new},
                "cards": record["renamed_cards"][old],
            }
            for old, new in record["renamed"].items()
        ]
        emit(rows, form)


def _carry_out(
    difference: Difference,
    opened: ProductIndex,
    folder: Path,
    form: Format,
    dry_run: bool,
    **limits: Any,
) -> None:
    """Print what would change, check it, and change an index unless it is a dry run."""
    from prodcat_index.index.delivery import NEW_CATEGORIES

    _print(difference, form)
    if difference and limits:
        difference.check(**limits)
    done = say if form == "table" else tell
    if dry_run or not difference:
        done(f"{'Dry run: ' if dry_run else ''}{folder} stays as it is.")
    else:
        changed = opened.apply(difference)
        new = [finding for finding in changed.findings if finding not in difference.findings]
        note(new)
        _save(changed, folder, "Changed", done, any(each.what == NEW_CATEGORIES for each in new))
        if difference.verb == "review" and difference.counts.keys() - {"decided"}:
            note(
                [f"Next: prodcat refit {shlex.quote(str(folder))} fits it to the corrected cards."]
            )


def _save(
    index: ProductIndex, folder: Path, verb: str, done: Callable[[str], None], has_new: bool = False
) -> None:
    """Write an index, and print what was done and when to fit or build it again."""
    from prodcat_index.index.folder import parse_manifest
    from prodcat_index.index.folder_card import rebuild_reason

    index.save_next(folder)
    manifest = parse_manifest(folder)
    done(f"{verb} {folder}: {describe_size(manifest)}.")
    if reason := rebuild_reason(manifest):
        note([reason])
    elif has_new and index.parts.learned:
        note(["Nothing is fitted to the new categories yet; prodcat refit learns them."])
