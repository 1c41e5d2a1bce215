"""Cards, their pictures, and the categories that they are in."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import numpy as np
from anyio import to_thread
from fastapi import APIRouter, Query, Request, Response

from prodcat_index.cards.card import DIGEST, IMAGE
from prodcat_index.errors import PictureError
from prodcat_index.index.product_index import ProductIndex
from prodcat_index.service import schemas
from prodcat_index.service.current_index import Version
from prodcat_index.service.problem_details import Problem
from prodcat_index.service.shared import SIDES, Shared, as_json, to_json
from prodcat_index.types import CATEGORY_SEPARATOR, Int64Array

router = APIRouter(tags=["Browse"])
MOST_CARDS = 200
# Categories that a look-up by a part of their name returns.
MOST_FOUND = 50


def picture_address(card_id: str) -> str:
    """Return the relative address of a card's picture."""
    return f"cards/{quote(card_id, safe='')}/image"


def find_row(index: ProductIndex, card_id: str) -> int:
    """Return the row of a card, or answer that there is none."""
    row = index.parts.row_of.get(card_id)
    if row is None:
        raise Problem(404, f"There is no card {card_id!r} in this index.")
    return row


def describe_cards(index: ProductIndex, rows: Int64Array) -> list[dict[str, Any]]:
    """Return some cards with all their columns, for JSON."""
    catalogue = index.parts.catalogue
    names = [name for name in catalogue.pieces.names if name != DIGEST]
    columns = [map(_plain, catalogue.pieces.read(name, rows)) for name in names]
    cards = [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]
    for card in cards:
        card[IMAGE] = picture_address(card["id"]) if card[IMAGE] else ""
    return cards


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or value != value:
        return None
    return value if isinstance(value, (str, int, float, bool)) else str(value)


@router.get("/index", response_model=schemas.IndexDescription)
async def describe_index(request: Request, service: Shared) -> Response:
    """Describe the index: what it holds, its default weights, and what the caller may do."""
    version, settings = service.current.now, service.settings
    parts = version.index.parts
    kinds = {block.modality: block.kind for block in parts.encoder_blocks}
    modalities = [
        {
            "name": name,
            "kind": kind,
            "blocks": [b.name for b in parts.encoder_blocks if b.modality == name],
        }
        for name, kind in kinds.items()
    ]
    return as_json(
        {
            "name": service.current.folder.name,
            "version": version.number,
            "cards": len(version.index),
            "labelled": int(parts.labels.labelled.sum()),
            "categories": len(parts.labels.names),
            "modalities": modalities,
            "weights": {
                "vote": {name: parts.weights[name] for name in parts.block_names},
                "search": dict(parts.search_weights),
            },
            "vote": vars(parts.vote),
            "calibrated": parts.calibration is not None,
            "columns": parts.catalogue.further_columns,
            "has_pictures": bool(parts.catalogue.has(IMAGE).any()),
            "writable": settings.writable,
            "needs_token": bool(settings.tokens),
            "owner": getattr(request.state, "caller", ""),
        }
    )


@router.get("/cards", response_model=schemas.Cards)
async def list_cards(
    service: Shared,
    category: Annotated[
        schemas.Text | None,
        Query(description="A category, or a prefix of some; empty: no category"),
    ] = None,
    where: Annotated[schemas.Text | None, schemas.WHERE] = None,
    limit: Annotated[int, Query(ge=1, le=MOST_CARDS)] = 20,
    offset: Annotated[int, Query(ge=0, le=2**31)] = 0,
) -> Response:
    """List cards, those of a category or a filter, in the order of the catalogue."""
    version = service.current.now
    index, parts = version.index, version.index.parts

    def answer() -> dict[str, Any]:
        matched = None if where is None else index.matches(where)
        mask = np.ones(len(index), dtype=bool) if matched is None else matched.mask
        if category is not None:
            below = f"{category}{CATEGORY_SEPARATOR}"
            wanted = [
                code
                for code, name in enumerate(parts.labels.names)
                if name == category or name.startswith(below)
            ]
            if not wanted and category:
                raise Problem(404, f"There is no category {category!r} in this index.")
            mask = mask & np.isin(parts.labels.codes, wanted or [-1])
        rows = np.flatnonzero(mask)
        return {
            "cards": describe_cards(index, rows[offset : offset + limit]),
            "total": len(rows),
            "notes": list(matched.notes if matched else ()),
            "version": version.number,
        }

    return as_json(await service.batcher.run(answer))


