"""TF-IDF and LinearSVC beside the index: as scikit-learn alone does it, on training cards only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import made
import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.metrics import f1_score
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.svm import LinearSVC

from prodcat_index.cards.card import Catalogue, join_catalogues
from prodcat_index.evaluation import text_classifier
from prodcat_index.evaluation.text_classifier import NO_WORD, PENALTIES, TextAnswers, classify_texts

WORDS = {
    made.BOOTS: ("boots", "leather", "sole", "winter"),
    made.KETTLES: ("kettle", "steel", "boils", "glass"),
    made.LAMPS: ("lamp", "light", "shade", "desk"),
}
# Seeds of shops that are served best by one C each.
CHOOSING = (0, 1, 2, 3)
COLOURS = ("red", "black", "blue", "green", "white")


def shop(seed: int, count: int = 60, noise: float = 0.5) -> Catalogue:
    """Draw cards whose words are their shelf's own or, some of them, of any shelf."""
    rng = np.random.default_rng(seed)
    everything = [word for words in WORDS.values() for word in words]
    rows = []
    for number in range(count):
        category = list(WORDS)[number % 3]

        def write(length: int, own: Sequence[str] = WORDS[category]) -> str:
            drawn = [rng.choice(everything if rng.random() < noise else own) for _ in range(length)]
            return " ".join([*drawn, rng.choice(COLOURS)])

        title = f"{write(2)} {seed}x{number:03}z"  # An article number, which no other card has.
        rows.append(made.row(f"c{number:03}", title, write(3), category=category))
    return made.catalogue(rows)


def oracle(catalogue: Catalogue, penalty: float) -> Any:
    """Build the same classifier from nothing but scikit-learn."""

    def texts_of(column: int, vectorizer: Any) -> Any:
        pick = FunctionTransformer(lambda rows: [row[column][:1500] for row in rows])
        return make_pipeline(pick, vectorizer)

    characters = {"analyzer": "char_wb", "ngram_range": (2, 5), "min_df": 2}
    words = {"token_pattern": r"\w+", "ngram_range": (1, 2)}
    union = FeatureUnion(
        [
            (
                f"{column} {kind['ngram_range']}",
                texts_of(column, TfidfVectorizer(sublinear_tf=True, **kind)),
            )
            for column in range(2)
            for kind in (characters, words)
        ]
    )
    return make_pipeline(union, LinearSVC(C=penalty, random_state=0))


def texts(catalogue: Catalogue) -> list[tuple[str, ...]]:
    columns = [catalogue.values(name) for name in ("title", "description")]
    return list(zip(*columns, strict=True))


@pytest.mark.parametrize("seed", CHOOSING)
def test_answers_are_those_of_scikit_learn(seed: int) -> None:
    """The comparison would flatter the index, or slander it."""
    train, test = shop(seed), shop(100 + seed)
    groups = np.arange(len(train)) // 2
    found = classify_texts(train, groups, test, seed=0)
    labels = np.array(train.values("category"), dtype=str)
    # The n-grams are those of the whole training part, for the folds too.
    rows = oracle(train, 1.0)[0].fit_transform(texts(train))

    def out_of_fold(penalty: float) -> float:
        model, folds = LinearSVC(C=penalty, random_state=0), GroupKFold(3)
        told = cross_val_predict(model, rows, labels, groups=groups, cv=folds)
        return float(f1_score(labels, told, average="weighted"))

    assert found.settings["C"] == max(PENALTIES, key=out_of_fold)
    model = oracle(train, found.settings["C"]).fit(texts(train), labels)
    assert found.scores is not None
    assert found.scores == pytest.approx(model.decision_function(texts(test)), abs=2e-3)
    assert answers(found) == model.predict(texts(test)).tolist()


def answers(found: TextAnswers) -> list[str]:
    assert found.scores is not None
    names = sorted(WORDS)
    return [names[code] for code in found.scores.argmax(axis=1)]


