"""How a delivery differs from the catalogue, or from an earlier delivery."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import made
import numpy as np
import pytest

from prodcat_index.audit.check import CheckResult
from prodcat_index.audit.delivery_drift import DeliveryDrift, _whole_groups
from prodcat_index.audit.graph import AuditGraph, answer_new, build_graph
from prodcat_index.errors import QueryError
from prodcat_index.index.product_index import ProductIndex

OWN = {"Boots": "leather boots", "Kettles": "steel kettle", "Lamps": "desk lamp"}
COLOURS = ("oak", "elm", "fir", "ash", "yew", "bay", "fig", "ivy", "may", "nut", "pea")

Row = Mapping[str, str]


def cards(start: int, count: int, kinds: Sequence[str] = tuple(OWN)) -> list[Row]:
    """Cards of three categories, drawn alike for any start; the first of a title tells it."""
    rng = np.random.default_rng(start)
    return [
        made.row(
            f"c{start + n:04d}",
            f"{OWN[kinds[n % len(kinds)]]} {' '.join(rng.choice(COLOURS, 3))} {rng.integers(90)}w",
            " ".join(rng.choice(COLOURS, 4)),
            category=kinds[n % len(kinds)],
        )
        for n in range(count)
    ]


@pytest.fixture(scope="module")
def graph() -> AuditGraph:
    return build_graph(ProductIndex.build(made.catalogue(cards(0, 150))))


def checked(
    graph: AuditGraph, rows: Sequence[Row], check: DeliveryDrift | None = None
) -> CheckResult:
    new = answer_new(graph.index, made.catalogue(rows), graph)
    return (check or DeliveryDrift()).run(graph, new)


def kinds(result: CheckResult) -> set[tuple[str, str]]:
    return {(item.kind, item.subject) for item in result.items}


def test_a_delivery_of_the_same_kind_is_no_drift(graph: AuditGraph) -> None:
    """Who is alarmed by every delivery looks at none."""
    result = checked(graph, cards(1000, 120))
    assert result.items == []
    assert not result.flagged.any()
    assert result.summary.startswith("No drift was found: the delivery is like the index (AUC by")
    assert "of the answers are expected to be right" in result.summary
    assert np.all((result.scores >= 0) & (result.scores <= 1))
    assert result.details["expected_accuracy"] == pytest.approx(0.97, abs=0.06)


def test_words_that_came_are_named(graph: AuditGraph) -> None:
    """Another supplier puts its name into every title; a category team must be told which."""
    rows = [
        {**row, "title": f"{row['title']} globex"} if n < 90 else row
        for n, row in enumerate(cards(1000, 120))
    ]
    result = checked(graph, rows)
    assert ("changed title", "title") in kinds(result)
    assert ("words never seen", "texts") in kinds(result)
    assert not {kind for kind, subject in kinds(result) if subject == "description"}
    by_kind = {item.kind: item for item in result.items}
    assert by_kind["words never seen"].words[0] == "globex"
    assert "globex" in by_kind["changed title"].words
    assert by_kind["changed title"].cards == ()
    assert result.flagged[:90].mean() > 0.9 > 0.1 > result.flagged[90:].mean()
    assert result.scores[:90].mean() < result.scores[90:].mean()
    assert "changed title" in result.summary


def test_categories_that_grew_and_shrank_are_named(graph: AuditGraph) -> None:
    rows = cards(1000, 120, ("Boots", "Boots", "Boots", "Boots", "Lamps"))
    result = checked(graph, rows)
    assert {("more of a category", "Boots"), ("less of a category", "Kettles")} <= kinds(result)
    assert "more of Boots" in result.summary
    table = {row["category"]: row for row in result.details["tables"]["Categories"]}
    assert table["Boots"]["predicted now"] == pytest.approx(0.8, abs=0.05)
    assert table["Boots"]["predicted before"] == pytest.approx(1 / 3, abs=0.05)
    assert table["Boots"]["estimated now"] > 0.6
    assert result.details["label_shift"] > 0.3


def test_cards_that_lack_a_modality_are_a_change(graph: AuditGraph) -> None:
    rows = [{**row, "description": ""} if n % 3 else row for n, row in enumerate(cards(1000, 120))]
    result = checked(graph, rows)
    assert kinds(result) == {("more cards without description", "description")}
    assert result.items[0].score == pytest.approx(1 / 3, abs=0.02)


def test_an_earlier_delivery_is_compared_with_instead(graph: AuditGraph) -> None:
    """Two deliveries of one supplier differ from the index alike, and not from each other."""

    def supplied(start: int) -> list[Row]:
        return [{**row, "title": f"{row['title']} globex"} for row in cards(start, 90)]

    assert checked(graph, supplied(1000)).items
    before = DeliveryDrift(against=made.catalogue(supplied(2000)))
    result = checked(graph, supplied(1000), before)
    assert result.items == []
    assert "like the earlier delivery" in result.summary
    assert checked(graph, cards(3000, 90), before).items


def test_the_order_of_the_cards_changes_nothing(graph: AuditGraph) -> None:
    rows = [{**row, "title": f"{row['title']} globex"} for row in cards(1000, 60)]
    order = np.random.default_rng(0).permutation(60)
    one, other = (checked(graph, each) for each in (rows, [rows[place] for place in order]))
    assert one.summary == other.summary
    assert other.scores == pytest.approx(one.scores[order], abs=1e-6)


def test_a_repeated_catalogue_is_no_drift(graph: AuditGraph) -> None:
    """A full export holds the products that are indexed already, and more of the same."""
    result = checked(graph, [*cards(0, 150), *cards(1000, 60)])
    assert result.items == []


def test_of_many_cards_whole_groups_are_told_apart(graph: AuditGraph) -> None:
    groups = np.repeat(np.arange(50), 3)
    rows = _whole_groups(groups, 31)
    assert len(rows) == 30
    assert np.bincount(groups[rows])[np.unique(groups[rows])].tolist() == [3] * 10
    assert _whole_groups(groups, 150).tolist() == list(range(150))
    result = checked(graph, cards(1000, 120), DeliveryDrift(sample=60))
    assert np.isfinite(result.scores).sum() == 60
    assert "at most 60 cards of each side" in result.notes[0]


def test_without_a_calibration_no_accuracy_is_expected(graph: AuditGraph) -> None:
    parts = replace(graph.parts, calibration=None)
    plain = replace(graph, index=ProductIndex(parts))
    result = checked(plain, cards(1000, 60))
    assert "expected" not in result.summary
    assert result.notes == (
        "the index is not calibrated: no accuracy of the answers can be expected",
    )


def test_what_is_expected_of_cards_of_no_category_is_said_to_be_conditional(
    graph: AuditGraph,
) -> None:
    """Listings of another shop would be said to be answered right four times in five."""
    rows = [made.row(f"g{n:02d}", f"Καλημέρα κόσμε {n}") for n in range(30)]
    result = checked(graph, rows)
    assert result.summary.endswith(
        " if all cards are of categories of the index; 30 of 30 are like none."
    )
    # They are one product, on one side of every fold.
    assert "AUC" not in result.summary
    assert "too few products to be told apart by title" in result.notes[0]


def test_what_cannot_be_compared_is_refused(graph: AuditGraph) -> None:
    with pytest.raises(QueryError, match="name a new catalogue"):
        DeliveryDrift().run(graph)
    with pytest.raises(QueryError, match="Drift needs 20 cards on each side; one has 5"):
        checked(graph, cards(1000, 5))
