"""``prodcat add`` as a user runs it."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import made
import pandas as pd
import pytest
from command import Outcome, call
from command import prodcat as run
from test_index_folder import content_of

from prodcat_index import ProductIndex, read_catalogue

NEW = (
    made.row("n1", "garden gnome", "painted clay", category="Garden > Gnomes", stock="7"),
    made.row("n2", "wooden garden gnome", "warm colours", category="Garden > Gnomes", stock="8"),
)
TEXTS = ("--text-column", "material")
ANY = "--allow-new-categories"
Run = Callable[..., Outcome]


def write(path: Path, rows: tuple[dict[str, str], ...], pictures: str) -> Path:
    """Write cards with their pictures in a folder beside the file."""
    (path.parent / pictures).mkdir(parents=True, exist_ok=True)
    drawn = made.draw_pictures(path.parent / pictures, len(rows))
    named = [
        {**card, "image": f"{pictures}/{picture.name}", "material": f"material {card['id']}"}
        for card, picture in zip(rows, drawn, strict=True)
    ]
    pd.DataFrame(named).to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("add")
    write(folder / "cards.csv", made.CARDS, "images")
    write(folder / "delivery" / "new.csv", NEW, "photos")
    done = run("build-index", "cards.csv", *TEXTS, "-o", "indexes/shop", cwd=folder)
    assert done.code == 0, done.err
    return folder


@pytest.fixture
def shop(built: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(built, tmp_path / "shop"))


@pytest.fixture
def prodcat(shop: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command in the folder of the shop, in this process."""
    monkeypatch.chdir(shop)
    monkeypatch.delenv("PRODCAT_INDEX", raising=False)
    return lambda *words: Outcome(*call(shlex.join(map(str, words)), monkeypatch, capsys))


def test_new_cards_answer_and_old_ones_stay(shop: Path, prodcat: Run) -> None:
    """A delivery would need a night's build."""
    done = prodcat("add", "delivery/new.csv", "--index", "indexes/shop", ANY)
    assert (done.code, done.out) == (
        0,
        "2 new: n1, n2\n9 unchanged\nChanged indexes/shop: 11 cards in 4 categories.\n",
    )
    query = ("query", "--text", "garden gnome", "-k", "2", "--format", "json")
    assert [n["id"] for n in prodcat(*query).json] == ["n1", "n2"]
    listing = ("predict", "--title", "clay gnome", "--k", "2", "--format", "json")
    assert prodcat(*listing).json[0]["category"] == "Garden > Gnomes"
    similar = prodcat("similar", "b1", "-k", "20", "--format", "json").json
    assert {n["id"] for n in similar} == {r["id"] for r in (*made.CARDS, *NEW)} - {"b1"}


def test_it_is_what_the_library_does(shop: Path, prodcat: Run) -> None:
    """The command and the Python call would make two different indexes."""
    index = ProductIndex.load(shop / "indexes" / "shop")
    cards = read_catalogue(shop / "delivery" / "new.csv", text_columns=["material"])
    grown = index.add(cards)
    assert prodcat("add", "delivery/new.csv", ANY).code == 0
    loaded = ProductIndex.load(shop / "indexes" / "shop")
    assert loaded.similar("n1") == grown.similar("n1")
    assert loaded.parts.drift == grown.parts.drift
    assert loaded.parts.catalogue.values("material")[-1] == "material n2"
    pictures = loaded.parts.catalogue.values("image")
    assert pictures == grown.parts.catalogue.values("image")
    assert pictures[-1] == str((shop / "delivery" / "photos" / "picture1.png").resolve())
    assert [str(value) for value in loaded.parts.catalogue.cards["stock"][-2:]] == ["7", "8"]


def test_the_same_file_twice_changes_nothing(shop: Path, prodcat: Run) -> None:
    """Whoever is not sure whether it ran may run it again."""
    prodcat("add", "delivery/new.csv", ANY)
    before = content_of(shop / "indexes")
    again = prodcat("add", "delivery/new.csv")
    assert (again.code, again.out) == (0, "11 unchanged\nindexes/shop stays as it is.\n")
    assert content_of(shop / "indexes") == before


