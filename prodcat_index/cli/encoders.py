"""``prodcat encoders``."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from prodcat_index.cli import options
from prodcat_index.cli.output import Format, emit

if TYPE_CHECKING:
    from prodcat_index.encoders.registry import EncoderFacts


def encoders(
    specs: Annotated[
        list[str] | None,
        typer.Argument(metavar="[SPEC]...", help="Time these, and show them alone."),
    ] = None,
    measure: Annotated[
        bool, typer.Option("--measure", help="Time those that are here, on made-up cards.")
    ] = False,
    device: options.DeviceOption = None,
    form: options.FormatOption = Format.table,
) -> None:
    """List the presets and the encoders that are here, or can be fetched."""
    from prodcat_index.encoders.registry import list_encoders

    options.choose_device(device)
    if specs:
        emit([_measured(spec) for spec in specs], form)
        return
    listed = list_encoders()
    emit([_record(facts, measure=measure) for facts in listed], form)


def _record(facts: EncoderFacts, *, measure: bool) -> dict[str, Any]:
    record = {key: "" if value is None else value for key, value in asdict(facts).items()}
    if measure:
        record |= _measured(facts.encoder) if facts.is_here else {"cards_per_second": ""}
    return record


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
