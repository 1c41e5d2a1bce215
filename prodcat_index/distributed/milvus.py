"""Milvus as the store of an index: one vector of all blocks for each card, and a graph over them.

Milvus has no transactions. Rows that no manifest counts are not asked for, and all writing here
may be done twice with the same result, so that a writer that dies leaves nothing to mend.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import numpy as np

from prodcat_index.errors import StoreError, one_line
from prodcat_index.index.searchers import scan_rows
from prodcat_index.index.stores import CREDENTIALS, StoreAddress
from prodcat_index.types import MISSING, Float32Array, Int64Array, chunks

PORT = 19530
# Seconds that a call may take, all its tries together; and without progress of an index.
CONNECTING, READING, WRITING, INDEXING = 10.0, 20.0, 60.0, 600.0
SHORTEST_TRY, PAUSE, LONGEST_PAUSE = 1.0, 0.2, 3.0
# A server takes messages of 64 MB, and passes on those of 5 MB uncut.
BYTES_AT_ONCE = 4 << 20
# Results of a query that a server gives.
MOST_RESULTS = 16_384
# Rows that are fetched for one query, and the walks that are tried where more are eligible.
MOST_COMPARED = 4096
LONG_WALKS = (1024, 4096, MOST_RESULTS)
LINKS, CONSTRUCTION_EFFORT = 16, 200
# Of an id, in bytes.
LONGEST_ID = 65_535
# What a server that starts, moves rows to another node or is busy answers. See its merr.go.
NOT_LOADED = 101
PASSING = {NOT_LOADED, 1, 2, 3, 4, 5, 8, 103, 201, 400, 401, 500, 501, 502, 503, 600, 601, 602}
PASSING |= {901, 902, 903, 905}

Result = TypeVar("Result")


def connect(address: StoreAddress) -> MilvusStore:
    """Return a store, which is connected to when it is first asked."""
    if importlib.util.find_spec("pymilvus") is None:
        raise StoreError(
            f"The store {address} needs the package pymilvus: pip install 'prodcat-index[milvus]'"
        )
    return MilvusStore(address)


class MilvusStore:
    """A connection to Milvus, which threads may share.

    Reads see all that was written before the first of them, by whomever, and what was
    written through it. :meth:`count` makes them see what others wrote since.
    """

    most_dimensions = 32_768
    most_walk = 32_768

    def __init__(self, address: StoreAddress) -> None:
        self.address = address
        self._secret = _read_secret(address)
        self._dims: dict[str, int] = {}
        self._as_of: int | None = None  # a time of the server

    @cached_property
    def _client(self) -> Any:
        # Errors are raised here; the client and gRPC would print them, with tracebacks, too.
        os.environ.setdefault("GRPC_VERBOSITY", "NONE")
        from pymilvus import MilvusClient

        logging.getLogger("pymilvus").setLevel(logging.CRITICAL)
        parts = urlsplit(self.address.url)
        scheme, host = parts.scheme.removeprefix("milvus+"), parts.hostname or "localhost"
        host = f"[{host}]" if ":" in host else host
        return self._try(
            CONNECTING,
            lambda left: MilvusClient(
                uri=f"{scheme}://{host}:{parts.port or PORT}",
                token=self._secret,
                db_name=parts.path.strip("/"),
                timeout=left,
                dedicated=True,
            ),
        )

    def create(self, table: str, dim: int) -> None:
        """Make an empty table; it can be read once it was indexed."""
        self.drop(table)
        from pymilvus import DataType

        client = self._client
        schema = client.create_schema(auto_id=False, enable_dynamic_field=False)
        schema.add_field("place", DataType.INT64, is_primary=True)
        schema.add_field("id", DataType.VARCHAR, max_length=LONGEST_ID)
        schema.add_field("row", DataType.FLOAT_VECTOR, dim=dim)
        self._write("create_collection", table, schema=schema)

    def writing(self) -> AbstractContextManager[None]:
        """Do nothing: each call is written when it returns."""
        return nullcontext()

    def put(self, table: str, first: int, ids: Sequence[str], rows: Float32Array) -> None:
        """Write rows at places from `first` on; what is there is written over."""
        rows = np.ascontiguousarray(rows, dtype=np.float32)
        for part in chunks(len(rows), _rows_at_once(rows.shape[1])):
            places = range(first + part.start, first + part.stop)
            cards = zip(places, ids[part], rows[part], strict=True)
            batch = [{"place": place, "id": id_, "row": row} for place, id_, row in cards]
            if batch:
                self._write("upsert", table, batch)

    def truncate(self, table: str, rows: int) -> None:
        """Delete the rows at places from `rows` on."""
        self._write("delete", table, filter=f"place >= {rows}")

    def last_change(self, table: str) -> str:
        """Return nothing: a collection holds no note that is changed with its rows."""
        return ""

    def mark_change(self, table: str, before: str, token: str) -> None:
        """Leave no token."""

    def _write(
        self, name: str, table: str, *args: Any, seconds: float | None = None, **options: Any
    ) -> None:
        """Call a method that may be called twice with the result of once, as all of these may."""
        call = getattr(self._client, name)
        self._try(seconds or WRITING, lambda left: call(table, *args, timeout=left, **options))
        self._as_of = None

    def index(self, table: str) -> None:
        """Make the graph over all that was written, and load it."""
        self._write("flush", table)
        client = self._client
        if not self._try(READING, lambda left: client.list_indexes(table, timeout=left)):
            graph = client.prepare_index_params()
            effort = {"M": LINKS, "efConstruction": CONSTRUCTION_EFFORT}
            graph.add_index("row", index_type="HNSW", metric_type="IP", params=effort)
            self._write("create_index", table, graph, seconds=INDEXING, sync=False)
        before, end = -1, 0.0
        while True:
            state = self._try(
                READING, lambda left: client.describe_index(table, "row", timeout=left)
            )
            done, total = int(state["indexed_rows"]), int(state["total_rows"])
            if state["state"] == "Finished" and done >= total:
                break
            now = time.monotonic()
            if done != before:
                before, end = done, now + INDEXING
            if state["state"] == "Failed" or now > end:
                raise StoreError(
                    f"The store {self.address} does not get on with the search index of {table}: "
                    f"{done} of {total} rows are in it, and it is {one_line(state['state'])}. Look "
                    "at the log of the server and at its memory."
                )
            time.sleep(PAUSE)
        # Loaded before, it would be searched for seconds without the graph, by other means that an
        # effort measured now would not hold for.
        self._write("load_collection", table, seconds=INDEXING)

    def count(self, table: str) -> int:
        """Return the number of rows."""
        self._as_of = None
        found = self._read("query", table, output_fields=["count(*)"])
        return int(found[0]["count(*)"])

    def fetch(self, table: str, places: Int64Array) -> Float32Array:
        """Return the rows at some places, (m, dim)."""
        if table not in self._dims:
            about = self._try(
                READING, lambda left: self._client.describe_collection(table, timeout=left)
            )
            fields = {field["name"]: field["params"] for field in about["fields"]}
            self._dims[table] = int(fields["row"]["dim"])
        dim = self._dims[table]
        asked, of = np.unique(places, return_inverse=True)
        rows = np.empty((len(asked), dim), dtype=np.float32)
        for part in chunks(len(asked), _rows_at_once(dim)):
            if len(asked[part]):
                rows[part] = self._values(table, "row", asked[part])
        return rows[of]

    def ids(self, table: str, places: Int64Array) -> list[str]:
        """Return the ids of the cards whose rows are at some places."""
        parts = [places[part] for part in chunks(len(places), MOST_RESULTS)]
        return [id_ for part in parts if len(part) for id_ in self._values(table, "id", part)]

    def _values(self, table: str, field: str, places: Int64Array) -> list[Any]:
        """Return a field at different places, at most as many as a server gives."""
        wanted = places.tolist()
        options: Any = {"filter": f"place in {wanted}", "output_fields": ["place", field]}
        found = self._read("query", table, **options)
        if len(found) < len(wanted):
            self._as_of = None
            found = self._read("query", table, **options)
        there = {card["place"]: card[field] for card in found}
        lost = [place for place in wanted if place not in there]
        if lost:
            raise StoreError(
                f"The store {self.address} does not hold {len(lost)} of the rows of the index "
                f"in {table}, the first at place {lost[0]}. It was changed by something else "
                "or restored to an older state: build the index again."
            )
        return [there[place] for place in wanted]

    def search(
        self,
        table: str,
        queries: Float32Array,
        count: int,
        *,
        walk: int,
        among: Int64Array | None = None,
    ) -> tuple[Float32Array, Int64Array]:
        """Find the rows of the highest inner products; at most 16,384 unless `among` is given."""
        queries = np.ascontiguousarray(queries, dtype=np.float32)
        scores = np.full((len(queries), count), -np.inf, dtype=np.float32)
        places = np.full((len(queries), count), MISSING, dtype=np.int64)
        if among is not None:
            self._search_among(table, queries, among, scores, places)
            return scores, places
        limit = min(count, MOST_RESULTS)
        most = min(_rows_at_once(queries.shape[1]), max(1, MOST_RESULTS // limit))
        effort = {"params": {"ef": max(walk, limit)}}
        for part in chunks(len(queries), most):
            if not len(queries[part]):
                continue
            found = self._read(
                "search", table, data=queries[part], limit=limit, search_params=effort
            )
            for row, hits in enumerate(found, part.start):
                scores[row, : len(hits.ids)] = hits.distances
                places[row, : len(hits.ids)] = hits.ids
        return scores, places

    def _search_among(
        self,
        table: str,
        queries: Float32Array,
        among: Int64Array,
        scores: Float32Array,
        places: Int64Array,
    ) -> None:
        """Find the nearest of some rows, and write them into scores and places, (n, count).

        A filter on the graph does not compare each: of the nearest of 1,000 rows among 5,000, it
        found 87 %. Few rows are fetched and compared here; of many, a walk that is long enough to
        meet as many as are wanted finds the nearest.
        """
        count, waiting = scores.shape[1], np.arange(len(queries))
        long_enough = [limit for limit in LONG_WALKS if limit >= count]
        for limit in long_enough if len(among) > MOST_COMPARED else ():
            near, found = self.search(table, queries[waiting], limit, walk=limit)
            allowed = np.isin(found, among)
            is_enough = allowed.sum(axis=1) >= count
            best = np.argsort(~allowed[is_enough], axis=1, kind="stable")[:, :count]
            done, waiting = waiting[is_enough], waiting[~is_enough]
            scores[done] = np.take_along_axis(near[is_enough], best, axis=1)
            places[done] = np.take_along_axis(found[is_enough], best, axis=1)
        if len(among) and len(waiting):
            parts = chunks(len(among), _rows_at_once(queries.shape[1]))
            rows = (self.fetch(table, among[part]) for part in parts)
            near, numbers = scan_rows(rows, queries[waiting], count)
            scores[waiting, : near.shape[1]] = near
            places[waiting, : near.shape[1]] = among[numbers]

    def _read(self, name: str, table: str, **options: Any) -> Any:
        """Read as of the last time that was asked for."""
        # Each read with the consistency "Strong" would wait for a tick of the server, 200 ms. Rows
        # at a place that a manifest counts never change.
        call = getattr(self._client, name)
        if self._as_of is None:
            # Zero, of a server without a clock, stands for the newest state.
            handler = self._client._get_connection()
            self._as_of = self._try(READING, lambda left: handler.alloc_timestamp(timeout=left))
        as_of = {"consistency_level": "Customized", "guarantee_timestamp": self._as_of}

        def read(left: float) -> Any:
            try:
                return call(table, timeout=left, **as_of, **options)
            except Exception as error:
                # A server that was started again need not have loaded it.
                if getattr(error, "code", None) == NOT_LOADED:
                    self._client.load_collection(table, timeout=left)
                raise

        return self._try(READING, read)

    def tables(self, prefix: str) -> list[str]:
        """Return the names of the tables that begin with a prefix, in order."""
        names = self._try(READING, lambda left: self._client.list_collections(timeout=left))
        return sorted(name for name in names if name.startswith(prefix))

    def drop(self, table: str) -> None:
        """Delete a table, if it is there."""
        self._dims.pop(table, None)
        self._write("drop_collection", table)

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def _try(self, seconds: float, call: Callable[[float], Result]) -> Result:
        """Call with the seconds that are left, again while the error is one that passes."""
        import tenacity

        end = time.monotonic() + seconds
        tries = tenacity.Retrying(
            stop=tenacity.stop_after_delay(seconds - SHORTEST_TRY),
            wait=tenacity.wait_random_exponential(multiplier=PAUSE, max=LONGEST_PAUSE),
            retry=tenacity.retry_if_exception(_is_passing),
            reraise=True,
        )
        try:
            return tries(lambda: call(max(SHORTEST_TRY, end - time.monotonic())))
        except Exception as error:
            raise self._told(error, seconds) from None

    def _told(self, error: Exception, seconds: float) -> Exception:
        """Return an error of the client as a sentence; another one as it is."""
        import grpc
        from pymilvus.exceptions import MilvusException

        if not isinstance(error, (MilvusException, grpc.RpcError, grpc.FutureTimeoutError)):
            return error
        call = _of_call(error)
        status = call.code().name if call is not None else ""
        words = one_line(call.details() if call is not None else getattr(error, "message", error))
        if self._secret:
            words = words.replace(self._secret, "***")
        name = f"The store {self.address}"
        if status in ("UNAUTHENTICATED", "PERMISSION_DENIED"):
            return StoreError(
                f"{name} refuses the token ({words}). MILVUS_TOKEN, or the file that "
                "PRODCAT_STORE_CREDENTIALS names, must hold USER:PASSWORD or a key that may read "
                "and write there."
            )
        if status in ("UNAVAILABLE", "DEADLINE_EXCEEDED") or _is_passing(error):
            return StoreError(
                f"{name} did not answer within {seconds:.0f} seconds ({words}). Check that it "
                "runs, its address and port, its certificate if it has one, and its log."
            )
        return StoreError(f"{name} refuses: {words}")


def _read_secret(address: StoreAddress) -> str:
    """Return USER:PASSWORD or a key; nothing where none is given."""
    if secret := os.environ.get("MILVUS_TOKEN"):
        return secret
    if not (file := os.environ.get(CREDENTIALS)):
        return ""
    try:
        return Path(file).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise StoreError(
            f"The file of credentials that {CREDENTIALS} names cannot be read: {one_line(error)}"
        ) from error


def _rows_at_once(dim: int) -> int:
    return max(1, min(MOST_RESULTS, BYTES_AT_ONCE // (4 * dim)))


def _of_call(error: BaseException) -> Any:
    """Return the error of the call behind an error of the client; None if there is none."""
    import grpc

    seen: list[BaseException] = []
    cause: BaseException | None = error
    # The client raises errors from themselves.
    while cause is not None and cause not in seen:
        if isinstance(cause, grpc.RpcError) and hasattr(cause, "code"):
            return cause
        seen.append(cause)
        cause = cause.__cause__
    return None


def _is_passing(error: BaseException) -> bool:
    """Check whether it may help to try again."""
    if (call := _of_call(error)) is not None:
        return call.code().name in ("UNAVAILABLE", "ABORTED", "CANCELLED")
    return getattr(error, "code", None) in PASSING
