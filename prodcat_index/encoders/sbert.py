"""Texts through a sentence-transformers model: a network, or a table of static embeddings.

``sbert:NAME`` is a model of the Hugging Face hub, ``sbert:FOLDER`` one that is here already. Only
safetensors are read, and no code that comes with a model is ever executed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from pydantic import Field

from prodcat_index.encoders.base import Encoded, Encoder, FloatArray, unit_rows
from prodcat_index.encoders.device import (
    each_core_alone,
    has_bfloat16,
    infer,
    pick_device,
    require_numbers,
    run_halving,
)
from prodcat_index.encoders.hub import fetch_model
from prodcat_index.encoders.options import Options, Precision, join_options, split_options
from prodcat_index.encoders.sbert_model import (
    FILES,
    WAY_OUT,
    digest_of,
    load_model,
)
from prodcat_index.encoders.torch_setup import quiet
from prodcat_index.errors import EncoderError
from prodcat_index.progress import progress_bar

if TYPE_CHECKING:
    import torch
    from sentence_transformers import SentenceTransformer

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
    """Sentence embeddings of a pretrained model.

    Parameters
    ----------
    spec
        The name by which the registry knows this encoder.
    folder
        The model, in the form of sentence-transformers.
    options
        What the spec says of it.

    Raises
    ------
    EncoderError
        If the model cannot be read, or an option does not fit it.
    """

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
        """Load the model that a folder or a name of the hub stands for, with its options.

        Raises
        ------
        EncoderError
            If an option is wrong, or the model cannot be found, downloaded or read.
        """
        name, options = split_options(argument, SbertOptions)
        here = _local_folder(name)
        spec = join_options(f"{SCHEME}:{here or name}", options)
        return cls(spec, here or _hub_folder(name), options)

    @property
    def dim(self) -> int:
        """Length of a row."""
        return self._dim

    def own_network(self) -> SentenceTransformer:
        """Return the model, from now on shared with no other encoder, so that it may be trained.

        Who trains it changes what this encoder says from then on.
        """
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
        with progress_bar(len(texts), label, "text") as bar, quiet(), each_core_alone() as pool:
            done = pool.map(lambda batch: run_halving(batch, self._forward), batches)
            for start, embedded in zip(range(0, len(texts), size), done, strict=True):
                rows[start : start + len(embedded)] = embedded
                bar.update(len(embedded))
        position = {text: row for row, text in enumerate(texts)}
        vectors = unit_rows(rows)[[position.get(value, -1) for value in values]]
        vectors = vectors.reshape(-1, self.dim)
        return Encoded(vectors, np.any(vectors != 0, axis=1))

    def _forward(self, texts: Sequence[str]) -> FloatArray:
        from sentence_transformers.util import batch_to_device

        tokens = self.tokenize(texts)

        def network() -> torch.Tensor:
            placed = batch_to_device(tokens, self._model.device)
            rows: torch.Tensor = self._model(placed)["sentence_embedding"]
            return rows[:, : self.dim]

        return require_numbers(infer(self._device, self._precision, network), self.spec)

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
