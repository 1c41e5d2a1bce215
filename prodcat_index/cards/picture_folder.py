"""A picture folder: finding a file in it by a name that may be spelled in another way."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import cache, cached_property
from itertools import product
from pathlib import Path, PurePosixPath
from unicodedata import normalize
from urllib.parse import unquote

from prodcat_index.cards.pictures import ADDRESS

PICTURE_FOLDER = "images"
PARTS = (PICTURE_FOLDER, "train", "test")
# Of one name, the file with the earlier ending is taken.
EXTENSIONS = (".jpg", ".jpeg", ".png", ".webp")
QUERY = re.compile(r"[?#].*$", re.DOTALL)
WRAPPING = " \t[]{}'\""
# A longer or deeper name is nobody's picture and would take minutes.
MAX_LENGTH, MAX_DEPTH = 4096, 32

NO_SUCH_FILE = "cards name a picture file that is not there"
AMBIGUOUS = "cards name a picture that several files could be, so none is taken"
OUTSIDE = "cards name a picture outside the picture folder, which is not read"
WEB_ADDRESS = (
    "cards have a web address for a picture, which is not fetched, and no file of their id"
)
# What is found in another way than by its very name is counted, by the loosest step.
RESPELLED = "cards name a picture file in other characters, such as \\ or %20"
OTHER_CASE = "cards name a picture file in other letter case"
NO_ENDING = "cards name a picture file without its ending"
NO_FOLDER = f"cards name a picture file without its folder, {PICTURE_FOLDER}"
OTHER_FOLDER = "cards name a picture in a folder that is not there; the file of its name is taken"
STEPS = (RESPELLED, OTHER_CASE, NO_ENDING, NO_FOLDER, OTHER_FOLDER)


def is_address(value: str) -> bool:
    """Check whether a value of the picture column is a web address."""
    return ADDRESS.match(value.lstrip(WRAPPING)) is not None


class _Names(dict[str, str]):
    """Real paths by name, empty where one is outside of the picture folder."""

    @cached_property
    def _loose(self) -> dict[str, dict[str, list[str]]]:
        """Map each way of loosening a name to the names that are equal then."""
        loose: dict[str, dict[str, list[str]]] = {RESPELLED: {}, OTHER_CASE: {}, NO_ENDING: {}}
        for name in self:
            composed = normalize("NFC", name)
            folded = composed.casefold()
            loose[RESPELLED].setdefault(composed, []).append(name)
            loose[OTHER_CASE].setdefault(folded, []).append(name)
            stem, dot, ending = folded.rpartition(".")
            if dot + ending in EXTENSIONS:
                loose[NO_ENDING].setdefault(stem, []).append(name)
        return loose

    def match(self, name: str) -> tuple[str, str] | None:
        """Return the path of a name that is like another, none where several are, and the way."""
        if name in self:
            return self[name], ""
        composed = normalize("NFC", name)
        folded = composed.casefold()
        for way, key in ((RESPELLED, composed), (OTHER_CASE, folded), (NO_ENDING, folded)):
            like = self._loose[way].get(key, [])
            if way == NO_ENDING and like:
                first = min(EXTENSIONS.index(Path(each).suffix.lower()) for each in like)
                like = [each for each in like if each.lower().endswith(EXTENSIONS[first])]
                like = [each for each in like if Path(each).stem == name] or like
            if like:
                return (self[like[0]], way) if len(like) == 1 else ("", AMBIGUOUS)
        return None


class _Folder:
    """The files of a folder, and the folders in it."""

    def __init__(self) -> None:
        self.files, self.folders = _Names(), _Names()


class PictureFiles:
    """The files under a picture folder, each folder listed once.

    A path that leads out of it, also through a link, is never read: catalogues are of strangers.
    """

    def __init__(self, root: Path) -> None:
        self.root = os.path.realpath(root)
        self._list = cache(self._read_folder)

    def find(self, value: str) -> tuple[str, str]:
        """Return the absolute path of a picture, or none, and what is to be noted about it.

        After the very name come other spellings, no ending, ``images``, and ever fewer folders.
        """
        if not value or is_address(value):
            return "", WEB_ADDRESS if value else ""
        found = self.find_exactly(value)
        if found[1] == OUTSIDE and not os.path.lexists(os.path.join(self.root, value)):  # noqa: PTH118
            found = "", NO_SUCH_FILE
        # A file of another machine may be here by its name, one of this machine is what it is.
        if found[0] or (Path(value).is_absolute() and os.path.exists(value)):  # noqa: PTH110
            return found
        return self._find_loosely(value) or found

    def find_exactly(self, value: str) -> tuple[str, str]:
        """Find the file of this very name."""
        if len(value) > MAX_LENGTH:
            return "", NO_SUCH_FILE
        folder, name = os.path.split(os.path.join(self.root, value))  # noqa: PTH118
        listed = self._list(folder)
        if listed is None:
            return "", OUTSIDE
        path = listed.files.get(name)
        return path or "", NO_SUCH_FILE if path is None else "" if path else OUTSIDE

    def _find_loosely(self, value: str) -> tuple[str, str] | None:
        variants = list(_path_variants(value))
        most = max(map(len, variants), default=0)
        for dropped, base in product(range(most), ((), (PICTURE_FOLDER,))):
            for parts in variants:
                found = self._walk((*base, *parts[dropped:])) if dropped < len(parts) else None
                if found and found[0] and (dropped or base):
                    return found[0], OTHER_FOLDER if dropped else NO_FOLDER
                if found:
                    return found[0], found[1] or RESPELLED
        return None

    def _walk(self, parts: Sequence[str]) -> tuple[str, str] | None:
        """Find a file by the names of its folders and its own, the loosest step noted."""
        path, notes, last = self.root, {""}, len(parts) - 1
        for place, part in enumerate(parts):
            listed = self._list(path)
            found = listed and (listed.files if place == last else listed.folders).match(part)
            if not found:
                return None
            path, note = found
            notes.add(note)
            if not path and place < last:
                return "", note or OUTSIDE
        loosest = max(notes, key=("", *STEPS, AMBIGUOUS).index)
        return path, loosest if path or loosest == AMBIGUOUS else OUTSIDE

    def find_by_id(self, ids: Sequence[str], stem: str) -> list[str]:
        """Return the path of each id's picture, ``{id}.jpg`` or so, first in the folder `stem`."""
        root = Path(self.root)
        own = root / stem
        folders = [own, root] if stem and own.is_dir() else [root, *(root / part for part in PARTS)]
        # Of one id, the earlier folder wins, and in it the earlier extension.
        by_id: dict[str, str] = {}
        for folder in folders:
            names = (self._list(str(folder)) or _Folder()).files
            for extension in EXTENSIONS:
                for name, path in names.items():
                    stem, dot, ending = name.rpartition(".")
                    if dot + ending.lower() == extension:
                        by_id.setdefault(stem, path)
        return [by_id.get(card, "") for card in ids]

    def _read_folder(self, folder: str) -> _Folder | None:
        """Map names to real paths, empty for links to outside; None for a folder outside."""
        listed = _Folder()
        try:
            real = os.path.realpath(folder)
            if not self._holds(real):
                return None
            with os.scandir(real) as entries:
                for entry in entries:
                    with suppress(OSError):  # a link to itself
                        if entry.is_dir():
                            listed.folders[entry.name] = self._real_path(entry)
                        elif entry.is_file():
                            listed.files[entry.name] = self._real_path(entry)
        except (OSError, ValueError):
            return _Folder()
        return listed

    def _real_path(self, entry: os.DirEntry[str]) -> str:
        if not entry.is_symlink():
            return entry.path
        real = os.path.realpath(entry.path)
        return real if self._holds(real) else ""

    def _holds(self, real: str) -> bool:
        return os.path.commonpath([real, self.root]) == self.root


def _path_variants(value: str) -> Iterator[tuple[str, ...]]:
    """Yield the parts of a path as it is and without a query or escapes, if it stays inside."""
    path = value.strip(WRAPPING).replace("\\", "/") if len(value) <= MAX_LENGTH else ""
    plain = QUERY.sub("", path)
    for variant in dict.fromkeys((path, plain, unquote(path), unquote(plain))):
        parts = PurePosixPath(os.path.normpath(variant.replace("\\", "/")).lstrip("/")).parts
        if parts and ".." not in parts and len(parts) <= MAX_DEPTH:
            yield parts
