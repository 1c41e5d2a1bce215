"""Finding the picture files that a catalogue names, or that are named by id, in one folder."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import cache, cached_property
from itertools import product
from pathlib import Path, PurePosixPath
from unicodedata import normalize
from urllib.parse import unquote

from prodcat_index.cards.cleaning import tidy, without_invisible
from prodcat_index.cards.pictures import ADDRESS, read_header
from prodcat_index.errors import CatalogueError, PictureError

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

LISTED = re.compile(r"[|;\n]+")
COMMA = re.compile(r",\s*")
PICTURE_NAME = re.compile(r"\.(?:jpe?g|png|webp|gif|bmp|tiff?|avif)(?:\W.*)?$", re.IGNORECASE)
# Characters of a path that a note shows.
SHOWN_PATH = 200
# A longer list is nobody's pictures and would take minutes.
MAX_LISTED = 50

BASE64 = re.compile(r"data:image/|(?:iVBORw0KGgo|/9j/|UklGR|R0lGOD)[\w+/]{100}")
AS_TEXT = "cards have a picture as text (base64), which is not read: write it to a file"
WITHOUT = "cards have no picture file of their id"
PROBLEMS = (NO_SUCH_FILE, AMBIGUOUS, OUTSIDE, WEB_ADDRESS, WITHOUT)
SEVERAL = "cards name several pictures, of which the first that can be read is taken"
BY_ID = "cards have a web address for a picture; the picture file of their id is taken"
LOOSE = (*STEPS, SEVERAL, BY_ID)


def find_pictures(
    values: Sequence[str], ids: Sequence[str], file: Path | None, image_root: str | Path | None
) -> tuple[list[str], dict[str, list[bool]]]:
    """Return a path or nothing for each card, and masks of the cards by what is to be noted.

    A picture found by its id stands for a web address too, unless another card names it.
    """
    root = file and file.parent
    by_id_root = root and root / PICTURE_FOLDER
    if image_root is not None:
        root = by_id_root = Path(image_root)
        if not root.is_dir():
            raise CatalogueError(f"There is no picture folder {root}.")
    by_id, without = [""] * len(ids), ""
    if by_id_root and by_id_root.is_dir():
        by_id = PictureFiles(by_id_root).find_by_id(ids, file.stem if file else "")
        without = WITHOUT
    values = [without_invisible(value) for value in values]
    as_text = [BASE64.match(value) is not None for value in values]
    values = ["" if packed else value for value, packed in zip(values, as_text, strict=True)]
    are_named = any(value and not is_address(value) for value in values)
    if are_named and root is None:
        raise CatalogueError("The table names picture files: give their folder as image_root.")
    found = _find_named(PictureFiles(root or Path()), values)
    for card, path in enumerate(by_id):
        if not (are_named or values[card]):
            found[card] = path, "" if path else without
    named = {path for path, _ in found}
    for card, path in enumerate(by_id):
        if found[card][1] == WEB_ADDRESS and path and path not in named:
            found[card] = path, BY_ID
    of_ids = [f"{card}.jpg" for card in ids]
    noticed = {AS_TEXT: as_text}
    for what in (*PROBLEMS, *LOOSE):
        marked = [note == what for _, note in found]
        folder, names = (root, values) if what == NO_SUCH_FILE else (by_id_root, of_ids)
        if folder and any(marked) and what in (NO_SUCH_FILE, WEB_ADDRESS, WITHOUT):
            tried = os.path.join(folder.absolute(), names[marked.index(True)])  # noqa: PTH118
            what = f"{what} (the first: {tidy(tried)[-SHOWN_PATH:]})"
        noticed[what] = marked
    return [path for path, _ in found], noticed


def _find_named(files: PictureFiles, values: Sequence[str]) -> list[tuple[str, str]]:
    found = [_find_first(files, value) for value in values]
    # A file that stands for pictures of two folders is the picture of one at most.
    names: dict[str, set[str]] = defaultdict(set)
    for value, (path, _) in zip(values, found, strict=True):
        names[path].add(value)
    for card, (path, note) in enumerate(found):
        if note == OTHER_FOLDER and len(names[path]) > 1:
            found[card] = "", AMBIGUOUS
    return found


def _find_first(files: PictureFiles, value: str) -> tuple[str, str]:
    """Find the picture that a value names or, if it is a list, the first that can be read."""
    listed = [] if is_address(value) else _split_list(value)[:MAX_LISTED]
    if not listed or files.find_exactly(value)[0]:
        return files.find(value)
    if len(listed) == 1:
        path, note = files.find(listed[0])
        return path, note or RESPELLED
    found = [files.find(each) for each in listed]
    there = [each for each, _ in found if each]
    first = next((each for each in there if _is_readable(each)), "".join(there[:1]))
    return (first, SEVERAL) if first else found[0]


def _split_list(value: str) -> list[str]:
    """Split ``a.jpg|b.jpg`` or ``['a.jpg', 'b.jpg']``; a comma may also be a part of a name."""
    listed = []
    for each in LISTED.split(value.strip(WRAPPING)):
        parts = COMMA.split(each)
        listed += parts if all(map(PICTURE_NAME.search, parts)) else [each]
    return [name for name in (each.strip(WRAPPING) for each in listed) if name]


def _is_readable(path: str) -> bool:
    try:
        return read_header(path) is not None
    except PictureError:
        return False


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
