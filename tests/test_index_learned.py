"""The learned block in an index: what it is learned from, searched by, and split into."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made import catalogue, change_manifest, forge_array, row

from prodcat_index.cards.card import Card, Catalogue
from prodcat_index.errors import IndexFolderError
from prodcat_index.index import leave_one_out
from prodcat_index.index.build import VOTE_OF_LEARNED
from prodcat_index.index.learned import LearnedBlock, as_queries
from prodcat_index.index.leave_one_out import LeaveOneOut
from prodcat_index.index.product_index import ProductIndex
from prodcat_index.learning import folds
from prodcat_index.learning.folds import FOLDS, FOLDS_OF_FEW_CARDS
from prodcat_index.voting.vote import VoteParameters

THINGS = ("boots", "kettle", "lamp", "scarf", "mug")
COLOURS = ("red", "blue", "green", "black", "white", "grey", "pink")
N = 120
LISTINGS = [
    Card(title="red boots mug", description="scarf in grey"),
    Card(title="pink lamp", description="kettle in blue"),
]


def shop(n: int = N, *, blind: bool = False) -> Catalogue:
    """Titles and descriptions that name the thing; or labels that have nothing to do with them."""
    rng = np.random.default_rng(5)
    rows = []
    for number in range(n):
        thing, colour = THINGS[number % 5], COLOURS[number % 7]
        label = THINGS[rng.integers(5)] if blind else thing
        title = f"{colour} {thing} {number * 37 % 101}"
        rows.append(row(f"c{number:03}", title, f"{thing} in {colour}", category=label))
    return catalogue(rows)


@cache
def indexed(n: int = N) -> ProductIndex:
    """An index of that shop, which several files of tests share; indexes never change."""
    return ProductIndex.build(shop(n))


@cache
def built() -> ProductIndex:
    """An index as the formats before text scores had it, and as one of pictures alone is."""
    return without_scores(indexed())


def without_scores(index: ProductIndex) -> ProductIndex:
    parts = replace(index.parts, blocks=index.parts.encoder_blocks, searcher=None, calibration=None)
    parts = replace(parts.weighed({"learned": 1.0}), vote=VOTE_OF_LEARNED)
    return ProductIndex(parts.indexed())


def test_nothing_is_learned_from_a_few_cards() -> None:
    """A projection fits a dozen cards by heart and says nothing about the next one."""
    assert ProductIndex.build(shop(99)).parts.learned is None
    assert ProductIndex.build(shop(100)).parts.learned is not None
    plain = ProductIndex.build(shop(100), projection="none").parts
    assert plain.learned is None
    assert plain.vote == VoteParameters()


def test_the_search_index_is_made_of_the_learned_block_alone() -> None:
    """It is what makes the index smaller and quicker than the blocks of the encoders."""
    parts = built().parts
    assert parts.learned is not None
    assert parts.weights == {"title": 0.0, "description": 0.0, "learned": 1.0}
    # One direction less than categories, and the hubness of a card.
    assert parts.learned.dim == len(THINGS) - 1 + 1
    assert parts.searcher.dim == parts.learned.dim + 1


def test_other_weights_answer_as_an_index_built_with_them(tmp_path: Path) -> None:
    """Re-weighting is exact, also for blocks that the stored search index does not hold."""
    weights = {"title": 0.7, "description": 0.3}
    plain = ProductIndex.build(shop(), projection="none", weights=weights)
    loaded = ProductIndex.load(built().save(tmp_path / "i"))
    query = Card(title="red kettle", description="boils")
    for found, expected in zip(
        loaded.search(query, 20, weights=weights), plain.search(query, 20), strict=True
    ):
        assert (found.id, found.similarity) == (expected.id, expected.similarity)


def test_it_is_saved_whole(tmp_path: Path) -> None:
    loaded = ProductIndex.load(built().save(tmp_path / "i"))
    listings = [Card(title="pink scarf"), Card(description="mug in grey"), Card(title="zzz")]
    before, after = built().predict(listings), loaded.predict(listings)
    assert [p.as_dict() for p in after] == [p.as_dict() for p in before]
    assert after.categories == ["scarf", "mug", ""]


@pytest.mark.parametrize(
    "name",
    [
        *("matrix", "offset", "present"),
        *("head.coefficients", "head.intercepts", "head.categories", "references"),
    ],
)
def test_a_learned_file_of_another_shape_is_refused(tmp_path: Path, name: str) -> None:
    folder = built().save(tmp_path / "i")
    path = next(folder.glob(f"versions/*/learned.{name}.npy"))
    array = np.load(path)
    forge_array(folder, path, array[:-1])
    with pytest.raises(IndexFolderError, match=f"learned.{name}"):
        ProductIndex.load(folder)


def test_a_file_of_the_learned_block_must_be_listed(tmp_path: Path) -> None:
    """What is not listed has no digest, and its damage would go unnoticed."""
    folder = built().save(tmp_path / "i")
    names = {path.name for path in folder.glob("versions/*/learned.*")}
    assert {"learned.f16", "learned.matrix.npy", "learned.head.intercepts.npy"} < names
    for name in names:
        unlisted = f"versions/0001/{name}"
        kept: list[Any] = []
        change_manifest(folder, lambda m, n=unlisted, k=kept: k.append(m["files"].pop(n)))
        with pytest.raises(IndexFolderError, match=f"{name} is not among the files"):
            ProductIndex.load(folder)
        change_manifest(folder, lambda m, n=unlisted, k=kept: m["files"].update({n: k[0]}))
    assert len(ProductIndex.load(folder)) == len(built())


@pytest.mark.parametrize(
    ("categories", "what"),
    [
        ([0, 1, 2, 3, 5], "categories that are not there"),
        ([0, 1, 2, 3, -2], "categories that are not there"),
    ],
)
def test_a_head_of_other_categories_is_refused(
    tmp_path: Path, categories: list[int], what: str
) -> None:
    """It would read and write beyond its arrays, or speak for the wrong category."""
    folder = built().save(tmp_path / "i")
    path = next(folder.glob("versions/*/learned.head.categories.npy"))
    forge_array(folder, path, np.array(categories, dtype=np.int64))
    with pytest.raises(IndexFolderError, match=what):
        ProductIndex.load(folder)


@pytest.mark.parametrize(
    ("categories", "what"),
    [([0, 1, 2, 3, -1], "categories that are not there"), ([0, 1, 2, 3, 3], "a category twice")],
)
def test_a_head_of_an_earlier_format_names_each_category_once(
    tmp_path: Path, categories: list[int], what: str
) -> None:
    """Categories could not go or be merged, so such a file is damaged."""
    folder = built().save(tmp_path / "i")
    path = next(folder.glob("versions/*/learned.head.categories.npy"))
    forge_array(folder, path, np.array(categories, dtype=np.int64))
    change_manifest(folder, lambda content: content["learned"]["head"].pop("names"))
    with pytest.raises(IndexFolderError, match=what):
        ProductIndex.load(folder)


def test_an_index_without_a_head_votes_by_neighbours_alone(tmp_path: Path) -> None:
    """Indexes of the first format have a projection, and no head."""

    def age(content: dict[str, Any]) -> None:
        del content["learned"]["head"], content["vote"]["head_exponent"]
        content["format_version"] = 1

    folder = built().save(tmp_path / "i")
    change_manifest(folder, age)
    old = ProductIndex.load(folder).predict(LISTINGS, explain=True)
    new = built().predict(LISTINGS, head_exponent=0.0, explain=True)
    assert [p.as_dict() for p in old] == [p.as_dict() for p in new]


def test_the_head_votes_with_the_neighbours() -> None:
    """The shares are what the definition says, from similarities and probabilities."""
    parts = built().parts
    assert parts.vote == VOTE_OF_LEARNED
    assert parts.learned is not None
    head = parts.learned.model.head
    assert head is not None
    query, k = Card(title="red boots mug", description="scarf in grey"), 60
    encoded = [b.encode_queries([query.value(b.modality)]).vectors for b in parts.blocks]
    rows = parts.with_learned(encoded, np.ones((1, 2), dtype=bool)).vectors
    probable = np.exp(head.log_probabilities(rows[-1][:, :-1], len(THINGS)))[0]
    found = built().search(query, k, weights={"learned": 1})
    votes = dict.fromkeys(THINGS, 0.0)
    for near in found:
        fading = np.exp((near.similarity - found[0].similarity) / 0.5)
        factor = probable[sorted(THINGS).index(near.category)] ** parts.vote.head_exponent
        votes[near.category] += fading * factor
    prediction = built().predict([query], k=k, temperature=0.5)[0]
    expected = {name: vote / sum(votes.values()) for name, vote in votes.items() if vote}
    assert len(expected) > 1
    assert dict(prediction.ranked) == pytest.approx(expected, abs=1e-4)
    deaf = built().predict([query], k=k, temperature=0.5, head_exponent=0.0, explain=True)[0]
    assert dict(deaf.ranked) != pytest.approx(expected, abs=1e-2)
    assert deaf.explanation is not None
    assert deaf.explanation.head is None


def test_an_explanation_tells_what_the_head_finds_of_the_answer() -> None:
    parts = built().parts
    prediction = built().predict(LISTINGS[1:], explain=True)[0]
    assert parts.learned is not None
    head = parts.learned.model.head
    assert head is not None
    encoded = [b.encode_queries([LISTINGS[1].value(b.modality)]).vectors for b in parts.blocks]
    rows = parts.with_learned(encoded, np.ones((1, 2), dtype=bool)).vectors
    probable = np.exp(head.log_probabilities(rows[-1][:, :-1], len(THINGS)))[0]
    answer = sorted(THINGS).index(prediction.category)
    assert prediction.explanation is not None
    assert prediction.explanation.head == pytest.approx(probable[answer], abs=1e-4)
    assert prediction.as_dict()["head"] == round(prediction.explanation.head, 4)
    unknown = built().predict([Card(title="zzz")], explain=True)[0]
    assert unknown.explanation is not None
    assert unknown.explanation.head is None


def test_whoever_weighs_one_modality_does_not_hear_the_others_by_the_head() -> None:
    """The head reads all modalities: it has no say where the learned block has no weight."""
    loud, deaf = (
        built().predict(LISTINGS, weights={"title": 1.0}, head_exponent=exponent)
        for exponent in (4.0, 0.0)
    )
    assert [p.ranked for p in loud] == [p.ranked for p in deaf]


def test_the_hubness_of_a_card_is_taken_off_its_similarity() -> None:
    """A card that is like everything would be the neighbour of everybody."""
    parts = built().parts
    assert parts.learned is not None
    rows = parts.learned.vectors[:, :-1].astype(np.float64)
    cosines = rows @ rows.T
    for neighbour in built().search(LISTINGS[0], 10, weights={"learned": 1}):
        card = parts.catalogue.ids.index(neighbour.id)
        nearest = np.sort(np.delete(cosines[card], card))[::-1][:20]
        assert neighbour.contributions["learned:hubness"] == pytest.approx(
            -nearest.mean() / 2, abs=2e-3
        )


def test_an_index_of_the_first_format_knows_no_hubness(tmp_path: Path) -> None:
    """Its rows are as long as what is projected, and similarities are cosines."""
    parts = built().parts
    assert parts.learned is not None
    model = replace(parts.learned.model, head=None, hubness=None)
    old = LearnedBlock(model, parts.learned.vectors[:, :-1], parts.learned.present)
    made = ProductIndex(replace(parts, learned=old, searcher=None, covered=()))
    loaded = ProductIndex.load(made.save(tmp_path / "i"))
    assert loaded.parts.learned is not None
    assert loaded.parts.learned.dim == len(THINGS) - 1
    found = loaded.search(LISTINGS[0], 5, weights={"learned": 1})
    assert set(found[0].contributions) == {"learned:title", "learned:description"}
    assert sum(found[0].contributions.values()) == pytest.approx(found[0].similarity, abs=1e-6)
    assert loaded.predict([Card(title="pink scarf")]).categories == ["scarf"]


def test_a_card_asks_as_a_listing_does() -> None:
    """Tuning would judge by similarities that no listing has."""
    learned = built().parts.learned
    assert learned is not None
    blocks = built().parts.blocks
    there = np.ones((3, 2), dtype=bool)
    vectors = [block.vectors[:3].astype(np.float32) for block in blocks]
    asked, _ = learned.model.query_rows(learned.model.projection.parts(vectors, there))
    np.testing.assert_allclose(as_queries(learned, np.arange(3)), asked, atol=1e-3)
    assert asked[:, -1].tolist() == [1.0] * 3


def test_a_new_category_does_not_move_what_the_head_says_of_others() -> None:
    """Codes of categories are their places in the alphabet, and a new one shifts them."""
    added = catalogue([row("new", "azure zither", "an azure zither", category="a zither")])
    grown = built().add(added)
    assert grown.parts.labels.names[0] == "a zither"
    pairs = zip(built().predict(LISTINGS), grown.predict(LISTINGS), strict=True)
    for before, after in pairs:
        old = {name: share for name, share in after.ranked if name != "a zither"}
        scaled = {name: share / sum(old.values()) for name, share in old.items()}
        assert scaled == pytest.approx(dict(before.ranked), abs=1e-6)
    own = grown.predict([Card(title="azure zither", description="an azure zither")], k=1)
    assert own.categories == ["a zither"]


def test_a_search_index_of_unknown_blocks_is_refused(tmp_path: Path) -> None:
    folder = built().save(tmp_path / "i")
    change_manifest(folder, lambda content: content["search"].update(blocks=["image"]))
    with pytest.raises(IndexFolderError, match="made of blocks that are not there"):
        ProductIndex.load(folder)


def test_a_listing_without_a_modality_is_explained_by_the_other() -> None:
    prediction = built().predict([Card(title="red kettle")], explain=True)[0]
    assert prediction.explanation is not None
    assert prediction.explanation.decided_by == "title"
    assert prediction.explanation.without["title"] == ("", 0.0)
    assert set(prediction.neighbours[0].contributions) == {"learned:title", "learned:hubness"}


def test_cards_that_ask_have_no_part_in_what_is_learned() -> None:
    """Else tuning would trust a projection that knows the answers."""
    parts = built().parts
    asked = LeaveOneOut.from_index(parts, N, np.random.default_rng(0))
    assert set(asked.fold.tolist()) == set(range(FOLDS_OF_FEW_CARDS))
    in_fold = asked.fold == 2
    poisoned = parts.catalogue.cards.assign(
        category=np.where(in_fold, "mug", parts.catalogue.values("category")),
        title=np.where(in_fold, "poison", parts.catalogue.values("title")),
    )
    changed = replace(parts, catalogue=Catalogue(poisoned))
    models = leave_one_out._fit_without_each(changed, asked.fold)
    other = replace(asked, parts=changed, models=models)
    for clean, dirty in zip(asked.blocks_without(2), other.blocks_without(2), strict=True):
        np.testing.assert_array_equal(clean.vectors[~in_fold], dirty.vectors[~in_fold])
        if isinstance(clean, LearnedBlock) and isinstance(dirty, LearnedBlock):
            heads = clean.model.head, dirty.model.head
            assert heads[0] is not None and heads[1] is not None
            np.testing.assert_array_equal(heads[0].coefficients, heads[1].coefficients)


def test_chosen_cards_must_not_see_the_same_cards() -> None:
    """Recall would be judged with cards that the others must not see."""
    asked = LeaveOneOut.from_index(built().parts, N, np.random.default_rng(0))
    direction, chosen = [np.array([0.5, 0.5, 0.0])], np.array([9, 2, 50])
    whole, part = asked.collect(direction, 8), asked.collect(direction, 8, chosen=chosen)
    np.testing.assert_array_equal(part.categories, whole.categories[chosen])
    np.testing.assert_array_equal(part.true, whole.true[chosen])


def test_a_sample_of_a_large_catalogue_asks_as_one_fold(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fitting five times for the sake of a tenth of the cards would take five times as long."""
    monkeypatch.setattr(folds, "FEW_CARDS", 50)
    parts = built().parts
    asked = LeaveOneOut.from_index(parts, 30, np.random.default_rng(0))
    assert set(np.flatnonzero(asked.fold == 0)) == set(asked.rows.tolist())
    assert set(asked.fold.tolist()) == {0, -1}
    assert len(asked.collect([np.eye(3)[2]], 20)) == 30
    assert len(asked.models) == 1
    many = LeaveOneOut.from_index(parts, 31, np.random.default_rng(0))
    assert set(many.fold.tolist()) == set(range(FOLDS))


