"""Bulk work on two real nodes, of which one is killed, and by a driver that is killed."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import made
import numpy as np
import pandas as pd
import pytest
from nodes import WORKER, RayNodes, WatchedEngine, node
from servers import free_port

from prodcat_index.distributed import bulk_build, shards
from prodcat_index.distributed.bulk_build import build_in_shards
from prodcat_index.encoders.cache import EmbeddingCache
from prodcat_index.index.product_index import ProductIndex

ROWS, FIT, CARDS = 50, 150, 700
WAITING = 120.0
WORDS = ("oak", "elm", "fir", "ash", "yew", "bay", "fig", "ivy", "may", "nut", "pea")
KINDS = {"Shoes > Boots": "leather boots", "Kitchen > Kettles": "steel kettle", "Lamps": "lamp"}


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of two Parquet files."""
    folder = tmp_path_factory.mktemp("catalogue") / "cards"
    folder.mkdir()
    kinds = list(KINDS)
    rows = [
        {
            "id": f"c{n:04d}",
            "title": f"{KINDS[kinds[n % 3]]} {WORDS[n % 11]} {WORDS[n // 11 % 11]} {n}",
            "category": kinds[n % 3],
        }
        for n in range(CARDS)
    ]
    pd.DataFrame(rows[:400]).to_parquet(folder / "a.parquet", row_group_size=100)
    pd.DataFrame(rows[400:]).to_parquet(folder / "b.parquet", row_group_size=100)
    return folder


@pytest.fixture(scope="module", autouse=True)
def _small_shards() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(shards, "ROWS_IN_SHARD", ROWS)
        patched.setattr(bulk_build, "ROWS_IN_SHARD", ROWS)
        yield


