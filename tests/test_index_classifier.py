"""The classifier over arrays: the answers of the index, in the manners of scikit-learn."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from made import catalogue, row
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from prodcat_index import ProductIndex, ProductKNNClassifier, read_catalogue
from prodcat_index.cards.card import Catalogue
from prodcat_index.encoders.base import unit_rows
from prodcat_index.errors import QueryError

Rows = npt.NDArray[np.float64]
TEXTS = ("title", "description")
WORDS = ("red", "leather", "boots", "kettle", "steel", "lamp", "чайник", "сапоги", "glass", "warm")


@parametrize_with_checks(
    [
        ProductKNNClassifier(),
        ProductKNNClassifier(n_neighbors=1, prior_exponent=1.0, centre=False),
        ProductKNNClassifier(projection="lda", head_exponent=0.75, temperature=0.05),
    ]
)
def test_scikit_learn_takes_it_for_one_of_its_own(
    estimator: ProductKNNClassifier, check: Callable[[ProductKNNClassifier], None]
) -> None:
    """Pipelines, searches and cross-validation would break in places."""
    check(estimator)


def random_catalogue(seed: int, count: int = 40) -> Catalogue:
    rng = np.random.default_rng(seed)

    def words(least: int, most: int) -> str:
        return " ".join(rng.choice(WORDS, rng.integers(least, most + 1)))

    return catalogue(
        row(f"c{n:02d}", f"{words(2, 4)} x{n}", words(0, 5), category=rng.choice(["A", "B", "C"]))
        for n in range(count)
    )


def features(index: ProductIndex, cards: Catalogue) -> Rows:
    """What the index's encoders make of cards, side by side, nothing removed or scaled."""
    blocks = [
        block.slot.load().encode(cards.values(block.modality)).vectors
        for block in index.parts.blocks
    ]
    return np.concatenate(blocks, axis=1)


def check_same_answers(
    index: ProductIndex, train: Catalogue, new: Catalogue, weights: Mapping[str, float], **vote: Any
) -> None:
    classifier = ProductKNNClassifier(
        blocks=[block.dim for block in index.parts.blocks],
        weights=[weights[block.name] for block in index.parts.blocks],
        n_neighbors=vote["k"],
        temperature=vote["temperature"],
        prior_exponent=vote["prior_exponent"],
    ).fit(features(index, train), train.values("category"))
    expected = index.predict(new, weights=weights, **vote)
    assert classifier.predict(features(index, new)).tolist() == expected.categories
    shares = classifier.predict_proba(features(index, new))
    names = classifier.classes_.tolist()
    for place, prediction in enumerate(expected):
        told = dict.fromkeys(names, 0.0) | dict(prediction.ranked)
        # The index keeps its rows in 16 bits, the classifier in 32.
        np.testing.assert_allclose(shares[place], [told[name] for name in names], atol=5e-3)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("prior_exponent", [0.0, 0.75])
def test_it_answers_as_the_index_does_on_the_same_blocks(seed: int, prior_exponent: float) -> None:
    """What was found out with the classifier would not hold for the index."""
    train, new = random_catalogue(seed), random_catalogue(seed + 100)
    index = ProductIndex.build(train, encoders=dict.fromkeys(TEXTS, "lexical:16"))
    weights = {"title": 0.3, "description": 0.7}
    check_same_answers(
        index, train, new, weights, k=7, temperature=0.2, prior_exponent=prior_exponent
    )


def test_it_answers_as_the_index_does_on_real_cards(shared_data: Path) -> None:
    """Most of these cards have no description."""
    folder = shared_data / "kazanexpress_schema"
    cards = read_catalogue(folder / "train.parquet")
    texts = replace(cards, cards=cards.cards.assign(image=""))
    train, new = texts.select(range(0, len(texts), 2)), texts.select(range(1, len(texts), 20))
    encoders = dict.fromkeys(TEXTS, "lexical:64")
    index = ProductIndex.build(train, encoders=encoders, projection="none")
    weights = {"title": 0.6, "description": 0.4}
    check_same_answers(index, train, new, weights, k=10, temperature=0.1, prior_exponent=0.25)


