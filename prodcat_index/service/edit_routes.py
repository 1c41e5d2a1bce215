"""``POST``, ``PUT`` and ``DELETE /cards``: cards of the index, changed one at a time."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

import numpy as np
from anyio import to_thread
from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import JSONResponse

from prodcat_index import files
from prodcat_index.cards.card import CORE_TEXTS, DIGEST, IMAGE, LABELS, Card, Catalogue
from prodcat_index.cards.pictures import read_header
from prodcat_index.errors import IndexFolderError, did_you_mean
from prodcat_index.index.product_index import ProductIndex
from prodcat_index.service import schemas
from prodcat_index.service.card_routes import describe_cards, find_row
from prodcat_index.service.listing_bodies import BODY, Listing, read_listing
from prodcat_index.service.problem_details import Problem
from prodcat_index.service.shared import Service, Shared

if TYPE_CHECKING:
    import pandas as pd


def check_writable(service: Shared) -> None:
    """Refuse to change an index that is served to read."""
    if not service.settings.writable:
        raise Problem(403, "This service only reads; started with --writable, it changes cards.")


# Kinds of columns that are no texts, as numpy has them.
WHOLE = "a whole number"
TYPES = {"i": WHOLE, "u": WHOLE, "f": "a number", "b": "true or false", "M": "a time"}
router = APIRouter(tags=["Change"], dependencies=[Depends(check_writable)])
AllowNew = Annotated[bool, Query(description="Take a category that no card of the index has")]


@router.post(
    "/cards", status_code=201, response_model=schemas.Change, openapi_extra={"requestBody": BODY}
)
async def add_card(
    request: Request, service: Shared, allow_new_category: AllowNew = False
) -> Response:
    """Add a card, with its `id`. It is found as soon as this is answered.

    Without a category it is found, but does not vote.
    """
    catalogue = service.current.index.parts.catalogue
    async with read_listing(request, catalogue, service.settings.limits) as listing:
        card_id = listing.card.id
        if not card_id:
            raise Problem(422, "A card is known by its id; give one.")
        return await _put(service, card_id, listing, allow_new_category, is_new=True)


@router.put(
    "/cards/{card_id:path}",
    response_model=schemas.Change,
    responses={201: {"model": schemas.Change, "description": "There was no such card"}},
    openapi_extra={"requestBody": BODY},
)
async def put_card(
    card_id: str, request: Request, service: Shared, allow_new_category: AllowNew = False
) -> Response:
    """Change a card, or add it where there is none of this id.

    What the body leaves out, or leaves empty, stays as it is.
    """
    catalogue = service.current.index.parts.catalogue
    async with read_listing(request, catalogue, service.settings.limits) as listing:
        if listing.card.id not in ("", card_id):
            raise Problem(422, f"The body is of the card {listing.card.id!r}, not of {card_id!r}.")
        return await _put(service, card_id, listing, allow_new_category)


@router.delete("/cards/{card_id:path}", response_model=schemas.Change)
async def delete_card(card_id: str, service: Shared) -> Response:
    """Remove a card from the index. Its picture file stays where it is."""

    def removed(index: ProductIndex) -> ProductIndex:
        find_row(index, card_id)
        return index.remove([card_id])

    version = await _changed(service, partial(service.current.change, removed))
    return JSONResponse({"card": None, "version": version, "notes": []})


async def _put(
    service: Service, card_id: str, listing: Listing, allow_new: bool, *, is_new: bool = False
) -> Response:
    if Card(id=card_id).id != card_id:
        raise Problem(422, f"{card_id!r} is no id: it has blanks or invisible characters.")
    notes: list[str] = []
    was_there = True

    def put(index: ProductIndex, picture: str) -> ProductIndex:
        nonlocal was_there
        row = index.parts.row_of.get(card_id)
        was_there = row is not None
        if was_there and is_new:
            raise Problem(409, f"There is a card {card_id!r} already; change it with PUT.")
        delivery = _delivery(index, card_id, row, listing, allow_new)
        if picture:
            delivery.cards[IMAGE] = [picture]
        difference = index.compare(delivery, removed=False)
        if not difference:
            return index
        changed = index.apply(difference)
        notes[:] = map(str, changed.findings)
        return changed

    def work(wait: float) -> int:
        kept, is_kept_anew = _keep_picture(listing.card.image, service.settings.pictures)
        try:
            return service.current.change(lambda index: put(index, kept), wait=wait)
        except BaseException:
            if is_kept_anew:
                Path(kept).unlink()
            raise

    version = await _changed(service, work)
    index = service.current.index
    card = describe_cards(index, np.array([find_row(index, card_id)]))[0]
    answer = {"card": card, "version": version, "notes": notes}
    address = {"Location": f"{service.settings.path_prefix}/cards/{quote(card_id, safe='')}"}
    return JSONResponse(answer, 200 if was_there else 201, None if was_there else address)


async def _changed(service: Service, work: Callable[..., int]) -> int:
    """Return the version after a change, which waits for its turn and for other processes."""
    limits = service.settings.limits
    if service.writer.statistics().tasks_waiting >= limits.waiting:
        raise Problem(
            429, f"{limits.waiting} changes wait already; ask again later.", Retry_After="5"
        )
    try:
        return await to_thread.run_sync(
            partial(work, wait=limits.seconds / 2), limiter=service.writer
        )
    except (IndexFolderError, OSError) as error:  # OSError: of a picture on a full disk
        problem = Problem(
            503,
            "The index cannot be changed now: another process is writing it, or its folder cannot "
            "be written. Nothing was changed; try again, or look into the service's log.",
            Retry_After="10",
        )
        raise problem from error


def _delivery(
    index: ProductIndex, card_id: str, row: int | None, listing: Listing, allow_new: bool
) -> Catalogue:
    """Return the card as it shall be, as a catalogue with the columns of the index."""
    catalogue, labels = index.parts.catalogue, index.parts.labels
    frame = catalogue.select([row or 0]).cards.drop(columns=DIGEST, errors="ignore").copy()
    further = {name: _parse(name, v, frame[name]) for name, v in listing.columns.items()}
    if row is None:
        # A column that a new card does not name is missing in it, as in any delivery.
        own = ["id", *catalogue.text_modalities, IMAGE, *LABELS]
        frame = frame[own].assign(**dict.fromkeys(own, ""))
    card = listing.card
    values = {name: value for name, value in card.texts.items() if value}
    values |= {name: value for name in CORE_TEXTS if (value := card.value(name))}
    values |= {"group": card.group} if card.group else {}
    category, key = card.category, card.category_id
    if key and not category and key in labels.keys:
        category = labels.names[labels.keys.index(key)]
    if category:
        if category in labels.names:
            key = key or labels.keys[labels.names.index(category)]
        elif not allow_new:
            hint = did_you_mean(category, labels.names)
            raise Problem(
                422,
                f"No card has the category {category!r}; allow_new_category=true takes it.{hint}",
            )
        values |= {"category": category, "category_id": key}
    frame = frame.assign(**{"id": card_id, **values, **further})
    return Catalogue(
        frame, catalogue.text_modalities, source="the request", columns=catalogue.columns
    )


def _parse(name: str, value: str, column: pd.Series[Any]) -> Any:
    """Return a value of the type of its column, which no text of a request may change."""
    import pandas as pd

    kind = getattr(column.dtype, "kind", "O")
    if kind not in TYPES:
        return value
    try:
        if kind == "M":
            return pd.Timestamp(value)
        if kind == "b":
            return {"true": True, "false": False}[value.lower()]
        if kind in "iu":
            return int(np.int64(int(value)))
        if not math.isfinite(number := float(value)):
            raise ValueError(value)
        return number
    except (ValueError, KeyError, OverflowError):
        raise Problem(422, f"{name} is {TYPES[kind]} here; {value[:80]!r} is none.") from None


def _keep_picture(upload: str, folder: Path) -> tuple[str, bool]:
    """Keep an uploaded picture for good, under its digest; return its path, and if it is new."""
    if not upload:
        return "", False
    ending = read_header(upload).format.lower().replace("jpeg", "jpg")
    path = folder.resolve() / f"{files.sha256_of(Path(upload))}.{ending}"
    if path.exists():
        return str(path), False
    files.make_folder(path.parent)
    unfinished = path.with_name(f".{path.name}.new")
    files.remove(unfinished)
    try:
        with files.create(unfinished) as output:
            output.write(Path(upload).read_bytes())
        os.replace(unfinished, path)  # noqa: PTH105
    finally:
        files.remove(unfinished)
    files.flush_folder(path.parent)
    return str(path), True
