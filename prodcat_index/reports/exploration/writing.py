"""Writing an exploration: a page that needs nothing beside it, the numbers, and the pictures."""

from __future__ import annotations

import json
from pathlib import Path

from prodcat_index.errors import ProdcatError
from prodcat_index.reports.exploration.drawing import draw_exploration
from prodcat_index.reports.exploration.exploration import Exploration
from prodcat_index.reports.exploration.tables import tabulate
from prodcat_index.reports.pages.page import render_page, write_file

PAGE, NUMBERS, PICTURES = "explore.html", "explore.json", "pictures"
CONTENTS = {
    "columns": "Columns and missing values",
    "categories": "Categories",
    "labels": "Suspicious labels",
    "texts": "Texts",
    "languages": "Languages",
    "pictures": "Pictures",
    "duplicates": "Duplicates",
    "samples": "Samples of the largest categories",
}


def write_exploration(exploration: Exploration, folder: str | Path) -> Path:
    """Write an exploration into a folder.

    Parameters
    ----------
    exploration
        What was found.
    folder
        Gets ``explore.html``, which needs nothing beside it, ``explore.json`` and the folder
        ``pictures`` with every figure. It may be new, empty, or one that this has written before.

    Returns
    -------
    pathlib.Path
        The page.

    Raises
    ------
    ProdcatError
        When the folder holds other things, or cannot be written.
    """
    target = Path(folder)
    _check_folder(target)
    drawings = draw_exploration(exploration)
    title = f"Exploration of {Path(exploration.catalogue.source).name}"
    page = render_page(
        PAGE,
        title=title,
        contents=CONTENTS,
        found=exploration,
        drawn=drawings,
        tables=tabulate(exploration),
    )
    _remove_old(target / PICTURES)
    for picture in drawings:
        write_file(target / PICTURES / picture.file_name, picture.content)
    numbers = json.dumps(exploration.as_dict(), ensure_ascii=False, indent=2)
    write_file(target / NUMBERS, numbers)
    write_file(target / PAGE, page)
    return target / PAGE


def _check_folder(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise ProdcatError(f"{folder} is a file: name a folder.")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / PAGE).is_file():
        raise ProdcatError(
            f"The folder {folder} holds other files, which would be mixed with the exploration: "
            "name a new one."
        )


def _remove_old(pictures: Path) -> None:
    """Remove the pictures of an earlier exploration, of which there may have been more."""
    for kind in ("*.png", "*.jpg"):
        for file in pictures.glob(kind):
            file.unlink()
