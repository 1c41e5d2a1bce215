"""Commands that change an index, as a user runs them: what is printed, what is left, and undone."""

from __future__ import annotations

import csv
import io
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import sleep

import made
import pandas as pd
import pytest
from command import Outcome, call, prodcat
from test_index_folder import content_of

from prodcat_index import IndexFolderError, ProductIndex
from prodcat_index.files import exclusive_folder

# The columns of the shop, which the index remembers.
COLUMNS = {"id": "sku", "title": "title", "description": "text", "category": "shelf"}
GNOME = made.row("n1", "garden gnome", "painted clay", category="Garden > Gnomes")
Run = Callable[[str], Outcome]
CHANGES = ["added", "changed", "removed", "relabelled"]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("changes")
    write(folder / "cards.csv", *made.CARDS)
    columns = ["--id-column", "sku", "--description-column", "text", "--category-column", "shelf"]
    done = prodcat("build-index", "cards.csv", "-o", "indexes/shop", *columns, cwd=folder)
    assert done.code == 0, done.err
    return folder


@pytest.fixture
def shop(built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a catalogue and its index, in which the commands run."""
    folder = Path(shutil.copytree(built, tmp_path / "shop"))
    monkeypatch.chdir(folder)
    monkeypatch.delenv("PRODCAT_INDEX", raising=False)
    return folder


@pytest.fixture
def run(shop: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command in this process."""
    return lambda arguments: Outcome(*call(arguments, monkeypatch, capsys))


def write(path: Path, *rows: dict[str, str]) -> None:
    pd.DataFrame(rows, columns=list(COLUMNS)).rename(columns=COLUMNS).to_csv(path, index=False)


def index_of(shop: Path) -> ProductIndex:
    return ProductIndex.load(shop / "indexes" / "shop")


def export(**changes: dict[str, str]) -> list[dict[str, str]]:
    """The cards of the shop, some of them otherwise; without those that are changed to nothing."""
    return [{**card, **changes.get(card["id"], {})} for card in made.CARDS]


def test_sync_makes_the_index_equal_to_the_export(shop: Path, run: Run) -> None:
    """Cards that left the shop would be answered for ever, and one changed card refuse all."""
    lamps = {card: {"category": "Light > Lamps"} for card in ("l1", "l2")}
    rows = export(b1={"title": "red suede boots"}, k1={"category": made.BOOTS}, **lamps)
    write(shop / "export.csv", *(row for row in rows if row["id"] != "u1"), GNOME)
    told = [
        "1 new: n1",
        "1 changed (title 1): b1",
        "1 of another category: k1",
        "  Kitchen > Kettles -> Shoes > Boots (1 card): k1",
        "1 removed: u1",
        "1 category renamed: Home > Lamps -> Light > Lamps (2 cards)",
        "4 unchanged",
    ]
    before = content_of(shop / "indexes")
    allowed = "--max-removed 12% --allow-new-categories"
    dry = run(f"sync export.csv --dry-run {allowed}")
    assert (dry.code, dry.out.splitlines()) == (0, [*told, "Dry run: indexes/shop stays as it is."])
    assert content_of(shop / "indexes") == before
    done = run(f"sync export.csv {allowed}")
    last = "Changed indexes/shop: 9 cards in 4 categories."
    assert (done.code, done.out.splitlines()) == (0, [*told, last])
    assert "note: 1 new category: Garden > Gnomes" in done.err
    assert "note: Build the index again with all cards (prodcat build-index):" in done.err
    index = index_of(shop)
    wanted = pd.read_csv(shop / "export.csv", dtype=str, keep_default_na=False).set_index("sku")
    assert sorted(index.catalogue.ids) == sorted(wanted.index)
    for card_id, row in wanted.iterrows():
        card = index.card(card_id)
        assert (card.title, card.description, card.category) == tuple(
            row[["title", "text", "shelf"]]
        )
    again = run("sync export.csv")
    assert (again.code, again.out) == (0, "9 unchanged\nindexes/shop stays as it is.\n")


def test_half_an_export_removes_nothing(shop: Path, run: Run) -> None:
    """An export that broke off would empty the index over night."""
    write(shop / "export.csv", *made.CARDS[:5])
    before = content_of(shop / "indexes")
    for command in ("sync export.csv", "sync export.csv --max-removed 0.3 --dry-run"):
        refused = run(command)
        assert (refused.code, refused.out) == (1, "4 removed: k3, l1, l2, u1\n5 unchanged\n")
        assert "export.csv lacks 4 of the 9 cards of the index (45%); at most" in refused.err
        assert "allow it with --max-removed 45%. Nothing was changed." in refused.err
    assert content_of(shop / "indexes") == before
    write(shop / "export.csv", *made.CARDS[:5])
    assert run("sync export.csv --max-removed 45%").code == 0
    assert len(index_of(shop)) == 5


def test_a_wrong_column_of_categories_changes_nothing(shop: Path, run: Run) -> None:
    """All categories would be new, or renamed to the same name."""
    before = content_of(shop / "indexes")
    for name in ("Shop", "{}"):
        wrong = {card["id"]: {"category": name.format(card["title"])} for card in made.CARDS}
        write(shop / "export.csv", *export(**wrong))
        refused = run("sync export.csv")
        assert refused.code == 1
        assert "they are on 9 of its 9 labelled cards. If they are right, add" in refused.err
    assert content_of(shop / "indexes") == before


def test_one_new_category_of_many_cards_needs_no_leave(shop: Path, run: Run) -> None:
    """A nightly sync of few new cards would be refused for each new category."""
    many = [made.row(f"m{n}", f"boots {n}", category=made.BOOTS) for n in range(20)]
    write(shop / "export.csv", *made.CARDS, *many)
    assert run("sync export.csv").code == 0
    write(shop / "export.csv", *made.CARDS, *many, GNOME)
    done = run("sync export.csv")
    assert (done.code, done.out.splitlines()[0]) == (0, "1 new: n1")


@pytest.mark.parametrize("command", ["add {}", "sync {} --max-removed 100%"])
@pytest.mark.parametrize(("name", "content"), [("new.csv", "sku,title\n"), ("new.json", " ")])
def test_an_empty_delivery_is_a_sentence(
    command: str, name: str, content: str, shop: Path, run: Run
) -> None:
    """A night without news would be reported as a failure, or remove all cards."""
    (shop / name).write_text(content)
    before = content_of(shop / "indexes")
    done = run(command.format(name))
    assert (done.code, done.out) == (0, "9 unchanged\nindexes/shop stays as it is.\n")
    assert name in done.err and done.err.endswith("Nothing is added or removed.\n")
    assert run(f"{command.format(name)} --format json").json["unchanged"] == 9
    assert content_of(shop / "indexes") == before


def test_add_takes_changed_cards_unless_only_new_ones_are_asked_for(shop: Path, run: Run) -> None:
    """Prices and texts of a shop change every day."""
    write(shop / "new.csv", {**made.CARDS[0], "title": "red suede boots"}, GNOME)
    only = run("add new.csv --only-new --allow-new-categories --format json")
    assert only.json["added"] == ["n1"] and only.json["changed"] == []
    assert "note: 1 card is in the index already (skipped): b1" in only.err
    assert index_of(shop).card("b1").title == "red leather boots"
    both = run("add new.csv --format csv")
    assert both.out == "change,id,from,to,cards\nchanged,b1,,,1\n"
    assert index_of(shop).card("b1").title == "red suede boots"
    assert "Changed indexes/shop: 10 cards in 4 categories." in both.err


def test_ids_that_are_no_file_are_ids_and_a_missing_file_is_named(shop: Path, run: Run) -> None:
    """A long list of ids, or a wrong path, would be reported as a broken index."""
    many = ",".join(f"old-{number}" for number in range(500))
    done = run(f"remove --ids {many},l1 --format json")
    assert (done.code, done.json["removed"]) == (0, ["l1"])
    assert done.err.count("500 ids are of no card of the index (left out)") == 1
    missing = run("remove --ids gone.txt")
    assert missing.code == 1
    assert missing.err == "prodcat: gone.txt cannot be read: No such file or directory.\n"


def test_cards_are_removed_by_their_ids(shop: Path, run: Run) -> None:
    """Only a build from a new export would get rid of a recalled product."""
    (shop / "gone.txt").write_text("l1\nl2\nnever\n")
    before = content_of(shop / "indexes")
    dry = run("remove --ids gone.txt --dry-run")
    assert dry.out == "2 removed: l1, l2\n7 unchanged\nDry run: indexes/shop stays as it is.\n"
    assert dry.err == "note: 1 id is of no card of the index (left out): never\n"
    assert content_of(shop / "indexes") == before
    done = run("remove --ids gone.txt --ids 'u1, b3'")
    assert done.out == (
        "4 removed: b3, l1, l2, u1\n5 unchanged\nChanged indexes/shop: 5 cards in 2 categories.\n"
    )
    assert index_of(shop).catalogue.ids == ["b1", "b2", "k1", "k2", "k3"]
    again = run("remove --ids gone.txt")
    assert (again.code, again.out) == (0, "5 unchanged\nindexes/shop stays as it is.\n")
    missing = run("remove --ids gone.csv")
    assert missing.code == 1 and "There is no file gone.csv." in missing.err
    none = run("remove --ids b1,b2,k1,k2,k3")
    assert none.code == 1 and "prodcat: " in none.err
    assert len(index_of(shop)) == 5


def test_categories_are_renamed_merged_and_split(shop: Path, run: Run) -> None:
    """A new tree of categories would take a night's build."""
    moves = f"old,new\n{made.BOOTS},Boots\n{made.LAMPS},Home\n{made.KETTLES},Home\nk1,Steel\nq,x\n"
    (shop / "map.csv").write_text(moves)
    done = run("relabel map.csv")
    assert done.code == 0, done.err
    assert done.out.splitlines()[-1] == "Changed indexes/shop: 9 cards in 3 categories."
    assert "note: 1 name is of no card and no category of the index (left out): q" in done.err
    index = index_of(shop)
    assert {card: index.card(card).category for card in ("b1", "k1", "k2", "l1", "u1")} == {
        **{"b1": "Boots", "k1": "Steel", "k2": "Home", "l1": "Home", "u1": ""}
    }
    assert run("predict --title boots --format json").json[0]["category"] == "Boots"
    assert run("rollback").code == 0
    assert index_of(shop).card("b1").category == made.BOOTS


def test_an_index_is_fitted_again(shop: Path, run: Run) -> None:
    done = run("refit indexes/shop")
    assert (done.code, done.out) == (0, "Fitted indexes/shop: 9 cards in 3 categories.\n")
    untuned = run("refit --tune")
    assert untuned.code == 1 and "Tuning needs at least 20 labelled cards" in untuned.err
    assert run("info --log --format json").json[-1]["verb"] == "refit"


def test_differences_are_data(shop: Path, run: Run) -> None:
    """A script would have to read sentences."""
    lamps = {card: {"category": "Light"} for card in ("l1", "l2")}
    write(shop / "export.csv", *export(b1={"title": "x"}, k1={"category": made.BOOTS}, **lamps)[:8])
    asked = "sync export.csv --dry-run --max-removed 1 --allow-new-categories --format"
    whole = run(f"{asked} json").json
    assert whole == {
        "source": "export.csv",
        **{"added": [], "changed": ["b1"], "removed": ["u1"], "relabelled": ["k1"]},
        **{"changed_parts": {"title": ["b1"]}, "renamed": {made.LAMPS: "Light"}, "unchanged": 4},
        "renamed_cards": {made.LAMPS: 2},
        "moves": {"k1": {"from": made.KETTLES, "to": made.BOOTS}},
        "decided": 0,
    }
    rows = list(csv.DictReader(io.StringIO(run(f"{asked} csv").out)))
    assert [tuple(row.values()) for row in rows] == [
        *[
            (kind, card, *((made.KETTLES, made.BOOTS) if card == "k1" else ("", "")), "1")
            for kind in CHANGES
            for card in whole[kind]
        ],
        ("renamed", made.LAMPS, made.LAMPS, "Light", "2"),
    ]
    lines = run(f"{asked} jsonl")
    assert [
        {name: str(value) for name, value in json.loads(line).items()}
        for line in lines.out.splitlines()
    ] == rows
    assert lines.err.endswith("Dry run: indexes/shop stays as it is.\n")


def test_a_change_is_undone_and_done_again(shop: Path, run: Run) -> None:
    """A wrong delivery would stay until the next night's build."""
    write(shop / "new.csv", GNOME)
    assert run("add new.csv --allow-new-categories").code == 0
    undone = run("rollback")
    assert (undone.code, undone.err) == (0, "")
    assert undone.out == (
        "Undid the last change of indexes/shop (add: 1 added): 9 cards in 3 categories.\n"
    )
    assert index_of(shop).catalogue.ids == [card["id"] for card in made.CARDS]
    again = run("rollback indexes/shop")
    assert again.out.endswith("(rollback to version 1): 10 cards in 4 categories.\n")
    assert index_of(shop).card("n1").category == "Garden > Gnomes"


def test_info_lists_the_changes(shop: Path, run: Run) -> None:
    """Nobody could tell which delivery an answer is due to."""
    write(shop / "new.csv", GNOME)
    assert run("add new.csv --allow-new-categories").code == 0
    assert run("remove --ids b1,b2").code == 0
    assert run("rollback").code == 0
    changes = run("info --log --format json").json
    told = [(change["version"], change["verb"], change["counts"]) for change in changes]
    assert told == [
        (1, "build", {"cards": 9}),
        (2, "add", {"added": 1}),
        (3, "remove", {"removed": 2}),
        (4, "rollback", {"version": 2}),
    ]
    words = ("build: 9 cards", "add: 1 added", "remove: 2 removed", "rollback to version 2")
    table = run("info --log").out.splitlines()
    assert [" ".join(line.split()) for line in table[2:-1]] == [
        f"{change['version']} {change['when']} {word} {change['package']}"
        for word, change in zip(words, changes, strict=True)
    ]
    # The page of the index shows the last ones.
    assert "".join(table[2:-1]) in run("info").out.replace("\n", "")


WRITER = """
import sys
from filelock import FileLock
with FileLock(sys.argv[1]):
    print("locked", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def other(shop: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that writes the index until it reads a line."""
    lock = str(shop / "indexes" / "shop" / ".lock")
    command = [sys.executable, "-c", WRITER, lock]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, text=True, **pipes) as process:  # type: ignore[call-overload]
        assert process.stdout.readline() == "locked\n"
        yield process
        process.kill()


