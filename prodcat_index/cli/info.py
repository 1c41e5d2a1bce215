"""Commands that show what there is: ``info`` of an index, ``encoders`` and ``cache``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from prodcat_index.cli import options
from prodcat_index.cli.calls import Given, as_command, refuse
from prodcat_index.cli.output import Format, emit, note, print_markdown, say
from prodcat_index.cli.values import check_specs, option
from prodcat_index.errors import EncoderError, IndexFolderError
from prodcat_index.findings import counted

if TYPE_CHECKING:
    from prodcat_index.encoders.cache import EmbeddingCache
    from prodcat_index.index.manifest import JournalEntry, Manifest

# Changes that are shown without --log.
LAST_CHANGES = 5
# Enough of a fingerprint to tell encoders apart in a table.
SHOWN_FINGERPRINT = 12


def info(
    index: options.IndexArgument = None,
    index_option: options.IndexOption = None,
    form: options.FormatOption = "table",
    verify: Annotated[bool, option("Check every file, its digest and its content.")] = True,
    explain: Annotated[bool, option("Show how cards are searched for, and why so.")] = False,
    log: Annotated[
        bool, option("List all changes of the index instead, the oldest first.")
    ] = False,
    image_root: Annotated[
        Path | None,
        option("Store that the pictures of the index are in this folder.", metavar="FOLDER"),
    ] = None,
    *,
    given: Given,
) -> None:
    """Describe an index and check its files.

    With --image-root, an index whose pictures have moved finds them again.
    """
    from prodcat_index.index.folder import read_journal, read_manifest
    from prodcat_index.index.folder_card import explain_search, index_card, rebuild_reason
    from prodcat_index.index.integrity import verify_index
    from prodcat_index.index.manifest import manifest_to_json

    folder = options.choose_index(index, index_option)
    if log:
        refuse(
            given,
            ("verify", "explain", "image_root"),
            "Leave out {}: --log lists the changes alone.",
        )
        emit(_changes(read_journal(folder), form), form)
        return
    if image_root is not None:
        if not image_root.is_dir():
            raise IndexFolderError(f"There is no picture folder {image_root}.")
        options.open_index(folder, image_root).save_image_root(folder)
    manifest = verify_index(folder) if verify else read_manifest(folder, verify=False)
    if manifest.image_root and not Path(manifest.image_root).is_dir():
        note([f"its pictures are not in {manifest.image_root}; give their folder as --image-root"])
    if form == "table":
        if explain:
            print_markdown(explain_search(manifest))
            return
        print_markdown(index_card(manifest))
        if changes := read_journal(folder)[-LAST_CHANGES:]:
            say("The last changes:\n")
            emit(_changes(changes, form), form)
    else:
        fields = json.loads(manifest_to_json(manifest))
        words = {"advice": rebuild_reason(manifest)}
        emit(fields | words | ({"explanation": explain_search(manifest)} if explain else {}), form)


def _changes(entries: Sequence[JournalEntry], form: Format) -> list[dict[str, Any]]:
    """Return changes as records; in a table, each in words."""
    if form != "table":
        return [asdict(entry) for entry in entries]
    return [
        {"version": e.version, "when": e.when, "change": describe_change(e), "prodcat": e.package}
        for e in entries
    ]


def describe_size(manifest: Manifest) -> str:
    """Return the size of an index in words."""
    return f"{counted(manifest.cards, 'cards')} in {counted(manifest.categories, 'categories')}"


def describe_change(entry: JournalEntry) -> str:
    """Return a change in words, such as ``add: 5 added``."""
    if entry.verb == "rollback":
        return f"rollback to version {entry.counts.get('version', '?')}"
    counts = ", ".join(f"{number:,} {what}" for what, number in entry.counts.items() if number)
    return f"{entry.verb}: {counts}" if counts else entry.verb


def encoders(
    specs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SPEC", callback=check_specs, help="Encoders to time and to show alone."
        ),
    ] = None,
    measure: Annotated[bool, option("Time the installed encoders on made-up cards.")] = False,
    device: options.DeviceOption = None,
    form: options.FormatOption = "table",
    *,
    given: Given,
) -> None:
    """List the encoders and presets.

    The state of an encoder is installed, cached, to install or to download.
    """
    from prodcat_index.encoders.registry import list_encoders

    if not (specs or measure):
        refuse(
            given, ["device"], "{} is where encoders are timed; give --measure, or name encoders."
        )
    options.choose_device(device)
    if specs:
        emit([_measured(spec) for spec in specs], form)
        return
    records = []
    for facts in list_encoders():
        record = {key: "" if value is None else value for key, value in asdict(facts).items()}
        if measure:
            record |= _measured(facts.encoder) if facts.is_here else {"cards_per_second": ""}
        records.append(record)
    emit(records, form)


def _measured(spec: str) -> dict[str, Any]:
    from prodcat_index.encoders.registry import measure

    encoder, rate = measure(spec)
    return {
        "encoder": encoder.spec,
        "reads": encoder.reads,
        "dim": encoder.dim,
        "parameters": getattr(encoder, "parameters", ""),
        "cards_per_second": round(rate, 1),
    }


cache = typer.Typer(help="Show or clear the cache of embeddings.")


@cache.command("info")
@as_command
def cache_info(form: options.FormatOption = "table") -> None:
    """Show the place and content of the cache."""
    summary = _open_cache().summary()
    encoders = [asdict(encoder) for encoder in summary.encoders]
    if form in ("json", "jsonl"):
        totals = {name: getattr(summary, name) for name in ("entries", "bytes", "limit")}
        emit([{"path": str(summary.path), **totals, "encoders": encoders}], form)
    elif form == "csv":
        emit(encoders, form)
    else:
        say(
            f"{summary.path}: {summary.entries:,} embeddings in {_readable(summary.bytes)} "
            f"of at most {_readable(summary.limit)}"
        )
        short = [{**e, "fingerprint": e["fingerprint"][:SHOWN_FINGERPRINT]} for e in encoders]
        if short:
            emit(short, form)


@cache.command("clear")
@as_command
def cache_clear() -> None:
    """Remove all embeddings from the cache."""
    opened = _open_cache()
    say(f"Removed {opened.clear():,} embeddings from {opened.path}.")


def _open_cache() -> EmbeddingCache:
    from prodcat_index.encoders.cache import CACHE_VARIABLE, OFF, default_cache

    cache = default_cache()
    if cache is None:
        raise EncoderError(
            f"There is no cache of embeddings, because {CACHE_VARIABLE}={OFF}; "
            "unset it, or set it to a folder."
        )
    return cache


def _readable(size: float) -> str:
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.4g} {unit}"
        size /= 1024
    return f"{size:.4g} TiB"
