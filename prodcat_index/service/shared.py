"""What all routes share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from anyio import CapacityLimiter
from fastapi import Depends, Request

from prodcat_index.service.batching import Batcher
from prodcat_index.service.current_index import CurrentIndex
from prodcat_index.service.monitoring import Metrics
from prodcat_index.service.review_queue import ReviewQueue
from prodcat_index.service.settings import ServeSettings
from prodcat_index.service.thumbnails import Thumbnails


@dataclass
class Service:
    """What all routes share."""

    settings: ServeSettings
    current: CurrentIndex
    metrics: Metrics
    batcher: Batcher
    thumbnails: Thumbnails
    queue: ReviewQueue | None = None
    # One change of the index runs at a time; the others wait in line, and not in threads.
    writer: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(1))
    is_stopping: bool = False  # only what it has taken already is answered

    @property
    def health(self) -> Mapping[str, Mapping[str, Any]]:
        """Category -> what an audit found: ``accuracy``, ``wrong_labels``, ``duplicates``."""
        return self.queue.health if self.queue else {}


def get_service(request: Request) -> Service:
    """Return what the routes of a request's application share."""
    service: Service = request.app.state.service
    return service


Shared = Annotated[Service, Depends(get_service)]
