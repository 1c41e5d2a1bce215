"""A block: one encoder's rows of every card, centred, and the encoder that made them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from prodcat_index.encoders.base import Encoded, Encoder
from prodcat_index.encoders.cache import default_cache
from prodcat_index.encoders.embedding import embed
from prodcat_index.encoders.registry import restore_encoder
from prodcat_index.errors import EncoderError
from prodcat_index.findings import Finding
from prodcat_index.index.fusion import centre, training_mean
from prodcat_index.types import BoolArray, Float32Array


@dataclass
class EncoderSlot:
    """An encoder that is loaded when it is first needed."""

    spec: str
    fingerprint: str
    folder: Path | None = None
    encoder: Encoder | None = field(default=None, repr=False)

    def load(self) -> Encoder:
        """Return the encoder that made the block."""
        if self.encoder is None:
            assert self.folder is not None, "a slot without an encoder has a folder"
            encoder = restore_encoder(self.spec, self.folder)
            if encoder.fingerprint != self.fingerprint:
                raise EncoderError(
                    f"The encoder {self.spec} here is not the one that this index was built with "
                    "(another version, other weights or other preprocessing); build the index "
                    "again, or install the versions that `prodcat info` lists."
                )
            self.encoder = encoder
        return self.encoder


@dataclass(frozen=True)
class Block:
    """One encoder's view of N cards."""

    name: str
    modality: str
    slot: EncoderSlot
    vectors: npt.NDArray[np.float16]  # (N, dim): centred unit rows, zeros where absent
    present: BoolArray  # (N,)
    mean: Float32Array  # (dim,): of the rows before centring
    projected_dim: int | None = None  # the first columns, which a projection reads; None for all

    @property
    def dim(self) -> int:
        """Length of a row."""
        return len(self.mean)

    def encode_queries(self, values: Sequence[str], label: str = "") -> Encoded:
        """Embed values as those of the cards were, and centre them by the cards' mean."""
        if not any(values):
            # The encoder may take seconds to load, and has nothing to embed.
            return Encoded(np.zeros((len(values), self.dim), dtype=np.float32))
        encoded = embed(self.slot.load(), values, label=label, cache=default_cache())
        if not self.mean.any():
            # Not centred, as text scores: their length tells how much belongs to no category.
            return encoded
        rows, _ = centre(encoded.vectors, encoded.present, self.mean)
        return Encoded(rows, encoded.problems)


def build_block(
    name: str, modality: str, encoder: Encoder, values: Sequence[str], kept: BoolArray | None = None
) -> tuple[Block, Mapping[str, Sequence[int]]]:
    """Fit an encoder and a mean on the `kept` values, all by default, and embed all of them.

    Returns the block, and the rows of values with a problem by its name.
    """
    kept = np.ones(len(values), dtype=bool) if kept is None else kept
    encoder.fit([value if keeps else "" for value, keeps in zip(values, kept, strict=True)])
    encoded = embed(encoder, values, label=f"embedding {name}", cache=default_cache())
    mean = training_mean(encoded.vectors, encoded.present & kept)
    vectors, present = centre(encoded.vectors, encoded.present, mean)
    slot = EncoderSlot(encoder.spec, encoder.fingerprint, encoder=encoder)
    rows = vectors.astype(np.float16)
    block = Block(name, modality, slot, rows, present, mean, encoder.projected_dim)
    return block, encoded.problems


def unusable_pictures(ids: Sequence[str], problems: Mapping[str, Sequence[int]]) -> list[Finding]:
    """Return a finding for each reason why pictures could not be read."""
    return [
        Finding(f"cards have no usable picture ({reason})", tuple(ids[i] for i in positions))
        for reason, positions in problems.items()
    ]
