"""The neighbour graph and the out-of-fold answers that the checks of an audit read."""

from __future__ import annotations

import made
import numpy as np
import pandas as pd
import pytest

from prodcat_index.audit.graph import AuditGraph, answer_new, build_graph
from prodcat_index.errors import QueryError
from prodcat_index.index.product_index import ProductIndex

WORDS = ("oak", "elm", "fir", "ash", "yew", "bay", "fig", "ivy", "may", "nut", "pea")
KINDS = {"Shoes > Boots": "leather boots", "Kitchen > Kettles": "steel kettle", "Lamps": "lamp"}


def rows(each: int = 34) -> list[dict[str, str]]:
    """Cards of three categories whose titles tell them apart, all different."""
    return [
        made.row(
            f"{kind[0]}{n:03d}",
            f"{KINDS[kind]} {WORDS[n % 11]} {WORDS[n // 11]} {WORDS[n * n % 7]}",
            category=kind,
        )
        for kind in KINDS
        for n in range(each)
    ]


@pytest.fixture(scope="module")
def learned() -> ProductIndex:
    """An index with all that is learned, some cards without a category, one with nothing."""
    cards = [*rows(), made.row("x1", "leather boots red"), made.row("x2", category="Lamps")]
    return ProductIndex.build(made.catalogue(cards))


@pytest.fixture(scope="module")
def graph(learned: ProductIndex) -> AuditGraph:
    return build_graph(learned, neighbours=7)


def test_neighbours_are_the_nearest_by_definition_and_ties_stand_by_id() -> None:
    """A missed or misplaced neighbour would be shown as evidence in place of the right one."""
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(50, 5)).astype(np.float32)
    vectors[30:40] = vectors[:10]  # equal ones, each at the same distance from all others
    vectors[20:24] = vectors[24]
    vectors[45] = 0  # absent
    ids = [f"c{n:02d}" for n in rng.permutation(50)]
    frame = pd.DataFrame({"id": ids, "category": [f"k{n % 3}" for n in range(50)]})
    index = ProductIndex.build(frame, vectors={"shape": vectors})
    graph = build_graph(index, neighbours=6)
    block = index.parts.blocks[0].vectors.astype(np.float64)
    expected = block @ block.T
    for card in range(50):
        if card == 45:
            assert (graph.neighbours[card] == -1).all()
            assert np.isnan(graph.similarities[card]).all()
            continue
        others = [n for n in range(50) if n not in (card, 45)]
        near = sorted(others, key=lambda n: (-round(expected[card, n], 6), ids[n]))[:6]
        assert graph.neighbours[card].tolist() == near
        exact = expected[card, near].clip(max=1)
        np.testing.assert_allclose(graph.similarities[card], exact, atol=1e-5)


def test_a_card_is_no_neighbour_of_itself_even_among_many_equal_ones() -> None:
    """Beside ten equal cards, the card itself may not be among the first of them."""
    frame = pd.DataFrame({"id": list("jihgfedcba"), "title": "red boots", "category": "Boots"})
    frame.loc[10] = ["z", "a lamp", "Lamps"]
    graph = build_graph(ProductIndex.build(frame), neighbours=3)
    first = [graph.ids[row] for row in graph.neighbours[graph.ids.index("j")]]
    assert first == ["a", "b", "c"]
    assert [graph.ids[row] for row in graph.neighbours[graph.ids.index("a")]] == ["b", "c", "d"]


def test_answers_are_those_of_predict_for_the_cards(
    learned: ProductIndex, graph: AuditGraph
) -> None:
    """Two answers to one question would leave a person to wonder which one is right."""
    predicted = learned.predict(learned.catalogue)
    names = np.array([*learned.parts.labels.names, ""])
    labelled = graph.predicted >= 0
    assert labelled.sum() == 102
    assert (names[graph.predicted] == np.array(predicted.categories))[labelled].all()
    assert ((graph.confidence >= 0) & (graph.confidence <= 1)).all()
    assert graph.confidence[labelled].min() > 0.5


def test_a_label_that_only_the_own_group_shows_is_not_known() -> None:
    """Variants that share a wrong label would confirm each other."""
    cards = rows()
    for card in cards[:4]:
        card |= {"group": "g1", "category": "Lamps"}
    graph = build_graph(ProductIndex.build(made.catalogue(cards)))
    boots = graph.parts.labels.code_of["Shoes > Boots"]
    assert len(set(graph.groups[:4])) == 1
    assert (graph.predicted[:4] == boots).all()
    assert (graph.predicted[4:] == graph.parts.labels.codes[4:]).all()
    assert (graph.own_log_odds <= 0).all()
    assert graph.own_log_odds[:4].max() < graph.own_log_odds[4:].min()
    assert np.median(graph.own_log_odds[4:]) == 0


