"""What workers find, in files: written whole, and read again where an earlier run left them."""

from __future__ import annotations

import json
import re
import shutil
import uuid
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, is_dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from prodcat_index import files
from prodcat_index.audit.graph import FoldAnswers
from prodcat_index.distributed.engines import Engine, Start, Work
from prodcat_index.errors import ClusterError, IndexFolderError
from prodcat_index.index.answers import Reasons, VoteResult
from prodcat_index.index.encoded_listings import Queries
from prodcat_index.index.search import Neighbours
from prodcat_index.voting.vote import Vote

# What a file may hold, beside arrays, texts, numbers and lists of them.
KINDS: dict[str, Any] = {
    kind.__name__: kind for kind in (FoldAnswers, Neighbours, Queries, Reasons, Vote, VoteResult)
}
STRUCTURE = "structure"
# Names of results, of those that are not written to the end, and of what workers look for.
OWN = re.compile(
    r"(\w+-)?\d{5,}-[0-9a-f]{32}(-.*)?\.npz|\.[0-9a-f]{32}\.npz|\.reached-[0-9a-f]{32}"
)


@dataclass(frozen=True)
class LazyItems(Sequence[Any]):
    """So many items, each of which is made when it is given to a worker."""

    number: int
    make: Callable[[int], Any]

    def __len__(self) -> int:
        return self.number

    def __getitem__(self, place: Any) -> Any:
        return self.make(range(self.number)[place])


@contextmanager
def kept_until_done(folder: Path, what: str) -> Iterator[None]:
    """Hold a folder of results alone, which is removed when all is done."""
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    own = {files.LOCK, *filter(OWN.fullmatch, names)}
    files.check_output_folder(folder, what, IndexFolderError, own)
    with files.exclusive_folder(folder, what, IndexFolderError):
        yield
    shutil.rmtree(folder)


def find_all(
    engine: Engine,
    start: Start,
    work: Work,
    items: Sequence[Any],
    names: Sequence[str],
    *,
    label: str,
    unit: str,
    folder: Path,
) -> Iterator[Any]:
    """Do each item whose file, of its name in a folder, is missing; yield all results in order."""
    # A name says of what its item is, so that a file of another run is not taken for it.
    paths = [folder / f"{name}.npz" for name in names]
    missing = [number for number, path in enumerate(paths) if not zipfile.is_zipfile(path)]
    todo = LazyItems(len(missing), lambda n: (paths[missing[n]], items[missing[n]]))
    written = engine.map(start, partial(_write, work), todo, label=label, unit=unit, folder=folder)
    for _ in written:
        pass
    yield from map(_read, paths)


def _write(work: Work, state: Any, item: tuple[Path, Any]) -> None:
    path, own = item
    arrays: dict[str, npt.NDArray[Any]] = {}
    structure = json.dumps(_packed(work(state, own), arrays))
    arrays[STRUCTURE] = np.frombuffer(structure.encode(), dtype=np.uint8)
    # Another worker may write the same at the same time.
    unfinished = path.with_name(f".{uuid.uuid4().hex}.npz")
    try:
        with files.create(unfinished) as output:
            np.savez(output, **arrays)  # type: ignore[arg-type]
        unfinished.replace(path)
    finally:
        files.remove(unfinished)


def _read(path: Path) -> Any:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return _unpacked(json.loads(arrays[STRUCTURE].tobytes()), arrays)
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise ClusterError(
            f"{path} is damaged ({error}); remove it, and give the same command again."
        ) from error


def _packed(value: Any, arrays: dict[str, npt.NDArray[Any]]) -> Any:
    """Return what JSON can hold, and put the arrays aside."""
    if isinstance(value, np.ndarray):
        arrays[name := f"a{len(arrays)}"] = value
        return {"array": name}
    kind = type(value).__name__
    if KINDS.get(kind) is type(value):
        names = [f.name for f in fields(value)] if is_dataclass(value) else value._fields
        return {kind: {name: _packed(getattr(value, name), arrays) for name in names}}
    if isinstance(value, Mapping):
        return {"mapping": {name: _packed(each, arrays) for name, each in value.items()}}
    if isinstance(value, (list, tuple)):
        return [_packed(each, arrays) for each in value]
    return value.item() if isinstance(value, np.generic) else value


def _unpacked(value: Any, arrays: Mapping[str, npt.NDArray[Any]]) -> Any:
    if isinstance(value, list):
        return tuple(_unpacked(each, arrays) for each in value)
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    if kind == "array":
        return arrays[content]
    read = {name: _unpacked(each, arrays) for name, each in content.items()}
    return read if kind == "mapping" else KINDS[kind](**read)
