"""The review over HTTP: who may decide, what is answered, and what is told of errors."""

from __future__ import annotations

import csv
from dataclasses import replace
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from PIL import Image
from reviewing import AUDIT, TOKENS, labels_of, queue_of, saved_shop

from prodcat_index.service.app import create_app
from prodcat_index.service.review_queue import ReviewQueue
from prodcat_index.service.settings import ServeSettings

AT = "http://127.0.0.1"
ANNA, BORIS = (
    {"Authorization": f"Bearer {token}", "X-Client": f"tab-{name}"}
    for token, name in TOKENS.items()
)
NEW = "id,title,description,image\nn3,quantum flux capacitor,zzz,n3.png\nn4,flux,,missing.png\n"


@pytest.fixture(scope="module")
def shop_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved_shop(tmp_path_factory.mktemp("reviewing"))


@pytest.fixture
def queue(tmp_path: Path, shop_folder: Path) -> ReviewQueue:
    Image.new("RGB", (600, 300), "red").save(tmp_path / "n3.png")
    return queue_of(tmp_path, shop_folder, AUDIT, NEW)


@pytest.fixture
def client(queue: ReviewQueue) -> TestClient:
    """Without the lifespan: nothing happens beside the requests."""
    return TestClient(create_app(queue.settings), base_url=AT, headers=ANNA)


def first(client: TestClient, **more: Any) -> Any:
    return client.get("/review", **more).json()["items"][0]


def test_a_review_over_http_goes_into_the_index(client: TestClient, queue: ReviewQueue) -> None:
    page = client.get("/review?limit=3").json()
    assert [item["card"]["id"] for item in page["items"]][1:] == ["n4", "c000"]
    assert page["counter"]["left"] == 8 and page["counter"]["reviewing"] == ["anna"]
    id = page["items"][2]["id"]
    body = {"decision": "yes", "decision_id": "first"}
    for _ in range(2):  # sent again, it is the same answer
        said = client.post(f"/review/{id}", json=body).json()
        assert (said["decision_id"], said["decided"], said["counter"]["done"]) == ("first", 1, 1)
    assert first(client, headers=BORIS)["id"] not in [item["id"] for item in page["items"]]
    refused = client.post(f"/review/{id}", json={"decision": "keep"}, headers=BORIS)
    assert refused.status_code == 409
    assert refused.json()["detail"] == "This item is decided already: anna said 'yes'."
    assert client.post("/review/apply").json()["applied"] == 1
    assert labels_of(queue.current.folder)["c000"] == "kettle"
    [row] = client.get("/review/decisions").json()["decisions"]
    assert (row["who"], row["state"], row["category"]) == ("anna", "applied", "kettle")
    for _ in range(2):
        back = client.post("/review/undo", json={"decision_id": "first"}).json()
        assert [item["id"] for item in back["items"]] == [id]
    assert labels_of(queue.current.folder)["c000"] == "boots"
    assert client.post("/review/undo", json={"decision_id": "nonsense"}).status_code == 404
    assert client.post("/review/decisions/first/revert", headers=BORIS).json()["items"] == []


def test_what_cannot_be_decided_is_told_in_a_sentence(client: TestClient) -> None:
    id = first(client)["id"]
    for path, body, status, detail in (
        (f"/review/{id}", {"decision": "frobnicate"}, 422, "is no category of this index"),
        (f"/review/{id}", {"decision": ""}, 422, "decision:"),
        (f"/review/{id}", {"decision": "x" * 501}, 422, "decision:"),
        (f"/review/{id}", {"decision": "keep", "also": ["../x"]}, 422, "also"),
        ("/review/ffff", {"decision": "keep"}, 404, "There is no item 'ffff'"),
        ("/review/undo", {}, 404, "anna made no decision"),
        ("/review/decisions/ffff/revert", {}, 404, "There is no decision 'ffff'"),
    ):
        answer = client.post(path, json=body)
        assert answer.status_code == status and detail in answer.json()["detail"], path
    assert client.get("/review/ffff/similar").status_code == 404


