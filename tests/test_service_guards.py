"""What no request gets past: who asks, from where, how much and how often; over a real socket."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request

from prodcat_index.service import serve as serving
from prodcat_index.service.guards import Guard, SecurityHeaders
from prodcat_index.service.monitoring import Metrics, Monitor
from prodcat_index.service.problem_details import handle_problems
from prodcat_index.service.settings import Limits, ServeSettings

ANN, BOB = "0123456789abcdef", "fedcba9876543210"


class Lines:
    """A logger that keeps what it is told."""

    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []

    def info(self, event: str, **values: Any) -> None:
        self.lines.append({"event": event, **values})

    error = info


def guarded(**options: Any) -> FastAPI:
    """An application with all guards, and routes that tell what they were given."""
    settings = ServeSettings(Path("none"), **options)
    app = FastAPI(docs_url=None)
    app.state.log, app.state.metrics = Lines(), Metrics()
    handle_problems(app)
    app.add_middleware(Guard, settings=settings)
    app.add_middleware(Monitor, settings=settings, metrics=app.state.metrics, log=app.state.log)
    app.add_middleware(SecurityHeaders)

    @app.get("/who")
    async def who(request: Request) -> dict[str, Any]:
        request.state.texts = ["secret text"]
        return {"caller": request.state.caller, "url": str(request.url_for("who").path)}

    @app.get("/fail")
    async def fail() -> None:
        raise RuntimeError("/srv/secret/path")

    @app.get("/slow")
    async def slow() -> str:
        time.sleep(0.3)
        return "finished"

    @app.get("/healthz")
    async def healthz() -> str:
        return "ok"

    @app.post("/count")
    async def count(request: Request) -> int:
        return len(await request.body())

    return app


@contextmanager
def running(**options: Any) -> Iterator[httpx.Client]:
    """A real server of that application."""
    settings = ServeSettings(Path("none"), **options)
    app = guarded(**options)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = serving.Server(app, settings)
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.005)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        try:
            with httpx.Client(base_url=url, timeout=20) as client:
                client.app, client.server = app, server  # type: ignore[attr-defined]
                yield client
        finally:
            server.should_exit = True
            thread.join()


@pytest.fixture(scope="module")
def plain() -> Iterator[httpx.Client]:
    with running(limits=Limits(body=100_000, seconds=0.5)) as client:
        yield client


@pytest.fixture(scope="module")
def closed() -> Iterator[httpx.Client]:
    tokens = {ANN: "ann", BOB: "bob"}
    with running(tokens=tokens, path_prefix="/prodcat", allowed_hosts=("shop.example",)) as client:
        yield client


def raw(client: httpx.Client, *parts: bytes, pause: float = 0.0, wait: float = 5.0) -> bytes:
    """Send bytes as they are, and return all that comes back until the end of the connection."""
    with socket.create_connection((client.base_url.host, client.base_url.port or 80)) as sent:
        sent.settimeout(wait)
        for part in parts:
            try:
                sent.sendall(part)
            except (BrokenPipeError, ConnectionResetError):
                break
            time.sleep(pause)
        return received(sent)


def received(connection: socket.socket) -> bytes:
    answer = b""
    try:
        while part := connection.recv(65536):
            answer += part
    except (TimeoutError, ConnectionResetError):
        pass
    return answer


def post(*headers: bytes, body: bytes = b"") -> bytes:
    lines = [b"POST /count HTTP/1.1", b"Host: localhost", b"Content-Type: application/json"]
    return b"\r\n".join([*lines, *headers, b"", body])


def check_problem(answer: httpx.Response, status: int, *said: str) -> None:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == status
    assert problem["request_id"] == answer.headers["x-request-id"]
    for each in said:
        assert each in problem["detail"]
    assert problem["detail"].endswith(".")


def test_every_answer_tells_browsers_to_run_nothing_else(plain: httpx.Client) -> None:
    """A text of a listing that became a script would act as the person who looks at it."""
    for path in ("/who", "/nothing", "/fail"):
        headers = plain.get(path).headers
        policy = headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self';")
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["cache-control"] == "no-store"
        assert "server" not in headers


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "", "a@b", "[::", "0"])
def test_a_name_that_was_pointed_at_us_is_refused(plain: httpx.Client, host: str) -> None:
    """DNS rebinding: a page of another site would read the shop's cards."""
    check_problem(plain.get("/who", headers={"Host": host}), 421, "--allowed-host")


def test_our_own_names_are_answered(plain: httpx.Client, closed: httpx.Client) -> None:
    for host in ("localhost:8000", "127.0.0.1", "[::1]:80", "LOCALHOST"):
        assert plain.get("/who", headers={"Host": host}).status_code == 200
    headers = {"Host": "shop.example", "Authorization": f"Bearer {ANN}"}
    assert closed.get("/who", headers=headers).status_code == 200


def test_a_page_of_another_site_cannot_ask(plain: httpx.Client) -> None:
    """A form on a foreign page would use the computer of whoever opens it."""
    for origin in ("https://evil.example", "null", "http://[::1", "localhost"):
        check_problem(plain.get("/who", headers={"Origin": origin}), 403, "--allowed-host")
    assert plain.get("/who", headers={"Origin": "http://localhost:5000"}).status_code == 200


