"""What two offers have in common, by hand-worked values."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prodcat_index import read_catalogue
from prodcat_index.audit.offer_similarity import (
    CONTEXT_FEATURES,
    PAIR_FEATURES,
    OfferPairs,
    Offers,
    find_codes,
    find_measures,
)
from prodcat_index.cards.catalogue import as_listings


def offers(*titles: str) -> Offers:
    return Offers.from_catalogue(as_listings(list(titles), None))


def compared(left: list[str], right: list[str], pair: tuple[int, int] = (0, 0)) -> dict[str, float]:
    row = OfferPairs(offers(*left), offers(*right)).features(np.array([pair]))[0]
    return dict(zip(PAIR_FEATURES, row.tolist(), strict=True))


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("Washer WFW-9200.SQ white", {"wfw9200sq"}),
        ("Toner 108R00645 for 6300", {"108r00645"}),
        ("Nikon 26135, 35mm", {"26135", "35mm"}),
        ("Office 2007 for PC", set()),
    ],
)
def test_codes_are_found_however_they_are_spelt(text: str, codes: set[str]) -> None:
    """A model number with a hyphen on one side only would not be recognised."""
    assert find_codes(text) == codes


def test_numbers_are_told_apart_by_their_units() -> None:
    """8 GB and 8 pieces would count as agreement."""
    found = find_measures("Card 8 GB, 2,50 m cable, pack of 8, 1.0")
    assert found == {"gb": {"8"}, "m": {"2.5"}, "": {"8", "1"}}


def test_shared_words_weigh_by_their_rarity() -> None:
    """A shared word of many offers would count like a model's name."""
    left, right = ["red lamp orion", "red lamp", "red chair"], ["red orion", "red lamp"]
    rare, usual = compared(left, right), compared(left, right, (0, 1))
    # Texts with the word, of five: red 5, lamp 3, orion 2.
    red, lamp, orion = (np.log(6 / (1 + n)) + 1 for n in (5, 3, 2))
    assert rare["title_shared"] == pytest.approx((red + orion) / (red + lamp + orion))
    assert usual["title_shared"] == pytest.approx((red + lamp) / (red + lamp + orion))
    assert rare["title_most_shared"] == pytest.approx(1)
    assert rare["title_least_shared"] == pytest.approx((red + orion) / (red + lamp + orion))
    assert rare["title_rarest_shared"] == pytest.approx(orion / (np.log(6) + 1))
    assert rare["title_rarest_one"] == pytest.approx(0)
    assert rare["title_rarest_other"] == pytest.approx(lamp / (np.log(6) + 1))


def test_codes_numbers_and_units_agree_or_not() -> None:
    """Two sizes of one product would look like the same product."""
    same = compared(["Disk WD-100X 2 TB"], ["wd100x disk 2 tb"])
    other = compared(["Disk WD-100X 2 TB"], ["disk wd200x 4 tb"])
    assert same["codes_shared"] == same["code_likeness"] == 1
    assert same["code_length"] == pytest.approx(6 / 12)
    assert (same["title_units"], other["title_units"]) == (1, 0)
    assert (other["codes_shared"], other["code_length"]) == (0, 0)
    assert other["code_likeness"] == pytest.approx(5 / 6)


def test_price_and_brand_are_compared_where_both_are_known() -> None:
    """A missing price would count as another price."""
    left = pd.DataFrame(
        {"id": ["1", "2"], "title": ["Lamp", "Drill"], "brand": ["Orion", ""], "price": ["10", ""]}
    )
    right = pd.DataFrame(
        {"id": ["3"], "title": ["Orion lamp"], "vendor": ["ORION"], "цена": ["20"]}
    )
    pairs = OfferPairs(*(Offers.from_catalogue(read_catalogue(side)) for side in (left, right)))
    rows = pairs.features(np.array([[0, 0], [1, 0]]))
    both, lacking = (dict(zip(PAIR_FEATURES, row, strict=True)) for row in rows)
    assert both["price_factor"] == pytest.approx(np.log(2))
    assert (both["brand_likeness"], both["brand_within"]) == (1, 1)
    assert np.isnan([lacking["price_factor"], lacking["brand_likeness"]]).all()
    assert lacking["brand_within"] == 0


def test_nearest_offers_are_those_of_the_largest_product_of_the_rows() -> None:
    """A candidate that is left out can never be found."""
    generator = np.random.default_rng(0)
    words = [f"word{number}" for number in range(30)]
    sides = [[" ".join(generator.choice(words, 5)) for _ in range(n)] for n in (12, 9)]
    pairs = OfferPairs(*(offers(*side) for side in sides))
    every = np.array([(row, other) for row in range(12) for other in range(9)])
    all_of_them = pairs.similarities(every).reshape(12, 9)
    (right, values), (left, _) = pairs.nearest(4)
    assert np.allclose(values, -np.sort(-all_of_them, axis=1)[:, :4])
    assert np.allclose(np.take_along_axis(all_of_them, right, axis=1), values)
    assert [set(own) for own in left] == [set(own) for own in np.argsort(-all_of_them.T)[:, :4]]


def test_the_context_is_the_lead_over_the_best_other_candidate() -> None:
    """The best of many alike would look as sure as the only one."""
    pairs = OfferPairs(offers("oak table", "steel lamp"), offers("oak table", "oak tables white"))
    own = pairs.similarities(np.array([[0, 0], [0, 1], [1, 0]]))
    first, second = pairs.context(np.array([[0, 0], [0, 1]]))
    named = dict(zip(CONTEXT_FEATURES, first, strict=True))
    assert named["lead_least"] == pytest.approx(own[0] - own[1])  # of the left offer
    assert named["lead_most"] == pytest.approx(own[0] - own[2])  # of the right one
    assert (named["rank_least"], named["rank_most"]) == (0, 0)
    assert second[0] == pytest.approx(own[1] - own[0])
    assert tuple(second[2:]) == (0, 1)


def test_offers_of_one_list_are_no_candidates_of_themselves() -> None:
    """Each card would be its own duplicate."""
    own = offers("oak table", "oak tables", "lamp")
    (found, _), back = OfferPairs(own, own).nearest(5)
    assert all(row not in others for row, others in enumerate(found))
    assert found.shape == (3, 3)
    assert (found[:, 2] == -1).all()
    assert back[0] is found


TITLES = st.lists(st.text(alphabet="abc 12-.é", min_size=0, max_size=14), min_size=1, max_size=5)


@settings(max_examples=25, deadline=None)
@given(TITLES, TITLES)
def test_a_pair_is_the_same_from_either_side(left: list[str], right: list[str]) -> None:
    """The answer would depend on which file is named first."""
    a, b = offers(*left), offers(*right)
    pairs = np.array([(row, other) for row in range(len(left)) for other in range(len(right))])
    one, two = OfferPairs(a, b), OfferPairs(b, a)
    np.testing.assert_allclose(one.features(pairs), two.features(pairs[:, ::-1]), atol=1e-6)
    np.testing.assert_allclose(one.context(pairs), two.context(pairs[:, ::-1]), atol=1e-6)
