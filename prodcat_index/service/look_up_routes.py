"""``POST /predict`` and ``/search``: the categories of listings, and the cards nearest to them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import zip_longest
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Query, Request, Response

from prodcat_index.cards.card import Card
from prodcat_index.errors import QueryError
from prodcat_index.index.encoded_listings import EncodedListings
from prodcat_index.index.fusion import effective_weights, parse_weights
from prodcat_index.service import schemas
from prodcat_index.service.card_routes import picture_address
from prodcat_index.service.listing_bodies import (
    BODY,
    BODY_OR_LINES,
    LINES,
    completed,
    has_content,
    media_type,
    read_listing,
    read_listings,
)
from prodcat_index.service.problem_details import Problem
from prodcat_index.service.shared import Shared, as_json, to_json
from prodcat_index.types import CATEGORY_SEPARATOR, DIGITS, BoolArray, chunks, rounded
from prodcat_index.voting.prediction import Neighbour, Predictions

router = APIRouter(tags=["Look up"])
# Ranked categories of an answer, and listings of a request that are answered at a time: others
# are answered in between.
MOST_RANKED, MOST_AT_ONCE = 20, 32


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

    def answer(batch: list[list[Card]]) -> list[list[bytes]]:
        encoded = version.encode([card for cards in batch for card in cards])
        check_pictures(encoded)
        predicted = iter(version.index.predict_each(encoded, **options))
        return [[describe(next(predicted), version.number) for _ in cards] for cards in batch]

    limits = service.settings.limits
    lines: list[bytes] = []
    async with read_listings(request, version.index.parts.catalogue, limits) as listings:
        cards = [completed(version.index, listing.card) for listing in listings]
        for listing, card in zip(listings, cards, strict=True):
            if listing.at and not has_content(card):
                raise Problem(422, f"On {listing.at}, the listing has no text to compare.")
        kind = ("predict", version, parameters)
        for part in chunks(len(cards), MOST_AT_ONCE):
            lines += await service.batcher.ask(kind, cards[part], answer)
    if media_type(request.headers) == LINES:
        return Response(b"".join(line + b"\n" for line in lines), media_type=LINES)
    return as_json(lines[0])


@router.post("/search", response_model=schemas.Found, openapi_extra={"requestBody": BODY})
async def search(
    request: Request, parameters: Annotated[schemas.SearchParameters, Query()], service: Shared
) -> Response:
    """Find the cards nearest to a listing.

    An `id` alone is a card of the index, which is left out of its neighbours. With texts or a
    picture, these take the place of the card's own.
    """
    version = service.current.now
    index = version.index
    own = index.parts.weights if parameters.by == "vote" else index.parts.search_weights
    weights = own if parameters.weights is None else parse_weights(parameters.weights)
    vector = index.parts.weight_vector(weights)

    def notes() -> Sequence[str]:
        return () if parameters.where is None else index.matches(parameters.where).notes

    def describe(found: Sequence[Neighbour], present: BoolArray, notes: Sequence[str]) -> bytes:
        pairs = zip(index.parts.block_names, effective_weights(vector, present)[0], strict=True)
        record = {
            "neighbours": [with_address(neighbour.as_dict()) for neighbour in found],
            "weights": {name: round(float(weight), DIGITS) for name, weight in pairs if weight},
            "notes": notes,
            "version": version.number,
        }
        return to_json(record)

    def similar() -> bytes:
        found = index.similar(card.id, parameters.k, weights=weights, where=parameters.where)
        row = index.parts.row_of[card.id]
        present = np.array([[block.present[row] for block in index.parts.all_blocks]])
        return describe(found, present, notes())

    def answer(batch: list[Card]) -> list[bytes]:
        encoded = version.encode(batch)
        check_pictures(encoded)
        found = index.search_each(encoded, parameters.k, weights=weights, where=parameters.where)
        # To ask a filter of all cards may take longer than to search: not for each query.
        said = notes()
        return [
            describe(own, each.queries.present, said)
            for own, each in zip(found, encoded, strict=True)
        ]

    async with read_listing(request, index.parts.catalogue, service.settings.limits) as listing:
        card = listing.card
        if card.id and not has_content(card):
            content = await service.batcher.run(similar)
        else:
            kind = ("search", version, parameters)
            content = await service.batcher.ask(kind, completed(index, card), answer)
    return as_json(content)


def check_pictures(encoded: Iterable[EncodedListings]) -> None:
    """Raise QueryError if the picture of a listing turned out to be unusable."""
    for each in encoded:
        for reason in each.queries.problems:
            raise QueryError(f"The picture cannot be used: {reason}.")


def describe(predictions: Predictions, version: int) -> bytes:
    """Return the only one of some predictions with what a page shows of it, as JSON."""
    prediction = predictions[0]
    shares = [
        {"category": name, "share": share, "probability": probability}
        if probability is not None
        else {"category": name, "share": share}
        for (name, share), probability in zip_longest(prediction.ranked, prediction.probabilities)
    ]
    more = {"ranked": shares[:MOST_RANKED], "tree": category_levels(prediction.category, shares)}
    neighbours = [neighbour.as_dict() for neighbour in prediction.neighbours]
    record = {
        **prediction.as_dict(),
        **rounded(more),
        "neighbours": [with_address(record) for record in neighbours],
        "notes": predictions.notes,
        "version": version,
    }
    return to_json(record)


def with_address(neighbour: dict[str, Any]) -> dict[str, Any]:
    """Return a neighbour with the address of its picture in place of the file."""
    neighbour["image"] = picture_address(neighbour["id"]) if neighbour["image"] else ""
    return neighbour


def category_levels(category: str, ranked: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Add up the shares below each prefix of a category, and below those beside it."""
    names = category.split(CATEGORY_SEPARATOR) if category else []
    paths = [(each["category"].split(CATEGORY_SEPARATOR), each) for each in ranked]
    levels = []
    for depth in range(len(names)):
        beside: dict[str, dict[str, Any]] = {}
        for parts, each in paths:
            if parts[:depth] == names[:depth] and len(parts) > depth:
                prefix = CATEGORY_SEPARATOR.join(parts[: depth + 1])
                level = beside.setdefault(prefix, {"category": prefix})
                for name in ("share", "probability"):
                    if name in each:
                        level[name] = level.get(name, 0.0) + each[name]
        own = beside.pop(CATEGORY_SEPARATOR.join(names[: depth + 1]))
        siblings = sorted(beside.values(), key=lambda level: -level["share"])
        levels.append(own | {"siblings": siblings})
    return levels
