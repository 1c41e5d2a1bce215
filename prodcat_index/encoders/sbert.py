"""Texts through a sentence-transformers model: a network, or a table of static embeddings.

``sbert:NAME`` is a model of the Hugging Face hub, ``sbert:FOLDER`` one that is here already. Only
safetensors are read, and no code that comes with a model is ever executed.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Sequence
from copy import deepcopy
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from pydantic import Field

from prodcat_index.encoders.base import (
    Encoded,
    Encoder,
    Options,
    Precision,
    join_options,
    split_options,
    unit_rows,
)
from prodcat_index.encoders.device import (
    check_finite,
    has_bfloat16,
    import_with_torch,
    infer,
    pick_device,
    quiet,
    run_with_oom_backoff,
    single_threaded_workers,
)
from prodcat_index.encoders.hub import cause_of, fetch_model
from prodcat_index.errors import EncoderError
from prodcat_index.files import sha256_of
from prodcat_index.progress import progress_bar
from prodcat_index.types import Float32Array

if TYPE_CHECKING:
    import torch
    from sentence_transformers import SentenceTransformer


FILES = ("*.json", "*.txt", "*.model", "*.safetensors")
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
OWN_CODE = "sentence_transformers."
WAY_OUT = "take another model, or the preset embedded"


def digest_of(folder: Path) -> str:
    """Digest names and contents of all the files that decide the embeddings."""
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
    """Load a model, ready to embed."""
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


SCHEME = "sbert"
LIBRARY = "sentence-transformers"
# Small batches stay in the cache of a CPU: measured in docs/decisions.md.
BATCH = {"cpu": 8, "mps": 64, "cuda": 256}
# A tokenizer is no place for two threads at once.
_TOKENIZER = Lock()

Pooling = Literal["mean", "cls", "max", "lasttoken", "weightedmean", "mean_sqrt_len_tokens"]


class SbertOptions(Options):
    """What a spec may say of a model; what it leaves out is as the model has it."""

    prefix: str | None = Field(None, description="what to put before every text")
    pooling: Pooling | None = Field(None, description=f"one of {', '.join(get_args(Pooling))}")
    truncate_dim: int | None = Field(None, ge=1, description="a whole number from 1")
    max_length: int | None = Field(None, ge=8, description="a number of tokens from 8")
    precision: Precision | None = Field(None, description=" or ".join(get_args(Precision)))


class SbertEncoder(Encoder):
    """Sentence embeddings of a pretrained model."""

    reads = "text"

    def __init__(self, spec: str, folder: Path, options: SbertOptions) -> None:
        self.spec = spec
        self._options = options
        self._device = pick_device()
        self._digest = digest_of(folder)
        self._model = load_model(
            folder, self._digest, self._device, options.pooling, options.max_length
        )
        full = self._model.get_embedding_dimension() or 0
        self._dim = options.truncate_dim or full
        if self._dim > full:
            raise EncoderError(
                f"The encoder {spec} has {full} dimensions; take truncate_dim={full} or less."
            )

    @classmethod
    def from_spec(cls, argument: str) -> SbertEncoder:
        """Load the model that a folder or a name of the hub stands for, with its options."""
        name, options = split_options(argument, SbertOptions)
        here = _local_folder(name)
        spec = join_options(f"{SCHEME}:{here or name}", options)
        return cls(spec, here or _hub_folder(name), options)

    @property
    def dim(self) -> int:
        """Length of a row."""
        return self._dim

    def own_network(self) -> SentenceTransformer:
        """Return the model, from now on shared with no other encoder, so that it may be trained."""
        self._model = deepcopy(self._model)
        return self._model

    def tokenize(self, texts: Sequence[str]) -> dict[str, Any]:
        """Turn texts into what the model reads."""
        readable = [_encodable(text) for text in texts]
        with _TOKENIZER:
            tokens: dict[str, Any] = self._model.preprocess(readable, prompt=self._prefix)
        return tokens

    @property
    def parameters(self) -> int:
        """Number of weights."""
        return sum(weights.numel() for weights in self._model.parameters())

    @property
    def fingerprint(self) -> str:
        """Hex digest of the weights, the tokenizer, the settings and the options."""
        options = self._options.model_dump_json(exclude_none=True)
        return hashlib.sha256(f"{self._digest} {options}".encode()).hexdigest()

    def encode(self, values: Sequence[str], *, label: str = "") -> Encoded:
        """Embed texts; equal texts are embedded once, one that has no known token is absent."""
        # Texts of like length need little padding; the longest first, if memory is short.
        texts = sorted(dict.fromkeys(value for value in values if value), key=len, reverse=True)
        rows = np.zeros((len(texts) + 1, self.dim), dtype=np.float32)
        size = BATCH[self._device]
        batches = [texts[start : start + size] for start in range(0, len(texts), size)]
        with (
            progress_bar(len(texts), label, "text") as bar,
            quiet(),
            single_threaded_workers() as pool,
        ):
            done = pool.map(lambda batch: run_with_oom_backoff(batch, self._forward), batches)
            for start, embedded in zip(range(0, len(texts), size), done, strict=True):
                rows[start : start + len(embedded)] = embedded
                bar.update(len(embedded))
        position = {text: row for row, text in enumerate(texts)}
        vectors = unit_rows(rows)[[position.get(value, -1) for value in values]]
        vectors = vectors.reshape(-1, self.dim)
        return Encoded(vectors, np.any(vectors != 0, axis=1))

    def _forward(self, texts: Sequence[str]) -> Float32Array:
        from sentence_transformers.util import batch_to_device

        tokens = self.tokenize(texts)

        def network() -> torch.Tensor:
            placed = batch_to_device(tokens, self._model.device)
            rows: torch.Tensor = self._model(placed)["sentence_embedding"]
            return rows[:, : self.dim]

        return check_finite(infer(self._device, self._precision, network), self.spec)

    @property
    def _prefix(self) -> str | None:
        own = self._model.prompts.get(self._model.default_prompt_name or "")
        return own if self._options.prefix is None else self._options.prefix

    @property
    def _precision(self) -> Precision | None:
        own: Precision | None = "bfloat16" if self._device == "cpu" and has_bfloat16() else None
        return self._options.precision or own


def _encodable(text: str) -> str:
    # A query typed in a broken locale holds lone surrogates, which tokenizers cannot take.
    return text.encode("utf-8", "replace").decode("utf-8")


def _local_folder(name: str) -> Path | None:
    """Return the folder that a name stands for, or None if it is one of the hub."""
    path = Path(name).expanduser()
    if name and path.is_dir():
        return path.resolve()
    if path.is_absolute() or name.startswith(".") or "\\" in name:
        raise EncoderError(
            f"There is no folder {path} for the encoder {SCHEME}; put the model there, or "
            f"{WAY_OUT}."
        )
    return None


def _hub_folder(name: str) -> Path:
    # As in the library, a name without an owner is one of its own models.
    owned = name if "/" in name or not name else f"{LIBRARY}/{name}"
    return fetch_model(owned, FILES, f"{SCHEME}:FOLDER")
