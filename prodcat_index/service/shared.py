"""What all routes share, and the scaled pictures of cards that they show."""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from pathlib import Path
from threading import Lock
from typing import Annotated, Any

from anyio import CapacityLimiter
from fastapi import Depends, Request, Response

from prodcat_index.cards.pictures import make_thumbnail
from prodcat_index.errors import PictureError
from prodcat_index.service.batching import Batcher
from prodcat_index.service.current_index import CurrentIndex
from prodcat_index.service.listing_bodies import JSON
from prodcat_index.service.monitoring import Metrics
from prodcat_index.service.review_queue import open_queue
from prodcat_index.service.settings import ServeSettings

# Longer sides in pixels; few, so that a picture is scaled a few times only.
SIDES = (64, 128, 256, 512, 1024)
QUALITY = 85
MOST_BYTES = 64 << 20


def as_json(value: Any) -> Response:
    """Return an answer in JSON; bytes are JSON already."""
    content = value if isinstance(value, bytes) else to_json(value)
    return Response(content, media_type=JSON)


def to_json(value: Any) -> bytes:
    """Return JSON; half a surrogate pair, which a text may hold, is escaped."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode("utf-8", "backslashreplace")


class Thumbnails:
    """Scaled pictures, of which those used last are kept, by path, time of change and side."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._kept: OrderedDict[str, bytes] = OrderedDict()
        self._lock = Lock()
        self._bytes, self._most = 0, most_bytes

    def get(self, path: Path, size: int, known: str = "") -> tuple[str, bytes | None]:
        """Return the tag and the JPEG of a picture; no JPEG where its tag is among known ones."""
        try:
            found = path.stat()
        except OSError:
            raise PictureError("there is no such file") from None
        side = next(side for side in SIDES if side >= size)
        identity = f"{path}\0{found.st_mtime_ns}\0{found.st_size}\0{side}"
        etag = f'"{hashlib.sha256(identity.encode("utf-8", "surrogatepass")).hexdigest()[:32]}"'
        if etag in known:
            return etag, None
        with self._lock:
            content = self._kept.get(etag)
            if content is not None:
                self._kept.move_to_end(etag)
                return etag, content
        content = make_thumbnail(path, side, QUALITY)
        with self._lock:
            self._bytes += len(content) - len(self._kept.pop(etag, b""))
            self._kept[etag] = content
            while self._bytes > self._most:
                self._bytes -= len(self._kept.popitem(last=False)[1])
        return etag, content


class Service:
    """What all routes share: an index as it is served."""

    def __init__(self, settings: ServeSettings) -> None:
        self.settings, self.current = settings, CurrentIndex(settings.index)
        self.queue = open_queue(settings, self.current)
        self.metrics, self.thumbnails = Metrics(), Thumbnails()
        self.batcher = Batcher(settings.limits, self.metrics)
        # One change of the index runs at a time; the others wait in line, and not in threads.
        self.writer = CapacityLimiter(1)
        self.is_stopping = False  # only what it has taken already is answered


def get_service(request: Request) -> Service:
    """Return what the routes of a request's application share."""
    service: Service = request.app.state.service
    return service


Shared = Annotated[Service, Depends(get_service)]
