"""The commands as a user runs them: what is printed where, and with which exit status."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import made
import pandas as pd
import pytest
from command import ENVIRONMENT, prodcat
from openpyxl import load_workbook
from PIL import Image

from prodcat_index import ProductIndex, read_catalogue


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a catalogue of cards and pictures, and its index."""
    folder = tmp_path_factory.mktemp("shop")
    (folder / "images").mkdir()
    pictures = made.draw_pictures(folder / "images", len(made.CARDS))
    rows = [
        {**card, "image": f"images/{picture.name}"}
        for card, picture in zip(made.CARDS, pictures, strict=True)
    ]
    pd.DataFrame(rows).to_csv(folder / "cards.csv", index=False)
    built = prodcat("build-index", "cards.csv", "--output", "indexes/shop", cwd=folder)
    assert built.code == 0, built.err
    assert "9 cards in 3 categories, embedded by image, title, description" in built.out
    return folder


def test_unlabelled_cards_are_counted_on_stderr(shop: Path, tmp_path: Path) -> None:
    """Otherwise a shop would not learn that part of its catalogue teaches nothing."""
    built = prodcat("build-index", "cards.csv", "-o", tmp_path / "index", cwd=shop)
    assert "note: 1 card has no category" in built.err and "u1" in built.err
    assert "note" not in built.out


def test_query_finds_the_nearest_card_in_every_format(shop: Path) -> None:
    """A script that reads one of the formats would break."""
    asked = ("query", "--text", "electric kettle", "--k", "2", "--index", "indexes/shop")
    as_json = prodcat(*asked, "--format", "json", cwd=shop).json
    lines = prodcat(*asked, "--format", "jsonl", cwd=shop).out.splitlines()
    rows = list(csv.DictReader(io.StringIO(prodcat(*asked, "--format", "csv", cwd=shop).out)))
    table = prodcat(*asked, cwd=shop).out
    assert [r["id"] for r in as_json] == [json.loads(line)["id"] for line in lines]
    assert [r["id"] for r in as_json] == [row["id"] for row in rows]
    assert as_json[0]["id"] == "k2" and as_json[0]["similarity"] == pytest.approx(1.0, abs=1e-3)
    assert rows[0]["by_modality.title"] == "1.0"
    assert table.index("k2") < table.index(as_json[1]["id"])


def test_an_explained_query_finds_the_same_cards_as_the_query(shop: Path) -> None:
    """The explanation would be of other products than those that were found."""
    picture = shop / "images" / "picture6.png"
    asked = ("query", "-i", "indexes/shop", "--text", "kettle", "--image", picture, "-k", "4")
    asked = (*asked, "--format", "json")
    plain, explained = (prodcat(*asked, *more, cwd=shop).json for more in ((), ("--explain",)))
    assert explained == plain and len(plain) == 4
    for near in explained:
        assert sum(near["contributions"].values()) == pytest.approx(near["similarity"], abs=1e-3)


def test_predict_answers_the_listings_of_some_ids_alone(shop: Path) -> None:
    """To explain one listing of a file, a user would have to copy it by hand."""
    asked = ("predict", "cards.csv", "-i", "indexes/shop", "--format", "json")
    some = prodcat(*asked, "--id", "k2", "--id", "b1", cwd=shop).json
    every = prodcat(*asked, cwd=shop).json
    assert some == [answer for answer in every if answer["id"] in ("k2", "b1")] and len(some) == 2
    wrong = prodcat(*asked, "--id", "k99", cwd=shop)
    assert wrong.code == 1 and "cards.csv has no k99" in wrong.err


def test_predictions_are_written_as_a_workbook_with_titles(shop: Path, tmp_path: Path) -> None:
    """A CSV file of UTF-8 opens in Excel with broken letters."""
    asked = ("predict", "cards.csv", "-i", "indexes/shop", "-o")
    for name in ("answers.xlsx", "answers.csv"):
        done = prodcat(*asked, tmp_path / name, cwd=shop)
        assert done.code == 0, done.err
    with (tmp_path / "answers.csv").open(encoding="utf-8", newline="") as file:
        expected = list(csv.DictReader(file))
    head, *rows = load_workbook(tmp_path / "answers.xlsx").active.values
    found = [dict(zip(head, row, strict=True)) for row in rows]
    assert [(row["id"], row["title"], row["category"]) for row in found] == [
        (row["id"], row["title"], row["category"]) for row in expected
    ]
    assert [row["confidence"] for row in found] == [float(row["confidence"]) for row in expected]
    assert any(row["title"] for row in found)