def test_a_card_is_not_called_alone_in_a_category_of_the_index(shop: Path, prodcat: Run) -> None:
    """Whoever reads that mends labels that are right."""
    pd.DataFrame([{**NEW[0], "category": made.BOOTS}]).assign(material="clay").to_csv(
        shop / "one.csv", index=False
    )
    done = prodcat("add", "one.csv")
    assert done.code == 0 and "of their category" not in done.err
    assert ProductIndex.load(shop / "indexes" / "shop").parts.labels.sizes.tolist() == [2, 3, 4]


def test_cards_that_changed_are_as_they_are_now(shop: Path, prodcat: Run) -> None:
    """One card with another title would refuse the whole delivery."""
    changed = {"id": "k3", "title": "glass kettle", "description": "", "material": "glass"}
    pd.DataFrame([changed]).to_csv(shop / "other.csv", index=False)
    done = prodcat("add", "other.csv")
    assert (done.code, done.out) == (
        0,
        "1 changed (title 1, material 1): k3\n8 unchanged\n"
        "Changed indexes/shop: 9 cards in 3 categories.\n",
    )
    card = ProductIndex.load(shop / "indexes" / "shop").card("k3")
    # What the file has no column for stays.
    assert (card.title, card.category, bool(card.image)) == ("glass kettle", made.KETTLES, True)


def test_a_delivery_in_which_texts_are_lost_is_refused(shop: Path, prodcat: Run) -> None:
    """Half an export would empty what the cards are compared by."""
    before = content_of(shop / "indexes")
    rows = [{**card, "description": "", "material": "m"} for card in made.CARDS]
    pd.DataFrame(rows).to_csv(shop / "empty.csv", index=False)
    done = prodcat("add", "empty.csv")
    assert done.code == 1 and done.out.startswith("9 changed (description 8, material 9):")
    assert "empty.csv has no description for 8 of the 8 cards that stay and have" in done.err
    assert content_of(shop / "indexes") == before


def test_a_file_that_repeats_an_id_or_lacks_a_column_is_refused(shop: Path, prodcat: Run) -> None:
    before = content_of(shop / "indexes")
    pd.DataFrame([NEW[0], NEW[0]]).assign(material="clay").to_csv(shop / "twice.csv", index=False)
    twice = prodcat("add", "twice.csv")
    assert twice.code == 1 and "1 id occurs more than once in twice.csv (n1)" in twice.err
    pd.DataFrame([NEW[0]]).to_csv(shop / "bare.csv", index=False)
    bare = prodcat("add", "bare.csv")
    assert bare.code == 1 and "material" in bare.err and "Traceback" not in bare.err
    assert content_of(shop / "indexes") == before


def test_new_categories_are_named_and_many_of_them_refused(shop: Path, prodcat: Run) -> None:
    """A wrong column would fill the index with the names of colours, and nobody would know."""
    before = content_of(shop / "indexes")
    gnomes = [{**NEW[0], "id": f"n{n}"} for n in range(3)]
    pd.DataFrame(gnomes).assign(material="clay").to_csv(shop / "gnomes.csv", index=False)
    refused = prodcat("add", "gnomes.csv")
    assert (refused.code, refused.out) == (1, "3 new: n0, n1, n2\n9 unchanged\n")
    assert "has 1 new category: Garden > Gnomes; they are on 3 of its 3 labelled" in refused.err
    assert "choose the column with --category-column" in refused.err
    assert ANY in refused.err and content_of(shop / "indexes") == before
    old = [made.row(f"o{n}", "leather boots", category=made.BOOTS) for n in range(38)]
    pd.DataFrame([*NEW, *old]).assign(material="clay").to_csv(shop / "few.csv", index=False)
    few = prodcat("add", "few.csv")
    assert few.code == 0 and "note: 1 new category: Garden > Gnomes\n" in few.err


def test_one_new_category_from_another_column_is_refused(shop: Path, prodcat: Run) -> None:
    """The index takes its texts from the columns it was built from; so must a delivery."""
    old = [made.row(f"o{n}", "leather boots", category=made.BOOTS) for n in range(38)]
    table = pd.DataFrame([*NEW, *old]).assign(material="clay")
    table.rename(columns={"category": "shelf"}).to_csv(shop / "shelf.csv", index=False)
    done = prodcat("add", "shelf.csv", "--category-column", "shelf")
    assert done.code == 1
    assert "columns differ from those of the index (category from 'shelf' and not" in done.err
    assert "--category-column" not in done.err
    assert "if not, 'shelf' is not the column of the categories." in done.err


