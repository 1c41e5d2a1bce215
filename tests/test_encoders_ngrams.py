"""Sparse n-gram rows, beside scikit-learn's and by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made import store, stored_in

from prodcat_index.encoders.ngrams import NgramVectorizer, SparseRows, ngrams

TEXTS = ["Red leather boots", "red rubber boots 45", "Тройник латунный 1/2", "тройник 45°", ""]


def fit(texts: list[str]) -> NgramVectorizer:
    return NgramVectorizer.fit({"title": texts})


def titles(*texts: str) -> list[dict[str, str]]:
    return [{"title": text} for text in texts]


def dense(rows: SparseRows) -> np.ndarray:
    full = np.zeros((len(rows), rows.width), dtype=np.float32)
    for row in range(len(rows)):
        places = slice(rows.starts[row], rows.starts[row + 1])
        full[row, rows.features[places]] = rows.values[places]
    return full


def test_the_n_grams_of_a_text_are_words_pairs_and_marked_runs_within_words() -> None:
    assert ngrams("Ab CD") == [
        *("ab", "cd", "ab cd"),
        *("# a", "#ab", "#b ", "# ab", "#ab ", "# ab "),
        *("# c", "#cd", "#d ", "# cd", "#cd ", "# cd "),
    ]


def test_with_marks_a_pair_may_be_of_a_word_and_a_mark() -> None:
    """Titles that name their platform in brackets would be confused; marks alone say nothing."""
    runs = [n for word in ("ab", "pc") for n in ngrams(word) if n.startswith("#")]
    assert ngrams("Ab! [PC] #:", with_marks=True) == [*("ab", "pc", "ab !", "[ pc", "pc ]"), *runs]
    assert ngrams("Ab! [PC] #:") == ["ab", "pc", "ab pc", *runs]
    assert ngrams("x_1 2.5", with_marks=True)[:6] == ["x_1", "2", "5", "x_1 2", "2 .", ". 5"]


def test_a_vocabulary_of_before_marks_is_read_without_them(tmp_path: Path) -> None:
    """Indexes of the formats before would answer otherwise after an upgrade."""
    before = NgramVectorizer(
        {"title": ["a", "a b", "a ,"]}, np.ones(3, np.float32), with_marks=False
    )
    store(tmp_path, before.fitted_parts())
    assert (tmp_path / "vocabulary.json").is_file()
    restored = NgramVectorizer.restore(stored_in(tmp_path))
    rows = restored.transform(titles("a, b"))
    assert rows.features.tolist() == [0, 1]
    assert restored.share_among_words({"title": "a, b"}, {1: 2.0}) == {"a": 1.0, "b": 1.0}
    fitted = fit(["a, b", "a, c"])
    assert "a ," in fitted.vocabularies["title"] and "a b" not in fitted.vocabularies["title"]
    column = fitted.vocabularies["title"].index("a ,")
    assert fitted.share_among_words({"title": "a, b"}, {column: 2.0}) == {"a": 2.0, "b": 0.0}


def test_values_are_those_of_scikit_learn_for_each_part() -> None:
    """Rows that differ from the published weighting would make every measurement moot."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = fit(TEXTS)
    found = dense(vectorizer.transform(titles(*TEXTS)))
    texts = sorted(set(TEXTS) - {""})
    for keep in (lambda n: n.startswith("#"), lambda n: not n.startswith("#")):
        columns = [
            place for place, name in enumerate(vectorizer.vocabularies["title"]) if keep(name)
        ]
        # What is not known counts as the rarest of what is known, in the length of a row alone.
        names = [vectorizer.vocabularies["title"][place] for place in columns]
        every = {n for text in texts for n in ngrams(text, with_marks=True) if keep(n)}
        unknown = sorted(every - set(names))
        oracle = TfidfVectorizer(
            analyzer=lambda text, keep=keep: [n for n in ngrams(text, with_marks=True) if keep(n)],
            vocabulary=[*names, *unknown],
            sublinear_tf=True,
        ).fit(texts)
        oracle.idf_ = np.where(
            np.arange(len(oracle.idf_)) < len(names), oracle.idf_, vectorizer.idf.max()
        )
        expected = oracle.transform(TEXTS).toarray()[:, : len(names)]
        np.testing.assert_allclose(found[:, columns], expected, rtol=1e-5, atol=1e-7)
        assert len(unknown) > 0 or not keep("#a")


