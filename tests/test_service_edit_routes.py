"""Cards that are added, changed and removed over HTTP: the index on disk is what was answered."""

from __future__ import annotations

import io
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pandas as pd
import pytest
from PIL import Image
from service import Served, serving

from prodcat_index.index.product_index import ProductIndex
from prodcat_index.service.settings import Limits, ServeSettings

TOKEN = "0123456789abcdef"
HEADERS = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture(scope="module")
def folder(shop_index: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    import shutil

    return Path(shutil.copytree(shop_index, tmp_path_factory.mktemp("own") / "index"))


@pytest.fixture(scope="module")
def shop(folder: Path) -> Iterator[Served]:
    """One index for all tests here, each of which changes other cards."""
    settings = ServeSettings(
        folder, tokens={TOKEN: "ann"}, writable=True, limits=Limits(seconds=2.0)
    )
    with serving(settings) as running:
        running.client.headers.update(HEADERS)
        yield running


def on_disk(shop: Served) -> ProductIndex:
    return ProductIndex.load(shop.service.current.folder)


def picture(colour: str, form: str = "PNG") -> bytes:
    written = io.BytesIO()
    Image.new("RGB", (64, 48), colour).save(written, form)
    return written.getvalue()


def problem(answer: httpx.Response, status: int) -> str:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    return str(answer.json()["detail"])


def test_a_new_card_is_found_at_once_and_stays(shop: Served) -> None:
    """Whoever adds a product would sell it nowhere."""
    category, before = shop.index.parts.labels.names[0], shop.service.current.version
    sent = {"id": "new 1/ä", "title": "Zyxwv brass kettle", "category": category, "brand": "Zyx"}
    answer = shop.client.post("/cards", json=sent)
    assert answer.status_code == 201
    assert answer.headers["location"] == "/cards/new%201%2F%C3%A4"
    made = answer.json()
    assert made["version"] == before + 1 == shop.service.current.version
    for card in (made["card"], shop.client.get(answer.headers["location"]).json()):
        assert {name: card[name] for name in sent} == sent
        assert card["description"] == card["image"] == ""
    found = shop.client.post("/search?k=1", json={"title": "Zyxwv brass kettle"}).json()
    assert found["neighbours"][0]["id"] == "new 1/ä"
    stored = on_disk(shop)
    assert stored.card("new 1/ä").category == category
    # What is fitted to the cards that were there is as it was.
    assert len(stored) == len(shop.index) == stored.parts.drift.fitted_cards + 1  # type: ignore[union-attr]


def test_a_card_that_is_there_is_not_overwritten_by_a_new_one(shop: Served) -> None:
    card, version = shop.index.card(shop.index.parts.catalogue.ids[0]), shop.service.current.version
    said = problem(shop.client.post("/cards", json={"id": card.id, "title": "other"}), 409)
    assert said == f"There is a card {card.id!r} already; change it with PUT."
    assert shop.service.current.version == version
    assert on_disk(shop).card(card.id) == card


def test_a_change_leaves_what_it_does_not_name(shop: Served) -> None:
    """A new title would cost the description and the picture."""
    before = shop.index.card(shop.index.parts.catalogue.ids[1])
    assert before.image
    answer = shop.client.put(f"/cards/{before.id}", json={"title": "Another title"})
    assert answer.status_code == 200
    after = on_disk(shop).card(before.id)
    assert after.title == "Another title" != before.title
    assert (after.description, after.image) == (before.description, before.image)
    assert (after.category, after.group) == (before.category, before.group)


def test_the_same_change_again_writes_nothing(shop: Served) -> None:
    """A client that repeats what it does not know to be done would push the last version out."""
    card_id = shop.index.parts.catalogue.ids[2]
    first, second = (shop.client.put(f"/cards/{card_id}", json={"title": "Once"}) for _ in "12")
    assert first.json() == second.json()


def test_put_makes_a_card_that_is_not_there(shop: Served) -> None:
    answer = shop.client.put("/cards/P/1", json={"id": "P/1", "title": "Unlabelled thing"})
    assert answer.status_code == 201
    assert on_disk(shop).card("P/1").category == ""
    said = problem(shop.client.put("/cards/P/1", json={"id": "P/2", "title": "x"}), 422)
    assert said == "The body is of the card 'P/2', not of 'P/1'."


def test_a_misspelt_category_is_asked_about(shop: Served) -> None:
    """A typing mistake would become a category of its own."""
    name = shop.index.parts.labels.names[0]
    sent = {"id": "N1", "title": "Thing", "category": name[:-1]}
    said = problem(shop.client.post("/cards", json=sent), 422)
    assert said.endswith(f"allow_new_category=true takes it. Did you mean {name!r}?")
    assert shop.client.post("/cards?allow_new_category=true", json=sent).status_code == 201
    assert name[:-1] in on_disk(shop).parts.labels.names


def test_a_picture_of_a_new_card_is_kept_with_the_index(shop: Served) -> None:
    """The picture would be gone with the request, and the next build would lack it."""
    content = picture("red")
    form = {"id": "PIC", "title": "Red thing"}
    answer = shop.client.post(
        "/cards", data=form, files={"image": ("../../evil.png", content, "image/png")}
    )
    assert answer.status_code == 201, answer.text
    kept = Path(on_disk(shop).card("PIC").image)
    assert (
        kept.parent
        == shop.service.settings.pictures
        == shop.service.current.folder.with_name("index.pictures")
    )
    assert kept.read_bytes() == content
    assert kept.suffix == ".png"
    shown = shop.client.get("/cards/PIC/image")
    assert shown.headers["content-type"] == "image/jpeg"
    assert Image.open(io.BytesIO(shown.content)).size == (64, 48)
    # Pictures of the cards that were there are found as before.
    old = shop.index.parts.catalogue.ids[5]
    assert Path(on_disk(shop).card(old).image).is_file()
    # A second change of the picture takes the place of the first.
    blue = picture("blue", "JPEG")
    changed = shop.client.put("/cards/PIC", files={"image": ("x", blue, "image/jpeg")})
    assert changed.status_code == 200, changed.text
    assert Path(on_disk(shop).card("PIC").image).read_bytes() == blue
    assert on_disk(shop).card("PIC").title == "Red thing"


def test_a_picture_of_a_card_that_is_refused_is_not_kept(shop: Served) -> None:
    folder = shop.service.settings.pictures
    before = sorted(folder.iterdir()) if folder.exists() else []
    form = {"id": shop.index.parts.catalogue.ids[0], "title": "x"}
    image = {"image": ("x.png", picture("green"), "image/png")}
    assert shop.client.post("/cards", data=form, files=image).status_code == 409
    assert (sorted(folder.iterdir()) if folder.exists() else []) == before


def test_a_picture_that_the_disk_has_no_room_for_leaves_nothing(
    shop: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client would not ask again after status 500, and the disk stay full."""

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("prodcat_index.service.edit_routes.os.replace", fail)
    image = {"image": ("x.png", picture("yellow"), "image/png")}
    answer = shop.client.post("/cards", data={"id": "FULL", "title": "x"}, files=image)
    assert "Nothing was changed" in problem(answer, 503)
    assert not list(shop.service.settings.pictures.glob("*.new"))


def test_a_removed_card_is_gone(shop: Served) -> None:
    card_id = shop.index.parts.catalogue.ids[-1]
    answer = shop.client.delete(f"/cards/{card_id}")
    assert answer.json()["card"] is None
    assert card_id not in on_disk(shop).parts.row_of
    assert problem(shop.client.get(f"/cards/{card_id}"), 404)
    said = problem(shop.client.delete(f"/cards/{card_id}"), 404)
    assert said == f"There is no card {card_id!r} in this index."


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        ({"title": "x"}, "A card is known by its id"),
        ({"id": "a", "title": "x", "colour": "red"}, "'colour'"),
        ({"id": "a", "title": "x", "image": "/etc/passwd"}, "neither paths nor addresses are read"),
        ({"id": "a", "title": ["x"]}, "title"),
    ],
)
def test_what_is_no_card_is_refused(shop: Served, sent: dict[str, object], said: str) -> None:
    assert said in problem(shop.client.post("/cards", json=sent), 422)


def test_two_changes_at_a_time_are_both_made(shop: Served) -> None:
    """The second would be written over the first."""
    ids = [f"both-{n}" for n in range(4)]
    answers: list[int] = []

    def add(card_id: str) -> None:
        sent = {"id": card_id, "title": f"Thing {card_id}"}
        url = f"{shop.url}/cards"
        answers.append(httpx.post(url, json=sent, headers=HEADERS, timeout=60).status_code)

    threads = [threading.Thread(target=add, args=(each,)) for each in ids]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [201] * 4
    assert {*ids} <= {*on_disk(shop).parts.row_of}


HOLD = """
import sys
from pathlib import Path
from prodcat_index.errors import IndexFolderError
from prodcat_index.files import exclusive_folder
with exclusive_folder(Path(sys.argv[1]), "index", IndexFolderError):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_change_waits_for_another_process_and_tells_if_that_takes_long(shop: Served) -> None:
    """A nightly sync and the service would undo each other's work."""
    folder = shop.service.current.folder
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout
        assert other.stdin
        assert other.stdout.readline() == b"held\n"
        answer = shop.client.post("/cards", json={"id": "late", "title": "x"})
        said = problem(answer, 503)
        assert said.startswith("The index cannot be changed now: another process is writing it")
        assert answer.headers["retry-after"] == "10"
        assert str(folder) not in answer.text
        timer = threading.Timer(0.3, other.stdin.close)
        timer.start()
        assert shop.client.post("/cards", json={"id": "late", "title": "x"}).status_code == 201


def test_a_change_of_another_process_is_kept(shop: Served) -> None:
    folder = shop.service.current.folder
    ProductIndex.load(folder).relabel({}).save_next(folder)
    first = shop.index.parts.catalogue.ids[7]
    ProductIndex.load(folder).remove([first]).save_next(folder)
    assert shop.client.put("/cards/after", json={"title": "After it"}).status_code == 201
    assert first not in on_disk(shop).parts.row_of


def test_who_only_reads_changes_nothing(served: Served) -> None:
    card_id = served.index.parts.catalogue.ids[0]
    for method, path in (("POST", "/cards"), ("PUT", "/cards/x"), ("DELETE", f"/cards/{card_id}")):
        answer = served.client.request(method, path, json={"id": "x", "title": "x"})
        assert "--writable" in problem(answer, 403)
    assert card_id in ProductIndex.load(served.service.current.folder).parts.row_of


def test_whoever_has_no_token_changes_nothing(shop: Served) -> None:
    for method, path in (("POST", "/cards"), ("PUT", "/cards/x"), ("DELETE", "/cards/x")):
        assert httpx.request(method, f"{shop.url}{path}", json={"id": "x"}).status_code == 401


def test_numbers_stay_numbers(tmp_path: Path) -> None:
    """A price that became a text would no longer be below another."""
    frame = pd.DataFrame(
        {
            "id": [f"c{n}" for n in range(6)],
            "title": ["red boot", "blue boot", "green boot", "oak table", "ash table", "elm table"],
            "category": ["Boots"] * 3 + ["Tables"] * 3,
            "price": [1, 2, 3, 4, 5, 6],
            "weight": [0.5] * 6,
            "new": [True, False] * 3,
        }
    )
    ProductIndex.build(frame, encoders={"title": "lexical:8"}).save(tmp_path / "index")
    settings = ServeSettings(tmp_path / "index", tokens={TOKEN: "ann"}, writable=True)
    with serving(settings) as shop:
        shop.client.headers.update(HEADERS)
        sent = {"id": "c9", "title": "pine table", "price": "40", "weight": "1.5", "new": "true"}
        made = shop.client.post("/cards", json=sent)
        assert made.status_code == 201, made.text
        card = made.json()["card"]
        assert card == shop.client.get("/cards/c9").json()
        assert (card["price"], card["weight"], card["new"]) == (40, 1.5, True)
        assert shop.client.post("/cards", json={"id": "c10", "title": "birch"}).status_code == 201
        assert shop.client.get("/cards/c10").json()["price"] is None
        assert shop.client.put("/cards/c2", json={"price": "7"}).json()["card"]["weight"] == 0.5
        found = shop.client.get("/cards", params={"where": "price > 5"}).json()["cards"]
        assert {each["id"] for each in found} == {"c2", "c5", "c9"}
        for name, value, what in (
            ("price", "1.5", "a whole number"),
            ("price", "9" * 20, "a whole number"),
            ("weight", "inf", "a number"),
            ("new", "maybe", "true or false"),
        ):
            answer = shop.client.put("/cards/c1", json={name: value})
            assert problem(answer, 422).startswith(f"{name} is {what}")
        stored = ProductIndex.load(tmp_path / "index").parts.catalogue
        assert stored.pieces.read("price")[:7] == [1, 2, 7, 4, 5, 6, 40]
