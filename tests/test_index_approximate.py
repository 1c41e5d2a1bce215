"""Approximate searches: what they miss is bounded and known, and what they find is exact."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from made import catalogue, change_manifest, forge_array, row

from prodcat_index.encoders.base import unit_rows
from prodcat_index.errors import IndexFolderError, QueryError
from prodcat_index.index import kinds
from prodcat_index.index.approximate import ApproximateSearcher, build_searcher, is_due
from prodcat_index.index.block import Block, EncoderSlot
from prodcat_index.index.folder import parse_manifest
from prodcat_index.index.folder_card import explain_search
from prodcat_index.index.kinds import ApproximateKind, IndexChoice
from prodcat_index.index.parts import IndexParts
from prodcat_index.index.product_index import ProductIndex
from prodcat_index.index.search import SearchSpace, find_neighbours
from prodcat_index.index.searchers import FlatSearcher
from prodcat_index.voting.vote import VoteParameters

KINDS: list[ApproximateKind] = ["sq8", "ivf", "hnsw"]
N, DIMS, CLUSTERS = 3000, (24, 12), 40
WEIGHTS = np.array([0.7, 0.3])
ALL = np.ones(2, dtype=bool)


def draw(n: int, seed: int) -> tuple[list[npt.NDArray[np.float16]], npt.NDArray[np.bool_]]:
    """Draw cards in clusters that the blocks share; some lack the second block."""
    rng = np.random.default_rng(seed)
    fixed = np.random.default_rng(0)
    cluster, present = rng.integers(0, CLUSTERS, n), np.ones((n, 2), dtype=bool)
    present[:, 1] = rng.random(n) > 0.2
    rows = [
        unit_rows(fixed.normal(size=(CLUSTERS, dim))[cluster] + 0.7 * rng.normal(size=(n, dim)))
        for dim in DIMS
    ]
    return [
        (r * p[:, None]).astype(np.float16) for r, p in zip(rows, present.T, strict=True)
    ], present


def blocks_of(vectors: Any, present: npt.NDArray[np.bool_]) -> list[Block]:
    slot = EncoderSlot("made up", "")
    return [
        Block(str(b), str(b), slot, vectors[b], present[:, b], np.zeros(dim, np.float32))
        for b, dim in enumerate(DIMS)
    ]


def space_of(vectors: Any, present: npt.NDArray[np.bool_], searcher: Any) -> SearchSpace:
    parts = IndexParts(
        catalogue([row(f"{n:05d}") for n in range(len(present))]),
        blocks_of(vectors, present),
        {"0": 0.7, "1": 0.3},
        VoteParameters(),
        searcher=searcher,
        covered=("0", "1"),
    )
    return parts.space


VECTORS, PRESENT = draw(N, 1)
QUERIES, ASKED = draw(200, 2)
BUILT: dict[str, ApproximateSearcher] = {}


def built(kind: ApproximateKind) -> ApproximateSearcher:
    if kind not in BUILT:
        space = space_of(VECTORS, PRESENT, None)
        BUILT[kind] = build_searcher(kind, blocks_of(VECTORS, PRESENT), space, WEIGHTS, 0.99)
    return BUILT[kind]


def find(space: SearchSpace, weights: Any, k: int = 10, eligible: Any = None) -> Any:
    queries = [rows.astype(np.float32) for rows in QUERIES]
    return find_neighbours(space, queries, ASKED, np.array(weights), k, eligible)


def recall_of(space: SearchSpace, weights: Any, k: int = 10, eligible: Any = None) -> float:
    """Return the share of the neighbours that are as near as those of an exact search."""
    flat = FlatSearcher.build(space.blocks, space.present)
    truth = find(replace(space, searcher=flat), weights, k, eligible)
    found = find(space, weights, k, eligible)
    last = truth.similarities[:, [-1]] - 1e-9
    some = truth.rows[:, -1] >= 0
    return float((found.similarities >= last)[some].mean())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("weights", [[0.7, 0.3], [0.3, 0.7], [1.0, 0.0], [0.0, 1.0], [0.5, 0.5]])
def test_the_recall_holds_for_new_queries_and_any_weights(
    kind: ApproximateKind, weights: list[float]
) -> None:
    searcher = built(kind)
    assert 0.99 <= searcher.effort.recall <= 1
    space = space_of(VECTORS, PRESENT, searcher)
    for k in (10, 30):
        assert recall_of(space, weights, k) >= 0.98


@pytest.mark.parametrize("kind", KINDS)
def test_similarities_are_those_of_the_exact_search(kind: ApproximateKind) -> None:
    # A user who changes the kind of the index must see the same numbers for the same card.
    space = space_of(VECTORS, PRESENT, built(kind))
    exact = find(space_of(VECTORS, PRESENT, FlatSearcher.build(VECTORS, PRESENT)), WEIGHTS, N)
    found = find(space, WEIGHTS)
    assert not found.is_exact
    for own, similarities, rows, every in zip(
        found.rows, found.similarities, exact.rows, exact.similarities, strict=True
    ):
        of_card = np.empty(N)
        of_card[rows] = every
        np.testing.assert_array_equal(similarities, of_card[own])


def test_a_higher_recall_takes_more_effort_and_a_lower_one_less() -> None:
    vectors, present = [rows[:1000] for rows in VECTORS], PRESENT[:1000]
    space, blocks = space_of(vectors, present, None), blocks_of(vectors, present)
    margins = [
        build_searcher("ivf", blocks, space, WEIGHTS, recall).effort.margin
        for recall in (0.8, 0.95, 0.999)
    ]
    assert margins[0] < margins[1] < margins[2]


def test_the_recall_is_measured_on_cards_that_the_cells_have_not_seen() -> None:
    # Measured on the cards themselves, which are found among the codes, it would be too good.
    searcher = built("ivf")
    held_out = searcher.cards[-200:]
    assert len(np.unique(searcher.cards)) == N
    assert np.array_equal(np.sort(searcher.cards[:-200]), np.setdiff1d(np.arange(N), held_out))
    assert (np.diff(held_out) > 5).all(), "evenly spaced"


@pytest.mark.parametrize("kind", KINDS)
def test_removed_cards_are_never_found_and_added_ones_are(kind: ApproximateKind) -> None:
    new, there = draw(300, 3)
    kept = np.random.default_rng(4).permutation(np.flatnonzero(np.arange(N) % 5))
    changed = built(kind).select(kept).extended(new, there)
    vectors = [np.concatenate([old[kept], added]) for old, added in zip(VECTORS, new, strict=True)]
    present = np.concatenate([PRESENT[kept], there])
    np.testing.assert_array_equal(changed.present, present)
    space = space_of(vectors, present, changed)
    assert recall_of(space, WEIGHTS) >= 0.98
    # Every row stands for the card that it stands for in the other parts.
    found = find(space, WEIGHTS)
    assert (found.rows[found.rows >= 0] < len(present)).all()
    own = find(replace(space, searcher=FlatSearcher.build(vectors, present)), WEIGHTS)
    assert (found.rows[:, 0] == own.rows[:, 0]).mean() > 0.98
    later = np.flatnonzero(own.rows[:, 0] >= len(kept))
    assert len(later) > 5
    np.testing.assert_array_equal(found.rows[later, 0], own.rows[later, 0])


def test_cards_are_coded_again_when_many_came_or_went() -> None:
    searcher = built("sq8")
    new, there = draw(N, 3)
    few, many = N // 10, N // 8
    assert not is_due(searcher)
    assert not is_due(searcher.extended([rows[:few] for rows in new], there[:few]))
    assert is_due(searcher.extended([rows[:many] for rows in new], there[:many]))
    assert not is_due(searcher.select(np.arange(3 * N // 4)))
    assert is_due(searcher.select(np.arange(3 * N // 4 - 1)))
    assert not is_due(FlatSearcher.build(VECTORS, PRESENT))
    assert is_due(None)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", [0.5, 0.2])
def test_a_filter_is_kept_to_and_what_it_leaves_is_found(
    kind: ApproximateKind, share: float
) -> None:
    eligible = np.random.default_rng(5).random(N) < share
    space = space_of(VECTORS, PRESENT, built(kind))
    found = find(space, WEIGHTS, eligible=eligible)
    assert (found.rows >= 0).all()
    assert eligible[found.rows].all()
    assert recall_of(space, WEIGHTS, eligible=eligible) >= 0.98


@pytest.mark.parametrize("where", ["price < 50", "price < 85", "price < 100"])
def test_a_filter_is_exact_whatever_the_kind_and_however_many_match(
    exact_index: ProductIndex, where: str
) -> None:
    """Some of the best offers of a shop would not be shown, though each was asked for."""
    cards = exact_index.catalogue
    prices = [f"{7 * n % 100}" for n in range(len(cards))]
    priced = replace(cards, cards=cards.cards.assign(price=prices))
    exact = ProductIndex(replace(exact_index.parts, catalogue=priced))
    index = indexed_as(exact, "ivf", None, 0.1)  # a tenth of the nearest is enough for it
    blind = replace(index.parts.searcher.effort, margin=0.0, fetch=1)
    index = ProductIndex(
        replace(
            index.parts,
            searcher=replace(index.parts.searcher, effort=blind),
            similar=replace(index.parts.similar, effort=blind),
        )
    )
    assert answers_of(index) != answers_of(exact), "the codes alone miss cards"
    assert answers_of(index, where) == answers_of(exact, where)
    for card in exact.catalogue.ids[:10]:
        assert index.similar(card, where=where) == exact.similar(card, where=where)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("count", [0, 1, 7, 200])
def test_few_eligible_cards_are_all_compared(kind: ApproximateKind, count: int) -> None:
    eligible = np.zeros(N, dtype=bool)
    eligible[np.random.default_rng(6).choice(N, count, replace=False)] = True
    space = space_of(VECTORS, PRESENT, built(kind))
    found = find(space, WEIGHTS, eligible=eligible)
    assert found.is_exact
    assert recall_of(space, WEIGHTS, eligible=eligible) == 1 if count >= 10 else True
    assert ((found.rows >= 0).sum(axis=1) == min(count, 10)).all()


@pytest.mark.parametrize("kind", KINDS)
def test_more_neighbours_than_cards_are_asked_for(kind: ApproximateKind) -> None:
    few = built(kind).select(np.arange(20))
    space = space_of([rows[:20] for rows in VECTORS], PRESENT[:20], few)
    found = find(space, WEIGHTS, k=30)
    assert ((found.rows >= 0).sum(axis=1) == 20).all()


@pytest.mark.parametrize("kind", KINDS)
def test_few_cards_can_be_coded(kind: ApproximateKind) -> None:
    # --index ivf on a catalogue of a dozen cards.
    for n in (1, 3, 12):
        vectors, present = [rows[:n] for rows in VECTORS], PRESENT[:n]
        space = space_of(vectors, present, None)
        searcher = build_searcher(kind, blocks_of(vectors, present), space, WEIGHTS, 0.99)
        found = find(space_of(vectors, present, searcher), WEIGHTS, k=3)
        assert ((found.rows >= 0).sum(axis=1) == min(n, 3)).all()


CATEGORIES = [f"category {n}" for n in range(8)]


def made_index(kind: Any = "ivf", n: int = 400, **options: Any) -> ProductIndex:
    rng = np.random.default_rng(0)
    words = [f"word{n}" for n in range(300)]
    rows = [
        row(
            f"{i:04d}",
            " ".join([f"kind{i % 8}", *rng.choice(words, 4)]),
            " ".join([f"sort{i % 8}", *rng.choice(words, 6)]),
            category=CATEGORIES[i % 8],
        )
        for i in range(n)
    ]
    return ProductIndex.build(catalogue(rows), index=kind, **options)


@pytest.fixture(scope="module")
def exact_index() -> ProductIndex:
    return made_index("auto")


def indexed_as(index: ProductIndex, *asked: Any) -> ProductIndex:
    choice = IndexChoice(*asked)
    return ProductIndex(
        replace(index.parts, searcher=None, similar=None, asked=choice).indexed(is_fitted=True)
    )


@pytest.fixture(scope="module")
def coded_index(exact_index: ProductIndex) -> ProductIndex:
    return indexed_as(exact_index, "ivf")


@pytest.fixture
def saved(coded_index: ProductIndex, tmp_path: Path) -> Path:
    return coded_index.save(tmp_path / "index")


LISTINGS = ["kind3 word1 word7", "sort5 word9", "kind1 word2 word200 word17"]


def answers_of(index: ProductIndex, where: str | None = None) -> list[Any]:
    answers = [index.search(title, where=where) for title in LISTINGS]
    found = [[(n.id, n.similarity) for n in each] for each in answers]
    predicted = index.predict([{"title": title} for title in LISTINGS], where=where)
    return [*found, [(p.category, p.confidence) for p in predicted]]


def test_both_rankings_have_codes_and_answer_as_an_exact_index_does(
    exact_index: ProductIndex,
) -> None:
    index = indexed_as(exact_index, "sq8")
    assert isinstance(index.parts.searcher, ApproximateSearcher)
    assert isinstance(index.parts.similar, ApproximateSearcher)
    assert answers_of(index) == answers_of(exact_index)


def test_an_index_of_codes_answers_the_same_when_it_is_opened(
    coded_index: ProductIndex, saved: Path
) -> None:
    opened = ProductIndex.load(saved)
    assert isinstance(opened.parts.searcher, ApproximateSearcher)
    assert opened.parts.searcher.effort == coded_index.parts.searcher.effort
    assert opened.parts.similar.effort == coded_index.parts.similar.effort
    assert opened.parts.asked == IndexChoice("ivf")
    assert answers_of(opened) == answers_of(coded_index)
    # No row of 32 bits is kept beside the codes.
    manifest = parse_manifest(saved)
    assert not [name for name in manifest.files if name.endswith((".faiss", ".f32"))]


def test_a_change_keeps_the_codes_and_answers_as_a_search_of_all_cards_does(saved: Path) -> None:
    before = parse_manifest(saved)
    opened = ProductIndex.load(saved)
    new = [row("new", "kind3 word1 word7 fresh", "sort3", category=CATEGORIES[3])]
    changed = opened.remove(["0000", "0003", "0017"]).add(catalogue(new))
    changed.save_next(saved)
    again, after = ProductIndex.load(saved), parse_manifest(saved)
    assert after.search.codes.files == before.search.codes.files
    assert after.similar.codes.files == before.similar.codes.files
    assert (after.search.codes.size, after.cards) == (400, 398)
    assert again.search("kind3 word1 word7 fresh")[0].id == "new"
    assert answers_of(again) == answers_of(changed)
    for own, exact in zip(answers_of(again), answers_of(indexed_as(again, "flat")), strict=True):
        assert own[0] == exact[0]
        assert len(set(own) & set(exact)) >= 0.8 * len(exact)


def test_a_change_of_an_index_without_codes_makes_none(
    exact_index: ProductIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # 1,000 cards that came to 100,000 took 80 seconds of processor time instead of 5.
    index = ProductIndex.load(exact_index.save(tmp_path / "index"))
    monkeypatch.setattr(kinds, "MOST_EXACT_VALUES", 100)
    monkeypatch.setattr(kinds, "FEWEST_FOR_CELLS", 100)
    new = [row("new", "kind3 word1 word7 fresh", "sort3", category=CATEGORIES[3])]
    changed = index.add(catalogue(new)).remove(["0001"]).relabel({CATEGORIES[0]: "Other"})
    changed.save_next(tmp_path / "index")
    again = ProductIndex.load(tmp_path / "index")
    for each in (changed, again):
        assert isinstance(each.parts.searcher, FlatSearcher)
        assert each.parts.similar is None
    # What takes long anyway chooses anew.
    assert isinstance(again.refit().parts.searcher, ApproximateSearcher)


def test_an_index_says_in_words_how_it_searches(saved: Path) -> None:
    words = explain_search(parse_manifest(saved))
    assert f"Votes: found by {', '.join(parse_manifest(saved).search.blocks)}." in words
    assert "Similar products: found by title, description." in words
    assert "the cells near a query" in words
    assert "--index ivf" in words
    recall = parse_manifest(saved).search.codes.recall
    assert recall >= 0.99
    assert f"It found {recall:.1%} of the nearest 10 and 30 cards, of 99.0% asked for" in words


@pytest.mark.parametrize("kind", ["sq8", "ivf", "hnsw"])
@pytest.mark.parametrize(("count", "is_measured"), [(9, False), (10, True)])
def test_a_recall_that_was_not_measured_is_not_told(
    kind: ApproximateKind, count: int, is_measured: bool, tmp_path: Path
) -> None:
    """A share of the nearest cards would be promised that nobody has seen."""
    rows = [row(f"{n}", f"word{n} sort{n % 3}", category=f"{n % 3}") for n in range(count)]
    index = ProductIndex.build(catalogue(rows), index=kind, recall=1.0)
    words = explain_search(parse_manifest(index.save(tmp_path / "index")))
    assert ("It found" in words) == is_measured
    assert ("of the index; for others less may be found" in words) == is_measured
    said = "Of 9 cards, none was held out to measure the share of the nearest cards that it finds"
    assert (said in words) != is_measured


@pytest.mark.parametrize(("share", "saves_little"), [(0.4, False), (0.9, False), (0.95, True)])
def test_an_index_says_what_its_cells_save(saved: Path, share: float, saves_little: bool) -> None:
    """Whoever pays for a search of all cards by cells would not know that codes alone do it."""
    assert 0 < parse_manifest(saved).search.codes.compared <= 1
    change_manifest(saved, edit("compared", share))
    words = explain_search(parse_manifest(saved)).splitlines()[0]
    assert f"It compares {share:.0%} of the codes for it on average." in words
    assert ("`--index sq8` compares all" in words) == saves_little
    change_manifest(saved, edit("compared", None))
    assert "of the codes for it" not in explain_search(parse_manifest(saved)).splitlines()[0]


def test_small_indexes_are_exact_unless_the_memory_is_short(exact_index: ProductIndex) -> None:
    assert isinstance(exact_index.parts.searcher, FlatSearcher)
    assert exact_index.parts.similar is None
    tight = indexed_as(exact_index, "auto", 100_000)
    assert isinstance(tight.parts.similar, ApproximateSearcher)
    assert tight.parts.similar.codes.kind == "sq8"


@pytest.mark.parametrize(
    "options", [{"kind": "pq"}, {"memory": "many"}, {"memory": -1}, {"recall": 2.0}]
)
def test_impossible_wishes_are_refused_before_anything_is_embedded(
    options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("prodcat_index.index.build.build_parts", None)
    with pytest.raises(QueryError):
        made_index(**options)


def edit(field: str, value: Any) -> Any:
    def change(manifest: dict[str, Any]) -> None:
        manifest["search"]["codes"][field] = value

    return change


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("kind", "pq"),
        ("kind", "hnsw"),
        ("size", 399),
        ("size", 2**40),
        ("cells", 2),
        ("fetch", 0),
        ("margin", -0.1),
        ("recall", 1.5),
        ("compared", 1.5),
        ("files", {}),
        ("cards", "versions/0001/other.npy"),
    ],
)
def test_a_manifest_that_does_not_fit_its_codes_is_refused(
    saved: Path, field: str, value: Any
) -> None:
    change_manifest(saved, edit(field, value))
    with pytest.raises(IndexFolderError, match="damaged"):
        ProductIndex.load(saved, verify=False)


@pytest.mark.parametrize("value", [-2, 400, 5])
def test_codes_of_cards_that_are_not_there_are_refused(saved: Path, value: int) -> None:
    # The row of a card that is not there would be read beyond the end of every other part.
    ProductIndex.load(saved).remove(["0003"]).save_next(saved)
    path = saved / parse_manifest(saved).search.codes.cards
    cards = np.load(path)
    assert cards[6] != 5
    cards[6] = value
    forge_array(saved, path, cards)
    with pytest.raises(IndexFolderError, match="names cards that are not there, or one twice"):
        ProductIndex.load(saved, verify=False)