@router.get("/cards/{card_id:path}/image", response_class=Response)
async def card_image(
    card_id: str,
    request: Request,
    service: Shared,
    size: Annotated[int, Query(ge=1, le=SIDES[-1], description="Longer side in pixels")] = 256,
) -> Response:
    """Return the picture of a card, scaled down: its longer side is the next of some lengths."""
    parts, whole = service.current.index.parts, f"{card_id}/image"
    # An id may end like this address: its own slash is encoded, or there is no other card.
    is_id = not request.scope["raw_path"].endswith(b"/image") or card_id not in parts.row_of
    if is_id and whole in parts.row_of:
        return await get_card(whole, service)
    row = find_row(service.current.index, card_id)
    path = parts.catalogue.values_at(IMAGE, np.array([row]))[0]
    if not path:
        raise Problem(404, f"The card {card_id!r} has no picture.")
    try:
        etag, content = await to_thread.run_sync(
            service.thumbnails.get, Path(path), size, request.headers.get("if-none-match", "")
        )
    except PictureError as error:
        raise Problem(
            404, f"The picture of the card {card_id!r} cannot be shown: {error}."
        ) from None
    headers = {"etag": etag, "cache-control": "private, max-age=60"}
    if content is None:
        return Response(status_code=304, headers=headers)
    return Response(content, media_type="image/jpeg", headers=headers)


@router.get("/cards/{card_id:path}", response_model=schemas.Card)
async def get_card(card_id: str, service: Shared) -> Response:
    """Return a card of the index with all its columns."""
    index = service.current.index
    card = describe_cards(index, np.array([find_row(index, card_id)]))[0]
    return as_json(card)


@router.get("/categories", response_model=list[schemas.Category] | list[schemas.FlatCategory])
async def list_categories(
    service: Shared,
    flat: Annotated[bool, Query(description="A list of categories instead of the tree")] = False,
    q: Annotated[str, Query(max_length=200, description="Part of the name, or the key")] = "",
) -> Response:
    """Return the tree of categories with their counts, or those that a text is a part of."""
    version, health = service.current.now, service.queue.health if service.queue else {}
    if flat:
        return as_json(find_categories(version, q))
    known, content = version.made.get("categories", (None, b""))
    if known != health:
        content = to_json(category_tree(version, health))
        version.made["categories"] = health, content
    return as_json(content)


def find_categories(version: Version, part: str) -> list[dict[str, Any]]:
    """Return the categories whose name or key has a part, those that begin with it first."""
    labels, wanted = version.index.parts.labels, part.casefold().strip()
    found = []
    for name, key, cards in zip(labels.names, labels.keys, labels.sizes.tolist(), strict=True):
        last = name.rpartition(CATEGORY_SEPARATOR)[2].casefold()
        fits = (last.startswith(wanted) or key == part, wanted in last, wanted in name.casefold())
        if any(fits):
            found.append((fits.index(True), -cards, name, key))
    return [
        {"category": name, "category_id": key, "cards": -cards}
        for _, cards, name, key in sorted(found)[: MOST_FOUND if wanted else None]
    ]


def category_tree(
    version: Version, health: Mapping[str, Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Return the categories, each with those below it."""
    labels = version.index.parts.labels
    nodes: dict[str, dict[str, Any]] = {}
    roots: list[dict[str, Any]] = []
    for category, cards in zip(labels.names, labels.sizes.tolist(), strict=True):
        names = category.split(CATEGORY_SEPARATOR)
        siblings = roots
        for depth, name in enumerate(names, start=1):
            prefix = CATEGORY_SEPARATOR.join(names[:depth])
            node = nodes.get(prefix)
            if node is None:
                node = {"category": prefix, "name": name, "cards": 0, "cards_below": 0}
                node |= {"children": [], **health.get(prefix, {})}
                nodes[prefix] = node
                siblings.append(node)
            if depth == len(names):
                node["cards"] = cards
            else:
                node["cards_below"] += cards
            siblings = node["children"]
    return roots
