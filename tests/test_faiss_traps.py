"""What FAISS does without a word, and that nobody who uses this package notices.

Each test first shows the trap in FAISS itself, so that it is known when one goes away.
"""

from __future__ import annotations

from pathlib import Path

import faiss
import numpy as np
import numpy.typing as npt
import pytest
from made import Made, catalogue, forge, random_cards, random_rows, read_json, row

from prodcat_index.cards.card import Card
from prodcat_index.cards.catalogue import read_catalogue
from prodcat_index.errors import CatalogueError, IndexFolderError
from prodcat_index.index.fusion import fuse_cards
from prodcat_index.index.product_index import ProductIndex
from prodcat_index.index.search import find_neighbours
from prodcat_index.index.searchers import HalfSearcher, padded

EAST, WEST, NORTH, SOUTH = "1 0", "-1 0", "0 1", "0 -1"
COMPASS = [
    row("e", EAST, category="East"),
    row("n", NORTH, category="North"),
    row("s", SOUTH, category="South"),
    row("w", WEST, category="West"),
]
NUMBERS = {"title": "numbers"}
ROWS = np.array([[1, 0], [0, 1], [-1, 0]], dtype=np.float32)


def flat(rows: npt.NDArray[np.float32]) -> faiss.IndexFlatIP:
    index = faiss.IndexFlatIP(rows.shape[1])
    index.add(rows)
    return index


def test_1_a_distance_that_silently_is_another(saved: Path) -> None:
    """By the L2 distance, of cards that lack blocks the wrong ones would be near."""
    assert faiss.IndexHNSWFlat(2, 8).metric_type == faiss.METRIC_L2
    late = faiss.IndexHNSWFlat(2, 8)
    late.metric_type = faiss.METRIC_INNER_PRODUCT
    late.add(ROWS)
    right = faiss.IndexHNSWFlat(2, 8, faiss.METRIC_INNER_PRODUCT)
    right.add(ROWS)
    query = np.array([[5, 1]], np.float32)
    assert right.search(query, 1)[1].tolist() == [[0]]
    assert late.search(query, 1)[1].tolist() != [[0]]

    searcher = ProductIndex.load(saved).parts.searcher
    far = np.zeros((1, searcher.dim), np.float32)
    far[0, 0] = 5
    candidates, _ = searcher.search(far, 1)
    assert int(np.argmax(searcher.rows[:, 0])) in candidates[0]


def test_2_a_vector_that_is_no_number_is_taken_and_never_found() -> None:
    """The card would be in the count of the index, and in no answer."""
    index = flat(np.array([[1, 0], [np.nan, 0]], np.float32))
    assert index.ntotal == 2
    assert index.search(ROWS[:1], 2)[1].tolist() == [[0, -1]]

    rows = np.array([[1, 0], [np.nan, 0], [0, 1]], np.float16)
    cards = Made([rows], np.ones((3, 1), bool), np.arange(3))
    eligible = np.array([True, False, True])
    found = find_neighbours(cards.space, [ROWS[:1]], np.ones((1, 1), bool), np.ones(1), 3, eligible)
    assert found.rows[0].tolist() == [0, 2, -1]
    assert np.isnan(found.similarities[0, 2])

    broken = row("broken", "nan 1", NORTH, category="Broken")
    others = [card | {"description": card["title"]} for card in COMPASS]
    both = ProductIndex.build(
        catalogue([*others, broken]), encoders={**NUMBERS, "description": "numbers"}
    )
    near = {n.id: n for n in both.search(Card(title=NORTH, description=NORTH), k=5)}
    assert sorted(near) == ["broken", "e", "n", "s", "w"]
    assert all(np.isfinite(n.similarity) for n in near.values())
    assert list(near["broken"].by_block) == ["description"]


def test_3_the_neighbour_that_is_not_there_is_the_last_card() -> None:
    """With fewer labelled cards than k, the last category would get votes from nobody."""
    scores, ids = flat(ROWS).search(ROWS[:1], 5)
    assert ids[0, 3:].tolist() == [-1, -1]
    assert scores[0, 3:].max() < -3e38
    assert np.array(["first", "last"])[ids[0, 4]] == "last"

    index = ProductIndex.build(catalogue(COMPASS), encoders=NUMBERS)
    answer = index.predict([Card(title=EAST)], k=50, temperature=1.0)[0]
    assert [n.id for n in answer.neighbours] == ["e", "n", "s", "w"]
    votes = np.exp([0.0, -1.0, -1.0, -2.0])
    assert dict(answer.ranked) == pytest.approx(
        dict(zip(["East", "North", "South", "West"], votes / votes.sum(), strict=True))
    )


def test_4_an_id_that_is_given_twice_is_taken_twice(tmp_path: Path) -> None:
    """Removing or relabelling one card would silently take the other along."""
    index = faiss.IndexIDMap2(faiss.IndexFlatIP(2))
    index.add_with_ids(ROWS, np.array([7, 7, 8]))
    assert index.ntotal == 3
    assert index.remove_ids(np.array([7])) == 2

    (tmp_path / "cards.csv").write_text(
        "id,title,category\n7,boots,A\n7,lamp,B\n", encoding="utf-8"
    )
    with pytest.raises(CatalogueError, match=r"1 id occurs more than once in .* \(7\)"):
        read_catalogue(tmp_path / "cards.csv")


