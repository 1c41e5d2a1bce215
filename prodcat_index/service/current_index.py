"""The index that is served: the newest version of its folder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from prodcat_index.errors import IndexFolderError
from prodcat_index.index.product_index import ProductIndex

# Seconds to wait for another process that writes, and changes that are tried anew after it did.
PATIENCE, ATTEMPTS = 60.0, 5


@dataclass(frozen=True)
class Version:
    """One version of an index, and what is remembered of it."""

    number: int
    index: ProductIndex

    @classmethod
    def load(cls, folder: Path) -> Version:
        """Open the current version of a folder."""
        index = ProductIndex.load(folder, verify=False)
        opened = index.parts.opened
        assert opened is not None, "it was loaded"
        return cls(opened.manifest.version, index)


class CurrentIndex:
    """Holds the version that is served.

    Attributes
    ----------
    folder
        Folder of the index.
    now
        The version that new requests are answered by. A request keeps the one it began with.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._writing = Lock()
        self.now = Version.load(folder)

    @property
    def index(self) -> ProductIndex:
        """The index of the current version."""
        return self.now.index

    @property
    def version(self) -> int:
        """Number of the current version in the folder."""
        return self.now.number

    def change(
        self, change: Callable[[ProductIndex], ProductIndex], *, wait: float = PATIENCE
    ) -> int:
        """Write a changed index as the next version, serve it, and return its number.

        One thread changes at a time. Where another process writes in between, its version is
        changed anew.

        Parameters
        ----------
        change
            Returns the changed index for the newest one, or that itself where there is nothing to
            do. It may be called several times.
        wait
            Seconds to wait for another process that writes.

        Raises
        ------
        IndexFolderError
            If the folder cannot be written. It is left as it is then.
        """
        with self._writing:
            for attempt in range(ATTEMPTS):
                before = Version.load(self.folder)
                changed = change(before.index)
                if changed.parts is before.index.parts:
                    return before.number
                try:
                    changed.save_next(self.folder, wait=wait)
                except IndexFolderError:
                    is_same = Version.load(self.folder).number == before.number
                    if is_same or attempt + 1 == ATTEMPTS:
                        raise
                    continue
                self.now = Version.load(self.folder)
                return self.now.number
            raise AssertionError("the last attempt returns or raises")
