"""What is checked of a request before any route sees it: where from, who, how much, how often."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import time
from pathlib import Path
from urllib.parse import urlsplit

from limits import parse
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from prodcat_index.service.listing_bodies import FORM, JSON, LINES, media_type
from prodcat_index.service.problem_details import Problem, problem_response
from prodcat_index.service.settings import LOOPBACK, MB, ServeSettings

PAGE = Path(__file__).parent / "page"
# What a stranger may ask where there are tokens: the page asks for the token, and a balancer has
# none. The files of the page are as public as this source.
OPEN = {"/", "/docs", "/openapi.json", "/healthz", "/readyz"}
BODY_TYPES = (JSON, FORM, LINES)
# Of every answer. There is no inline script or style, and nothing from elsewhere.
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


class SecurityHeaders:
    """Tells browsers what the answers may do: run nothing but the page's own scripts."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(HEADERS)
                # Answers depend on the index and the token; files of the page are asked for again.
                headers.setdefault("Cache-Control", "no-cache" if "etag" in headers else "no-store")
            await send(message)

        await self.app(scope, receive, answer)


class Guard:
    """Refuses requests that no route should see, and tells routes the ``request.state.caller``."""

    def __init__(self, app: ASGIApp, settings: ServeSettings) -> None:
        self.app, self.settings = app, settings
        self.hosts = {*LOOPBACK, settings.host, *settings.allowed_hosts}
        self.owners = [(_digest(token), name) for token, name in settings.tokens.items()]
        self.open = OPEN | {f"/{path.relative_to(PAGE).as_posix()}" for path in PAGE.rglob("*.*")}
        self.rate = parse(settings.limits.rate)
        self.limiter = SlidingWindowCounterRateLimiter(MemoryStorage())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or let it through."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        try:
            await self._check(scope)
        except Problem as problem:
            answer = problem_response(
                problem.status_code, problem.detail, scope.get("request_id", ""), problem.headers
            )
            await answer(scope, receive, send)
            return
        if scope["method"] == "HEAD":  # The server leaves out the body.
            scope = {**scope, "method": "GET"}
        await self.app(scope, self._limited(receive), send)

    async def _check(self, scope: Scope) -> None:
        headers = Headers(scope=scope)
        self._check_host(headers)
        self._enter_prefix(scope)
        path = scope["path"].removeprefix(self.settings.path_prefix)
        owner = self._owner(headers)
        scope.setdefault("state", {})["caller"] = owner or ""
        client = scope.get("client")
        await self._check_rate(f"owner {owner}" if owner else f"client {client and client[0]}")
        if owner is None and self.owners and path not in self.open:
            raise Problem(
                401,
                "This service answers those who have a token: send the header "
                "Authorization: Bearer TOKEN.",
                WWW_Authenticate="Bearer",
            )
        if scope["method"] not in ("GET", "HEAD"):
            self._check_body(headers)

    def _check_host(self, headers: Headers) -> None:
        """Refuse names that are not ours: those of a page that points its own name at us."""
        host = _name(headers.get("host", ""))
        if host not in self.hosts:
            raise Problem(
                421, f"This service is not called {host!r}; its option --allowed-host adds a name."
            )
        # No browser sends a request of another site's page without saying so.
        origin = headers.get("origin")
        if origin is not None and _name(origin.partition("://")[2]) not in self.hosts:
            raise Problem(
                403,
                f"Pages of {origin!r} may not use this service; its option --allowed-host adds "
                "a name.",
            )

    def _enter_prefix(self, scope: Scope) -> None:
        """Know the path prefix, whether the proxy left it in the path or took it away."""
        if prefix := self.settings.path_prefix:
            if not scope["path"].startswith(f"{prefix}/"):
                scope["path"] = prefix + scope["path"]
            scope["root_path"] = prefix

    def _owner(self, headers: Headers) -> str | None:
        """Return who a token is of; it takes as long for one that is nearly right."""
        scheme, _, token = headers.get("authorization", "").partition(" ")
        given = _digest(token.strip()) if scheme.lower() == "bearer" else b""
        found = None
        for digest, name in self.owners:
            if hmac.compare_digest(digest, given):
                found = name
        return found

    async def _check_rate(self, who: str) -> None:
        if not await self.limiter.hit(self.rate, who):
            reset = (await self.limiter.get_window_stats(self.rate, who)).reset_time
            seconds = reset - time.time()
            raise Problem(
                429,
                f"The limit of requests is {self.rate}; wait and ask again.",
                Retry_After=str(max(1, round(seconds))),
            )

    def _check_body(self, headers: Headers) -> None:
        length = headers.get("content-length", "0")
        if "transfer-encoding" not in headers and length == "0":
            return
        kind = media_type(headers)
        if kind not in BODY_TYPES:
            raise Problem(
                415, f"A body is {', '.join(BODY_TYPES[:-1])} or {BODY_TYPES[-1]}, not {kind!r}."
            )
        if headers.get("content-encoding", "identity") != "identity":
            raise Problem(415, "Send the body as it is, without a content encoding.")
        if not length.isdecimal() or int(length) > self.settings.limits.body:
            raise self._too_large()

    def _too_large(self) -> Problem:
        most = self.settings.limits.body / MB
        return Problem(413, f"The body is larger than {most:g} MB; send it in parts.")

    def _limited(self, receive: Receive) -> Receive:
        """Return what receives no more, and waits no longer, than the limits say."""
        seconds = self.settings.limits.seconds
        deadline, taken, is_whole = time.monotonic() + seconds, 0, False

        async def receive_limited() -> Message:
            nonlocal taken, is_whole
            if is_whole:  # A route listens for the end of the connection.
                return await receive()
            try:
                left = deadline - time.monotonic()
                message = await asyncio.wait_for(receive(), left)
            except asyncio.TimeoutError:
                raise Problem(
                    408, f"The body did not arrive within {seconds:g} s.", Connection="close"
                ) from None
            taken += len(message.get("body", b""))
            is_whole = not message.get("more_body", False)
            if taken > self.settings.limits.body:
                raise self._too_large()
            return message

        return receive_limited


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()


def _name(host: str) -> str:
    """Return the name in a Host header, without the port."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""