def test_weights_change_what_is_found(shop: Path) -> None:
    """Weights that are parsed and then ignored would go unnoticed."""
    picture = shop / "images" / "picture6.png"
    asked = ("query", "-i", "indexes/shop", "--text", "steel kettle", "--image", picture, "-k", "1")
    asked = (*asked, "--format", "json")
    assert prodcat(*asked, "--weights", "image=1", cwd=shop).json[0]["id"] == "l1"
    assert prodcat(*asked, "--weights", "title=1,image=0", cwd=shop).json[0]["id"] == "k1"


def test_a_filter_leaves_other_cards_out_and_counts_those_that_match(shop: Path) -> None:
    """A customer would be shown products that are not what was asked for."""
    asked = ("--where", 'category under Shoes and not title ~ "HIKING"', "--format", "json")
    found = prodcat("query", "--text", "kettle", *asked, cwd=shop)
    assert sorted(card["id"] for card in found.json) == ["b1", "b2"]
    assert f"note: 2 of 9 cards match {asked[1]}" in found.err
    alike = prodcat("similar", "b1", *asked, cwd=shop)
    assert [card["id"] for card in alike.json] == ["b2"]
    told = prodcat("predict", "--title", "kettle", *asked, cwd=shop)
    assert told.json[0]["category"] == made.BOOTS
    assert f"note: 2 of 9 cards match {asked[1]}" in told.err
    # Nothing is found, and that is no failure.
    none = prodcat("query", "--text", "kettle", "--where", "category=shoes", cwd=shop)
    assert (none.code, none.out) == (0, "")
    assert none.err == "note: no card matches category=shoes.\n"


def test_similar_leaves_the_card_itself_out(shop: Path) -> None:
    """The first "similar product" of every page would be the product itself."""
    found = prodcat("similar", "b1", "-i", "indexes/shop", "-f", "json", cwd=shop).json
    ids = [neighbour["id"] for neighbour in found]
    assert "b1" not in ids and len(ids) == 8
    index = ProductIndex.load(shop / "indexes" / "shop")
    assert ids == [neighbour.id for neighbour in index.similar("b1")]


def test_predictions_file_agrees_with_the_library(shop: Path) -> None:
    """The command and the Python call would give two different answers."""
    done = prodcat("predict", "cards.csv", "-i", "indexes/shop", "-o", "predictions.csv", cwd=shop)
    assert done.code == 0, done.err
    written = pd.read_csv(shop / "predictions.csv", dtype=str, keep_default_na=False)
    index = ProductIndex.load(shop / "indexes" / "shop")
    predicted = index.predict(read_catalogue(shop / "cards.csv"))
    assert list(written["category"]) == predicted.categories
    assert list(written["id"]) == [card["id"] for card in made.CARDS]
    known = "note: labelled cards of this index among the listings: 8 of 9; each is answered"
    assert done.err.index(known) < done.err.index("score: ")
    assert "on 8 cards of 3 categories" in done.err


def test_a_score_says_what_it_is_by_and_is_none_where_the_categories_are_others(shop: Path) -> None:
    """A file with slashes would pass a verdict on an index that answered it right."""
    rows = [{"id": f"x{n}", "title": "leather boots", "type": made.BOOTS} for n in range(2)]
    pd.DataFrame(rows).to_csv(shop / "typed.csv", index=False)
    asked = ("predict", "typed.csv", "-i", "indexes/shop", "--category-column", "type")
    done = prodcat(*asked, cwd=shop)
    assert "of 1 category; true categories from the column 'type'\n" in done.err
    slashed = made.BOOTS.replace(" > ", "/")
    pd.DataFrame(rows).assign(type=slashed).to_csv(shop / "typed.csv", index=False)
    done = prodcat(*asked, cwd=shop)
    assert f"1 of 1 category is not in the index ({slashed}); 1 would match with --cat" in done.err
    assert "score: none, because the index does not have the categories of 2 of 2 cards" in done.err
    mended = prodcat(*asked, "--category-separator", "/", cwd=shop)
    assert "accuracy 1.000" in mended.err


