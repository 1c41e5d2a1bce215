"""Texts to rows by models of sentence-transformers."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path

import made
import numpy as np
import pytest
from sentences import make_static_model, minilm_folder

from prodcat_index.cards.card import Card
from prodcat_index.encoders import networks, sentences
from prodcat_index.encoders.networks import import_with_torch
from prodcat_index.encoders.registry import make_encoder
from prodcat_index.encoders.sentences import SbertEncoder
from prodcat_index.errors import EncoderError
from prodcat_index.index.product_index import ProductIndex

FOLDER = minilm_folder()
TEXTS = [
    "red leather boots with a warm lining",
    "footwear made of crimson hide for winter",
    "an electric kettle that boils water quickly",
    "a desk lamp",
    "waterproof shoes " * 60,
]


def make(options: str = "", folder: Path = FOLDER) -> SbertEncoder:
    encoder = make_encoder(f"sbert:{folder}{options}")
    assert isinstance(encoder, SbertEncoder)
    return encoder


@pytest.fixture(scope="module")
def encoder() -> SbertEncoder:
    return make()


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the model that a test may spoil."""
    return Path(shutil.copytree(FOLDER, tmp_path / "model"))


@pytest.fixture(scope="module")
def static(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_static_model(tmp_path_factory.mktemp("static") / "model")


def test_rows_are_384_numbers_of_length_one(encoder: SbertEncoder) -> None:
    encoded = encoder.encode(TEXTS)
    assert encoded.vectors.shape == (5, 384)
    assert encoded.vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(encoded.vectors, axis=1), 1.0, atol=1e-5)
    assert encoder.dim == 384
    assert encoder.parameters == 22_713_216


def test_a_paraphrase_is_nearer_than_another_product(encoder: SbertEncoder) -> None:
    """The reason for a network: these two share not one word of meaning."""
    boots, footwear, kettle, lamp, _ = encoder.encode(TEXTS).vectors
    assert boots @ footwear > 0.5
    assert boots @ footwear > 2 * max(boots @ kettle, boots @ lamp)


def test_rows_are_those_of_the_library_itself(encoder: SbertEncoder) -> None:
    """Else the preset is not the encoder that its name says."""
    library = import_with_torch("sentence_transformers")
    plain = library.SentenceTransformer(str(FOLDER), device="cpu")
    expected = plain.encode(TEXTS, normalize_embeddings=True)
    cosines = np.sum(encoder.encode(TEXTS).vectors * expected, axis=1)
    assert cosines.min() >= 0.999
    exact = np.sum(make("?precision=float32").encode(TEXTS).vectors * expected, axis=1)
    assert exact.min() >= 0.999999


def test_a_row_does_not_depend_on_its_batch(encoder: SbertEncoder) -> None:
    """Else a query finds other cards than the same text in a file of thousands."""
    rng = random.Random(0)
    words = " ".join(TEXTS).split()
    texts = [" ".join(rng.choices(words, k=rng.randint(1, 40))) + f" {n}" for n in range(64)]
    together = encoder.encode(texts).vectors
    alone = np.concatenate([encoder.encode([text]).vectors for text in texts])
    assert np.sum(together * alone, axis=1).min() >= 0.999


