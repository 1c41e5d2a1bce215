"""Linear scores over sparse n-grams, beside scikit-learn's."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made import store, stored_in

from prodcat_index.encoders.ngrams import NgramVectorizer, SparseRows
from prodcat_index.encoders.registry import make_encoder
from prodcat_index.errors import EncoderError
from prodcat_index.learning import one_vs_rest, text_scores
from prodcat_index.learning.text_scores import (
    MANY_ROWS,
    TextScores,
    TextScoresEncoder,
    find_families,
    fit_text_scores,
    largest_score,
    log_probabilities,
    out_of_fold_probabilities,
    take,
)
from prodcat_index.types import MISSING

WORDS = [["boot", "leather"], ["mug", "glass"], ["lamp", "bulb", "led"]]


def titles(texts: list[str]) -> list[dict[str, str]]:
    return [{"title": text} for text in texts]


def fit(texts: list[str]) -> tuple[NgramVectorizer, SparseRows]:
    vectorizer = NgramVectorizer.fit({"title": texts})
    return vectorizer, vectorizer.transform(titles(texts))


@pytest.fixture(scope="module")
def cards() -> tuple[list[str], np.ndarray]:
    rng = np.random.default_rng(3)
    codes = rng.integers(0, 3, 90)
    filler = [f"word{n}" for n in range(30)]
    texts = [" ".join([*rng.choice(filler, 4), rng.choice(WORDS[code])]) for code in codes]
    return texts, codes.astype(np.int64)


def test_scores_are_those_of_scikit_learn_but_for_small_coefficients(
    cards: tuple[list[str], np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Answers would not be those that were measured."""
    from scipy.sparse import csr_matrix
    from sklearn.svm import LinearSVC

    monkeypatch.setattr(one_vs_rest, "SMALLEST_COEFFICIENT", 0.0)
    monkeypatch.setattr(one_vs_rest, "TOLERANCE", 1e-4)
    monkeypatch.setattr(text_scores, "ROWS_AT_ONCE", 7)
    texts, codes = cards
    _, rows = fit(texts)
    matrix = csr_matrix((rows.values, rows.features, rows.starts), shape=(len(rows), rows.width))
    oracle = LinearSVC(C=one_vs_rest.INVERSE_PENALTY, random_state=0).fit(matrix, codes)
    model = fit_text_scores(rows, codes)[0]
    np.testing.assert_allclose(model.decision(rows), oracle.decision_function(matrix), atol=5e-3)


def test_families_are_the_parents_of_a_category_at_each_level() -> None:
    names = ["Home > Lamps > Desk", "Home > Lamps > Floor", "Home > Mugs", "Shoes > Boots"]
    names += ["Shoes > Sandals", "Pets", "Books > Poems", "Tools > Saws > Hand"]
    # Home holds 6 of 30 cards, a fifth, and Shoes 7; the code -1 is of a card without a category.
    codes = np.repeat([0, 1, 2, 3, 4, 5, 6, 7, MISSING], [1, 2, 3, 5, 2, 8, 4, 5, 9])
    levels = find_families(names, codes)
    expected = [[{0, 1, 2}, {3}, {4}, {5}, {6}, {7}], [{0, 1}, {2}, {3}, {4}, {5}, {6}, {7}]]
    found = [[set(np.flatnonzero(level == code)) for code in np.unique(level)] for level in levels]
    assert [sorted(own, key=min) for own in found] == expected
    assert find_families(["boots", "mugs", "lamps"], np.array([0, 1, 2, 2])).shape == (0, 3)
    assert find_families([], np.zeros(0, dtype=np.int64)).shape == (0, 0)


def test_a_level_that_splits_as_another_one_counts_once() -> None:
    """Levels of one child each would take as long as real ones, and have as much to say."""
    names = [f"{kind} > only > {place}" for place in range(2) for kind in "abcdefg"]
    levels = find_families(names, np.arange(14))
    np.testing.assert_array_equal(levels, [[*range(7), *range(7)]])


def test_texts_of_one_family_alone_can_be_fitted() -> None:
    """A shop that describes its books and shows only pictures of the rest could not build."""
    texts = [f"book {'of cats' if n % 2 else 'about dogs'} {n}" for n in range(20)] + [""] * 100
    labels = [f"Books > {n % 2}" for n in range(20)] + [f"Rest {n % 9} > {n}" for n in range(100)]
    found = TextScoresEncoder.fitted({"title": texts}, labels, np.arange(120))
    assert found is not None
    encoder, rows = found
    assert encoder.families.shape == (0, 2)
    own = np.arange(20) % 2
    np.testing.assert_array_equal(rows[:20].argmax(axis=1), own)


