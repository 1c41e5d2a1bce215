"""``POST /search``: the cards nearest to a card, a text, a picture, or several of these."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import numpy as np
from fastapi import APIRouter, Query, Request, Response

from prodcat_index.cards.card import Card
from prodcat_index.index.fusion import effective_weights, parse_weights
from prodcat_index.service import schemas
from prodcat_index.service.card_routes import to_json
from prodcat_index.service.listing_bodies import BODY, JSON, completed, has_content, read_listing
from prodcat_index.service.predict_routes import check_pictures, with_address
from prodcat_index.service.shared import Shared
from prodcat_index.types import DIGITS, BoolArray
from prodcat_index.voting.prediction import Neighbour

router = APIRouter(tags=["Look up"])


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
    return Response(content, media_type=JSON)
