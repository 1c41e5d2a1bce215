"""Cards are added to an index by what was fitted before, and to no card's harm."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import made
import numpy as np
import pandas as pd
import pytest
from calibrated import PLAIN
from made import BOOTS, KETTLES, LAMPS, catalogue, change_manifest, read_json, row
from test_index_folder import content_of
from test_index_learned import COLOURS, THINGS, indexed, shop

from prodcat_index.cards.card import Card, Catalogue
from prodcat_index.cards.catalogue import read_catalogue
from prodcat_index.errors import CatalogueError, IndexFolderError
from prodcat_index.findings import Finding
from prodcat_index.index import transaction
from prodcat_index.index.block import Block, EncoderSlot, block_values
from prodcat_index.index.drift import block_drift
from prodcat_index.index.folder import read_manifest
from prodcat_index.index.manifest import FORMAT_VERSION
from prodcat_index.index.product_index import ProductIndex

NUMBERS = {"title": "numbers"}
OLD = (
    row("a", "3 4", category=BOOTS),
    row("b", "-3 -4", category=BOOTS),
    row("c", "1 0", category=KETTLES),
    row("d", "-1 0", category=KETTLES),
)
NEW = (row("e", "0 1", category=LAMPS), row("f", "4 -3"), row("g", "", category=BOOTS))


def plane() -> ProductIndex:
    """Rows that a person can check: their mean is zero, so centring leaves them as they are."""
    return ProductIndex.build(catalogue(OLD), encoders=NUMBERS)


def more(n: int, start: int = 500) -> Catalogue:
    """Cards like those of :func:`test_index_learned.shop`, and some of a new category."""
    rows = []
    for number in range(start, start + n):
        thing, colour = (*THINGS, "sledge")[number % 6], COLOURS[number % 7]
        rows.append(row(f"n{number}", f"{colour} {thing}", f"{thing} in {colour}", category=thing))
    return catalogue(rows)


def built() -> ProductIndex:
    return indexed()


def arrays(index: ProductIndex) -> list[np.ndarray]:
    return [array for block in index.parts.all_blocks for array in (block.vectors, block.present)]


def test_a_search_finds_old_and_new_cards_by_their_cosines() -> None:
    """Added cards would be lost, or be compared with a wrong mean."""
    index = plane().add(catalogue(NEW))
    found = {n.id: n.similarity for n in index.search(Card(title="0 1"), 10)}
    cosines = {"a": 0.8, "b": -0.8, "c": 0.0, "d": 0.0, "e": 1.0, "f": -0.6}
    # Card g has nothing to be compared by.
    assert found == pytest.approx(cosines, abs=1e-3)


def test_a_search_is_brute_force_over_both_in_every_block() -> None:
    """What the index finds must not depend on which cards came first."""
    index = built().add(more(40))
    weights = {"title": 0.7, "description": 0.3}
    query = Card(title="red kettle", description="sledge in blue")
    blocks = index.parts.encoder_blocks
    rows = [b.encode_queries([query.value(b.modality)]).vectors[0] for b in blocks]
    expected = sum(
        weight * (block.vectors.astype(np.float64) @ vector)
        for weight, block, vector in zip(weights.values(), blocks, rows, strict=True)
    )
    found = {n.id: n.similarity for n in index.search(query, len(index), weights=weights)}
    named = dict(zip(index.parts.catalogue.ids, expected, strict=True))
    assert found == pytest.approx(named, abs=1e-6)
    assert next(iter(found)) == index.parts.catalogue.ids[int(np.argmax(expected))]


def test_the_rows_of_the_old_cards_and_all_that_is_fitted_stay_bit_for_bit() -> None:
    """A search of yesterday would answer otherwise today, though its cards are the same."""
    old, new = built(), built().add(more(40))
    for before, after in zip(arrays(old), arrays(new), strict=True):
        assert np.array_equal(before, after[: len(before)])
        assert len(after) == len(before) + 40
    for block, grown in zip(old.parts.blocks, new.parts.blocks, strict=True):
        assert np.array_equal(block.mean, grown.mean)
        assert grown.slot.fingerprint == block.slot.fingerprint
    assert old.parts.learned and new.parts.learned
    assert new.parts.learned.model.projection is old.parts.learned.model.projection
    assert (new.parts.weights, new.parts.vote) == (old.parts.weights, old.parts.vote)


def test_the_head_goes_on_telling_the_same_categories() -> None:
    """A category that is first by name moves the numbers of all others."""
    old = built()
    new = old.add(catalogue([row("x", "iron anvil", "anvil in grey", category="anvil")]))
    assert new.parts.labels.names == ("anvil", *old.parts.labels.names)
    named = []
    for parts in (old.parts, new.parts):
        assert parts.learned is not None and parts.learned.model.head is not None
        head = parts.learned.model.head
        named.append([parts.labels.names[code] for code in head.categories])
    assert named[0] == named[1] == sorted(THINGS)
    listings = [Card(title="red kettle"), Card(description="mug in pink")]
    assert new.predict(listings, head_exponent=1.0).categories == ["kettle", "mug"]


def test_the_calibration_stays() -> None:
    """A shop that adds a card a day would have to tune every day."""
    calibrated = ProductIndex(replace(built().parts, calibration=PLAIN))
    assert calibrated.add(more(6)).parts.calibration is PLAIN


def test_the_index_that_was_added_to_stays_as_it_is() -> None:
    index = plane()
    index.add(catalogue(NEW))
    assert (len(index), len(index.parts.searcher.rows), index.parts.drift) == (4, 4, None)


def test_predictions_are_those_of_an_index_put_together_by_hand() -> None:
    """With what was learned before, over the joined rows."""
    old, cards = built().parts, more(40)
    assert old.learned is not None
    encoded = [block.encode_queries(block_values(cards, block)) for block in old.blocks]
    rounded = [e.vectors.astype(np.float16) for e in encoded]
    present = np.stack([e.present for e in encoded], axis=1)
    n = len(old.encoder_blocks)
    projected, known = old.learned.model.card_rows(rounded[:n], present[:, :n])
    learned = replace(
        old.learned,
        vectors=np.vstack([old.learned.vectors, projected]),
        present=np.append(old.learned.present, known),
        log_reliability=np.append(old.log_reliability, np.zeros(40, dtype=np.float16)),
    )
    blocks = [
        replace(
            block, vectors=np.vstack([block.vectors, rows]), present=np.append(block.present, there)
        )
        for block, rows, there in zip(old.blocks, rounded, present.T, strict=True)
    ]
    by_hand = ProductIndex(
        replace(
            old,
            catalogue=catalogue(
                [*old.catalogue.cards.to_dict("records"), *cards.cards.to_dict("records")]
            ),
            blocks=blocks,
            learned=learned,
            searcher=None,
        ).indexed()
    )
    listings = [Card(title="red sledge"), Card(description="mug in pink"), Card(title="boots 7")]
    added = built().add(cards)
    assert list(added.predict(listings, explain=True)) == list(
        by_hand.predict(listings, explain=True)
    )


def test_a_new_category_answers_at_once() -> None:
    """A shop would wait for the next build to sell its first sledge."""
    listing = [Card(title="0 9")]
    assert plane().predict(listing, k=1)[0].category == BOOTS
    grown = plane().add(catalogue(NEW))
    assert grown.predict(listing, k=1)[0].category == LAMPS
    assert dict(zip(grown.parts.labels.names, grown.parts.labels.sizes, strict=True)) == {
        BOOTS: 3,
        KETTLES: 2,
        LAMPS: 1,
    }


def test_two_steps_are_one(tmp_path: Path) -> None:
    """What an index answers, and what it says of itself, must not depend on the deliveries."""
    cards = more(40)
    whole = built().add(cards)
    first = ProductIndex.load(built().add(cards.select(range(15))).save(tmp_path / "index"))
    steps = first.add(cards.select(range(15, 40)))
    for one, two in zip(arrays(whole), arrays(steps), strict=True):
        assert np.array_equal(one, two)
    assert steps.parts.drift == whole.parts.drift
    listings = [Card(title="red sledge"), Card(description="mug in pink")]
    assert list(steps.predict(listings)) == list(whole.predict(listings))


def test_an_index_without_a_projection_is_left_without_one() -> None:
    few = indexed(90)
    grown = few.add(more(60))
    assert grown.parts.learned is None and grown.parts.block_names == ["title", "description"]


def test_with_only_new_the_cards_that_are_there_are_skipped_and_counted() -> None:
    """Yesterday's cards would be overwritten by whoever only meant to add."""
    changed = {**OLD[1], "title": "0 -1"}
    grown = plane().add(catalogue([changed, NEW[0], OLD[3]]), only_new=True)
    assert grown.parts.catalogue.ids == ["a", "b", "c", "d", "e"]
    assert grown.card("b").title == "-3 -4"
    assert grown.findings[0] == Finding("cards are in the index already (skipped)", ("b", "d"))


