"""``POST /search``: the cards nearest to a card, a text, a picture, or several of these."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse

from prodcat_index.index.fusion import parse_weights
from prodcat_index.service import schemas
from prodcat_index.service.listing_bodies import BODY, completed, has_content, read_listing
from prodcat_index.service.predict_routes import with_address
from prodcat_index.service.shared import Shared
from prodcat_index.types import rounded

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
    options: dict[str, Any] = {"weights": weights, "where": parameters.where}
    async with read_listing(request, index.parts.catalogue, service.settings.limits) as listing:
        card = listing.card

        def answer() -> dict[str, Any]:
            if card.id and not has_content(card):
                found = index.similar(card.id, parameters.k, **options)
            else:
                found = index.search(completed(index, card), parameters.k, **options)
            notes = () if parameters.where is None else index.matches(parameters.where).notes
            return {
                "neighbours": [with_address(neighbour.as_dict()) for neighbour in found],
                "weights": rounded({name: weight for name, weight in weights.items() if weight}),
                "notes": list(notes),
                "version": version.number,
            }

        return JSONResponse(await service.batcher.run(answer))