@pytest.mark.parametrize("parents_tell", [True, False])
def test_families_are_kept_where_cards_fit_their_categories_better(
    parents_tell: bool, tmp_path: Path
) -> None:
    """Of a tree that sorts by supplier, the scores would learn what is not there."""
    rng = np.random.default_rng(0)
    shared = [[f"s{group}x{n}" for n in range(8)] for group in range(8)]
    texts, labels = [], []
    for kind in range(32):
        for _ in range(4):
            words = rng.choice(shared[kind // 4], 2).tolist() if parents_tell else []
            words += [f"own{kind}y{rng.integers(3)}", *rng.choice(60, 3).astype(str).tolist()]
            texts.append(" ".join(words))
            labels.append(f"parent {kind // 4 if parents_tell else kind % 8} > kind {kind:02d}")
    found = TextScoresEncoder.fitted({"title": texts}, labels, np.arange(128))
    assert found is not None
    encoder, rows = found
    names = sorted(set(labels))
    codes = np.array([names.index(label) for label in labels])
    every = NgramVectorizer.fit({"title": texts}).transform(titles(texts))
    families = find_families(names, codes)
    both = out_of_fold_probabilities(every, codes, np.arange(128), families)
    own = [float(np.log(np.maximum(p[np.arange(128), codes], 2e-3)).sum()) for p in both]
    assert (own[1] > own[0]) == parents_tell
    assert len(encoder.families) == parents_tell
    np.testing.assert_allclose(rows**2, both[int(parents_tell)], atol=1e-6)
    store(tmp_path, encoder.fitted_parts())
    again = TextScoresEncoder.restore("", stored_in(tmp_path))
    np.testing.assert_array_equal(again.families, encoder.families)
    # What is fitted again for calibration is fitted the same way.
    hidden, chosen = codes == 5, np.flatnonzero(codes == 5)
    left = np.where(hidden, MISSING, codes)
    model = fit_text_scores(every, left, families if parents_tell else None)[-1]
    seen = text_scores._known_to(take(every, chosen), take(every, np.flatnonzero(~hidden)))
    found_rows = again.rows_without(values(texts), codes, hidden, chosen)[:, model.categories]
    np.testing.assert_allclose(found_rows**2, model.probabilities(seen), atol=1e-6)


def test_a_category_of_one_card_learns_from_the_other_cards_of_its_parent() -> None:
    """A lamp of a brand-new kind would be answered as the mug that shares a word with it."""
    cards = [("glass mug", "Kitchen > Mugs")] * 4 + [("steel pot", "Kitchen > Pots")] * 4
    cards += [("lamp for the desk", "Light > Desk"), ("lamp for the floor", "Light > Floor")]
    cards += [("lamp of glass", "Light > Ceiling")]
    cards += [(f"{word} {n}", f"Shoes > {word}") for n in range(9) for word in ("boot", "sandal")]
    labels = [category for _, category in cards]
    names = sorted(set(labels))
    codes = np.array([names.index(label) for label in labels])
    vectorizer, rows = fit([title for title, _ in cards])
    asked = vectorizer.transform(titles(["lamp glass mug"]))
    shares = []
    for families in (None, find_families(names, codes)):
        model = fit_text_scores(rows, codes, families)[-1]
        proba = model.probabilities(asked)[0]
        shares.append(sum(proba[at] for at, name in enumerate(names) if name.startswith("Light")))
    assert shares[1] > 1.1 * shares[0]


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(2, 6))
def test_many_rows_have_the_scores_that_each_has_alone(seed: int, width: int, size: int) -> None:
    """A card would be of another category in a shard than in a query, in the last bit."""
    rng = np.random.default_rng(seed)
    count = MANY_ROWS + 5
    dense = rng.normal(size=(count, width)) * (rng.random((count, width)) < 0.4)
    places = [np.flatnonzero(row) for row in dense]
    rows = SparseRows(
        np.cumsum([0, *map(len, places)]),
        np.concatenate(places),
        dense[dense != 0].astype(np.float32),
        width,
        np.ones(count, dtype=np.float32),
    )
    weights = rng.normal(size=(width, size)) * (rng.random((width, size)) < 0.5)
    model = TextScores(
        np.cumsum([0, *np.count_nonzero(weights, axis=1)]),
        np.nonzero(weights)[1].astype(np.int32),
        weights[weights != 0].astype(np.float16),
        rng.normal(size=size).astype(np.float32),
        np.arange(size),
    )
    alone = [model.decision(take(rows, np.array([row]))) for row in range(count)]
    assert model.decision(rows).tobytes() == np.concatenate(alone).tobytes()


def test_small_coefficients_are_left_out(cards: tuple[list[str], np.ndarray]) -> None:
    texts, codes = cards
    model = fit_text_scores(fit(texts)[1], codes)[0]
    smallest = np.abs(model.coefficients).min()
    assert smallest >= np.float16(one_vs_rest.SMALLEST_COEFFICIENT)


def test_two_categories_have_opposite_scores(cards: tuple[list[str], np.ndarray]) -> None:
    texts, codes = cards
    _, rows = fit(texts)
    model = fit_text_scores(rows, np.where(codes == 2, MISSING, codes))[0]
    assert model.categories.tolist() == [0, 1]
    scores = model.decision(rows)
    np.testing.assert_allclose(scores[:, 0], -scores[:, 1], atol=0.05)
    chosen = codes < 2
    assert np.mean(model.categories[scores.argmax(axis=1)][chosen] == codes[chosen]) == 1.0


def test_nothing_is_fitted_to_one_category_or_to_empty_rows() -> None:
    _, rows = fit(["boot", "mug", ""])
    assert fit_text_scores(rows, np.array([0, 0, 1])) == []
    assert fit_text_scores(rows, np.array([0, MISSING, 1])) == []


def test_what_n_grams_add_sums_to_the_score(cards: tuple[list[str], np.ndarray]) -> None:
    """The words that are named as the reason would not be the reason."""
    texts, codes = cards
    _, rows = fit(texts)
    model = fit_text_scores(rows, codes)[0]
    scores = model.decision(rows)
    for row in range(5):
        for code in range(3):
            total = model.contributions(rows, row, code).sum() + model.intercepts[code]
            assert total == pytest.approx(scores[row, code], abs=1e-5)


def test_out_of_fold_scores_have_not_seen_the_group() -> None:
    """A card would confirm its own wrong label."""
    rng = np.random.default_rng(5)
    names = ["".join(rng.choice(list("abcdefghijklmnopqrstuvwxyz"), 8)) for _ in range(60)]
    texts = [name for name in names for _ in range(2)]
    codes = np.repeat(rng.integers(0, 2, 60), 2)
    _, rows = fit(texts)
    by_card = out_of_fold_probabilities(rows, codes, np.arange(120))[0]
    by_group = out_of_fold_probabilities(rows, codes, np.repeat(np.arange(60), 2))[0]
    # Only the name that both cards of a group have tells anything.
    assert np.mean(by_card.argmax(axis=1) == codes) > 0.7
    assert np.mean(by_group.argmax(axis=1) == codes) < 0.65


def test_what_probabilities_lack_to_one_belongs_to_none_of_the_categories(
    cards: tuple[list[str], np.ndarray],
) -> None:
    """A listing that no category claims would look as sure as one that a category does."""
    texts, codes = cards
    vectorizer, rows = fit(texts)
    model = fit_text_scores(rows, codes + 1)[0]
    asked = vectorizer.transform(titles(["leather boot", "", "qqqq", "leather qqqqwwww zzzzxxxx"]))
    proba = model.probabilities(asked)
    assert model.categories[proba[0].argmax()] == 1
    assert not proba[1:3].any()
    known = asked.known[[0, 3]]
    assert known[0] > text_scores.USUAL_SHARE > known[1] > text_scores.LEAST_SHARE
    none = [0.0, np.log(text_scores.USUAL_SHARE / known[1])]
    for row, score in zip((0, 3), none, strict=True):
        every = np.append(model.decision(asked)[row].astype(np.float64), score)
        sharpened = np.exp(text_scores.SHARPNESS * every)
        np.testing.assert_allclose(proba[row], (sharpened / sharpened.sum())[:-1], atol=1e-6)


def test_the_largest_score_can_be_read_from_a_stored_row(
    cards: tuple[list[str], np.ndarray],
) -> None:
    """What speaks for a known category would be lost with the softmax."""
    texts, codes = cards
    vectorizer, rows = fit(texts)
    model = fit_text_scores(rows, codes)[0]
    asked = vectorizer.transform(titles([*texts[:20], "leather qqqqwwww zzzzxxxx"]))
    none = np.log(np.maximum(text_scores.USUAL_SHARE / asked.known, 1.0))
    stored = np.sqrt(model.probabilities(asked)).astype(np.float16)
    expected = model.decision(asked).max(axis=1) - none
    np.testing.assert_allclose(largest_score(stored), expected, atol=0.02)
    assert largest_score(np.zeros((1, 3), dtype=np.float16))[0] < expected.min() - 2


def test_what_only_a_card_itself_has_is_not_known_of_it() -> None:
    """Indexed cards would look more familiar than new ones, and new ones never good enough."""
    # The runs of characters are in one text only, and so not in the vocabulary: half is known.
    texts = ["boot", "boot", "mug", "mug"]
    _, rows = fit(texts)
    assert rows.known.tolist() == pytest.approx([0.5] * 4)
    seen = text_scores._known_to(take(rows, np.array([1, 2])), take(rows, np.array([0])))
    assert seen.known.tolist() == pytest.approx([0.5, 0.0])
    np.testing.assert_array_equal(seen.values, take(rows, np.array([1, 2])).values)


def test_hidden_categories_have_no_part_in_the_rows_without_them(
    cards: tuple[list[str], np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unseen categories would look like those that machines learned to reject, and never fool."""
    monkeypatch.setattr(text_scores, "USUAL_SHARE", 1.0)  # what is known counts in every row
    texts, codes = cards
    encoder, _ = fitted(cards)
    columns = np.array([encoder.categories.index(["boots", "mugs", "lamps"][c]) for c in codes])
    hidden, chosen = codes == 2, np.flatnonzero(codes == 2)[:7]
    found = encoder.rows_without(values(texts), columns, hidden, chosen)
    assert found.shape == (7, 3)
    assert not found[:, encoder.categories.index("lamps")].any()
    # The same as if the catalogue had never had them.
    rest = np.where(hidden, MISSING, columns)
    rows = encoder.vectorizer.transform(titles(texts))
    model = fit_text_scores(rows, rest)[0]
    seen = text_scores._known_to(take(rows, chosen), take(rows, np.flatnonzero(~hidden)))
    np.testing.assert_allclose(
        found[:, model.categories] ** 2, model.probabilities(seen), atol=1e-6
    )


def test_taken_rows_are_the_rows(cards: tuple[list[str], np.ndarray]) -> None:
    texts, _ = cards
    _, rows = fit(texts)
    some = take(rows, np.array([5, 0, 5]))
    for new, old in enumerate([5, 0, 5]):
        own, its = slice(*some.starts[new : new + 2]), slice(*rows.starts[old : old + 2])
        np.testing.assert_array_equal(some.features[own], rows.features[its])
        np.testing.assert_array_equal(some.values[own], rows.values[its])
    np.testing.assert_array_equal(some.known, rows.known[[5, 0, 5]])


def test_log_probabilities_are_of_the_categories_asked_for() -> None:
    """Worked by hand: probabilities 0.64 and 0.36, a new category as probable as the likeliest."""
    rows = np.array([[0.8, 0.6], [1.0, 0.0], [0.0, 0.0]], dtype=np.float32)
    columns = np.array([1, MISSING, 0])
    found = log_probabilities(rows, columns, np.array([[0, 1, 2, MISSING]] * 3))
    logs = np.log([0.36, 0.64, 0.64])
    np.testing.assert_allclose(found[0], [*logs, 0], atol=1e-6)
    np.testing.assert_allclose(found[1], [text_scores.LEAST_LOGARITHM, 0, 0, 0], atol=1e-5)
    np.testing.assert_array_equal(found[2], np.zeros(4))


def fitted(cards: tuple[list[str], np.ndarray]) -> tuple[TextScoresEncoder, np.ndarray]:
    texts, codes = cards
    labels = [["boots", "mugs", "lamps"][code] for code in codes]
    found = TextScoresEncoder.fitted({"title": texts, "description": [""] * 90}, labels, codes)
    assert found is not None
    return found


def values(texts: list[str]) -> list[str]:
    return [json.dumps({"title": text}) if text else "" for text in texts]


def test_the_encoder_embeds_texts_as_square_roots_of_probabilities(
    cards: tuple[list[str], np.ndarray],
) -> None:
    encoder, _ = fitted(cards)
    assert (encoder.categories, encoder.dim) == (["boots", "lamps", "mugs"], 3)
    rows = encoder.encode(values(["leather boot", "glass mug", "", "qqqq"])).vectors
    # What is clear is of none of the categories with a probability of nearly 0.
    np.testing.assert_allclose(np.sum(rows**2, axis=1), [1, 1, 0, 0], atol=1e-4)
    assert [encoder.categories[place] for place in rows[:2].argmax(axis=1)] == ["boots", "mugs"]


def test_the_rows_of_indexed_cards_have_not_seen_their_group(
    cards: tuple[list[str], np.ndarray],
) -> None:
    """Groups that are categories: a model without the group cannot give its category at all."""
    encoder, rows = fitted(cards)
    of_card = [["boots", "lamps", "mugs"].index(["boots", "mugs", "lamps"][c]) for c in cards[1]]
    assert rows.shape == (90, encoder.dim)
    np.testing.assert_array_equal(rows[np.arange(90), of_card], np.zeros(90))


def test_a_saved_encoder_gives_the_same_rows(
    cards: tuple[list[str], np.ndarray], tmp_path: Path
) -> None:
    encoder, _ = fitted(cards)
    store(tmp_path, encoder.fitted_parts())
    restored = TextScoresEncoder.restore("", stored_in(tmp_path))
    asked = values(["leather boot", "glass", ""])
    np.testing.assert_array_equal(restored.encode(asked).vectors, encoder.encode(asked).vectors)
    assert restored.fingerprint == encoder.fingerprint


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("starts.npy", lambda a: a[:-1]),
        ("starts.npy", lambda a: a[::-1]),
        ("columns.npy", lambda a: a + 3),
        ("columns.npy", lambda a: a - 1),
        ("columns.npy", lambda a: a[1:]),
        ("coefficients.npy", lambda a: a[1:]),
        ("intercepts.npy", lambda a: a[1:]),
        ("idf.npy", lambda a: a[1:]),
    ],
)
def test_damaged_text_scores_are_refused(
    cards: tuple[list[str], np.ndarray],
    tmp_path: Path,
    name: str,
    damage: Callable[[np.ndarray], np.ndarray],
) -> None:
    """They would read beyond their arrays, or speak for the wrong category."""
    store(tmp_path, fitted(cards)[0].fitted_parts())
    np.save(tmp_path / name, damage(np.load(tmp_path / name)))
    with pytest.raises(EncoderError, match="build the index again"):
        TextScoresEncoder.restore("", stored_in(tmp_path))


@pytest.mark.parametrize("name", ["ngrams.json", "categories.json"])
@pytest.mark.parametrize("content", ["[", "{}", '{"title": 3}', "[1]"])
def test_damaged_names_are_refused(
    cards: tuple[list[str], np.ndarray], tmp_path: Path, name: str, content: str
) -> None:
    store(tmp_path, fitted(cards)[0].fitted_parts())
    (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(EncoderError, match="build the index again"):
        TextScoresEncoder.restore("", stored_in(tmp_path))


def test_text_scores_are_no_encoder_to_choose() -> None:
    with pytest.raises(EncoderError, match="fitted to the labels"):
        make_encoder("text-scores")


def test_what_words_add_sums_to_the_score_and_names_the_word_that_decides() -> None:
    """The reason that is shown would not be the reason."""
    texts = [f"{thing} number {n}" for n in range(40) for thing in ("kettle", "boot", "lamp")]
    labels = [text.split()[0] for text in texts]
    fields = {"title": texts, "description": [text.split()[1] for text in texts]}
    fitted = TextScoresEncoder.fitted(fields, labels, np.arange(len(texts)))
    assert fitted is not None
    encoder = fitted[0]
    card = {"title": "big kettle kettle number 7", "description": "number kettles"}
    found = encoder.words(json.dumps(card), "kettle")
    assert found[0][0] == "kettle"
    assert [added for _, added in found] == sorted((a for _, a in found), reverse=True)
    assert {word for word, _ in found} == {"big", "kettle", "number", "7", "kettles"}
    row = encoder.vectorizer.transform([card])
    column = encoder.categories.index("kettle")
    score = encoder.model.decision(row)[0, column] - encoder.model.intercepts[column]
    assert sum(added for _, added in found) == pytest.approx(score, abs=1e-5)
    assert encoder.words(json.dumps(card), "unknown") == []
    assert encoder.words("", "kettle") == []