def test_nothing_new_changes_nothing() -> None:
    """Every night would cost an index, though no card is another one."""
    index = plane()
    assert index.add(catalogue(OLD)).parts is index.parts
    assert index.sync(catalogue(OLD)).parts is index.parts
    assert index.add(catalogue([])).parts is index.parts
    assert not index.compare(catalogue(OLD))


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"title": "3 5"}, "title"),
        ({"description": "new"}, "description"),
        ({"group": "x"}, "group"),
        ({"image": "/pictures/a.jpg"}, "image"),
        ({"title": "3 5", "category": LAMPS}, "title"),
    ],
)
def test_a_card_that_changed_is_named_by_what_differs(change: dict[str, str], what: str) -> None:
    """Whoever reads a difference could not tell a wrong column from news."""
    rows = [{**OLD[0], **change}, *OLD[1:]]
    index = plane()
    found = index.compare(catalogue(rows))
    assert (found.changed, found.added, found.removed, found.relabelled) == (("a",), (), (), ())
    assert next(iter(found.changed_parts)) == what
    assert found.unchanged == 3
    grown = index.apply(found)
    # What the encoders read moves a card behind those that were fitted, and nothing else does.
    assert grown.parts.catalogue.ids == list("bcda" if what == "title" else "abcd")
    assert grown.card("a").title == rows[0]["title"]
    assert grown.card("a").category == rows[0]["category"]