class Oracle:
    """The definition, one query and one block after the other, in float64."""

    def __init__(self, train: Rows, y: Sequence[str], widths: Sequence[int], centre: bool) -> None:
        self.y, self.widths, self.classes = y, widths, sorted(set(y))
        self.means = [
            block[block.any(axis=1)].mean(axis=0) if centre else np.zeros(block.shape[1])
            for block in self._unit_blocks(train)
        ]
        self.train = self._centred(train)

    def _unit_blocks(self, X: Rows) -> list[Rows]:
        blocks = np.split(np.nan_to_num(X), np.cumsum(self.widths)[:-1], axis=1)
        return [self._unit(block) for block in blocks]

    @staticmethod
    def _unit(block: Rows) -> Rows:
        lengths = np.linalg.norm(block, axis=1, keepdims=True)
        return block / np.where(lengths > 0, lengths, 1)

    def _centred(self, X: Rows) -> list[Rows]:
        return [
            self._unit(np.where(block.any(axis=1, keepdims=True), block - mean, 0))
            for block, mean in zip(self._unit_blocks(X), self.means, strict=True)
        ]

    def shares(self, X: Rows, weights: Rows, k: int, temperature: float, tau: float) -> Rows:
        queries = self._centred(X)
        return np.array(
            [
                self._share([block[q] for block in queries], weights, k, temperature, tau)
                for q in range(len(X))
            ]
        )

    def _share(
        self, query: list[Rows], weights: Rows, k: int, temperature: float, tau: float
    ) -> list[float]:
        has = np.array([block.any() for block in query])
        if not (weights * has).any():
            return [self.y.count(name) / len(self.y) for name in self.classes]
        parts = [self._cosines(b, vector) for b, vector in enumerate(query)]
        total = (weights * has) @ np.array(parts) / (weights * has).sum()
        # A sample without any block does not vote.
        voters = np.flatnonzero(np.any([block.any(axis=1) for block in self.train], axis=0))
        nearest = sorted(voters, key=lambda i: (-total[i], i))[:k]
        votes = dict.fromkeys(self.classes, 0.0)
        for i in nearest:
            fading = np.exp((total[i] - total[nearest[0]]) / temperature)
            votes[self.y[i]] += fading * self.y.count(self.y[i]) ** -tau
        return [votes[name] / sum(votes.values()) for name in self.classes]

    def _cosines(self, b: int, vector: Rows) -> Rows:
        cosines = self.train[b] @ vector
        has = self.train[b].any(axis=1)
        if has.all():
            return cosines
        known = np.sort(cosines[has])
        return np.where(has, cosines, known[int(0.9 * (len(known) - 1))])


def random_samples(rng: np.random.Generator, n: int, widths: Sequence[int]) -> Rows:
    """Rows of which a fifth of all blocks is absent: zeros, or NaN."""
    blocks = [rng.normal(2, 1, size=(n, width)) for width in widths]
    for block in blocks:
        block[rng.random(n) < 0.1] = 0.0
        block[rng.random(n) < 0.1] = np.nan
    return np.concatenate(blocks, axis=1)


@pytest.mark.parametrize("centre", [True, False])
@pytest.mark.parametrize("seed", range(8))
def test_shares_are_those_of_the_definition(seed: int, centre: bool) -> None:
    rng = np.random.default_rng(seed)
    widths = rng.integers(3, 9, size=rng.integers(1, 4)).tolist()
    weights = rng.random(len(widths)) + 0.1
    train, new = random_samples(rng, 60, widths), random_samples(rng, 30, widths)
    y = rng.choice(["a", "b", "c", "d"], 60, p=[0.5, 0.3, 0.1, 0.1]).tolist()
    classifier = ProductKNNClassifier(
        blocks=widths,
        weights=weights.tolist(),
        n_neighbors=8,
        temperature=0.15,
        prior_exponent=0.5,
        centre=centre,
    ).fit(train, y)
    expected = Oracle(train, y, widths, centre).shares(new, weights, 8, 0.15, 0.5)
    np.testing.assert_allclose(classifier.predict_proba(new), expected, atol=1e-4)
    told = np.array(sorted(set(y)))[expected.argmax(axis=1)]
    assert classifier.predict(new).tolist() == told.tolist()
    assert classifier.score(new, told) == 1.0


