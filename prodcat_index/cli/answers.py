"""Printing and drawing what the index answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from prodcat_index.cli.output import Format, emit

if TYPE_CHECKING:
    from prodcat_index.cards.card import Card
    from prodcat_index.voting.prediction import Explanation, Neighbour, Prediction

SHEET_ROWS = 12
SHEET_NEIGHBOURS = 6


def emit_neighbours(neighbours: Sequence[Neighbour], form: Format) -> None:
    """Print neighbours, nearest first."""
    emit([neighbour.as_dict() for neighbour in neighbours], form)


def emit_predictions(predictions: Sequence[Prediction], form: Format, explain: bool) -> None:
    """Print predictions; as tables, an explained one comes with a table of its neighbours."""
    if form in (Format.json, Format.jsonl):
        emit([prediction.as_dict() for prediction in predictions], form)
    elif form is Format.csv or not explain:
        emit([prediction.as_row() for prediction in predictions], form)
    else:
        for prediction in predictions:
            typer.echo(_explained(prediction))
            emit_neighbours(prediction.neighbours, form)


def _explained(prediction: Prediction) -> str:
    why = prediction.explanation
    if why is None or not prediction.category:
        return f"{prediction.id}: nothing to go by, so no category"
    without = "; ".join(
        f"without {modality}: {f'{name} ({share:.0%})' if name else 'no answer'}"
        for modality, (name, share) in why.without.items()
    )
    return (
        f"{prediction.id}: {prediction.category} ({prediction.share:.0%} of the vote, "
        f"confidence {prediction.confidence:.0%}{_decision(prediction)}), "
        f"decided by {why.decided_by} ({without}{_head(why)})"
    )


def _head(why: Explanation) -> str:
    if why.head is None or why.share_without_head is None:
        return ""
    return (
        f"; without the linear head: {why.share_without_head:.0%}; the head alone: {why.head:.0%}"
    )


def _decision(prediction: Prediction) -> str:
    decided = f", {prediction.decision}" if prediction.decision else ""
    return decided + (f", surely {prediction.backed_off}" if prediction.backed_off else "")


def sheet(
    path: Path | None,
    cards: Sequence[Card],
    neighbours: Sequence[Sequence[Neighbour]],
    predictions: Sequence[Prediction] = (),
    truths: Mapping[str, str] | None = None,
) -> None:
    """Draw the first queries and their neighbours, if a picture file is asked for."""
    if path is None:
        return
    from prodcat_index.reports.sheet import SheetRow, draw_sheet

    rows = [
        SheetRow(
            title=card.title,
            image=card.image,
            neighbours=neighbours[i][:SHEET_NEIGHBOURS],
            prediction=predictions[i] if predictions else None,
            truth=(truths or {}).get(card.id),
        )
        for i, card in enumerate(cards[:SHEET_ROWS])
    ]
    typer.echo(f"Drew {draw_sheet(rows, path)}", err=True)