def test_new_prices_leave_all_that_was_fitted_and_each_card_in_its_place(tmp_path: Path) -> None:
    """A night of new prices would undo the doubts of an index, and ask to fit it again."""
    parts = built().parts
    doubts = np.full(len(parts.catalogue), -1, dtype=np.float16)
    assert parts.learned is not None
    learned = replace(parts.learned, log_reliability=doubts)
    old = ProductIndex(replace(parts, learned=learned))
    rows = [{**card, "price": "5"} for card in old.catalogue.to_frame().to_dict("records")]
    rows[7]["category"] = THINGS[0] if rows[7]["category"] != THINGS[0] else THINGS[1]
    new = old.sync(pd.DataFrame(rows))
    assert new.catalogue.ids == old.catalogue.ids
    assert set(new.catalogue.values("price")) == {"5"}
    for before, after in zip(arrays(old), arrays(new), strict=True):
        assert np.array_equal(before, after)
    # Nothing is known of a new label.
    assert new.parts.log_reliability.tolist() == [0 if n == 7 else -1 for n in range(len(old))]
    drift = new.parts.drift
    assert drift is not None and drift.fitted_cards == drift.tuned_cards == len(old)
    assert (drift.changed_cards, drift.relabelled_cards, drift.new_category_cards) == (0, 1, 0)

    new.save(tmp_path)
    for price in ("6", "7"):
        cards = [{**card, "price": price} for card in rows[:9]]
        ProductIndex.load(tmp_path).add(pd.DataFrame(cards)).add(more(1)).save_next(tmp_path)
    stored = ProductIndex.load(tmp_path)
    assert stored.catalogue.ids == [*old.catalogue.ids, "n500"]
    assert stored.catalogue.values("price")[:10] == [*"7777777775"]
    for before, after in zip(arrays(old), arrays(stored), strict=True):
        assert np.array_equal(before, after[:-1])


def test_a_category_whose_cards_all_changed_is_no_new_one() -> None:
    """New titles for all cards would be reported as new categories for all cards."""
    rows = [
        {**card, "title": f"{card['title']} now"}
        for card in built().catalogue.to_frame().to_dict("records")
    ]
    drift = built().sync(catalogue(rows)).relabel({"mug": "cup"}).parts.drift
    assert drift is not None and (drift.fitted_cards, drift.new_category_cards) == (0, 0)
    rows[0]["category"] = "Sledges"
    drift = built().sync(catalogue(rows)).parts.drift
    assert drift is not None and (drift.new_categories, drift.new_category_cards) == (1, 1)