def test_who_has_no_token_or_no_leave_decides_nothing(
    client: TestClient, queue: ReviewQueue, shop_folder: Path, tmp_path: Path
) -> None:
    """A stranger would relabel the shop."""
    id = first(client)["id"]
    for path in (f"/review/{id}", "/review/undo", "/review/apply", "/review/decisions/x/revert"):
        body = {"decision": "keep"}
        assert client.post(path, json=body, headers={"Authorization": ""}).status_code == 401
    assert client.get("/review", headers={"Authorization": ""}).status_code == 401
    reading = TestClient(create_app(replace(queue.settings, writable=False)), base_url=AT)
    reading.headers.update(ANNA)
    assert reading.get("/review").json()["items"][0]["id"] == id
    refused = reading.post(f"/review/{id}", json={"decision": "keep"})
    assert refused.status_code == 403
    assert "start it with --writable" in refused.json()["detail"]
    assert queue.counter()["done"] == 0
    # A service that only reads makes no file beside the index.
    bare = TestClient(create_app(ServeSettings(shop_folder)), base_url=AT)
    assert bare.get("/review").status_code == 404
    assert not ServeSettings(shop_folder).journal.exists()


def test_the_journal_is_exported(client: TestClient) -> None:
    page = client.get("/review?limit=50").json()["items"]
    chosen = next(item for item in page if item["kind"] == "near duplicates")
    client.post(f"/review/{chosen['id']}", json={"decision": "yes"})
    answer = client.get("/review/decisions?format=csv")
    assert "decisions.csv" in answer.headers["content-disposition"]
    [row] = csv.DictReader(StringIO(answer.text))
    assert (row["who"], row["decision"], row["ids"]) == ("anna", "yes", '"c003" "c008"')
    table = list(csv.DictReader(StringIO(client.get("/review/decisions?format=relabel").text)))
    assert [(each["item"], each["id"], each["decision"]) for each in table] == [
        *(("1", "c003", "remove"), ("1", "c008", "remove"))
    ]


def test_pictures_are_those_of_new_listings(client: TestClient) -> None:
    """Whoever reviews a listing would not see it; or a request could name any file."""
    found = client.get("/review?limit=50").json()["items"]
    items = {item["card"]["id"]: item for item in found if item["card"]}
    assert items["n3"]["card"]["image"] and not items["c000"]["card"]["image"]
    answer = client.get(f"/review/{items['n3']['id']}/image?size=200")
    assert answer.headers["content-type"] == "image/jpeg"
    assert Image.open(BytesIO(answer.content)).size == (256, 128)
    for card in ("c000", "n4"):
        assert client.get(f"/review/{items[card]['id']}/image").status_code == 404
    assert client.get("/review/..%2f..%2fetc/image").status_code in (404, 422)


def test_a_journal_that_is_gone_takes_no_decision(client: TestClient, queue: ReviewQueue) -> None:
    """A decision would be written into a removed file, answered as saved, and lost at the stop."""
    at = f"/review/{first(client)['id']}"
    away = queue.journal.path.rename(queue.journal.path.with_name("away"))
    for answer in (client.post(at, json={"decision": "remove"}), client.get("/review")):
        assert answer.status_code == 503 and "review journal" in answer.json()["detail"]
    assert not queue.journal.path.exists()
    away.rename(queue.journal.path)
    assert client.post(at, json={"decision": "remove"}).status_code == 200


def test_a_graceful_stop_carries_out_what_was_decided(queue: ReviewQueue) -> None:
    """The shop would wait for the next start."""
    with TestClient(create_app(queue.settings), base_url=AT, headers=ANNA) as client:
        items = client.get("/review?limit=4").json()["items"]
        item = next(each for each in items if each["card"]["id"] == "c000")
        client.post(f"/review/{item['id']}", json={"decision": "yes"})
    assert labels_of(queue.current.folder)["c000"] == "kettle"
    again = ReviewQueue(queue.settings, queue.current)
    assert [entry.state for entry in again.journal.entries()] == ["applied"]
