"""Where and how a network runs: the device, its precision, and what fits into its memory."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from functools import lru_cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from prodcat_index.encoders.base import Encoder, Precision
from prodcat_index.errors import EncoderError
from prodcat_index.progress import note_once, progress_bar
from prodcat_index.types import Float32Array

if TYPE_CHECKING:
    import torch


DEVICE_VARIABLE = "PRODCAT_DEVICE"
DEVICES = ("auto", "cuda", "mps", "cpu")

_CHATTY_LIBRARIES = ("transformers", "sentence_transformers")
_OUT_OF_MEMORY = ("out of memory", "not enough memory", "can't allocate memory")
# One thread for all: a GPU plans its convolutions anew for every thread that computes on it.
_GPU_THREAD = ThreadPoolExecutor(1)
_T = TypeVar("_T")


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


# Cached for ever: when the library object is collected, its operators vanish with it.
@lru_cache
def _declare_missing_operators() -> Any:
    """Declare the operators that a torchvision for CUDA lacks beside a torch for CPUs."""
    import torch

    library: Any = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
    for name in ("nms", "qnms"):
        if not hasattr(torch.ops.torchvision, name):
            schema = f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
            library.define(schema)
    return library


@contextmanager
def quiet() -> Iterator[None]:
    """Silence the progress bars and log messages of sentence_transformers and transformers."""
    bars = import_with_torch("transformers.utils.logging")
    shows_bars = bars.is_progress_bar_enabled()
    levels = {name: logging.getLogger(name).level for name in _CHATTY_LIBRARIES}
    try:
        bars.disable_progress_bar()
        for name in levels:
            logging.getLogger(name).setLevel(logging.CRITICAL)
        yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
        if shows_bars:
            bars.enable_progress_bar()


def pick_device() -> str:
    """Return ``cuda``, ``mps`` or ``cpu``: what ``PRODCAT_DEVICE`` names, or the fastest here."""
    wanted = os.environ.get(DEVICE_VARIABLE) or "auto"
    available = _available_devices()
    if wanted == "auto":
        return available[0]
    if wanted not in available:
        raise EncoderError(
            f"There is no device {wanted!r} that torch can use here; "
            f"choose one of auto, {', '.join(available)}."
        )
    return wanted


def _available_devices() -> list[str]:
    import torch

    found = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    return [*(name for name, is_available in found.items() if is_available), "cpu"]


def has_bfloat16() -> bool:
    """Return whether this CPU multiplies bfloat16 numbers itself, at twice the speed."""
    import torch

    # Older versions of torch have no such function.
    capabilities = getattr(torch.cpu, "get_capabilities", dict[str, bool])()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def effective_precision(device: str, precision: Precision | None) -> Precision | None:
    """Return the precision to compute in: bfloat16 not on a CPU that would only imitate it."""
    imitated = precision == "bfloat16" and device == "cpu" and not has_bfloat16()
    return None if imitated else precision


def single_threaded_workers() -> ThreadPoolExecutor:
    """Open a pool of a thread for every core, each of which computes without further threads."""
    import torch

    # The cores that this process may use, where the system tells them.
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    return ThreadPoolExecutor(cores, initializer=torch.set_num_threads, initargs=(1,))


def embed_on_every_core(
    encoder: Encoder,
    values: Sequence[str],
    size: int,
    embed: Callable[[Sequence[str]], Float32Array],
    label: str,
) -> Float32Array:
    """Embed values in batches of `size`, one thread a core, behind a bar; float32 (n, dim)."""
    rows = np.zeros((len(values), encoder.dim), dtype=np.float32)
    starts = range(0, len(values), size)
    batches = [values[start : start + size] for start in starts]
    with progress_bar(len(values), label, encoder.reads) as bar, single_threaded_workers() as pool:
        for start, embedded in zip(starts, pool.map(embed, batches), strict=True):
            rows[start : start + size] = embedded
            bar.update(len(embedded))
    return rows


def infer(
    device: str, precision: Precision | None, network: Callable[[], torch.Tensor]
) -> Float32Array:
    """Run a network without gradients, by default in half precision on CUDA."""
    import torch

    default = "float16" if device == "cuda" else "float32"
    dtype: torch.dtype = getattr(torch, precision or default)
    cast = nullcontext() if dtype is torch.float32 else torch.autocast(device, dtype=dtype)

    def rows() -> Float32Array:
        with torch.inference_mode(), cast:
            return network().float().cpu().numpy()

    return rows() if device == "cpu" else _GPU_THREAD.submit(rows).result()


def run_with_oom_backoff(
    batch: Sequence[_T], forward: Callable[[Sequence[_T]], Float32Array]
) -> Float32Array:
    """Run a batch through a network, in halves where it does not fit into memory."""
    import torch

    try:
        return forward(batch)
    except RuntimeError as error:
        text = str(error).lower()
        is_out_of_memory = any(words in text for words in _OUT_OF_MEMORY)
        if not is_out_of_memory and not isinstance(error, torch.cuda.OutOfMemoryError):
            raise
    # Outside of the handler, whose traceback would hold on to the memory of the failed attempt.
    if len(batch) == 1:
        raise EncoderError(
            "There is not enough memory to embed even one card at a time; free some, choose a "
            f"smaller encoder, or set {DEVICE_VARIABLE}=cpu."
        )
    note_once("the memory is too small for a whole batch; batches are halved.")
    middle = len(batch) // 2
    halves = [run_with_oom_backoff(half, forward) for half in (batch[:middle], batch[middle:])]
    return np.concatenate(halves)


def check_finite(rows: Float32Array, spec: str) -> Float32Array:
    """Return the rows of an encoder; raise EncoderError if one holds NaN or infinity."""
    if not np.isfinite(rows).all():
        raise EncoderError(
            f"The encoder {spec} gives values that are no numbers; its weights are damaged, or "
            "need the option precision=float32."
        )
    return rows