def test_other_texts_than_those_of_the_index_are_refused() -> None:
    """Attributes that are silently dropped would be missed only much later."""
    with_attributes = catalogue([row("x", "1 0", attributes="red")], ("title", "attributes"))
    with pytest.raises(CatalogueError, match="The index has no text attributes; add the cards"):
        ProductIndex.build(catalogue(OLD, ("title",)), encoders=NUMBERS).add(with_attributes)
    both = ProductIndex.build(
        catalogue([{**OLD[0], "attributes": "0 1"}, *OLD[1:]], ("title", "attributes")),
        encoders={"title": "numbers", "attributes": "numbers"},
    )
    with pytest.raises(CatalogueError, match="have no attributes, which the index has as a text"):
        both.add(catalogue(NEW, ("title",)))


def test_what_cannot_be_embedded_is_a_finding() -> None:
    """A file with the wrong columns would be swallowed whole."""
    grown = plane().add(catalogue([row("h", "", "only words"), row("i", "1 1")]))
    assert [str(finding) for finding in grown.findings] == [
        "2 cards have no category to vote for: h, i",
        "1 card has description, which this index does not embed: h",
        "1 card has nothing that this index can embed (not found, without a vote): h",
    ]


# Pictures.


def with_pictures(folder: Path, rows: tuple[dict[str, str], ...]) -> list[dict[str, str]]:
    folder.mkdir(parents=True)
    pictures = made.draw_pictures(folder, len(rows))
    return [{**card, "image": str(path)} for card, path in zip(rows, pictures, strict=True)]


def test_pictures_of_another_folder_are_found_again(tmp_path: Path) -> None:
    """Every picture of the new cards, or of the old ones, would be missing from the page."""
    encoders = {**NUMBERS, "image": "names"}
    old = with_pictures(tmp_path / "old" / "photos", OLD)
    new = with_pictures(tmp_path / "new", NEW)
    folder = ProductIndex.build(catalogue(old), encoders=encoders).save(tmp_path / "index")
    assert read_manifest(folder).image_root == str(tmp_path / "old" / "photos")
    ProductIndex.load(folder).add(catalogue(new)).save_next(folder)
    loaded = ProductIndex.load(folder)
    assert loaded.parts.catalogue.values("image") == [card["image"] for card in [*old, *new]]
    assert read_manifest(folder).image_root == str(tmp_path)
    nearest = loaded.search(Card(image=new[1]["image"]), 2, weights={"image": 1})
    assert {n.id for n in nearest} == {"b", "f"}, "two cards have a picture of this name"


def test_a_picture_that_moved_is_known_by_its_bytes(tmp_path: Path) -> None:
    encoders = {**NUMBERS, "image": "names"}
    cards = with_pictures(tmp_path / "here", OLD)
    index = ProductIndex.build(catalogue(cards), encoders=encoders)
    shutil.copytree(tmp_path / "here", tmp_path / "there")
    moved = [{**card, "image": card["image"].replace("here", "there")} for card in cards]
    assert len(index.add(catalogue(moved))) == 4
    shutil.copy(moved[0]["image"], moved[2]["image"])
    found = index.compare(catalogue(moved))
    # The bytes of one picture are others; that the rest lies elsewhere is no other picture.
    assert found.changed_parts == {"image": ("c",), "place of the picture": ("a", "b", "d")}
    assert index.apply(found).card("a").image == moved[0]["image"]


def test_a_picture_that_changed_in_place_is_embedded_again(tmp_path: Path) -> None:
    """A shop replaces a photo under the same name, and the old one would be found for ever."""
    encoders = {**NUMBERS, "image": "names"}
    cards = with_pictures(tmp_path / "here", OLD)
    index = ProductIndex.build(catalogue(cards), encoders=encoders)
    assert not index.compare(catalogue(cards))
    shutil.copy(cards[0]["image"], cards[2]["image"])
    found = index.compare(catalogue(cards))
    assert found.changed_parts == {"image": ("c",)}
    loaded = ProductIndex.load(index.save(tmp_path / "index"))
    assert loaded.compare(catalogue(cards)).changed_parts == {"image": ("c",)}
    assert not index.apply(found).compare(catalogue(cards))


