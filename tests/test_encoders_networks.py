"""What network encoders share: models of the hub, the device, and batches beyond the memory."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pytest
from huggingface_hub import constants

from prodcat_index.encoders import networks
from prodcat_index.encoders.networks import (
    cached_models,
    fetch_model,
    infer,
    pick_device,
    run_with_oom_backoff,
)
from prodcat_index.errors import EncoderError
from prodcat_index.progress import note_once

if TYPE_CHECKING:
    import torch

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
    monkeypatch.setattr(networks, "HUB_TIMEOUT", 0.5)
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


def test_the_device_that_is_asked_for_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(networks, "_available_devices", lambda: ["cuda", "cpu"])
    monkeypatch.delenv("PRODCAT_DEVICE", raising=False)
    assert pick_device() == "cuda"
    monkeypatch.setenv("PRODCAT_DEVICE", "auto")
    assert pick_device() == "cuda"
    monkeypatch.setenv("PRODCAT_DEVICE", "cpu")
    assert pick_device() == "cpu"


def test_a_device_that_is_not_here_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Never the CPU in silence, where a GPU was asked for."""
    monkeypatch.setattr(networks, "_available_devices", lambda: ["cpu"])
    monkeypatch.setenv("PRODCAT_DEVICE", "cuda")
    with pytest.raises(EncoderError) as caught:
        pick_device()
    assert str(caught.value) == (
        "There is no device 'cuda' that torch can use here; choose one of auto, cpu."
    )


def test_numbers_are_as_precise_as_asked_and_no_gradients_are_kept() -> None:
    import torch

    weights = torch.ones(4, 4, requires_grad=True)
    products = []

    def network() -> torch.Tensor:
        products.append(torch.mm(weights, weights))
        return products[-1]

    for precision in (None, "bfloat16"):
        rows = infer("cpu", precision, network)
        assert rows.dtype == np.float32
        assert rows.tolist() == [[4.0] * 4] * 4
    assert [product.dtype for product in products] == [torch.float32, torch.bfloat16]
    assert not any(product.requires_grad for product in products)


def test_a_gpu_always_works_for_the_same_thread() -> None:
    """Each thread's first batch took it a second, so that 16 cores embedded slower than one."""
    import torch

    workers = []

    def network() -> torch.Tensor:
        workers.append(threading.get_ident())
        return torch.ones(1, 2)

    meet = threading.Barrier(4)
    with ThreadPoolExecutor(4) as pool:
        asked = pool.map(lambda _: (meet.wait(), infer("cuda", "float32", network)), range(4))
        assert all(rows.tolist() == [[1.0, 1.0]] for _, rows in asked)
    assert len(workers) == 4
    assert len(set(workers)) == 1


class Memory:
    """A network that has room for so many values at once."""

    def __init__(self, room: int, error: Exception) -> None:
        self.room = room
        self.error = error
        self.batches: list[int] = []

    def forward(self, batch: Sequence[int]) -> npt.NDArray[np.float32]:
        self.batches.append(len(batch))
        if len(batch) > self.room:
            raise self.error
        return np.array([[value] for value in batch], dtype=np.float32)


def out_of_memory_errors() -> list[Exception]:
    import torch

    return [
        torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
        RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: not enough memory"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate"),
    ]


@pytest.mark.parametrize("which", range(3))
def test_a_batch_that_does_not_fit_is_halved_and_that_is_said_once(
    which: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """Else a long run dies on its longest texts."""
    note_once.cache_clear()
    memory = Memory(3, out_of_memory_errors()[which])
    for _ in range(2):
        rows = run_with_oom_backoff(range(10), memory.forward)
        assert rows.ravel().tolist() == list(range(10))
    assert memory.batches[:4] == [10, 5, 2, 3]
    assert capsys.readouterr().err == (
        "note: the memory is too small for a whole batch; batches are halved.\n"
    )


def test_one_value_that_does_not_fit_is_an_error_in_words() -> None:
    memory = Memory(0, out_of_memory_errors()[0])
    with pytest.raises(EncoderError, match="not enough memory to embed even one card"):
        run_with_oom_backoff(range(4), memory.forward)


def test_other_errors_of_a_network_are_not_taken_for_lack_of_memory() -> None:
    memory = Memory(0, RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    with pytest.raises(RuntimeError, match="cannot be multiplied"):
        run_with_oom_backoff(range(4), memory.forward)
    assert memory.batches == [4]
