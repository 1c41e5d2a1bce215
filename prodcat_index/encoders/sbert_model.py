"""Loading a model of sentence-transformers from a folder that somebody else may have written."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prodcat_index.digests import sha256_of
from prodcat_index.encoders.hub import cause_of
from prodcat_index.encoders.torch_setup import import_with_torch, quiet
from prodcat_index.errors import EncoderError

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

FILES = ("*.json", "*.txt", "*.model", "*.safetensors")
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
OWN_CODE = "sentence_transformers."
WAY_OUT = "take another model, or the preset embedded"


def digest_of(folder: Path) -> str:
    """Digest names and contents of all the files that decide the embeddings.

    Raises
    ------
    EncoderError
        If the folder holds no model, or one that only running its code or pickles would load.
    """
    _refuse_foreign_code(folder)
    _refuse_pickles(folder)
    files = sorted({path for pattern in FILES for path in folder.rglob(pattern)})
    lines = (f"{path.relative_to(folder).as_posix()} {sha256_of(path)}" for path in files)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


# One for all modalities. The digest is a part of the key, as the files may change in between.
@lru_cache(maxsize=1)
def load_model(
    folder: Path, digest: str, device: str, pooling: str | None, max_length: int | None
) -> SentenceTransformer:
    """Load a model, ready to embed.

    Parameters
    ----------
    folder
        The model, in the form of sentence-transformers.
    digest
        What :func:`digest_of` says of it.
    device
        Where it shall run.
    pooling, max_length
        How to pool tokens, and how many; None for the model's own way.

    Raises
    ------
    EncoderError
        If a file is missing, damaged or does not fit, or the model cannot be changed so.
    """
    library = import_with_torch("sentence_transformers")
    # Damaged files raise errors of almost any class.
    try:
        with quiet():
            model: SentenceTransformer = library.SentenceTransformer(
                str(folder),
                device=device,
                trust_remote_code=False,
                local_files_only=True,
                model_kwargs={"use_safetensors": True},
            )
    except Exception as error:
        raise EncoderError(
            f"The model in {folder} cannot be loaded ({cause_of(error)}); fetch it anew, "
            f"or {WAY_OUT}."
        ) from error
    _refuse_other_tensors(folder, model)
    if pooling is not None:
        _set_pooling(folder, model, pooling)
    if max_length is not None:
        _set_max_length(folder, model, max_length)
    return model.eval()


def _refuse_foreign_code(folder: Path) -> None:
    """Refuse modules from outside of the library; some of its versions would import them."""
    try:
        modules = json.loads((folder / "modules.json").read_text(encoding="utf-8"))
        types = [str(module["type"]) for module in modules]
    except FileNotFoundError:
        types = []
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise EncoderError(
            f"The model in {folder} has a modules.json that cannot be read; fetch it anew, "
            f"or {WAY_OUT}."
        ) from error
    foreign = [name for name in types if not name.startswith(OWN_CODE)]
    if foreign:
        raise EncoderError(
            f"The model in {folder} runs code of its own ({foreign[0]}), which is never "
            f"executed here; {WAY_OUT}."
        )


def _refuse_pickles(folder: Path) -> None:
    if not any(folder.rglob("*.safetensors")):
        pickled = next(iter(_pickles(folder)), None)
        held = f"its weights as {pickled}, which can run code" if pickled else "no weights"
        raise EncoderError(
            f"The folder {folder} holds {held}; it must hold them as safetensors, so save the "
            f"model anew with save_pretrained(..., safe_serialization=True), or {WAY_OUT}."
        )


def _pickles(folder: Path) -> Iterable[str]:
    return (path.name for path in sorted(folder.rglob("*")) if path.suffix in PICKLES)


def _refuse_other_tensors(folder: Path, model: SentenceTransformer) -> None:
    """Refuse weights of another network, in whose place random ones would be used in silence."""
    network = getattr(model[0], "auto_model", None)
    if network is None:
        return
    stored = {_modern(name) for path in folder.rglob("*.safetensors") for name in _names(path)}
    endings = {ending for name in stored for ending in _endings(name)}
    needed = list(network.state_dict())
    missing = [n for n in needed if n not in endings and stored.isdisjoint(_endings(n))]
    # A few may be missing or renamed: poolers that are not used, layers saved under older names.
    if len(missing) > len(needed) / 2:
        raise EncoderError(
            f"The weights in {folder} are not those of the network in its config.json (such as "
            f"{missing[0]}); fetch it anew, or {WAY_OUT}."
        )


def _names(path: Path) -> list[str]:
    from safetensors import safe_open

    with safe_open(path, framework="np") as tensors:
        return list(tensors.keys())


def _modern(name: str) -> str:
    return name.replace("LayerNorm.gamma", "LayerNorm.weight").replace(
        "LayerNorm.beta", "LayerNorm.bias"
    )


def _endings(name: str) -> set[str]:
    """Return a dotted name without none, one, two … of its first parts."""
    parts = name.split(".")
    return {".".join(parts[start:]) for start in range(len(parts))}


def _set_pooling(folder: Path, model: SentenceTransformer, pooling: str) -> None:
    network = getattr(model[0], "auto_model", None)
    places = [place for place, module in enumerate(model) if type(module).__name__ == "Pooling"]
    if network is None or len(places) != 1:
        raise EncoderError(f"The model in {folder} pools no tokens; leave the option pooling out.")
    old: Any = model[places[0]]
    model[places[0]] = type(old)(
        network.config.hidden_size, pooling_mode=pooling, include_prompt=old.include_prompt
    )


def _set_max_length(folder: Path, model: SentenceTransformer, max_length: int) -> None:
    limit = model.max_seq_length
    if limit is None or not math.isfinite(limit):
        raise EncoderError(
            f"The model in {folder} reads texts of any length; leave the option max_length out."
        )
    if max_length > limit:
        raise EncoderError(
            f"The model in {folder} reads at most {limit} tokens; take max_length={limit} or less."
        )
    model.max_seq_length = max_length
