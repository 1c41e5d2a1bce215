"""What can be seen of a service from outside: log lines, metrics, and whether it is well."""

from __future__ import annotations

import logging
import re
import sys
import time
import uuid
from typing import Any

import structlog
from fastapi import APIRouter, Request
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client import generate_latest as write_metrics
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from prodcat_index.progress import verbosity
from prodcat_index.service.problem_details import Problem, problem_response
from prodcat_index.service.settings import ServeSettings

# Of a proxy's, what may be written into a log.
GIVEN_ID = re.compile(r"[\w-]{1,64}", re.ASCII)
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


class Metrics:
    """Numbers of one service, for Prometheus."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = self._made(Counter, "requests", "Answers", ["method", "route", "status"])
        self.seconds = self._made(
            Histogram, "request_seconds", "Time of an answer", ["route"], buckets=SECONDS
        )
        self.running = self._made(Gauge, "requests_running", "Requests that are being answered")
        self.batch_size = self._made(
            Histogram, "batch_size", "Listings of a call of the library", buckets=BATCHES
        )
        self.waiting = self._made(Gauge, "requests_waiting", "Requests that wait for the library")
        self.version = self._made(Gauge, "index_version", "Version of the index")
        self.cards = self._made(Gauge, "index_cards", "Cards of the index")

    def _made(self, kind: Any, name: str, *arguments: Any, **options: Any) -> Any:
        return kind(f"prodcat_{name}", *arguments, registry=self.registry, **options)


def make_log() -> Any:
    """Return the logger that writes a line of JSON an event, into stderr."""
    return structlog.wrap_logger(
        structlog.WriteLogger(sys.stderr),
        wrapper_class=structlog.make_filtering_bound_logger(
            "warning" if verbosity.quiet else "info"
        ),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper("iso"),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
    )


class LogHandler(logging.Handler):
    """Writes what the server says as the other lines of the log."""

    def __init__(self, log: Any) -> None:
        super().__init__(logging.WARNING)
        self.log = log

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record."""
        self.log.log(record.levelno, record.getMessage(), exc_info=record.exc_info)


class Monitor:
    """Gives each request an id, counts it, and writes a line about it."""

    def __init__(self, app: ASGIApp, settings: ServeSettings, metrics: Metrics, log: Any) -> None:
        self.app, self.settings, self.metrics, self.log = app, settings, metrics, log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        given, started, status = Headers(scope=scope).get("x-request-id", ""), time.monotonic(), 0
        own_id = scope["request_id"] = given if GIVEN_ID.fullmatch(given) else uuid.uuid4().hex
        state = scope.setdefault("state", {})

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)["X-Request-Id"] = own_id
            await send(message)

        error: BaseException | None = None
        with self.metrics.running.track_inprogress():
            try:
                await self.app(scope, receive, answer)
            except Exception as raised:
                error = raised
                if status:  # part of an answer is there
                    raise
                detail = "Something went wrong here; the service's log tells what, by the id."
                await problem_response(500, detail, own_id)(scope, receive, answer)
            finally:
                self._tell(scope, state, status, time.monotonic() - started, error)

    def _tell(
        self, scope: Scope, state: Any, status: int, seconds: float, error: BaseException | None
    ) -> None:
        method = scope["method"]
        # Not the path, of which there may be any number.
        route = getattr(scope.get("route"), "path", "other")
        self.metrics.requests.labels(method, route, status).inc()
        self.metrics.seconds.labels(route).observe(seconds)
        texts = {}  # which the query and the body hold
        if self.settings.log_texts:
            texts = {
                "query": scope["query_string"].decode("latin-1"),
                "texts": state.get("texts", []),
            }
        say = self.log.info if status < 500 and not error else self.log.error
        client = scope.get("client")
        say(
            "request",
            request_id=scope["request_id"],
            method=method,
            path=scope["path"],
            status=status,
            seconds=round(seconds, 4),
            client=client and client[0],
            caller=state.get("caller"),
            exc_info=error or scope.get("error"),
            **texts,
        )


router = APIRouter(tags=["service"])


@router.get("/healthz")
async def healthz() -> dict[str, str]:
    """Tell that the service runs."""
    return {"status": "ok"}


@router.get("/readyz")
async def readyz(request: Request) -> dict[str, Any]:
    """Tell that the service answers: not before its index is loaded, and not while it stops."""
    service = request.app.state.service
    if service.is_stopping:
        raise Problem(503, "The service is stopping.", Retry_After="5")
    return {"status": "ok", "version": service.current.version}


@router.get("/metrics", response_class=Response)
async def metrics(request: Request) -> Response:
    """Return counts and times, for Prometheus."""
    service = request.app.state.service
    service.metrics.version.set(service.current.version)
    service.metrics.cards.set(len(service.current.index))
    return Response(write_metrics(service.metrics.registry), media_type=CONTENT_TYPE_LATEST)