@pytest.mark.parametrize("k", [1, 4, 9])
def test_where_all_neighbours_count_alike_it_is_scikit_learns(k: int) -> None:
    """Nobody could compare figures with those of the usual classifier."""
    rng = np.random.default_rng(k)
    X, new = rng.normal(size=(80, 6)), rng.normal(size=(40, 6))
    y = rng.integers(0, 5, 80)
    ours = ProductKNNClassifier(n_neighbors=k, temperature=1e9, centre=False).fit(X, y)
    theirs = KNeighborsClassifier(k, metric="cosine").fit(X, y)
    np.testing.assert_allclose(ours.predict_proba(new), theirs.predict_proba(new), atol=1e-6)
    for samples in (new, None):
        distances, rows = ours.kneighbors(samples)
        np.testing.assert_array_equal(rows, theirs.kneighbors(samples)[1])
        np.testing.assert_allclose(distances, theirs.kneighbors(samples)[0], atol=1e-6)


def test_equal_samples_stand_in_the_order_of_their_rows() -> None:
    """A run again would give other answers."""
    X = np.tile([[1.0, 0.0], [0.0, 1.0]], (30, 1))
    y = ["late"] * 4 + ["early"] * 56
    classifier = ProductKNNClassifier(n_neighbors=3).fit(X, y)
    assert classifier.kneighbors([[5.0, 0.0]], return_distance=False).tolist() == [[0, 2, 4]]
    others = classifier.kneighbors(return_distance=False)
    assert others[[0, 2, 59]].tolist() == [[2, 4, 6], [0, 4, 6], [1, 3, 5]]
    assert classifier.predict([[5.0, 0.0]]).tolist() == ["late"]


def test_of_equal_votes_the_nearer_neighbour_wins() -> None:
    X = [[1.0, 0.0], [0.0, 1.0]]
    classifier = ProductKNNClassifier(n_neighbors=2, temperature=1e300, centre=False)
    classifier.fit(X, ["z", "a"])
    assert classifier.predict_proba([[0.9, 0.1]]).tolist() == [[0.5, 0.5]]
    assert classifier.predict([[0.9, 0.1], [0.1, 0.9]]).tolist() == ["z", "a"]


def test_all_samples_are_neighbours_where_more_are_asked_for() -> None:
    """A row number of -1 would be taken for the last sample."""
    X, y = two_blocks(5)
    classifier = ProductKNNClassifier(n_neighbors=8).fit(X, y)
    assert np.sort(classifier.kneighbors(X, return_distance=False)).tolist() == [[*range(5)]] * 5
    others = np.sort(classifier.kneighbors(return_distance=False))
    assert others.tolist() == [[i for i in range(5) if i != row] for row in range(5)]


@pytest.mark.parametrize(
    "classes",
    [
        [30, 10, 20],
        [2.0, -1.0, 0.0],
        ["Обувь > Сапоги", "Дом > Чайники", "Lamps"],
        np.array(["b", "c", "a"], dtype=object),
        [True, False, True],
    ],
    ids=["ints", "floats", "texts", "objects", "truths"],
)
def test_classes_come_back_as_they_were_given(classes: Any) -> None:
    X = np.eye(3)
    classifier = ProductKNNClassifier(n_neighbors=1).fit(X, classes)
    assert classifier.predict(X).tolist() == list(classes)
    assert classifier.classes_.tolist() == sorted(set(classes))
    assert type(classifier.predict(X).tolist()[0]) is type(classes[0])


# Block one tells the class, block two is noise; nothing but the weights separates them.
def two_blocks(n: int = 120) -> tuple[Rows, npt.NDArray[np.str_]]:
    rng = np.random.default_rng(0)
    y = np.array(["boots", "kettles", "lamps"])[np.arange(n) % 3]
    told = np.eye(3)[np.arange(n) % 3] + rng.normal(0, 0.1, size=(n, 3))
    return np.concatenate([told, rng.normal(size=(n, 4))], axis=1), y


def test_a_search_finds_the_block_that_tells() -> None:
    X, y = two_blocks()
    grid = {"weights": [(0.05, 0.95), (0.95, 0.05)], "n_neighbors": [3, 30]}
    search = GridSearchCV(ProductKNNClassifier(blocks=(3, 4)), grid, cv=3).fit(X, y)
    assert search.best_params_["weights"] == (0.95, 0.05)
    assert search.best_score_ > 0.95
    assert min(search.cv_results_["mean_test_score"]) < 0.8


def test_it_is_cross_validated_at_the_end_of_a_pipeline() -> None:
    """Shares that round to a little more than 1 are refused by scores of probabilities."""
    X, y = two_blocks()
    classifier = ProductKNNClassifier(blocks=(3, 4), weights=(1, 0))
    pipeline = make_pipeline(StandardScaler(with_mean=False), classifier)
    losses = -cross_val_score(pipeline, X, y, cv=3, scoring="neg_log_loss", error_score="raise")
    assert losses.max() < 0.1


