"""The whole way on real cards, where they lie beside the project."""

from __future__ import annotations

from pathlib import Path

import pytest

from prodcat_index import Card, ProductIndex, read_catalogue, read_labels
from prodcat_index.cards.card import Catalogue


@pytest.fixture(scope="module")
def plumbing(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> ProductIndex:
    """The training part of a Russian plumbing shop in the KazanExpress layout, from disk."""
    catalogue = read_catalogue(shared_data / "kazanexpress_schema" / "train.parquet")
    folder = tmp_path_factory.mktemp("plumbing")
    return ProductIndex.load(ProductIndex.build(catalogue).save(folder))


@pytest.fixture(scope="module")
def new(shared_data: Path) -> Catalogue:
    return read_catalogue(shared_data / "kazanexpress_schema" / "test.parquet")


@pytest.mark.parametrize(
    ("weights", "least"),
    [(None, 0.82), ({"image": 1}, 0.57), ({"title": 1}, 0.77)],
    ids=["equal", "image", "title"],
)
def test_categories_of_new_cards_are_predicted(
    plumbing: ProductIndex,
    new: Catalogue,
    shared_data: Path,
    weights: dict[str, float] | None,
    least: float,
) -> None:
    """Shops would get worse answers than the project promises."""
    truths = read_labels(shared_data / "kazanexpress_schema" / "test_labels.csv")
    score = plumbing.score(plumbing.predict(new, weights=weights), truths)
    assert score.weighted_f1 >= least
    assert (score.cards, score.unreachable) == (273, 24)


def test_one_card_at_a_time_gets_the_answer_of_the_batch(
    plumbing: ProductIndex, new: Catalogue
) -> None:
    """The answer for a listing would depend on what else is in the file."""
    some = new.select(range(0, len(new), 30))
    together = plumbing.predict(some)
    for row in range(len(some)):
        alone = plumbing.predict([some.card(row)])[0]
        assert alone.category == together[row].category
        assert alone.confidence == pytest.approx(together[row].confidence, abs=1e-3)
        assert [n.id for n in alone.neighbours] == [n.id for n in together[row].neighbours]


def test_a_text_alone_finds_its_like(plumbing: ProductIndex) -> None:
    found = plumbing.search(Card(title="американка угловая"), k=3)
    assert all("Американка" in neighbour.category for neighbour in found)
