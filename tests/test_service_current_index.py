"""The version that is served."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from service import serving

from prodcat_index.cards.card import Card
from prodcat_index.index.product_index import ProductIndex
from prodcat_index.service.current_index import CurrentIndex, Version
from prodcat_index.service.settings import ServeSettings


def test_a_new_version_is_served_without_a_dropped_request(saved: Path) -> None:
    """Every night's sync would cost requests, or wait for a restart that nobody makes."""
    listing = {"title": "red leather boots", "description": "warm"}
    answers: list[Any] = []
    is_over = threading.Event()
    with serving(ServeSettings(saved)) as served:

        def ask() -> None:
            while not is_over.is_set():
                response = served.client.post("/predict", json=listing)
                answers.append((response.status_code, response.json()))

        clients = [threading.Thread(target=ask) for _ in range(4)]
        try:
            for client in clients:
                client.start()
            old = served.client.post("/predict", json=listing).json()
            command = [sys.executable, "-m", "prodcat_index", "remove", "--ids", "b1"]
            made_by = subprocess.run([*command, "--index", str(saved)], capture_output=True)
            assert made_by.returncode == 0, made_by.stderr
            deadline = time.monotonic() + 30
            while served.service.current.version == old["version"] and time.monotonic() < deadline:
                time.sleep(0.05)
            new = served.client.post("/predict", json=listing).json()
            time.sleep(0.2)
        finally:
            is_over.set()
            for client in clients:
                client.join()
    assert new["version"] == old["version"] + 1
    assert old["neighbours"][0]["id"] == "b1"
    assert "b1" not in [n["id"] for n in new["neighbours"]]
    assert {status for status, _ in answers} == {200}
    assert all(answer in (old, new) for _, answer in answers)
    assert answers[0][1] == old and answers[-1][1] == new
    expected = ProductIndex.load(saved).predict([Card(**listing)])[0]
    assert new["confidence"] == round(expected.confidence, 4)


def test_a_network_is_in_memory_once_while_versions_change(saved: Path) -> None:
    """Each sync would load the picture network again beside the old one."""
    current = CurrentIndex(saved)
    before = current.now
    before.warm_up()
    current.index.remove(["b1"]).save_next(saved)
    current.refresh()
    assert current.now.number == before.number + 1
    encoders = [block.slot.encoder for block in current.index.parts.blocks]
    assert encoders[0] is not None
    for own, block in zip(encoders, before.index.parts.blocks, strict=True):
        assert own is block.slot.encoder


def test_another_index_in_its_place_is_served(saved: Path) -> None:
    """An index that is built elsewhere and moved here has the same number, and stayed unseen."""
    current = CurrentIndex(saved)
    whole, cards = current.now, len(current.index)
    current.refresh()
    assert current.now is whole
    other = current.index.remove(["b1"]).save(saved.with_name("other"))
    shutil.rmtree(saved)
    other.rename(saved)
    current.refresh()
    assert (current.version, len(current.index)) == (whole.number, cards - 1)


def test_a_damaged_version_leaves_the_old_one_served(
    saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("prodcat_index.service.current_index.LOOK_EVERY", 0.05)
    with serving(ServeSettings(saved)) as served:
        whole = (saved / "manifest.json").read_text("utf-8")
        (saved / "manifest.json").write_text("{")
        time.sleep(0.3)
        assert served.client.post("/search", json={"title": "boots"}).status_code == 200
        (saved / "manifest.json").write_text(whole)
        served.index.remove(["b1"]).save_next(saved)
        deadline = time.monotonic() + 20
        while served.client.get("/cards/b1").status_code == 200:
            assert time.monotonic() < deadline, "the repaired folder is not served"
            time.sleep(0.05)


def test_a_picture_that_was_taken_away_is_not_remembered_as_unusable(
    shop_index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a request that was given up, a good picture would be refused for ever."""
    version = Version.load(shop_index)
    own = Path(next(filter(None, version.index.parts.catalogue.values("image"))))
    file, encode = tmp_path / own.name, ProductIndex.encode
    file.write_bytes(own.read_bytes())
    card = Card(image=str(file))

    def given_up(index: ProductIndex, cards: Any) -> Any:
        file.unlink()
        return encode(index, cards)

    with monkeypatch.context() as patched:
        patched.setattr(ProductIndex, "encode", given_up)
        assert version.encode([Card(title="kettle"), card])[1].queries.problems
    file.write_bytes(own.read_bytes())
    assert not version.encode([card])[0].queries.problems


def test_a_change_is_made_to_the_version_that_is_served(saved: Path) -> None:
    """Each card that is added would read the whole index, and load its networks, once more."""
    current = CurrentIndex(saved)
    current.now.warm_up()
    served, given = current.now, []

    def keep(index: ProductIndex) -> ProductIndex:
        given.append(index)
        return index

    assert current.change(keep) == served.number and given == [served.index]
    # What another process wrote is not lost.
    served.index.remove(["b1"]).save_next(saved)
    assert current.change(lambda index: index.remove(["b2"])) == served.number + 2
    assert {"b1", "b2"}.isdisjoint(current.index.parts.row_of)
    assert len(current.index) == len(served.index) - 2
    encoders = [block.slot.encoder for block in served.index.parts.blocks]
    assert [block.slot.encoder for block in current.index.parts.blocks] == encoders
