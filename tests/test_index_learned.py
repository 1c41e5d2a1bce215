"""The learned block in an index: what it is learned from, searched by, and split into."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from made import catalogue, change_manifest, row

from prodcat_index.cards.card import Card, Catalogue
from prodcat_index.errors import IndexFolderError
from prodcat_index.index.leave_one_out import FOLDS_OF_FEW_CARDS, LeaveOneOut
from prodcat_index.index.product_index import ProductIndex

THINGS = ("boots", "kettle", "lamp", "scarf", "mug")
COLOURS = ("red", "blue", "green", "black", "white", "grey", "pink")
N = 120


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
def built() -> ProductIndex:
    return ProductIndex.build(shop())


def test_nothing_is_learned_from_a_few_cards() -> None:
    """A projection fits a dozen cards by heart and says nothing about the next one."""
    assert ProductIndex.build(shop(99)).parts.learned is None
    assert ProductIndex.build(shop(100)).parts.learned is not None
    assert ProductIndex.build(shop(100), projection="none").parts.learned is None


def test_the_search_index_is_made_of_the_learned_block_alone() -> None:
    """It is what makes the index smaller and quicker than the blocks of the encoders."""
    parts = built().parts
    assert parts.learned is not None
    assert parts.weights == {"title": 0.0, "description": 0.0, "learned": 1.0}
    assert parts.learned.dim == len(THINGS) - 1
    assert parts.faiss_index.d == parts.learned.dim + 1


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


@pytest.mark.parametrize("name", ["matrix", "offset", "vectors", "present"])
def test_a_learned_file_of_another_shape_is_refused(tmp_path: Path, name: str) -> None:
    folder = built().save(tmp_path / "i")
    path = next(folder.glob(f"versions/*/learned.{name}.npy"))
    array = np.load(path)
    np.save(path, array[:-1])
    with pytest.raises(IndexFolderError, match=f"learned.{name}"):
        ProductIndex.load(folder, verify=False)


def test_a_search_index_of_unknown_blocks_is_refused(tmp_path: Path) -> None:
    folder = built().save(tmp_path / "i")
    change_manifest(folder, lambda content: content["search"].update(blocks=["image"]))
    with pytest.raises(IndexFolderError, match="made of blocks that are not there"):
        ProductIndex.load(folder, verify=False)


def test_what_each_modality_adds_is_the_whole_similarity() -> None:
    """People are shown which modality an answer comes from: it must add up."""
    query = Card(title="red kettle", description="kettle in blue")
    for neighbour in built().search(query, 10):
        assert set(neighbour.learned_from) == {"title", "description"}
        total = sum(neighbour.learned_from.values())
        assert total == pytest.approx(neighbour.by_block["learned"], abs=2e-3)


def test_a_listing_without_a_modality_is_explained_by_the_other() -> None:
    prediction = built().predict([Card(title="red kettle")], explain=True)[0]
    assert prediction.explanation is not None
    assert prediction.explanation.decided_by == "title"
    assert prediction.explanation.without["title"] == ("", 0.0)
    assert set(prediction.neighbours[0].learned_from) == {"title"}


def test_cards_that_ask_have_no_part_in_what_is_learned() -> None:
    """Else tuning would trust a projection that knows the answers."""
    parts = built().parts
    asked = LeaveOneOut.of(parts, N, np.random.default_rng(0))
    assert set(asked.fold.tolist()) == set(range(FOLDS_OF_FEW_CARDS))
    in_fold = asked.fold == 2
    poisoned = parts.catalogue.cards.assign(
        category=np.where(in_fold, "mug", parts.catalogue.values("category")),
        title=np.where(in_fold, "poison", parts.catalogue.values("title")),
    )
    other = replace(asked, parts=replace(parts, catalogue=Catalogue(poisoned)))
    for clean, dirty in zip(asked._blocks_without(2), other._blocks_without(2), strict=True):
        np.testing.assert_array_equal(clean.vectors[~in_fold], dirty.vectors[~in_fold])


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
