"""Finding the picture files that a catalogue names, or that are named by id, in one folder."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from prodcat_index.cards.cleaning import tidy, without_invisible
from prodcat_index.cards.picture_folder import (
    AMBIGUOUS,
    NO_SUCH_FILE,
    OTHER_FOLDER,
    OUTSIDE,
    PICTURE_FOLDER,
    RESPELLED,
    STEPS,
    WEB_ADDRESS,
    WRAPPING,
    PictureFiles,
    is_address,
)
from prodcat_index.cards.pictures import read_header
from prodcat_index.errors import CatalogueError, PictureError

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
    by_id = [""] * len(ids)
    if by_id_root and by_id_root.is_dir():
        by_id = PictureFiles(by_id_root).find_by_id(ids, file.stem if file else "")
    values = [without_invisible(value) for value in values]
    as_text = [BASE64.match(value) is not None for value in values]
    values = ["" if packed else value for value, packed in zip(values, as_text, strict=True)]
    if any(value and not is_address(value) for value in values):
        if root is None:
            raise CatalogueError("The table names picture files: give their folder as image_root.")
        paths, notes = _find_named(PictureFiles(root), values)
    else:
        without = WITHOUT if by_id_root and by_id_root.is_dir() else ""
        paths = ["" if value else path for value, path in zip(values, by_id, strict=True)]
        notes = [
            WEB_ADDRESS if value else "" if path else without
            for value, path in zip(values, paths, strict=True)
        ]
    named = set(paths)
    for card, path in enumerate(by_id):
        if notes[card] == WEB_ADDRESS and path and path not in named:
            paths[card], notes[card] = path, BY_ID
    of_ids = [f"{card}.jpg" for card in ids]
    noticed = {AS_TEXT: as_text}
    for what in (*PROBLEMS, *LOOSE):
        marked = [note == what for note in notes]
        folder, names = (root, values) if what == NO_SUCH_FILE else (by_id_root, of_ids)
        if folder and any(marked) and what in (NO_SUCH_FILE, WEB_ADDRESS, WITHOUT):
            tried = os.path.join(folder.absolute(), names[marked.index(True)])  # noqa: PTH118
            what = f"{what} (the first: {tidy(tried)[-SHOWN_PATH:]})"
        noticed[what] = marked
    return paths, noticed


def _find_named(files: PictureFiles, values: Sequence[str]) -> tuple[list[str], list[str]]:
    found = [_find_first(files, value) for value in values]
    # A file that stands for pictures of two folders is the picture of one at most.
    names: dict[str, set[str]] = defaultdict(set)
    for value, (path, _) in zip(values, found, strict=True):
        names[path].add(value)
    for card, (path, note) in enumerate(found):
        if note == OTHER_FOLDER and len(names[path]) > 1:
            found[card] = "", AMBIGUOUS
    return [path for path, _ in found], [note for _, note in found]


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
