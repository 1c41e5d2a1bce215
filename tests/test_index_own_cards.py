"""A listing that is a card of the index does not confirm itself."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import made
import numpy as np
import pytest

from prodcat_index.cards.card import Card, Catalogue
from prodcat_index.cards.catalogue import as_listings
from prodcat_index.index.own_cards import Voting, find_own, vote_as_new
from prodcat_index.index.product_index import ProductIndex
from prodcat_index.learning.folds import assign_folds
from prodcat_index.voting.prediction import Prediction

WORDS = [f"{a}{b}{c}" for a in "bdfgk" for b in "aeiou" for c in "lmnrst"]
NOTE = "labelled cards of this index among the listings: "


@cache
def noise(n: int = 150) -> Catalogue:
    """Cards of a word in each text, in threes of a group, with labels drawn for each group."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, n)
    return made.catalogue(
        made.row(
            f"c{i:03}",
            WORDS[i],
            f"{WORDS[-i]}ish",
            group=f"g{i // 3}",
            category=f"c{labels[i // 3]}",
        )
        for i in range(n)
    )


@cache
def noise_index(projection: str = "lda") -> ProductIndex:
    return ProductIndex.build(noise(), projection=projection)


def right(found: list[Prediction], catalogue: Catalogue) -> float:
    pairs = zip(found, catalogue.values("category"), strict=True)
    return float(np.mean([answer.category == label for answer, label in pairs]))


@pytest.mark.parametrize("projection", ["lda", "none"])
def test_labels_that_say_nothing_are_not_known(projection: str) -> None:
    """The user would believe the score of an index that has learned its own cards by heart."""
    index = noise_index(projection)
    found = index.predict(noise())
    assert right(list(found), noise()) < 0.5
    assert (
        found.notes[0] == f"{NOTE}150 of 150; each is answered as a new one, without itself, its "
        "group and what was learned "
        "from them"
    )
    # The same cards under other ids are taken for new ones.
    others = replace(noise(), cards=noise().cards.assign(id=[f"x{i}" for i in range(150)]))
    assert right(list(index.predict(others)), noise()) > 0.8
    assert NOTE not in str(index.predict(others).notes)


