"""Wrong labels that an audit finds, and what it shows for them."""

from __future__ import annotations

import made
import numpy as np
import pytest
from test_audit_graph import KINDS, rows

from prodcat_index.audit.check import CheckResult
from prodcat_index.audit.graph import AuditGraph, build_graph
from prodcat_index.audit.label_errors import LabelErrors, _others
from prodcat_index.index.product_index import ProductIndex
from prodcat_index.types import Int64Array

WRONG = {"S003": "Lamps", "S010": "Kitchen > Kettles", "K007": "Lamps", "L020": "Shoes > Boots"}
# Two variants of one product, both in the wrong category.
VARIANTS = {"K011": "Lamps", "K012": "Lamps"}


def cards() -> list[dict[str, str]]:
    """Cards with some wrong labels, two of them of one product; one without a category."""
    planted = [*rows(), made.row("x1", "leather boots")]
    for card in planted:
        wrong = (WRONG | VARIANTS).get(card["id"])
        card |= {"category": wrong} if wrong else {}
        card |= {"group": "g"} if card["id"] in VARIANTS else {}
    return planted


@pytest.fixture(scope="module")
def graph() -> AuditGraph:
    return build_graph(ProductIndex.build(made.catalogue(cards())))


@pytest.fixture(scope="module")
def found(graph: AuditGraph) -> CheckResult:
    return LabelErrors().run(graph)


def test_the_planted_errors_are_flagged_and_no_other(found: CheckResult) -> None:
    """Every right card that is flagged costs a person a look, every wrong one left costs sales."""
    flagged = {card for card, flag in zip(found.ids, found.flagged, strict=True) if flag}
    assert flagged == {*WRONG, *VARIANTS}
    scores = dict(zip(found.ids, found.scores.tolist(), strict=True))
    assert max(scores[card] for card in flagged) < 0.2
    right = [score for card, score in scores.items() if card not in flagged and card != "x1"]
    assert 0.3 < min(right) <= max(right) <= 1


def test_a_card_without_a_category_has_no_score(found: CheckResult) -> None:
    """There is no label that could be wrong, and 0 or 1 would say something about it."""
    assert np.flatnonzero(np.isnan(found.scores)).tolist() == [found.ids.index("x1")]
    assert found.notes == ("cards without a category, which have no answer to compare: 1",)
    assert found.details["checked"] == 102
    assert found.details["flagged"] == 6
    assert found.summary == "6 cards of 102 may be in the wrong category (5.9%), in 5 items."


def test_each_item_proposes_the_true_category_with_its_evidence(
    graph: AuditGraph, found: CheckResult
) -> None:
    """A person decides by the proposal, the neighbours and the words, not by the score."""
    category = dict(zip(graph.ids, graph.parts.catalogue.values("category"), strict=True))
    true = {kind[0]: kind for kind in KINDS}
    assert len(found.items) == 5
    for item in found.items:
        kind = true[item.cards[0][0]]
        assert item.proposal == kind
        assert item.subject == category[item.cards[0]] != kind
        assert item.confidence is not None
        assert 0.7 < item.confidence <= 1
        assert [category[card] for card in item.neighbours[:4]] == [kind] * 4
        assert not {*item.cards} & {*item.neighbours}
        assert set(item.words) & set(KINDS[kind].split())
        assert not set(item.words) & set(KINDS[item.subject].split())
    assert [item.score for item in found.items] == sorted(item.score for item in found.items)


def test_variants_with_the_same_error_are_one_item(found: CheckResult) -> None:
    """A decision on a product should not be asked for once a size and colour."""
    [variants] = [item for item in found.items if len(item.cards) > 1]
    assert variants.cards == ("K011", "K012")
    assert found.details["tables"]["Categories that are mixed up most"][0] == {
        "category": "Lamps",
        "proposed": "Kitchen > Kettles",
        "cards": 3,
    }


def test_the_order_of_the_cards_changes_nothing(found: CheckResult) -> None:
    """The list would differ from one export of the same catalogue to the next."""
    turned = cards()[::-1]
    other = LabelErrors().run(build_graph(ProductIndex.build(made.catalogue(turned))))
    assert {item.cards: item.proposal for item in other.items} == {
        item.cards: item.proposal for item in found.items
    }


def test_higher_odds_flag_fewer_cards_and_leave_the_scores(
    graph: AuditGraph, found: CheckResult
) -> None:
    strict = LabelErrors(odds=1e6).run(graph)
    assert not strict.flagged.any()
    assert strict.items == []
    assert strict.summary.startswith("0 cards of 102")
    np.testing.assert_array_equal(strict.scores, found.scores)


def made_up(
    graph: AuditGraph, heads: dict[int, tuple[int, float, int, float]], groups: Int64Array
) -> AuditGraph:
    """A graph without neighbours, in which cards have an own category and another, each with p."""
    n = len(graph.ids)
    likely = np.full((n, 2), -1)
    logs, own = np.full((n, 2), -np.inf, dtype=np.float32), np.zeros(n, dtype=np.float32)
    for card, (mine, p, other, q) in heads.items():
        best = sorted([(q, other), (p, mine)], reverse=True)
        likely[card], logs[card] = [code for _, code in best], np.log([each for each, _ in best])
        own[card] = np.log(p)
    return AuditGraph(
        graph.index, groups, np.full((n, 2), -1), np.full((n, 2), np.nan, dtype=np.float32),
        graph.ranked, graph.shares, graph.confidence, likely, logs, own,
    )  # fmt: skip


