"""Array types and constants that every room shares."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt

Float32Array = npt.NDArray[np.float32]
Float64Array = npt.NDArray[np.float64]
FloatingArray = npt.NDArray[np.floating]
Int64Array = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]


class RowsLike(Protocol):
    """N rows of numbers: an array of shape (N, dim), or what is indexed like one."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of rows and of columns."""
        ...

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of a number."""
        ...

    def __len__(self) -> int: ...

    def __getitem__(self, key: Any, /) -> Any: ...

    def __array__(self) -> npt.NDArray[Any]: ...

    def astype(self, dtype: Any, /) -> npt.NDArray[Any]:
        """Return all rows as an array of another type."""
        ...


# A category code or row number that stands for "none".
MISSING: Final = -1
# Of numbers that people read.
DIGITS: Final = 4
CATEGORY_SEPARATOR: Final = " > "


def evenly_spaced(count: int, limit: int, *, endpoint: bool = True) -> Int64Array:
    """Choose at most `limit` of the numbers below `count`, the first among them, in order."""
    last = count - 1 if endpoint else count
    return np.linspace(0, last, min(count, limit), endpoint=endpoint).astype(np.int64)


def chunks(count: int, size: int) -> list[slice]:
    """Cut `count` rows into slices of at most `size`; one empty slice where there are none."""
    return [slice(start, min(start + size, count)) for start in range(0, max(count, 1), size)]


def shares_of(weights: Float64Array) -> Float64Array:
    """Return what each number is of the sum of its row; zeros where that is 0."""
    totals = weights.sum(axis=1, keepdims=True)
    return np.divide(weights, totals, out=np.zeros_like(weights), where=totals > 0)


def rounded(value: Any) -> Any:
    """Round floats to 4 digits, as JSON for people has them, and those in dicts and lists."""
    # Floats first, and no abstract class asked of a text: an answer has hundreds of both.
    if isinstance(value, float):
        return round(value, DIGITS)
    if isinstance(value, list | tuple):
        return [rounded(each) for each in value]
    if not isinstance(value, str) and isinstance(value, Mapping):
        return {name: rounded(each) for name, each in value.items()}
    return value
