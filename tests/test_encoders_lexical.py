"""Texts to rows by n-grams."""

from __future__ import annotations

import json
import random
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made import store, stored_in
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from threadpoolctl import threadpool_limits

from prodcat_index.encoders import lexical
from prodcat_index.encoders.lexical import HASHED, LexicalEncoder, ngrams
from prodcat_index.errors import EncoderError

WORDS = (
    "red",
    "black",
    "leather",
    "boots",
    "kettle",
    "steel",
    "lamp",
    "чайник",
    "сапоги",
    "ночник",
)
DIM = 12


def made_texts(count: int = 40, seed: int = 0) -> list[str]:
    draw = random.Random(seed)
    return [" ".join(draw.choices(WORDS, k=draw.randint(2, 6))) + f" {n}" for n in range(count)]


def fitted(texts: list[str], dim: int = DIM) -> LexicalEncoder:
    encoder = LexicalEncoder(dim)
    encoder.fit(texts)
    return encoder


@pytest.fixture(scope="module")
def encoder() -> LexicalEncoder:
    return fitted(made_texts())


@pytest.fixture
def folder(encoder: LexicalEncoder, tmp_path: Path) -> Path:
    store(tmp_path, encoder.fitted_parts())
    return tmp_path


def cosines(rows: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return rows @ rows.T


def test_the_ngrams_of_a_short_text() -> None:
    assert ngrams("Ёж на 5") == [
        *("еж", "на", "5", "еж на", "на 5"),
        *("# е", "#еж", "#ж ", "# еж", "#еж ", "# еж "),
        *("# н", "#на", "#а ", "# на", "#на ", "# на "),
        *("# 5", "#5 ", "# 5 "),
    ]


def test_case_and_width_and_the_letter_yo_are_folded() -> None:
    assert ngrams("ＢＯＳＣＨ Ёлка") == ngrams("bosch елка")


def test_a_very_long_word_is_cut() -> None:
    """A pasted base64 picture would otherwise be most of the vocabulary."""
    assert ngrams("x" * 1000) == ngrams("x" * 64)


@pytest.mark.parametrize("text", ["", "  ", "!?.. —", "\n"])
def test_a_text_without_a_word_has_no_ngrams(text: str) -> None:
    assert ngrams(text) == []


def tfidf(encoder: LexicalEncoder, texts: list[str], others: list[str]) -> Any:
    """Return the rows of scikit-learn over the n-grams that the encoder has chosen."""
    chosen = json.loads(saved_vocabulary(encoder))
    vectorizer = TfidfVectorizer(analyzer=ngrams, sublinear_tf=True, vocabulary=chosen)
    return vectorizer.fit(sorted(texts)).transform(texts + others)


def saved_vocabulary(encoder: LexicalEncoder) -> str:
    with TemporaryDirectory() as folder:
        store(Path(folder), encoder.fitted_parts())
        return (Path(folder) / "vocabulary.json").read_text(encoding="utf-8")


def halves(rows: npt.NDArray[Any]) -> list[npt.NDArray[Any]]:
    return [half * 2**0.5 for half in np.split(rows, [rows.shape[1] - HASHED], axis=1)]


def test_the_first_half_of_a_row_is_that_of_scikit_learn(encoder: LexicalEncoder) -> None:
    """Same geometry as TF-IDF and truncated SVD as everybody knows them, on unseen texts too."""
    texts, unseen = made_texts(), made_texts(10, seed=1)
    rows = tfidf(encoder, texts, unseen)
    svd = TruncatedSVD(DIM, n_iter=20, random_state=1).fit(rows[: len(texts)])
    reference = svd.transform(rows)
    reference /= np.linalg.norm(reference, axis=1, keepdims=True)
    first, _ = halves(encoder.encode(texts + unseen).vectors)
    np.testing.assert_allclose(cosines(first), cosines(reference), atol=2e-2)
    assert np.corrcoef(cosines(first).ravel(), cosines(reference).ravel())[0, 1] > 0.9999


def test_at_full_rank_the_first_half_keeps_the_cosines_of_tfidf() -> None:
    """Nothing is lost where nothing is cut: here the check is exact but for 16 bits."""
    texts = made_texts(15)
    encoder = fitted(texts, 64)
    rows = tfidf(encoder, texts, [])
    first, _ = halves(encoder.encode(texts).vectors)
    np.testing.assert_allclose(cosines(first), (rows @ rows.T).toarray(), atol=2e-3)


def test_the_second_half_keeps_the_cosines_of_tfidf_but_for_noise() -> None:
    """The one word that tells two products apart, which a projection drops, must count."""
    texts = made_texts(60)
    encoder = fitted(texts)
    rows = tfidf(encoder, texts, [])
    _, second = halves(encoder.encode(texts).vectors)
    errors = cosines(second) - (rows @ rows.T).toarray()
    # The standard error is at most the root of 1/128, and it is without bias.
    assert 0.01 < errors.std() < 0.09
    assert abs(errors.mean()) < 0.04


def test_of_many_n_grams_those_of_one_text_do_not_count_but_for_words(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Half of the n-grams of a large catalogue stand in one card: they are the larger half of an
    index, and say nothing about any other card. Small catalogues keep them all.
    """
    small = json.loads(saved_vocabulary(fitted(["red boots", "red kettle", "blue kettles"])))
    assert {"red boots", "#boo"} <= set(small)
    monkeypatch.setattr(lexical, "SMALL_VOCABULARY", 0)
    known = json.loads(saved_vocabulary(fitted(["red boots", "red kettle", "blue kettles"])))
    assert {"red", "boots", "kettle", "kettles", "blue", "#kett", "#red"} <= set(known)
    assert {"red boots", "red kettle", "#boo", "#blue", "#les"} & set(known) == set()


def test_rows_have_length_one(encoder: LexicalEncoder) -> None:
    encoded = encoder.encode(made_texts())
    np.testing.assert_allclose(np.linalg.norm(encoded.vectors, axis=1), 1.0, atol=1e-6)
    assert encoded.vectors.dtype == np.float32
    assert encoded.vectors.shape == (40, DIM + HASHED)
    assert encoded.present.all()


def test_a_text_has_the_same_row_alone_and_among_others(encoder: LexicalEncoder) -> None:
    """Bit for bit, and in every order, repeated or not."""
    texts = made_texts(20, seed=2)
    together = encoder.encode(texts + texts[::-1]).vectors
    alone = np.concatenate([encoder.encode([text]).vectors for text in texts])
    assert together[:20].tobytes() == alone.tobytes()
    assert together[20:].tobytes() == alone[::-1].tobytes()


def test_the_number_of_threads_does_not_change_what_is_learned() -> None:
    """Of this size two threads do sum in another order where they may."""
    draw = random.Random(0)
    words = ["".join(draw.choices("абвгдежзиклмн", k=draw.randint(3, 8))) for _ in range(300)]
    texts = [" ".join(draw.choices(words, k=5)) for _ in range(200)]
    with threadpool_limits(1):
        one = fitted(texts, 64)
    with threadpool_limits(2):
        two = fitted(texts, 64)
    assert one.fingerprint == two.fingerprint
    assert one.encode(texts).vectors.tobytes() == two.encode(texts).vectors.tobytes()


def test_the_order_and_number_of_the_cards_does_not_change_what_is_learned() -> None:
    """The same catalogue sorted by price must not be another encoder."""
    texts = made_texts()
    shuffled = random.Random(3).sample(texts, len(texts))
    assert fitted(texts).fingerprint == fitted([*shuffled, "", *texts[:5]]).fingerprint


def test_other_texts_are_another_encoder(encoder: LexicalEncoder) -> None:
    assert fitted(made_texts(seed=5)).fingerprint != encoder.fingerprint
    assert fitted(made_texts(), DIM - 1).fingerprint != encoder.fingerprint


@pytest.mark.parametrize("text", ["", "   ", "?!", "漢字", "zq"])
def test_a_text_that_says_nothing_known_is_absent(encoder: LexicalEncoder, text: str) -> None:
    """Absent is left out of the similarity; a zero row that counts would be far from all."""
    encoded = encoder.encode([text, "red boots"])
    assert encoded.present.tolist() == [False, True]
    assert encoded.vectors[0].tolist() == [0.0] * (DIM + HASHED)


def test_no_texts_are_no_rows(encoder: LexicalEncoder) -> None:
    encoded = encoder.encode([])
    assert encoded.vectors.shape == (0, DIM + HASHED)
    assert encoded.present.shape == (0,)


def test_a_small_catalogue_gives_fewer_dimensions() -> None:
    assert fitted(["red boots", "steel kettle"], 256).dim == 2 + HASHED


@pytest.mark.filterwarnings("error")
def test_one_text_is_enough() -> None:
    """Without a warning from the depths of scikit-learn."""
    for text in ("red boots", "a"):
        rows = fitted([text]).encode([text, text]).vectors
        assert cosines(rows).ravel().tolist() == pytest.approx([1.0] * 4)


def test_directions_of_rounding_noise_are_not_kept() -> None:
    """Three cards over one text span one direction: more would be noise scaled to length 1."""
    assert fitted(["red red boots boots", "red boots", "boots, RED boots"], 8).dim <= 3 + HASHED
    assert fitted(["boots", "boots!", "(boots)"], 8).dim == 1 + HASHED


@pytest.mark.parametrize("texts", [[], [""], ["", "!?", "—"]])
def test_texts_without_words_are_refused(texts: list[str]) -> None:
    with pytest.raises(EncoderError) as caught:
        LexicalEncoder().fit(texts)
    assert str(caught.value) == (
        "The lexical encoder found no word in these texts; "
        "leave this modality out or give it texts."
    )


def test_a_great_catalogue_is_learned_from_an_even_part(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first and the last letter of the alphabet alike, not only what sorts first."""
    monkeypatch.setattr(lexical, "MAX_FIT_TEXTS", 5)
    texts = [f"word{n:02d}" for n in range(41)]
    present = fitted(texts, 5).encode([f"{n:02d}" for n in range(41)]).present
    assert present[[0, 10, 20, 30, 40]].all()
    assert not present[[5, 15, 25, 35]].any()


@settings(max_examples=50, deadline=None)
@given(st.text(max_size=200))
def test_any_text_is_a_unit_row_or_absent(text: str) -> None:
    encoder = fitted(made_texts(6), 4)
    encoded = encoder.encode([text])
    length = float(np.linalg.norm(encoded.vectors[0]))
    assert length == pytest.approx(1.0 if encoded.present[0] else 0.0, abs=1e-6)


def test_what_was_saved_is_restored(encoder: LexicalEncoder, folder: Path) -> None:
    restored = LexicalEncoder.restore(str(DIM), stored_in(folder))
    texts = made_texts(10, seed=8)
    assert restored.fingerprint == encoder.fingerprint
    assert restored.spec == encoder.spec == f"lexical:{DIM}"
    assert restored.encode(texts).vectors.tobytes() == encoder.encode(texts).vectors.tobytes()


def test_ngrams_of_any_script_survive_saving(tmp_path: Path) -> None:
    texts = ["ночник «луна» 🌙", 'a\u2028b \\ "quoted"', "ﬁne print"]
    encoder = fitted(texts)
    store(tmp_path, encoder.fitted_parts())
    assert LexicalEncoder.restore(str(DIM), stored_in(tmp_path)).fingerprint == encoder.fingerprint


@pytest.mark.parametrize("argument", ["0", "-1", "4097", "1.5", "many", "٣", "²", " 8", "9" * 5000])
def test_an_impossible_dimension_is_refused(argument: str) -> None:
    with pytest.raises(EncoderError) as caught:
        LexicalEncoder.from_spec(argument)
    assert str(caught.value) == (
        f"The encoder lexical:{argument} has no such dimension; "
        "write lexical:N with a whole number from 1 to 4096."
    )


def test_the_spec_says_the_dimension_unless_it_is_the_usual() -> None:
    assert LexicalEncoder.from_spec("").spec == "lexical"
    assert LexicalEncoder.from_spec("256").spec == "lexical"
    assert LexicalEncoder.from_spec("64").spec == "lexical:64"


NESTED = b"[" * 100_000


@pytest.mark.parametrize("content", [None, b"", b"\xff\xfe", b"{", b"PK\x03\x04", NESTED])
@pytest.mark.parametrize(
    "name", ["vocabulary.json", "projection.npy", "columns.npy", "weights.npy"]
)
def test_an_unreadable_part_is_refused_in_words(
    folder: Path, name: str, content: bytes | None
) -> None:
    (folder / name).unlink()
    if content is not None:
        (folder / name).write_bytes(content)
    check_refused(folder)


def write_vocabulary(folder: Path, content: object) -> None:
    (folder / "vocabulary.json").write_text(json.dumps(content), encoding="utf-8")


def write_projection(folder: Path, array: npt.NDArray[Any]) -> None:
    np.save(folder / "projection.npy", array)


def check_refused(folder: Path) -> None:
    with pytest.raises(EncoderError) as caught:
        LexicalEncoder.restore("", stored_in(folder))
    assert str(caught.value).startswith("The fitted parts of the lexical encoder cannot be read (")
    assert str(caught.value).endswith("); build the index again.")


@pytest.mark.parametrize("content", [["a"], {"a": 1}, "abc", None, 3])
def test_a_vocabulary_that_does_not_fit_is_refused(folder: Path, content: object) -> None:
    write_vocabulary(folder, content)
    check_refused(folder)


def test_a_projection_that_does_not_fit_is_refused(folder: Path) -> None:
    """One row too few would look up the wrong n-gram, or fail with a traceback."""
    projection = np.load(folder / "projection.npy")
    for wrong in (projection[:-1], projection.astype(np.float64), projection[:, 0]):
        write_projection(folder, wrong)
        check_refused(folder)


@pytest.mark.parametrize("column", [-1, HASHED])
def test_an_n_gram_that_is_hashed_beyond_the_row_is_refused(folder: Path, column: int) -> None:
    """It would be added to another part of the row, or fail with a traceback."""
    columns = np.load(folder / "columns.npy")
    columns[3] = column
    np.save(folder / "columns.npy", columns)
    check_refused(folder)


def test_an_encoder_of_the_formats_before_has_no_second_half(folder: Path) -> None:
    """An index that was built before must answer as it did."""
    texts = made_texts(10, seed=8)
    (folder / "columns.npy").unlink()
    (folder / "weights.npy").unlink()
    projection = np.load(folder / "projection.npy").astype(np.float32)
    np.save(folder / "projection.npy", projection)
    old = LexicalEncoder.restore(str(DIM), stored_in(folder))
    first, _ = halves(fitted(made_texts()).encode(texts).vectors)
    assert old.dim == DIM
    np.testing.assert_allclose(old.encode(texts).vectors, first, atol=1e-6)
    (again := folder / "again").mkdir()
    store(again, old.fitted_parts())
    assert LexicalEncoder.restore(str(DIM), stored_in(again)).fingerprint == old.fingerprint


def test_a_projection_that_is_an_archive_is_refused(folder: Path) -> None:
    """numpy opens an archive under any name, and gives something without rows."""
    np.savez(folder / "projection.npz", np.zeros(3))
    (folder / "projection.npz").replace(folder / "projection.npy")
    check_refused(folder)
