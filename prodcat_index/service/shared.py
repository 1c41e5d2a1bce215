"""What all routes share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from fastapi import Depends, Request

from prodcat_index.service.batching import Batcher
from prodcat_index.service.current_index import CurrentIndex
from prodcat_index.service.monitoring import Metrics
from prodcat_index.service.settings import ServeSettings
from prodcat_index.service.thumbnails import Thumbnails


@dataclass
class Service:
    """What all routes share.

    Attributes
    ----------
    health
        Category -> what an audit found of it: ``accuracy``, ``wrong_labels``, ``duplicates``.
        Replace the mapping, do not change it.
    """

    settings: ServeSettings
    current: CurrentIndex
    metrics: Metrics
    batcher: Batcher
    thumbnails: Thumbnails
    health: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def get_service(request: Request) -> Service:
    """Return what the routes of a request's application share."""
    service: Service = request.app.state.service
    return service


Shared = Annotated[Service, Depends(get_service)]