def test_a_picture_that_cannot_be_read_now_stays(tmp_path: Path) -> None:
    """A disk that is not mounted tonight would cost the index all its pictures."""
    cards = with_pictures(tmp_path / "here", OLD)
    index = ProductIndex.build(catalogue(cards), encoders={**NUMBERS, "image": "names"})
    Path(cards[1]["image"]).unlink()
    found = index.compare(catalogue(cards))
    assert not found
    assert [finding.ids for finding in found.findings] == [("b",)]


# Drift: facts about what was added.


def test_drift_is_what_a_person_works_out() -> None:
    """Advice that rests on wrong numbers is worse than none."""
    drift = plane().add(catalogue(NEW)).parts.drift
    assert drift is not None
    assert (drift.fitted_cards, drift.tuned_cards) == (4, 4)
    assert (drift.new_categories, drift.new_category_cards) == (1, 1)
    [drift] = drift.blocks
    # The old rows sum to zero. The new ones with a row are (0, 1) and (0.8, -0.6): their mean is
    # (0.4, 0.2). By chance, the squared distance of means of 4 and of 2 unit rows is 1/4 + 1/2.
    assert (drift.block, drift.cards) == ("title", 2)
    assert drift.shift == pytest.approx((0.4**2 + 0.2**2) ** 0.5, abs=1e-3)
    assert drift.chance == pytest.approx(0.75**0.5, abs=1e-3)


def test_chance_is_what_random_halves_show() -> None:
    """Else every delivery would look unlike the others, or none."""
    rng = np.random.default_rng(0)
    points = rng.normal((0.3, 0.1), size=(2000, 2))
    rows = [row(f"p{n}", f"{x} {y}", category=BOOTS) for n, (x, y) in enumerate(points)]
    ratios = []
    for _ in range(20):
        order = rng.permutation(2000)[:300]
        halves = [catalogue([rows[i] for i in half]) for half in (order[:200], order[200:])]
        grown = ProductIndex.build(halves[0], encoders=NUMBERS, projection="none").add(halves[1])
        [drift] = grown.parts.drift.blocks if grown.parts.drift else []
        ratios.append((drift.shift / drift.chance) ** 2)
    assert np.mean(ratios) == pytest.approx(1.0, abs=0.4)


def test_the_drift_of_many_cards_is_as_exact_as_that_of_a_few() -> None:
    """Large shops would rebuild for nothing, or never: float16 counts to 2048, in twos on."""
    rows = np.repeat(np.array([[0.6, 0.8], [0.8, 0.6]], np.float16), 20_000, axis=0)
    apart = np.linalg.norm(rows[-1].astype(np.float64) - rows[0])
    mean, present = np.zeros(2, np.float32), np.ones(40_000, bool)
    slot = EncoderSlot("numbers", "numbers")
    block = Block("title", "title", slot, rows, present, mean, references=rows[:1000])
    drift = block_drift(block, 20_000)
    assert drift is not None and drift.cards == 20_000
    assert drift.shift == pytest.approx(apart, rel=1e-9) == pytest.approx(0.2 * 2**0.5, rel=2e-3)
    assert drift.chance == pytest.approx(0.0, abs=1e-3)


def test_a_block_that_nobody_had_has_no_drift() -> None:
    grown = plane().add(catalogue([row("x", "", category=BOOTS)]))
    assert grown.parts.drift is not None and grown.parts.drift.blocks == ()


# The folder.


def test_added_cards_are_saved_as_the_next_version(tmp_path: Path) -> None:
    folder = plane().save(tmp_path / "index")
    old = content_of(folder)
    grown = ProductIndex.load(folder).add(catalogue(NEW))
    grown.save_next(folder)
    loaded = ProductIndex.load(folder)
    assert (read_manifest(folder).version, len(loaded)) == (2, 7)
    assert loaded.parts.drift == grown.parts.drift
    query = Card(title="0 1")
    assert loaded.search(query) == grown.search(query)
    new = content_of(folder)
    rows, mean = "versions/0001/0-title.f16", "versions/0001/0-title.mean.npy"
    assert new[mean] == old[mean]
    assert new[rows][: len(old[rows])] == old[rows] and len(new[rows]) > len(old[rows])