@pytest.mark.parametrize(
    "changes",
    [{"weights": (0.9, 0.1)}, {"n_neighbors": 2}, {"temperature": 0.01}, {"prior_exponent": 1.0}],
    ids=lambda changes: next(iter(changes)),
)
def test_parameters_change_without_fitting_again(changes: dict[str, Any]) -> None:
    X, y = two_blocks()
    y[:60] = "boots"
    classifier = ProductKNNClassifier(blocks=(3, 4)).fit(X, y)
    before = classifier.predict_proba(X[:9])
    after = classifier.set_params(**changes).predict_proba(X[:9])
    fresh = ProductKNNClassifier(blocks=(3, 4), **changes).fit(X, y).predict_proba(X[:9])
    np.testing.assert_array_equal(after, fresh)
    assert np.abs(after - before).max() > 0.01


def test_a_sample_with_nothing_to_compare_gets_the_class_shares() -> None:
    X, y = two_blocks(9)
    y[:5] = "lamps"
    classifier = ProductKNNClassifier(blocks=(3, 4), weights=(1, 0)).fit(X, y)
    empty = np.array([[0.0, 0, 0, 1, 2, 3, 4]])
    sizes = {name: len(list(same)) / 9 for name, same in groupby(sorted(y.tolist()))}
    assert dict(zip(classifier.classes_, classifier.predict_proba(empty)[0], strict=True)) == sizes
    assert classifier.predict(empty).tolist() == ["lamps"]
    distances, rows = classifier.kneighbors(empty, n_neighbors=2)
    assert rows.tolist() == [[-1, -1]]
    assert np.isnan(distances).all()


def test_a_block_that_no_training_sample_has_says_nothing() -> None:
    """Its weight would flatten all differences in the other block."""
    X, y = two_blocks()
    X[:, 3:] = 0.0
    with_block = ProductKNNClassifier(blocks=(3, 4)).fit(X, y)
    without = ProductKNNClassifier().fit(X[:, :3], y)
    new = two_blocks(12)[0]
    np.testing.assert_array_equal(with_block.predict_proba(new), without.predict_proba(new[:, :3]))


def test_rows_are_kept_in_full_precision() -> None:
    """Of samples at nearly equal angles, the wrong one would be nearest."""
    angles = np.linspace(0.0, 0.5, 40)
    X = np.stack([np.cos(angles), np.sin(angles)], axis=1) * 7
    classifier = ProductKNNClassifier(n_neighbors=1, centre=False).fit(X, ["all"] * 40)
    distances, rows = classifier.kneighbors(X)
    assert rows[:, 0].tolist() == list(range(40))
    assert np.abs(distances).max() < 1e-6


@pytest.mark.parametrize(
    ("parameters", "told"),
    [
        ({"blocks": (3, 3)}, "add up to the 7 columns of X; these are 3, 3"),
        ({"blocks": (7, 0)}, "1 or more"),
        ({"blocks": ()}, "these are none"),
        ({"blocks": (3, 4), "weights": (1,)}, "1 weights for 2 blocks"),
        ({"weights": (-1.0,)}, "zero or more"),
        ({"n_neighbors": 0}, "1 or more; it is 0"),
        ({"temperature": 0.0}, "above 0; it is 0.0"),
        ({"prior_exponent": np.nan}, "must be a number"),
        ({"projection": "pca"}, "is one of lda, none; it is 'pca'"),
        ({"projection": "lda", "weights": (1,)}, "1 weights for 2 blocks .block 1, learned"),
    ],
)
def test_wrong_parameters_are_told(parameters: dict[str, Any], told: str) -> None:
    with pytest.raises(QueryError, match=told):
        ProductKNNClassifier(**parameters).fit(*two_blocks())


def test_wrong_parameters_are_told_after_fitting_as_well() -> None:
    classifier = ProductKNNClassifier().fit(*two_blocks())
    with pytest.raises(QueryError, match="temperature"):
        classifier.set_params(temperature=-1).predict(two_blocks()[0])
    with pytest.raises(QueryError, match="neighbours k"):
        classifier.kneighbors(n_neighbors=0)


def test_a_row_that_is_partly_unknown_is_refused() -> None:
    """A gap in an embedding is an accident, and its neighbours would be none."""
    X, y = two_blocks(9)
    X[4, 5] = np.nan
    with pytest.raises(ValueError, match="Row 4 of X is NaN in some columns of a block"):
        ProductKNNClassifier(blocks=(3, 4)).fit(X, y)


