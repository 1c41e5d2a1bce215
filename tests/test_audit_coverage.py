"""Coverage: why categories cannot be predicted, and what to do about them first."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import made
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prodcat_index.audit.check import Item
from prodcat_index.audit.coverage import Coverage
from prodcat_index.audit.graph import AuditGraph
from prodcat_index.audit.standing import NOISE, LearningCurve, Standing, count_products, fit_curve
from prodcat_index.errors import QueryError
from prodcat_index.index.parts import Labels
from prodcat_index.types import MISSING
from prodcat_index.voting.metrics import weighted_f1

Answer = dict[str, float]


def graph_of(
    categories: Sequence[str],
    answers: Sequence[Answer],
    groups: Sequence[int] | None = None,
    titles: Sequence[str] | None = None,
    log_odds: Sequence[float] | None = None,
) -> AuditGraph:
    """Make a graph of cards that got these votes; each card is near the next ones."""
    n = len(categories)
    cards = made.catalogue(
        made.row(f"c{i:03d}", titles[i] if titles else "", category=categories[i]) for i in range(n)
    )
    labels = Labels.from_catalogue(cards)
    width = max(map(len, answers), default=1) or 1
    ranked, shares = np.full((n, width), MISSING), np.zeros((n, width))
    for i, answer in enumerate(answers):
        for place, (name, share) in enumerate(sorted(answer.items(), key=lambda a: -a[1])):
            ranked[i, place], shares[i, place] = labels.code_of[name], share
    index: Any = SimpleNamespace(parts=SimpleNamespace(catalogue=cards, labels=labels))
    odds = np.array(log_odds if log_odds is not None else np.zeros(n), dtype=np.float32)
    return AuditGraph(
        index,
        np.arange(n) if groups is None else np.array(groups),
        (np.arange(n)[:, None] + np.arange(1, 4)) % n,
        np.ones((n, 3), dtype=np.float32),
        ranked,
        shares,
        shares[:, 0],
        ranked,
        np.zeros((n, width), dtype=np.float32),
        odds,
    )


def by_subject(items: Sequence[Item]) -> dict[str, Item]:
    return {item.subject: item for item in items}


names = st.sampled_from("ABC")


@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(names, names), min_size=1, max_size=25))
def test_the_gain_of_a_merge_is_that_of_scoring_again(pairs: list[tuple[str, str]]) -> None:
    """A merge that promises more than evaluate then shows would not be believed again."""
    pairs = [*pairs, ("A", "A"), ("B", "B"), ("C", "C")]
    standing = Standing(graph_of([a for a, _ in pairs], [{b: 1.0} for _, b in pairs]))
    true, predicted = standing.codes, standing.graph.predicted
    merged = [np.where(codes == 1, 0, codes) for codes in (true, predicted)]
    before, after = (weighted_f1(*both, 3) for both in ((true, predicted), merged))
    gain = standing.gain_of_merging(0, 1)
    assert gain / len(pairs) == pytest.approx(after - before)


@settings(deadline=None, max_examples=30)
@given(
    st.lists(st.integers(0, 4), min_size=1, max_size=8),
    st.lists(st.integers(0, 4), min_size=1, max_size=8),
)
def test_telling_apart_is_the_share_of_pairs_in_the_right_order(
    own: list[int], others: list[int]
) -> None:
    """Ties count half, as in every area under a ROC curve."""
    votes = [{"A": v / 4, "B": 1 - v / 4} for v in (*own, *others)]
    standing = Standing(graph_of(["A"] * len(own) + ["B"] * len(others), votes))
    pairs = [(a > b) + (a == b) / 2 for a in own for b in others]
    apart, high = standing.told_apart(0, 1)
    assert apart == pytest.approx(np.mean(pairs))
    assert high >= max(apart, 0.5)


def mixture(rng: np.random.Generator, category: str, names: Sequence[str], n: int) -> list[Answer]:
    """Votes of n cards for some names at random, whatever the category."""
    return [{name: float(rng.random()) for name in names} for _ in range(n)]


def test_two_names_of_one_category_are_found_and_siblings_are_not() -> None:
    """Merging what customers tell apart would do more harm than the confusion."""
    rng = np.random.default_rng(0)
    sofas, couches = ["Sofas"] * 40, ["Couches"] * 25
    answers = mixture(rng, "Sofas", ["Sofas", "Couches"], 65)
    # Chairs and stools are confused in a quarter of all cases, and told apart in the others.
    for own, other in (("Chairs", "Stools"), ("Stools", "Chairs")):
        answers += [{own: 0.8, other: 0.2} if n % 4 else {own: 0.4, other: 0.6} for n in range(40)]
    graph = graph_of([*sofas, *couches, *["Chairs"] * 40, *["Stools"] * 40], answers)
    result = Coverage().run(graph)
    merges = [item for item in result.items if item.kind == "two names of one category"]
    assert [(item.subject, item.proposal) for item in merges] == [("Couches", "merge into Sofas")]
    assert merges[0].cards == ()
    gain = Standing(graph).gain_of_merging(
        *(graph.parts.labels.code_of[n] for n in ("Sofas", "Couches"))
    )
    assert merges[0].score == pytest.approx(1 - gain / 65)


@pytest.mark.parametrize(("name", "found"), [("lamps.", True), ("Mugs", False)])
def test_few_cards_are_proof_only_where_the_names_agree(name: str, found: bool) -> None:
    """Three cards that are answered wrong may be chance; under an equal name they are not."""
    answers: list[Answer] = [{"Lamps": 0.6, name: 0.4}] * 23
    result = Coverage().run(graph_of([*["Lamps"] * 20, *[name] * 3], answers))
    kinds = {item.subject: item.kind for item in result.items}
    assert (kinds.get(name) == "two names of one category") is found


def test_no_category_is_merged_into_one_that_goes() -> None:
    """A into B and B into C, carried out one after the other, would leave cards under B."""
    rng = np.random.default_rng(1)
    three = ["Lamps", "lamps", "LAMPS"]
    categories = [three[n % 3] for n in range(60)]
    result = Coverage().run(graph_of(categories, mixture(rng, "", three, 60)))
    merges = [item for item in result.items if item.proposal.startswith("merge")]
    targets = {item.proposal.removeprefix("merge into ") for item in merges}
    assert merges
    assert targets.isdisjoint(item.subject for item in merges)


def test_a_category_of_one_product_is_named_however_many_variants_it_has() -> None:
    """Its variants are left out together, so that no card answers for them."""
    categories = ["A"] * 20 + ["B"] * 3
    graph = graph_of(categories, [{"A": 1.0}] * 23, groups=[*range(20), 99, 99, 99])
    result = Coverage().run(graph)
    item = by_subject(result.items)["B"]
    assert (item.kind, item.proposal) == ("one product only", "add cards")
    # Two categories show nothing about learning curves, and that is said.
    assert any("not known" in note for note in result.notes)


def test_categories_of_one_product_are_one_item() -> None:
    """Half of the list would be the same advice, each time for another category."""
    categories = ["A"] * 20 + list("BCDEFG")
    graph = graph_of(categories, [{"A": 1.0}] * 26)
    result = Coverage().run(graph)
    (item,) = (item for item in result.items if item.kind == "one product only")
    assert item.subject == "B, C, D, E, F and 1 more"
    assert "these 6 categories" in item.why and item.why.endswith("B, C, D, E, F, G.")
    assert (item.proposal, item.cards) == ("add cards", ())
    assert item.neighbours == ("c020", "c021", "c022", "c023", "c024")
    # Each is still flagged, and has its row in the table.
    assert result.flagged.tolist() == [False] * 20 + [True] * 6
    (table,) = result.details["tables"].values()
    assert [row["category"] for row in table] == list("BCDEFG")


def test_a_mixed_category_names_the_other_and_the_words_that_mislead() -> None:
    """The reviewer needs to know which border to draw, and along which words."""
    categories = ["Mugs"] * 20 + ["Cups"] * 30
    answers: list[Answer] = [{"Cups": 1.0}] * 8 + [{"Mugs": 1.0}] * 12 + [{"Cups": 1.0}] * 30
    titles = [f"espresso item {n}" for n in range(8)] + [f"big item {n}" for n in range(12)]
    titles += [f"espresso thing {n}" for n in range(30)]
    result = Coverage().run(graph_of(categories, answers, titles=titles))
    item = by_subject(result.items)["Mugs"]
    assert item.kind == "mixed with another category"
    assert item.proposal == "review the border with Cups"
    assert item.words == ("espresso",)
    assert item.neighbours == tuple(f"c{n:03d}" for n in range(5))
    assert item.why == (
        "Of its 20 cards, 8 are answered wrong, 8 of them as Cups; in turn, no cards of Cups are "
        "answered as Mugs. They share words with it: espresso."
    )
    # Errors of many kinds are no border.
    others = [{name: 1.0} for name in "ABCDEFGH"] + answers[8:]
    letters = list("ABCDEFGH") * 2
    spread = graph_of([*categories, *letters], [*others, *({n: 1.0} for n in letters)])
    assert by_subject(Coverage().run(spread).items).get("Mugs", item).kind != item.kind


def test_scores_are_shares_of_right_answers_and_only_the_named_are_flagged() -> None:
    """Worked by hand; a card without an answer or a category has no score."""
    categories = ["A"] * 4 + ["B"] * 3 + ["", "A"]
    answers: list[Answer] = [{"A": 1.0}] * 3 + [{"B": 1.0}] * 4 + [{}, {}]
    result = Coverage().run(graph_of(categories, answers, groups=[0, 1, 2, 3, 4, 4, 4, 5, 6]))
    expected = [0.75] * 4 + [1.0] * 3 + [np.nan, np.nan]
    np.testing.assert_array_equal(result.scores, expected)
    flagged = [c for c, bad in zip(categories, result.flagged, strict=True) if bad]
    assert set(flagged) == {item.subject for item in result.items} == {"B"}


def test_doubtful_labels_put_a_category_first() -> None:
    """Reviewing the largest category first would find few errors for each card looked at."""
    categories = ["A"] * 30 + ["B"] * 10
    sure, doubtful = 0.0, float(np.log(1e-4))
    log_odds = [sure] * 28 + [doubtful] * 2 + [sure] * 6 + [doubtful] * 4
    graph = graph_of(categories, [{c: 1.0} for c in categories], log_odds=log_odds)
    result = Coverage().run(graph)
    assert [(item.subject, item.kind) for item in result.items] == [
        ("B", "labels to review"),
        ("A", "labels to review"),
    ]
    doubt = NOISE / (NOISE + (1 - NOISE) * 1e-4)
    assert result.items[0].score == pytest.approx(1 - 4 * doubt / 10)
    assert result.items[0].neighbours[:4] == ("c036", "c037", "c038", "c039")
    (table,) = result.details["tables"].values()
    assert [row["category"] for row in table] == ["B", "A"]


def test_without_answers_the_check_says_so() -> None:
    """All categories would look unpredictable."""
    with pytest.raises(QueryError, match="No card of the index has an out-of-fold answer"):
        Coverage().run(graph_of(["A", "B"], [{}, {}]))


def test_the_numbers_of_a_learning_curve() -> None:
    """Worked by hand: with twice the products, half of the error."""
    curve = LearningCurve(exponent=1.0, low=0.5, high=2.0, scale=0.8)
    assert curve.f1_with(0.4, 4, 4) == pytest.approx(0.8)
    # Half of the error takes twice, 4 times and 1.41 times the products.
    assert curve.needed(0.4, 4, 0.8) == pytest.approx((4.0, 4 * (2**0.5 - 1), 12.0))
    assert curve.needed(0.1, 4, 0.8)[0] == 0
    errors = curve.error(np.array([0.0, 0.9, 0.5]), np.array([1, 5, 15]))
    # One product: as usual at its size. Five: half of its own. Fifteen: three quarters.
    usual = [0.8, 0.8 / 5, 0.8 / 15]
    assert errors == pytest.approx([0.8, (0.1 + usual[1]) / 2, 0.75 * 0.5 + 0.25 * usual[2]])


def clouds(rng: np.random.Generator, each: int, spread: float) -> tuple[Any, Any]:
    """Cards of eight categories in a plane, and the nearest 30 of each."""
    centres = rng.normal(size=(8, 4))
    codes = np.repeat(np.arange(8), each)
    points = centres[codes] + spread * rng.normal(size=(len(codes), 4))
    distances = np.linalg.norm(points[:, None] - points[None], axis=2)
    np.fill_diagonal(distances, np.inf)
    return np.argsort(distances, axis=1)[:, :30], codes


def test_the_curve_is_steep_where_cards_are_missed_and_flat_where_they_are_not() -> None:
    """A category that is confused whatever is added must not be promised an F1."""
    rng = np.random.default_rng(2)
    near, codes = clouds(rng, 16, 0.4)
    groups = np.arange(len(codes))
    steep = fit_curve(near, codes, groups, np.full(8, 0.7))
    # Labels by chance: with fewer cards, hardly worse.
    shuffled = rng.permutation(codes)
    flat = fit_curve(near, shuffled, groups, np.full(8, 0.1))
    assert steep is not None and flat is not None
    assert steep.low <= steep.exponent <= steep.high
    assert flat.high < steep.low
    # All categories stand at 0.7 with 16 products.
    assert steep.scale * 16**-steep.exponent == pytest.approx(0.3)


def test_the_own_product_is_no_voter() -> None:
    """Variants of a product would make every small category look safe."""
    codes = np.repeat(np.arange(6), 16)
    groups = np.arange(96) // 2
    variant = np.arange(96) ^ 1
    other = (np.arange(96) + 16) % 96
    near = np.stack([variant, other], axis=1)
    found = fit_curve(near, codes, groups, np.zeros(6))
    assert found is not None
    # Only cards of another category answer: wrong in any case, so flat.
    assert found.exponent == found.low == 0.05
    assert count_products(codes, groups, 6).tolist() == [8] * 6


def test_too_few_categories_give_no_curve() -> None:
    near = np.zeros((32, 1), dtype=np.int64)
    assert fit_curve(near, np.repeat(np.arange(4), 8), np.arange(32), np.zeros(4)) is None


def test_items_do_not_depend_on_the_order_of_cards() -> None:
    """The same export in another order is the same catalogue."""
    rng = np.random.default_rng(3)
    categories = ["A"] * 12 + ["B"] * 12 + ["C"]
    answers = [*mixture(rng, "", ["A", "B"], 24), {"A": 1.0}]
    order = rng.permutation(25)
    first = Coverage().run(graph_of(categories, answers)).items
    second = (
        Coverage().run(graph_of([categories[i] for i in order], [answers[i] for i in order])).items
    )
    assert [(i.subject, i.proposal, i.score) for i in first] == [
        (i.subject, i.proposal, i.score) for i in second
    ]


@pytest.mark.parametrize(("wrong", "kinds"), [(1, []), (4, ["too few products"])])
def test_one_mistake_is_no_reason_for_more_cards(wrong: int, kinds: list[str]) -> None:
    """Where the median is 1, hundreds of cards would be asked for to mend a single answer."""
    categories = [name for name in "ABCDE" for _ in range(12)]
    answers: list[Answer] = [{name: 1.0} for name in categories]
    for place, other in zip(range(wrong), "BCDE", strict=False):
        answers[place] = {other: 1.0}
    found = Coverage().run(graph_of(categories, answers)).items
    assert [item.kind for item in found if item.subject == "A"] == kinds