def test_an_index_that_was_changed_meanwhile_is_left_as_it_is(tmp_path: Path) -> None:
    """A nightly build, a tuning or another delivery would be undone."""
    folder = plane().save(tmp_path / "index")
    opened = ProductIndex.load(folder)
    opened.add(catalogue(NEW[:1])).save_next(folder)
    before = content_of(folder)
    with pytest.raises(IndexFolderError) as caught:
        opened.add(catalogue(NEW[1:])).save_next(folder)
    assert str(caught.value) == (
        f"The index {folder} was changed since it was opened (built again, tuned or added to), "
        "and is left as it is; open it and add the cards again."
    )
    assert content_of(folder) == before


def test_an_index_that_changes_at_the_last_moment_is_left_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other writer may end between the first look and the lock."""
    folder = plane().save(tmp_path / "index")
    grown = ProductIndex.load(folder).add(catalogue(NEW))

    other = ProductIndex.build(catalogue(OLD[:2]), encoders=NUMBERS)

    def build_meanwhile(path: Path) -> None:
        monkeypatch.setattr(transaction, "check_index_folder", lambda _: None)
        other.save(path)

    monkeypatch.setattr(transaction, "check_index_folder", build_meanwhile)
    with pytest.raises(IndexFolderError, match="was changed since it was opened"):
        grown.save_next(folder)
    assert len(ProductIndex.load(folder)) == 2


def test_new_settings_are_a_change(tmp_path: Path) -> None:
    folder = built().save(tmp_path / "index")
    opened = ProductIndex.load(folder)
    opened.tuned(opened.tune(objective="nll")).save_settings(folder)
    tuned = read_manifest(folder).tuning
    with pytest.raises(IndexFolderError, match="was changed since it was opened"):
        opened.add(more(6)).save_next(folder)
    assert read_manifest(folder).tuning == tuned


def test_an_index_that_is_in_no_folder_makes_none(tmp_path: Path) -> None:
    with pytest.raises(IndexFolderError, match="There is no index at"):
        plane().add(catalogue(NEW)).save_next(tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()


def test_an_index_of_format_1_is_added_to(tmp_path: Path) -> None:
    """Indexes that are there must not be built again only to be added to."""
    folder = plane().save(tmp_path / "index")

    def as_it_was(content: dict[str, object]) -> None:
        content["format_version"] = 1
        del content["growth"]

    change_manifest(folder, as_it_was)
    ProductIndex.load(folder).add(catalogue(NEW)).save_next(folder)
    content = read_json(folder / "manifest.json")
    assert (content["format_version"], content["growth"]["fitted_cards"]) == (FORMAT_VERSION, 4)


def test_tuning_has_seen_what_was_added_before_it(tmp_path: Path) -> None:
    """Else its table would say that the calibration is older than the cards."""
    folder = ProductIndex.build(shop(300)).save(tmp_path / "index")
    grown = ProductIndex.load(folder).add(more(30))
    grown.save_next(folder)
    opened = ProductIndex.load(folder)
    opened.tuned(opened.tune(objective="nll")).save_settings(folder)
    drift = read_manifest(folder).drift
    assert drift is not None and (drift.fitted_cards, drift.tuned_cards) == (300, 330)
    tuned = ProductIndex.load(folder)
    tuned.add(more(12, start=900)).save_next(folder)
    last = ProductIndex.load(folder).parts
    assert last.drift is not None
    assert (last.drift.fitted_cards, last.drift.tuned_cards) == (300, 330)
    assert last.weights == tuned.parts.weights


def test_cards_from_a_table_without_the_columns_of_the_index_are_refused() -> None:
    """Row numbers would be ids among those of the shop, and every card unlabelled."""
    table = pd.DataFrame(
        {"sku": ["a", "b"], "name": ["red lamp", "oak chair"], "shelf": ["Lamps", "Chairs"]}
    )
    built = read_catalogue(table, id_column="sku", category_column="shelf")
    index = ProductIndex.build(built)
    new = table.assign(sku=["c", "d"])
    assert len(index.add(new)) == 4
    with pytest.raises(CatalogueError, match=r"lacks the ids \(column 'sku'\)"):
        index.add(new.drop(columns="sku"))
    with pytest.raises(CatalogueError, match=r"in 'category', add --category-column \"category\""):
        index.add(new.rename(columns={"shelf": "category"}))
    # No column could be the category: cards without one may be added, and are counted.
    grown = index.add(new.drop(columns="shelf"))
    assert "2 cards have no category to vote for: c, d" in map(str, grown.findings)
