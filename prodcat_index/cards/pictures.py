"""Loading one picture as a person would see it, or its size alone."""

from __future__ import annotations

import stat
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from prodcat_index.errors import PictureError

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_PIXELS = 64_000_000
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
DEEP_MODES = ("I", "F")
SIXTEEN_BITS = 65_535.0
USUAL_MAXIMA = (1.0, 255.0, SIXTEEN_BITS)
EXIF_ORIENTATION = 0x0112
ON_ITS_SIDE = (5, 6, 7, 8)


@dataclass(frozen=True)
class Header:
    """What a picture file says of itself.

    Attributes
    ----------
    width, height
        In pixels, as a person would see it.
    format
        Such as ``JPEG``.
    """

    width: int
    height: int
    format: str


def load_picture(path: str | Path, min_side: int | None = None) -> Image:
    """Load a picture as a person would see it.

    It is turned upright by its EXIF mark and laid on white where it is transparent; of an
    animation the first frame is taken; 16-bit and float greys are scaled to 8 bits. Colour
    profiles are not applied.

    Parameters
    ----------
    path
        A JPEG, PNG, WebP, GIF, BMP, TIFF or (where Pillow reads it) AVIF file, whatever its name.
    min_side
        Smallest side that is needed, in pixels, at least 1. A JPEG is then decoded at 1/2, 1/4
        or 1/8 of its size, at the smallest of these at which no side gets shorter than this
        (many times faster); it stays whole where there is none, as other formats always do.

    Returns
    -------
    PIL.Image.Image
        The whole picture, mode RGB.

    Raises
    ------
    PictureError
        When it is no such file, or has more than ``MAX_PIXELS`` pixels by its header, checked
        before anything is decoded. The message is a clause such as ``the file is truncated``.
    """
    _check_file(Path(path))
    # Decoders raise errors of almost any class on damaged files; none may stop a whole catalogue.
    # Their warnings say what the error says, or are about EXIF that is not needed.
    try:
        with warnings.catch_warnings(), _open(path) as picture:
            _check_size(picture)
            if min_side is not None:
                picture.draft(picture.mode, (min_side, min_side))
            picture.load()
            return _to_rgb(_upright(picture))
    except PictureError:
        raise
    except Exception as error:
        raise PictureError(_reason(error)) from None


def read_header(path: str | Path) -> Header:
    """Read the size and format of a picture, without decoding it.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    Header
        Turned upright where a JPEG says that it lies on its side.

    Raises
    ------
    PictureError
        When it is no picture that :func:`load_picture` reads, as far as its header tells.
    """
    # Any damaged file may raise any error; what is wrong with it, load_picture says in words.
    try:
        header = _header_of(path) if Path(path).is_file() else None
    except Exception:
        header = None
    if header is None or header.width * header.height > MAX_PIXELS:
        width, height = load_picture(path).size
        return Header(width, height, "other")
    return header


def _header_of(path: str | Path) -> Header:
    from PIL import Image

    with Image.open(path, formats=FORMATS) as picture:
        (width, height), form = picture.size, str(picture.format)
        # Other formats would be decoded to find their EXIF block.
        lies = form == "JPEG" and picture.getexif().get(EXIF_ORIENTATION) in ON_ITS_SIDE
        return Header(height, width, form) if lies else Header(width, height, form)


def _check_file(path: Path) -> None:
    try:
        found = path.stat()
    except (OSError, ValueError) as error:
        raise PictureError(_reason(error)) from None
    if stat.S_ISDIR(found.st_mode):
        raise PictureError("it is a folder")
    if not stat.S_ISREG(found.st_mode):
        raise PictureError("it is no regular file")
    if not found.st_size:
        raise PictureError("the file is empty")


def _open(path: str | Path) -> Image:
    from PIL import Image, features

    warnings.filterwarnings("ignore", module="PIL")
    avif = ("AVIF",) if features.check("avif") else ()
    return Image.open(path, formats=FORMATS + avif)


def _check_size(picture: Image) -> None:
    width, height = picture.size
    if width * height > MAX_PIXELS:
        raise PictureError(_too_large())


def _too_large() -> str:
    return f"it is larger than {MAX_PIXELS // 1_000_000} megapixels"


def _upright(picture: Image) -> Image:
    from PIL import ImageOps

    # A damaged EXIF block is no reason to lose the picture.
    try:
        return ImageOps.exif_transpose(picture)
    except Exception:
        return picture


def _to_rgb(picture: Image) -> Image:
    from PIL import Image

    if picture.mode.startswith(DEEP_MODES):
        picture = _to_eight_bits(picture)
    if not picture.has_transparency_data:
        return picture.convert("RGB")
    white = Image.new("RGBA", picture.size, "white")
    white.alpha_composite(picture.convert("RGBA"))
    return white.convert("RGB")


def _to_eight_bits(picture: Image) -> Image:
    import numpy as np
    from PIL import Image

    grey = np.nan_to_num(np.asarray(picture, dtype=np.float32), posinf=0.0, neginf=0.0)
    highest = float(grey.max())
    maxima = USUAL_MAXIMA if picture.mode == "F" else (SIXTEEN_BITS,)
    white = next((maximum for maximum in maxima if highest <= maximum), highest)
    return Image.fromarray(np.rint(grey.clip(0) / white * 255).astype(np.uint8))


def _reason(error: Exception) -> str:
    """Say in a clause why a picture cannot be loaded."""
    from PIL import Image, UnidentifiedImageError

    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    if isinstance(error, PermissionError):
        return "reading it is not permitted"
    if isinstance(error, UnidentifiedImageError):
        return "it is not a picture of a known format"
    if isinstance(error, Image.DecompressionBombError):
        return _too_large()
    return "the file is truncated" if "truncated" in str(error) else "the file is damaged"
