"""Encoders that were fine-tuned on a catalogue: one folder each, and what it has seen.

``finetuned:FOLDER`` stands for the timm or sentence-transformers model in the folder. The folder
holds ``training.json`` (how it came about), the weights as safetensors, ``split.csv`` and
``seen.txt``: the sha256 of every value that it was trained or stopped on.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from prodcat_index.errors import EncoderError

SCHEME = "finetuned"
RECORD, SEEN, WEIGHTS, MODEL = "training.json", "seen.txt", "model.safetensors", "model"
_DIGEST = re.compile(r"[0-9a-f]{64}")


class FinetunedRecord(BaseModel):
    """How a fine-tuned encoder is loaded, and how it came about.

    Attributes
    ----------
    format
        Version of the folder's layout.
    scheme
        Of the encoder that loads it.
    name
        timm's name of the network; empty for sentence-transformers.
    options
        What follows ``?`` in its spec.
    base
        Spec of the encoder that was trained on.
    modality
        What it embeds.
    training
        Catalogue, settings, counts and scores, for people.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal[1] = 1
    scheme: Literal["timm", "sbert"]
    name: str = ""
    options: str = ""
    base: str
    modality: str
    training: dict[str, Any]


def read_record(folder: Path) -> FinetunedRecord:
    """Read how a fine-tuned encoder came about.

    Raises
    ------
    EncoderError
        If the folder holds none, or its record is damaged or of a newer format.
    """
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
    """Return the spec that loads a fine-tuned encoder.

    Parameters
    ----------
    argument
        Its folder.

    Raises
    ------
    EncoderError
        As :func:`read_record`.
    """
    folder = Path(argument).expanduser().resolve()
    record = read_record(folder)
    options = f"?{record.options}" if record.options else ""
    if record.scheme == "timm":
        return f"timm:{record.name}@{folder / WEIGHTS}{options}"
    return f"sbert:{folder / MODEL}{options}"


def seen_by(spec: str) -> frozenset[str]:
    """Return digests of the values that an encoder was trained or stopped on.

    Parameters
    ----------
    spec
        Of any encoder; the files of a fine-tuned one are recognised under other schemes as well.

    Returns
    -------
    frozenset
        As :func:`~prodcat_index.encoders.embedding.content_digests` writes them; empty for an
        encoder that was not fine-tuned here.

    Raises
    ------
    EncoderError
        If the list is missing from the folder of a fine-tuned encoder, or damaged.
    """
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
