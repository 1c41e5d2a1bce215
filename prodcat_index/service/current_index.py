"""The index that is served: the newest version of its folder."""

from __future__ import annotations

from pathlib import Path

from prodcat_index.index.product_index import ProductIndex


class CurrentIndex:
    """Holds the loaded index and its version.

    Attributes
    ----------
    index
        The index. A request keeps the one that it began with.
    version
        Number of its version in the folder.
    """

    def __init__(self, folder: Path) -> None:
        from prodcat_index.index.folder import parse_manifest

        self.folder = folder
        self.version = parse_manifest(folder).version
        self.index = ProductIndex.load(folder, verify=False)