def test_odds_are_the_blend_of_heads_and_trusted_neighbours_worked_by_hand(
    graph: AuditGraph,
) -> None:
    """Two neighbours, one of which is doubted itself: its label counts by half."""
    codes = graph.parts.labels.codes
    lamps, boots = (graph.parts.labels.code_of[name] for name in ("Lamps", "Shoes > Boots"))
    a, b, c = (
        int(np.flatnonzero(codes == code)[place])
        for code, place in ((lamps, 0), (lamps, 1), (boots, 0))
    )
    heads = {a: (lamps, 0.2, boots, 0.7), b: (lamps, 0.3, boots, 0.6), c: (boots, 0.9, lamps, 0.1)}
    given = made_up(graph, heads, np.arange(len(codes)))
    given.neighbours[a] = b, c
    given.similarities[a] = 0.9, 0.9 - 0.2 * np.log(3)  # three to one
    result = LabelErrors(neighbour_weight=0.4, few=0).run(given)
    # b is a lamp to one half, and else a boot; c is a boot.
    lamp, boot = 0.75 * 0.5, 0.75 * 0.5 + 0.25
    odds = (0.2 / 0.7**0.5) ** 0.6 * (lamp / boot**0.5) ** 0.4
    assert result.scores[a] == pytest.approx(odds / (1 + odds), rel=1e-5)


def test_a_small_category_needs_stronger_evidence_worked_by_hand(graph: AuditGraph) -> None:
    """What has seen one other product of a category takes the second for something else."""
    codes = graph.parts.labels.codes
    lamps, boots = (graph.parts.labels.code_of[name] for name in ("Lamps", "Shoes > Boots"))
    a, b = (int(np.flatnonzero(codes == code)[0]) for code in (lamps, boots))
    # All boots but one are variants of one product: beside it, b has one card of another group.
    groups = np.arange(len(codes))
    groups[np.flatnonzero(codes == boots)[:-1]] = b
    large = int((codes == lamps).sum()) - 1
    check = LabelErrors(odds=10, few=1, neighbour_weight=0)
    for ratio, flags in ((9, (False, False)), (11, (True, False)), (105, (True, True))):
        p, q = 0.9 / ratio, 0.9
        result = check.run(
            made_up(graph, {a: (lamps, p, boots, q), b: (boots, p, lamps, q)}, groups)
        )
        assert (result.flagged[a], result.flagged[b]) == flags
        # The logarithm is halved for b, for one card has been seen and `few` is one.
        for card, part in ((a, large / (large + 1)), (b, 1 / 2)):
            odds = (p / q**0.5) ** part
            assert result.scores[card] == pytest.approx(odds / (1 + odds), rel=1e-5)


def test_the_only_product_of_a_category_is_not_flagged() -> None:
    """Nothing could confirm its label, so that a shop's rare categories would top the list."""
    cards = [*rows(), *(made.row(f"r{n}", f"lamp oak {n}", category="Rare") for n in (1, 2, 3))]
    for card in cards[-3:]:
        card["group"] = "one product"
    cards[0]["category"] = "Lamps"
    result = LabelErrors().run(build_graph(ProductIndex.build(made.catalogue(cards))))
    assert [item.cards for item in result.items] == [("S000",)]
    assert result.notes == ("cards of a category without another product, not flagged: 3",)
    assert (result.scores[-3:] == 0.5).all()


def test_cards_of_a_category_are_counted_without_those_of_the_own_group() -> None:
    """Variants of one product would confirm each other's label."""
    codes, groups = np.array([0, 0, 0, 1, 1, -1]), np.array([7, 7, 8, 9, 9, 9])
    assert _others(codes, groups).tolist() == [1, 1, 2, 0, 0, 0]


@pytest.mark.parametrize(
    ("planted", "note"),
    [(rows(3), "that takes 20 labelled cards"), (rows(30)[:30], "all are of one category")],
)
def test_what_cannot_be_checked_is_said(planted: list[dict[str, str]], note: str) -> None:
    """An empty list without a word looks like a catalogue without faults."""
    result = LabelErrors().run(build_graph(ProductIndex.build(made.catalogue(planted))))
    assert "No labelled card was checked" in result.summary
    assert note in result.summary
    assert np.isnan(result.scores).all()
    assert result.items == []
    assert result.details["tables"] == {}


def test_an_index_without_a_projection_is_checked_by_its_neighbours() -> None:
    """Small shops, and those that chose no projection, have wrong labels, too."""
    few = rows(20)
    few[3]["category"] = "Lamps"
    graph = build_graph(ProductIndex.build(made.catalogue(few), projection="none"))
    result = LabelErrors().run(graph)
    [item] = [item for item in result.items if item.cards == ("S003",)]
    assert item.proposal == "Shoes > Boots"
    assert item.confidence is None
    assert result.scores.argmin() == 3
    assert item.words == ()