@pytest.mark.parametrize(
    "command",
    ["sync cards.csv", "add cards.csv", "remove --ids b1", "relabel map.csv", "refit", "rollback"],
)
def test_a_second_writer_is_told_at_once(
    command: str, shop: Path, run: Run, other: subprocess.Popen[str]
) -> None:
    """It would embed for hours, and then be told that it was in vain."""
    (shop / "map.csv").write_text(f"old,new\n{made.BOOTS},Boots\n")
    before = content_of(shop / "indexes")
    told = run(command)
    assert (told.code, told.out) == (1, "")
    assert told.err.startswith("prodcat: Another process is writing the index indexes/shop; wait")
    assert told.err.endswith("try again (--wait SECONDS waits for it).\n")
    waited = run(f"{command} --wait 0.1").err
    assert waited.startswith("Another process is writing indexes/shop; waiting up to 0.1 s until")
    assert "and did not end in 0.1 s" in waited
    assert content_of(shop / "indexes") == before


def test_a_build_waits_for_another_writer(
    run: Run, other: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A card that a service writes at the end of a build of hours would make that vain."""
    monkeypatch.setattr("prodcat_index.cli.build_index.PATIENCE", 0.1)
    told = run("build-index cards.csv --category-column shelf --output indexes/shop")
    assert told.code == 1
    assert "and did not end in 0.1 s" in told.err


def test_a_second_writer_waits_and_sees_what_the_first_one_did(shop: Path) -> None:
    """Two deliveries at a time would lose one of them."""
    write(shop / "new.csv", GNOME)
    folder, command = shop / "indexes" / "shop", "remove --ids b1 --wait 60 --quiet"
    with ThreadPoolExecutor() as pool:
        with exclusive_folder(folder, "index", IndexFolderError):
            waiting = pool.submit(prodcat, *command.split(), cwd=shop)
            index_of(shop).add(shop / "new.csv").save_next(folder)
            sleep(1)
        done = waiting.result()
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines()[-1] == "Changed indexes/shop: 9 cards in 4 categories."
