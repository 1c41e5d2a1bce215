"""Finding the picture file of every card inside one folder, and never outside it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

EXTENSIONS = (".jpg", ".jpeg", ".png", ".webp")
PARTS = ("train", "test")

MISSING = "cards name a picture file that is not there"
OUTSIDE = "cards name a picture outside the picture folder, which is not read"
WEB_ADDRESS = "cards have a web address for a picture: download it first"
WITHOUT = "cards have no picture file of their id"

ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)


def is_address(value: str) -> bool:
    """Tell whether a value of the picture column is a web address."""
    return ADDRESS.match(value) is not None


class PictureFiles:
    """The files under a picture folder, each folder listed once.

    Parameters
    ----------
    root
        The picture folder. Files that lie elsewhere, or are links to elsewhere, are not found.
    """

    def __init__(self, root: Path) -> None:
        self.root = os.path.realpath(root)
        self._listings: dict[str, dict[str, str] | None] = {}

    def find(self, value: str) -> tuple[str, str]:
        """Return the absolute path of a picture and no problem, or no path and the problem.

        Parameters
        ----------
        value
            Path relative to the picture folder, or absolute and inside it; may be empty.

        Returns
        -------
        path, problem : str
            One of them is empty; both are for an empty value.
        """
        if not value or is_address(value):
            return "", WEB_ADDRESS if value else ""
        folder, name = os.path.split(os.path.join(self.root, value))  # noqa: PTH118
        listing = self._list(folder)
        if listing is None or listing.get(name) == "":
            return "", OUTSIDE
        path = listing.get(name, "")
        return path, "" if path else MISSING

    def find_all(self, ids: Sequence[str], folders: Iterable[Path]) -> list[str]:
        """Return the path of each id's picture, ``{id}.jpg`` or so, empty when there is none.

        Parameters
        ----------
        ids
            Identifiers of the cards.
        folders
            Where to look; earlier folders and earlier ``EXTENSIONS`` win.
        """
        by_id: dict[str, str] = {}
        for folder in folders:
            names = self._list(str(folder)) or {}
            for extension in EXTENSIONS:
                for stem, path in _with_extension(names, extension):
                    by_id.setdefault(stem, path)
        return [by_id.get(card, "") for card in ids]

    def _list(self, folder: str) -> dict[str, str] | None:
        if folder not in self._listings:
            self._listings[folder] = self._read_listing(folder)
        return self._listings[folder]

    def _read_listing(self, folder: str) -> dict[str, str] | None:
        """Map file names to real paths, empty for links to outside; None for a folder outside."""
        try:
            real = os.path.realpath(folder)
            if not self._holds(real):
                return None
            with os.scandir(real) as entries:
                return {entry.name: self._real_path(entry) for entry in entries if _is_file(entry)}
        except (OSError, ValueError):
            return {}

    def _real_path(self, entry: os.DirEntry[str]) -> str:
        if not entry.is_symlink():
            return entry.path
        real = os.path.realpath(entry.path)
        return real if self._holds(real) else ""

    def _holds(self, real: str) -> bool:
        return os.path.commonpath([real, self.root]) == self.root


def _is_file(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file()
    except OSError:  # a link to itself
        return False


def folders_by_id(root: Path, stem: str) -> list[Path]:
    """List the folders that may hold ``{id}.jpg`` files.

    Parameters
    ----------
    root
        The picture folder.
    stem
        Name of the catalogue file without its ending: for ``train.parquet`` the pictures of the
        folder ``train`` come first.
    """
    own = root / stem
    return [own, root] if stem and own.is_dir() else [root, *(root / part for part in PARTS)]


def _with_extension(names: Mapping[str, str], extension: str) -> Iterator[tuple[str, str]]:
    for name, path in names.items():
        stem, dot, ending = name.rpartition(".")
        if dot + ending.lower() == extension:
            yield stem, path
