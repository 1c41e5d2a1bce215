"""Cards that are one product are found, and others are left apart."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import made
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageEnhance

from prodcat_index import read_catalogue
from prodcat_index.cards import duplicates, picture_hashes
from prodcat_index.cards.card import Catalogue
from prodcat_index.cards.codes import encode, join_codes, order_codes
from prodcat_index.cards.duplicates import (
    COLUMN,
    DESCRIPTIONS,
    FILES,
    NEAR,
    SHARED_PICTURE,
    SHARED_TEXTS,
    TEXTS,
    TITLES,
    check_group_column,
    find_groups,
)
from prodcat_index.cards.picture_hashes import (
    BLANK,
    MAX_DISTANCE,
    UNREADABLE,
    Hashes,
    hash_pictures,
    join_near,
)
from prodcat_index.errors import CatalogueError
from prodcat_index.index.leave_one_out import leave_out_groups


def together(rows: Sequence[dict[str, str]]) -> set[frozenset[str]]:
    """Return the groups of more than one card, as sets of ids."""
    catalogue = made.catalogue(rows)
    codes = find_groups(catalogue).codes
    ids = np.array(catalogue.ids)
    found = (frozenset(ids[codes == code].tolist()) for code in set(codes.tolist()))
    return {group for group in found if len(group) > 1}


def pictured(ids_and_paths: dict[str, Path]) -> list[dict[str, str]]:
    return [made.row(card, f"title of {card}", image=str(p)) for card, p in ids_and_paths.items()]


def test_variants_by_the_shops_own_word_are_one_group() -> None:
    """Variants of one product would be on both sides of a split."""
    rows = [made.row("a", "red mug", group="m"), made.row("b", "blue mug", group="m")]
    assert together([*rows, made.row("c", "kettle"), made.row("d", "lamp")]) == {
        frozenset({"a", "b"})
    }


def test_texts_are_equal_but_for_case_and_punctuation_and_all_of_them_count() -> None:
    """A card listed again would leak, or different sizes of a part would be taken for one."""
    rows = [
        made.row("a", "Кран 1/2, латунь", "С гайкой."),
        made.row("b", "кран  1/2 (ЛАТУНЬ)", "с гайкой"),
        made.row("c", "Кран", "без гайки"),
        made.row("d", "Кран 1/2, сталь", "С гайкой."),
        made.row("e", "Кран"),
        made.row("f", "", "Кран 1/2, латунь"),
    ]
    assert together(rows) == {frozenset({"a", "b"})}


def test_cards_without_texts_are_not_alike() -> None:
    """All cards that have nothing would become one product."""
    assert together([made.row("a"), made.row("b", "!!!"), made.row("c", "", "…")]) == set()


def test_rules_are_joined_transitively_also_with_the_column(pictures: list[Path]) -> None:
    """A chain of duplicates would be torn."""
    rows = [
        made.row("a", "one", group="g"),
        made.row("b", "two", group="g"),
        made.row("c", "Two!", image=str(pictures[0])),
        made.row("d", "four", image=str(pictures[0])),
        made.row("e", "five", image=str(pictures[1])),
    ]
    assert together(rows) == {frozenset({"a", "b", "c", "d"})}
    groups = find_groups(made.catalogue(rows))
    assert groups.joined == {COLUMN: 2, TEXTS: 2, TITLES: 0, DESCRIPTIONS: 0, FILES: 2, NEAR: 2}
    assert groups.count == 2 and groups.codes.tolist() == [0, 0, 0, 0, 1]


CHANGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "smaller": lambda picture: picture.resize((picture.width // 2, picture.height // 2)),
    "brighter": lambda picture: ImageEnhance.Brightness(picture).enhance(1.05),
    "grey": lambda picture: picture.convert("L").convert("RGB"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_picture_saved_again_is_the_same_picture(
    pictures: list[Path], tmp_path: Path, change: str
) -> None:
    """Shops shrink, compress and mend the photo that they list twice."""
    with Image.open(pictures[2]) as picture:
        CHANGES[change](picture).save(tmp_path / "again.jpg", quality=70)
    rows = pictured({"a": pictures[2], "b": tmp_path / "again.jpg", "c": pictures[5]})
    assert together(rows) == {frozenset({"a", "b"})}
    assert find_groups(made.catalogue(rows)).joined[FILES] == 0


def test_different_pictures_stay_apart(pictures: list[Path]) -> None:
    assert together(pictured({path.stem: path for path in pictures})) == set()


def test_pictures_that_show_nothing_join_nothing_and_are_findings(tmp_path: Path) -> None:
    """Broken files and blank squares would glue unrelated cards."""
    for name in ("a", "b"):
        (tmp_path / f"broken_{name}.jpg").write_bytes(b"no picture")
        Image.new("RGB", (64, 64), (250, 250, 250)).save(tmp_path / f"blank_{name}.png")
    rows = pictured({path.stem: path for path in sorted(tmp_path.iterdir())})
    rows.append(made.row("gone", "gone", image=str(tmp_path / "gone.jpg")))
    assert together(rows) == set()
    findings = {f.what: f.ids for f in find_groups(made.catalogue(rows)).findings}
    assert findings == {UNREADABLE: ("broken_a", "broken_b", "gone"), BLANK: ("blank_a", "blank_b")}


def sharing(n: int, categories: Sequence[str], **same: str) -> list[dict[str, str]]:
    """Make n cards of these categories in turn that share something."""
    texts = {} if "title" in same else {"title": "own{}text"}
    return [
        made.row(
            f"s{i}",
            **{"category": categories[i % len(categories)], **same},
            **{name: text.format(i) for name, text in texts.items()},
        )
        for i in range(n)
    ]


def test_a_placeholder_picture_joins_nothing_nor_do_copies_of_it(
    pictures: list[Path], tmp_path: Path
) -> None:
    """Half of a catalogue without photos would be one product."""
    with Image.open(pictures[3]) as picture:
        picture.save(tmp_path / "copy.jpg", quality=60)
    rows = sharing(9, ["A", "B", "C"], image=str(pictures[3]))
    rows.append(made.row("copy", "copied", image=str(tmp_path / "copy.jpg"), category="A"))
    assert together(rows) == set()
    (finding,) = find_groups(made.catalogue(rows)).findings
    assert finding.what == SHARED_PICTURE and finding.count == 10


def test_boilerplate_texts_join_nothing() -> None:
    rows = sharing(10, ["A", "B"], title="Great product!")
    assert together(rows) == set()
    (finding,) = find_groups(made.catalogue(rows)).findings
    assert (finding.what, finding.count) == (SHARED_TEXTS, 10)


@pytest.mark.parametrize(
    ("n", "categories"),
    [(9, "AB"), (10, "AAAAB"), (40, "A"), (40, [""])],
    ids=["few cards", "80 % of one category", "one category", "unlabelled"],
)
def test_a_product_with_many_variants_or_a_wrong_label_is_no_placeholder(
    n: int, categories: Sequence[str]
) -> None:
    """Real duplicates would leak as soon as one of them is mislabelled."""
    rows = sharing(n, categories, title="Mug")
    assert together(rows) == {frozenset(row["id"] for row in rows)}
    assert find_groups(made.catalogue(rows)).findings == ()


def grouped(groups: Sequence[str], categories: Sequence[str]) -> Catalogue:
    pairs = enumerate(zip(groups, categories, strict=True))
    return made.catalogue(
        made.row(f"{i:03}", f"own{i}text", group=group, category=category)
        for i, (group, category) in pairs
    )


DEPARTMENTS = ["Home", "Garden", "Kitchen"]


@pytest.mark.parametrize(
    ("groups", "categories"),
    [
        ([DEPARTMENTS[i % 3] for i in range(60)], [f"c{i % 12}" for i in range(60)]),
        ([DEPARTMENTS[i % 3] for i in range(120)], [f"c{i % 3}" for i in range(120)]),
        (["default"] * 80 + [f"g{i}" for i in range(20)], ["a", "b"] * 50),
    ],
    ids=["several categories", "too many cards", "one value holds most"],
)
def test_a_column_of_departments_joins_nothing(
    groups: Sequence[str], categories: Sequence[str]
) -> None:
    """No card would be left to test or to tune on, and each would answer without its department."""
    catalogue = replace(grouped(groups, categories), columns={"group": "line"})
    found = find_groups(catalogue)
    assert found.count == len(catalogue) and found.joined[COLUMN] == 0
    (finding,) = found.findings
    assert (
        "the column 'line' is not used" in finding.what and sorted(set(groups))[0] in finding.what
    )
    with pytest.raises(CatalogueError, match=r"'line' has \d+ values .* use --by line"):
        check_group_column(catalogue)


@pytest.mark.parametrize(
    ("groups", "categories"),
    [
        ([f"p{i // 12}" for i in range(120)], [f"c{i // 12 % 3}" for i in range(120)]),
        ([f"p{i // 4}" for i in range(40)], ["a", "b"] * 20),
        (["p"] * 40 + [""] * 400, ["a"] * 440),
        ([""] * 40, ["a", "b"] * 20),
    ],
    ids=["many variants", "wrong labels", "one product among many", "no group"],
)
def test_a_column_of_products_is_believed(groups: Sequence[str], categories: Sequence[str]) -> None:
    """The shop's own word would be thrown away, and its variants leak."""
    catalogue = grouped(groups, categories)
    assert find_groups(catalogue).findings == ()
    members = [group for group in groups if group]
    assert find_groups(catalogue).joined[COLUMN] == len(members)
    check_group_column(catalogue)


