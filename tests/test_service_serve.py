"""``prodcat serve`` as a process: a line when it answers, a stop that loses nothing, refusals."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pandas as pd
import pytest
from command import ENVIRONMENT, prodcat

from prodcat_index.index.product_index import ProductIndex

TOKEN = "0123456789abcdef"
HEADERS = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    names = ["red boot", "blue boot", "green boot", "oak table", "ash table", "elm table"]
    frame = pd.DataFrame({"id": list("abcdef"), "title": names, "category": ["B"] * 3 + ["T"] * 3})
    folder = tmp_path_factory.mktemp("served") / "index"
    (folder.parent / "tokens").write_text(f"ann:{TOKEN}\n")
    (folder.parent / "tokens").chmod(0o600)
    return ProductIndex.build(frame, encoders={"title": "lexical:8"}).save(folder)


@contextmanager
def process(index: Path, *options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    command = [sys.executable, "-m", "prodcat_index", "serve", str(index), "--port", "0", *options]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT
    ) as running:
        try:
            assert running.stdout
            line = running.stdout.readline()
            start = f"Serving {index} at "
            assert line.startswith(f"{start}http://127.0.0.1:"), running.communicate()
            yield running, line.removeprefix(start).strip()
        finally:
            running.kill()


def test_a_stop_finishes_the_request_that_is_being_sent(index: Path) -> None:
    """Each new version of a shop's service would cost the requests of that moment."""
    options = ["--token-file", str(index.parent / "tokens"), "--writable"]
    with process(index, *options) as (running, url):
        assert httpx.get(f"{url}/readyz").json()["status"] == "ok"
        assert httpx.get(f"{url}/index").status_code == 401
        body = json.dumps({"id": "g", "title": "pine table", "category": "T"}).encode()
        head = f"POST /cards HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n"
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        address = urlsplit(url)
        with socket.create_connection((address.hostname, address.port or 0)) as sent:
            sent.sendall(head.encode() + body[:10])
            while (
                "prodcat_requests_running 2.0"
                not in httpx.get(f"{url}/metrics", headers=HEADERS).text
            ):
                pass
            running.send_signal(signal.SIGTERM)
            with pytest.raises(httpx.TransportError):  # nothing new is taken
                while True:
                    httpx.get(f"{url}/healthz")
            sent.sendall(body[10:])
            assert sent.recv(100).startswith(b"HTTP/1.1 201 ")
        assert running.wait(30) == 0
        assert running.stderr
        lines = [json.loads(line) for line in running.stderr.read().splitlines()]
    assert ("POST", "/cards", 201, "ann") in {
        (line.get("method"), line.get("path"), line.get("status"), line.get("caller"))
        for line in lines
    }
    assert ProductIndex.load(index).card("g").title == "pine table"


def test_an_interrupt_is_a_stop_as_well(index: Path) -> None:
    with process(index) as (running, url):
        assert httpx.get(f"{url}/index").json()["cards"] >= 6
        running.send_signal(signal.SIGINT)
        assert running.wait(30) == 0


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (("--writable",), 1, "Only owners of tokens may change the index; give --token-file."),
        (("--host", "0.0.0.0"), 1, "Whoever reaches 0.0.0.0 could ask this service"),
        (("--token-file", "none"), 1, "The token file none cannot be read: No such file"),
        (("--rate", "often"), 2, "'often' is no rate; give one such as 600/minute."),
        (("--host", "192.0.2.1", "--token-file", "tokens"), 1, "cannot be listened at"),
        (("--path-prefix", "shop"), 1, "'shop' is no path prefix; give one such as /prodcat."),
    ],
)
def test_a_call_that_would_not_be_safe_ends_in_words(
    index: Path, options: tuple[str, ...], code: int, said: str
) -> None:
    ended = prodcat("serve", index, *options, cwd=index.parent)
    assert (ended.code, ended.out) == (code, "")
    assert said in ended.err


def test_a_port_that_is_taken_is_told(index: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ended = prodcat("serve", index, "--port", taken.getsockname()[1])
    assert ended.code == 1
    assert "cannot be listened at: Address already in use" in ended.err


def test_a_token_file_that_all_may_read_is_noticed(index: Path, tmp_path: Path) -> None:
    path = tmp_path / "tokens"
    path.write_text(f"ann:{TOKEN}\n")
    path.chmod(0o644)
    ended = prodcat("serve", index, "--token-file", path, "--host", "192.0.2.1")
    assert "can be read by all users of this machine" in ended.err