def test_labels_file_gives_the_score(shop: Path) -> None:
    """A wrong prediction would not count against the score."""
    (shop / "truth.csv").write_text(
        f"id,category\nb1,{made.BOOTS}\nb2,{made.BOOTS}\nk1,{made.LAMPS}\nl1,Garden\n"
    )
    done = prodcat(
        *("predict", "cards.csv", "-i", "indexes/shop", "--labels", "truth.csv", "-f", "csv"),
        cwd=shop,
    )
    assert "accuracy 0.250 on 4 cards of 3 categories (1 card is of" in done.err


def test_one_listing_from_options_and_from_stdin(shop: Path) -> None:
    """A shop's own program could not ask about one listing."""
    asked = ("--index", "indexes/shop", "--format", "json")
    by_options = prodcat("predict", "--title", "leather boots", *asked, cwd=shop).json[0]
    by_stdin = prodcat("predict", "-", *asked, cwd=shop, stdin='{"title": "leather boots"}').json[0]
    assert by_options["category"] == by_stdin["category"] == made.BOOTS
    assert by_options["confidence"] == by_stdin["confidence"]


@pytest.mark.parametrize("text", ["", "{1", "[1]", "[" * 100_000, "\0\0"])
def test_a_bad_listing_on_stdin_is_a_sentence(shop: Path, text: str) -> None:
    done = prodcat("predict", "-", "-i", "indexes/shop", cwd=shop, stdin=text)
    assert done.code == 1 and done.err.startswith("prodcat: ") and "stdin" in done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    "text",
    [
        '{"title": "<b>leather</b> boots\u200b", "price": 7, "tags": ["a", {"b": null}]}',
        '[{"id": 5, "title": "leather boots", "description": null}]',
        '{"title": "leather boots"}\n{"title": NaN}\n',
        'title;id\n"leather&nbsp;boots";5\n',
    ],
)
def test_listings_on_stdin_are_read_as_those_of_a_file(shop: Path, text: str) -> None:
    """A program that pipes what it has would have to bring it into one shape first."""
    asked = ("--index", "indexes/shop", "--format", "json")
    [expected] = prodcat("predict", "--title", "leather boots", *asked, cwd=shop).json
    done = prodcat("predict", "-", *asked, cwd=shop, stdin=text)
    assert done.code == 0, done.err
    assert {**done.json[0], "id": ""} == {**expected, "id": ""}


def test_a_picture_on_stdin_that_is_not_there_is_counted(shop: Path) -> None:
    listing = '{"id": "a", "title": "leather boots", "image": "images/nope.jpg"}'
    done = prodcat("predict", "-", "-i", "indexes/shop", cwd=shop, stdin=listing)
    assert done.code == 0
    assert "1 card names a picture file that is not there" in done.err and "nope.jpg" in done.err