def test_equal_texts_are_embedded_once_and_missing_ones_not_at_all(
    encoder: SbertEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    forward = encoder._forward
    monkeypatch.setattr(encoder, "_forward", lambda texts: (seen.extend(texts), forward(texts))[1])
    encoded = encoder.encode(["a lamp", "", "a kettle", "a lamp"])
    assert sorted(seen) == ["a kettle", "a lamp"]
    assert encoded.present.tolist() == [True, False, True, True]
    assert (encoded.vectors[0] == encoded.vectors[3]).all()
    assert not encoded.vectors[1].any()


def test_nothing_to_embed_gives_no_rows(encoder: SbertEncoder) -> None:
    assert encoder.encode([]).vectors.shape == (0, 384)
    assert encoder.encode([""]).present.tolist() == [False]


def test_text_of_a_broken_terminal_is_no_crash(encoder: SbertEncoder) -> None:
    assert encoder.encode(["boots \ud800"]).present.tolist() == [True]


def test_nothing_is_said_or_drawn_beside_the_rows(
    encoder: SbertEncoder, capfd: pytest.CaptureFixture[str]
) -> None:
    make("?max_length=32").encode([*TEXTS, "word " * 1000])
    assert capfd.readouterr() == ("", "")


def test_a_prefix_changes_the_rows_as_if_it_were_written(encoder: SbertEncoder) -> None:
    """Models of the E5 family are only good with theirs."""
    prefixed = make("?prefix=query: ")
    assert prefixed.spec.endswith("?prefix=query:%20")
    written = encoder.encode(["query: a desk lamp"]).vectors[0]
    assert prefixed.encode(["a desk lamp"]).vectors[0] @ written > 0.9999
    assert encoder.encode(["a desk lamp"]).vectors[0] @ written < 0.99


def test_a_cut_row_is_the_beginning_of_the_whole_one(encoder: SbertEncoder) -> None:
    cut = make("?truncate_dim=64").encode(TEXTS).vectors
    start = encoder.encode(TEXTS).vectors[:, :64]
    assert cut.shape == (5, 64)
    start = start / np.linalg.norm(start, axis=1, keepdims=True)
    np.testing.assert_allclose(cut, start, atol=1e-3)


def test_pooling_is_as_asked(encoder: SbertEncoder) -> None:
    mean, other = make("?pooling=mean").encode(TEXTS), make("?pooling=cls").encode(TEXTS)
    own = encoder.encode(TEXTS).vectors
    assert np.sum(mean.vectors * own, axis=1).min() > 0.9999
    assert np.sum(other.vectors * own, axis=1).max() < 0.95


def test_text_beyond_the_wanted_length_is_not_read() -> None:
    short = make("?max_length=8")
    first, second = short.encode(
        ["one two three four five six seven", "one two three four five six"]
    ).vectors
    assert first @ second > 0.9999


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("?truncate_dim=385", "has 384 dimensions; take truncate_dim=384 or less."),
        ("?max_length=257", "reads at most 256 tokens; take max_length=256 or less."),
        ("?pooling=median", "it must be one of mean, cls, max, "),
        ("?dim=64", "There is no option 'dim' in "),
    ],
)
def test_an_option_that_does_not_fit_is_refused(options: str, message: str) -> None:
    with pytest.raises(EncoderError) as caught:
        make(options)
    assert message in str(caught.value)


def test_the_fingerprint_tells_options_apart_and_spellings_not(encoder: SbertEncoder) -> None:
    fingerprints = {
        make(o).fingerprint for o in ("", "?prefix=a", "?truncate_dim=8", "?pooling=max")
    }
    assert len(fingerprints) == 4
    assert make("?truncate_dim=8").fingerprint == make("?truncate_dim=008").fingerprint


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "1_Pooling/config.json"])
def test_the_fingerprint_changes_with_every_file_that_counts(
    copy: Path, encoder: SbertEncoder, name: str
) -> None:
    assert make(folder=copy).fingerprint == encoder.fingerprint
    if name.endswith(".json"):
        content = json.loads((copy / name).read_text(encoding="utf-8"))
        (copy / name).write_text(json.dumps(content | {"changed": 1}), encoding="utf-8")
    else:
        change_weights(copy)
    assert sentences.digest_of(copy) != sentences.digest_of(FOLDER)


