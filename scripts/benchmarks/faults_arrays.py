"""Changes of arrays: headers and values of npy files, and files of rows."""

from __future__ import annotations

import ast
import io
import os
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from scripts.benchmarks.faults_bytes import Change, Rewrite, Rng, replace
from scripts.benchmarks.faults_bytes import rewrite as _content

# Made by what a damaged index must not run.
EXECUTED = "executed"

# Headers of npy files.


class _Payload:
    def __init__(self, folder: Path) -> None:
        self._command = f"mkdir {folder.with_name(EXECUTED)}"

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (self._command,)


def _parts(content: bytes) -> tuple[dict[str, Any], bytes]:
    length = struct.unpack("<H", content[8:10])[0]
    return ast.literal_eval(content[10 : 10 + length].decode()), content[10 + length :]


def _npy(header: str, data: bytes, version: tuple[int, int] = (1, 0), extra: int = 0) -> bytes:
    text = header.encode("utf-8" if version[0] == 3 else "latin-1")
    form = "<H" if version[0] == 1 else "<I"
    text += b" " * (-(10 + len(text) + 1) % 64) + b"\n"
    length = min(len(text) + extra, 2 ** (8 * struct.calcsize(form)) - 1)
    return b"\x93NUMPY" + bytes(version) + struct.pack(form, length) + text + data


def _with_header(**fields: Callable[[dict[str, Any], Rng], Any]) -> Rewrite:
    def change(content: bytes, rng: Rng) -> bytes:
        header, data = _parts(content)
        new = {key: make(header, rng) for key, make in fields.items()}
        return _npy(repr(header | new), data)

    return change


def _other_shape(header: dict[str, Any], rng: Rng) -> Any:
    shape = header["shape"]
    total = int(np.prod(shape))
    others = [
        (),
        (total,),
        (1, *shape),
        (*shape, 1),
        tuple(reversed(shape)),
        tuple(side + 1 for side in shape),
        tuple(max(0, side - 1) for side in shape),
        tuple(-side for side in shape),
        (2**62, *shape[1:]),
        (2**64, *shape[1:]),
        (0, *shape[1:]),
        tuple(map(float, shape)),
        tuple(map(str, shape)),
        (True,) * len(shape),
        list(shape),
        (1,) * 70,
        (2**31, 2**31, 4),
        None,
    ]
    return others[rng.integers(len(others))]


DTYPES = (
    *("<f2", ">f2", "<f4", ">f4", "<f8", "|b1", "|u1", "|i1", "<i2", ">i2", "<u2", "<i4", ">i8"),
    *("<i8", "<u8", "<c8", "|V2", "|S2", "<U1", "|O", "<M8[s]", "<m8[D]", "|S0", "|V0", "zzz", ""),
)
STRANGE_TYPES: tuple[Any, ...] = (
    [("a", "<f2")],
    [("a", "<f2", (2,))],
    [("a", "|O")],
    [("a", "<f2"), ("a", "<f2")],
    {"names": ["a"], "formats": ["<f2"], "offsets": [0], "itemsize": 2**31},
    ("<f2", (1, 1)),
    ("<f2", (2**40,)),
    None,
    1,
    "O8" * 1000,
)


def _other_type(header: dict[str, Any], rng: Rng) -> Any:
    if rng.random() < 0.7:
        return DTYPES[rng.integers(len(DTYPES))]
    return STRANGE_TYPES[rng.integers(len(STRANGE_TYPES))]


def _pickled(folder: Path, name: str, rng: Rng) -> None:
    """Store objects whose unpickling runs a program."""
    header, _ = _parts((folder / name).read_bytes())
    file = io.BytesIO()
    payload = np.empty(header["shape"], dtype=object)
    payload.flat[0] = _Payload(folder)
    if rng.random() < 0.3:
        replace(folder / name, pickle.dumps(_Payload(folder)))
        return
    np.save(file, payload, allow_pickle=True)
    replace(folder / name, file.getvalue())


def _hostile_header(content: bytes, rng: Rng) -> bytes:
    header, data = _parts(content)
    text = repr(header)
    texts = [
        "(" * 9000 + ")" * 9000,
        "-" * 30_000 + "1",
        "{'descr': __import__('os').getcwd(), 'fortran_order': False, 'shape': (1,)}",
        text.replace("'shape'", "'shapes'"),
        text.replace("}", ", 'more': 1}"),
        text.replace("False", "None"),
        text.replace("False", "1"),
        text + text,
        "[" + text + "]",
        text.replace("(", "(0x", 1),
        text.replace(",), ", "L,), "),
        "\x00" * len(text),
        "{}",
        "",
        "9" * 60_000,
    ]
    return _npy(texts[rng.integers(len(texts))], data)


