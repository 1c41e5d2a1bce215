"""Pictures of cards, scaled down and encoded anew."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from pathlib import Path
from threading import Lock

from prodcat_index.cards.pictures import make_thumbnail
from prodcat_index.errors import PictureError

# Longer sides in pixels; few, so that a picture is scaled a few times only.
SIDES = (64, 128, 256, 512, 1024)
QUALITY = 85
MOST_BYTES = 64 << 20


class Thumbnails:
    """Scaled pictures, of which those used last are kept, by path, time of change and side."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._kept: OrderedDict[str, bytes] = OrderedDict()
        self._lock = Lock()
        self._bytes, self._most = 0, most_bytes

    def get(self, path: Path, side: int, known: str = "") -> tuple[str, bytes | None]:
        """Return the tag and the JPEG of a picture; no JPEG where its tag is among known ones.

        Raises PictureError if the file is no picture any more.
        """
        try:
            found = path.stat()
        except OSError:
            raise PictureError("there is no such file") from None
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
