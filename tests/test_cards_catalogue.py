"""Reading catalogues: from a file or a table to checked cards."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from prodcat_index.cards.card import Catalogue
from prodcat_index.cards.catalogue import read_catalogue, read_labels
from prodcat_index.cards.cleaning import MAX_TEXT
from prodcat_index.errors import CatalogueError

DATA = Path(__file__).parents[2] / "shared" / "data"


def table(**columns: list[Any]) -> pd.DataFrame:
    return pd.DataFrame(columns)


def written(folder: Path, content: str, name: str = "cards.csv") -> Path:
    path = folder / name
    path.write_text(content, encoding="utf-8")
    return path


def findings(catalogue: Catalogue) -> list[str]:
    return [str(finding) for finding in catalogue.findings]


def refusal(source: Any, **options: Any) -> str:
    with pytest.raises(CatalogueError) as error:
        read_catalogue(source, **options)
    return str(error.value)


def test_a_file_becomes_cards_in_the_stated_order(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "b.jpg").touch()
    path = written(
        tmp_path,
        "price,category,brand,id,image,description,title,group\n"
        "9,Home -> Light,Uyut, A-1 ,images/b.jpg,<p>For&nbsp;home</p>,Lamp,g1\n"
        "8,Home > Light,nan,B-2,,null,Shade,g1\n",
    )
    catalogue = read_catalogue(path, text_columns=["brand"])
    assert list(catalogue.cards.columns) == [
        *("id", "title", "description", "brand", "image", "category", "category_id", "group"),
        "price",
    ]
    picture = str((tmp_path / "images/b.jpg").resolve())
    assert [list(row) for row in catalogue.cards.to_numpy()] == [
        ["A-1", "Lamp", "For home", "Uyut", picture, "Home > Light", "", "g1", "9"],
        ["B-2", "Shade", "", "", "", "Home > Light", "", "g1", "8"],
    ]
    assert catalogue.text_modalities == ("title", "description", "brand")
    assert catalogue.modalities == ("image", "title", "description", "brand")
    assert catalogue.source == str(path)
    assert catalogue.findings == ()


def test_a_table_is_read_like_a_file() -> None:
    cards = table(Name=["Lamp", None], Label=["Light", float("nan")], price=[1.5, 2.5])
    before = cards.copy()
    catalogue = read_catalogue(cards)
    assert catalogue.values("title") == ["Lamp", ""]
    assert catalogue.values("category") == ["Light", ""]
    assert catalogue.cards["price"].tolist() == [1.5, 2.5]
    pd.testing.assert_frame_equal(cards, before)


def test_rows_are_numbered_where_there_is_no_id() -> None:
    assert read_catalogue(table(title=["a", "b"])).ids == ["1", "2"]


def test_a_table_whose_index_is_the_id_keeps_it() -> None:
    """Ids silently replaced by row numbers would find no pictures and match no orders."""
    cards = table(sku=["x", "y"], title=["a", "b"]).set_index("sku")
    assert read_catalogue(cards).ids == ["x", "y"]


def test_a_filtered_table_keeps_its_rows_together() -> None:
    cards = table(title=["a", "b", "c"], price=[1, 2, 3])
    catalogue = read_catalogue(cards[cards["price"] > 1])
    assert catalogue.cards[["title", "price"]].to_numpy().tolist() == [["b", 2], ["c", 3]]


@pytest.mark.parametrize(
    ("ids", "read"),
    [
        ([7, 8], ["7", "8"]),
        ([7.0, 8.0], ["7", "8"]),
        (["007", " 8 "], ["007", "8"]),
        ([2**60, 2**60 + 1], [str(2**60), str(2**60 + 1)]),
    ],
)
def test_ids_are_written_as_people_write_them(
    tmp_path: Path, ids: list[Any], read: list[str]
) -> None:
    table(id=ids, title=["a", "b"]).to_parquet(tmp_path / "a.parquet")
    assert read_catalogue(tmp_path / "a.parquet").ids == read


def test_repeated_ids_are_refused_and_named() -> None:
    """Two cards of one id: a query would return one and score the other."""
    ids = [f"id{n}" for n in range(7)] * 2
    assert refusal(table(id=[*ids, "once"], title=["a"] * 15)) == (
        "7 ids occur more than once in the table (id0, id1, id2, id3, id4 and 2 more): "
        "correct the column 'id', or choose another with --id-column."
    )


def test_empty_ids_are_refused_and_counted() -> None:
    assert refusal(table(id=["a", " ", None, "b"], title=["a"] * 4)).startswith(
        "2 cards have no id in the table (card number 2, 3):"
    )


def test_an_option_is_stronger_than_a_usual_name() -> None:
    catalogue = read_catalogue(
        table(id=["1"], sku=["s"], title=["t"], alt=["a"], category=["c"], level2=["l"]),
        id_column="sku",
        title_column="alt",
        category_column="level2",
    )
    assert catalogue.cards.iloc[0].to_dict() == {
        **{"id": "s", "title": "a", "description": "", "image": "", "category": "l"},
        **{"category_id": "", "group": ""},
        **{"id_in_file": "1", "title_in_file": "t", "category_in_file": "c"},
    }


def test_names_in_the_file_never_collide() -> None:
    catalogue = read_catalogue(
        table(title=["t"], category=["c"], category_in_file=["d"], level2=["l"]),
        category_column="level2",
        text_columns=["category"],
    )
    assert catalogue.text_modalities == ("title", "description", "category_in_file")
    assert catalogue.values("category_in_file") == ["c"]
    assert catalogue.cards["category_in_file_in_file"].tolist() == ["d"]


def test_a_missing_column_is_refused() -> None:
    assert "Did you mean 'title'?" in refusal(table(title=["a"]), text_columns=["titel"])


def test_a_catalogue_with_nothing_to_embed_is_refused() -> None:
    assert refusal(table(foo=["a"], price=[1])) == (
        "No column is a title, description or picture by its name: choose one with "
        "--title-column, --description-column, --text-column or --image-column. "
        "The columns are foo, price."
    )


def test_pictures_alone_make_a_catalogue(tmp_path: Path) -> None:
    (tmp_path / "7.jpg").touch()
    catalogue = read_catalogue(table(id=[7], price=[1]), image_root=tmp_path)
    assert catalogue.modalities == ("image",)


@pytest.mark.parametrize("source", [pd.DataFrame(), pd.DataFrame({"title": []})])
def test_a_table_without_cards_is_refused(source: pd.DataFrame) -> None:
    assert refusal(source) == "There are no cards in the table."


def test_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    """Which of the two is the title would be chance."""
    path = written(tmp_path, "id,title, title\n1,a,b\n")
    assert "more than one column is named title" in refusal(path)
    columns = [pa.array(["a"]), pa.array(["b"])]
    pq.write_table(pa.table(columns, names=["title", "title"]), tmp_path / "a.parquet")
    assert "more than one column is named title" in refusal(tmp_path / "a.parquet")


def test_a_column_without_name_is_kept(tmp_path: Path) -> None:
    catalogue = read_catalogue(written(tmp_path, ",title\n0,a\n"))
    assert catalogue.cards["column 1"].tolist() == ["0"]


def test_types_of_further_columns_stay(tmp_path: Path) -> None:
    table(title=["a"], sold=[True], price=[1.5], shop=[3]).to_parquet(tmp_path / "a.parquet")
    cards = read_catalogue(tmp_path / "a.parquet").cards
    assert [str(cards[name].dtype) for name in ("sold", "price", "shop")] == [
        *("bool", "float64", "int64")
    ]


def test_lone_surrogates_do_not_stop_a_catalogue(tmp_path: Path) -> None:
    path = written(tmp_path, r'{"id": "\ud800a", "title": "\ud800b", "image": "\udfff"}', "a.jsonl")
    catalogue = read_catalogue(path)
    assert (catalogue.ids, catalogue.values("title")) == (["a"], ["b"])


def test_an_encoding_is_passed_on(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes("название\nЛампа\n".encode("cp1251"))
    assert read_catalogue(path, encoding="cp1251").values("title") == ["Лампа"]
    assert "--encoding cp1251" in refusal(path)


def test_what_was_mended_is_counted() -> None:
    """Skipped silently, nobody would learn why the scores are low."""
    catalogue = read_catalogue(
        table(
            id=["a", "b", "c", "d"],
            title=["t", "x" * (MAX_TEXT + 1), "t", "t"],
            category=["Lamp", "Lamp", "Vase", ""],
        )
    )
    assert findings(catalogue) == [
        "1 card has no category to vote for: d",
        "1 card is the only one of its category: c",
        f"1 card has a text that was cut at {MAX_TEXT} characters: b",
    ]


def test_new_listings_without_any_category_are_no_finding() -> None:
    assert findings(read_catalogue(table(title=["a", "b"], category=["", ""]))) == []


def test_every_picture_problem_is_counted(tmp_path: Path) -> None:
    shop = tmp_path / "shop"
    shop.mkdir()
    (shop / "1.jpg").touch()
    (tmp_path / "secret.jpg").touch()
    values = ["1.jpg", "gone.jpg", "../secret.jpg", "https://shop.example/4.jpg", ""]
    content = "\n".join(["id,title,image", *(f"{n},t,{v}" for n, v in enumerate(values, 1))])
    catalogue = read_catalogue(written(shop, content))
    assert catalogue.values("image") == [str((shop / "1.jpg").resolve()), "", "", "", ""]
    assert findings(catalogue) == [
        f"1 card names a picture file that is not there (the first: {shop / 'gone.jpg'}): 2",
        "1 card names a picture outside the picture folder, which is not read: 3",
        "1 card has a web address for a picture, which is not fetched, and no file of its id "
        f"(the first: {shop / 'images' / '4.jpg'}): 4",
    ]


def test_picture_paths_follow_the_picture_folder(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "1.jpg").touch()
    path = written(tmp_path, "title,image\nLamp,1.jpg\n")
    assert read_catalogue(path).values("image") == [""]
    found = read_catalogue(path, image_root=tmp_path / "photos").values("image")
    assert found == [str((tmp_path / "photos" / "1.jpg").resolve())]


def test_pictures_are_found_by_id_beside_the_file(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "7.png").touch()
    catalogue = read_catalogue(written(tmp_path, "id,title\n7,a\n8,b\n"))
    assert catalogue.values("image") == [str((tmp_path / "images" / "7.png").resolve()), ""]
    tried = tmp_path / "images" / "8.jpg"
    assert findings(catalogue) == [f"1 card has no picture file of its id (the first: {tried}): 8"]


def test_a_missing_picture_folder_is_refused(tmp_path: Path) -> None:
    assert refusal(table(title=["a"]), image_root=tmp_path / "no") == (
        f"There is no picture folder {tmp_path / 'no'}."
    )


def test_a_table_with_picture_paths_needs_their_folder(tmp_path: Path) -> None:
    cards = table(title=["a"], image=["1.jpg"])
    assert "image_root" in refusal(cards)
    (tmp_path / "1.jpg").touch()
    assert read_catalogue(cards, image_root=tmp_path).modalities == ("image", "title")
    assert read_catalogue(table(title=["a"], image=["http://a.example/1.jpg"])).findings


def test_asking_for_help_does_not_wait_for_heavy_libraries() -> None:
    """`prodcat --help` loads this room; pandas alone takes a second."""
    program = (
        "import sys, prodcat_index.cards.catalogue, prodcat_index.cards.pictures; "
        "print([m for m in ('pandas', 'PIL', 'bs4', 'pyarrow', 'numpy') if m in sys.modules])"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert ran.stdout.strip() == "[]"


def test_what_was_taken_is_said_in_one_line() -> None:
    """A wrong column is seen at a glance, before an index is built from it."""
    catalogue = read_catalogue(
        table(sku=["1", "2"], name=["a", "b"], categories=["x", "y"], a=[1, 2], b=[1, 2], c=[1, 2])
    )
    assert catalogue.describe_columns() == (
        "id: sku, title: name, description: none, category: categories (2), picture: none, "
        "ignored: 3 columns (a, b, c)"
    )
    assert read_catalogue(table(title=["a"])).describe_columns() == (
        "id: row numbers, title: title, description: none, category: none, picture: none"
    )


def test_what_other_cards_have_and_these_lack_is_said() -> None:
    """Answers by the description alone would look like those by all."""
    first = table(headline=["a"], text=["b"], title=["x"], shelf=["c"])
    like = read_catalogue(first, title_column="headline", category_column="shelf")
    same = read_catalogue(first, like=like)
    assert (same.columns, same.notes) == (like.columns, ())
    second = read_catalogue(table(title=["a"], text=["b"], category=["c"]), like=like)
    assert second.values("title") == second.values("category") == [""]
    assert second.notes == (
        "the table lacks title (column 'headline'), which the cards of the index have: only the "
        "rest is compared; where it has another name here, choose it with --title-column, "
        "--description-column, --text-column or --image-column",
        "the table lacks the category (column 'shelf'); if it is in 'category', add "
        '--category-column "category"',
    )
    message = refusal(table(name=["a"], category=["c"]), like=like)
    assert message.startswith(
        "the table has none of the columns that the index was built from (headline, text): choose"
    )
    assert message.endswith("The columns are name, category.")


def test_the_texts_of_an_index_whose_columns_are_not_known_are_read_by_their_names() -> None:
    """An index of an earlier version would lose its further texts."""
    like = Catalogue(read_catalogue(table(title=["a"])).cards, ("title", "description", "brand"))
    read = read_catalogue(table(name=["a"], brand=["b"]), like=like)
    assert read.text_modalities == like.text_modalities
    assert (read.values("title"), read.values("brand")) == (["a"], ["b"])


def test_a_weak_column_without_categories_is_doubted_and_a_named_one_is_not() -> None:
    flags = table(title=["a", "b"], type=["simple", "configurable"])
    [doubt] = read_catalogue(flags).notes
    assert "column 'type', which holds configurable and simple" in doubt
    assert read_catalogue(flags, category_column="type").notes == ()


@pytest.mark.skipif(not DATA.is_dir(), reason="the real catalogues are not beside this checkout")
@pytest.mark.parametrize(
    ("file", "options", "cards", "categories", "pictures"),
    [
        ("flipkart1050/cards.csv", {"category_column": "level2"}, 1_050, 62, 1_047),
        ("flipkart1050/cards.csv", {}, 1_050, 7, 1_047),
        ("santechtula/cards.csv", {"group_column": "image_sha1"}, 1_405, 114, 1_402),
        ("kazanexpress_schema/train.parquet", {}, 1_132, 110, 1_129),
        (
            "kazanexpress_schema/train.parquet",
            {"category_column": "category_id"},
            1_132,
            110,
            1_129,
        ),
        ("kazanexpress_schema/test.parquet", {}, 273, 0, 273),
        ("ru_toys_ecopuzzles/cards.csv", {}, 5_939, 101, 0),
        ("ru_1c_items/cards.csv", {}, 22_170, 84, 0),
        ("dotnet_eshop/cards.csv", {}, 101, 8, 101),
    ],
)
def test_real_catalogues_are_read_whole(
    file: str, options: dict[str, str], cards: int, categories: int, pictures: int
) -> None:
    """Rows, categories or pictures lost on the way make every later number wrong."""
    catalogue = read_catalogue(DATA / file, **options)
    assert len(catalogue) == cards
    assert len(set(catalogue.values("category")) - {""}) == categories
    assert sum(map(bool, catalogue.values("image"))) == pictures
    assert not any("<p>" in text for text in catalogue.values("description"))


KINDS = ["Lamps", "Chairs", "Mugs"]


def goods(**columns: list[Any]) -> pd.DataFrame:
    return table(**{"title": ["desk lamp", "oak chair", "blue mug"], **columns})


def test_levels_in_columns_are_one_path(tmp_path: Path) -> None:
    """Half of the category would be lost, or lamps of the house and of the garden be one."""
    cards = goods(main_category=["Home"] * 3, sub_category=KINDS)
    catalogue = read_catalogue(cards)
    assert catalogue.values("category") == ["Home > Lamps", "Home > Chairs", "Home > Mugs"]
    assert catalogue.columns["category"] == "main_category > sub_category"
    told = catalogue.describe_columns()
    assert told.endswith("category: main_category > sub_category (3), picture: none")
    # Later cards are read in the same way, and one level alone is not taken for the path.
    assert read_catalogue(cards, like=catalogue).values("category")[1] == "Home > Chairs"
    assert read_catalogue(goods(sub_category=KINDS), like=catalogue).values("category") == [""] * 3
    labels = tmp_path / "labels.csv"
    cards.assign(id=[1, 2, 3]).to_csv(labels, index=False)
    assert read_labels(labels)["2"] == "Home > Chairs"
    named = read_catalogue(goods(shelf=["Home"] * 3, type=KINDS), category_column="shelf > type")
    assert named.values("category") == ["Home > Lamps", "Home > Chairs", "Home > Mugs"]


def test_what_is_a_catalogue_already_keeps_its_categories() -> None:
    """A catalogue read by one level would have other labels after it is split or joined."""
    cards = goods(category=["Home"] * 3, subcategory=KINDS)
    catalogue = read_catalogue(cards, category_column="category")
    assert catalogue.values("category") == ["Home"] * 3
    assert read_catalogue(catalogue).values("category") == ["Home"] * 3


def test_levels_that_repeat_or_lack_a_name_are_no_levels_of_their_own() -> None:
    cards = goods(
        category=["Home", "Home", "Home"], subcategory=["Home > Lamps", "Homeware", "Home"]
    )
    assert read_catalogue(cards).values("category") == ["Home > Lamps", "Home > Homeware", "Home"]
    cards = goods(**{"Kategorie 2": ["Lampen", "", ""], "Kategorie 1": ["Haus", "Haus", ""]})
    assert read_catalogue(cards).values("category") == ["Haus > Lampen", "Haus", ""]


def test_names_are_the_category_and_numbers_beside_them_its_key() -> None:
    """Whoever asks would get 12 for an answer, where the shop has a name."""
    catalogue = read_catalogue(goods(category=[10, 11, 12], category_name=KINDS))
    assert catalogue.values("category") == KINDS
    assert catalogue.values("category_id") == ["10", "11", "12"]
    [note] = read_catalogue(goods(category=[0, 1, 2])).notes
    assert "from the column 'category', which holds numbers (0, 1, 2); if these" in note
    assert read_catalogue(goods(category_id=[0, 1, 2])).notes == ()


def test_an_empty_column_does_not_hide_a_full_one() -> None:
    """The cards would have no titles, and the column of them be ignored."""
    cards = goods(title=["", None, "nan"], name=KINDS, category=[""] * 3, categories=KINDS)
    catalogue = read_catalogue(cards)
    assert (catalogue.columns["title"], catalogue.columns["category"]) == ("name", "categories")


def test_one_category_is_doubted_where_another_column_has_more() -> None:
    catalogue = read_catalogue(goods(Class=["A"] * 3, Familia=KINDS))
    assert "from the column 'Class', which holds A only; if" in catalogue.notes[0]
    assert read_catalogue(goods(Class=["A"] * 3)).notes == ()


def test_the_first_of_several_languages_is_taken_and_noted() -> None:
    names = {"Name DE": ["Lampe", "Stuhl", "Becher"], "Name EN": KINDS, "description_en": KINDS}
    catalogue = read_catalogue(table(**names))
    assert catalogue.values("title")[0] == "Lampe"
    assert catalogue.values("description") == KINDS
    assert catalogue.notes == (
        "the title is taken from the column 'Name DE', the first of several languages (others: "
        "Name EN)",
    )
    empty = read_catalogue(table(**{**names, "Name DE": [""] * 3}))
    assert empty.columns["title"] == "Name EN"


def test_a_weak_id_is_the_id_only_where_every_card_has_its_own() -> None:
    """A shop whose bought goods alone have an EAN could not read its file."""
    assert read_catalogue(goods(EAN=["40", "41", "42"])).ids == ["40", "41", "42"]
    for values in (["40", "", "42"], ["40", "41", "41"]):
        assert read_catalogue(goods(EAN=values)).ids == ["1", "2", "3"]


def test_the_line_says_why_a_column_of_pictures_gives_none(tmp_path: Path) -> None:
    """Whoever has addresses would look for an empty column."""
    line = read_catalogue(goods(image1=["https://a.example/1.jpg"] * 3)).describe_columns()
    assert "picture: image1 (addresses only)" in line
    path = written(tmp_path, "title,image\na,/no/such.jpg\n")
    catalogue = read_catalogue(path)
    assert (
        "picture: image (no file found; --image-root names their folder)"
        in catalogue.describe_columns()
    )
    assert findings(catalogue) == [
        "1 card names a picture file that is not there (the first: /no/such.jpg): 1"
    ]


def test_a_line_break_in_a_name_does_not_break_the_line() -> None:
    assert "\n" not in read_catalogue(goods(**{"title\nen": KINDS})).describe_columns()


def test_an_empty_column_is_not_called_lacking() -> None:
    like = read_catalogue(goods(description=KINDS, id=[1, 2, 3]))
    assert read_catalogue(goods(description=[""] * 3, id=[1, 2, 3]), like=like).notes == ()
    [note] = read_catalogue(goods(description=KINDS), like=like).notes
    assert note == (
        "the table lacks the ids (column 'id'), so its cards are called by their row numbers; "
        "choose the column of the ids with --id-column"
    )