def test_whoever_has_no_token_gets_no_card(closed: httpx.Client) -> None:
    given = ("", "Bearer", "Bearer x", f"Basic {ANN}", f"Bearer {ANN[:-1]}", f"Bearer {ANN}{BOB}")
    for value in given:
        answer = closed.get("/who", headers={"Authorization": value} if value else {})
        check_problem(answer, 401, "Authorization: Bearer TOKEN")
        assert answer.headers["www-authenticate"] == "Bearer"
    for path in (b"/metrics", b"/nothing", b"/index.html/../who", b"//who", b"/%2e%2e/who"):
        answered = raw(closed, b"GET " + path + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", wait=0.1)
        assert answered.startswith(b"HTTP/1.1 401 "), path


def test_a_token_names_its_owner(closed: httpx.Client) -> None:
    for token, name in ((ANN, "ann"), (BOB, "bob")):
        answer = closed.get("/who", headers={"Authorization": f"bearer {token}"})
        assert answer.json() == {"caller": name, "url": "/prodcat/who"}


def test_the_page_and_the_health_need_no_token(closed: httpx.Client) -> None:
    """The page could not ask for the token, and a balancer has none."""
    assert closed.get("/healthz").json() == "ok"
    head = closed.head("/healthz")
    assert (head.status_code, head.content) == (200, b"")
    for path in ("/", "/main.js", "/docs"):  # let through, though there is none here
        assert closed.get(path).status_code == 404


def test_a_path_prefix_holds_whether_the_proxy_keeps_it_or_not(closed: httpx.Client) -> None:
    for path in ("/prodcat/who", "/who"):
        answer = closed.get(path, headers={"Authorization": f"Bearer {ANN}"})
        assert answer.json()["url"] == "/prodcat/who"
    assert closed.get("/prodcatalogue/who").status_code == 401


def test_what_is_too_large_is_refused_before_it_is_read(plain: httpx.Client) -> None:
    check_problem(
        plain.post("/count", content=b"{" * 100_001, headers={"Content-Type": "application/json"}),
        413,
        "larger than 0.0953674 MB",
    )
    # The head alone is enough to know.
    answer = raw(plain, post(b"Content-Length: 104857600"), wait=0.5)
    assert answer.startswith(b"HTTP/1.1 413 ")


def test_a_hundred_megabytes_in_chunks_are_not_kept(plain: httpx.Client) -> None:
    """A client that tells no length would fill the memory."""
    chunk = b"100000\r\n" + bytes(1 << 20) + b"\r\n"
    answer = raw(plain, post(b"Transfer-Encoding: chunked"), *[chunk] * 100, wait=0.5)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert plain.post("/count", json="x").json() == 3


def test_a_slow_upload_ends(plain: httpx.Client) -> None:
    """Some hundred clients that send a byte now and then would keep all others out."""
    parts = [post(b"Content-Length: 50"), *[b"x"] * 8]
    answer = raw(plain, *parts, pause=0.1)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"did not arrive within 0.5 s" in answer


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "", "application/xml"]
)
def test_a_body_of_another_type_is_refused(plain: httpx.Client, kind: str) -> None:
    """What a form of a foreign page can send without a question of the browser is among these."""
    answer = plain.post("/count", content=b"{}", headers={"Content-Type": kind})
    check_problem(answer, 415, "application/json, multipart/form-data or application/x-ndjson")


def test_a_compressed_body_is_refused(plain: httpx.Client) -> None:
    """Some kilobytes could become gigabytes."""
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    check_problem(plain.post("/count", content=b"x", headers=headers), 415, "content encoding")


SMUGGLED = b"0\r\n\r\nGET /who HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.mark.parametrize(
    "headers",
    [
        (b"Content-Length: 4", b"Transfer-Encoding: chunked"),
        (b"Transfer-Encoding: chunked", b"Content-Length: 4"),
        (b"Content-Length: 4", b"Content-Length: 50"),
        (b"Content-Length: 4, 50",),
        (b"Content-Length: +4",),
        (b"Content-Length: -1",),
        (b"Transfer-Encoding: xchunked",),
        (b"Transfer-Encoding : chunked",),
        (b"Transfer-Encoding:\x0bchunked",),
        (b"Content-Length: 0x4",),
        (b"Content-Length: 99999999999999999999999",),
    ],
)
def test_a_request_cannot_be_hidden_in_another(
    plain: httpx.Client, headers: tuple[bytes, ...]
) -> None:
    """A proxy and the service that disagree where a request ends let one past the proxy's rules."""
    answer = raw(plain, post(*headers, body=SMUGGLED), wait=0.4)
    assert answer.count(b"HTTP/1.1 ") == 1, answer
    assert answer.split()[1] in (b"400", b"413"), answer


