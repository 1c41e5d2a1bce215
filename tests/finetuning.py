"""Small networks and cards to fine-tune within a moment."""

from __future__ import annotations

from pathlib import Path

import made
import numpy as np
import pandas as pd
from PIL import Image

from prodcat_index.cards.card import Catalogue
from prodcat_index.cards.split import Split
from prodcat_index.encoders.networks import import_with_torch
from prodcat_index.learning.finetune import FinetuneSettings

NETWORK = "test_resnet.r160_in1k"
COLOURS = {"red": (200, 40, 40), "green": (40, 200, 40), "blue": (40, 40, 200)}
PARTS = ("train", "train", "train", "train", "valid", "test")
QUICK = FinetuneSettings(epochs=3, batch=4, learning_rate=1e-3, input_size=32)


def save_network(folder: Path) -> str:
    """Save a network of random weights, and return its spec."""
    import torch
    from safetensors.torch import save_file

    timm = import_with_torch("timm")
    torch.manual_seed(0)
    file = folder / "random.safetensors"
    save_file(timm.create_model(NETWORK, num_classes=0).state_dict(), file)
    return f"timm:{NETWORK}@{file}"


def coloured_cards(folder: Path, each: int = 12, seed: int = 0) -> Catalogue:
    """Draw noisy pictures of three colours, which are the categories; every picture differs."""
    rng = np.random.default_rng(seed)
    rows = []
    for name, colour in COLOURS.items():
        for number in range(each):
            noise = rng.normal(0, 60, size=(40, 40, 3))
            pixels = np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8)
            path = folder / f"{name}{number}.png"
            Image.fromarray(pixels).save(path)
            rows.append(
                made.row(f"{name}{number}", f"{name} {number}", image=str(path), category=name)
            )
    return made.catalogue(rows)


def split_of(catalogue: Catalogue) -> Split:
    """Put four cards of six into train, and one each into valid and test."""
    parts = tuple(PARTS[row % len(PARTS)] for row in range(len(catalogue)))
    return Split(tuple(catalogue.ids), parts, np.arange(len(catalogue)), "made up")


def write_cards(catalogue: Catalogue, split: Split, folder: Path) -> tuple[Path, Path]:
    """Write a catalogue and its split as a user has them."""
    cards, parts = folder / "cards.csv", folder / "parts.csv"
    pd.DataFrame(catalogue.cards).to_csv(cards, index=False)
    split.save(parts)
    return cards, parts
