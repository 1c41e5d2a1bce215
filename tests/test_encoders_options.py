"""Options in a spec, the device, and batches that do not fit into memory."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, get_ident
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from prodcat_index.encoders import device
from prodcat_index.encoders.base import Options, Precision, join_options, split_options
from prodcat_index.encoders.device import infer, pick_device, run_with_oom_backoff
from prodcat_index.errors import EncoderError
from prodcat_index.progress import note_once

if TYPE_CHECKING:
    import torch


class Sample(Options):
    prefix: str | None = Field(None, description="a text")
    size: int | None = Field(None, ge=1, le=99, description="a whole number from 1 to 99")
    precision: Precision | None = Field(None, description="float32 or bfloat16")


def test_name_and_options_are_told_apart() -> None:
    name, options = split_options("owner/name?prefix=query: &size=7", Sample)
    assert name == "owner/name"
    assert options == Sample(prefix="query: ", size=7)


def test_without_options_everything_is_as_the_model_has_it() -> None:
    for argument in ("owner/name", "owner/name?"):
        assert split_options(argument, Sample) == ("owner/name", Sample())
    assert join_options("owner/name", Sample()) == "owner/name"


def test_the_order_and_the_spelling_of_options_do_not_change_the_spec() -> None:
    """Else one encoder would be two in the cache and in comparisons of indexes."""
    spellings = ("n?size=7&prefix=query: ", "n?prefix=query%3A%20&size=07")
    specs = {join_options(*split_options(spelling, Sample)) for spelling in spellings}
    assert specs == {"n?prefix=query:%20&size=7"}


@given(st.text(st.characters(exclude_categories=["Cs"])), st.integers(1, 99))
def test_a_spec_is_read_as_it_was_written(prefix: str, size: int) -> None:
    """An index keeps the spec and makes its encoder from it again."""
    options = Sample(prefix=prefix, size=size)
    spec = join_options("name", options)
    assert split_options(spec, Sample) == ("name", options)
    assert spec.split() == [spec]


def test_a_plus_is_a_plus() -> None:
    assert split_options("n?prefix=C++ ", Sample)[1].prefix == "C++ "


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("n?sise=7", "There is no option 'sise' in n?sise=7; the options here are prefix, size, "),
        ("n?size=many", "The option size=many of n?size=many is wrong; it must be a whole number"),
        ("n?size=0", "it must be a whole number from 1 to 99."),
        ("n?precision=int8", "it must be float32 or bfloat16."),
        ("n?size=7&size=8", "What follows ? in n?size=7&size=8 must be key=value&key=value"),
        ("a folder?/with it", "a file or folder with ? in its name must be renamed."),
    ],
)
def test_a_wrong_option_is_refused_in_a_sentence(argument: str, message: str) -> None:
    with pytest.raises(EncoderError) as caught:
        split_options(argument, Sample)
    assert message in str(caught.value)


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
