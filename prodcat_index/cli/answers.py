"""Printing and drawing answers: neighbours and predictions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prodcat_index.cli.output import Format, emit, say, tell, wrap

if TYPE_CHECKING:
    from prodcat_index.cards.card import Card
    from prodcat_index.voting.prediction import Neighbour, Prediction

# Columns of the tables of answers; other formats have more, and so has an explained answer.
NEIGHBOUR_COLUMNS = ("rank", "id", "similarity", "category", "title")
PREDICTION_COLUMNS = (
    *("id", "category", "confidence", "decision", "backed_off", "category_set", "note"),
)
# Queries on the pages of a sheet; a file may have thousands.
SHEET_ROWS = 24


def emit_neighbours(neighbours: Sequence[Neighbour], form: Format, explain: bool = False) -> None:
    """Print neighbours, nearest first."""
    records = [neighbour.as_dict() for neighbour in neighbours]
    if form == "table":
        records = [{"rank": rank, **record} for rank, record in enumerate(records, start=1)]
    emit(records, form, NEIGHBOUR_COLUMNS, rest=explain)


def predictions_as_records(predictions: Sequence[Prediction], form: Format) -> list[dict[str, Any]]:
    """Return predictions as records: nested for JSON, flat rows otherwise."""
    nested = form in ("json", "jsonl")
    return [each.as_dict() if nested else each.as_row() for each in predictions]


def emit_predictions(predictions: Sequence[Prediction], form: Format, explain: bool) -> None:
    """Print predictions; as tables, each explained one comes with a table of its neighbours."""
    if form == "table" and explain:
        for prediction in predictions:
            say(wrap(_explained(prediction)))
            emit_neighbours(prediction.neighbours, form, explain)
    else:
        emit(predictions_as_records(predictions, form), form, PREDICTION_COLUMNS, rest=False)


def _explained(prediction: Prediction) -> str:
    why = prediction.explanation
    if why is None or not prediction.category:
        return f"{prediction.id}: no category, because nothing of the listing can be compared"
    parts = [f"{prediction.share:.0%} of the vote", f"confidence {prediction.confidence:.0%}"]
    if prediction.decision:
        parts.append(prediction.decision)
    if prediction.backed_off:
        parts.append(f"sure up to {prediction.backed_off}")
    reasons = [
        f"without {modality}: {f'{name} ({share:.0%})' if name else 'no answer'}"
        for modality, (name, share) in why.without.items()
    ]
    if why.head is not None and why.share_without_head is not None:
        reasons.append(f"without the linear head: {why.share_without_head:.0%}")
        reasons.append(f"the head alone: {why.head:.0%}")
    if why.words and not prediction.note:
        reasons.append(f"because of: {', '.join(word for word, _ in why.words)}")
    known = prediction.familiarity
    evidence = f"; {prediction.note or known.describe()}" if known else ""
    return (
        f"{prediction.id}: {prediction.category} ({', '.join(parts)}), "
        f"decided by {why.decided_by} ({'; '.join(reasons)}){evidence}"
    )


def draw_answers(
    path: Path | None,
    cards: Sequence[Card],
    neighbours: Sequence[Sequence[Neighbour]],
    predictions: Sequence[Prediction] = (),
    truths: Mapping[str, str] | None = None,
    queries: int = 1,
) -> None:
    """Draw the first of so many queries and their neighbours into files, if one is named."""
    if path is None:
        return
    from prodcat_index.reports.sheet import SheetRow, draw_sheet

    rows = [
        SheetRow(
            title=card.title,
            image=card.image,
            neighbours=neighbours[i],
            prediction=predictions[i] if predictions else None,
            truth=(truths or {}).get(card.id),
            id=card.id,
        )
        for i, card in enumerate(cards[:SHEET_ROWS])
    ]
    first, *others = draw_sheet(rows, path)
    pages = f" to {others[-1].name}" if others else ""
    left_out = f": the first {len(rows)} of {queries:,} listings" if queries > len(rows) else ""
    tell(f"Drew {first}{pages}{left_out}")
