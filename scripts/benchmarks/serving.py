"""The service under load: its answers beside calls of the library, and a long run with swaps."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from itertools import cycle
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Annotated

import numpy as np
import typer

from scripts.benchmarks.load import Load, form_of, json_of, load
from scripts.benchmarks.measuring import MB, cores, in_own_process
from scripts.benchmarks.page import PAGE, PageOption, table, write_section

CLIENTS = (1, 8, 64)
# Words of titles: of each shelf, and of all.
WORDS, SHELVES, OWN = 6000, 300, 12
NEW_TITLES = 5000
# Cards that the encoder is fitted to; the others are added.
FITTED = 5000
SWAP = 60.0
VISITS = 5
SEED = 1
ENVIRONMENT = {**os.environ, "PRODCAT_CACHE": "off"}


def serve(
    cards: Annotated[int, typer.Option(min=1000, help="Cards of the index of titles.")] = 91_120,
    rounds: Annotated[int, typer.Option(min=1, help="Times that each load is run.")] = 3,
    seconds: Annotated[float, typer.Option(min=1, help="Seconds of a load in a round.")] = 10.0,
    soak: Annotated[
        float, typer.Option(min=0, help="Seconds at full load, a new version each minute.")
    ] = 600.0,
    pictures: Annotated[int, typer.Option(min=100, help="Cards of the shop with pictures.")] = 300,
    kept: Annotated[
        Path | None, typer.Option(help="Folder of the indexes: built there, or used again.")
    ] = None,
    page: PageOption = PAGE,
) -> None:
    """Load `prodcat serve` on loopback, and compare it with calls of the library."""
    with tempfile.TemporaryDirectory() as place:
        folder = kept or Path(place)
        folder.mkdir(parents=True, exist_ok=True)
        made = {"titles": (_make_titles, cards), "shop": (_make_shop, pictures)}
        for name, (make, count) in made.items():
            if not (folder / name).is_dir():
                in_own_process(make, folder, count)
        with _serving(folder / "titles", folder) as (port, _):
            parts = [in_own_process(_texts, folder, port, rounds, seconds), _paint(port)]
        with _serving(folder / "shop", folder) as (port, _):
            parts.append(in_own_process(_pictures, folder, port, rounds, pictures))
        if soak:
            changed = Path(shutil.copytree(folder / "titles", Path(place) / "changed"))
            with _serving(changed, folder) as (port, process):
                parts.append(_soak(changed, folder, port, process, soak))
    write_section(
        page,
        "Serving",
        f"`scripts/bench serve --cards {cards} --rounds {rounds} --seconds {seconds:g} "
        f"--soak {soak:g} --pictures {pictures}`: `prodcat serve` on loopback, without a cache of "
        "embeddings and with no limit of the rate. The clients are connections of one other "
        "process, by asyncio, each of which asks again as soon as it is answered; they share the "
        f"{cores()} cores with the server.\n\n" + "\n\n".join(parts),
    )


@contextmanager
def _serving(index: Path, folder: Path) -> Iterator[tuple[int, int]]:
    """Serve an index by a process of its own; yield its port and its number."""
    command = [sys.executable, "-m", "prodcat_index", "serve", str(index), "--port", "0"]
    with (folder / "log.txt").open("a") as log:
        process = subprocess.Popen(
            [*command, "--rate", "1000000/second"],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env=ENVIRONMENT,
        )
        assert process.stdout is not None
        said = process.stdout.readline()
        found = re.search(r":(\d+)$", said.strip())
        if found is None:
            raise RuntimeError(f"The service did not start; see {folder / 'log.txt'}.")
        try:
            yield int(found[1]), process.pid
        finally:
            process.send_signal(signal.SIGTERM)
            status = process.wait(60)
    if status:
        raise RuntimeError(f"The service ended with the status {status}.")


def _titles(count: int, seed: int) -> tuple[list[str], list[str]]:
    """Return made-up titles, whose first words are of their shelf, and the shelves."""
    rng = np.random.default_rng(SEED)
    letters = np.array(list("abdegiklmnoprstu"))
    words = np.array(["".join(rng.choice(letters, rng.integers(3, 9))) for _ in range(WORDS)])
    own = rng.integers(0, WORDS, (SHELVES, OWN))
    rng = np.random.default_rng(seed)
    shelf = rng.integers(0, SHELVES, count)
    named = np.take_along_axis(own[shelf], rng.integers(0, OWN, (count, 3)), axis=1)
    texts = words[np.concatenate([named, rng.integers(0, WORDS, (count, 4))], axis=1)]
    shelves = [f"room {code % 30:02d} > shelf {code:03d}" for code in shelf.tolist()]
    return [" ".join(row) for row in texts.tolist()], shelves


def _make_titles(folder: Path, cards: int) -> None:
    import pandas as pd

    from prodcat_index.index.product_index import ProductIndex

    titles, shelves = _titles(cards, SEED)
    table = pd.DataFrame({"id": range(cards), "title": titles, "category": shelves})
    first, rest = table[:FITTED], table[FITTED:]
    index = ProductIndex.build(first, projection="none")
    (index.add(rest) if len(rest) else index).save(folder / "titles")


def _make_shop(folder: Path, cards: int) -> None:
    from prodcat_index.cards.catalogue import read_catalogue
    from prodcat_index.demo.shop import make_demo_catalogue
    from prodcat_index.index.product_index import ProductIndex

    make_demo_catalogue(folder / "catalogue", cards=cards)
    catalogue = read_catalogue(folder / "catalogue" / "catalogue.csv")
    ProductIndex.build(catalogue).save(folder / "shop")


def _texts(folder: Path, port: int, rounds: int, seconds: float) -> str:
    """Ask for titles, by the library and by clients, in turns."""
    from prodcat_index.index.product_index import ProductIndex

    index = ProductIndex.load(folder / "titles")
    titles = _titles(NEW_TITLES, SEED + 1)[0]
    requests = [json_of({"title": title}) for title in titles]
    own, loads = list[float](), {clients: Load() for clients in CLIENTS}
    ratios = []
    load(port, requests, max(CLIENTS), 1.0)  # finds nothing in the caches
    for _ in range(rounds):
        end, library = time.perf_counter() + seconds, list[float]()
        for title in cycle(titles):
            since = time.perf_counter()
            if since >= end:
                break
            index.predict([title])[0].as_dict()
            library.append(time.perf_counter() - since)
        own += library[1:]
        for clients, found in loads.items():
            one = load(port, requests, clients, seconds)
            found.add(one)
            if clients == 1:
                ratios.append(one.quantile(0.5) / (1000 * median(library)))
    library_row = [f"{1000 * np.quantile(own, q):,.1f}" for q in (0.5, 0.99)]
    rows = [["the library, a call", f"{1 / np.mean(own):,.0f}", *library_row, "", "–"]]
    for clients, found in loads.items():
        p50, p99 = found.quantile(0.5), found.quantile(0.99)
        figures = [f"{found.rate:,.0f}", f"{p50:,.1f}", f"{p99:,.1f}", f"{p99 / p50:.2f}"]
        rows.append([f"{clients} at once", *figures, _failed(found.statuses)])
    header = ["predictions by title", "a second", "p50, ms", "p99, ms", "p99 / p50", "not 200"]
    return (
        f"An index of {len(index):,} cards of {SHELVES} categories, without what is learned from "
        f"labels.\n\n{table(header, rows)}\n\n"
        f"One client waits {median(ratios):.2f} times as long as the library takes (median of the "
        f"ratios of p50 within a round: {', '.join(f'{each:.2f}' for each in ratios)})."
    )


def _failed(statuses: Counter[int]) -> str:
    failed = {status: count for status, count in statuses.items() if status != 200}
    return ", ".join(f"{count:,} times {status}" for status, count in failed.items()) or "0"


def _pictures(folder: Path, port: int, rounds: int, count: int) -> str:
    """Ask for pictures by many clients, and encode the same in one batch, in turns."""
    from prodcat_index.encoders.registry import make_encoder
    from prodcat_index.index.product_index import ProductIndex

    index = ProductIndex.load(folder / "shop")
    block = next(block for block in index.parts.encoder_blocks if block.name == "image")
    encoder = make_encoder(block.slot.spec)
    paths = [path for path in index.parts.catalogue.values("image") if path][:count]
    requests = [form_of(Path(path).read_bytes()) for path in paths]
    encoder.encode(paths[:8])
    load(port, requests[:64], max(CLIENTS))
    ratios, found, own = [], Load(), list[float]()
    for _ in range(rounds):
        since = time.perf_counter()
        encoder.encode(paths)
        own.append(len(paths) / (time.perf_counter() - since))
        one = load(port, requests, max(CLIENTS))
        found.add(one)
        ratios.append(one.rate / own[-1])
    return (
        f"{len(paths):,} pictures, sent once in each round by {max(CLIENTS)} clients, answered by "
        f"an index of {len(index):,} cards: {found.rate:.1f} a second; `encode` of the same in one "
        f"batch: {median(own):.1f} a second; ratio {median(ratios):.2f} (rounds: "
        f"{', '.join(f'{each:.2f}' for each in ratios)}). Not 200: {_failed(found.statuses)}."
    )


def _paint(port: int) -> str:
    """Open the page some times as a new visitor, and say when it is painted."""
    from playwright.sync_api import sync_playwright

    script = """async () => {
        const painted = () => performance.getEntriesByName("first-contentful-paint")[0];
        while (!painted()) await new Promise(next => setTimeout(next, 10));
        const files = ["navigation", "resource"].flatMap(kind => performance.getEntriesByType(kind))
            .filter(entry => entry.initiatorType !== "fetch");
        const sum = name => files.reduce((total, entry) => total + entry[name], 0);
        return [painted().startTime, sum("transferSize"), sum("decodedBodySize"), files.length];
    }"""
    visits = []
    with sync_playwright() as player:
        path = shutil.which("chromium")
        browser = player.chromium.launch(executable_path=path, args=["--no-sandbox"])
        for _ in range(VISITS):
            context = browser.new_context()
            tab = context.new_page()
            tab.goto(f"http://127.0.0.1:{port}/", wait_until="networkidle")
            visits.append(tab.evaluate(script))
            context.close()
        browser.close()
    times = sorted(visit[0] for visit in visits)
    _, sent, size, files = visits[-1]
    return (
        f"The page of that index in Chromium, opened by {VISITS} new visitors: first contentful "
        f"paint after {median(times):,.0f} ms (the slowest after {times[-1]:,.0f} ms); "
        f"{files} files of {size / 1000:,.0f} KB, of which {sent / 1000:,.0f} KB are sent."
    )


def _soak(index: Path, folder: Path, port: int, process: int, seconds: float) -> str:
    """Ask as much as can be answered, while each minute another process writes a new version."""
    requests = [json_of({"title": title}) for title in _titles(NEW_TITLES, SEED + 1)[0]]
    sizes, swaps, started = list[tuple[int, float]](), 0, time.monotonic()
    every = min(SWAP, seconds / 5)
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        asking = pool.submit(load, port, requests, max(CLIENTS), seconds)
        while not asking.done():
            time.sleep(1)
            if time.monotonic() - started > every * (swaps + 1) and not asking.done():
                pool.submit(_write, index).result()
                swaps += 1
            sizes.append((swaps, _resident(process) / MB))
        found = asking.result()
    # The first version and the first that takes its place fill the caches.
    first = min(2, swaps)
    steady = [size for number, size in sizes if number >= first]
    usual = median(steady)
    return (
        f"{max(CLIENTS)} clients for {found.seconds:,.0f} s, and another process that writes a new "
        f"version every {every:.0f} s: {len(found.latencies):,} answers "
        f"({found.rate:,.0f} a second, p99 {found.quantile(0.99):,.0f} ms) of "
        f"{len(found.versions)} versions ({swaps} written). Not 200: {_failed(found.statuses)}. "
        f"Resident memory after {first} changes: {usual:,.0f} MB, "
        f"{100 * (min(steady) / usual - 1):+.1f} to {100 * (max(steady) / usual - 1):+.1f} %."
    )


def _write(index: Path) -> None:
    """Take a card out, and write that as the next version."""
    from prodcat_index.index.product_index import ProductIndex

    now = ProductIndex.load(index)
    now.remove(now.catalogue.ids[:1]).save_next(index, wait=60)


def _resident(process: int) -> int:
    status = Path(f"/proc/{process}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmRSS"))
    return 1024 * int(line.split()[1])