@pytest.mark.parametrize("projection", ["lda", "none"])
def test_neither_the_card_nor_its_group_votes(projection: str) -> None:
    """A variant of the product would give its label away."""
    index = noise_index(projection)
    for answer in index.predict(noise(), k=20):
        group = int(answer.id[1:]) // 3
        assert len(answer.neighbours) == 20
        assert group not in {int(neighbour.id[1:]) // 3 for neighbour in answer.neighbours}


def test_an_answer_is_that_of_an_index_without_the_cards_of_the_fold() -> None:
    """Some part of what is learned would still know the card."""
    index = ProductIndex.build(noise(), projection="none")
    groups = np.arange(150) // 3
    fold = assign_folds(groups)
    found = index.predict(noise(), explain=True)
    for number in (0, 3):
        is_hidden = fold == number
        labels = np.where(is_hidden, "", noise().values("category"))
        hidden = replace(noise(), cards=noise().cards.assign(category=labels))
        built = ProductIndex.build(hidden, projection="none")
        expected = built.predict(hidden, explain=True)
        for row in np.flatnonzero(is_hidden):
            one, two = found[row], expected[row]
            assert dict(one.ranked) == pytest.approx(dict(two.ranked))
            assert one.explanation is not None and two.explanation is not None
            assert one.explanation.without.keys() == {"title", "description"}
            for modality, (category, share) in one.explanation.without.items():
                assert (category, pytest.approx(share)) == two.explanation.without[modality]


def test_what_is_learned_is_fitted_without_the_fold() -> None:
    """The projection and the head would have seen the label."""
    index, rows = noise_index(), noise().cards
    flipped = [f"c{(int(label[1:]) + 1) % 3}" for label in rows["category"]]
    fold = assign_folds(np.arange(150) // 3)
    # With other labels in fold 2 alone, its own answers stay as they are but for reliability.
    labels = np.where(fold == 2, flipped, rows["category"])
    other = replace(noise(), cards=rows.assign(category=labels))
    parts = replace(index.parts, catalogue=other)
    changed = ProductIndex(parts)
    for row in np.flatnonzero(fold == 2):
        card = noise().card(int(row))
        one, two = index.predict([card])[0], changed.predict([card])[0]
        assert [n.id for n in one.neighbours] == [n.id for n in two.neighbours]
        assert one.category == two.category


def test_text_scores_have_not_seen_the_label() -> None:
    """The scores of the model of all cards know each word by heart."""
    assert right(list(noise_index().predict(noise(), weights={"scores": 1.0})), noise()) < 0.5


def test_doubted_labels_are_doubted_here_too() -> None:
    """Own cards would be answered by wrong labels that count little for other listings."""
    learned = noise_index().parts.learned
    assert learned is not None and learned.log_reliability is not None
    parts = replace(
        noise_index().parts, learned=replace(learned, log_reliability=-np.arange(150.0))
    )
    queries = parts.encode(noise())
    voting = Voting(parts.weight_vector(None), parts.vote)
    result, _ = vote_as_new(parts, queries, np.arange(150), voting)
    assert result.log_reliability.tolist() == (-result.found.rows).tolist()


def test_an_answer_does_not_depend_on_the_other_listings() -> None:
    """A card would get another category each time it is asked for."""
    index = noise_index()
    some = [noise().card(row) for row in (0, 40, 3, 149)]
    new = [Card(title="bal bem"), Card(title="gur", id="new")]
    mixed = [new[0], *some, new[1]]
    together = list(index.predict(mixed, explain=True))
    for answer, card in zip(together, mixed, strict=True):
        alone = index.predict([card], explain=True)[0]
        assert answer.confidence == pytest.approx(alone.confidence, abs=1e-5)
        assert dict(answer.ranked) == pytest.approx(dict(alone.ranked), abs=1e-5)
        assert [n.id for n in answer.neighbours] == [n.id for n in alone.neighbours]
        assert answer.explanation is not None and alone.explanation is not None
        without, same = answer.explanation.without, alone.explanation.without
        assert without.keys() == same.keys()
        for name, (category, share) in without.items():
            assert (category, share) == (same[name][0], pytest.approx(same[name][1], abs=1e-5))
    assert index.predict(mixed).notes[0].startswith(f"{NOTE}4 of 6;")
    assert [answer.id for answer in together] == ["", "c000", "c040", "c003", "c149", "new"]


def test_contributions_of_neighbours_still_sum_to_the_similarity() -> None:
    """An explanation would not add up."""
    for answer in noise_index().predict(noise(), explain=True)[:30]:
        for neighbour in answer.neighbours:
            assert sum(neighbour.contributions.values()) == pytest.approx(
                neighbour.similarity, abs=1e-5
            )


def test_a_card_is_known_by_its_id_and_what_it_says() -> None:
    """Numbers of rows are ids of other cards elsewhere, and new cards would lose a vote."""
    catalogue = made.catalogue()
    index = ProductIndex.build(catalogue)
    asked = [
        (Card(id="b1", title="Red  leather boots!"), 0),
        (Card(id="b1", title="red leather boots", description="another text"), 0),
        (Card(id="b1", title="green kettle", description="warm winter lining"), -1),
        (Card(id="b1", description="warm winter lining"), 0),
        (Card(id="b1", image="b1.jpg"), -1),
        (Card(id="b2", title="red leather boots"), -1),
        (Card(id="", title="red leather boots"), -1),
        (Card(id="u1", title="leather boots of unknown shelf"), -1),
    ]
    row_of = {card: row for row, card in enumerate(catalogue.ids)}
    rows = find_own(index.parts, row_of, as_listings([card for card, _ in asked], None))
    assert rows.tolist() == [row for _, row in asked]


def test_a_card_without_a_category_may_ask_its_variants() -> None:
    """Labels for the rest of a catalogue would come from fewer cards than there are."""
    rows = noise().cards.assign(category=["", *noise().values("category")[1:]])
    index = ProductIndex.build(replace(noise(), cards=rows), projection="none")
    found = index.predict([noise().card(0)], k=149)
    assert found.notes == () or NOTE not in found.notes[0]
    assert {"c001", "c002"} <= {neighbour.id for neighbour in found[0].neighbours}


def test_pictures_alone_tell_a_card() -> None:
    rows = [made.row(f"p{i}", image=f"/old/{i}.jpg", category=f"c{i % 2}") for i in range(30)]
    index = ProductIndex.build(made.catalogue(rows), encoders={"image": "names"})
    row_of = {row["id"]: place for place, row in enumerate(rows)}
    asked = [Card(id="p3", image="/new/3.jpg"), Card(id="p3", image="/new/4.jpg")]
    assert find_own(index.parts, row_of, as_listings(asked, None)).tolist() == [3, -1]


def test_a_card_whose_group_is_all_there_is_gets_no_answer() -> None:
    """The only cards that could answer are its own variants."""
    rows = [made.row(f"c{i}", f"oak desk {WORDS[i]}", category="Desks") for i in range(5)]
    index = ProductIndex.build(made.catalogue([{**row, "group": "g"} for row in rows]))
    assert index.predict(index.catalogue)[0].category == ""
