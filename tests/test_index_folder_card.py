"""When an index says that it should be built again, worked out by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest
from test_index_learned import shop

from prodcat_index.index.folder import read_manifest
from prodcat_index.index.folder_card import index_card, rebuild_reason
from prodcat_index.index.manifest import BlockDrift, DriftRecord, Manifest
from prodcat_index.index.product_index import ProductIndex

BUILD = "Build the index again with all cards (prodcat build-index): "
REFIT = "Fit the index again (prodcat refit): "


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """The same of an index that is fitted to labels."""
    folder = tmp_path_factory.mktemp("card") / "fitted"
    return large(read_manifest(ProductIndex.build(shop(100)).save(folder)))


@pytest.fixture(scope="module")
def manifest(index: ProductIndex, tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    folder = tmp_path_factory.mktemp("card") / "index"
    return large(read_manifest(index.save(folder)))


def large(manifest: Manifest) -> Manifest:
    """Say that an index has 1,000 cards, so that shares are easy to read."""
    stored = manifest.stored
    assert stored is not None
    stored = replace(stored, rows=1000, cards=((stored.cards[0][0], 1000),))
    return replace(manifest, cards=1000, stored=stored)


def grown(
    manifest: Manifest,
    added: int = 100,
    new: tuple[int, int] = (0, 0),
    drifts: tuple[tuple[str, int, float, float], ...] = (),
) -> Manifest:
    records = [BlockDrift(block=b, cards=n, shift=s, chance=c) for b, n, s, c in drifts]
    drift = DriftRecord(
        fitted_cards=1000 - added,
        tuned_cards=1000 - added,
        new_categories=new[0],
        new_category_cards=new[1],
        blocks=tuple(records),
    )
    return replace(manifest, drift=drift)


def test_an_index_that_nothing_was_added_to_says_nothing(manifest: Manifest) -> None:
    assert rebuild_reason(manifest) == ""
    assert "added" not in index_card(manifest)


@pytest.mark.parametrize(
    ("added", "reason"),
    [(200, ""), (201, "20.1% of its cards came or changed since it was fitted")],
)
def test_more_than_a_fifth_is_much(manifest: Manifest, added: int, reason: str) -> None:
    expected = f"{BUILD}{reason}." if reason else ""
    assert rebuild_reason(grown(manifest, added)) == expected


@pytest.mark.parametrize(("cards", "reason"), [(50, ""), (51, "5.1% are of new categories")])
def test_more_than_a_twentieth_of_new_categories_is_much(
    manifest: Manifest, cards: int, reason: str
) -> None:
    expected = f"{BUILD}{reason}." if reason else ""
    assert rebuild_reason(grown(manifest, new=(3, cards))) == expected


@pytest.mark.parametrize(
    ("cards", "shift", "chance", "is_far"),
    [
        (100, 0.27, 0.1, True),  # the root of 0.0729 - 0.01 is 0.2508
        (100, 0.26, 0.1, False),  # 0.24, which is not enough to matter
        (100, 0.39, 0.2, False),  # 0.33, which is much, but within what chance may do
        (100, 0.41, 0.2, True),
        (50, 0.9, 0.1, False),  # 5 % of the cards, and no more
        (51, 0.9, 0.1, True),
    ],
)
def test_drift_must_be_large_beyond_chance_and_of_many_cards(
    manifest: Manifest, cards: int, shift: float, chance: float, is_far: bool
) -> None:
    """A delivery of twenty boots to a large shop must not call for a new index."""
    found = rebuild_reason(grown(manifest, drifts=(("title", cards, shift, chance),)))
    expected = "those that came are unlike the others in title"
    assert found == (f"{BUILD}{expected}." if is_far else "")


def test_all_reasons_are_in_one_sentence(manifest: Manifest) -> None:
    drifts = (("title", 250, 0.5, 0.1), ("description", 250, 0.1, 0.1))
    assert rebuild_reason(grown(manifest, 250, (2, 100), drifts)) == (
        f"{BUILD}25.0% of its cards came or changed since it was fitted; 10.0% are of new "
        "categories; those that came are unlike the others in title."
    )


def test_the_page_tells_the_facts_behind_it(manifest: Manifest) -> None:
    page = index_card(grown(manifest, 100, (2, 7), (("title", 90, 0.12345, 0.1),)))
    assert (
        "\n\n100 cards (10.0%) came or changed since it was fitted; nothing was fitted on them. "
        "Of new categories (2): 7 cards.\n\n"
    ) in page
    assert (
        "| title | 90 | 0.123 | 0.100 |\n\nThere is no need to fit or build the index again.\n\n"
        in page
    )
    again = index_card(grown(manifest, 300))
    assert "nothing was fitted on them. None is of a new category.\n" in again
    assert f"\n{BUILD}30.0% of its cards came or changed since it was fitted.\n" in again


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, "25.0% of its cards came or changed since it was fitted"),
        # Of 1,126 cards, of which 900 are left.
        ({"fitted_cards": 900, "removed_cards": 226}, "226 of the cards that it was fitted on are"),
        ({"fitted_cards": 900, "removed_cards": 224}, ""),
        ({"fitted_cards": 900, "changed_cards": 300}, ""),
        (
            {"fitted_cards": 1000, "relabelled_cards": 201},
            "its 1,000 cards got another category 201 times",
        ),
        ({"fitted_cards": 1000, "relabelled_cards": 200}, ""),
    ],
)
def test_what_is_fitted_to_labels_can_be_fitted_again(
    fitted: Manifest, changes: dict[str, int], reason: str
) -> None:
    """A night of embedding would be asked for, where a minute without it does as well."""
    drift = grown(fitted, 250).drift
    assert drift is not None
    found = rebuild_reason(replace(fitted, drift=replace(drift, **changes)))
    assert found.startswith(f"{REFIT}{reason}") if reason else found == ""


@pytest.mark.parametrize(
    ("block", "advice"), [("learned", REFIT), ("scores", REFIT), ("title", BUILD)]
)
def test_encoders_that_do_not_fit_need_the_texts(fitted: Manifest, block: str, advice: str) -> None:
    """What they have never seen no fitting to labels puts right."""
    assert rebuild_reason(grown(fitted, drifts=((block, 100, 0.5, 0.1),))).startswith(advice)


def test_encoders_that_have_seen_few_of_the_cards_need_them(fitted: Manifest) -> None:
    drift = grown(fitted, 0).drift
    assert drift is not None
    half = replace(fitted, drift=replace(drift, encoded_cards=500))
    assert rebuild_reason(half) == ""
    less = replace(fitted, drift=replace(drift, encoded_cards=499))
    assert rebuild_reason(less) == f"{BUILD}its encoders have not seen 50.1%."
    # Else it would be advised right after the refit.
    came = "of its cards came or changed since it was fitted."
    assert rebuild_reason(grown(fitted, 500)) == f"{REFIT}50.0% {came}"
    assert rebuild_reason(grown(fitted, 501)) == f"{BUILD}50.1% {came}"


def test_the_page_counts_what_was_done_to_fitted_cards(fitted: Manifest) -> None:
    drift = grown(fitted, 10).drift
    assert drift is not None
    counts = replace(drift, removed_cards=3, changed_cards=2, relabelled_cards=1)
    said = "3 removed, 2 changed. Cards got another category 1 times; nothing was fitted on"
    assert said in index_card(replace(fitted, drift=counts))


def test_a_page_of_new_labels_alone_has_no_empty_table(manifest: Manifest) -> None:
    """It said that none is of a new category, of 0 cards, though a label was new."""
    drift = grown(manifest, 10).drift
    assert drift is not None
    labels = replace(drift, fitted_cards=manifest.cards, relabelled_cards=3, blocks=())
    page = index_card(replace(manifest, drift=labels))
    assert (
        "\n\nNo card came or changed since it was fitted. Cards got another category 3 times; "
        "nothing was fitted on these labels.\n\nThere is no need"
    ) in page
    assert "such cards" not in page