def change_weights(folder: Path) -> None:
    content = bytearray((folder / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (folder / "model.safetensors").write_bytes(content)


def test_a_table_of_static_embeddings_is_an_encoder_too(static: Path) -> None:
    table = make(folder=static)
    encoded = table.encode(["red boots", "boots red", "steel kettle", ""])
    assert encoded.vectors.shape == (4, 8)
    assert encoded.vectors[0] @ encoded.vectors[1] == pytest.approx(1.0, abs=1e-5)
    assert encoded.vectors[0] @ encoded.vectors[2] < 0.9
    assert encoded.present.tolist() == [True, True, True, False]


@pytest.mark.parametrize(
    ("option", "message"),
    [("pooling=max", "pools no tokens"), ("max_length=16", "reads texts of any length")],
)
def test_a_table_refuses_the_options_of_networks(static: Path, option: str, message: str) -> None:
    with pytest.raises(EncoderError, match=message):
        make(f"?{option}", static)


def test_a_folder_with_a_colon_is_found(static: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(static, tmp_path / "a:b c"))
    assert make(folder=folder).spec == f"sbert:{folder}"


def test_a_folder_is_kept_by_its_full_path(static: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else an index works only from the folder where it was built."""
    monkeypatch.chdir(static.parent)
    assert make(folder=Path("model")).spec == f"sbert:{static}"


@pytest.mark.parametrize("name", ["/nowhere/model", "./model", "..\\model"])
def test_a_missing_folder_is_not_looked_for_on_the_hub(name: str) -> None:
    with pytest.raises(
        EncoderError, match=r"There is no folder .*model for the encoder sbert; put"
    ):
        make_encoder(f"sbert:{name}")


def test_a_name_of_the_hub_is_fetched(monkeypatch: pytest.MonkeyPatch, static: Path) -> None:
    asked: list[str] = []

    def fetch_model(name: str, patterns: tuple[str, ...], local_form: str) -> Path:
        asked.append(name)
        assert "*.safetensors" in patterns
        assert not any("bin" in pattern or "py" in pattern for pattern in patterns)
        return static

    monkeypatch.setattr(networks, "fetch_model", fetch_model)
    encoder = make_encoder("sbert:owner/name?truncate_dim=4")
    assert (encoder.spec, encoder.dim) == ("sbert:owner/name?truncate_dim=4", 4)
    make_encoder("sbert:all-MiniLM-L6-v2")
    assert asked == ["owner/name", "sentence-transformers/all-MiniLM-L6-v2"]


def refused(folder: Path) -> str:
    with pytest.raises(EncoderError) as caught:
        make(folder=folder)
    return str(caught.value)


def test_pickled_weights_are_refused(copy: Path) -> None:
    """A pickle runs whatever its author wrote into it."""
    (copy / "model.safetensors").rename(copy / "pytorch_model.bin")
    assert "holds its weights as pytorch_model.bin, which can run code" in refused(copy)


def test_a_folder_without_weights_is_refused(copy: Path) -> None:
    (copy / "model.safetensors").unlink()
    assert "holds no weights; it must hold them as safetensors" in refused(copy)


def test_code_that_comes_with_a_model_is_not_run(copy: Path) -> None:
    (copy / "evil.py").write_text("raise SystemExit('run')")
    modules = json.loads((copy / "modules.json").read_text(encoding="utf-8"))
    modules[0]["type"] = "evil.Transformer"
    (copy / "modules.json").write_text(json.dumps(modules), encoding="utf-8")
    assert "runs code of its own (evil.Transformer), which is never executed" in refused(copy)


def test_a_configuration_that_asks_for_code_does_not_get_it(copy: Path) -> None:
    (copy / "evil.py").write_text("raise SystemExit('run')")
    config = json.loads((copy / "config.json").read_text(encoding="utf-8"))
    config |= {"auto_map": {"AutoModel": "evil.Model"}, "model_type": "evil"}
    (copy / "config.json").write_text(json.dumps(config), encoding="utf-8")
    assert f"The model in {copy} cannot be loaded (" in refused(copy)


def test_truncated_weights_are_refused(copy: Path) -> None:
    content = (copy / "model.safetensors").read_bytes()
    (copy / "model.safetensors").write_bytes(content[: len(content) // 2])
    message = refused(copy)
    assert f"The model in {copy} cannot be loaded (" in message
    assert message.endswith("fetch it anew, or take another model, or the preset embedded.")


def test_weights_of_another_shape_are_refused(copy: Path) -> None:
    config = json.loads((copy / "config.json").read_text(encoding="utf-8"))
    (copy / "config.json").write_text(json.dumps(config | {"intermediate_size": 64}))
    assert "cannot be loaded" in refused(copy)


def test_weights_of_another_network_are_refused(copy: Path) -> None:
    """The library would take random ones in their place, and say so only in a log."""
    from safetensors.numpy import save_file

    save_file({"wte.weight": np.zeros((4, 4), np.float32)}, copy / "model.safetensors")
    assert "are not those of the network in its config.json" in refused(copy)


def test_weights_under_the_names_of_old_versions_of_bert_are_known(
    copy: Path, encoder: SbertEncoder
) -> None:
    """A quarter of the tensors is missing by name: models of those years would be refused."""
    from safetensors.numpy import load_file, save_file

    names = {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"}
    tensors = load_file(copy / "model.safetensors")
    for new, old in names.items():
        tensors = {name.replace(new, old): tensor for name, tensor in tensors.items()}
    assert sum("LayerNorm.gamma" in name for name in tensors) == 13
    save_file(tensors, copy / "model.safetensors", metadata={"format": "pt"})
    found = make(folder=copy).encode(TEXTS).vectors
    np.testing.assert_array_equal(found, encoder.encode(TEXTS).vectors)


def test_an_index_remembers_its_model(static: Path, tmp_path: Path) -> None:
    """Nobody is asked for the model again, and another one is never taken in its place."""
    model = Path(shutil.copytree(static, tmp_path / "model"))
    built = ProductIndex.build(made.catalogue(), encoders={"title": f"sbert:{model}"})
    folder = built.save(tmp_path / "index")
    found = ProductIndex.load(folder).search(Card(id="q", title="red leather boots"), 1)
    assert found[0].id == "b1"

    change_weights(model)
    with pytest.raises(EncoderError, match=f"The encoder sbert:{model} here is not the one that"):
        ProductIndex.load(folder).search(Card(id="q", title="red leather boots"), 1)

    shutil.rmtree(model)
    with pytest.raises(EncoderError, match="There is no folder"):
        ProductIndex.load(folder).search(Card(id="q", title="red leather boots"), 1)
