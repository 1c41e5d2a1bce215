"""The index that is served: the newest version of its folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from prodcat_index.index.product_index import ProductIndex


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
        self.now = Version.load(folder)

    @property
    def index(self) -> ProductIndex:
        """The index of the current version."""
        return self.now.index

    @property
    def version(self) -> int:
        """Number of the current version in the folder."""
        return self.now.number