@pytest.mark.parametrize(
    "sent",
    [
        b"GET /who HTTP/1.x\r\nHost: localhost\r\n\r\n",
        b"GET /who HTTP/1.1\r\nHost: localhost\nX: \x00\r\n\r\n",
        b"GET /who HTTP/9.9\r\nHost: localhost\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 20,
        b"GET /who HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 400_000 + b"\r\n\r\n",
        b"GET /" + b"x" * 400_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ],
    ids=["version", "nul", "future", "tls", "header", "path"],
)
def test_a_head_that_is_none_is_refused(plain: httpx.Client, sent: bytes) -> None:
    answer = raw(plain, *[sent[at : at + 50_000] for at in range(0, len(sent), 50_000)], wait=0.4)
    if answer:  # what is cut off in the middle of a long head may see none
        head, body = answer.split(b"\r\n\r\n", 1)
        assert head.startswith(b"HTTP/1.1 400 "), head
        assert b"content-security-policy: default-src 'none'" in head.lower()
        assert json.loads(body)["status"] == 400
    assert plain.get("/who").status_code == 200


def test_a_head_that_does_not_end_is_not_waited_for(
    plain: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thousand connections that say nothing would keep all others out."""
    monkeypatch.setattr(serving, "PATIENCE", 0.2)
    started = time.monotonic()
    for sent in (b"", b"GET /who HTTP/1.1\r\nHost: local"):
        assert raw(plain, sent) == b""
    assert time.monotonic() - started < 4, "the server closed both, not this client"


def test_those_who_ask_too_often_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """One program in a loop would leave nothing for the others."""
    with running(tokens={ANN: "ann", BOB: "bob"}, limits=Limits(rate="3/hour")) as client:
        asked = [{"Authorization": f"Bearer {ANN}"}] * 4 + [{"Authorization": f"Bearer {BOB}"}]
        answers = [client.get("/who", headers=headers) for headers in asked]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 200]
        check_problem(answers[3], 429, "3 per 1 hour")
        assert 1 <= int(answers[3].headers["retry-after"]) <= 3600
        # Whoever guesses tokens is counted by address.
        guesses = [client.get("/who", headers={"Authorization": f"Bearer {n}"}) for n in range(4)]
        assert [answer.status_code for answer in guesses] == [401, 401, 401, 429]


def test_an_error_of_ours_tells_nothing_of_the_inside(plain: httpx.Client) -> None:
    answer = plain.get("/fail")
    check_problem(answer, 500, "the service's log tells what")
    assert "secret" not in answer.text
    line = plain.app.state.log.lines[-1]  # type: ignore[attr-defined]
    assert isinstance(line["exc_info"], RuntimeError)
    assert line["request_id"] == answer.json()["request_id"]


def test_the_log_holds_a_line_a_request_without_its_texts(plain: httpx.Client) -> None:
    """Listings that are not published yet would lie in a log that many read."""
    plain.get("/who?title=secret+words", headers={"X-Request-Id": "from-the-proxy_1"})
    line = plain.app.state.log.lines[-1]  # type: ignore[attr-defined]
    assert {name: line[name] for name in ("event", "request_id", "method", "path", "status")} == {
        "event": "request",
        "request_id": "from-the-proxy_1",
        "method": "GET",
        "path": "/who",
        "status": 200,
    }
    assert "secret" not in json.dumps(line)


def test_texts_are_logged_where_that_is_asked_for() -> None:
    with running(log_texts=True) as client:
        client.get("/who?title=words")
        line = client.app.state.log.lines[-1]  # type: ignore[attr-defined]
        assert (line["query"], line["texts"]) == ("title=words", ["secret text"])


def test_an_id_that_would_break_the_log_is_not_taken(plain: httpx.Client) -> None:
    for given in ("a b", "x" * 65, '"}', ""):
        answer = plain.get("/who", headers={"X-Request-Id": given})
        assert answer.headers["x-request-id"] != given


def test_requests_are_counted_by_route_and_status() -> None:
    with running() as client:
        for path in ("/who", "/who", "/nothing-1", "/nothing-2"):
            client.get(path)
        value = client.app.state.metrics.registry.get_sample_value  # type: ignore[attr-defined]
        named = {"method": "GET", "route": "/who", "status": "200"}
        assert value("prodcat_requests_total", named) == 2
        # Any number of paths is one line.
        named |= {"route": "other", "status": "404"}
        assert value("prodcat_requests_total", named) == 2
        assert value("prodcat_request_seconds_count", {"route": "/who"}) == 2
        assert value("prodcat_requests_running") == 0


def test_a_stop_finishes_what_was_taken() -> None:
    """An answer that was computed would be lost, and a change that was made not confirmed."""
    with running() as client:
        answers: list[httpx.Response] = []
        thread = threading.Thread(target=lambda: answers.append(client.get("/slow")))
        thread.start()
        while not client.server.server_state.tasks:  # type: ignore[attr-defined]
            time.sleep(0.001)
        # Sent while the server is busy, and not read yet.
        later = socket.create_connection((client.base_url.host, client.base_url.port or 80))
        later.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        client.server.should_exit = True  # type: ignore[attr-defined]
        thread.join()
        with later:
            assert received(later).endswith(b'"ok"')
    assert answers[0].json() == "finished"
