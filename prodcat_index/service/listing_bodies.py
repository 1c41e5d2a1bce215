"""Bodies of requests as listings: JSON, a form with a picture, or one JSON object a line."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING, Any

from anyio import to_thread
from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.datastructures import Headers, UploadFile

from prodcat_index.cards.card import CORE_TEXTS, IMAGE, LABELS, Card, Catalogue
from prodcat_index.cards.pictures import read_header
from prodcat_index.errors import PictureError, did_you_mean
from prodcat_index.index.product_index import ProductIndex
from prodcat_index.service import schemas
from prodcat_index.service.problem_details import Problem

if TYPE_CHECKING:
    from prodcat_index.service.settings import Limits

JSON, LINES, FORM = "application/json", "application/x-ndjson", "multipart/form-data"
MOST_FIELDS = 200
BODY: dict[str, Any] = {
    "required": True,
    "content": {
        JSON: {"schema": schemas.Listing.model_json_schema()},
        FORM: {
            "schema": {
                "type": "object",
                "properties": {
                    "listing": {"type": "string", "description": "The listing as JSON"},
                    **{name: {"type": "string"} for name in ("id", *CORE_TEXTS)},
                    IMAGE: {"type": "string", "format": "binary"},
                },
            }
        },
    },
}
BODY_OR_LINES = {
    **BODY,
    "content": {
        **BODY["content"],
        LINES: {"schema": {"type": "string", "description": "One listing, as JSON, a line"}},
    },
}


@dataclass(frozen=True)
class Listing:
    """A listing that was sent, the values of further columns of the catalogue, and its line."""

    card: Card
    columns: dict[str, str] = field(default_factory=dict)
    at: str = ""


def media_type(headers: Headers) -> str:
    """Return the content type of a request without its parameters."""
    return headers.get("content-type", "").partition(";")[0].strip().lower()


@asynccontextmanager
async def read_listing(
    request: Request, catalogue: Catalogue, limits: Limits
) -> AsyncIterator[Listing]:
    """Read the only listing of a request; its picture is there until it is answered."""
    async with read_listings(request, catalogue, limits, kinds=(JSON, FORM)) as listings:
        yield listings[0]


@asynccontextmanager
async def read_listings(
    request: Request,
    catalogue: Catalogue,
    limits: Limits,
    kinds: tuple[str, ...] = (JSON, FORM, LINES),
) -> AsyncIterator[list[Listing]]:
    """Read the listings of a request, those of an index with a catalogue."""
    kind = media_type(request.headers)
    if kind not in kinds:
        given = f"not as {kind}" if kind else "and this request has no content type"
        raise Problem(415, f"Send a listing as {' or '.join(kinds)}, {given}.")
    if kind == FORM:
        async with request.form(
            max_files=1, max_fields=MOST_FIELDS, max_part_size=limits.body
        ) as form:
            values, upload = _fields(form.multi_items())
            listing = _listing(_parse(values), catalogue, limits)
            if upload is None:
                yield [listing]
                return
            with NamedTemporaryFile(prefix="prodcat-", suffix=".picture") as file:
                await to_thread.run_sync(_keep, await upload.read(), Path(file.name), limits)
                yield [replace(listing, card=replace(listing.card, image=file.name))]
        return
    body = await request.body()
    lines = {
        f"line {number}": line
        for number, line in enumerate(body.splitlines(), 1)
        if kind == LINES and line.strip()
    } or {"": body}
    if len(lines) > limits.batch:
        raise Problem(
            413, f"A request may hold {limits.batch:,} listings; this one holds {len(lines):,}."
        )
    yield [_listing(_parse(line, at), catalogue, limits, at) for at, line in lines.items()]


def _fields(items: list[tuple[str, UploadFile | str]]) -> tuple[dict[str, str], UploadFile | None]:
    values, upload = dict[str, Any](), None
    for name, value in items:
        if isinstance(value, UploadFile):
            if name != IMAGE:
                raise Problem(422, f"A picture is sent in the field image, not in {name!r}.")
            if not (value.content_type or "").startswith("image/"):
                raise Problem(415, "The file in the field image is not sent as a picture.")
            upload = value
        elif name == "listing":
            values = _parse(value.encode(), "listing").model_dump(exclude_none=True) | values
        else:
            values[name] = value
    return values, upload


def _parse(sent: dict[str, Any] | bytes, at: str = "") -> schemas.Listing:
    try:
        if isinstance(sent, bytes):
            return schemas.Listing.model_validate_json(sent)
        return schemas.Listing.model_validate(sent)
    except ValidationError as error:
        place = ("body", at) if at else ("body",)
        errors = error.errors(include_url=False, include_input=False)
        if errors[0]["type"] == "json_invalid":
            where = f"The body, {at}," if at else "The body"
            raise Problem(422, f"{where} is no JSON: {errors[0]['ctx']['error']}.") from None
        raise RequestValidationError([{**e, "loc": (*place, *e["loc"])} for e in errors]) from None


def _listing(sent: schemas.Listing, catalogue: Catalogue, limits: Limits, at: str = "") -> Listing:
    values = {name: value for name, value in sent if value is not None}
    further = catalogue.text_modalities[len(CORE_TEXTS) :]
    columns = catalogue.further_columns
    known = ("id", *CORE_TEXTS, *LABELS, *further, *columns)
    start = f"On {at}, the" if at else "The"
    for name in values:
        if name not in known:
            way_out = (
                f"send the picture itself as {FORM}; neither paths nor addresses are read"
                if name == IMAGE
                else f"the fields are {', '.join(known)}"
            )
            hint = did_you_mean(name, known)
            raise Problem(422, f"{start} listing has a field {name!r}: {way_out}.{hint}")
    length = sum(map(len, values.values()))
    if length > limits.text:
        raise Problem(413, f"{start} texts have {length:,} characters; {limits.text:,} are taken.")
    own = {name: values[name] for name in ("id", *CORE_TEXTS, *LABELS) if name in values}
    card = Card(**own, texts={name: values.get(name, "") for name in further})
    return Listing(card, {name: values[name] for name in columns if name in values}, at)


def _keep(content: bytes, path: Path, limits: Limits) -> None:
    """Write an uploaded picture into a file of a random name, if it is a picture."""
    if len(content) > limits.picture:
        raise Problem(
            413, f"A picture may have {limits.picture:,} bytes; this one has {len(content):,}."
        )
    path.write_bytes(content)
    try:
        header = read_header(path)
    except PictureError as error:
        raise Problem(422, f"The picture cannot be used: {error}.") from None
    if header.width * header.height > limits.pixels:
        raise Problem(
            413,
            f"A picture may have {limits.pixels:,} pixels; this one has "
            f"{header.width:,} x {header.height:,}.",
        )


def has_content(card: Card) -> bool:
    """Check whether a listing has a text or a picture."""
    return any((card.title, card.description, card.image, *card.texts.values()))


def completed(index: ProductIndex, card: Card) -> Card:
    """Return a listing with what it lacks of the card of the same id, if there is one."""
    row = index.parts.row_of.get(card.id) if card.id else None
    if row is None:
        return card
    there = index.parts.catalogue.card(row)
    if there.image and not Path(there.image).is_file():
        there = replace(there, image="")
    own = {name: value for name in (*CORE_TEXTS, IMAGE) if (value := getattr(card, name))}
    texts = {name: value for name, value in card.texts.items() if value}
    return replace(there, **own, texts={**there.texts, **texts})
