"""Models of the hub: the cache first, and sentences when the hub cannot be had."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from huggingface_hub import constants

from prodcat_index.encoders import hub
from prodcat_index.encoders.hub import cached_models, fetch_model
from prodcat_index.errors import EncoderError

WAYS_OUT = "give a local copy as sbert:FOLDER, or take the preset embedded, which needs none."


def fetch() -> Path:
    return fetch_model("owner/name", ("*.json", "*.safetensors"), "sbert:FOLDER")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the hub, and a hub that refuses connections."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    return tmp_path


def put(cache: Path, name: str, *files: str) -> Path:
    """Lay a model into the cache as the hub's client does."""
    folder = cache / f"models--{name.replace('/', '--')}"
    (folder / "refs").mkdir(parents=True)
    (folder / "blobs").mkdir()
    (folder / "refs" / "main").write_text("0" * 40)
    snapshot = folder / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    for file in files:
        (folder / "blobs" / file).write_text("{}")
        (snapshot / file).symlink_to(folder / "blobs" / file)
    return snapshot


class Refusing(BaseHTTPRequestHandler):
    status, headers_sent = 404, {"X-Error-Code": "RepoNotFound"}

    def do_GET(self) -> None:
        self.send_response(self.status)
        for name, value in self.headers_sent.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def refusing_hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A hub that knows no model."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Refusing)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    yield
    server.shutdown()


@pytest.fixture
def silent_hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A hub that takes connections and never answers, as behind some firewalls."""
    monkeypatch.setattr(hub, "TIMEOUT", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{server.getsockname()[1]}")
        yield


def test_what_is_in_the_cache_is_taken_without_the_hub(cache: Path) -> None:
    """An index must go on working offline, and with the weights it was built with."""
    snapshot = put(cache, "owner/name", "config.json", "model.safetensors")
    assert fetch() == snapshot


def test_a_download_that_was_stopped_before_the_weights_is_not_taken(cache: Path) -> None:
    put(cache, "owner/name", "config.json")
    with pytest.raises(EncoderError, match="cannot be downloaded"):
        fetch()


def test_an_unreachable_hub_is_a_sentence_with_two_ways_out() -> None:
    with pytest.raises(EncoderError) as caught:
        fetch()
    message = str(caught.value)
    assert message.startswith(
        "The model owner/name cannot be downloaded (the hub http://127.0.0.1:9 cannot be reached: "
    )
    assert message.endswith(f"refused); {WAYS_OUT}")


@pytest.mark.usefixtures("silent_hub")
def test_a_hub_that_never_answers_is_not_waited_for() -> None:
    """Else a command hangs for ever behind a closed network."""
    started = time.monotonic()
    with pytest.raises(EncoderError, match="cannot be reached: timed out"):
        fetch()
    assert time.monotonic() - started < 20


@pytest.mark.usefixtures("refusing_hub")
def test_an_unknown_model_is_told_from_an_unreachable_hub() -> None:
    with pytest.raises(EncoderError, match="the hub has no such model, or shows it only to those"):
        fetch()


def test_offline_mode_is_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(EncoderError) as caught:
        fetch()
    assert str(caught.value) == (
        "The model owner/name is not in the local cache and HF_HUB_OFFLINE forbids to download "
        f"it; unset that, {WAYS_OUT}"
    )


@pytest.mark.parametrize("name", ["", "a/b/c", "../up", "a b", "https://x/y"])
def test_what_is_no_name_never_reaches_the_hub(name: str) -> None:
    with pytest.raises(EncoderError, match="is neither a model of the hub nor a folder"):
        fetch_model(name, ("*.safetensors",), "sbert:FOLDER")


def test_models_in_the_cache_are_listed(cache: Path) -> None:
    whole = put(cache, "owner/whole", "config.json", "model.safetensors")
    put(cache, "owner/stopped", "config.json")
    assert cached_models() == {"owner/whole": whole}


def test_no_cache_holds_no_models(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache / "nothing"))
    assert cached_models() == {}
