"""``prodcat encoders``, ``prodcat cache``, and the choice of encoders and device for an index."""

from __future__ import annotations

import csv
import io
import shutil
from pathlib import Path

import made
import numpy as np
import pytest
from command import ENVIRONMENT, prodcat, run_apart
from sentences import make_static_model

from prodcat_index.encoders.cache import EmbeddingCache
from prodcat_index.encoders.registry import PRESETS, make_encoder
from prodcat_index.encoders.timm_image import TimmEncoder
from prodcat_index.index.product_index import ProductIndex


@pytest.fixture
def catalogue(tmp_path: Path) -> Path:
    path = tmp_path / "cards.csv"
    columns = ("id", "title", "description", "category")
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(card for card in made.CARDS if card.get("category"))
    return path


def test_every_encoder_of_a_preset_is_listed_with_its_facts() -> None:
    listed = {row["encoder"]: row for row in prodcat("encoders", "--format", "json").json}
    for preset, specs in PRESETS.items():
        for reads, spec in specs.items():
            row = listed[spec]
            assert (row["preset"], row["reads"]) == (preset, reads)
            assert row["dim"] > 0
            assert row["parameters"] or spec == "lexical"
            assert row["licence"] or spec == "lexical"
    assert "use-multilingual" in listed


def test_what_is_said_of_the_embedded_network_is_true() -> None:
    listed = {row["encoder"]: row for row in prodcat("encoders", "--format", "json").json}
    row, encoder = listed["efficientnet-lite0"], make_encoder("efficientnet-lite0")
    assert isinstance(encoder, TimmEncoder)
    assert row["state"] == "installed"
    assert (row["dim"], row["parameters"]) == (encoder.dim, encoder.parameters)


def test_the_table_fits_people() -> None:
    shown = prodcat("encoders").out
    assert "efficientnet-lite0" in shown
    assert "Apache-2.0" in shown


def test_an_encoder_is_timed_here(tmp_path: Path) -> None:
    model = make_static_model(tmp_path / "model")
    [row] = prodcat("encoders", f"sbert:{model}", "--format", "json").json
    assert (row["encoder"], row["dim"], row["parameters"]) == (f"sbert:{model}", 8, 72)
    assert row["cards_per_second"] > 1


def test_an_index_is_built_and_asked_with_a_model_of_ones_own(
    catalogue: Path, tmp_path: Path
) -> None:
    model, index = make_static_model(tmp_path / "model"), tmp_path / "index"
    done = prodcat(
        "build-index",
        catalogue,
        "-o",
        index,
        "--encoder",
        f"title=sbert:{model}",
        "--device",
        "cpu",
        "--quiet",
    )
    assert (done.code, done.err) == (0, "")
    asked = prodcat(
        "query", "--text", "red leather boots", "-i", index, "--format", "json", "-k", 1
    )
    assert (asked.code, asked.err) == (0, "")
    assert asked.json[0]["id"] == "b1"


