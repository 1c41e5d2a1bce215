"""Where and how a network runs: the device, its precision, and what fits into its memory."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from functools import cache
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from prodcat_index.encoders.base import FloatArray
from prodcat_index.encoders.options import Precision
from prodcat_index.errors import EncoderError

if TYPE_CHECKING:
    import torch

DEVICE_VARIABLE = "PRODCAT_DEVICE"
DEVICES = ("auto", "cuda", "mps", "cpu")

_GPU = ThreadPoolExecutor(1)
_T = TypeVar("_T")


def pick_device() -> str:
    """Return ``cuda``, ``mps`` or ``cpu``: the one that ``PRODCAT_DEVICE`` names, or the fastest.

    Raises
    ------
    EncoderError
        If the one that is named is unknown or not here.
    """
    wanted = os.environ.get(DEVICE_VARIABLE) or "auto"
    here = _devices_here()
    if wanted == "auto":
        return here[0]
    if wanted not in here:
        raise EncoderError(
            f"There is no device {wanted!r} that torch can use here; "
            f"choose one of auto, {', '.join(here)}."
        )
    return wanted


def _devices_here() -> list[str]:
    import torch

    found = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    return [*(name for name, is_here in found.items() if is_here), "cpu"]


def has_bfloat16() -> bool:
    """Tell whether this CPU multiplies bfloat16 numbers itself, at twice the speed."""
    import torch

    ask = getattr(torch.cpu, "get_capabilities", dict[str, bool])
    known = ask()
    return bool(known.get("avx512_bf16") or known.get("amx_bf16"))


def quick_precision(device: str, precision: Precision | None) -> Precision | None:
    """Return the precision to compute in: bfloat16 not on a CPU that would only imitate it.

    Parameters
    ----------
    device
        As :func:`pick_device` returns it.
    precision
        That is asked for; None for the device's own.
    """
    imitated = precision == "bfloat16" and device == "cpu" and not has_bfloat16()
    return None if imitated else precision


def each_core_alone() -> ThreadPoolExecutor:
    """Open a pool of a thread for every core, each of which computes without further threads.

    Threads that share a batch wait for each other, which is ruinous on a busy machine.
    """
    return ThreadPoolExecutor(_cores(), initializer=_use_one_thread)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _use_one_thread() -> None:
    import torch

    torch.set_num_threads(1)


def infer(
    device: str, precision: Precision | None, network: Callable[[], torch.Tensor]
) -> FloatArray:
    """Run a network without gradients, in half precision on CUDA unless another is asked for.

    A GPU works on one batch at a time, while other threads prepare the next ones, and always for
    the same thread: cuDNN plans every kind of convolution anew in each thread, about a second each
    time, in which it embeds hundreds of pictures.

    Parameters
    ----------
    device
        As :func:`pick_device` returns it.
    precision
        None for the device's own.
    network
        Computes a batch.

    Returns
    -------
    numpy.ndarray
        float32: what the network returned.
    """
    import torch

    own = "float16" if device == "cuda" else "float32"
    dtype: torch.dtype = getattr(torch, precision or own)
    cast = nullcontext() if dtype is torch.float32 else torch.autocast(device, dtype=dtype)

    def rows() -> FloatArray:
        with torch.inference_mode(), cast:
            return network().float().cpu().numpy()

    return rows() if device == "cpu" else _GPU.submit(rows).result()


def run_halving(batch: Sequence[_T], forward: Callable[[Sequence[_T]], FloatArray]) -> FloatArray:
    """Run a batch through a network, in halves where it does not fit into memory.

    Parameters
    ----------
    batch
        n values.
    forward
        Returns a row for each of the values that it is given.

    Returns
    -------
    numpy.ndarray
        float32, shape (n, dim).

    Raises
    ------
    EncoderError
        If not even one value fits.
    """
    try:
        return forward(batch)
    except RuntimeError as error:
        if not _is_out_of_memory(error):
            raise
    # Outside of the handler, whose traceback would hold on to the memory of the failed attempt.
    if len(batch) == 1:
        raise EncoderError(
            "There is not enough memory to embed even one card at a time; free some, choose a "
            f"smaller encoder, or set {DEVICE_VARIABLE}=cpu."
        )
    _say_once("the memory is too small for a whole batch; batches are halved.")
    middle = len(batch) // 2
    halves = [run_halving(half, forward) for half in (batch[:middle], batch[middle:])]
    return np.concatenate(halves)


def require_numbers(rows: FloatArray, spec: str) -> FloatArray:
    """Return the rows of an encoder, if every one holds numbers alone.

    Raises
    ------
    EncoderError
        If half precision was too small for them, or the weights are damaged.
    """
    if not np.isfinite(rows).all():
        raise EncoderError(
            f"The encoder {spec} gives values that are no numbers; its weights are damaged, or "
            "need the option precision=float32."
        )
    return rows


def _is_out_of_memory(error: RuntimeError) -> bool:
    import torch

    text = str(error).lower()
    return isinstance(error, torch.cuda.OutOfMemoryError) or any(
        words in text for words in ("out of memory", "not enough memory", "can't allocate memory")
    )


@cache
def _say_once(what: str) -> None:
    print(f"note: {what}", file=sys.stderr)
