"""Where and how a network runs: the device, its precision, and what fits into its memory."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from functools import cache, lru_cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from prodcat_index.encoders.base import Precision
from prodcat_index.errors import EncoderError
from prodcat_index.types import Float32Array

if TYPE_CHECKING:
    import torch


_TALKATIVE = ("transformers", "sentence_transformers")
_OPERATORS = {
    "nms": "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms": "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
}


@lru_cache
def import_with_torch(module: str) -> Any:
    """Import a module that needs torch and torchvision (timm, sentence_transformers)."""
    try:
        import torch

        if torch.version.cuda is None:
            _declare_missing_operators()
        return import_module(module)
    except (ImportError, RuntimeError) as error:
        raise EncoderError(
            f"{module} cannot be imported ({error}); install a matching pair of torch and "
            "torchvision, such as the one in scripts/constraints.txt."
        ) from error


@contextmanager
def quiet() -> Iterator[None]:
    """Keep sentence_transformers and transformers from bars and remarks of their own meanwhile."""
    bars = import_with_torch("transformers.utils.logging")
    shows_bars = bars.is_progress_bar_enabled()
    levels = {name: logging.getLogger(name).level for name in _TALKATIVE}
    try:
        bars.disable_progress_bar()
        for name in _TALKATIVE:
            logging.getLogger(name).setLevel(logging.CRITICAL)
        yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
        if shows_bars:
            bars.enable_progress_bar()


def _declare_missing_operators() -> None:
    import torch

    # The library object must outlive this call, or its operators vanish with it.
    global _library
    _library = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
    for name, signature in _OPERATORS.items():
        if not hasattr(torch.ops.torchvision, name):
            _library.define(signature)


_library: Any = None


DEVICE_VARIABLE = "PRODCAT_DEVICE"
DEVICES = ("auto", "cuda", "mps", "cpu")

_GPU = ThreadPoolExecutor(1)
_T = TypeVar("_T")


def pick_device() -> str:
    """Return ``cuda``, ``mps`` or ``cpu``: what ``PRODCAT_DEVICE`` names, or the fastest here."""
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


def effective_precision(device: str, precision: Precision | None) -> Precision | None:
    """Return the precision to compute in: bfloat16 not on a CPU that would only imitate it."""
    imitated = precision == "bfloat16" and device == "cpu" and not has_bfloat16()
    return None if imitated else precision


def single_threaded_workers() -> ThreadPoolExecutor:
    """Open a pool of a thread for every core, each of which computes without further threads."""
    return ThreadPoolExecutor(_cores(), initializer=_use_one_thread)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _use_one_thread() -> None:
    import torch

    torch.set_num_threads(1)


def infer(
    device: str, precision: Precision | None, network: Callable[[], torch.Tensor]
) -> Float32Array:
    """Run a network without gradients, in half precision on CUDA unless another is asked for."""
    import torch

    own = "float16" if device == "cuda" else "float32"
    dtype: torch.dtype = getattr(torch, precision or own)
    cast = nullcontext() if dtype is torch.float32 else torch.autocast(device, dtype=dtype)

    def rows() -> Float32Array:
        with torch.inference_mode(), cast:
            return network().float().cpu().numpy()

    return rows() if device == "cpu" else _GPU.submit(rows).result()


def run_with_oom_backoff(
    batch: Sequence[_T], forward: Callable[[Sequence[_T]], Float32Array]
) -> Float32Array:
    """Run a batch through a network, in halves where it does not fit into memory."""
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
    halves = [run_with_oom_backoff(half, forward) for half in (batch[:middle], batch[middle:])]
    return np.concatenate(halves)


def check_finite(rows: Float32Array, spec: str) -> Float32Array:
    """Return the rows of an encoder, if every one holds numbers alone."""
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
