"""Rendering of pages: templates with every text escaped, pictures inside, no script."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prodcat_index.errors import ProdcatError

if TYPE_CHECKING:
    from jinja2 import Environment


TEMPLATES = Path(__file__).parent / "templates"
MEDIA_TYPES = {".png": "image/png", ".jpg": "image/jpeg"}


@dataclass(frozen=True)
class Picture:
    """A picture of a page."""

    file_name: str
    content: bytes
    alt: str
    caption: str = ""

    @property
    def data_uri(self) -> str:
        """The picture as an address that holds it."""
        media_type = MEDIA_TYPES[Path(self.file_name).suffix]
        return f"data:{media_type};base64,{b64encode(self.content).decode('ascii')}"


@dataclass(frozen=True)
class Table:
    """A table of a page."""

    caption: str
    heads: Sequence[str]
    rows: Sequence[Sequence[str | float]]


def render_page(template: str, **values: Any) -> str:
    """Fill in a template."""
    return _environment().get_template(template).render(values)


def write_file(file: Path, content: str | bytes) -> None:
    """Write a file of a report, creating its folder."""
    content = content.encode("utf-8", "replace") if isinstance(content, str) else content
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    except OSError as error:
        raise ProdcatError(
            f"{file} cannot be written ({error.strerror or error}): name another folder."
        ) from None


def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(count=write_count, figure=write_figure, percent=write_percent)
    return environment


def write_count(number: int) -> str:
    """Write a whole number with commas."""
    return f"{number:,}"


def write_percent(share: float) -> str:
    """Write a share as a percentage; what is little but not nothing is no zero."""
    return "< 0.1 %" if 0 < share < 0.0005 else f"{share * 100:.1f} %"


def write_figure(number: float) -> str:
    """Write a number with three digits that count, or whole where it is large."""
    return f"{number:,.0f}" if number >= 100 or number == int(number) else f"{number:.3g}"