def test_an_index_is_asked_by_the_columns_it_was_built_from(shop: Path) -> None:
    """A file with a column "title" that is no title would get answers, all of them worthless."""
    table = pd.DataFrame(made.CARDS).rename(columns={"title": "headline", "category": "shelf"})
    table.assign(title="x", category="y").to_csv(shop / "named.csv", index=False)
    named = ("--title-column", "headline", "--category-column", "shelf")
    built = prodcat("build-index", "named.csv", *named, "-o", "named", cwd=shop)
    assert built.code == 0
    assert (
        "named.csv (CSV): id: id, title: headline, description: description, category: shelf (3), "
        "picture: none, ignored: 2 columns (title, category)\n"
    ) in built.err.replace("\n    ", " ")
    # Under other ids these are new listings, which the cards of the index answer for.
    new = table.assign(id="n" + table["id"], title="x", category="y")
    new.to_csv(shop / "new.csv", index=False)
    done = prodcat("predict", "new.csv", "-i", "named", "--format", "json", cwd=shop)
    assert "accuracy 1.000" in done.err
    assert done.json[0]["category"] == made.BOOTS
    table.rename(columns={"headline": "title"}).to_csv(shop / "other.csv", index=False)
    other = prodcat("predict", "other.csv", "-i", "named", cwd=shop)
    assert other.code == 0 and "other.csv lacks title (column 'headline')" in other.err
    listing = prodcat("predict", "-", "-i", "named", cwd=shop, stdin='{"title": "leather boots"}')
    assert listing.code == 0 and made.BOOTS in listing.out
    evaluated = prodcat("split", "named.csv", "--like", "named", "-o", "split.csv", cwd=shop)
    assert "title: headline" in evaluated.err


def test_a_file_without_categories_names_its_columns(shop: Path) -> None:
    table = pd.DataFrame(made.CARDS).rename(columns={"category": "Regal"})
    table.to_csv(shop / "regal.csv", index=False)
    done = prodcat("build-index", "regal.csv", "-o", "none", cwd=shop)
    assert done.code == 1 and "The columns are id, title, description, Regal" in done.err


def test_explain_names_the_modality_that_decided(shop: Path) -> None:
    """Reviewers would not see why."""
    asked = ("predict", "--title", "desk lamp", "--explain", "--index", "indexes/shop")
    explained = prodcat(*asked, "--format", "json", cwd=shop).json[0]
    assert explained["decided_by"] == "title"
    assert explained["without"]["title"]["category"] == ""
    shares = [neighbour["vote_share"] for neighbour in explained["neighbours"]]
    assert sum(shares) == pytest.approx(1.0, abs=1e-3)
    assert "decided by title" in prodcat(*asked, cwd=shop).out


def test_sheet_is_drawn(shop: Path) -> None:
    """The picture that a person looks at would be missing."""
    pages = {"similar": ["sheet.png"], "query": ["sheet.png"]}
    pages["predict"] = ["sheet-1.png", "sheet-2.png"]  # of nine cards
    for command in (["similar", "b1"], ["query", "--text", "boots"], ["predict", "cards.csv"]):
        done = prodcat(*command, "-i", "indexes/shop", "--sheet", "sheet.png", cwd=shop)
        assert done.code == 0, done.err
        drawn = sorted(shop.glob("sheet*.png"))
        assert [file.name for file in drawn] == pages[command[0]]
        assert " to ".join(pages[command[0]]) in done.err
        for file in drawn:
            with Image.open(file) as sheet:
                assert sheet.format == "PNG" and sheet.width > 600
            file.unlink()


def test_info_tells_the_counts_and_finds_damage(shop: Path) -> None:
    """A damaged copy would be taken for a good one."""
    as_json = prodcat("info", "indexes/shop", "--format", "json", cwd=shop).json
    assert (as_json["cards"], as_json["labelled"], as_json["categories"]) == (9, 8, 3)
    assert (
        "9 cards, 8 of them labelled, in 3 categories"
        in prodcat("info", "indexes/shop", cwd=shop).out
    )
    copy = shop / "copy"
    ProductIndex.load(shop / "indexes" / "shop").save(copy)
    cards = next(copy.rglob("cards.parquet"))
    cards.write_bytes(cards.read_bytes()[:-1] + b"?")
    damaged = prodcat("info", copy, cwd=shop)
    assert damaged.code == 1 and "cards.parquet has changed" in damaged.err