def test_columns_are_named_as_for_building(shop: Path, prodcat: Run) -> None:
    """A supplier's file has names of its own, and its pictures elsewhere."""
    table = pd.read_csv(shop / "delivery" / "new.csv")
    names = {"id": "key", "title": "head", "category": "shelf"}
    table.rename(columns=names).to_csv(shop / "supplier.csv", index=False, encoding="cp1251")
    options = ["--id-column", "key", "--title-column", "head", "--category-column", "shelf"]
    options += ["--image-root", "delivery", "--encoding", "cp1251"]
    done = prodcat("add", "supplier.csv", *options, ANY)
    assert done.code == 0, done.err
    loaded = ProductIndex.load(shop / "indexes" / "shop")
    assert loaded.card("n2").title == "wooden garden gnome"
    assert Path(loaded.card("n2").image).name == "picture1.png"


def test_info_says_what_was_added_and_when_to_build_again(shop: Path, prodcat: Run) -> None:
    """An index grows old without anybody noticing."""
    fresh = prodcat("info", "--format", "json").json
    assert (fresh["growth"], fresh["advice"]) == (None, "")
    added = prodcat("add", "delivery/new.csv", ANY)
    shown = prodcat("info", "--format", "json").json
    growth = shown["growth"]
    assert (growth["fitted_cards"], growth["new_categories"]) == (9, 1)
    assert growth["new_category_cards"] == 2
    assert [drift["block"] for drift in growth["drifts"]] == [
        "image",
        "title",
        "description",
        "material",
    ]
    # 2 of 11 cards are 18.2 %: no more than a fifth, but all of a new category.
    assert shown["advice"].startswith(
        "Build the index again with all cards (prodcat build-index): 18.2% are of new categories"
    )
    assert f"note: {shown['advice']}" in added.err
    table = " ".join(prodcat("info").out.split())
    assert shown["advice"] in table
    assert "2 cards (18.2%) came or changed since it was fitted" in table


def test_a_delivery_without_the_columns_of_the_index_is_refused(shop: Path, prodcat: Run) -> None:
    """Cards would be added without labels, or as 1, 2, 3 among the numbers of the shop."""
    before = content_of(shop / "indexes")
    table = pd.read_csv(shop / "delivery" / "new.csv")
    table["image"] = ""
    table.rename(columns={"category": "Kategorie"}).to_csv(shop / "kat.csv", index=False)
    refused = prodcat("add", "kat.csv", ANY)
    assert (refused.code, refused.out) == (1, "")
    assert "lacks the category (column 'category'): if it is in 'Kategorie', add" in refused.err
    table.drop(columns="id").to_csv(shop / "no-id.csv", index=False)
    nameless = prodcat("add", "no-id.csv", ANY)
    assert (nameless.code, nameless.out) == (1, "")
    assert "lacks the ids (column 'id'), and row numbers are no ids" in nameless.err
    assert content_of(shop / "indexes") == before
    # As the message says.
    done = prodcat("add", "kat.csv", ANY, "--category-column", "Kategorie")
    assert done.code == 0, done.err
    assert ProductIndex.load(shop / "indexes" / "shop").card("n1").category == "Garden > Gnomes"


def test_cards_that_are_added_without_labels_are_counted(shop: Path, prodcat: Run) -> None:
    table = pd.read_csv(shop / "delivery" / "new.csv").drop(columns=["category", "image"])
    table.to_csv(shop / "bare.csv", index=False)
    done = prodcat("add", "bare.csv")
    assert done.code == 0 and "note: 2 cards have no category to vote for: n1, n2" in done.err


def test_a_delivery_in_another_form_is_told_how_it_would_match(shop: Path, prodcat: Run) -> None:
    """Every category would be there twice."""
    row = {**NEW[0], "category": made.BOOTS.replace(" > ", "/"), "material": "x"}
    pd.DataFrame([row]).to_csv(shop / "slash.csv", index=False)
    done = prodcat("add", "slash.csv")
    assert done.code == 1 and '1 would match with --category-separator "/". If they' in done.err
    assert prodcat("add", "slash.csv", "--category-separator", "/").code == 0
