"""The encoder of vectors that come with the cards: it takes them as they are."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from prodcat_index.encoders.base import Encoded, Encoder, unit_rows
from prodcat_index.errors import EncoderError
from prodcat_index.types import FloatingArray


class GivenVectors(Encoder):
    """Scales vectors to unit length. There is nothing to load, and nothing to embed a text with."""

    reads = "vector"
    cached = False
    scheme = "vectors"

    def __init__(self, dim: int) -> None:
        self._dim = dim
        self.spec = f"{self.scheme}:{dim}"

    @classmethod
    def from_spec(cls, argument: str) -> GivenVectors:
        """Make an encoder from the length of the vectors."""
        if not argument.isdecimal() or int(argument) < 1:
            raise EncoderError(f"vectors:{argument} is no encoder; vectors:384 is one.")
        return cls(int(argument))

    @property
    def dim(self) -> int:
        """Length of a row."""
        return self._dim

    @property
    def fingerprint(self) -> str:
        """Digest of the length alone: nothing is known of the model that made the vectors."""
        return hashlib.sha256(self.spec.encode()).hexdigest()

    def encode(self, values: Sequence[str] | FloatingArray, *, label: str = "") -> Encoded:
        """Scale rows, (n, dim)."""
        return Encoded(unit_rows(np.asarray(values, dtype=np.float32)))