def test_labels_without_meaning_are_not_found_to_be_predictable() -> None:
    """With five labels dealt at random, no honest score is far above one in five."""
    blind = ProductIndex.build(shop(blind=True))
    tuning = blind.tune(objective="accuracy")
    assert tuning.before.value < 0.35
    told = built().tune(objective="accuracy")
    assert told.before.value > 0.95


def test_tuned_weights_are_searched_from_a_stored_index(tmp_path: Path) -> None:
    """A tuned index that had to make its search index anew would answer slowly ever after."""
    folder = built().save(tmp_path / "i")
    index = ProductIndex.load(folder)
    tuned = index.tuned(index.tune())
    parts = tuned.parts.weighed({"learned": 0.5, "title": 0.5})
    ProductIndex(parts).save_settings(folder)
    again = ProductIndex.load(folder)
    assert again.parts.covered == ("title", "learned")
    assert again.parts.weights == {"title": 0.5, "description": 0.0, "learned": 0.5}


@pytest.mark.parametrize("index", [indexed, built])
def test_an_index_that_has_answered_can_be_saved(
    index: Callable[[], ProductIndex], tmp_path: Path
) -> None:
    """A notebook that predicts first and saves then would lose its index."""
    expected = index().predict(LISTINGS)
    loaded = ProductIndex.load(index().save(tmp_path / "first"))
    loaded.predict(LISTINGS)
    again = ProductIndex.load(loaded.save(tmp_path / "again"))
    assert list(again.predict(LISTINGS)) == list(expected)
