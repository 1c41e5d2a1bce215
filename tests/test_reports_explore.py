"""Exploration of catalogues small enough to count by hand."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import made
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from test_reports_page import Reader

from prodcat_index.cards.card import Catalogue
from prodcat_index.cards.catalogue import read_catalogue
from prodcat_index.errors import ProdcatError
from prodcat_index.reports.explore import Exploration, count_categories, describe_columns, explore
from prodcat_index.reports.explore_page import write_exploration
from prodcat_index.reports.measurements import detect_languages
from prodcat_index.types import evenly_spaced


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


@settings(deadline=None)
@given(st.integers(0, 500), st.integers(1, 50))
def test_spaced_rows_are_different_and_cover_the_whole(count: int, limit: int) -> None:
    """A sample of the first rows would show one shop of many."""
    rows = evenly_spaced(count, limit, endpoint=False).tolist()
    assert len(set(rows)) == len(rows) == min(count, limit)
    assert rows == sorted(rows) and all(0 <= row < count for row in rows)
    if rows:
        gaps = np.diff([*rows, count])
        assert gaps.max() - gaps.min() <= 1


# Categories


def test_category_sizes_depths_and_the_half() -> None:
    labels = ["A > x"] * 5 + ["A > y"] * 2 + ["b"] * 2 + ["c > d > e", ""]
    found = count_categories(labels)
    assert list(found.sizes.items()) == [("A > x", 5), ("A > y", 2), ("b", 2), ("c > d > e", 1)]
    assert found.cards == 10 and found.with_one_card == 1
    assert found.with_fewer_than_4_cards == 3
    assert found.largest_that_hold_half_of_the_cards == 1
    assert [tuple(numbers.values()) for numbers in found.by_depth.values()] == [
        (1, 2),
        (2, 7),
        (1, 1),
    ]
    assert list(found.by_depth) == [1, 2, 3]
    assert list(found.smallest) == ["c > d > e", "b", "A > y", "A > x"]


def test_a_catalogue_without_labels_has_no_half() -> None:
    assert count_categories(["", ""]).largest_that_hold_half_of_the_cards == 0


@settings(deadline=None)
@given(st.lists(st.sampled_from("abcdef"), max_size=60))
def test_the_half_is_the_smallest_number_of_categories_that_hold_it(labels: list[str]) -> None:
    found = count_categories(labels)
    sizes, n = list(found.sizes.values()), found.largest_that_hold_half_of_the_cards
    assert 2 * sum(sizes[:n]) >= len(labels)
    assert n == 0 or 2 * sum(sizes[: n - 1]) < len(labels)


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
    assert explore(shop, known).duplicates.groups == 2


def test_samples_are_of_the_largest_categories_with_pictures_first() -> None:
    rows = [made.row(str(n), "x", category="a", image="p" if n % 2 else "") for n in range(6)]
    rows += [made.row("b1", "x", category="b")]
    assert explore(made.catalogue(rows)).samples == {"a": (1, 3, 5), "b": (6,)}


def test_everything_is_written_and_reads_as_json(explored: Exploration, written: Path) -> None:
    numbers = json.loads((written / "explore.json").read_text(encoding="utf-8"))
    assert numbers == json.loads(json.dumps(explored.as_dict()))
    names = {file.name for file in (written / "pictures").iterdir()}
    assert {
        *("category-sizes.png", "languages.png", "picture-sizes.png"),
        *("text-1-lengths.png", "text-2-lengths.png"),
    } == names
    for file in (written / "pictures").iterdir():
        with Image.open(file) as picture:
            picture.load()
            assert len(picture.convert("L").getcolors() or range(257)) > 2, file.name


def test_the_same_catalogue_gives_the_same_page_on_the_same_day(
    shop: Catalogue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page under version control would change with every run."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "0")
    one, other = (write_exploration(explore(shop), tmp_path / name) for name in "ab")
    assert one.read_bytes() == other.read_bytes()
    assert b"Written on 1970-01-01" in one.read_bytes()


def test_cards_are_texts_with_small_pictures(explored: Exploration, written: Path) -> None:
    """Ids that are drawn into a picture cannot be copied, searched for or read out."""
    page = Reader((written / "explore.html").read_text(encoding="utf-8"))
    words = [text.strip() for text in page.texts]
    groups = [3, 2]  # of duplicates and of different categories
    shown = sum(len(rows) for rows in explored.samples.values())
    assert words.count("1") >= 2 and words.count("3") >= 3
    assert (
        "Кухня > Кружки (2)" in words and "2\xa0cards in Кухня > Чайники | Кухня > чайники" in words
    )
    pictures = page.values("img", "alt")
    assert sum(alt.startswith("Picture of") for alt in pictures) >= shown - groups[1]
    assert ("a", "href", "#sample-1") in page.attributes


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
    assert "No card is labelled." in text and "0 of 1\xa0card has a picture" in text
    names = {file.name for file in (folder / "pictures").iterdir()}
    assert "picture-sizes.png" not in names and "text-1-lengths.png" in names


def test_a_catalogue_of_pictures_alone_is_explored(tmp_path: Path) -> None:
    cards = [made.row("1", image=save(tmp_path, "a.jpg", (9, 9)), category="x")]
    page = write_exploration(explore(made.catalogue(cards)), tmp_path / "out")
    assert "No card has a text." in page.read_text(encoding="utf-8")


def test_real_cards_have_their_known_languages_and_sizes(shared_data: Path) -> None:
    """English and Russian shops whose languages and sizes are known."""
    flipkart = read_catalogue(
        shared_data / "flipkart1050" / "cards.csv", category_column="level2"
    ).select(range(0, 1050, 10))
    for language in detect_languages(flipkart).values():
        assert language.counts.get("en", 0) >= 0.98 * language.read
    santechtula = read_catalogue(shared_data / "santechtula" / "cards.csv")
    for language in detect_languages(santechtula.select(range(0, 1405, 10))).values():
        assert language.counts.get("ru", 0) >= 0.98 * language.read
    categories = count_categories(santechtula.values("category"))
    assert len(categories.sizes) == 114
    assert next(iter(categories.sizes.values())) == 78 and min(categories.sizes.values()) == 1