def test_c_is_chosen_for_each_catalogue() -> None:
    """The row would be that of one C, which serves another shop badly."""
    found = (classify_texts(shop(seed), np.arange(60) // 2, shop(9), seed=0) for seed in CHOOSING)
    assert {each.settings["C"] for each in found} == set(PENALTIES)


def test_cards_of_one_group_never_judge_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """C would be the one that knows variants by heart."""
    seen: list[tuple[set[int], set[int]]] = []
    split = GroupKFold.split

    def spy(self: GroupKFold, rows: Any, y: Any = None, groups: Any = None) -> Any:
        for train, held in split(self, rows, y, groups):
            seen.append((set(groups[train].tolist()), set(groups[held].tolist())))
            yield train, held

    monkeypatch.setattr(GroupKFold, "split", spy)
    classify_texts(shop(1), np.arange(60) // 4, shop(2), seed=0)
    assert len(seen) == 3
    assert not any(train & held for train, held in seen)


def test_nothing_is_learned_from_a_test_card(monkeypatch: pytest.MonkeyPatch) -> None:
    """A rival that has seen the answers beats everybody."""
    train, test = shop(1), shop(2)
    rows = test.cards.assign(title="зонт складной", description="зонт")
    counted: set[str] = set()
    fitted: list[int] = []
    count, fit = TfidfVectorizer.fit_transform, LinearSVC.fit
    monkeypatch.setattr(
        TfidfVectorizer,
        "fit_transform",
        lambda self, texts: (counted.update(texts), count(self, texts))[1],
    )
    monkeypatch.setattr(
        LinearSVC, "fit", lambda self, x, y: (fitted.append(x.shape[0]), fit(self, x, y))[1]
    )
    found = classify_texts(train, np.arange(60), replace(test, cards=rows), seed=0)
    assert counted == {*train.values("title"), *train.values("description")}
    assert max(fitted) == len(train)
    # No n-gram of the test cards is known, so that all of them get the same answer.
    assert found.scores is not None
    assert np.ptp(found.scores, axis=0).tolist() == [0.0, 0.0, 0.0]
    alone = classify_texts(train, np.arange(60), test.select([0]), seed=0)
    among = classify_texts(train, np.arange(60), test, seed=0)
    assert alone.scores is not None and among.scores is not None
    assert alone.settings == among.settings
    assert alone.scores[0].tolist() == among.scores[0].tolist()


def test_unlabelled_training_cards_teach_nothing() -> None:
    train, test = shop(1), shop(2)
    unlabelled = train.cards.assign(id="u" + train.cards["id"], category="", title="boots lamp")
    both = join_catalogues(train, replace(train, cards=unlabelled))
    first = classify_texts(train, np.arange(60), test, seed=0)
    second = classify_texts(both, np.arange(120), test, seed=0)
    assert first.scores is not None and second.scores is not None
    assert first.scores.tolist() == second.scores.tolist()


def test_many_cards_choose_c_by_a_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    """An evaluation of a large catalogue would take hours for this row alone."""
    fitted: list[int] = []
    fit = LinearSVC.fit
    monkeypatch.setattr(
        LinearSVC, "fit", lambda self, x, y: (fitted.append(x.shape[0]), fit(self, x, y))[1]
    )
    monkeypatch.setattr(text_classifier, "CHOSEN_ON", 30)
    groups = np.arange(60)
    one, again = (classify_texts(shop(3), groups, shop(4), seed=5) for _ in range(2))
    assert one.scores is not None and again.scores is not None
    assert one.scores.tolist() == again.scores.tolist()
    assert sorted(set(fitted)) == [20, 60]
    # Of three categories: a fit each for 3 folds of every candidate, and the last one.
    assert len(fitted) == 2 * 3 * (3 * len(PENALTIES) + 1)


def test_a_category_of_one_card_does_not_stop_the_choice() -> None:
    """Real shops have such categories: no fold without the card has ever heard of it."""
    train = shop(1).cards.copy()
    train.loc[0, "category"] = "Toys > Kites"
    test = made.catalogue([made.row("t", train["title"][0], train["description"][0])])
    found = classify_texts(replace(shop(1), cards=train), np.arange(60), test, seed=0)
    assert found.scores is not None
    assert found.scores.shape == (1, 4) and np.isfinite(found.scores).all()


def test_one_group_or_one_category_is_enough() -> None:
    train = shop(1)
    found = classify_texts(train, np.zeros(60, dtype=np.int64), shop(2), seed=0)
    assert found.settings["C"] == 1.0
    boots = train.select([row for row, c in enumerate(train.values("category")) if c == made.BOOTS])
    found = classify_texts(boots, np.arange(len(boots)), shop(2), seed=0)
    assert found.scores is not None
    assert found.scores.tolist() == [[0.0]] * 60


def test_of_a_long_text_the_beginning_counts() -> None:
    """A megabyte of description would take the memory of the whole evaluation."""
    train, test = shop(1), shop(2)
    long = test.cards.assign(
        description=[text.ljust(1500) + "lamp" for text in test.cards["title"]]
    )
    short = test.cards.assign(description=test.cards["title"])
    first, second = (
        classify_texts(train, np.arange(60), replace(test, cards=cards), seed=0).scores
        for cards in (long, short)
    )
    assert first is not None and second is not None
    assert first.tolist() == second.tolist()


def test_texts_without_a_word_are_told() -> None:
    """An evaluation of an hour would end in the traceback of a library."""
    empty = made.catalogue([dict(row, title="", description="") for row in made.CARDS])
    found = classify_texts(empty, np.arange(len(empty)), shop(2), seed=0)
    assert (found.scores, found.note) == (None, NO_WORD)


def test_a_fit_that_did_not_converge_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """An unfinished rival is no rival."""
    made_so = LinearSVC.__init__
    monkeypatch.setattr(
        LinearSVC, "__init__", lambda self, **options: made_so(self, max_iter=1, **options)
    )
    assert classify_texts(shop(1), np.arange(60), shop(2), seed=0).note == "did not converge"
    monkeypatch.undo()
    assert classify_texts(shop(1), np.arange(60), shop(2), seed=0).note == ""
