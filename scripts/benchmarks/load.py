"""Clients of a service in one process: each asks again as soon as it is answered."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from typing import Any

import numpy as np

HOST = "127.0.0.1"
BOUNDARY = "boundary-of-parts"
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
VERSION = re.compile(rb'"version": ?(\d+)')
LOST = 0  # status of a request whose connection was lost


@dataclass
class Load:
    """What became of the requests of all clients.

    Attributes
    ----------
    seconds
        How long all took together.
    latencies
        Seconds of each request that was answered by 200.
    statuses
        How often each HTTP status came.
    versions
        Versions of the index that answered.
    """

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    versions: set[int] = field(default_factory=set)

    def quantile(self, share: float) -> float:
        """Return a quantile of the latencies in milliseconds."""
        return 1000 * float(np.quantile(self.latencies, share))

    @property
    def rate(self) -> float:
        """Requests that were answered in a second."""
        return len(self.latencies) / self.seconds

    def add(self, other: Load) -> None:
        """Add what became of other requests."""
        self.seconds += other.seconds
        self.latencies += other.latencies
        self.statuses += other.statuses
        self.versions |= other.versions


def json_of(listing: dict[str, str]) -> bytes:
    """Return the request for the prediction of a listing."""
    return _request("application/json", json.dumps(listing).encode())


def form_of(picture: bytes) -> bytes:
    """Return the request for the prediction of a picture."""
    head = (
        f"--{BOUNDARY}\r\nContent-Disposition: form-data; name=image; filename=picture.jpg\r\n"
        "Content-Type: image/jpeg\r\n\r\n"
    )
    body = head.encode() + picture + f"\r\n--{BOUNDARY}--\r\n".encode()
    return _request(f"multipart/form-data; boundary={BOUNDARY}", body)


def _request(kind: str, body: bytes) -> bytes:
    head = (
        f"POST /predict HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: {kind}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def load(port: int, requests: Sequence[bytes], clients: int, seconds: float | None = None) -> Load:
    """Send each request once, or all in turns for some seconds, by a number of clients."""
    import uvloop

    return uvloop.run(_load(port, requests, clients, seconds))


async def _load(port: int, requests: Sequence[bytes], clients: int, seconds: float | None) -> Load:
    loop, found = asyncio.get_running_loop(), Load()
    started = time.perf_counter()
    sent = iter(requests) if seconds is None else _until(started + seconds, cycle(requests))
    made = [
        loop.create_connection(lambda: _Client(sent, found), HOST, port) for _ in range(clients)
    ]
    for _, client in await asyncio.gather(*made):
        await client.ended
    found.seconds = time.perf_counter() - started
    return found


def _until(end: float, requests: Iterable[bytes]) -> Iterator[bytes]:
    for request in requests:
        if time.perf_counter() >= end:
            return
        yield request


class _Client(asyncio.Protocol):
    def __init__(self, requests: Iterator[bytes], found: Load) -> None:
        self._requests, self._found = requests, found
        self._received, self._since = bytearray(), 0.0
        self.ended = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._ask()

    def _ask(self) -> None:
        request = next(self._requests, None)
        if request is None:
            self.ended.set_result(None)
            self._transport.close()
            return
        self._received.clear()
        self._since = time.perf_counter()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._received += data
        end = self._received.find(b"\r\n\r\n") + 4
        length = LENGTH.search(self._received)
        if end < 4 or length is None or len(self._received) < end + int(length[1]):
            return
        status = int(self._received[9:12])
        self._found.statuses[status] += 1
        if status == 200:
            self._found.latencies.append(time.perf_counter() - self._since)
            version = VERSION.search(self._received, end)
            assert version is not None, "every answer names the version"
            self._found.versions.add(int(version[1]))
        self._ask()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.ended.done():
            self._found.statuses[LOST] += 1
            self.ended.set_result(None)
