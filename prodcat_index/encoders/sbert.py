"""Texts through a sentence-transformers model: a network, or a table of static embeddings.

``sbert:NAME`` is a model of the Hugging Face hub, ``sbert:FOLDER`` one that is here already. Only
safetensors are read, and no code that comes with a model is ever executed.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from copy import deepcopy
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Literal, get_args

from pydantic import Field

from prodcat_index.encoders.base import (
    Encoded,
    Encoder,
    Options,
    Precision,
    distinct,
    join_options,
    rows_of,
    split_options,
    unit_rows,
    without_surrogates,
)
from prodcat_index.encoders.device import (
    check_finite,
    embed_on_every_core,
    has_bfloat16,
    import_with_torch,
    infer,
    pick_device,
    quiet,
    run_with_oom_backoff,
)
from prodcat_index.encoders.hub import WAY_OUT, cause_of, fetch_model
from prodcat_index.errors import EncoderError
from prodcat_index.files import sha256_of
from prodcat_index.types import Float32Array

if TYPE_CHECKING:
    import torch
    from sentence_transformers import SentenceTransformer


SCHEME = "sbert"
FILES = ("*.json", "*.txt", "*.model", "*.safetensors")
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
# Small batches stay in the cache of a CPU: measured in docs/decisions.md.
BATCH = {"cpu": 8, "mps": 64, "cuda": 256}
# A tokenizer is no place for two threads at once.
_TOKENIZER = Lock()

Pooling = Literal["mean", "cls", "max", "lasttoken", "weightedmean", "mean_sqrt_len_tokens"]


class SbertOptions(Options):
    """What a spec may say of a model; what it leaves out is as the model has it."""

    prefix: str | None = Field(default=None, description="what to put before every text")
    pooling: Pooling | None = Field(
        default=None, description=f"one of {', '.join(get_args(Pooling))}"
    )
    truncate_dim: int | None = Field(default=None, ge=1, description="a whole number from 1")
    max_length: int | None = Field(default=None, ge=8, description="a number of tokens from 8")
    precision: Precision | None = Field(default=None, description=" or ".join(get_args(Precision)))


class SbertEncoder(Encoder):
    """Sentence embeddings of a pretrained model."""

    reads = "text"

    def __init__(self, spec: str, folder: Path, options: SbertOptions) -> None:
        self.spec = spec
        self._options = options
        self._device = pick_device()
        self._digest = digest_of(folder)
        self.network = load_model(
            folder, self._digest, self._device, options.pooling, options.max_length
        )
        full = self.network.get_embedding_dimension() or 0
        self._dim = options.truncate_dim or full
        if self._dim > full:
            raise EncoderError(
                f"The encoder {spec} has {full} dimensions; take truncate_dim={full} or less."
            )

    @classmethod
    def from_spec(cls, argument: str) -> SbertEncoder:
        """Load the model that a folder or a name of the hub stands for, with its options."""
        name, options = split_options(argument, SbertOptions)
        folder = Path(name).expanduser()
        if name and folder.is_dir():
            folder = folder.resolve()
            return cls(join_options(f"{SCHEME}:{folder}", options), folder, options)
        if folder.is_absolute() or name.startswith(".") or "\\" in name:
            raise EncoderError(
                f"There is no folder {folder} for the encoder {SCHEME}; put the model there, or "
                f"{WAY_OUT}."
            )
        # As in the library, a name without an owner is one of its own models.
        owned = name if "/" in name or not name else f"sentence-transformers/{name}"
        fetched = fetch_model(owned, FILES, f"{SCHEME}:FOLDER")
        return cls(join_options(f"{SCHEME}:{name}", options), fetched, options)

    @property
    def dim(self) -> int:
        """Length of a row."""
        return self._dim

    @property
    def parameters(self) -> int:
        """Number of weights."""
        return sum(weights.numel() for weights in self.network.parameters())

    @property
    def fingerprint(self) -> str:
        """Hex digest of the weights, the tokenizer, the settings and the options."""
        options = self._options.model_dump_json(exclude_none=True)
        return hashlib.sha256(f"{self._digest} {options}".encode()).hexdigest()

    def own_network(self) -> SentenceTransformer:
        """Return the model, from now on shared with no other encoder, so that it may be trained."""
        self.network = deepcopy(self.network)
        return self.network

    def tokenize(self, texts: Sequence[str]) -> dict[str, Any]:
        """Turn texts into what the model reads."""
        prefix = self._options.prefix
        if prefix is None:
            prefix = self.network.prompts.get(self.network.default_prompt_name or "")
        readable = [without_surrogates(text) for text in texts]
        with _TOKENIZER:
            tokens: dict[str, Any] = self.network.preprocess(readable, prompt=prefix)
        return tokens

    def encode(self, values: Sequence[str], *, label: str = "") -> Encoded:
        """Embed texts; equal texts are embedded once, one that has no known token is absent."""
        # Texts of like length need little padding; the longest first, if memory is short.
        texts = sorted(distinct(values), key=len, reverse=True)

        def embed(batch: Sequence[str]) -> Float32Array:
            return run_with_oom_backoff(batch, self._forward)

        with quiet():
            rows = embed_on_every_core(self, texts, BATCH[self._device], embed, label)
        return Encoded(rows_of(values, texts, unit_rows(rows)))

    def _forward(self, texts: Sequence[str]) -> Float32Array:
        from sentence_transformers.util import batch_to_device

        tokens = self.tokenize(texts)

        def network() -> torch.Tensor:
            placed = batch_to_device(tokens, self.network.device)
            rows: torch.Tensor = self.network(placed)["sentence_embedding"]
            return rows[:, : self.dim]

        fast: Precision | None = "bfloat16" if self._device == "cpu" and has_bfloat16() else None
        rows = infer(self._device, self._options.precision or fast, network)
        return check_finite(rows, self.spec)


def digest_of(folder: Path) -> str:
    """Digest names and contents of all the files that decide the embeddings."""
    _check_modules(folder)
    _check_weights(folder)
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
    _check_tensors(folder, model)
    if pooling is not None:
        _set_pooling(folder, model, pooling)
    if max_length is not None:
        _set_max_length(folder, model, max_length)
    return model.eval()


def _check_modules(folder: Path) -> None:
    """Check that no module is from outside of the library; some versions would import it."""
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
    foreign = [name for name in types if not name.startswith("sentence_transformers.")]
    if foreign:
        raise EncoderError(
            f"The model in {folder} runs code of its own ({foreign[0]}), which is never "
            f"executed here; {WAY_OUT}."
        )


def _check_weights(folder: Path) -> None:
    """Check that there are safetensors, as pickled weights can run code."""
    if not any(folder.rglob("*.safetensors")):
        pickled = [path.name for path in sorted(folder.rglob("*")) if path.suffix in PICKLES]
        held = f"its weights as {pickled[0]}, which can run code" if pickled else "no weights"
        raise EncoderError(
            f"The folder {folder} holds {held}; it must hold them as safetensors, so save the "
            f"model anew with save_pretrained(..., safe_serialization=True), or {WAY_OUT}."
        )


def _check_tensors(folder: Path, model: SentenceTransformer) -> None:
    """Check that the weights fit the network; random ones would replace others in silence."""
    from safetensors import safe_open

    network = getattr(model[0], "auto_model", None)
    if network is None:
        return
    stored: set[str] = set()
    for path in folder.rglob("*.safetensors"):
        with safe_open(path, framework="np") as tensors:
            stored |= {f".{_modern(name)}" for name in tensors.keys()}  # noqa: SIM118
    # A name may have further parts in front, in the file or in the network.
    needed = [f".{name}" for name in network.state_dict()]
    missing = [n for n in needed if not any(s.endswith(n) or n.endswith(s) for s in stored)]
    # A few may be missing or renamed: poolers that are not used, layers saved under older names.
    if len(missing) > len(needed) / 2:
        raise EncoderError(
            f"The weights in {folder} are not those of the network in its config.json (such as "
            f"{missing[0].removeprefix('.')}); fetch it anew, or {WAY_OUT}."
        )


def _modern(name: str) -> str:
    # As old versions of BERT are stored.
    modern = name.replace("LayerNorm.gamma", "LayerNorm.weight")
    return modern.replace("LayerNorm.beta", "LayerNorm.bias")


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
