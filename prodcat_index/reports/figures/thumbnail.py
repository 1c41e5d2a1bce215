"""Pictures of cards, small enough to put many on a page."""

from __future__ import annotations

import io

from prodcat_index.cards.pictures import load_picture
from prodcat_index.errors import PictureError

SIDE, QUALITY = 200, 80


def thumbnail(path: str) -> bytes | None:
    """Make a small JPEG file of a picture.

    Parameters
    ----------
    path
        Of the picture; may be empty.

    Returns
    -------
    bytes or None
        At most ``SIDE`` pixels wide and high, without anything that the file says beside the
        picture, such as where it was taken; None where there is no picture that can be read.
    """
    try:
        picture = load_picture(path, min_side=SIDE) if path else None
    except PictureError:
        picture = None
    if picture is None:
        return None
    picture.thumbnail((SIDE, SIDE))
    picture.info.clear()
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=QUALITY)
    return file.getvalue()
