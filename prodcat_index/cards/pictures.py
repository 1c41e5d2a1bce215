"""Loading picture files as a person would see them, each within bounded memory and time."""

from __future__ import annotations

import re
import stat
import warnings
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from io import BytesIO
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
# A path has one slash for two.
ADDRESS = re.compile(r"(?!file:)[a-z][a-z0-9+.-]+:/|//|data:|www\.[^/]+\.[^/]+/", re.IGNORECASE)
# Not PostScript, which Pillow lets an outside program run.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
DEEP_MODES = ("I", "F")
SIXTEEN_BITS = 65_535.0
# A float picture does not tell what its white is: the first of these that nothing exceeds.
USUAL_MAXIMA = (1.0, 255.0, SIXTEEN_BITS)
EXIF_ORIENTATION = 0x0112
ON_ITS_SIDE = (5, 6, 7, 8)


@dataclass(frozen=True)
class Header:
    """Size in pixels, as a person would see it, and format of a picture file."""

    width: int
    height: int
    format: str


def load_picture(path: str | Path, min_side: int | None = None) -> Image:
    """Load a picture upright, on white, in RGB, halved above LARGE_PIXELS; or raise PictureError.

    A JPEG is decoded at 1/2, 1/4 or 1/8 if no side is shorter than `min_side` then: much faster.
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


def make_thumbnail(path: str | Path, side: int, quality: int) -> bytes:
    """Return a picture as a JPEG file of which no side is longer; raises as `load_picture`."""
    picture = load_picture(path, side)
    picture.thumbnail((side, side))
    # A photograph says where it was taken, and may hold a comment.
    picture.info.clear()
    file = BytesIO()
    picture.save(file, "JPEG", quality=quality)
    return file.getvalue()


def read_header(path: str | Path) -> Header:
    """Read the size and format of a picture without decoding it; raises as `load_picture`."""
    from PIL import Image

    # Any damaged file may raise any error, which load_picture puts in words. It also loads what
    # is no regular file, or too large, in order to raise the right error.
    with suppress(Exception), warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="PIL")
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
        is_web = ADDRESS.match(str(error.filename)) is not None
        return "it is a web address: download it first" if is_web else "there is no such file"
    if isinstance(error, PermissionError):
        return "reading it is not permitted"
    if isinstance(error, UnidentifiedImageError):
        return "it is not a picture of a known format"
    if isinstance(error, Image.DecompressionBombError):
        return TOO_LARGE
    if isinstance(error, MemoryError):
        return "there is not enough memory for it"
    return "the file is truncated" if "truncated" in str(error) else "the file is damaged"