def test_5_a_wrong_dimension_is_an_error_without_words(saved: Path) -> None:
    """The user would see `AssertionError:` and nothing else."""
    with pytest.raises(AssertionError) as caught:
        flat(ROWS).search(np.zeros((1, 3), np.float32), 1)
    assert str(caught.value) == ""

    dim = read_json(saved / "manifest.json")["search"]["dim"]
    forge(saved, "versions/0001/search.f32", bytes(4 * 9 * (dim + 1)))
    with pytest.raises(IndexFolderError) as refused:
        ProductIndex.load(saved)
    assert "search.f32 of the index is damaged" in str(refused.value)


def test_6_equally_near_cards_come_in_any_order() -> None:
    """The same question would get another answer after a rebuild; and here the last ones win."""
    same = np.tile(ROWS[:1], (40, 1))
    assert flat(same).search(ROWS[:1], 3)[1].tolist() != [[0, 1, 2]]

    twins = [row(f"t{n:02d}", EAST, category="East") for n in range(40)]
    index = ProductIndex.build(catalogue([*twins[::-1], *COMPASS[1:]]), encoders=NUMBERS)
    assert [n.id for n in index.search(EAST, k=3)] == ["t00", "t01", "t02"]


def test_7_a_cosine_may_be_larger_than_one() -> None:
    """People would read 100.00004 %, and arccos would give NaN."""
    rng = np.random.default_rng(1)
    rows = random_rows(rng, 2000, 64, np.ones(2000, bool))
    assert flat(rows).search(rows, 1)[0].max() > 1

    cards = random_cards(rng, 300, (64,), missing=0.0)
    queries = [cards.vectors[0].astype(np.float32)]
    found = find_neighbours(cards.space, queries, cards.present, np.ones(1), 1)
    assert found.rows[:, 0].tolist() == list(range(300))
    assert found.similarities.max() == 1.0
    assert found.by_block.max() == 1.0


def test_8_a_refined_index_refines_nothing_unless_it_is_told_to() -> None:
    """Scores by compressed vectors would be shown as if they were similarities.

    Ours come from the vectors themselves, whatever FAISS says: here it is shown another index.
    """
    made = faiss.index_factory(2, "SQ8,Refine(Flat)", faiss.METRIC_INNER_PRODUCT)
    assert faiss.downcast_index(made).k_factor == 1

    index = ProductIndex.build(catalogue(COMPASS), encoders=NUMBERS)
    rows = index.parts.searcher.rows
    truth = [n.similarity for n in index.search("0.6 0.8", k=4)]
    assert truth == pytest.approx([0.8, 0.6, -0.6, -0.8])
    coded = padded(rows + np.float32(0.01) * np.eye(*rows.shape)).astype(np.float32)
    compressed = faiss.IndexScalarQuantizer(
        coded.shape[1], faiss.ScalarQuantizer.QT_4bit, faiss.METRIC_INNER_PRODUCT
    )
    compressed.train(coded)
    compressed.add(coded)
    other = HalfSearcher([rows[:, :2]], np.ones((4, 1), bool), _is_used=True)
    vars(other)["faiss_index"] = compressed
    object.__setattr__(index.parts, "searcher", other)
    index.parts.__dict__.pop("space", None)
    query = padded(np.array([[0.6, 0.8]], np.float32))
    assert compressed.search(query, 4)[0].tolist() != [truth]
    assert [n.similarity for n in index.search("0.6 0.8", k=4)] == truth


def test_9_some_indexes_cannot_forget() -> None:
    """Taking a card out would fail only when the first seller asks for it.

    Ours is flat: it can, and a card is hidden without touching it.
    """
    graph = faiss.IndexHNSWFlat(2, 8, faiss.METRIC_INNER_PRODUCT)
    graph.add(ROWS)
    with pytest.raises(RuntimeError, match="remove_ids not implemented"):
        graph.remove_ids(np.array([0]))

    index = ProductIndex.build(catalogue(COMPASS), encoders=NUMBERS)
    assert [n.id for n in index.similar("e", k=4)] == ["n", "s", "w"]
    assert len(index.parts.searcher.rows) == 4


def test_10_after_a_removal_every_later_card_has_another_number(saved: Path) -> None:
    """All later cards would answer with the titles and categories of their neighbours in the file.

    In ours, row i of the search index is row i of the vectors and of the table.
    """
    shifted = flat(ROWS)
    shifted.remove_ids(np.array([0]))
    assert shifted.reconstruct(0).tolist() == ROWS[1].tolist()

    parts = ProductIndex.load(saved).parts
    present = np.stack([block.present for block in parts.blocks], axis=1)
    rows = fuse_cards([block.vectors for block in parts.blocks], present)
    np.testing.assert_array_equal(parts.searcher.rows, rows)
    for card in parts.catalogue.ids:
        title = ProductIndex(parts).card(card).title
        assert ProductIndex(parts).search(title, k=1)[0].title == title
