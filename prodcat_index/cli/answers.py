"""Printing and drawing answers: neighbours and predictions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from prodcat_index.cli.output import INDENT, Format, emit, say, tell, wrap

if TYPE_CHECKING:
    from prodcat_index.cards.card import Card
    from prodcat_index.voting.prediction import Neighbour, Prediction, Predictions

# Columns of the tables of answers; other formats have more, and so has an explained answer.
NEIGHBOUR_COLUMNS = ("rank", "id", "similarity", "category", "title")
# Neighbours of an explained answer that a table shows: the nearest ones, which count most.
EXPLAINED = 5
PREDICTION_COLUMNS = (
    *("id", "category", "confidence", "decision", "backed_off", "category_set", "note"),
)
# Queries on the pages of a sheet; a file may have thousands.
SHEET_ROWS = 24


def emit_neighbours(neighbours: Sequence[Neighbour], form: Format, explain: bool = False) -> None:
    """Print neighbours, nearest first; in a table, an explained one takes a few lines."""
    if form == "table" and explain:
        say("\n\n".join(_explained_neighbour(*pair) for pair in enumerate(neighbours, start=1)))
        return
    records = [neighbour.as_dict() for neighbour in neighbours]
    if form == "table":
        records = [{"rank": rank, **record} for rank, record in enumerate(records, start=1)]
    emit(records, form, NEIGHBOUR_COLUMNS, rest=False)


def _explained_neighbour(rank: int, neighbour: Neighbour) -> str:
    vote = neighbour.vote_share
    share = "" if vote is None else f", {vote:.1%} of the vote"
    lines = [
        f"similarity {neighbour.similarity:.3f}{share}",
        neighbour.category or "no category",
        neighbour.title,
        _named("sum of", neighbour.contributions),
        _named("cosines:", neighbour.by_block),
    ]
    shown = [wrap(line, INDENT) for line in lines if line]
    return "\n".join([f"{rank}. {neighbour.id}: {shown[0].strip()}", *shown[1:]])


def _named(what: str, values: Mapping[str, float]) -> str:
    named = ", ".join(f"{name} {value:.3f}" for name, value in values.items())
    return f"{what} {named}" if named else ""


def predictions_as_records(
    predictions: Predictions, form: Format | Literal["xlsx"]
) -> list[dict[str, Any]]:
    """Return predictions as records: nested for JSON, flat rows otherwise."""
    return predictions.to_records() if form in ("json", "jsonl") else predictions.to_rows()


def emit_predictions(predictions: Predictions, form: Format, explain: bool) -> None:
    """Print predictions; as tables, each explained one comes with its nearest neighbours."""
    if form == "table" and explain:
        for prediction in predictions:
            say(f"{wrap(_explained(prediction))}\n")
            emit_neighbours(prediction.neighbours[:EXPLAINED], form, explain)
            say("")
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
