"""The rules between the rooms, read from the source."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import prodcat_index

PACKAGE = Path(prodcat_index.__file__).parent
ROOMS = ("cards", "encoders", "voting", "learning", "index", "evaluation", "audit")
ROOMS += ("reports", "service", "distributed", "demo", "cli")
SHARED = {"errors", "files", "findings", "progress", "types"}
MAY_IMPORT_ALL_BUT_CLI = {"reports", "service"}
HEAVY = ("torch", "torchvision", "timm", "sklearn", "scipy", "pandas", "matplotlib", "faiss")
HEAVY += ("numpy", "PIL", "bs4", "pyarrow", "sentence_transformers", "transformers")
EXECUTING_MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}
EXECUTING_CALLS = {"eval", "exec", "compile", "__import__"}

SOURCES = sorted(PACKAGE.rglob("*.py"))


def name_of(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def room_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE).parts
    return parts[0] if len(parts) > 1 else ""


def nodes(path: Path) -> Iterator[ast.AST]:
    return ast.walk(ast.parse(path.read_text(encoding="utf-8")))


def imports(path: Path) -> set[str]:
    """Full names of all that a file imports, wherever in it."""
    found: set[str] = set()
    for node in nodes(path):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name_of(path)} imports relatively"
            found |= {node.module or ""} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def rooms_imported(path: Path) -> set[str]:
    own = (name.split(".")[1:2] for name in imports(path) if name.startswith("prodcat_index."))
    return {part[0] for part in own if part} - SHARED - {"__version__"}


def allowed_rooms(room: str) -> set[str]:
    before = set(ROOMS[: ROOMS.index(room) + 1])
    return set(ROOMS) - {"cli"} if room in MAY_IMPORT_ALL_BUT_CLI else before


def test_every_folder_is_a_room_and_every_other_file_is_shared() -> None:
    folders = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert folders <= set(ROOMS)
    files = {path.stem for path in PACKAGE.glob("*.py")}
    assert files <= SHARED | {"__init__", "__main__"}


@pytest.mark.parametrize("path", [p for p in SOURCES if room_of(p)], ids=name_of)
def test_a_room_imports_only_rooms_before_it(path: Path) -> None:
    """Voting that knew of the index could not be tested, tuned or replaced without it."""
    room = room_of(path)
    foreign = {name for name in rooms_imported(path) if name in ROOMS} - allowed_rooms(room)
    assert foreign == set()


@pytest.mark.parametrize("name", sorted(SHARED))
def test_what_all_rooms_share_imports_none_of_them(name: str) -> None:
    assert rooms_imported(PACKAGE / f"{name}.py") & set(ROOMS) == set()


def test_the_rule_would_notice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "PACKAGE", tmp_path)
    (tmp_path / "voting").mkdir()
    for line in (
        "from prodcat_index.index import parts",
        "def f():\n    import prodcat_index.index.parts",
        "from prodcat_index import index",
    ):
        (tmp_path / "voting" / "bad.py").write_text(line)
        with pytest.raises(AssertionError):
            test_a_room_imports_only_rooms_before_it(tmp_path / "voting" / "bad.py")


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_nothing_that_is_read_can_be_executed(path: Path) -> None:
    """An index or a catalogue may come from a stranger."""
    assert {name.split(".")[0] for name in imports(path)} & EXECUTING_MODULES == set()
    for node in nodes(path):
        if isinstance(node, ast.Call):
            check_call(node, name_of(path))


def check_call(node: ast.Call, where: str) -> None:
    called = ast.unparse(node.func)
    options = {option.arg: ast.unparse(option.value) for option in node.keywords}
    assert called not in EXECUTING_CALLS, f"{where}:{node.lineno} calls {called}"
    assert options.get("allow_pickle") != "True", f"{where}:{node.lineno} allows pickles"
    assert options.get("trust_remote_code") != "True", f"{where}:{node.lineno} trusts anybody"
    if called == "torch.load":
        assert options.get("weights_only") == "True", f"{where}:{node.lineno} unpickles"
    if called in ("np.load", "np.save", "numpy.load"):
        assert options.get("allow_pickle") == "False", f"{where}:{node.lineno} may unpickle"


LOADED = """
import sys
import {module}
print("\\n".join(sorted({{name.split(".")[0] for name in sys.modules}})))
"""


def loaded_by(module: str) -> set[str]:
    command = [sys.executable, "-c", LOADED.format(module=module)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return set(ended.stdout.split())


def test_the_command_line_starts_without_heavy_libraries() -> None:
    """`prodcat --help` must not take seconds."""
    loaded = loaded_by("prodcat_index.cli.app")
    assert "typer" in loaded
    assert loaded & set(HEAVY) == set()


def test_a_query_by_text_needs_no_network_and_no_fitting() -> None:
    loaded = loaded_by("prodcat_index.index.product_index, prodcat_index.encoders.lexical")
    assert loaded & {"torch", "timm", "sklearn", "matplotlib", "transformers"} == set()


def test_no_two_modules_share_a_name_but_for_commands_named_after_their_library_call() -> None:
    """A reader who looks for a subject would open the wrong file."""
    rooms_of: dict[str, list[str]] = {}
    for path in SOURCES:
        rooms_of.setdefault(path.stem, []).append(room_of(path))
    del rooms_of["__init__"]
    shared = {name: rooms for name, rooms in rooms_of.items() if len(rooms) > 1}
    assert all(len(rooms) == 2 and "cli" in rooms for rooms in shared.values()), shared
