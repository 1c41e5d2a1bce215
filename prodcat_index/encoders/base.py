"""The contract that every encoder keeps, and the few functions that encoders share."""

from __future__ import annotations

import hashlib
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar, Literal, TypeVar
from urllib.parse import quote, unquote

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, ValidationError

from prodcat_index.cards.card import ModalityKind
from prodcat_index.errors import EncoderError
from prodcat_index.files import Contents
from prodcat_index.types import MISSING, BoolArray, Float32Array, FloatingArray

Precision = Literal["float32", "bfloat16"]
FittedPart = npt.NDArray[np.generic] | Sequence[str] | Mapping[str, Sequence[str]]


class Options(BaseModel):
    """Options of one scheme; every field has a description that completes "it must be …"."""

    model_config = ConfigDict(extra="forbid", frozen=True)


OptionsT = TypeVar("OptionsT", bound=Options)


def split_options(argument: str, kind: type[OptionsT]) -> tuple[str, OptionsT]:
    """Split what follows ``scheme:`` in a spec into a name and its options."""
    name, _, query = argument.partition("?")
    given: dict[str, str] = {}
    # Not parse_qsl, which reads the + of a prefix such as "C++ " as a blank.
    for part in query.split("&") if query else ():
        key, separator, value = part.partition("=")
        if not separator or key in given:
            raise EncoderError(
                f"What follows ? in {argument} must be key=value&key=value, each key once; "
                "a file or folder with ? in its name must be renamed."
            )
        given[key] = unquote(value)
    try:
        return name, kind.model_validate(given)
    except ValidationError as error:
        key = str(error.errors()[0]["loc"][0])
    if key not in kind.model_fields:
        raise EncoderError(
            f"There is no option {key!r} in {argument}; "
            f"the options here are {', '.join(kind.model_fields)}."
        )
    raise EncoderError(
        f"The option {key}={given[key]} of {argument} is wrong; "
        f"it must be {kind.model_fields[key].description}."
    )


def join_options(name: str, options: Options) -> str:
    """Write a name and options as :func:`split_options` reads them, always in the same order."""
    pairs = []
    for key, value in options.model_dump(exclude_none=True).items():
        escaped = re.sub(r"[%&\s]", lambda match: quote(match[0]), str(value))
        pairs.append(f"{key}={escaped}")
    return f"{name}?{'&'.join(pairs)}" if pairs else name


@dataclass(frozen=True)
class Encoded:
    """Embeddings of some values.

    Attributes
    ----------
    vectors
        float32, shape (n, dim): rows of length 1, or of zeros where ``present`` is false.
    problems
        Reason -> positions of the values that should have been readable and were not.
    """

    vectors: Float32Array
    problems: Mapping[str, Sequence[int]] = field(default_factory=dict)

    @cached_property
    def present(self) -> BoolArray:
        """Mask of the values that have a row, bool of shape (n,).

        A missing value, an unreadable picture and a text without one known n-gram have none.
        """
        return np.any(self.vectors != 0, axis=1)


class Encoder(ABC):
    """Turns values of one modality into unit-length float32 rows.

    A value is a text, or the path of a picture file; the empty string is a missing value.
    The row of a value depends on that value alone, never on the other values of the call.

    Attributes
    ----------
    reads
        The kind of value, ``"text"`` or ``"picture"``.
    cached
        Whether rows are kept on disk for later runs. An encoder that is fitted on the catalogue
        has other rows for every catalogue, and so nothing to keep.
    spec
        The name by which the registry knows the encoder.
    """

    reads: ClassVar[ModalityKind]
    cached: ClassVar[bool] = True
    spec: str

    @property
    @abstractmethod
    def dim(self) -> int:
        """Length of a row."""

    @property
    def projected_dim(self) -> int | None:
        """Number of the first columns that a learned projection reads; None for all."""
        return None

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
            Text beside the progress bar; no bar is drawn without one.
        """

    def encode_parts(
        self, values: Sequence[str], *, label: str = ""
    ) -> Iterator[tuple[Sequence[str], Encoded]]:
        """Embed values part by part, so that a slow run that is stopped keeps what it had done.

        Parameters
        ----------
        values, label
            As for :meth:`encode`.

        Yields
        ------
        tuple
            Different values that are not missing, in any order, and their embeddings. By default
            all at once.
        """
        texts = distinct(values)
        yield texts, self.encode(texts, label=label)

    def fit(self, values: Sequence[str]) -> None:
        """Fit the encoder to the values of a catalogue; pretrained encoders do nothing."""

    def fitted_parts(self) -> Mapping[str, FittedPart]:
        """Return what :meth:`fit` learned, by the names of the files that are to hold it.

        An array is stored as ``.npy``, anything else as JSON.
        """
        return {}

    @classmethod
    @abstractmethod
    def from_spec(cls, argument: str) -> Encoder:
        """Make an encoder from what follows ``scheme:`` in its spec, not fitted yet."""

    @classmethod
    def restore(cls, argument: str, stored: Contents) -> Encoder:
        """Make an encoder from its spec and the files of :meth:`fitted_parts`, opened."""
        return cls.from_spec(argument)


def unit_rows(vectors: FloatingArray) -> Float32Array:
    """Scale rows to length 1; rows of zeros, or without a finite length, become zeros."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    scalable = np.isfinite(lengths) & (lengths > 0)
    zeros = np.zeros(vectors.shape, dtype=np.float32)
    return np.divide(vectors, lengths, out=zeros, where=scalable)


def distinct(values: Sequence[str]) -> list[str]:
    """Return each value that is not empty once, in order of first appearance."""
    return list(dict.fromkeys(value for value in values if value))


def rows_of(values: Sequence[str], embedded: Sequence[str], rows: Float32Array) -> Float32Array:
    """Return the row of each value, float32 (n, dim); zeros for one that was not embedded."""
    position = {value: row for row, value in enumerate(embedded)}
    # The zeros come last, where the index -1 finds them.
    padded = np.concatenate([rows, np.zeros((1, rows.shape[1]), dtype=np.float32)])
    return padded[[position.get(value, MISSING) for value in values]]


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


class BatchEncoder(Encoder):
    """An encoder that embeds different values batch by batch, in :meth:`encode_parts`."""

    def encode(self, values: Sequence[str], *, label: str = "") -> Encoded:
        """Embed values; equal ones are embedded once, those that cannot be read are absent."""
        embedded = distinct(values)
        position = {value: row for row, value in enumerate(embedded)}
        rows = np.zeros((len(embedded), self.dim), dtype=np.float32)
        reasons: dict[str, str] = {}
        for part, encoded in self.encode_parts(values, label=label):
            rows[[position[value] for value in part]] = encoded.vectors
            for reason, places in encoded.problems.items():
                reasons.update((part[place], reason) for place in places)
        return Encoded(rows_of(values, embedded, rows), group_by_reason(map(reasons.get, values)))


def group_by_reason(reasons: Iterable[str | None]) -> dict[str, list[int]]:
    """Return reason -> positions, from the reason at each position, None where there is none."""
    positions: dict[str, list[int]] = {}
    for position, reason in enumerate(reasons):
        if reason is not None:
            positions.setdefault(reason, []).append(position)
    return positions
