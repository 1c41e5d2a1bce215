"""The contract that every encoder keeps."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]
Reads = Literal["text", "picture"]


@dataclass(frozen=True)
class Encoded:
    """Embeddings of some values.

    Attributes
    ----------
    vectors
        float32, shape (n, dim): rows of length 1, or of zeros where ``present`` is false.
    present
        bool, shape (n,): whether the encoder could say anything about the value. A missing
        value, an unreadable picture and a text without one known n-gram are all absent.
    problems
        Reason -> positions of the values that should have been readable and were not.
    """

    vectors: FloatArray
    present: BoolArray
    problems: Mapping[str, Sequence[int]] = field(default_factory=dict)


class Encoder(ABC):
    """Turns values of one modality into unit-length float32 rows.

    A value is a text, or the path of a picture file; the empty string is a missing value.
    The row of a value depends on that value alone, never on the other values of the call.

    Attributes
    ----------
    reads
        What a value is.
    cached
        Whether rows are kept on disk for later runs. An encoder that is fitted on the catalogue
        has other rows for every catalogue, and so nothing to keep.
    spec
        The name by which the registry knows the encoder.
    """

    reads: ClassVar[Reads]
    cached: ClassVar[bool] = True
    spec: str

    @property
    @abstractmethod
    def dim(self) -> int:
        """Length of a row."""

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """Hex digest of all that decides the rows: weights, preprocessing, fitted parts."""

    @abstractmethod
    def encode(self, values: Sequence[str], *, label: str = "") -> Encoded:
        """Embed values.

        Parameters
        ----------
        values
            Texts, or paths of picture files; the empty string is a missing value.
        label
            Shown beside the progress bar; no bar is drawn without one.
        """

    def fit(self, values: Sequence[str]) -> None:
        """Learn from the values of a catalogue; encoders that come trained learn nothing."""

    def save(self, folder: Path) -> None:
        """Write what :meth:`fit` learned into an empty folder."""

    @classmethod
    @abstractmethod
    def from_spec(cls, argument: str) -> Encoder:
        """Make an encoder from what follows ``scheme:`` in its spec, not fitted yet."""

    @classmethod
    def restore(cls, argument: str, folder: Path) -> Encoder:
        """Make an encoder from its spec and what :meth:`save` wrote."""
        return cls.from_spec(argument)


def unit_rows(vectors: npt.NDArray[np.floating]) -> FloatArray:
    """Scale rows to length 1; rows of zeros stay zeros, and rows without a finite length become so.

    Parameters
    ----------
    vectors
        Shape (n, dim).

    Returns
    -------
    numpy.ndarray
        float32, shape (n, dim).
    """
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    scalable = np.isfinite(lengths) & (lengths > 0)
    return np.divide(
        vectors, lengths, out=np.zeros(vectors.shape, dtype=np.float32), where=scalable
    )
