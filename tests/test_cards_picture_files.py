"""Finding picture files inside one folder only."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from prodcat_index.cards.pictures import NO_SUCH_FILE, OUTSIDE, WEB_ADDRESS, PictureFiles


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
    ["2.jpg", "images", "images/", "no/1.jpg", "gone.jpg", "loop.jpg", "a" * 5_000 + "/1.jpg", "."],
)
def test_what_is_no_file_is_missing(root: Path, value: str) -> None:
    assert PictureFiles(root).find(value) == ("", NO_SUCH_FILE)


@pytest.mark.parametrize("value", ["http://shop.example/1.jpg", "HTTPS://shop.example/1.jpg"])
def test_a_web_address_is_named_as_one(root: Path, value: str) -> None:
    assert PictureFiles(root).find(value) == ("", WEB_ADDRESS)


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
    started = time.perf_counter()
    assert all(files.find("images/1.jpg")[0] for _ in range(100_000))
    assert time.perf_counter() - started < 5
