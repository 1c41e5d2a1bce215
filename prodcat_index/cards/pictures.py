"""Picture files: finding them inside one folder, loading them as a person would see them."""

from __future__ import annotations

import os
import re
import stat
import warnings
from collections.abc import Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from functools import cache
from mmap import ACCESS_READ, mmap
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from prodcat_index.errors import PictureError

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageFile import ImageFile


# 64 megapixels take 256 MB, and twice that while they are converted; no shop's photo has more.
MAX_PIXELS = 64_000_000
TOO_LARGE = f"it is larger than {MAX_PIXELS // 1_000_000} megapixels"
# Networks scale the short side up to some hundred pixels before they cut the middle out.
MAX_ASPECT = 100
TOO_THIN = f"it is more than {MAX_ASPECT} times as long as it is wide"
# A progressive JPEG has about ten; each costs time for every pixel and few bytes.
MAX_SCANS = 100
START_OF_SCAN = b"\xff\xda"
TOO_MANY_SCANS = f"it has more than {MAX_SCANS} scans"
TILE_SIDES = (322, 323)  # tags of TIFF
# Pictures above are decoded one at a time, and halved until they are not, so that the memory of
# all threads is bounded. Every reader scales them down further.
LARGE_PIXELS = 16_000_000
_ONE_LARGE = Lock()
# Not PostScript, which Pillow lets an outside program run.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
DEEP_MODES = ("I", "F")
SIXTEEN_BITS = 65_535.0
# A float picture does not tell what its white is: the first of these that nothing exceeds.
USUAL_MAXIMA = (1.0, 255.0, SIXTEEN_BITS)
EXIF_ORIENTATION = 0x0112
ON_ITS_SIDE = (5, 6, 7, 8)

EXTENSIONS = (".jpg", ".jpeg", ".png", ".webp")
PARTS = ("train", "test")
ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)

NO_SUCH_FILE = "cards name a picture file that is not there"
OUTSIDE = "cards name a picture outside the picture folder, which is not read"
WEB_ADDRESS = "cards have a web address for a picture: download it first"
WITHOUT = "cards have no picture file of their id"
PROBLEMS = (NO_SUCH_FILE, OUTSIDE, WEB_ADDRESS, WITHOUT)


@dataclass(frozen=True)
class Header:
    """Size in pixels, as a person would see it, and format of a picture file."""

    width: int
    height: int
    format: str


def load_picture(path: str | Path, min_side: int | None = None) -> Image:
    """Load a picture upright, laid on white, in RGB; of an animation the first frame.

    One above LARGE_PIXELS is halved. With `min_side`, a JPEG is decoded at the smallest of 1/2,
    1/4 or 1/8 of its size at which no side is shorter than that, many times faster. Raises
    PictureError with a clause.
    """
    from PIL import Image, ImageOps, features

    # Decoders raise errors of almost any class on damaged files; none may stop a whole catalogue.
    # Their warnings say what the error says, or are about EXIF that is not needed.
    try:
        _check_file(Path(path))
        formats = (*FORMATS, "AVIF") if features.check("avif") else FORMATS
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="PIL")
            with Image.open(path, formats=formats) as picture:
                _check_size(picture)
                if min_side is not None:
                    picture.draft(picture.mode, (min_side, min_side))
                is_large = picture.width * picture.height > LARGE_PIXELS
                with _ONE_LARGE if is_large else nullcontext():
                    picture.load()
                    # A damaged EXIF block is no reason to lose the picture.
                    with suppress(Exception):
                        ImageOps.exif_transpose(picture, in_place=True)
                    loaded = _to_rgb(picture)
                    while loaded.width * loaded.height > LARGE_PIXELS:
                        loaded = loaded.reduce(2)
                return loaded
    except PictureError:
        raise
    except Exception as error:
        raise PictureError(_reason(error)) from None


def read_header(path: str | Path) -> Header:
    """Read the size and format of a picture without decoding it; raises as `load_picture`."""
    from PIL import Image

    # Any damaged file may raise any error, which load_picture puts in words. It also loads what
    # is no regular file, or too large, in order to raise the right error.
    with suppress(Exception):
        if Path(path).is_file():
            with Image.open(path, formats=FORMATS) as picture:
                (width, height), form = picture.size, str(picture.format)
                # Other formats would be decoded to find their EXIF block.
                if form == "JPEG" and picture.getexif().get(EXIF_ORIENTATION) in ON_ITS_SIDE:
                    width, height = height, width
                _check_size(picture)
                return Header(width, height, form)
    width, height = load_picture(path).size
    return Header(width, height, "other")