def _other_version(content: bytes, rng: Rng) -> bytes:
    header, data = _parts(content)
    version = [(2, 0), (3, 0), (4, 0), (0, 0), (255, 255)][rng.integers(5)]
    return _npy(repr(header), data, version)


def _long_header(content: bytes, rng: Rng) -> bytes:
    header, data = _parts(content)
    version = [(1, 0), (2, 0), (3, 0)][rng.integers(3)]
    return _npy(repr(header), data, version, int(rng.choice([1, 1000, 60_000, 2**31, 2**32])))


HEADERS: dict[str, Change] = {
    "other shape": _content(_with_header(shape=_other_shape)),
    "other type": _content(_with_header(descr=_other_type)),
    "other version": _content(_other_version),
    "length of the header": _content(_long_header),
    "hostile header": _content(_hostile_header),
    "trailing data": _content(lambda content, rng: content + rng.bytes(int(rng.integers(1, 999)))),
    "pickled objects": _pickled,
}

# Values of arrays.


def _values(content: bytes) -> tuple[bytes, np.ndarray[Any, Any]]:
    header, data = _parts(content)
    array = np.frombuffer(data, dtype=header["descr"]).copy()
    return content[: len(content) - len(data)], array


def _set_some(content: bytes, rng: Rng, value: Callable[[np.ndarray[Any, Any], Rng], Any]) -> bytes:
    header, array = _values(content)
    if array.size:
        count = int(rng.choice([1, max(1, array.size // 10), array.size]))
        with np.errstate(all="ignore"):
            array[rng.choice(array.size, count, replace=False)] = value(array, rng)
    return header + array.tobytes()


def _no_number(array: np.ndarray[Any, Any], rng: Rng) -> Any:
    if array.dtype.kind == "f":
        return array.dtype.type([np.nan, np.inf, -np.inf][rng.integers(3)])
    info = np.iinfo(np.uint8 if array.dtype == bool else array.dtype)
    return np.array([info.min, info.max, -1][rng.integers(3)]).astype(array.dtype)


def _extreme(array: np.ndarray[Any, Any], rng: Rng) -> Any:
    if array.dtype.kind == "f":
        info = np.finfo(array.dtype)
        return array.dtype.type([info.max, info.min, info.tiny, 0.0, -0.0, 1.0][rng.integers(6)])
    largest = int(np.abs(array.astype(np.int64)).max())
    return np.array([0, 1, largest, largest + 1, -1][rng.integers(5)]).astype(array.dtype)


def _odd_bools(content: bytes, rng: Rng) -> bytes:
    header, array = _values(content)
    if array.dtype == bool:
        array = array.view(np.uint8)
        array[rng.integers(array.size)] = rng.integers(2, 256)
    return header + array.tobytes()


def _shuffled(content: bytes, rng: Rng) -> bytes:
    header, array = _values(content)
    return header + rng.permutation(array).tobytes()


VALUES: dict[str, Change] = {
    "no numbers": _content(lambda content, rng: _set_some(content, rng, _no_number)),
    "extremes": _content(lambda content, rng: _set_some(content, rng, _extreme)),
    "a truth of 2": _content(_odd_bools),
    "columns first": _content(_with_header(fortran_order=lambda header, rng: True)),
    "shuffled": _content(_shuffled),
}

# Files of rows, which have no header.


def _rows(change: Callable[[npt.NDArray[Any], Rng], None]) -> Change:
    def apply(folder: Path, name: str, rng: Rng) -> None:
        content = (folder / name).read_bytes()
        rows = np.frombuffer(content, "<f2" if name.endswith(".f16") else "<f4").copy()
        with np.errstate(all="ignore"):
            change(rows, rng)
        replace(folder / name, rows.tobytes())

    return apply


def _some(rows: npt.NDArray[Any], rng: Rng) -> npt.NDArray[np.int64]:
    return rng.choice(rows.size, int(rng.choice([1, rows.size // 10, rows.size])), replace=False)


FACTORS = (-1.0, 0.0, 0.5, 2.0)
ROWS: dict[str, Change] = {
    "no numbers": _rows(lambda rows, rng: rows.put(_some(rows, rng), _no_number(rows, rng))),
    "extremes": _rows(lambda rows, rng: rows.put(_some(rows, rng), _extreme(rows, rng))),
    "scaled": _rows(lambda rows, rng: rows.put(range(rows.size), rows * rng.choice(FACTORS))),
    "shuffled": _rows(lambda rows, rng: rng.shuffle(rows)),
    "moved by one": _rows(lambda rows, rng: rows.put(range(rows.size), np.roll(rows, 1))),
}
