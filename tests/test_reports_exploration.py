"""Exploration of catalogues small enough to count by hand."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import made
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from prodcat_index.cards import read_catalogue
from prodcat_index.cards.card import Catalogue
from prodcat_index.errors import ProdcatError
from prodcat_index.reports.explore import (
    Exploration,
    count_categories,
    describe_columns,
    explore,
    find_extremes,
    is_far_out,
    measure_pictures,
    measure_texts,
    spread_of,
)
from prodcat_index.reports.explore_page import write_exploration
from prodcat_index.reports.label_issues import find_label_issues, spelling_key
from prodcat_index.reports.languages import adapt_to_mixture, detect_languages
from prodcat_index.types import evenly_spaced

RUSSIAN = (
    "Кран шаровой латунный с красной ручкой для воды",
    "Смеситель для кухни с высоким поворотным изливом",
    "Полотенцесушитель водяной из нержавеющей стали",
    "Мягкая игрушка для детей от трёх лет, очень приятная на ощупь",
    "Раковина керамическая белая с отверстием под смеситель",
)
ENGLISH = (
    "Stainless steel kettle with a whistle for gas and electric stoves",
    "Warm winter boots made of genuine leather for men",
    "This lamp gives soft light and looks good on any desk",
)


def save(folder: Path, name: str, size: tuple[int, int], **options: object) -> str:
    path = folder / name
    Image.new("RGB", size, "red").save(path, **options)
    return str(path)


# Columns and texts


def test_missing_values_are_counted_in_every_column() -> None:
    """A column that is empty for half of the shop would be embedded for nothing."""
    found = {column.name: column for column in describe_columns(made.catalogue())}
    assert (found["description"].filled, found["description"].missing) == (8, 1)
    assert found["description"].missing_share == pytest.approx(1 / 9)
    assert (found["category"].missing, found["category"].distinct) == (1, 3)
    assert (found["id"].missing, found["id"].distinct) == (0, 9)
    assert found["image"].missing_share == 1.0


def test_parts_that_the_file_does_not_have_are_no_missing_values() -> None:
    """Every shop without variants would read that its groups are missing."""
    names = [column.name for column in describe_columns(made.catalogue())]
    assert "group" not in names and "category_id" not in names
    grouped = made.catalogue([made.row("1", "mug", group="g"), made.row("2", "cup")])
    assert next(c for c in describe_columns(grouped) if c.name == "group").missing == 1


def test_words_for_nothing_in_a_further_column_are_missing(tmp_path: Path) -> None:
    (tmp_path / "c.csv").write_text("id,title,brand\n1,mug,nan\n2,cup, \n3,jug,Acme\n")
    found = {c.name: c for c in describe_columns(read_catalogue(tmp_path / "c.csv"))}
    assert (found["brand"].filled, found["brand"].missing) == (1, 2)


def test_text_lengths_leave_out_the_empty_and_name_both_ends() -> None:
    """The cards to mend would have to be searched for."""
    cards = [made.row("a", "x" * 10), made.row("b"), made.row("c", "x"), made.row("d", "x" * 40)]
    title, description = measure_texts(made.catalogue(cards))
    assert title.spread is not None
    assert (title.spread.count, title.spread.least, title.spread.median) == (3, 1, 10)
    assert [(e.id, e.row, e.value) for e in title.shortest] == [("c", 2, 1.0)]
    assert [(e.id, e.row, e.value) for e in title.longest] == [("d", 3, 40.0)]
    assert description.spread is None and description.longest == ()


# Numbers


def test_far_outliers_are_told_by_fences_on_a_logarithmic_scale() -> None:
    """Long-tailed lengths would all be outliers on a plain scale."""
    usual = [8.0, 9.0, 10.0, 11.0, 12.0] * 4
    assert is_far_out([*usual, 1.0, 1000.0]).tolist() == [False] * 20 + [True, True]
    assert not is_far_out([1, 2, 4, 8, 16, 32, 64]).any()


def test_one_picture_of_another_size_is_far_out_among_equal_ones() -> None:
    assert is_far_out([512] * 20 + [511]).tolist() == [False] * 20 + [True]


@given(st.lists(st.floats(0.001, 1e9), min_size=1, max_size=50), st.floats(0.01, 100))
def test_far_outliers_do_not_depend_on_the_unit(values: list[float], factor: float) -> None:
    """Whether a picture is odd would depend on pixels or inches."""
    logs = np.sort(np.log(values))
    first, third = np.quantile(logs, (0.25, 0.75))
    reach = 3 * (third - first)
    edges = np.abs(np.concatenate([logs - first + reach, logs - third - reach]))
    if edges.min() > 1e-6:
        scaled = is_far_out(np.array(values) * factor)
        assert scaled.tolist() == is_far_out(values).tolist()


@given(st.lists(st.integers(1, 10**6), min_size=1, max_size=50))
def test_quantiles_are_in_order_and_inside(values: list[int]) -> None:
    spread = spread_of(values)
    assert spread is not None
    assert spread.least == min(values) and spread.most == max(values)
    assert spread.least <= spread.low <= spread.median <= spread.high <= spread.most
    assert 0 <= spread.far_out <= len(values) / 2


@given(st.integers(0, 500), st.integers(1, 50))
def test_spaced_rows_are_different_and_cover_the_whole(count: int, limit: int) -> None:
    """A sample of the first rows would show one shop of many."""
    rows = evenly_spaced(count, limit, endpoint=False).tolist()
    assert len(set(rows)) == len(rows) == min(count, limit)
    assert rows == sorted(rows) and all(0 <= row < count for row in rows)
    if rows:
        gaps = np.diff([*rows, count])
        assert gaps.max() - gaps.min() <= 1


def test_equal_extremes_stand_in_catalogue_order() -> None:
    """Two runs over one catalogue would name different cards."""
    ids = [f"card{row}" for row in range(10)]
    found = find_extremes([5, 7, 1, 1, 7], [2, 4, 5, 6, 8], ids, most=True)
    assert [e.id for e in found] == ["card4", "card8"]


def test_where_all_are_equal_none_is_extreme() -> None:
    """Five ordinary pictures would be shown as the widest of all."""
    assert find_extremes([512] * 3, [0, 1, 2], ["a", "b", "c"], most=True) == ()
    assert find_extremes([], [], [], most=False) == ()


# Categories


def test_category_sizes_depths_and_the_half() -> None:
    labels = ["A > x"] * 5 + ["A > y"] * 2 + ["b"] * 2 + ["c > d > e", ""]
    found = count_categories(labels)
    assert list(found.sizes.items()) == [("A > x", 5), ("A > y", 2), ("b", 2), ("c > d > e", 1)]
    assert found.cards == 10 and found.singletons == 1 and found.small == 3
    assert found.holding_half == 1
    assert found.depths == {1: (1, 2), 2: (2, 7), 3: (1, 1)}
    assert list(found.smallest) == ["c > d > e", "b", "A > y", "A > x"]


def test_a_catalogue_without_labels_has_no_half() -> None:
    assert count_categories(["", ""]).holding_half == 0


@given(st.lists(st.sampled_from("abcdef"), max_size=60))
def test_the_half_is_the_smallest_number_of_categories_that_hold_it(labels: list[str]) -> None:
    found = count_categories(labels)
    sizes, n = list(found.sizes.values()), found.holding_half
    assert 2 * sum(sizes[:n]) >= len(labels)
    assert n == 0 or 2 * sum(sizes[: n - 1]) < len(labels)


# Suspicious labels


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Shoes > Boots", "shoes > BOOTS"),
        ("Ёлки", "Елки"),
        ("Чайники", "Чайники."),
        ("T-shirts", "T shirts"),
        ("Kids > Toys", "Kids > Toys!"),
    ],
)
def test_spellings_of_one_label_have_one_key(one: str, other: str) -> None:
    """Two halves of one category would vote against each other, and nobody would see why."""
    assert spelling_key(one) == spelling_key(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Труба 1/2", "Труба 12"),
        ("C++", "C#"),
        ("Boots > Kids", "Boots Kids"),
        ("Size 4 2", "Size 42"),
        ("---", "***"),
    ],
)
def test_different_labels_keep_different_keys(one: str, other: str) -> None:
    assert spelling_key(one) != spelling_key(other)


@given(st.text(max_size=30))
def test_a_key_is_its_own_key(label: str) -> None:
    assert spelling_key(spelling_key(label)) == spelling_key(label)


def test_labels_that_differ_in_spelling_are_grouped_with_their_sizes() -> None:
    found = find_label_issues(
        {"Home > Lamps": 3, "home > lamps ": 1, "Home > Lamps.": 5, "Mugs": 2}
    )
    assert [group.as_dict() for group in found.spelling] == [
        {"Home > Lamps.": 5, "Home > Lamps": 3, "home > lamps ": 1}
    ]
    assert found.leaf == () and found.alike == ()


def test_the_same_leaf_under_two_paths_is_named() -> None:
    found = find_label_issues({"Home > Lamps": 3, "Garden > lamps": 1, "Home > Mugs": 2})
    assert [group.labels for group in found.leaf] == [("Home > Lamps", "Garden > lamps")]
    assert found.spelling == () and found.alike == ()


def test_nearly_equal_names_are_named_but_not_sizes_and_short_words() -> None:
    """Laptop and Laptops are one shelf; a 20 and a 25 mm pipe, or a tap and a cap, are not."""
    sizes = {"Laptop": 9, "Laptops": 2, "Pipe 20 mm": 1, "Pipe 25 mm": 1, "Taps": 1, "Caps": 1}
    found = find_label_issues({f"All > {label}": size for label, size in sizes.items()})
    assert [group.labels for group in found.alike] == [("All > Laptop", "All > Laptops")]


def test_alike_names_are_found_across_chunks() -> None:
    """In a shop of more than 500 categories most pairs would be missed."""
    letters = "bcdfghjklm"
    names = [a * 4 + b * 4 + c * 4 for a in letters for b in letters for c in letters]
    found = find_label_issues(dict.fromkeys(["kettlewares", *names, "kettleware"], 1))
    assert [group.labels for group in found.alike] == [("kettleware", "kettlewares")]


# Languages


def test_short_titles_are_told_by_the_language_of_the_catalogue() -> None:
    """One by one, "Кран шаровой" is as good Bulgarian as Russian."""
    titles = ["Кран", "Муфта S20", "Сифон белый", "Американка"]
    cards = [made.row(str(n), t, RUSSIAN[n]) for n, t in enumerate(titles)]
    title, description = detect_languages(made.catalogue(cards))
    assert title.counts == {"ru": 4} and description.counts == {"ru": 4}


def test_two_languages_are_told_apart() -> None:
    cards = [made.row(str(n), text) for n, text in enumerate((*RUSSIAN, *ENGLISH))]
    title, description = detect_languages(made.catalogue(cards))
    assert title.counts == {"ru": 5, "en": 3} and title.undetermined == 0
    assert (description.texts, description.read, description.counts) == (0, 0, {})


def test_codes_and_numbers_have_no_language() -> None:
    """A share of "Latin" would be made up of article numbers."""
    cards = [made.row("1", "12-34"), made.row("2", "5 x 7"), made.row("3", RUSSIAN[0])]
    title, _ = detect_languages(made.catalogue(cards))
    assert title.undetermined == 2 and title.counts == {"ru": 1}
    assert title.as_dict()["shares"] == {"ru": pytest.approx(1 / 3)}


def test_a_catalogue_of_codes_alone_has_no_language() -> None:
    title, _ = detect_languages(made.catalogue([made.row("1", "12"), made.row("2", "34")]))
    assert title.counts == {} and title.undetermined == 2


def test_large_catalogues_are_sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    """A shop of millions would wait for an hour."""
    monkeypatch.setattr("prodcat_index.reports.languages.MOST_TEXTS", 4)
    cards = [made.row(str(n), RUSSIAN[n % 5]) for n in range(20)]
    title, _ = detect_languages(made.catalogue(cards))
    assert (title.texts, title.read, title.counts) == (20, 4, {"ru": 4})


def test_the_mixture_is_that_of_an_example_worked_out_by_hand() -> None:
    """Nine clear rows of one class decide the tenth, which alone would be a draw."""
    likelihoods = np.array([[1.0, 0.0]] * 8 + [[0.0, 1.0]] + [[0.5, 0.5]], dtype=np.float32)
    adapted = adapt_to_mixture(likelihoods)
    # The frequency f of the first class solves f = (8 + f) / 10, so f = 8/9.
    assert adapted[-1] == pytest.approx([8 / 9, 1 / 9], abs=1e-3)
    assert adapted[0] == pytest.approx([1, 0])


# Pictures


def test_picture_sizes_and_extremes_are_those_of_the_files(tmp_path: Path) -> None:
    images = {
        "small": save(tmp_path, "a.png", (10, 20)),
        "wide": save(tmp_path, "b.jpg", (300, 30)),
        "large": save(tmp_path, "c.jpg", (200, 100)),
    }
    cards = [made.row(name, "x", image=path) for name, path in images.items()]
    found = measure_pictures(made.catalogue([*cards, made.row("none", "x")]))
    assert found.sizes.tolist() == [[10, 20], [300, 30], [200, 100]]
    assert found.formats == {"JPEG": 2, "PNG": 1}
    first = {name: cards[0] for name, cards in found.extremes.items()}
    assert (first["fewest_pixels"].id, first["fewest_pixels"].value) == ("small", 200)
    assert (first["most_pixels"].id, first["most_pixels"].value) == ("large", 20_000)
    assert (first["widest"].id, first["widest"].value) == ("wide", 10)
    assert (first["tallest"].id, first["tallest"].value) == ("small", 0.5)


def test_unreadable_pictures_are_named_with_their_reason(tmp_path: Path) -> None:
    (tmp_path / "empty.jpg").write_bytes(b"")
    (tmp_path / "text.jpg").write_text("no picture")
    cards = [
        made.row(name, "x", image=str(tmp_path / f"{name}.jpg"))
        for name in ("empty", "text", "gone")
    ]
    found = measure_pictures(made.catalogue(cards))
    assert found.unreadable == {
        "the file is empty": ("empty",),
        "it is not a picture of a known format": ("text",),
        "there is no such file": ("gone",),
    }
    assert found.unreadable_count == 3 and len(found.sizes) == 0


# The whole


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Catalogue:
    """Seven cards, of which two are one and two others share a picture across categories."""
    folder = tmp_path_factory.mktemp("shop")
    pictures = [str(path) for path in made.draw_pictures(folder, 5)]
    rows = [
        made.row("1", "Кружка красная", "большая", category="Кухня > Кружки", image=pictures[0]),
        made.row("2", "Кружка, красная", "Большая", category="Кухня > Кружки", image=pictures[1]),
        made.row("3", "Чайник", "стальной", category="Кухня > Чайники", image=pictures[2]),
        made.row("4", "Чайник со свистком", "", category="Кухня > чайники", image=pictures[2]),
        made.row("5", "Лампа", "настольная", category="Дом > Лампы", image=pictures[3]),
        made.row("6", "Лампы", "потолочная", category="Дом > Лампы", image=pictures[4]),
        made.row("7", "Новинка", ""),
    ]
    return made.catalogue(rows)


@pytest.fixture(scope="module")
def explored(shop: Catalogue) -> Exploration:
    return explore(shop)


@pytest.fixture(scope="module")
def written(explored: Exploration, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of that exploration; tests that write take a copy."""
    folder = tmp_path_factory.mktemp("explored") / "out"
    assert write_exploration(explored, folder) == folder / "explore.html"
    return folder


