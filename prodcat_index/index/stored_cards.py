"""The cards of an index, to a Parquet file and back."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from prodcat_index.cards.card import IMAGE, Catalogue
from prodcat_index.index.manifest import Manifest
from prodcat_index.index.stored_arrays import damaged_file


def common_folder(pictures: list[str]) -> str:
    """Return the folder that all pictures lie under, or nothing where there is none.

    Parameters
    ----------
    pictures
        Absolute paths; the empty string is a card without picture.
    """
    folders = {str(Path(picture).parent) for picture in pictures if picture}
    try:
        return os.path.commonpath(folders) if folders else ""
    except ValueError:
        return ""


def write_cards(catalogue: Catalogue, image_root: str, path: Path) -> None:
    """Write cards, their pictures' paths starting from the root.

    Parameters
    ----------
    catalogue
        The cards.
    image_root
        From :func:`common_folder`.
    path
        Parquet file.
    """
    relative = [
        os.path.relpath(picture, image_root) if picture and image_root else picture
        for picture in catalogue.values(IMAGE)
    ]
    cards = catalogue.cards.assign(**{IMAGE: relative})
    loose = [column for column in cards.columns if cards[column].dtype == object]
    texts = {column: [as_text(value) for value in cards[column]] for column in loose}
    cards.assign(**texts).to_parquet(path, index=False)


def as_text(value: Any) -> str:
    """Return a value as the text that a Parquet file keeps.

    Parameters
    ----------
    value
        Of any column; lone surrogates become question marks.
    """
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return text.encode("utf-8", "replace").decode("utf-8")


def read_cards(path: Path, image_root: Path, manifest: Manifest, source: str) -> Catalogue:
    """Read cards; a picture outside of the root is none.

    Parameters
    ----------
    path
        Parquet file.
    image_root
        Where the pictures are.
    manifest
        Of the index.
    source
        What errors call the catalogue.

    Raises
    ------
    IndexFolderError
        If the file is damaged.
    FileNotFoundError
        If it is not there.
    """
    import pandas as pd

    try:
        cards = pd.read_parquet(path)
    except FileNotFoundError:
        raise
    except Exception as error:
        raise damaged_file(path, f"it cannot be read: {error}") from error
    expected = {"id", "category", "category_id", "group", IMAGE, *manifest.text_modalities}
    if len(cards) != manifest.cards or not expected <= set(cards.columns):
        raise damaged_file(path, "its rows or columns are not those of the manifest")
    if not cards["id"].is_unique:
        raise damaged_file(path, "two cards have the same id")
    pictures = [_picture_path(image_root, str(picture)) for picture in cards[IMAGE]]
    return Catalogue(cards.assign(**{IMAGE: pictures}), manifest.text_modalities, source=source)


def _picture_path(image_root: Path, picture: str) -> str:
    path = os.path.normpath(image_root / picture)
    # A relative root, such as none, would make the reader's own folder the root.
    is_inside = image_root.is_absolute() and Path(path).is_relative_to(image_root)
    return path if picture and is_inside else ""
