"""The device, its precision, and batches that do not fit into memory."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, get_ident
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pytest

from prodcat_index.encoders import device
from prodcat_index.encoders.device import infer, pick_device, run_with_oom_backoff
from prodcat_index.errors import EncoderError
from prodcat_index.progress import note_once

if TYPE_CHECKING:
    import torch


def test_the_device_that_is_asked_for_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "_available_devices", lambda: ["cuda", "cpu"])
    monkeypatch.delenv("PRODCAT_DEVICE", raising=False)
    assert pick_device() == "cuda"
    monkeypatch.setenv("PRODCAT_DEVICE", "auto")
    assert pick_device() == "cuda"
    monkeypatch.setenv("PRODCAT_DEVICE", "cpu")
    assert pick_device() == "cpu"


def test_a_device_that_is_not_here_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Never the CPU in silence, where a GPU was asked for."""
    monkeypatch.setattr(device, "_available_devices", lambda: ["cpu"])
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
        workers.append(get_ident())
        return torch.ones(1, 2)

    meet = Barrier(4)
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