def test_the_length_of_a_row_says_nothing() -> None:
    X, y = two_blocks(30)
    stretched = X * np.linspace(1, 100, 30)[:, None]
    assert np.array_equal(
        ProductKNNClassifier().fit(stretched, y).predict(stretched),
        ProductKNNClassifier().fit(unit_rows(X), y).predict(unit_rows(X)),
    )


@pytest.mark.parametrize("weights", [(0.0, 0.0, 1.0), (0.2, 0.3, 0.5)])
def test_with_a_projection_it_answers_as_the_index_does(weights: tuple[float, ...]) -> None:
    """What is cross-validated would be something else than what is put to use."""
    rng = np.random.default_rng(0)
    X, y = two_blocks(140)
    X[::7, :3] = 0.0
    X[5] = 0.0
    cards = catalogue(row(f"c{n:03}", category=category) for n, category in enumerate(y))
    order = rng.permutation(140)
    train, new = order[:110], order[110:]
    vectors = {"clip": X[:, :3], "text": X[:, 3:]}
    index = ProductIndex.build(
        cards.select(train), vectors={name: rows[train] for name, rows in vectors.items()}
    )
    vote = {"temperature": 0.05, "prior_exponent": 0.25, "head_exponent": 0.75}
    # The classifier has no reliability of labels.
    learned = replace(index.parts.learned, log_reliability=None)
    index = ProductIndex(replace(index.parts, learned=learned))
    told = index.predict(
        cards.select(new),
        vectors={name: rows[new] for name, rows in vectors.items()},
        weights=dict(zip(("clip", "text", "learned"), weights, strict=True)),
        k=110,
        **vote,
    )
    classifier = ProductKNNClassifier(
        blocks=(3, 4), weights=weights, n_neighbors=110, projection="lda", **vote
    ).fit(X[train], np.array(y)[train])
    shares = classifier.predict_proba(X[new])
    known = X[new].any(axis=1)
    for place in np.flatnonzero(known):
        expected = dict.fromkeys(classifier.classes_.tolist(), 0.0) | dict(told[place].ranked)
        np.testing.assert_allclose(shares[place], list(expected.values()), atol=5e-3)
    assert known.sum() > 25


def test_the_projection_is_cross_validated_and_found_by_a_search() -> None:
    """Noise hides the classes from plain cosines, as it does in an embedding of everything."""
    rng = np.random.default_rng(0)
    y = np.repeat(["A", "B", "C", "D"], 40)
    told = np.repeat(np.eye(4), 40, axis=0) + rng.normal(0, 0.1, size=(160, 4))
    X = np.concatenate([told, rng.normal(size=(160, 12))], axis=1)
    plain = ProductKNNClassifier()
    fitted = clone(plain).set_params(projection="lda", head_exponent=1.0)
    assert cross_val_score(fitted, X, y).mean() > 0.9
    assert cross_val_score(plain, X, y).mean() < 0.6
    search = GridSearchCV(plain, {"projection": ["none", "lda"]}).fit(X, y)
    assert search.best_params_ == {"projection": "lda"}


def test_without_anything_to_learn_the_other_blocks_are_compared() -> None:
    """All samples of each class are alike here: there is no spread to divide by."""
    X, y = np.repeat([[1.0, 0], [0, 1]], 4, axis=0), ["A"] * 4 + ["B"] * 4
    classifier = ProductKNNClassifier(projection="lda", n_neighbors=2).fit(X, y)
    assert classifier.predict([[2, 1], [1, 2]]).tolist() == ["A", "B"]
    assert ProductKNNClassifier(projection="lda").fit(X, ["A"] * 8).predict(X[:1]).tolist() == ["A"]


def test_a_sample_is_not_its_own_neighbour_in_the_projected_block() -> None:
    X, y = two_blocks(60)
    classifier = ProductKNNClassifier(blocks=(3, 4), projection="lda").fit(X, y)
    distances, rows = classifier.kneighbors(n_neighbors=5)
    assert not (rows == np.arange(60)[:, None]).any()
    queried = classifier.kneighbors(X, 6)[0]
    # Its own place among the neighbours of the same sample as a query may be any of the first.
    assert np.abs(distances[:, -1] - queried[:, -1]).max() < 2e-3
