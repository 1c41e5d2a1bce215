"""Pages: pictures, tables and numbers for people, and templates with every text escaped."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from prodcat_index.errors import ProdcatError
from prodcat_index.reports.style import ELLIPSIS, Picture

TEMPLATES = Path(__file__).parent / "templates"
NO_BREAK = "\N{NO-BREAK SPACE}"

Cell: TypeAlias = "str | int | float | None"


def write_count(number: int) -> str:
    """Write a whole number with commas."""
    return f"{number:,}"


def write_counted(number: float, one: str, many: str = "") -> str:
    """Write a number with the word for what is counted: 1 card, 2 cards."""
    return f"{write_figure(number)}{NO_BREAK}{one if number == 1 else many or f'{one}s'}"


def write_percent(share: float) -> str:
    """Write a share as a percentage; what is little but not nothing is no zero."""
    figure = "< 0.1" if 0 < share < 0.0005 else f"{share * 100:.1f}"
    return f"{figure} %".replace(" ", NO_BREAK)


def write_figure(number: float) -> str:
    """Write a number with three digits that count, or whole where it is large."""
    return f"{number:,.0f}" if number >= 100 or number == int(number) else f"{number:.3g}"


def write_score(number: float) -> str:
    """Write a score with three digits after the point."""
    return f"{number:.3f}"


def excerpt(text: str, letters: int) -> str:
    """Return the beginning of a text, with an ellipsis where it was cut."""
    return text if len(text) <= letters else text[: letters - 1].rstrip() + ELLIPSIS


@dataclass(frozen=True)
class Table:
    """A table for a page or a terminal."""

    caption: str
    heads: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    write_float: Callable[[float], str] = write_figure

    def write(self, cell: Cell) -> str:
        """Write a cell as text; None, a number that is missing, as nothing."""
        if isinstance(cell, float):
            return self.write_float(cell)
        return write_count(cell) if isinstance(cell, int) else cell or ""

    def is_number(self, column: int) -> bool:
        """Return whether a column holds numbers alone."""
        return not any(isinstance(row[column], str) for row in self.rows)


def data_uri(picture: Picture) -> str:
    """Return an address that holds the picture itself."""
    kind = "png" if picture.file_name.endswith(".png") else "jpeg"
    return f"data:image/{kind};base64,{b64encode(picture.content).decode()}"


def render_page(template: str, **values: Any) -> str:
    """Fill in a template."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        count=write_count,
        counted=write_counted,
        figure=write_figure,
        percent=write_percent,
        score=write_score,
        excerpt=excerpt,
        data_uri=data_uri,
    )
    return environment.get_template(template).render(values)


def write_file(file: Path, content: str | bytes) -> None:
    """Write a file of a report, creating its folder."""
    content = content.encode("utf-8", "replace") if isinstance(content, str) else content
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ProdcatError(f"{file} cannot be written ({reason}): name another place.") from None