def _check_file(path: Path) -> None:
    found = path.stat()
    if stat.S_ISDIR(found.st_mode):
        raise PictureError("it is a folder")
    if not stat.S_ISREG(found.st_mode):
        raise PictureError("it is no regular file")
    if not found.st_size:
        raise PictureError("the file is empty")


def _check_size(picture: ImageFile) -> None:
    """Raise an error if decoding or scaling would take too much memory or time."""
    short, long = sorted(picture.size)
    if long * short > MAX_PIXELS:
        raise PictureError(TOO_LARGE)
    if long > MAX_ASPECT * short:
        raise PictureError(TOO_THIN)
    if picture.format == "TIFF":
        # A tile is decoded whole, however much of it is outside of the picture.
        across, down = (picture.tag_v2.get(side, 1) for side in TILE_SIDES)  # type: ignore[attr-defined]
        if across * down > MAX_PIXELS:
            raise PictureError(TOO_LARGE)
    if picture.format in ("JPEG", "MPO"):
        assert picture.fp is not None, "it was opened from a path"
        with mmap(picture.fp.fileno(), 0, access=ACCESS_READ) as content:
            scan = -1
            for _ in range(MAX_SCANS + 1):
                scan = content.find(START_OF_SCAN, scan + 1)
                if scan < 0:
                    return
            raise PictureError(TOO_MANY_SCANS)


def _to_rgb(picture: Image) -> Image:
    from PIL import Image

    if picture.mode.startswith(DEEP_MODES):
        picture = _to_eight_bits(picture)
    if not picture.has_transparency_data:
        return picture if picture.mode == "RGB" else picture.convert("RGB")
    # A mask takes less memory than a second picture with an alpha channel.
    picture = picture if picture.mode == "RGBA" else picture.convert("RGBA")
    white = Image.new("RGB", picture.size, "white")
    white.paste(picture, mask=picture.getchannel("A"))
    return white


def _to_eight_bits(picture: Image) -> Image:
    import numpy as np
    from PIL import Image

    # In place, as every copy of the largest picture takes 256 MB.
    grey = np.array(picture, dtype=np.float32)
    np.nan_to_num(grey, copy=False, posinf=0.0, neginf=0.0)
    highest = float(grey.max())
    maxima = USUAL_MAXIMA if picture.mode == "F" else (SIXTEEN_BITS,)
    grey.clip(0, out=grey)
    grey /= next((maximum for maximum in maxima if highest <= maximum), highest)
    grey *= 255
    return Image.fromarray(np.rint(grey, out=grey).astype(np.uint8))


def _reason(error: Exception) -> str:
    from PIL import Image, UnidentifiedImageError

    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    if isinstance(error, PermissionError):
        return "reading it is not permitted"
    if isinstance(error, UnidentifiedImageError):
        return "it is not a picture of a known format"
    if isinstance(error, Image.DecompressionBombError):
        return TOO_LARGE
    if isinstance(error, MemoryError):
        return "there is not enough memory for it"
    return "the file is truncated" if "truncated" in str(error) else "the file is damaged"


class PictureFiles:
    """The files under a picture folder, each folder listed once.

    A path that leads out of the folder, also through a link, is never read: a catalogue may come
    from a stranger.
    """

    def __init__(self, root: Path) -> None:
        self.root = os.path.realpath(root)
        self._list = cache(self._read_listing)

    def find(self, value: str) -> tuple[str, str]:
        """Return the absolute path of a picture and no problem, or no path and the problem.

        `value` is relative to the folder, or absolute and inside it; both are empty without one.
        """
        if not value or is_address(value):
            return "", WEB_ADDRESS if value else ""
        folder, name = os.path.split(os.path.join(self.root, value))  # noqa: PTH118
        listing = self._list(folder)
        path = "" if listing is None else listing.get(name)
        if path is None:
            return "", NO_SUCH_FILE
        return path, "" if path else OUTSIDE

    def find_by_id(self, ids: Sequence[str], stem: str) -> list[str]:
        """Return the path of each id's picture, ``{id}.jpg`` or so, empty when there is none.

        The folder of the catalogue's own name, ``stem``, comes first.
        """
        root = Path(self.root)
        own = root / stem
        folders = [own, root] if stem and own.is_dir() else [root, *(root / part for part in PARTS)]
        # Of one id, the earlier folder wins, and in it the earlier extension.
        by_id: dict[str, str] = {}
        for folder in folders:
            names = self._list(str(folder)) or {}
            for extension in EXTENSIONS:
                for name, path in names.items():
                    stem, dot, ending = name.rpartition(".")
                    if dot + ending.lower() == extension:
                        by_id.setdefault(stem, path)
        return [by_id.get(card, "") for card in ids]

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


def is_address(value: str) -> bool:
    """Check whether a value of the picture column is a web address."""
    return ADDRESS.match(value) is not None
