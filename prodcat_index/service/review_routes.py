"""Routes of the review queue."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from io import StringIO
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import BaseModel, Field

from prodcat_index.cards.lists import REVIEW
from prodcat_index.errors import PictureError
from prodcat_index.service.problem_details import Problem
from prodcat_index.service.review_items import LONGEST
from prodcat_index.service.review_queue import MOST_SIMILAR, ReviewQueue
from prodcat_index.service.review_records import Caller, UnknownError
from prodcat_index.service.shared import SIDES, Shared

router = APIRouter(prefix="/review", tags=["Review"])
# Names of items, decisions and tabs.
NAME = {"max_length": 100, "pattern": r"^[\w.:-]+$"}
ItemId = Annotated[str, Path(**NAME, description="Name of an item, as GET /review returns it.")]


class ReviewCard(BaseModel):
    """A card of an item; its picture is at ``cards/{id}/image``, or ``review/{item}/image``."""

    id: str
    title: str
    description: str = ""
    category: str
    image: bool


class Choice(BaseModel):
    """A category and its probability."""

    category: str
    share: float


class ReviewNeighbour(BaseModel):
    """A card of the index that shows what an item is about."""

    id: str
    title: str
    category: str
    similarity: float | None
    image: bool


class ReviewItem(BaseModel):
    """Something to decide."""

    id: str
    kind: str
    check: str
    subject: str = Field(description="Category of the cards, or that an item without cards is of.")
    card: ReviewCard | None
    cards: list[ReviewCard]
    remove: list[str] = Field(description="Cards that would go.")
    proposal: str = Field(description="A category, remove, merge into X, or nothing.")
    confidence: float | None
    choices: list[Choice]
    why: str
    words: list[str]
    neighbours: list[ReviewNeighbour]
    similar: int = Field(description="Other items that ask the same about near cards.")
    expected_gain: float


class EstimatedF1(BaseModel):
    """Weighted F1 that is expected of the categories of all cards."""

    before: float
    now: float


class Counter(BaseModel):
    """What was done, and what it brought."""

    done: int
    left: int
    pending: int
    applied: int
    stale: int
    minutes: float
    per_minute: float | None
    by: dict[str, int]
    reviewing: list[str]
    estimated_f1: EstimatedF1
    problems: list[str]


class ReviewPage(BaseModel):
    """The next items."""

    items: list[ReviewItem]
    counter: Counter


class SimilarItem(BaseModel):
    """One of the items that ask the same about near cards."""

    id: str
    card: ReviewCard | None
    proposal: str
    confidence: float | None


class SimilarItems(BaseModel):
    """Items that ask the same about near cards, the nearest first."""

    items: list[SimilarItem]


class Decide(BaseModel):
    """A decision."""

    decision: str = Field(
        min_length=1,
        max_length=LONGEST,
        description="yes, keep, remove, skip, a category, or new with a category.",
    )
    category: str = Field("", max_length=LONGEST, description="Name of the new category.")
    also: list[Annotated[str, Field(**NAME)]] = Field([], max_length=MOST_SIMILAR)
    all_similar: bool = False
    decision_id: str = Field("", max_length=100, pattern=r"^[\w.:-]*$")


class Decided(BaseModel):
    """What was written down."""

    decision_id: str
    decided: int
    counter: Counter


class Undo(BaseModel):
    """What is taken back: the last decision, or one by its name."""

    decision_id: str = Field("", max_length=100, pattern=r"^[\w.:-]*$")


class TakenBack(BaseModel):
    """The items that are to be decided again."""

    decision_id: str
    items: list[ReviewItem]
    counter: Counter


class JournalRow(BaseModel):
    """A decision of the journal."""

    decision_id: str
    who: str
    when: str
    decision: str
    category: str
    title: str
    cards: int
    ids: list[str]
    state: str
    note: str
    version: int


class Journal(BaseModel):
    """Decisions, the newest first."""

    decisions: list[JournalRow]


class Applied(BaseModel):
    """What was carried out."""

    applied: int
    version: int
    counter: Counter


def _queue(service: Shared) -> ReviewQueue:
    if service.queue is None:
        raise Problem(
            404, "This service has no review queue; start it with --review FILE or --audit."
        )
    return service.queue


def _writable(service: Shared) -> None:
    if not service.settings.writable:
        raise Problem(403, "This service only reads; start it with --writable to decide.")


def _caller(request: Request) -> Caller:
    client = request.headers.get("x-client", "")
    return Caller(request.state.caller, client[:100])


Queue = Annotated[ReviewQueue, Depends(_queue)]
Who = Annotated[Caller, Depends(_caller)]
Writing = Depends(_writable)


@router.get("", response_model=ReviewPage)
def review(
    queue: Queue,
    caller: Who,
    limit: Annotated[int, Query(ge=0, le=50)] = 1,
    skip: Annotated[list[Annotated[str, Field(max_length=100)]], Query(max_length=1000)] = [],  # noqa: B006
) -> dict[str, Any]:
    """Hand out the next items, for five minutes: nobody else gets them."""
    return {"items": queue.next(caller, limit, skip), "counter": queue.counter()}


@router.get(
    "/decisions",
    response_model=Journal,
    responses={200: {"content": {"text/csv": {"schema": {"type": "string"}}}}},
)
def decisions(
    queue: Queue,
    limit: Annotated[int | None, Query(ge=1, le=1_000_000)] = None,
    format: Annotated[
        Literal["json", "csv", "relabel"],
        Query(description="relabel: the table that prodcat relabel reads, as CSV."),
    ] = "json",
) -> Any:
    """Return the journal of decisions, the newest first."""
    if format == "relabel":
        return _csv("review.csv", REVIEW, queue.journal.as_review())
    found = queue.journal.list_decisions(limit)
    if format == "csv":
        rows = [{**row, "ids": " ".join(map(json.dumps, row["ids"]))} for row in found]
        return _csv("decisions.csv", [*JournalRow.model_fields], rows)
    return {"decisions": found}


@router.post("/decisions/{decision_id}/revert", response_model=TakenBack, dependencies=[Writing])
def revert(queue: Queue, caller: Who, decision_id: ItemId) -> dict[str, Any]:
    """Take back any decision, also one that is in the index."""
    entry, items = queue.revert(caller, decision_id)
    return {"decision_id": entry.id, "items": items, "counter": queue.counter()}


@router.post("/undo", response_model=TakenBack, dependencies=[Writing])
def undo(queue: Queue, caller: Who, body: Undo | None = None) -> dict[str, Any]:
    """Take back the caller's last decision, or one by its name."""
    entry, items = queue.undo(caller, body.decision_id if body else "")
    return {"decision_id": entry.id, "items": items, "counter": queue.counter()}


