"""Text scores and the calibration in an index as built, and a search that does without labels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made import catalogue, row
from test_index_learned import THINGS, indexed, shop, without_scores

from prodcat_index.cards.card import Card
from prodcat_index.cards.catalogue import as_listings
from prodcat_index.errors import CatalogueError, QueryError
from prodcat_index.index.leave_one_out import LeaveOneOut
from prodcat_index.index.parts import equal_weights
from prodcat_index.index.product_index import ProductIndex
from prodcat_index.voting.vote import VoteParameters

LISTING = Card(title="red boots mug", description="scarf in grey")
VOTE = VoteParameters(k=60, temperature=0.5, head_exponent=1.0)


def built() -> ProductIndex:
    return indexed()


def test_the_scores_stand_between_the_encoders_blocks_and_the_learned_one(tmp_path: Path) -> None:
    """Everything that counts blocks from either end would read the wrong one."""
    loaded = ProductIndex.load(built().save(tmp_path / "i"))
    for parts in (built().parts, loaded.parts):
        assert parts.block_names == ["title", "description", "scores", "learned"]
        assert parts.modalities == ["title", "description"]
        assert parts.scores is not None and parts.scores.dim == len(THINGS)
        assert parts.calibration is not None and parts.tuning is None
    assert list(loaded.predict([LISTING])) == list(built().predict([LISTING]))


def test_variants_count_as_one_card_in_a_promised_precision() -> None:
    """Six variants of a product are right or wrong together, and are no six proofs."""
    rows = [
        row(f"c{n}", f"{THINGS[n % 3]} number {n // 2}", category=THINGS[n % 3], group=f"g{n // 6}")
        for n in range(240)
    ]
    calibration = ProductIndex.build(catalogue(rows)).parts.calibration
    assert calibration is not None and calibration.precision.independent is not None
    assert calibration.precision.independent[-1] == 40


def test_an_index_of_pictures_has_none() -> None:
    numbers = [row(f"c{n}", f"{n % 7} {n % 3}", category=str(n % 2)) for n in range(120)]
    pictures = [{**card, "title": "", "image": f"{card['title']}.jpg"} for card in numbers]
    index = ProductIndex.build(catalogue(pictures), encoders={"image": "names"})
    assert index.parts.block_names == ["image", "learned"]
    assert index.parts.calibration is not None


def test_the_scores_are_the_head_in_proportion_to_the_weight_of_both_blocks() -> None:
    """The shares are what the definition says, from similarities and probabilities."""
    parts = built().parts
    weights = {"title": 0.4, "scores": 0.2, "learned": 0.4}
    assert parts.scores is not None
    queries = parts.encode(as_listings(LISTING, None))
    probable = queries.vectors[-2][0].astype(np.float64) ** 2
    probable /= probable.sum()
    counts = dict(zip(parts.catalogue.ids, np.exp(parts.log_reliability), strict=True))
    found = built().search(LISTING, VOTE.k, weights=weights)
    votes = dict.fromkeys(THINGS, 0.0)
    for near in found:
        fading = np.exp((near.similarity - found[0].similarity) / VOTE.temperature)
        fading *= counts[near.id]
        votes[near.category] += fading * probable[sorted(THINGS).index(near.category)] ** 0.6
    prediction = built().predict([LISTING], weights=weights, **vars(VOTE))[0]
    expected = {name: vote / sum(votes.values()) for name, vote in votes.items() if vote}
    assert dict(prediction.ranked) == pytest.approx(expected, abs=1e-4)
    deaf = built().predict([LISTING], weights={"title": 1.0}, **vars(VOTE))
    alone = built().predict([LISTING], weights={"title": 1.0}, k=60, temperature=0.5)
    assert [p.ranked for p in deaf] == [p.ranked for p in alone]


def test_a_listing_without_one_of_its_texts_is_scored_by_the_others() -> None:
    """A title would be praised for what the description has found."""
    explained = built().predict([LISTING], explain=True, **vars(VOTE))[0].explanation
    assert explained is not None
    for lacking, name in (
        (replace(LISTING, title=""), "title"),
        (replace(LISTING, description=""), "description"),
    ):
        answer = built().predict([lacking], **vars(VOTE))[0]
        category, share = explained.without[name]
        assert category == answer.category
        assert share == pytest.approx(answer.share, abs=1e-6)


def test_a_new_category_counts_as_the_scores_do_not_know_it() -> None:
    """Cards of a category that came later would never be the answer."""
    added = catalogue([row("new", "azure zither", "an azure zither", category="a zither")])
    grown = built().add(added)
    assert grown.parts.score_columns.tolist() == [-1, *range(len(THINGS))]
    own = Card(title="azure zither", description="an azure zither")
    answer = grown.predict([own, LISTING], k=1, head_exponent=1.0, weights={"learned": 1})
    plain = grown.predict([own, LISTING], k=1, head_exponent=0.0, weights={"learned": 1})
    assert answer.categories == plain.categories


def test_a_search_ranks_by_the_encoders_blocks_alone() -> None:
    """A battery would be answered by what shares its category, not by batteries."""
    index, parts = built(), built().parts
    assert parts.search_weights == equal_weights(parts.encoder_blocks)
    for number in (0, 7, 31):
        own = parts.catalogue.card(number)
        found = index.search(own, 1)[0]
        assert found.similarity == pytest.approx(1.0, abs=1e-3)
        assert found.contributions.keys() == {"title", "description"}
        assert index.card(found.id).title == own.title
    plain = ProductIndex.build(shop(), projection="none")
    assert [n.id for n in index.similar("c003")] == [n.id for n in plain.similar("c003")]
    voting = ProductIndex(parts.weighed({"title": 1.0}).indexed())
    assert [n.id for n in voting.similar("c003")] == [n.id for n in index.similar("c003")]


def test_a_search_does_not_read_the_text_scores(tmp_path: Path) -> None:
    """Their n-grams are as large as all the rest that a look-up reads."""
    loaded = ProductIndex.load(built().save(tmp_path / "i"))
    assert loaded.parts.scores is not None
    found = loaded.search(LISTING)
    assert loaded.parts.scores.slot.encoder is None
    assert found == built().search(LISTING)
    assert "scores" in loaded.search(LISTING, weights={"scores": 1})[0].contributions


def test_each_card_is_answered_by_scores_that_have_not_seen_it() -> None:
    """Labels dealt at random would look predictable, and confidence would be praised too high."""
    index = ProductIndex.build(shop(400, blind=True))
    queries = LeaveOneOut.from_index(index.parts, 400, np.random.default_rng(0))
    pool = queries.collect([index.parts.weight_vector(None)], 10)
    assert pool.head_blocks == 2
    best = np.take_along_axis(pool.categories, pool.head_log_proba.argmax(axis=1)[:, None], 1)
    assert np.mean(best[:, 0] == pool.true) < 0.35
    fresh = [Card(title=f"{thing} {n}") for n in range(500, 540) for thing in THINGS]
    confidence = [answer.confidence for answer in index.predict(fresh)]
    assert np.mean(confidence) < 0.35


def test_what_is_given_is_not_chosen_and_is_calibrated() -> None:
    """Whoever gives a weight would find another one in the index."""
    weighed = ProductIndex.build(shop(), weights={"title": 1.0}).parts
    assert weighed.weights["title"] == 1.0
    voted = ProductIndex.build(shop(), vote_parameters=VOTE).parts
    assert voted.vote == VOTE
    for parts in (weighed, voted):
        assert parts.calibration is not None
    assert ProductIndex.build(shop(), projection="none").parts.calibration is None


@pytest.mark.parametrize("name", ["scores", "learned"])
def test_a_column_with_the_name_of_a_fitted_block_is_refused(name: str) -> None:
    rows = [{**row(f"c{n}", f"thing {n}", category="A"), name: f"{n}"} for n in range(3)]
    with pytest.raises(CatalogueError, match=f"A modality is called {name}"):
        ProductIndex.build(catalogue(rows, texts=("title", name)))


def test_an_index_without_scores_answers_by_its_head() -> None:
    """Indexes of the formats before would lose it."""
    old = without_scores(built())
    assert old.parts.scores is None and old.parts.head_blocks == 1
    loud = old.predict([LISTING], k=60, temperature=0.5, explain=True)[0]
    assert loud.explanation is not None and loud.explanation.head is not None


def test_an_explanation_names_the_words_that_decided() -> None:
    """Nobody could see that a listing is a mug because of the word mug."""
    listing = Card(title="red mug", description="mug in grey")
    answer = built().predict([listing], explain=True, weights={"scores": 1.0})[0]
    assert answer.explanation is not None and answer.category == "mug"
    words = dict(answer.explanation.words)
    assert max(words, key=words.__getitem__) == "mug"
    assert "grey" not in words
    assert answer.as_dict()["words"][0]["word"] == "mug"
    assert built().predict([listing])[0].explanation is None


def test_an_index_that_is_restored_is_as_sure_as_it_was_built() -> None:
    """Undoing a tuning would cost the calibration, and every promise of a precision."""
    index = built()
    restored = index.tuned(index.tune()).restored()
    assert restored.parts.calibration is not None and restored.parts.tuning is None
    pair = index.predict([LISTING])[0], restored.predict([LISTING])[0]
    assert pair[0].ranked == pair[1].ranked
    assert pair[0].confidence == pytest.approx(pair[1].confidence, abs=1e-3)


def test_an_answer_of_an_added_category_is_not_foreign() -> None:
    """No card of a category that came later would ever be accepted."""
    added = [row(f"z{n}", f"azure zither {n}", "an azure zither", category="zither") for n in "123"]
    grown = built().add(catalogue(added))
    answer = grown.predict([Card(title="azure zither 2", description="an azure zither")])[0]
    assert answer.category == "zither"
    assert answer.confidence > 0.5
    assert answer.note == ""


def test_cards_of_one_group_alone_are_indexed_without_a_calibration() -> None:
    """Nothing answers for a card but its own group, and the build would end in a traceback."""
    cards = [row(f"c{n}", f"{THINGS[n % 2]} {n}", category=THINGS[n % 2]) for n in range(120)]
    with pytest.MonkeyPatch.context() as patch:
        for room in ("build", "leave_one_out"):
            name = f"prodcat_index.index.{room}.leave_out_groups"
            patch.setattr(name, lambda cards: np.zeros(len(cards), dtype=np.int64))
        index = ProductIndex.build(catalogue(cards))
        assert index.parts.calibration is None
        assert index.predict([Card(title=f"{THINGS[0]} 500")])[0].category == THINGS[0]
        with pytest.raises(QueryError, match="are of one group"):
            index.tune()


def test_texts_without_a_word_are_left_out_and_named() -> None:
    """A column of dashes would stop the build of a whole shop."""
    cards = [row(f"c{n}", f"{THINGS[n % 2]} {n}", "-", category=THINGS[n % 2]) for n in range(120)]
    index = ProductIndex.build(catalogue(cards))
    assert index.parts.block_names == ["title", "scores", "learned"]
    [finding] = [f for f in index.findings if "description" in str(f)]
    assert "left out" in str(finding) and len(finding.ids) == 120
    same = [{**card, "description": "made with care"} for card in cards]
    again = ProductIndex.build(catalogue(same))
    assert again.parts.block_names == index.parts.block_names
    assert [f for f in again.findings if "left out" in str(f)]


def test_a_listing_without_a_text_is_judged_by_the_head_over_projected_rows() -> None:
    """A picture alone would be answered as if no classifier knew pictures."""
    parts = built().parts
    assert parts.learned is not None and parts.learned.model.head is not None
    queries = parts.encode(as_listings([LISTING, Card(title="pink lamp"), LISTING], None))
    rows = [vectors.copy() for vectors in queries.vectors]
    rows[-2][1] = 0.0
    codes = np.tile(np.arange(len(THINGS)), (3, 1))
    found = parts.head_log_proba(rows, codes)
    head = parts.learned.model.head
    expected = head.log_probabilities(rows[-1][[1], : len(head.coefficients)], len(THINGS))
    np.testing.assert_allclose(found[1], expected[0], rtol=1e-5)
    np.testing.assert_array_equal(
        found[[0, 2]], parts.head_log_proba(queries.vectors, codes)[[0, 2]]
    )
    assert np.ptp(expected) > 1


def test_departments_are_named_when_an_index_is_built() -> None:
    """A column that is shown as taken would be left out without a word."""
    cards = [row(f"c{n}", f"{THINGS[n % 2]} {n}", category=THINGS[n % 2]) for n in range(120)]
    for n, card in enumerate(cards):
        card["group"] = ("Home", "Garden")[n // 60]
    (finding,) = ProductIndex.build(catalogue(cards)).findings
    assert "(Garden, Home), so the column 'group' is not used" in finding.what
    assert finding.count == 120
