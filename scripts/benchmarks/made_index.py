"""An index of made-up cards, as large as wanted, written to and opened from plain arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from prodcat_index.cards.card import Catalogue
from prodcat_index.encoders.base import Encoded, Encoder, unit_rows
from prodcat_index.files import open_array, open_content
from prodcat_index.index.block import Block, EncoderSlot
from prodcat_index.index.learned import LearnedBlock, fit_model, learn
from prodcat_index.index.manifest import LEARNED
from prodcat_index.index.parts import IndexParts
from prodcat_index.types import Float32Array, FloatingArray, Int64Array, chunks
from prodcat_index.voting.vote import VoteParameters

DIMS = {"image": 1280, "title": 256, "description": 256}
# How far categories lie apart, in standard deviations of the cards within.
DISTANCES = {"image": 0.6, "title": 1.0, "description": 0.75}
ABSENT = {"image": 0.02, "title": 0.0, "description": 0.1}
CATEGORIES = 874
MISLABELLED = 0.03
LATENT = 48
AT_ONCE = 4096
VECTOR_DIM = 146
# Cards that the projection is fitted to where only its rows are kept.
FITTED = 20_000
SEED = 0


class MadeUp(Encoder):
    """Stands for a network: it is not fitted to the cards, and never encodes anything."""

    reads = "text"
    spec = fingerprint = "made up"
    dim = 0

    @classmethod
    def from_spec(cls, argument: str) -> MadeUp:
        return cls()

    def encode(self, values: Sequence[str], *, label: str = "") -> Encoded:
        raise NotImplementedError


def draw_cards(folder: Path, cards: int) -> None:
    """Write clustered rows of cards in categories of Zipf sizes, some with a wrong label."""
    rng = np.random.default_rng(SEED)
    true = draw_categories(rng, cards)
    wrong = rng.random(cards) < MISLABELLED
    np.save(folder / "codes.npy", np.where(wrong, rng.permutation(true), true))
    for modality, dim in DIMS.items():
        _draw_block(folder, modality, dim, true, rng)


def draw_categories(rng: np.random.Generator, cards: int) -> Int64Array:
    shares = 1 / np.arange(1, CATEGORIES + 1)
    drawn = rng.choice(CATEGORIES, cards, p=shares / shares.sum())
    return np.unique(drawn, return_inverse=True)[1].astype(np.int64)


def _draw_block(
    folder: Path, modality: str, dim: int, true: Int64Array, rng: np.random.Generator
) -> None:
    present = rng.random(len(true)) >= ABSENT[modality]
    drawn = _rows_of(modality, dim, true, rng)
    shape = (len(true), dim)
    vectors = np.lib.format.open_memmap(
        folder / f"{modality}.npy", mode="w+", dtype=np.float16, shape=shape
    )
    for chunk in chunks(len(true), AT_ONCE):
        vectors[chunk] = drawn(chunk) * present[chunk, None]
    vectors.flush()
    np.save(folder / f"{modality}.present.npy", present)


def _rows_of(
    modality: str, dim: int, true: Int64Array, rng: np.random.Generator
) -> Callable[[slice], Float32Array]:
    """Return what draws the rows of one modality, some cards after the other."""
    centres = DISTANCES[modality] * rng.normal(size=(true.max() + 1, LATENT))
    spread = rng.normal(size=(LATENT, dim)).astype(np.float32)

    def drawn(chunk: slice) -> Float32Array:
        latent = centres[true[chunk]] + rng.normal(size=(len(true[chunk]), LATENT))
        return unit_rows(latent.astype(np.float32) @ spread)

    return drawn


def draw_vectors(folder: Path, cards: int, modality: str = "title", dim: int = VECTOR_DIM) -> None:
    """Write categories and rows of one modality, as vectors that come with the cards."""
    rng = np.random.default_rng(SEED)
    true = draw_categories(rng, cards)
    np.save(folder / "codes.npy", true)
    drawn, shape = _rows_of(modality, dim, true, rng), (cards, dim)
    rows = np.lib.format.open_memmap(
        folder / "vectors.npy", mode="w+", dtype=np.float16, shape=shape
    )
    for chunk in chunks(cards, AT_ONCE):
        rows[chunk] = drawn(chunk)
    rows.flush()


def draw_learned(path: Path, cards: int) -> LearnedBlock:
    """Write and open the learned rows alone, of a projection that is fitted to the first cards."""
    rng = np.random.default_rng(SEED)
    true = draw_categories(rng, cards)
    present = np.stack([rng.random(cards) >= ABSENT[modality] for modality in DIMS], axis=1)
    drawn = [_rows_of(modality, dim, true, rng) for modality, dim in DIMS.items()]
    model = rows = None
    for chunk in chunks(cards, FITTED):
        blocks = [draw(chunk) * p[:, None] for draw, p in zip(drawn, present[chunk].T, strict=True)]
        if model is None or rows is None:
            model = fit_model(blocks, present[chunk], true[chunk], [None] * len(DIMS))
            assert model, "there are categories to tell apart"
            shape = (cards, model.dim)
            rows = np.lib.format.open_memmap(path, mode="w+", dtype=np.float16, shape=shape)
        rows[chunk] = model.card_rows(blocks, present[chunk])[0]
    assert model is not None and rows is not None, "there are cards"
    rows.flush()
    return LearnedBlock(model, rows, np.any(rows[:, :-1], axis=1))


def as_block(rows: FloatingArray) -> Block:
    """Return rows as the block of an encoder that no card lacks."""
    present, mean = np.ones(len(rows), dtype=bool), np.zeros(rows.shape[1], dtype=np.float32)
    return Block("rows", "text", EncoderSlot("made up", ""), rows, present, mean)


def open_cards(folder: Path) -> IndexParts:
    """Open what was drawn; the rows stay on disk until they are touched."""
    codes = np.load(folder / "codes.npy", allow_pickle=False)
    blocks = [open_block(folder, modality, len(codes)) for modality in DIMS]
    weights = dict.fromkeys(DIMS, 1 / len(DIMS))
    parts = IndexParts(made_catalogue(codes), blocks, weights, VoteParameters())
    learned = learn(blocks, parts.labels.codes, parts.labels.names)
    return replace(parts, learned=learned).weighed({LEARNED: 1.0})


def made_catalogue(codes: Int64Array) -> Catalogue:
    cards = pd.DataFrame(
        {
            "id": [f"{n:07d}" for n in range(len(codes))],
            "title": [f"card {n}" for n in range(len(codes))],
            "category": [f"{code:04d}" for code in codes.tolist()],
        }
    )
    return Catalogue(cards, ("title", "description"))


def open_block(folder: Path, modality: str, cards: int) -> Block:
    dim = DIMS[modality]
    return Block(
        name=modality,
        modality=modality,
        slot=EncoderSlot("made up", "", encoder=MadeUp()),
        vectors=open_array(open_content(folder / f"{modality}.npy"), "float16", (cards, dim)),
        present=np.load(folder / f"{modality}.present.npy", allow_pickle=False),
        mean=np.zeros(dim, dtype=np.float32),
    )