def test_a_word_counts_from_one_text_on_and_other_n_grams_from_two() -> None:
    """The one word that tells a small category apart would be dropped."""
    names = set(fit(TEXTS).vocabularies["title"])
    assert {"leather", "rubber", "#bo", "тройник"} <= names
    assert {"red leather", "#lea", "rubber boots"} & names == set()


def test_equal_texts_count_once_when_rarity_is_measured() -> None:
    once, often = fit(TEXTS), fit([*TEXTS, *TEXTS])
    assert once.vocabularies == often.vocabularies
    np.testing.assert_array_equal(
        dense(once.transform(titles(*TEXTS))), dense(often.transform(titles(*TEXTS)))
    )


@settings(deadline=None, max_examples=50)
@given(st.lists(st.text(max_size=30), max_size=6))
def test_a_row_does_not_depend_on_the_rows_beside_it(texts: list[str]) -> None:
    vectorizer = fit(TEXTS)
    together = dense(vectorizer.transform(titles(*texts)))
    for row, text in enumerate(texts):
        np.testing.assert_array_equal(together[row], dense(vectorizer.transform(titles(text)))[0])


def test_texts_without_a_known_n_gram_are_empty_rows() -> None:
    rows = fit(TEXTS).transform(titles("", "!!!", "zzzz qqqq", "boots"))
    assert np.diff(rows.starts).tolist()[:3] == [0, 0, 0]
    assert rows.starts[-1] > 0
    assert len(fit(["", "!"]).transform(titles("boots"))) == 1


def test_the_known_share_of_a_text_tells_foreign_texts() -> None:
    vectorizer = fit(TEXTS)
    assert vectorizer.known_share({"title": "red boots"}) > 0.6
    assert vectorizer.known_share({"title": "zzzzqqqq"}) == 0.0
    assert vectorizer.known_share({"title": ""}) == 0.0


def test_the_known_share_is_that_of_squared_weights() -> None:
    """Worked by hand: of two equally rare words one is known; of the runs none is.

    A foreign text of frequent runs such as " a" would look half known.
    """
    vectorizer = fit(["ab", "cd"])
    assert vectorizer.vocabularies["title"] == ["ab", "cd"]
    # Words: ab known, zz and the pair not. Runs: all twelve are unknown.
    assert vectorizer.known_share({"title": "ab zz"}) == pytest.approx((1 / 3 + 0) / 2)
    rows = vectorizer.transform(titles("ab zz", "ab"))
    assert rows.known.tolist() == pytest.approx([1 / 6, 1 / 2])
    assert dense(rows)[:, 0].tolist() == pytest.approx([3**-0.5, 1.0])


def test_a_saved_vectorizer_gives_the_same_rows(tmp_path: Path) -> None:
    vectorizer = fit(TEXTS)
    store(tmp_path, vectorizer.fitted_parts())
    restored = NgramVectorizer.restore(stored_in(tmp_path))
    np.testing.assert_array_equal(
        dense(vectorizer.transform(titles(*TEXTS))), dense(restored.transform(titles(*TEXTS)))
    )


@pytest.mark.parametrize("damage", ["{}", "[", '["a"]'])
def test_a_damaged_vocabulary_is_refused(tmp_path: Path, damage: str) -> None:
    store(tmp_path, fit(TEXTS).fitted_parts())
    (tmp_path / "ngrams.json").write_text(damage, encoding="utf-8")
    with pytest.raises(ValueError):
        NgramVectorizer.restore(stored_in(tmp_path))