def test_the_only_index_is_found_by_itself(shop: Path, tmp_path: Path) -> None:
    """Every command would need --index."""
    index = ProductIndex.load(shop / "indexes" / "shop")
    index.save(tmp_path / "indexes" / "one")
    assert prodcat("similar", "k1", "-k", "1", "-f", "json", cwd=tmp_path).json[0]["id"] == "k2"
    index.save(tmp_path / "indexes" / "two")
    several = prodcat("similar", "k1", cwd=tmp_path)
    assert several.code == 1 and "several indexes" in several.err
    (tmp_path / "empty").mkdir()
    assert "There is no index in indexes/" in prodcat("info", cwd=tmp_path / "empty").err


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["build-index", "nothing.csv"], 1, "nothing.csv"),
        # Before the catalogue is read and embedded, which may take hours.
        (["build-index", "nothing.csv", "-o", "."], 1, "holds other files"),
        (["query", "--text", "x", "-i", "nowhere"], 1, "There is no index at nowhere"),
        (["query", "-i", "indexes/shop"], 2, "Give --text"),
        (["query", "--text", "щъ", "-i", "indexes/shop"], 1, "can be compared"),
        (["similar", "zz", "-i", "indexes/shop"], 1, "There is no card 'zz'"),
        (["query", "--text", "x", "--weights", "colour=1", "-i", "indexes/shop"], 1, "no block"),
        (["query", "--text", "x", "--weights", "title", "-i", "indexes/shop"], 2, "NAME=NUMBER"),
        (["query", "--k", "0", "--text", "x", "-i", "indexes/shop"], 2, "greater"),
        (["build-index", "cards.csv", "--encoder", "title"], 2, "MODALITY=SPEC"),
        (["build-index", "cards.csv", "--encoder", "title=lexicl"], 2, "Did you mean 'lexical'"),
        (["build-index", "cards.csv", "--encoder", "image=lexical"], 1, "reads texts"),
        (["build-index", "cards.csv", "--title-column", "titel"], 1, "title"),
        (["predict", "-i", "indexes/shop"], 2, "Give a file of new listings"),
        (["frobnicate"], 2, "frobnicate"),
    ],
)
def test_failures_are_sentences(shop: Path, arguments: list[str], code: int, sentence: str) -> None:
    """A user would see a traceback, or a status that scripts misread."""
    done = prodcat(*arguments, cwd=shop)
    assert done.code == code, done.err
    assert sentence in done.err and "Traceback" not in done.err
    assert done.out == ""


def test_debug_shows_the_traceback(shop: Path) -> None:
    """A bug report could not carry one."""
    done = prodcat("info", "nowhere", "--debug", cwd=shop)
    assert done.code == 1 and "Traceback" in done.err and "There is no index at nowhere" in done.err


def test_progress_is_drawn_only_on_terminals(shop: Path, tmp_path: Path) -> None:
    """Log files would fill with bars."""
    done = prodcat("build-index", "cards.csv", "-o", tmp_path / "index", cwd=shop)
    assert "%" not in done.err and "\r" not in done.err


def test_a_text_query_imports_no_torch(shop: Path) -> None:
    """A look-up from the shell would take seconds longer."""
    program = (
        "import sys; from prodcat_index.cli import main\n"
        "sys.argv = ['prodcat', 'query', '--text', 'boots', '-i', 'indexes/shop']\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'timm', 'torchvision', 'sklearn', 'scipy', 'matplotlib', 'bs4'}\n"
        "print('HEAVY', sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=shop, capture_output=True, text=True, env=ENVIRONMENT
    )
    assert "HEAVY []" in done.stdout, done.stdout + done.stderr
    assert "b1" in done.stdout


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("nope.jpg", "there is no such file"),
        ("page.jpg", "it is not a picture of a known format"),
        ("https://shop.example/a.jpg", "it is a web address: download it first"),
        (".", "it is a folder"),
    ],
)
@pytest.mark.parametrize(
    "command", [("predict", "--title", "steel kettle"), ("query", "--text", "steel kettle")]
)
def test_a_picture_that_cannot_be_used_ends_the_command(
    shop: Path, command: tuple[str, ...], name: str, why: str
) -> None:
    """The answer of the title alone would be taken for one of both."""
    (shop / "page.jpg").write_text("<html>404</html>")
    done = prodcat(*command, "--image", name, "-i", "indexes/shop", cwd=shop)
    assert (done.code, done.out) == (1, "")
    assert str(Path(name)) in done.err and why in done.err and "Traceback" not in done.err