def test_the_numbers_of_a_catalogue_counted_by_hand(explored: Exploration) -> None:
    found = explored.as_dict()
    assert (found["cards"], found["labelled"], found["categories"]) == (7, 6, 4)
    assert found["with_picture"] == 6
    assert found["columns"]["description"]["missing"] == 2
    assert found["by_category"]["with_one_card"] == 2
    assert found["by_category"]["by_depth"] == {"2": {"categories": 4, "cards": 6}}
    assert found["suspicious_labels"]["spelling"] == [{"Кухня > Чайники": 1, "Кухня > чайники": 1}]
    assert found["languages"]["title"]["shares"] == {"ru": 1.0}
    duplicates = found["duplicates"]
    assert (duplicates["groups"], duplicates["cards"], duplicates["superfluous"]) == (2, 4, 2)
    assert duplicates["by_rule"]["equal texts"] == {"groups": 1, "cards": 2}
    assert duplicates["by_rule"]["equal picture files"] == {"groups": 1, "cards": 2}
    assert duplicates["groups_of_several_categories"] == 1
    assert duplicates["of_several_categories"][0]["ids"] == ["3", "4"]


def test_groups_that_are_known_are_not_searched_for_again(
    shop: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Comparing pictures is the slowest step."""
    from prodcat_index.cards import duplicates

    known = duplicates.find_groups(shop)
    monkeypatch.setattr(duplicates, "find_groups", None)
    assert explore(shop, known).repeats.groups == 2


def test_samples_are_of_the_largest_categories_with_pictures_first() -> None:
    rows = [made.row(str(n), "x", category="a", image="p" if n % 2 else "") for n in range(6)]
    rows += [made.row("b1", "x", category="b")]
    assert explore(made.catalogue(rows)).samples == {"a": (1, 3, 5), "b": (6,)}


def test_everything_is_written_and_reads_as_json(explored: Exploration, written: Path) -> None:
    numbers = json.loads((written / "explore.json").read_text(encoding="utf-8"))
    assert numbers == json.loads(json.dumps(explored.as_dict()))
    names = {file.name for file in (written / "pictures").iterdir()}
    assert {
        *("category-sizes.png", "largest-categories.png", "missing.png", "languages.png"),
        *("picture-sizes.png", "text-1-lengths.png", "text-2-lengths.png"),
        *("sample-01.jpg", "sample-04.jpg", "group-01.jpg", "group-02.jpg"),
        *("mixed-group-01.jpg", "pictures-widest.jpg", "pictures-tallest.jpg"),
    } <= names
    for file in (written / "pictures").iterdir():
        with Image.open(file) as picture:
            picture.load()
            assert len(picture.convert("L").getcolors() or range(257)) > 2, file.name


def test_the_same_catalogue_gives_the_same_page(
    shop: Catalogue, written: Path, tmp_path: Path
) -> None:
    """A page under version control would change with every run."""
    again = write_exploration(explore(shop), tmp_path / "out")
    assert again.read_bytes() == (written / "explore.html").read_bytes()


def test_a_folder_with_other_files_is_left_alone(explored: Exploration, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(ProdcatError, match="holds other files"):
        write_exploration(explored, tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["thesis.txt"]
    with pytest.raises(ProdcatError, match="is a file"):
        write_exploration(explored, tmp_path / "thesis.txt")


def test_a_catalogue_of_one_title_is_explored_and_earlier_pictures_go(
    written: Path, tmp_path: Path
) -> None:
    """Groups that were mended would still lie there."""
    folder = Path(shutil.copytree(written, tmp_path / "out"))
    page = write_exploration(explore(made.catalogue([made.row("1", "7")])), folder)
    text = page.read_text(encoding="utf-8")
    assert "No card is labelled." in text and "0 of 1 cards have a picture" in text
    names = {file.name for file in (folder / "pictures").iterdir()}
    assert "group-01.jpg" not in names and "text-1-lengths.png" in names


def test_a_catalogue_of_pictures_alone_is_explored(tmp_path: Path) -> None:
    cards = [made.row("1", image=save(tmp_path, "a.jpg", (9, 9)), category="x")]
    page = write_exploration(explore(made.catalogue(cards)), tmp_path / "out")
    assert "No card has a text." in page.read_text(encoding="utf-8")


def test_real_cards_are_told_as_they_are(shared_data: Path) -> None:
    """English and Russian shops whose languages and sizes are known."""
    flipkart = read_catalogue(
        shared_data / "flipkart1050" / "cards.csv", category_column="level2"
    ).select(range(0, 1050, 10))
    for language in detect_languages(flipkart):
        assert language.counts.get("en", 0) >= 0.98 * language.read
    santechtula = read_catalogue(shared_data / "santechtula" / "cards.csv")
    for language in detect_languages(santechtula.select(range(0, 1405, 10))):
        assert language.counts.get("ru", 0) >= 0.98 * language.read
    categories = count_categories(santechtula.values("category"))
    assert len(categories.sizes) == 114
    assert next(iter(categories.sizes.values())) == 78 and min(categories.sizes.values()) == 1
