"""The page of results: a section for each benchmark, replaced when that one is run again."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

PAGE = Path("docs/benchmarks.md")
HEADING = "# Benchmarks\n\nMade by `scripts/bench`, never by hand. Trust ratios, not seconds.\n"

PageOption = Annotated[
    Path, typer.Option("--page", "--output", help="Where the results are written.")
]


def write_section(page: Path, title: str, body: str) -> None:
    """Write the results of one benchmark, and keep those of the others."""
    old = page.read_text(encoding="utf-8") if page.is_file() else ""
    sections = {
        found[1]: found[2].strip()
        for found in re.finditer(r"^## (.+?)\n(.*?)(?=^## |\Z)", old, re.MULTILINE | re.DOTALL)
    }
    sections[title] = body.strip()
    parts = [f"## {name}\n\n{text}\n" for name, text in sections.items()]
    page.write_text("\n".join([HEADING, *parts]), encoding="utf-8")
    typer.echo(f"Wrote {page}", err=True)


def table(header: list[str], rows: list[list[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
