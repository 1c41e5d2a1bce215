"""Finding picture files inside one folder only."""

from __future__ import annotations

import os
import time
import unicodedata
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from prodcat_index.cards.catalogue import read_catalogue
from prodcat_index.cards.picture_files import (
    AMBIGUOUS,
    BY_ID,
    NO_ENDING,
    NO_FOLDER,
    NO_SUCH_FILE,
    OTHER_CASE,
    OTHER_FOLDER,
    OUTSIDE,
    RESPELLED,
    SEVERAL,
    WEB_ADDRESS,
    WITHOUT,
    PictureFiles,
    find_pictures,
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A picture folder with two pictures, links, and a secret beside it."""
    folder = tmp_path / "shop"
    (folder / "images").mkdir(parents=True)
    (folder / "images" / "1.jpg").touch()
    (folder / "cover.png").touch()
    (tmp_path / "secret.jpg").touch()
    (tmp_path / "shop2").mkdir()
    (tmp_path / "shop2" / "1.jpg").touch()
    (folder / "inner.jpg").symlink_to(folder / "images" / "1.jpg")
    (folder / "leak.jpg").symlink_to(tmp_path / "secret.jpg")
    (folder / "other").symlink_to(tmp_path / "shop2")
    (folder / "gone.jpg").symlink_to(tmp_path / "nothing.jpg")
    (folder / "loop.jpg").symlink_to(folder / "loop.jpg")
    return folder


@pytest.mark.parametrize(
    ("value", "file"),
    [
        ("images/1.jpg", "images/1.jpg"),
        ("./images//1.jpg", "images/1.jpg"),
        ("images/../cover.png", "cover.png"),
        ("inner.jpg", "images/1.jpg"),
    ],
)
def test_a_picture_inside_is_found(root: Path, value: str, file: str) -> None:
    assert PictureFiles(root).find(value) == (str(root / file), "")


def test_an_absolute_path_inside_is_found(root: Path) -> None:
    assert PictureFiles(root).find(str(root / "cover.png")) == (str(root / "cover.png"), "")


def test_a_picture_folder_that_is_a_link_itself_works(root: Path, tmp_path: Path) -> None:
    (tmp_path / "alias").symlink_to(root)
    assert PictureFiles(tmp_path / "alias").find("cover.png") == (str(root / "cover.png"), "")


@pytest.mark.parametrize(
    "value",
    ["../secret.jpg", "images/../../secret.jpg", "leak.jpg", "other/1.jpg", "../shop2/1.jpg"],
)
def test_a_picture_outside_is_refused(root: Path, value: str) -> None:
    """A catalogue from a stranger must not put private files into a report."""
    assert PictureFiles(root).find(value) == ("", OUTSIDE)


def test_an_absolute_path_outside_is_refused(root: Path, tmp_path: Path) -> None:
    assert PictureFiles(root).find(str(tmp_path / "secret.jpg")) == ("", OUTSIDE)
    assert PictureFiles(root).find("/etc/passwd") == ("", OUTSIDE)


@pytest.mark.parametrize(
    "value",
    ["2.jpg", "images", "images/", "no/2.jpg", "gone.jpg", "loop.jpg", "a" * 5_000 + "/2.jpg", "."],
)
def test_what_is_no_file_is_missing(root: Path, value: str) -> None:
    assert PictureFiles(root).find(value) == ("", NO_SUCH_FILE)


@pytest.mark.parametrize(
    "value",
    [
        "http://shop.example/1.jpg",
        "HTTPS://shop.example/1.jpg",
        "//cdn.shop.example/1.jpg",
        "www.shop.example/1.jpg",
        "data:image/png;base64,iVBORw0KGgo=",
        "https://shop.example/1.jpg|https://shop.example/2.jpg",
        '["https://shop.example/w_400,h_400/1.jpg"]',
    ],
)
def test_a_web_address_is_named_as_one(root: Path, value: str) -> None:
    assert PictureFiles(root).find(value) == ("", WEB_ADDRESS)


def found_in(root: Path, *values: str) -> list[tuple[str, str]]:
    """Return the path in the folder, and what is noted, of each value of a picture column."""
    paths, noticed = find_pictures(values, [str(n) for n in range(len(values))], None, root)
    names = [os.path.relpath(path, root) if path else "" for path in paths]
    notes = [
        "".join(what.split(" (the first")[0] for what, marked in noticed.items() if marked[card])
        for card in range(len(values))
    ]
    return list(zip(names, notes, strict=True))


@pytest.fixture
def export(tmp_path: Path) -> Path:
    """Pictures of a shop, as an export of another system names them."""
    names = ("images/p1.jpg", "images/a photo.jpg", "images/UP.JPG", "images/p2.png", "root.jpg")
    names += ("images/p3.jpg", "images/p3.png", "images/100%.jpg", "w/b/wb1.jpg")
    names += (unicodedata.normalize("NFD", "images/café.jpg"), "photos/one, two.jpg")
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        Image.new("RGB", (2, 2)).save(tmp_path / name)
    return tmp_path


@pytest.mark.parametrize(
    ("value", "name", "note"),
    [
        ("images/p1.jpg", "images/p1.jpg", ""),
        ("images\\p1.jpg", "images/p1.jpg", RESPELLED),
        (".\\images\\p1.jpg", "images/p1.jpg", RESPELLED),
        ('"images/p1.jpg"', "images/p1.jpg", RESPELLED),
        ("images/p1.jpg?v=12", "images/p1.jpg", RESPELLED),
        ("images/p1.jpg#top", "images/p1.jpg", RESPELLED),
        ("images/a%20photo.jpg", "images/a photo.jpg", RESPELLED),
        ("images/a%20photo.jpg?width=100&v=2", "images/a photo.jpg", RESPELLED),
        ("images/100%.jpg", "images/100%.jpg", ""),
        ("images/100%25.jpg", "images/100%.jpg", RESPELLED),
        ("['images/p1.jpg']", "images/p1.jpg", RESPELLED),
        ("images/café.jpg", unicodedata.normalize("NFD", "images/café.jpg"), RESPELLED),
        ("images/p1.JPG", "images/p1.jpg", OTHER_CASE),
        ("Images/P1.jpg", "images/p1.jpg", OTHER_CASE),
        ("images/up.jpg", "images/UP.JPG", OTHER_CASE),
        ("images/p1", "images/p1.jpg", NO_ENDING),
        ("images/UP", "images/UP.JPG", NO_ENDING),
        ("images/p2", "images/p2.png", NO_ENDING),
        ("images/p3", "images/p3.jpg", NO_ENDING),
        ("p1.jpg", "images/p1.jpg", NO_FOLDER),
        ("P1", "images/p1.jpg", NO_FOLDER),
        ("root.jpg", "root.jpg", ""),
        ("/w/b/wb1.jpg", "w/b/wb1.jpg", RESPELLED),
        ("C:\\shop\\images\\p1.jpg", "images/p1.jpg", OTHER_FOLDER),
        ("/home/other/images/p1.jpg", "images/p1.jpg", OTHER_FOLDER),
        ("media/p1.jpg", "images/p1.jpg", OTHER_FOLDER),
        ("file:///C:/shop/images/a%20photo.jpg", "images/a photo.jpg", OTHER_FOLDER),
        ("images/p1.gif", "", NO_SUCH_FILE),
        ("images/p", "", NO_SUCH_FILE),
        ("photos/one, two.jpg", "photos/one, two.jpg", ""),
        ("images/p1.jpg|images/p2.png", "images/p1.jpg", SEVERAL),
        ("images/no.jpg; images/p2.png", "images/p2.png", SEVERAL),
        ("images/no.jpg, images/p2.png", "images/p2.png", SEVERAL),
        ('["images/p1.jpg", "images/p2.png"]', "images/p1.jpg", SEVERAL),
        ("images/p1|images/p2", "images/p1.jpg", SEVERAL),
        ("images/p1.jpg|", "images/p1.jpg", RESPELLED),
        (";images/p1", "images/p1.jpg", NO_ENDING),
        ("|", "", NO_SUCH_FILE),
        ("https://shop.example/1.jpg,h_400/p1.jpg", "", WEB_ADDRESS),
        ("images/no.jpg|images/none.jpg", "", NO_SUCH_FILE),
        ("www.jpg", "", NO_SUCH_FILE),
    ],
)
def test_names_as_exports_write_them_are_found_and_counted(
    export: Path, value: str, name: str, note: str
) -> None:
    """A whole catalogue would be without its pictures for a backslash."""
    assert found_in(export, "root.jpg", value)[1] == (name, note)


def test_of_several_pictures_the_first_that_can_be_read_is_taken(export: Path) -> None:
    """A card whose first picture is a saved error page would have none."""
    (export / "page.jpg").write_text("<html>")
    (export / "empty.jpg").touch()
    assert found_in(export, "page.jpg|empty.jpg|images/p2.png") == [("images/p2.png", SEVERAL)]
    assert found_in(export, "page.jpg|empty.jpg") == [("page.jpg", SEVERAL)]


def test_files_that_differ_in_case_only_are_told_apart(tmp_path: Path) -> None:
    """A card would get the picture of another."""
    for name in ("a.jpg", "A.jpg", "b.JPG", "b.jpg", "c.png", "C.jpg", "C.JPG"):
        (tmp_path / name).touch()
    assert found_in(tmp_path, "A.jpg", "a.JPG", "A", "b", "B", "c") == [
        ("A.jpg", ""),
        ("", AMBIGUOUS),
        ("A.jpg", NO_ENDING),
        ("", AMBIGUOUS),
        ("", AMBIGUOUS),
        ("", AMBIGUOUS),
    ]


def test_a_folder_in_other_case_is_not_guessed(tmp_path: Path) -> None:
    for name in ("Red/1.jpg", "RED/1.jpg"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).touch()
    assert found_in(tmp_path, "red/1.jpg", "Red/1.jpg") == [("", AMBIGUOUS), ("Red/1.jpg", "")]


def test_a_file_does_not_stand_for_two_folders(export: Path) -> None:
    """Red and blue mugs, each 1.jpg in a folder of its own, would have one picture."""
    assert found_in(export, "red/p1.jpg", "blue/p1.jpg", "red/p2.png", "red/p2.png") == [
        ("", AMBIGUOUS),
        ("", AMBIGUOUS),
        ("images/p2.png", OTHER_FOLDER),
        ("images/p2.png", OTHER_FOLDER),
    ]
    assert found_in(export, "red/p1.jpg", "images/p1.jpg") == [
        ("", AMBIGUOUS),
        ("images/p1.jpg", ""),
    ]


@pytest.mark.parametrize(
    "value",
    [
        "..\\secret.jpg",
        "%2e%2e/secret.jpg",
        "images/%2e%2e%2f%2e%2e%2fsecret.jpg",
        "..%5Csecret.jpg",
        "LEAK.JPG",
        "leak",
        "Other/1.jpg",
        "OTHER\\1.JPG",
        "inside/OTHER/1.jpg",
        "nothing|../secret.jpg",
        "['../secret.jpg', 'leak.jpg']",
        "../SECRET.jpg?v=1",
    ],
)
def test_no_spelling_leads_outside(root: Path, value: str) -> None:
    """A catalogue from a stranger must not put private files into a report."""
    (root / "images" / "1.jpg").unlink()
    assert [path for path, _ in found_in(root, "cover.png", value)] == ["cover.png", ""]


# A value of the picture column is put together from these.
PIECES = r"""
    .. %2e%2e / \ %2F %5C secret.jpg SHOP2 other Leak shop2 images 1.jpg 1 . | ; , ? # ' [ C: cover
"""


@given(st.lists(st.sampled_from(PIECES.split()), max_size=9).map("".join))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
def test_no_value_at_all_leads_outside(root: Path, value: str) -> None:
    inside = {"", "images/1.jpg", "cover.png"}
    assert found_in(root, "cover.png", value)[1][0] in inside


def test_a_file_of_this_machine_is_not_replaced_by_one_of_its_name(
    root: Path, tmp_path: Path
) -> None:
    assert found_in(root, "cover.png", str(tmp_path / "shop2" / "1.jpg"))[1] == ("", OUTSIDE)


def test_the_path_that_was_tried_is_shown(root: Path) -> None:
    """ "Not there" is no help without where it was looked for."""
    _, noticed = find_pictures(["cover.png", "images/9.jpg", "8.jpg"], ["a", "b", "c"], None, root)
    tried = f"{NO_SUCH_FILE} (the first: {root / 'images' / '9.jpg'})"
    assert [what for what, marked in noticed.items() if any(marked)] == [tried]
    assert noticed[tried] == [False, True, True]


def test_beside_a_column_of_addresses_pictures_are_found_by_id(tmp_path: Path) -> None:
    """Whoever has downloaded the pictures of a feed would index none of them."""
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "7.png").touch()
    (tmp_path / "images" / "9.jpg").touch()
    values = [f"https://shop.example/{n}.jpg" for n in (7, 8)] + ["", ""]
    paths, noticed = find_pictures(values, ["7", "8", "9", "10"], tmp_path / "feed.csv", None)
    assert [Path(path).name for path in paths] == ["7.png", "", "9.jpg", ""]
    images = tmp_path / "images"
    assert {what: marked for what, marked in noticed.items() if any(marked)} == {
        f"{WEB_ADDRESS} (the first: {images / '8.jpg'})": [False, True, False, False],
        f"{WITHOUT} (the first: {images / '10.jpg'})": [False, False, False, True],
        BY_ID: [True, False, False, False],
    }


def test_an_address_among_names_is_found_by_id_if_no_card_names_the_file(tmp_path: Path) -> None:
    """Files that are numbered in another way than the cards would show another product."""
    (tmp_path / "images").mkdir()
    for name in ("2.jpg", "3.jpg", "4.jpg"):
        (tmp_path / "images" / name).touch()
    values = ["images/3.jpg", "https://a.example/2", "https://a.example/3", "", "-"]
    paths, noticed = find_pictures(values, list("12345"), tmp_path / "feed.csv", None)
    assert [Path(path).name for path in paths] == ["3.jpg", "2.jpg", "", "", ""]
    assert noticed[BY_ID] == [False, True, False, False, False]
    assert noticed[f"{NO_SUCH_FILE} (the first: {tmp_path / '-'})"][4]
    images = tmp_path / "images"
    assert noticed[f"{WEB_ADDRESS} (the first: {images / '3.jpg'})"][2]
    assert find_pictures(values, list("12345"), None, tmp_path)[0] == paths


@pytest.mark.parametrize("value", ["a/" * 200_000 + "1.jpg", "no.jpg|" * 100_000, "%2F" * 100_000])
def test_a_very_long_value_takes_no_time(root: Path, value: str) -> None:
    """One cell of a stranger's file would stop a catalogue."""
    started = time.process_time()
    assert found_in(root, "cover.png", *[value] * 10)[1][0] == ""
    assert time.process_time() - started < 5


def test_no_picture_is_no_problem(root: Path) -> None:
    assert PictureFiles(root).find("") == ("", "")


def test_pictures_are_found_by_id(tmp_path: Path) -> None:
    for name in ("1.webp", "2.JPG", "3.png", "3.jpg", "4.txt", "a.b.jpeg", "5.jpg.part"):
        (tmp_path / name).touch()
    found = PictureFiles(tmp_path).find_by_id(["1", "2", "3", "4", "a.b", "5", "../1"], "")
    names = [Path(path).name for path in found]
    assert names == ["1.webp", "2.JPG", "3.jpg", "", "a.b.jpeg", "", ""]


def test_a_link_to_outside_is_not_found_by_id(root: Path) -> None:
    found = PictureFiles(root).find_by_id(["leak", "inner"], "")
    assert found == ["", str(root / "images" / "1.jpg")]


def test_folders_outside_are_not_searched_by_id(root: Path) -> None:
    assert PictureFiles(root).find_by_id(["1"], "other") == [""]


def test_the_catalogues_own_folder_comes_first(tmp_path: Path) -> None:
    """A card would get the photo of another card of its number."""
    for name in ("1.jpg", "train/1.png", "train/2.png", "test/2.jpg", "test/3.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = {stem: PictureFiles(tmp_path).find_by_id("123", stem) for stem in ("train", "cards")}
    assert found["train"] == [str(tmp_path / "train/1.png"), str(tmp_path / "train/2.png"), ""]
    names = ("1.jpg", "train/2.png", "test/3.jpg")
    assert found["cards"] == [str(tmp_path / name) for name in names]


def test_a_hundred_thousand_cards_are_quick(root: Path) -> None:
    files = PictureFiles(root)
    started = time.process_time()
    assert all(files.find("images/1.jpg")[0] for _ in range(100_000))
    assert all(files.find("C:\\shop\\images\\1.JPG?v=1")[0] for _ in range(10_000))
    assert time.process_time() - started < 5


def test_a_picture_as_text_is_counted_and_not_shown() -> None:
    packed = "iVBORw0KGgo" + "A" * 5_000
    cards = [{"id": "a", "title": "T", "image": packed}, {"id": "b", "title": "U", "image": ""}]
    catalogue = read_catalogue(cards)
    assert catalogue.values("image") == ["", ""]
    assert str(catalogue.findings[0]) == (
        "1 card has a picture as text (base64), which is not read: write it to a file: a"
    )
    assert not any("iVBOR" in str(finding) for finding in catalogue.findings)
