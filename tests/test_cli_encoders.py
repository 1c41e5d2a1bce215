"""``prodcat encoders``, and the choice of encoders and of the device for an index."""

from __future__ import annotations

import csv
from pathlib import Path

import made
import pytest
from command import ENVIRONMENT, prodcat
from sentences import make_static_model

from prodcat_index.encoders.registry import PRESETS, make_encoder
from prodcat_index.encoders.timm_image import TimmEncoder


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
    done = prodcat("build-index", catalogue, "-o", tmp_path / "index", "--preset", "original")
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
    assert done.code == 1
    assert "There is no preset 'orignal'; the presets are embedded, original, multi" in done.err


def test_an_unknown_device_is_a_wrong_call(catalogue: Path) -> None:
    assert prodcat("build-index", catalogue, "--device", "gpu").code == 2
