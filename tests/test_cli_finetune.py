"""``prodcat finetune``, and what ``prodcat evaluate`` says of its encoders."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import finetuning
import numpy as np
import pytest
from command import ENVIRONMENT, Outcome, prodcat
from PIL import Image
from safetensors.numpy import load_file

from prodcat_index.learning.finetune import _is_whole

EPOCHS = 4


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, str]:
    """A catalogue, its split, and a network."""
    folder = tmp_path_factory.mktemp("shop")
    cards = finetuning.coloured_cards(folder)
    files = finetuning.write_cards(cards, finetuning.split_of(cards), folder)
    return *files, f"image={finetuning.save_network(folder)}"


def arguments(shop: tuple[Path, Path, str], output: Path, epochs: int) -> list[object]:
    cards, split, encoder = shop
    chosen = ["--split", split, "--encoder", encoder, "--epochs", epochs, "--patience", epochs]
    quick = ["--batch", 8, "--input-size", 32, "--learning-rate", 0.001]
    return ["finetune", cards, "-o", output, *chosen, *quick]


@pytest.fixture(scope="module")
def finished(
    shop: tuple[Path, Path, str], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Outcome]:
    folder = tmp_path_factory.mktemp("finished") / "encoder"
    return folder, prodcat(*arguments(shop, folder, EPOCHS), "--format", "json")


def test_the_command_scores_the_encoder_and_names_its_spec(finished: tuple[Path, Outcome]) -> None:
    folder, done = finished
    assert done.code == 0, done.err
    assert [row["part"] for row in done.json] == ["valid", "test"]
    assert all(row["gain"] == row["after"] - row["before"] for row in done.json)
    assert f"epoch {EPOCHS} of {EPOCHS}: loss " in done.err
    assert f"--encoder image=finetuned:{folder}" in done.err
    assert f"prodcat evaluate --split {folder / 'split.csv'}" in done.err
    with Image.open(folder / "learning_curves.png") as picture:
        assert picture.width > picture.height > 300


@pytest.mark.skipif(os.name != "posix", reason="kill -9 is of POSIX systems")
def test_a_killed_training_ends_with_the_same_weights(
    shop: tuple[Path, Path, str], finished: tuple[Path, Outcome], tmp_path: Path
) -> None:
    """A power cut would cost hours of training, or leave another encoder than it should.

    Processes may differ in the last bits of weights. In one, test_learning_finetune compares all.
    """
    folder = tmp_path / "encoder"
    command = [sys.executable, "-m", "prodcat_index", *map(str, arguments(shop, folder, EPOCHS))]
    process = subprocess.Popen(command, env=ENVIRONMENT, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < deadline:
        # A file that is there, but not whole yet, is no checkpoint to go on from.
        if any(map(_is_whole, folder.glob("checkpoints/checkpoint-*"))):
            break
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "the training ended before it could be killed"
    assert not (folder / "training.json").exists()
    done = prodcat(*arguments(shop, folder, EPOCHS))
    assert done.code == 0, done.err
    assert "going on from step" in done.err and "epoch 1 of 6" not in done.err
    weights, whole = (load_file(each / "model.safetensors") for each in (folder, finished[0]))
    assert weights.keys() == whole.keys()
    for name, values in whole.items():
        np.testing.assert_allclose(weights[name], values, atol=1e-4, err_msg=name)


def judge(shop: tuple[Path, Path, str], folder: Path, *more: object) -> Outcome:
    given = ["--encoder", f"image=finetuned:{folder}", "--no-baselines"]
    return prodcat("evaluate", shop[0], *given, *more)


def test_cards_that_were_trained_on_are_not_scored_unawares(
    shop: tuple[Path, Path, str], finished: tuple[Path, Outcome], tmp_path: Path
) -> None:
    """A score of cards that were learned by heart would choose the wrong encoder."""
    renamed = tmp_path / "renamed.csv"
    lines = shop[0].read_text(encoding="utf-8").splitlines()
    renamed.write_text("\n".join([lines[0], *(f"new-{line}" for line in lines[1:])]))
    done = judge((renamed, *shop[1:]), finished[0], "--image-root", shop[0].parent)
    assert done.code == 1
    assert "test cards have a value of image that finetuned:" in done.err
    assert "was trained or stopped on (new-" in done.err
    assert "--allow-trained-on" in done.err and "split.csv" in done.err


def test_its_own_split_is_scored(
    shop: tuple[Path, Path, str], finished: tuple[Path, Outcome]
) -> None:
    """The split written beside the encoder is the way out that the refusal names."""
    own = judge(shop, finished[0], "--split", finished[0] / "split.csv")
    assert "trained or stopped on" not in own.err
    assert own.code == 0, own.err


def test_what_is_allowed_in_words_is_scored_with_a_note(
    shop: tuple[Path, Path, str], finished: tuple[Path, Outcome]
) -> None:
    done = judge(shop, finished[0], "--allow-trained-on")
    assert done.code == 0, done.err
    assert "trained or stopped on" in done.err


def test_an_encoder_that_cannot_be_trained_is_refused_in_a_sentence(
    shop: tuple[Path, Path, str], tmp_path: Path
) -> None:
    given = ["--encoder", "title=lexical", "-o", tmp_path / "e"]
    done = prodcat("finetune", shop[0], "--split", shop[1], *given)
    assert done.code == 1
    assert "The encoder lexical has no network to train" in done.err
    assert "Traceback" not in done.err
