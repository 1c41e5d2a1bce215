"""Serving an index over HTTP: a socket, a server, and a stop that finishes what was taken."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from prodcat_index.encoders.cache import CACHE_VARIABLE, OFF
from prodcat_index.errors import QueryError
from prodcat_index.progress import verbosity
from prodcat_index.service.app import create_app
from prodcat_index.service.guards import HEADERS
from prodcat_index.service.monitoring import LogHandler, make_log
from prodcat_index.service.problem_details import problem_response
from prodcat_index.service.settings import ServeSettings

# Seconds for the head of a request, and for what a client still sends after its answer.
PATIENCE = 10.0
LARGEST_HEAD = 1 << 16
CONNECTIONS = 1000


def serve(
    index: str | Path, *, ready: Callable[[str], object] = lambda _: None, **options: Any
) -> None:
    """Serve an index over HTTP until the process is told to stop.

    Parameters
    ----------
    index
        Folder of the index. When another process writes a new version, that is served.
    ready
        Called with the address, such as ``"http://127.0.0.1:8000"``, as soon as it answers.
    options
        As the attributes of :class:`~prodcat_index.service.settings.ServeSettings`.

    Raises
    ------
    IndexFolderError
        If the folder is no index, of a newer format, or damaged.
    QueryError
        If the options would let strangers in, or the address cannot be listened at.
    """
    settings = ServeSettings(index=Path(index), **options)
    app, log = create_app(settings), make_log()
    # What the library tells of its work would come between the lines of the log.
    verbosity.quiet = True
    # A listing takes less time than to look for it on disk; the last ones are kept in memory.
    os.environ[CACHE_VARIABLE] = OFF
    handler = LogHandler(log)
    logging.getLogger("uvicorn").addHandler(handler)
    with _listen(settings.host, settings.port) as listener:
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        address = f"http://{host}:{listener.getsockname()[1]}"
        if threading.current_thread() is threading.main_thread():
            # A stop that was asked for is no failure; the server raises the signal again.
            for each in (signal.SIGTERM, signal.SIGINT):
                signal.signal(each, lambda *_: None)
        try:
            Server(app, settings, lambda: ready(address)).run([listener])
        finally:
            logging.getLogger("uvicorn").removeHandler(handler)


def _listen(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server(
            (host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=2048
        )
    except (OSError, OverflowError) as error:
        why = getattr(error, "strerror", None) or error
        raise QueryError(
            f"{host}, port {port}, cannot be listened at: {why}; choose others with --host and "
            "--port."
        ) from None


class Server(uvicorn.Server):
    """Runs an application, and tells when it answers."""

    def __init__(
        self, app: ASGIApp, settings: ServeSettings, ready: Callable[[], object] = lambda: None
    ) -> None:
        config = uvicorn.Config(
            app,
            http=_PatientProtocol,
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            limit_concurrency=CONNECTIONS,
            timeout_graceful_shutdown=round(settings.limits.seconds) + 1,
        )
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and tell that it answers."""
        await super().startup(sockets)
        if self.started:
            self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop, after what clients have sent by now is taken: busy, it may lie unread for long."""
        for _ in range(10):  # rounds of the loop: to accept, and to read
            await asyncio.sleep(0.01)
        await super().shutdown(sockets)


class _PatientProtocol(HttpToolsProtocol):
    """Closes connections whose head does not come in time or is too large."""

    _timer: asyncio.TimerHandle | None = None
    _head: int | None = 0  # bytes of a head that is not whole yet

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        self._wait_no_more()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._head is not None and not self.transport.is_closing():
            self._head += len(data)
            if self._head > LARGEST_HEAD:
                self.send_400_response("The head of the request is too large.")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._head = 0
        self._wait()

    def on_headers_complete(self) -> None:
        self._head = None
        self._wait_no_more()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._wait_no_more()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.cycle.more_body:  # It is read for a while, so that the client sees the answer.
            self._wait()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no request, as a problem as all others."""
        answer = problem_response(400, msg, headers={**HEADERS, "Connection": "close"})
        head = b"".join(b"%b: %b\r\n" % header for header in answer.raw_headers)
        self.transport.write(b"HTTP/1.1 400 Bad Request\r\n" + head + b"\r\n" + answer.body)
        self.transport.close()

    def _wait(self) -> None:
        self._wait_no_more()
        self._timer = self.loop.call_later(PATIENCE, self.timeout_keep_alive_handler)

    def _wait_no_more(self) -> None:
        if self._timer:
            self._timer.cancel()
        self._timer = None
