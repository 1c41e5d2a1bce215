"""Any timm network by its name, with weights of the hub or of a local file.

``timm:NAME`` takes the weights that timm names, ``timm:NAME@FILE.safetensors`` those of a file.
Either way they must fit to the last tensor; only the classifier is dropped, unless
``?rows=classifier`` asks for what it says.
"""

from __future__ import annotations

import hashlib
import warnings
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from pydantic import Field

from prodcat_index.encoders.hub import cause_of, fetch_model
from prodcat_index.encoders.options import Crop, Options, Precision, join_options, split_options
from prodcat_index.encoders.timm_image import TimmEncoder
from prodcat_index.encoders.torch_setup import import_with_torch
from prodcat_index.errors import EncoderError

if TYPE_CHECKING:
    import torch

SCHEME = "timm"
SUFFIX = ".safetensors"
_FROM_FILE = {"label_offset": 0, "custom_load": False}
WAY_OUT = "take another one, or the preset embedded"


class TimmOptions(Options):
    """What a spec may say of a network; what it leaves out is as the network has it."""

    input_size: int | None = Field(
        None, ge=32, le=2048, description="a side in pixels, from 32 to 2048"
    )
    rows: Literal["classifier"] | None = Field(None, description="classifier")
    crop: Crop | None = Field(None, description=" or ".join(get_args(Crop)))
    precision: Precision | None = Field(None, description=" or ".join(get_args(Precision)))


class NamedTimmEncoder(TimmEncoder):
    """The pooled features of a timm network, or what its classifier says."""

    @classmethod
    def from_spec(cls, argument: str) -> NamedTimmEncoder:
        """Load the network that a name stands for, with its options.

        Raises
        ------
        EncoderError
            If an option or the name is wrong, or the weights cannot be found, downloaded or read,
            or are those of another network.
        """
        named, options = split_options(argument, TimmOptions)
        name, separator, given = named.partition("@")
        config = _config(name)
        file = _local_file(given) if separator else None
        spec = join_options(f"{SCHEME}:{name}" + (f"@{file}" if file else ""), options)
        model = _load(name, file or _hub_file(name, config), config, options)
        return cls(
            spec,
            model,
            _digest(config.architecture, model),
            input_size=options.input_size,
            crop=options.crop,
            precision=options.precision,
        )


def _config(name: str) -> Any:
    """Return timm's own settings of a network."""
    timm = import_with_torch("timm")
    if not timm.is_model(name):
        near = get_close_matches(name, timm.list_models(pretrained=True), n=1)
        hint = f" Did you mean {near[0]}?" if near else ""
        raise EncoderError(
            f"timm knows no network {name!r}; its names are listed by timm.list_models().{hint}"
        )
    # An unknown tag is an error in timm, and no tag at all none.
    try:
        config = timm.models.get_pretrained_cfg(name)
    except RuntimeError:
        config = None
    if config is None:
        known = ", ".join(timm.list_pretrained(f"{name.partition('.')[0]}.*"))
        raise EncoderError(
            f"timm knows no weights {name!r}; those of this network are {known or 'none'}."
        )
    return config


def _local_file(given: str) -> Path:
    file = Path(given).expanduser().resolve()
    if file.suffix != SUFFIX:
        raise EncoderError(
            f"The weights {file} are not {SUFFIX}, the only form that is read, as others can run "
            "code; save them anew with safetensors.torch.save_file."
        )
    if not file.is_file():
        raise EncoderError(f"There is no file {file} for the encoder {SCHEME}; put it there.")
    return file


def _hub_file(name: str, config: Any) -> Path:
    local = f"{SCHEME}:{name}@FILE{SUFFIX}"
    if not config.hf_hub_id:
        raise EncoderError(
            f"The hub has no weights of {name}; give a file as {local}, or {WAY_OUT}."
        )
    file = Path(config.hf_hub_filename or "model").with_suffix(SUFFIX).name
    path = fetch_model(config.hf_hub_id, (file,), local) / file
    if not path.is_file():
        raise EncoderError(
            f"The hub has no {file} of {name}; give a file as {local}, or {WAY_OUT}."
        )
    return path


def _load(name: str, file: Path, config: Any, options: TimmOptions) -> torch.nn.Module:
    timm = import_with_torch("timm")
    input_size = options.input_size
    sized = {"img_size": input_size} if input_size and config.fixed_input_size else {}
    # Damaged files raise errors of almost any class; what timm warns of is in its own code.
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            classes = _classes(file, config.classifier)
            # With as many classes as the file has, timm insists on every single tensor.
            source = {"file": str(file), "num_classes": classes, **_FROM_FILE}
            model: torch.nn.Module = timm.create_model(
                name, pretrained=True, num_classes=classes, pretrained_cfg_overlay=source, **sized
            )
    except Exception as error:
        fits = "state_dict" not in str(error)
        raise EncoderError(
            f"The weights {file} cannot be loaded into {name} "
            f"({cause_of(error) if fits else 'its tensors are others'}); fetch them anew, give "
            f"those of this very network, or {WAY_OUT}."
        ) from error
    if options.rows is None:
        model.reset_classifier(0)  # type: ignore[operator]
    elif not classes:
        raise EncoderError(
            f"The weights {file} have no classifier for rows=classifier; leave this option out."
        )
    if input_size:
        _try_size(name, model.eval(), input_size)
    return model


def _try_size(name: str, model: torch.nn.Module, input_size: int) -> None:
    import torch

    try:
        with torch.inference_mode():
            model(torch.zeros(1, 3, input_size, input_size))
    except (AssertionError, RuntimeError, ValueError) as error:
        raise EncoderError(
            f"The network {name} takes no pictures of {input_size} pixels ({cause_of(error)}); "
            "take another input_size, such as a multiple of 32, or leave it out."
        ) from error


def _classes(file: Path, classifiers: str | tuple[str, ...] | None) -> int:
    """Count the classes that the classifier in a file tells apart; none without a classifier."""
    from safetensors import safe_open

    first = classifiers if isinstance(classifiers, str) else (classifiers or ("",))[0]
    weight = f"{first}.weight"
    with safe_open(file, framework="np") as tensors:
        return int(tensors.get_slice(weight).get_shape()[0]) if weight in set(tensors.keys()) else 0


def _digest(architecture: str, model: torch.nn.Module) -> str:
    """Digest the name of a network and its tensors in order."""
    import torch

    digest = hashlib.sha256(architecture.encode())
    for name, tensor in model.state_dict().items():
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
