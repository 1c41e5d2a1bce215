"""From the name of an encoder, its spec, to the encoder."""

from __future__ import annotations

from difflib import get_close_matches
from importlib import import_module
from pathlib import Path

from prodcat_index.encoders import finetuned
from prodcat_index.encoders.base import Encoder
from prodcat_index.errors import EncoderError

SCHEMES = {
    "lexical": "prodcat_index.encoders.lexical:LexicalEncoder",
    "efficientnet-lite0": "prodcat_index.encoders.efficientnet:EfficientNetLite0Encoder",
    "timm": "prodcat_index.encoders.timm_named:NamedTimmEncoder",
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
    """Make the encoder that a spec names from the fitted parts in a folder.

    Raises
    ------
    EncoderError
        If there is no such scheme, or the fitted parts are damaged.
    """
    scheme, argument = _split(spec)
    return _encoder_class(scheme).restore(argument, folder)


def preset_spec(preset: str, reads: str) -> str:
    """Return the spec that a preset uses for ``"text"`` or ``"picture"``.

    Raises
    ------
    EncoderError
        If there is no such preset.
    """
    if preset not in PRESETS:
        raise EncoderError(f"There is no preset {preset!r}; the presets are {', '.join(PRESETS)}.")
    return PRESETS[preset][reads]


def _split(spec: str) -> tuple[str, str]:
    scheme, _, argument = spec.partition(":")
    if scheme == finetuned.SCHEME:
        return _split(finetuned.loading_spec(argument))
    return scheme, argument


def _encoder_class(scheme: str) -> type[Encoder]:
    if scheme not in SCHEMES:
        known = (*SCHEMES, finetuned.SCHEME)
        nearest = get_close_matches(scheme, known, n=1)
        hint = f" Did you mean {nearest[0]!r}?" if nearest else ""
        raise EncoderError(
            f"There is no encoder {scheme!r}; the encoders are {', '.join(known)}.{hint}"
        )
    module, name = SCHEMES[scheme].split(":")
    encoder_class: type[Encoder] = getattr(import_module(module), name)
    return encoder_class
