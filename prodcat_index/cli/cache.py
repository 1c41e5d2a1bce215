"""``prodcat cache``."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

from prodcat_index.cli import options
from prodcat_index.cli.output import Format, emit
from prodcat_index.errors import EncoderError

if TYPE_CHECKING:
    from prodcat_index.encoders.cache import CacheSummary, EmbeddingCache

SHOWN_FINGERPRINT = 12

app = typer.Typer(help="Look at the embeddings that are kept on disk, or remove them.")


@app.command("info")
def info(form: options.FormatOption = Format.table) -> None:
    """Say where the cache is, how large it is, and what it holds of each encoder."""
    summary = _cache().summary()
    encoders = [asdict(encoder) for encoder in summary.encoders]
    if form in (Format.json, Format.jsonl):
        emit([{**_totals(summary), "encoders": encoders}], form)
        return
    if form is Format.table:
        for encoder in encoders:
            encoder["fingerprint"] = encoder["fingerprint"][:SHOWN_FINGERPRINT]
        typer.echo(
            f"{summary.path}: {summary.entries} embeddings in {_in_words(summary.bytes)} "
            f"of at most {_in_words(summary.limit)}"
        )
    if encoders or form is Format.csv:
        emit(encoders, form)


@app.command("clear")
def clear() -> None:
    """Remove every embedding that is kept on disk."""
    cache = _cache()
    typer.echo(f"Removed {cache.clear()} embeddings from {cache.path}.")


def _cache() -> EmbeddingCache:
    from prodcat_index.encoders.cache import CACHE_VARIABLE, OFF, default_cache

    cache = default_cache()
    if cache is None:
        raise EncoderError(
            f"There is no cache of embeddings, because {CACHE_VARIABLE}={OFF}; "
            "unset it, or set it to a folder."
        )
    return cache


def _totals(summary: CacheSummary) -> dict[str, str | int]:
    return {
        "path": str(summary.path),
        "entries": summary.entries,
        "bytes": summary.bytes,
        "limit": summary.limit,
    }


def _in_words(size: float) -> str:
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.4g} {unit}"
        size /= 1024
    return f"{size:.4g} TiB"