def test_a_preset_that_cannot_be_fetched_ends_in_a_sentence(
    catalogue: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Never another encoder in silence, and no traceback of the hub's client."""
    monkeypatch.setitem(ENVIRONMENT, "HF_HUB_OFFLINE", "1")
    monkeypatch.setitem(ENVIRONMENT, "HF_HOME", str(tmp_path / "hub"))
    to = ("-o", tmp_path / "index", "-q")
    done = run_apart("build-index", catalogue, *to, "--preset", "original")
    assert done.code == 1
    assert done.out == ""
    assert done.err == (
        "prodcat: The model ai-forever/sbert_large_nlu_ru is not in the local cache and "
        "HF_HUB_OFFLINE forbids to download it; unset that, give a local copy as sbert:FOLDER, "
        "or take the preset embedded, which needs none.\n"
    )
    assert not (tmp_path / "index").exists()


def test_an_unknown_preset_is_refused_with_those_there_are(catalogue: Path) -> None:
    done = prodcat("build-index", catalogue, "--preset", "orignal")
    assert done.code == 2
    assert "'orignal' is not one of 'embedded', 'original', 'multilingual'" in done.err


def test_an_unknown_device_is_a_wrong_call(catalogue: Path) -> None:
    assert prodcat("build-index", catalogue, "--device", "gpu").code == 2


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for the cache, so that no test touches the user's."""
    monkeypatch.setitem(ENVIRONMENT, "PRODCAT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setitem(ENVIRONMENT, "PRODCAT_CACHE_SIZE", "1.5G")
    return tmp_path / "cache"


@pytest.fixture
def filled(folder: Path) -> EmbeddingCache:
    """Two embeddings of one encoder and one of another."""
    cache = EmbeddingCache(folder)
    row = np.ones(4, dtype=np.float32)
    cache.put("sbert:some", "abc", {b"1" * 32: row, b"2" * 32: row})
    cache.put("efficientnet-lite0", "def", {b"1" * 32: row})
    return cache


ENCODERS = [
    {"spec": "sbert:some", "fingerprint": "abc", "entries": 2, "bytes": 32},
    {"spec": "efficientnet-lite0", "fingerprint": "def", "entries": 1, "bytes": 16},
]


def test_cache_info_tells_place_size_and_encoders(filled: EmbeddingCache) -> None:
    """A user could not find out what fills the disk, or where."""
    lines = prodcat("cache", "info").out.splitlines()
    size = filled.path.stat().st_size / 1024
    assert lines[0] == f"{filled.path}: 3 embeddings in {size:.4g} KiB of at most 1.5 GiB"
    assert [line.split() for line in lines if "abc" in line or "def" in line] == [
        ["sbert:some", "abc", "2", "32"],
        ["efficientnet-lite0", "def", "1", "16"],
    ]


def test_cache_info_as_json_holds_the_same(filled: EmbeddingCache) -> None:
    """A script that watches the disk would have to read the table."""
    expected = {
        "path": str(filled.path),
        "entries": 3,
        "bytes": filled.path.stat().st_size,
        "limit": 3 * 2**29,
        "encoders": ENCODERS,
    }
    assert prodcat("cache", "info", "--format", "json").json == [expected]
    assert prodcat("cache", "info", "--format", "jsonl").json == expected


def test_cache_info_as_csv_lists_the_encoders(filled: EmbeddingCache) -> None:
    """The table could not be opened as a spreadsheet."""
    rows = list(csv.DictReader(io.StringIO(prodcat("cache", "info", "-f", "csv").out)))
    assert rows == [{key: str(cell) for key, cell in row.items()} for row in ENCODERS]


@pytest.mark.usefixtures("folder")
def test_cache_info_of_a_new_cache_is_no_error() -> None:
    """Who looks before the first build would be told of a failure."""
    done = prodcat("cache", "info")
    assert done.code == 0 and ": 0 embeddings in " in done.out and done.err == ""


def test_cache_clear_removes_everything_and_counts_it(filled: EmbeddingCache) -> None:
    """The disk would stay full."""
    assert prodcat("cache", "clear").out == f"Removed 3 embeddings from {filled.path}.\n"
    assert filled.summary().entries == 0


@pytest.mark.parametrize("command", ["info", "clear"])
def test_a_cache_that_is_off_is_said(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """`Removed 0 embeddings` would hide that another cache is still there."""
    monkeypatch.setitem(ENVIRONMENT, "PRODCAT_CACHE", "off")
    done = prodcat("cache", command)
    assert (done.code, done.out) == (1, "")
    assert "PRODCAT_CACHE=off" in done.err


def test_a_cache_that_cannot_be_cleared_is_said(folder: Path) -> None:
    """The user would believe that the disk is free again."""
    folder.write_text("a file where the folder should be")
    done = prodcat("cache", "clear")
    assert (done.code, done.out) == (1, "")
    assert "cannot be emptied" in done.err and "Traceback" not in done.err


def test_pictures_that_moved_are_noted_and_found_again_for_good(
    tmp_path: Path, pictures: list[Path]
) -> None:
    """A mailed index would show fields without pictures for ever."""
    photos = shutil.copytree(pictures[0].parent, tmp_path / "photos")
    cards = made.catalogue(
        made.row(f"c{n}", f"{n} 1", category=f"{n}", image=str(photos / path.name))
        for n, path in enumerate(pictures)
    )
    specs = {"title": "numbers", "image": "names"}
    index = ProductIndex.build(cards, encoders=specs).save(tmp_path / "index")
    quiet = prodcat("similar", "c0", "-i", index, "-f", "json")
    assert quiet.code == 0 and quiet.err == ""
    photos.rename(tmp_path / "moved")
    noted = prodcat("similar", "c0", "-i", index, "-f", "json")
    assert noted.json == quiet.json
    assert f"8 cards have pictures that are not in {photos} (name their folder once" in noted.err
    assert f"its pictures are not in {photos}" in prodcat("info", index).err
    wrong = prodcat("info", index, "--image-root", tmp_path / "index")
    assert wrong.code == 1 and "name the folder that they are in now" in wrong.err
    mended = prodcat("info", index, "--image-root", tmp_path / "moved")
    assert (mended.code, mended.err) == (0, "")
    again = prodcat("similar", "c0", "-i", index, "-f", "json")
    assert again.err == ""
    assert again.json[0]["image"] == str(tmp_path / "moved" / Path(quiet.json[0]["image"]).name)


def test_an_index_is_built_as_asked_and_says_how_it_searches(
    catalogue: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "index"
    prodcat("build-index", catalogue, "-o", folder, "--index", "ivf", "--recall", "0.9")
    words = prodcat("info", folder, "--explain").out
    assert "Kind ivf" in words
    assert "--index ivf" in words
    record = prodcat("info", folder, "--explain", "--format", "json").json
    assert record["search"]["kind"] == "ivf"
    assert record["asked"] == {"kind": "ivf", "memory": None, "recall": 0.9}
    assert "none was held out to measure" in record["explanation"]
    assert prodcat("query", "--index", folder, "--text", "red boots", "-f", "json").json


def test_a_size_of_memory_that_is_none_is_refused(catalogue: Path) -> None:
    refused = prodcat("build-index", catalogue, "--memory", "many")
    assert refused.code == 2
    assert "such as 2GB or 500MB" in " ".join(refused.err.split())
