"""Whatever is killed in a sync, a client or PostgreSQL: nothing acknowledged is lost or doubled."""

from __future__ import annotations

import os
import random
import select
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from made import catalogue, row
from postgres import PostgresServer
from test_index_learned import COLOURS, THINGS
from test_index_stores import answers

from prodcat_index.cards.card import Catalogue
from prodcat_index.distributed.postgres import PostgresStore
from prodcat_index.index import transaction
from prodcat_index.index.folder import read_manifest
from prodcat_index.index.product_index import ProductIndex

CARDS, GONE, NEW = 300, 5, 12
CLIENT_KILLS, SERVER_KILLS, IN_WRITING = 9, 7, 3
DEADLINE = 60.0


def export(step: int) -> Catalogue:
    """The whole shop after so many syncs: some of the oldest cards went, and new ones came."""
    rows = []
    for number in range(GONE * step, CARDS + NEW * step):
        thing, colour = THINGS[number % 5], COLOURS[number % 7]
        text = f"{thing} in {colour}"
        rows.append(row(f"c{number}", f"{colour} {thing} {number}", text, category=thing))
    return catalogue(rows)


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    started = PostgresServer()
    yield started
    started.close()


@pytest.fixture(scope="module")
def built() -> ProductIndex:
    return ProductIndex.build(export(0))


def sync(folder: Path, step: int) -> None:
    ProductIndex.load(folder).sync(export(step), max_removed=None).save_next(folder)


class Client:
    """A process of its own that syncs, and says when that is done."""

    def __init__(self, folder: Path, step: int, prepare: Callable[[], None]) -> None:
        self.reading, writing = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                prepare()
                sync(folder, step)
                os.write(writing, b"done")
            finally:
                os._exit(0)
        os.close(writing)

    def end(self) -> bool:
        """Wait for its end; return whether it said that all is done."""
        waiting = select.poll()
        waiting.register(self.reading)
        assert waiting.poll(1000 * DEADLINE), "a client that does not end"
        said = os.read(self.reading, 4)
        os.close(self.reading)
        os.waitpid(self.pid, 0)
        return said == b"done"


def die(*_: object, **__: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def before_the_commit() -> None:
    put = PostgresStore.put

    def put_and_die(*given: object) -> None:
        put(*given)
        die()

    PostgresStore.put = put_and_die


def after_the_commit() -> None:
    transaction.Transaction.commit = die


def after_the_manifest() -> None:
    transaction.index_card = die


def wait_in_writing(flag: Path) -> Callable[[], None]:
    """Return what makes a client wait in its transaction, once it made a file, until it is gone."""

    def prepare() -> None:
        put = PostgresStore.put

        def put_and_wait(*given: object) -> None:
            put(*given)
            flag.touch()
            wait_for(lambda: not flag.exists())

        PostgresStore.put = put_and_wait

    return prepare


def wait_for(happened: Callable[[], bool]) -> None:
    end = time.monotonic() + DEADLINE
    while not happened():
        assert time.monotonic() < end, "it does not happen"
        time.sleep(0.02)


def check(folder: Path, step: int, is_done: bool | None) -> int:
    """Check that the index is as after this step or the one before; return the step."""
    loaded = ProductIndex.load(folder)
    states = {tuple(export(each).ids): each for each in (step - 1, step)}
    found = tuple(loaded.parts.catalogue.ids)
    assert sorted(found) in [sorted(state) for state in states]
    now = step if sorted(found) == sorted(export(step).ids) else step - 1
    if is_done is not None:
        assert now == step - (not is_done)
    near = loaded.search_each(["red kettle", found[-1]], 10)
    assert all(len({each.id for each in own}) == 10 for own in near)
    return now


def check_the_end(folder: Path, built: ProductIndex, plain: Path, steps: int) -> None:
    """Check that an index of files that nobody killed answers likewise, and the rows are as few."""
    built.save(plain)
    sync(plain, steps)
    loaded = ProductIndex.load(folder)
    assert answers(loaded) == answers(ProductIndex.load(plain))
    assert read_manifest(folder).stored == loaded.parts.opened.manifest.stored
    table = loaded.parts.opened.table
    assert table.store.count(table.name) == read_manifest(folder).stored.rows


def test_a_client_that_is_killed(
    server: PostgresServer, built: ProductIndex, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A nightly sync that runs out of memory would leave cards twice, or take some with it."""
    folder = built.save(tmp_path / "stored", store=server.url)
    points = (before_the_commit, after_the_commit, after_the_manifest)
    counted: Counter[str] = Counter()
    drawn, step, took = random.Random(1), 1, 0.0
    for kill in range(CLIENT_KILLS):
        point = points[kill] if kill < len(points) else None
        start = time.monotonic()
        client = Client(folder, step, point or (lambda: None))
        if point is None:
            time.sleep(drawn.uniform(0, took))
            os.kill(client.pid, signal.SIGKILL)
        is_done = client.end()
        expected = None if point is None else point is after_the_manifest
        now = check(folder, step, expected or is_done or (False if point else None))
        counted["synced" if now == step else "as before"] += 1
        if now < step:
            start = time.monotonic()
            sync(folder, step)
            took = time.monotonic() - start
            check(folder, step, True)
        step += 1
    with capsys.disabled():
        print(f"\nclient killed {CLIENT_KILLS} times: {dict(counted)}")
    check_the_end(folder, built, tmp_path / "plain", step - 1)


def test_a_server_that_is_killed(
    server: PostgresServer, built: ProductIndex, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A database that is restarted in the night would lose cards that the sync reported."""
    folder = built.save(tmp_path / "stored", store=server.url)
    counted: Counter[str] = Counter()
    start = time.monotonic()
    sync(folder, 1)
    took = time.monotonic() - start
    drawn, step = random.Random(2), 2
    flag = tmp_path / "in-writing"
    for kill in range(SERVER_KILLS):
        is_in_writing = kill < IN_WRITING
        client = Client(folder, step, wait_in_writing(flag) if is_in_writing else lambda: None)
        if is_in_writing:
            wait_for(flag.exists)
        else:
            time.sleep(drawn.uniform(0, took))
        server.kill()
        server.start()
        flag.unlink(missing_ok=True)
        is_done = client.end()
        assert not (is_done and is_in_writing)
        now = check(folder, step, is_done)
        counted["acknowledged" if is_done else "refused"] += 1
        if now < step:
            sync(folder, step)
            check(folder, step, True)
        step += 1
    with capsys.disabled():
        print(f"\nserver killed {SERVER_KILLS} times in a sync: {dict(counted)}")
    check_the_end(folder, built, tmp_path / "plain", step - 1)
