"""``POST /predict``: the categories of listings."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse

from prodcat_index.index.fusion import parse_weights
from prodcat_index.service import schemas
from prodcat_index.service.card_routes import picture_address
from prodcat_index.service.listing_bodies import (
    BODY_OR_LINES,
    LINES,
    completed,
    media_type,
    read_listings,
)
from prodcat_index.service.shared import Shared
from prodcat_index.types import CATEGORY_SEPARATOR, rounded
from prodcat_index.voting.prediction import Prediction

router = APIRouter(tags=["Look up"])
# Ranked categories of an answer.
MOST_RANKED = 20


@router.post(
    "/predict",
    response_model=schemas.Prediction,
    response_model_exclude_none=True,
    openapi_extra={"requestBody": BODY_OR_LINES},
)
async def predict(
    request: Request, parameters: Annotated[schemas.PredictParameters, Query()], service: Shared
) -> Response:
    """Predict the category of a listing, or of each of many, one JSON object a line.

    An `id` alone is a card of the index, which is answered as a new one. With texts or a picture,
    these take the place of the card's own, if there is such a card.
    """
    version = service.current.now
    options = parameters.model_dump(exclude_none=True)
    if parameters.weights is not None:
        options["weights"] = parse_weights(parameters.weights)
    limits = service.settings.limits
    async with read_listings(request, version.index.parts.catalogue, limits) as listings:
        cards = [completed(version.index, listing.card) for listing in listings]

        def answer() -> list[dict[str, Any]]:
            each = [version.index.predict([card], **options) for card in cards]
            return [describe(own[0], version.number, own.notes) for own in each]

        records = await service.batcher.run(answer)
    if media_type(request) == LINES:
        lines = "".join(f"{json.dumps(record, ensure_ascii=False)}\n" for record in records)
        return Response(lines, media_type=LINES)
    return JSONResponse(records[0])


def describe(prediction: Prediction, version: int, notes: Iterable[str] = ()) -> dict[str, Any]:
    """Return a prediction with what a page shows of it, for JSON."""
    ranked = dict(prediction.ranked)
    shown = [{"category": name, "share": share} for name, share in prediction.ranked[:MOST_RANKED]]
    more: dict[str, Any] = {"ranked": shown, "tree": _levels(prediction.category, ranked)}
    neighbours = [neighbour.as_dict() for neighbour in prediction.neighbours]
    return {
        **prediction.as_dict(),
        **rounded(more),
        "neighbours": [with_address(record) for record in neighbours],
        "notes": list(notes),
        "version": version,
    }


def with_address(neighbour: dict[str, Any]) -> dict[str, Any]:
    """Return a neighbour with the address of its picture in place of the file."""
    neighbour["image"] = picture_address(neighbour["id"]) if neighbour["image"] else ""
    return neighbour


def _levels(category: str, ranked: Mapping[str, float]) -> list[dict[str, Any]]:
    """Add up the shares below each prefix of a category, and below those beside it."""
    names = category.split(CATEGORY_SEPARATOR) if category else []
    levels = []
    for depth in range(len(names)):
        shares: dict[str, float] = {}
        for other, share in ranked.items():
            parts = other.split(CATEGORY_SEPARATOR)
            if parts[:depth] == names[:depth] and len(parts) > depth:
                prefix = CATEGORY_SEPARATOR.join(parts[: depth + 1])
                shares[prefix] = shares.get(prefix, 0.0) + share
        own = CATEGORY_SEPARATOR.join(names[: depth + 1])
        others = sorted(shares.items(), key=lambda pair: -pair[1])
        siblings = [{"category": n, "share": share} for n, share in others if n != own]
        levels.append({"category": own, "share": shares[own], "siblings": siblings})
    return levels