def test_pictures_need_not_be_read(pictures: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """Tuning an index would read every picture, or fail where they have moved."""
    monkeypatch.setattr(duplicates, "hash_pictures", None)
    rows = pictured({"a": pictures[0], "b": pictures[0]})
    assert find_groups(made.catalogue(rows), pictures=False).count == 2
    assert len(set(leave_out_groups(made.catalogue(rows)).tolist())) == 2


def hashes_at(distances: Sequence[int]) -> Hashes:
    """Make hashes that far from the first, each bit of them one step along a line."""
    bits = np.zeros((len(distances), 256), dtype=np.uint8)
    for row, distance in enumerate(distances):
        bits[row, :distance] = 1
    return np.packbits(bits, axis=1)


def joined_at(distances: Sequence[int]) -> list[int]:
    """Join pictures without categories at those distances from the first."""
    n = len(distances)
    codes, shared = join_near(hashes_at(distances), np.ones(n, dtype=bool), np.full(n, -1))
    assert not shared.any()
    return codes.tolist()


def test_pictures_are_near_up_to_the_distance_and_along_chains() -> None:
    """A bit more or less would join other products or miss copies."""
    far = MAX_DISTANCE + 1
    chain = [0, MAX_DISTANCE, 2 * MAX_DISTANCE, 2 * MAX_DISTANCE + far]
    assert renumbered(joined_at(chain)) == [0, 0, 0, 1]


def test_the_distance_is_24_of_256_bits() -> None:
    """A larger one joins photos of different products, a smaller one misses copies."""
    assert renumbered(joined_at([0, 24, 49, 74])) == [0, 0, 1, 2]


@settings(deadline=None, max_examples=25)
@given(st.lists(st.integers(0, 256), min_size=1, max_size=40), st.integers(1, 7))
def test_joining_in_parts_is_joining_at_once(distances: list[int], at_once: int) -> None:
    """A large catalogue is searched in parts, which must not tear groups."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("prodcat_index.cards.picture_hashes.SEARCHED_AT_ONCE", at_once)
        codes = np.array(joined_at(distances))
    line = sorted(set(distances))
    steps = np.cumsum([0, *(b - a > MAX_DISTANCE for a, b in pairwise(line))])
    island = dict(zip(line, steps.tolist(), strict=True))
    expected = [island[distance] for distance in distances]
    assert order_codes(codes, names(len(codes))).tolist() == renumbered(expected)


def names(n: int) -> list[str]:
    return [f"{i:04}" for i in range(n)]


def renumbered(values: Sequence[int]) -> list[int]:
    seen = list(dict.fromkeys(values))
    return [seen.index(value) for value in values]


def test_each_content_is_hashed_once(pictures: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """A shop whose variants share photos would wait for each of them."""
    loaded = []

    def load(path: str, **options: int) -> Image.Image:
        loaded.append(path)
        return Image.open(path).convert("RGB")

    monkeypatch.setattr(picture_hashes, "load_picture", load)
    copy = pictures[0].with_name("copy.png")
    copy.write_bytes(pictures[0].read_bytes())
    paths = [str(pictures[0]), str(copy), "", str(pictures[0]), str(pictures[1])]
    contents, hashes, problems = hash_pictures(paths)
    copy.unlink()
    assert len(loaded) == 2 and str(pictures[1]) in loaded
    assert contents.tolist() in ([0, 0, -1, 0, 1], [1, 1, -1, 1, 0])
    assert (hashes[0] == hashes[[1, 3]]).all()
    assert (hashes[0] != hashes[4]).any()
    assert problems == [""] * 5


def test_codes_are_joined_by_any_rule() -> None:
    rules = [np.array([0, 0, -1, -1, 1]), np.array([-1, 0, 0, -1, -1])]
    assert renumbered(join_codes(rules).tolist()) == [0, 0, 0, 1, 2]


def test_values_are_numbered_in_their_order() -> None:
    assert encode(["b", "", "a", "b"]).tolist() == [1, -1, 0, 1]


@settings(deadline=None, max_examples=25)
@given(st.lists(st.sampled_from("abcd"), min_size=1, max_size=12), st.randoms())
def test_groups_do_not_depend_on_the_order_of_the_cards(
    titles: list[str], shuffler: random.Random
) -> None:
    """Sorting a catalogue would change what is scored."""
    rows = [made.row(str(i), title) for i, title in enumerate(titles)]
    shuffled = shuffler.sample(rows, len(rows))
    before, after = (
        dict(zip(c.ids, find_groups(c).codes.tolist(), strict=True))
        for c in (made.catalogue(rows), made.catalogue(shuffled))
    )
    assert before == after
    assert set(before.values()) == set(range(len(set(titles))))


def test_real_variants_are_found(shared_data: Path) -> None:
    """Of a plumbing shop, cards that share a photo, its photos saved twice, and sizes."""
    catalogue = read_catalogue(shared_data / "santechtula" / "cards.csv")
    groups = find_groups(catalogue)
    photos = encode(catalogue.values("image_sha1"))
    for photo in set(photos[photos >= 0].tolist()):
        assert len(set(groups.codes[photos == photo].tolist())) == 1
    texts = {TEXTS: 10, TITLES: 691, DESCRIPTIONS: 0}
    assert groups.joined == {COLUMN: 0, **texts, FILES: 663, NEAR: 699}
    assert np.bincount(groups.codes).max() == 17
    assert groups.findings == ()