@pytest.fixture(scope="module")
def expected(catalogue: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The index that one process builds."""
    folder = tmp_path_factory.mktemp("expected") / "index"
    build_in_shards(catalogue, folder, fit_cards=FIT)
    return folder


@pytest.fixture(scope="module")
def listings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """New listings, and a few cards of the index."""
    file = tmp_path_factory.mktemp("listings") / "new.csv"
    new = [(f"n{n:03d}", f"{WORDS[n % 11]} {KINDS[k]} new {n}") for n in range(60) for k in KINDS]
    table = pd.DataFrame(new, columns=["id", "title"])
    table["id"] = [f"n{n:03d}" for n in range(len(table))]
    table.to_csv(file, index=False)
    return file


def wait_for(path: Path) -> None:
    until = time.monotonic() + WAITING
    while not path.exists():
        assert time.monotonic() < until, f"there is no {path}"
        time.sleep(0.02)


def same(one: ProductIndex, other: ProductIndex) -> None:
    assert list(one.catalogue.ids) == list(other.catalogue.ids)
    assert one.catalogue.values("category") == other.catalogue.values("category")
    for block, its in zip(one.parts.all_blocks, other.parts.all_blocks, strict=True):
        np.testing.assert_array_equal(block.present, its.present)
        np.testing.assert_array_equal(np.asarray(block.vectors[:]), np.asarray(its.vectors[:]))
    asked = ["leather boots oak", "lamp 7", "kettle"]
    assert one.predict(asked).to_rows() == other.predict(asked).to_rows()


def test_a_node_killed_in_mid_write_loses_and_doubles_no_card(
    nodes: RayNodes, catalogue: Path, expected: Path, tmp_path: Path
) -> None:
    """Cards of the node that died would be missing from the index without a word."""
    log = tmp_path / "log"
    engine = WatchedEngine(nodes.address, log=log, rows=ROWS, seconds=0.3, is_held_up=True)

    def kill() -> None:
        wait_for(tmp_path / "held up")
        nodes.kill(WORKER)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        build_in_shards(catalogue, tmp_path / "index", engine=engine, fit_cards=FIT)
    finally:
        killer.join()
        nodes.start_worker()
    built = ProductIndex.load(tmp_path / "index")
    assert sorted(built.catalogue.ids) == sorted(f"c{n:04d}" for n in range(CARDS))
    same(built, ProductIndex.load(expected))
    done = [item for _, item in engine.done()]
    assert sorted(done, key=int) == [str(n) for n in range(CARDS // ROWS)]
    assert not [*tmp_path.glob("index.work")]


def test_a_node_that_comes_back_gets_work(nodes: RayNodes, tmp_path: Path) -> None:
    nodes.kill(WORKER)
    engine = WatchedEngine(nodes.address, log=tmp_path / "log", seconds=0.2)
    back = threading.Thread(target=nodes.start_worker)
    back.start()
    more = {"label": "", "unit": "item", "folder": tmp_path}
    try:
        results = engine.map(node, lambda state, item: state, range(3000), **more)
        for _, where in results:
            if where == WORKER:
                break
        else:
            pytest.fail("the node that came back did nothing")
        results.close()
    finally:
        back.join()


RESUMED = """
import sys
from prodcat_index import open_engine, predict_in_shards, read_catalogue
index, listings, work, address, output = sys.argv[1:]
found = predict_in_shards(
    index, listings, work, engine=open_engine("ray", address), shard=4, explain=True
)
found.to_frame().to_csv(output, index=False)
"""


def test_a_driver_that_was_killed_goes_on_where_it_was(
    nodes: RayNodes, expected: Path, listings: Path, tmp_path: Path
) -> None:
    work, output = tmp_path / "work", tmp_path / "found.csv"
    command = ["-c", RESUMED, expected, listings, work, nodes.address, output]
    driver = subprocess.Popen([sys.executable, *map(str, command)])
    until = time.monotonic() + WAITING
    while len(before := [*work.glob("[0-9]*.npz")]) < 5:
        assert driver.poll() is None, "it ended too early"
        assert time.monotonic() < until
        time.sleep(0.005)
    driver.kill()
    driver.wait()
    assert not output.exists()
    kept = {path: path.stat().st_mtime_ns for path in work.glob("[0-9]*.npz")}
    assert len(before) <= len(kept) < 45
    ended = subprocess.Popen([sys.executable, *map(str, command)])
    while ended.poll() is None and work.exists():
        now = {path: path.stat().st_mtime_ns for path in kept if path.exists()}
        assert now.items() <= kept.items(), "what was done was done again"
        time.sleep(0.05)
    assert ended.wait(timeout=WAITING) == 0
    plain = ProductIndex.load(expected).predict(listings, explain=True)
    assert output.read_text() == plain.to_frame().to_csv(index=False)
    assert not work.exists()


def test_commands_write_the_same_bytes(
    nodes: RayNodes, expected: Path, listings: Path, tmp_path: Path
) -> None:
    ray = ("--engine", "ray", "--address", nodes.address)
    for engine, name in ((), "here"), (ray, "ray"):
        commands = {
            "predict": (listings, "-i", expected, "-o", tmp_path / f"{name}.csv"),
            "audit": (expected, "-o", tmp_path / f"{name}.parquet"),
        }
        for command, arguments in commands.items():
            ended = nodes.run("-m", "prodcat_index", command, *arguments, *engine)
            assert ended.returncode == 0, ended.stderr
    assert (tmp_path / "here.csv").read_bytes() == (tmp_path / "ray.csv").read_bytes()
    assert (tmp_path / "here.parquet").read_bytes() == (tmp_path / "ray.parquet").read_bytes()


def test_a_wrong_token_and_a_wrong_address_are_named(
    nodes: RayNodes, expected: Path, listings: Path, tmp_path: Path
) -> None:
    """Ray says only that it failed to connect."""
    command = ("-m", "prodcat_index", "predict", listings, "-i", expected, "-o", tmp_path / "o.csv")
    command += ("--engine", "ray", "--address")
    ended = nodes.run(*command, nodes.address, RAY_AUTH_TOKEN="0" * 64)
    assert ended.returncode == 1
    assert "did not let this program in" in ended.stderr
    assert "RAY_AUTH_TOKEN" in ended.stderr
    assert "gcs_client" not in ended.stderr
    ended = nodes.run(*command, f"127.0.0.2:{free_port()}")
    assert ended.returncode == 1
    assert "There is no Ray cluster at 127.0.0.2:" in ended.stderr
    assert ended.stdout == ""


def test_a_cluster_is_asked_for_before_anything_is_fitted(
    nodes: RayNodes, catalogue: Path, tmp_path: Path
) -> None:
    """Hours of work would end in a wrong address."""
    command = ("-m", "prodcat_index", "build-index", catalogue, "-o", tmp_path / "index")
    address = f"127.0.0.1:{free_port()}"
    ended = nodes.run(*command, "--fit-cards", FIT, "--engine", "ray", "--address", address)
    assert ended.returncode == 1
    assert f"There is no Ray cluster at {address}" in ended.stderr
    assert not [*tmp_path.iterdir()]


def test_workers_embed_pictures_for_the_cache(nodes: RayNodes, tmp_path: Path) -> None:
    """The pictures, which are most of the work of a build, would wait for one machine."""
    pictures = made.draw_pictures(tmp_path, 8)
    rows = [
        {"id": f"c{n}", "title": f"lamp {WORDS[n % 11]}", "image": str(p), "category": "Lamps"}
        for n, p in enumerate(pictures * 2)
    ]
    pd.DataFrame(rows).to_parquet(tmp_path / "cards.parquet")
    index, cache = tmp_path / "index", tmp_path / "cache"
    command = ("-m", "prodcat_index", "build-index", tmp_path / "cards.parquet", "-o")
    engine = ("--engine", "ray", "--address", nodes.address)
    ended = nodes.run(*command, index, *engine, PRODCAT_CACHE=str(cache))
    assert ended.returncode == 0, ended.stderr
    entries = EmbeddingCache(cache).summary().entries
    plain = nodes.run(*command, tmp_path / "plain", PRODCAT_CACHE="off")
    assert plain.returncode == 0, plain.stderr
    same(ProductIndex.load(index), ProductIndex.load(tmp_path / "plain"))
    assert entries == len(pictures)


def test_an_interrupted_command_ends_at_once(
    nodes: RayNodes, expected: Path, listings: Path, tmp_path: Path
) -> None:
    """Whoever presses Ctrl-C would wait for the nodes, or leave them at work."""
    work = tmp_path / "work"
    command = ["-c", RESUMED, expected, listings, work, nodes.address, tmp_path / "out.csv"]
    driver = subprocess.Popen([sys.executable, *map(str, command)], stderr=subprocess.PIPE)
    until = time.monotonic() + WAITING
    while not [*work.glob("[0-9]*.npz")]:
        assert driver.poll() is None
        assert time.monotonic() < until
        time.sleep(0.005)
    driver.send_signal(signal.SIGINT)
    _, said = driver.communicate(timeout=30)
    assert driver.returncode != 0
    assert b"KeyboardInterrupt" in said
    assert [*work.glob("[0-9]*.npz")]
    assert not [*work.glob(".reached-*")]


def test_without_an_address_ray_is_started_here_and_ends_with_the_command(
    nodes: RayNodes, expected: Path, listings: Path, tmp_path: Path
) -> None:
    output = tmp_path / "found.csv"
    command = ("-m", "prodcat_index", "predict", listings, "-i", expected, "-o", output)
    ended = nodes.run(*command, "--engine", "ray", SCALE_TEST_NODE=f"{nodes.name}-here")
    assert ended.returncode == 0, ended.stderr
    assert output.read_text() == ProductIndex.load(expected).predict(listings).to_frame().to_csv(
        index=False, lineterminator="\n"
    )
    until = time.monotonic() + WAITING
    while nodes.processes("here"):
        assert time.monotonic() < until, "Ray goes on after its command"
        time.sleep(0.1)