def test_what_gets_no_answer_is_counted(graph: AuditGraph) -> None:
    """A card that nothing is said about looks like one that is right."""
    unlabelled, blank = graph.ids.index("x1"), graph.ids.index("x2")
    assert graph.notes == (
        "cards without a category, which have no answer to compare: 1",
        "labelled cards with nothing that is embedded, left out: 1",
    )
    assert graph.predicted[[unlabelled, blank]].tolist() == [-1, -1]
    assert graph.confidence[[unlabelled, blank]].tolist() == [0, 0]
    assert graph.parts.labels.names[graph.parts.labels.codes[graph.neighbours[unlabelled, 0]]] == (
        "Shoes > Boots"
    )
    assert (graph.neighbours[blank] == -1).all()
    assert blank not in graph.neighbours


def test_without_a_projection_neighbours_alone_answer() -> None:
    """An index that learned nothing from its labels is audited all the same."""
    cards = rows(10)
    cards[3]["category"] = "Lamps"
    graph = build_graph(ProductIndex.build(made.catalogue(cards), projection="none"))
    assert graph.notes[0].startswith("confidence is the raw share of the vote")
    assert graph.parts.labels.names[graph.predicted[3]] == "Shoes > Boots"
    assert graph.own_log_odds[3] == graph.own_log_odds.min() < -1
    assert (np.delete(graph.own_log_odds, 3) > graph.own_log_odds[3]).all()


@pytest.mark.parametrize(
    ("cards", "note"),
    [
        (rows(3), "that takes 20 labelled cards, and this index has 9"),
        (rows(30)[:30], "all are of one category"),
    ],
)
def test_too_few_cards_or_categories_are_said(cards: list[dict[str, str]], note: str) -> None:
    """Ten cards, or one category, end in a sentence and not in a traceback."""
    graph = build_graph(ProductIndex.build(made.catalogue(cards)))
    assert note in graph.notes[-1]
    assert (graph.predicted == -1).all()
    assert (graph.neighbours[:, 0] >= 0).all()


def test_new_cards_get_the_answers_of_predict_and_the_neighbours_of_a_search(
    learned: ProductIndex, graph: AuditGraph
) -> None:
    """A delivery is judged by the same answers that its cards would get."""
    new = made.catalogue([made.row("n1", "leather boots yellow", category="Lamps"), made.row("n2")])
    found = answer_new(learned, new, graph)
    predicted = learned.predict(new)
    assert learned.parts.labels.names[found.result.vote.categories[0, 0]] == predicted[0].category
    assert found.decision.confidence[0] == predicted[0].confidence
    near = learned.search("leather boots yellow", k=7)
    assert [graph.ids[row] for row in found.neighbours[0]] == [each.id for each in near]
    np.testing.assert_allclose(found.similarities[0], [each.similarity for each in near], 1e-6)
    assert (found.neighbours[1] == -1).all()
    assert np.isnan(found.similarities[1]).all()
    assert any("n2" in note for note in found.notes)
    assert found.catalogue.values("category") == ["Lamps", ""]


def test_a_catalogue_with_nothing_to_compare_is_refused(
    learned: ProductIndex, graph: AuditGraph
) -> None:
    with pytest.raises(QueryError, match="the query has none of these"):
        answer_new(learned, made.catalogue([made.row("n1")]), graph)


def test_many_cards_at_once_get_the_same_answers(
    graph: AuditGraph, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Large catalogues are compared by other rows, which only take less time."""
    monkeypatch.setattr("prodcat_index.index.own_cards.MANY", 1)
    monkeypatch.setattr("prodcat_index.audit.graph.MANY", 1)
    other = build_graph(graph.index, neighbours=7)
    np.testing.assert_array_equal(other.neighbours, graph.neighbours)
    np.testing.assert_array_equal(other.similarities, graph.similarities)
    np.testing.assert_array_equal(other.ranked, graph.ranked)
    np.testing.assert_array_equal(other.shares, graph.shares)
    np.testing.assert_array_equal(other.confidence, graph.confidence)


def test_many_cards_get_the_same_neighbours(
    learned: ProductIndex, graph: AuditGraph, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A catalogue that grows past a limit would be audited by other evidence."""
    monkeypatch.setattr("prodcat_index.audit.graph.MANY", 1)
    monkeypatch.setattr("prodcat_index.audit.graph.MOST_EXACT_VALUES", 1)
    many = build_graph(learned, neighbours=7)
    np.testing.assert_array_equal(many.neighbours, graph.neighbours)
    np.testing.assert_array_equal(many.similarities, graph.similarities)
    new = made.catalogue([made.row("n1", "leather boots oak"), made.row("n2", "steel kettle red")])
    few, several = answer_new(learned, new, graph), answer_new(learned, new, many)
    np.testing.assert_array_equal(few.neighbours, several.neighbours)
