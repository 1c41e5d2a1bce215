"""The documentation tells of the program as it is."""

from __future__ import annotations

import ast
import re
from importlib import import_module
from pathlib import Path

import pytest
from command import COMMANDS

ROOT = Path(__file__).parents[1]
PAGES = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "tests/README.md"]
PAGES += sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md"))


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_option_is_in_the_reference(name: str) -> None:
    """Users would not find what is there; run scripts/cli-reference."""
    page = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    section = page.split(f"`{name}`\n", 1)[1].split("\n#", 1)[0]
    for parameter in COMMANDS[name].params:
        if parameter.param_type_name == "argument":
            continue
        option = max(parameter.opts, key=len)
        assert option in section, f"{name} {option}"


@pytest.mark.parametrize("page", PAGES)
def test_commands_and_options_of_the_pages_exist(page: str) -> None:
    """A reader would copy a line that fails."""
    text = (ROOT / page).read_text(encoding="utf-8")
    for line in re.findall(r"^\$ (prodcat .*)$", text, flags=re.MULTILINE):
        words = line.split("|")[0].split()
        if not words[1].islower():
            continue
        name = max((n for n in COMMANDS if line.startswith(n + " ") or line == n), key=len)
        assert name != "prodcat" or words[1].startswith(("-", "[")), line
        known = {option for parameter in COMMANDS[name].params for option in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= {*known, "--help"}, line


@pytest.mark.parametrize("page", PAGES)
def test_names_that_the_python_of_the_pages_imports_exist(page: str) -> None:
    """A reader would copy an example that fails in its first line."""
    text = (ROOT / page).read_text(encoding="utf-8")
    for block in re.findall(r"^```python\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom) and node.module:
                module = import_module(node.module)
                assert [name.name for name in node.names if not hasattr(module, name.name)] == []


@pytest.mark.parametrize("page", PAGES)
def test_links_of_the_pages_lead_somewhere(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!http)([^)#]+)", text):
        assert ((ROOT / page).parent / target).exists(), target


def anchor(heading: str) -> str:
    """Return the anchor that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("page", PAGES)
def test_anchors_of_the_pages_are_headings(page: str) -> None:
    """A reader who follows a link would land at the top of a long page."""
    text = (ROOT / page).read_text(encoding="utf-8")
    for target, name in re.findall(r"\]\((?!http)([^)#]*)#([^)]+)\)", text):
        path = (ROOT / page).parent / target if target else ROOT / page
        headings = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
        assert name in map(anchor, headings), f"{target}#{name}"


def test_no_page_holds_a_placeholder() -> None:
    """A figure that nobody measured would stand there as if it were one."""
    for page in PAGES:
        text = (ROOT / page).read_text(encoding="utf-8")
        assert not re.search(r"TODO|FIXME|XXX|\b[A-Z]+_(OUTPUT|SCORE|ROW)\b", text), page
