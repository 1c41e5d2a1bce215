"""Changes of stored tables and lists: Parquet and JSON that are well-formed, and say otherwise."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from scripts.benchmarks.faults_bytes import Change, Rng, replace, rewrite

HOSTILE_TEXTS = ("", "\0", "\u202e", "a" * 100_000, "../../etc/passwd", "/etc/passwd", "\x1b[2J")
# Cut from where a name of UTF-8 begins.
NO_UTF8 = b"\xff\xfe\xc3"


def _table(change: Callable[[Any, Rng], Any], **options: Any) -> Change:
    """Return a change of a Parquet file by its Arrow table."""

    def apply(folder: Path, name: str, rng: Rng) -> None:
        import pyarrow.parquet as pq

        changed = change(pq.read_table(folder / name), rng)
        file = io.BytesIO()
        pq.write_table(changed, file, **options)
        replace(folder / name, file.getvalue())

    return apply


def _some(names: list[str], rng: Rng) -> int:
    known = [n for n, name in enumerate(names) if name in ("id", "title", "image")]
    return int(rng.choice(known)) if known and rng.random() < 0.7 else int(rng.integers(len(names)))


def _other_type(table: Any, rng: Rng) -> Any:
    import pyarrow as pa

    n = _some(table.column_names, rng)
    values, size = table.column(n).to_pylist(), len(table)
    columns = [
        lambda: pa.array(range(size)),
        lambda: pa.array(np.linspace(0, 1, size)),
        lambda: pa.array([True] * size),
        lambda: pa.nulls(size),
        lambda: pa.array([None] * size, pa.string()),
        lambda: pa.array([values] * size),
        lambda: pa.array([{"text": str(value)} for value in values]),
        lambda: pa.array([{"a": [{"b": [str(value)]}]} for value in values]),
        lambda: pa.array([str(value).encode() for value in values], pa.binary()),
        lambda: pa.array(values).dictionary_encode(),
        lambda: pa.array(range(size), pa.timestamp("ns", "Mars/Olympus")),
        lambda: pa.array(range(size), pa.duration("s")),
        lambda: pa.array([10] * size, pa.decimal128(38, 0)),
        lambda: pa.array([b"\0" * 16] * size, pa.binary(16)),
        lambda: pa.array([None if i == 3 else str(v) for i, v in enumerate(values)], pa.string()),
    ]
    return table.set_column(n, table.column_names[n], columns[rng.integers(len(columns))]())


def _wrong_texts(table: Any, rng: Rng) -> Any:
    """Store bytes as text that are no UTF-8."""
    import pyarrow as pa

    n = _some(table.column_names, rng)
    values = [str(value).encode() for value in table.column(n).to_pylist()]
    values[rng.integers(len(values))] += NO_UTF8
    lengths = np.cumsum([0, *map(len, values)]).astype(np.int32)
    buffers = [None, pa.py_buffer(lengths.tobytes()), pa.py_buffer(b"".join(values))]
    return table.set_column(
        n, table.column_names[n], pa.Array.from_buffers(pa.string(), len(values), buffers)
    )


def _hostile_text(table: Any, rng: Rng) -> Any:
    import pyarrow as pa

    n = _some(table.column_names, rng)
    values = list(map(str, table.column(n).to_pylist()))
    values[rng.integers(len(values))] = HOSTILE_TEXTS[rng.integers(len(HOSTILE_TEXTS))]
    return table.set_column(n, table.column_names[n], pa.array(values))


def _renamed(table: Any, rng: Rng) -> Any:
    names = table.column_names
    n = _some(names, rng)
    new = [names[(n + 1) % len(names)], "", names[n].upper(), "__index_level_0__", "a" * 10_000]
    names[n] = new[rng.integers(len(new))]
    return table.rename_columns(names)


def _without_column(table: Any, rng: Rng) -> Any:
    return table.remove_column(_some(table.column_names, rng))


def _repeated_ids(table: Any, rng: Rng) -> Any:
    import pyarrow as pa

    ids = table.column("id").to_pylist()
    one, other = rng.choice(len(ids), 2, replace=False)
    ids[one] = ids[other]
    return table.set_column(table.column_names.index("id"), "id", pa.array(ids))


def _moved_rows(table: Any, rng: Rng) -> Any:
    return table.take(rng.permutation(len(table)))


def _other_rows(table: Any, rng: Rng) -> Any:
    import pyarrow as pa

    count = int(rng.choice([0, 1, len(table) - 1, len(table) + 1]))
    return pa.concat_tables([table, table]).slice(0, count)


def _bomb(table: Any, rng: Rng) -> Any:
    """Store a text of 16 MB once, and name it in every row: gigabytes when it is read."""
    import pyarrow as pa

    long = pa.array(["a" * 2**24])
    rows = pa.array(np.zeros(len(table), dtype=np.int32))
    column = pa.DictionaryArray.from_arrays(rows, long)
    name = str(rng.choice(["title", "bomb", "id"]))
    if name in table.column_names:
        return table.set_column(table.column_names.index(name), name, column)
    return table.append_column(name, column)


def _metadata(table: Any, rng: Rng) -> Any:
    column = {
        "name": "id",
        "field_name": "id",
        "pandas_type": "object",
        "numpy_type": "object",
        "metadata": {"timezone": "Mars/Olympus"},
    }
    pandas = [
        {"index_columns": ["id"], "columns": [column], "column_indexes": [column]},
        {"index_columns": [{"kind": "range", "start": 0, "stop": 2**60, "step": 1, "name": None}]},
        {"index_columns": "id", "columns": 1},
        {"index_columns": [], "columns": [{**column, "numpy_type": "datetime64[ns, Mars]"}]},
        {"index_columns": [], "columns": [{**column, "numpy_type": "Sparse[object]"}]},
        [],
    ]
    texts = [json.dumps(pandas[rng.integers(len(pandas))]), "[" * 100_000, "\ud800", "{"]
    text = texts[0] if rng.random() < 0.7 else texts[rng.integers(len(texts))]
    return table.replace_schema_metadata({"pandas": text.encode("utf-8", "surrogatepass")})


def _footer(content: bytes, rng: Rng) -> bytes:
    """Let the footer be as long as no file, or begin elsewhere."""
    length = int(rng.choice([0, 1, 4, len(content), 2**31 - 1, 2**31, 2**32 - 1]))
    return content[:-8] + length.to_bytes(4, "little") + content[-4:]


def _in_footer(content: bytes, rng: Rng) -> bytes:
    changed = bytearray(content)
    start = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    for _ in range(rng.integers(1, 4)):
        changed[rng.integers(start, len(content) - 8)] = rng.integers(256)
    return bytes(changed)


PARQUET: dict[str, Change] = {
    "other type of column": _table(_other_type),
    "text that is no UTF-8": _table(_wrong_texts),
    "hostile text": _table(_hostile_text),
    "column renamed": _table(_renamed),
    "column missing": _table(
        lambda table, rng: table.remove_column(_some(table.column_names, rng))
    ),
    "ids repeated": _table(_repeated_ids),
    "rows in another order": _table(_moved_rows),
    "other number of rows": _table(_other_rows),
    "text of gigabytes": _table(_bomb, compression="zstd"),
    "hostile metadata": _table(_metadata),
    "length of the footer": rewrite(_footer),
    "bytes of the footer": rewrite(_in_footer),
}

# JSON.

RAW_TEXTS = (
    *(b"", b"null", b"1", b'"text"', b"{}", b"[]", b"[[]]", b"[null]", b"NaN", b"[NaN]"),
    *(b"[" * 100_000, b'{"a":' * 100_000, b"[" * 100_000 + b"]" * 100_000, b"9" * 100_000),
    *(b"1e999", b'"\\ud800"', b"\xff\xfe[]", "\ufeff[]".encode("utf-8"), b'{"a": 1, "a": 2}'),
    *(b"[1, 2, 3]", b"[true]", b"// no\n[]", b"[1,]", b"'a'", b"\0"),
)
VALUES: tuple[Any, ...] = (
    *(None, True, 0, -1, 2**63, 10**400, 1.5, float("nan"), float("inf"), "", "\ud800", "\0", "a"),
    *([], {}, [[]], "a" * 100_000, {"a": {"a": {}}}),
)


def _other_value(content: bytes, rng: Rng) -> bytes:
    """Change, repeat, remove or add a value of a list or an object, at any depth."""
    whole = json.loads(content)
    place, holder = whole, whole
    while isinstance(place, list | dict) and place and (place is whole or rng.random() < 0.7):
        holder = place
        key = list(place)[rng.integers(len(place))] if isinstance(place, dict) else 0
        key = int(rng.integers(len(place))) if isinstance(place, list) else key
        place = holder[key]
    match rng.integers(6):
        case 0:
            del holder[key]
        case 1:
            _add(holder, place, rng)
        case 2:
            _add(holder, VALUES[rng.integers(len(VALUES))], rng)
        case 3:
            others = list(holder.values()) if isinstance(holder, dict) else holder
            holder[key] = others[rng.integers(len(others))]
        case _:
            holder[key] = VALUES[rng.integers(len(VALUES))]
    return json.dumps(whole, ensure_ascii=bool(rng.integers(2))).encode("utf-8", "surrogatepass")


def _add(holder: Any, value: Any, rng: Rng) -> None:
    if isinstance(holder, dict):
        holder["more"] = value
    else:
        holder.insert(int(rng.integers(len(holder) + 1)), value)


def _reordered(content: bytes, rng: Rng) -> bytes:
    whole = json.loads(content)
    if isinstance(whole, list):
        whole = [whole[n] for n in rng.permutation(len(whole))]
    else:
        whole = {key: whole[key] for key in rng.permutation(list(whole))}
    return json.dumps(whole).encode()


JSON: dict[str, Change] = {
    "other text": rewrite(lambda content, rng: RAW_TEXTS[rng.integers(len(RAW_TEXTS))]),
    "other value": rewrite(_other_value),
    "other order": rewrite(_reordered),
    "no UTF-8": rewrite(lambda content, rng: content.replace(b"e", NO_UTF8, 1)),
}