@router.post("/apply", response_model=Applied, dependencies=[Writing])
def apply(queue: Queue) -> dict[str, Any]:
    """Carry out all decisions that wait."""
    applied = queue.apply()
    return {"applied": applied, "version": queue.current.version, "counter": queue.counter()}


@router.get("/{item}/similar", response_model=SimilarItems)
def similar(queue: Queue, caller: Who, item: ItemId) -> dict[str, Any]:
    """Hand out the items that ask the same about near cards, the nearest first."""
    return {"items": queue.similar(caller, item)}


@router.get("/{item}/image", response_class=Response)
def picture(
    service: Shared,
    queue: Queue,
    item: ItemId,
    size: Annotated[int, Query(ge=1, le=SIDES[-1], description="Longer side in pixels.")] = 256,
) -> Response:
    """Return the picture of a new listing, scaled down."""
    path = queue.picture(item)
    if path is None:
        raise UnknownError("This item is about no new listing with a picture.")
    try:
        _, content = service.thumbnails.get(path, size)
    except PictureError as error:
        raise Problem(404, str(error)) from None
    return Response(content, media_type="image/jpeg")


@router.post("/{item}", response_model=Decided, dependencies=[Writing])
def decide(queue: Queue, caller: Who, item: ItemId, body: Decide) -> dict[str, Any]:
    """Write a decision into the journal; it is on the disk when this is answered."""
    entry, count = queue.decide(caller, item, **body.model_dump())
    return {"decision_id": entry.id, "decided": count, "counter": queue.counter()}


def _csv(name: str, columns: Sequence[str], rows: Sequence[dict[str, Any]]) -> Response:
    text = StringIO()
    writer = csv.DictWriter(text, columns)
    writer.writeheader()
    writer.writerows(rows)
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(text.getvalue(), media_type="text/csv; charset=utf-8", headers=headers)
