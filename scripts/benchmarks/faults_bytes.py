"""Changes of any file of a folder: of its bytes, and of what stands in its place."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np

from prodcat_index.index.manifest import DIGEST

MANIFEST = "manifest.json"
OWN = {MANIFEST, "card.md", ".lock"}
Rng = np.random.Generator
Change = Callable[[Path, str, Rng], None]
Rewrite = Callable[[bytes, Rng], bytes]
EXTREMES = (b"\0\0\0\0", b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", b"\xff\xff\0\0", b"\1\0\0\0")


def data_files(folder: Path) -> list[str]:
    """Return the files of an index that hold data, in order."""
    found = (path for path in folder.rglob("*") if path.is_file() and path.stat().st_size)
    names = sorted(path.relative_to(folder).as_posix() for path in found)
    return [name for name in names if name not in OWN]


def replace(path: Path, content: bytes) -> None:
    """Put a new file in the place of another, which may be a hard link."""
    path.unlink()
    path.write_bytes(content)


def rewrite(change: Rewrite) -> Change:
    """Return a change of a folder that changes the bytes of one file."""

    def apply(folder: Path, name: str, rng: Rng) -> None:
        replace(folder / name, change((folder / name).read_bytes(), rng))

    return apply


def seal(folder: Path, name: str) -> None:
    """Adapt the size and the digest of a file in the manifest, and the digest of that."""
    path = folder / name
    if not path.is_file() or path.is_symlink():
        return
    text = (folder / MANIFEST).read_bytes()
    if name != MANIFEST:
        listed = json.loads(text)
        if name not in listed["files"]:
            return
        size, digest = path.stat().st_size, "0" * 64
        if size < 2**28:
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
        listed["files"][name] = {"pieces": [[size, digest]]}
        text = json.dumps(listed).encode()
    # As the library does it, but of any bytes.
    content = re.sub(rb',\s*"digest": "[0-9a-f]{64}"', b"", text).rstrip().removesuffix(b"}")
    digest = hashlib.sha256(content).hexdigest()
    replace(folder / MANIFEST, content + f'{DIGEST}{digest}"\n}}\n'.encode())


def write_manifest(folder: Path, text: str) -> None:
    """Replace the manifest."""
    replace(folder / MANIFEST, text.encode("utf-8", "surrogatepass"))


# Bytes.


def _place(content: bytes, rng: Rng) -> int:
    """Return a place, in half of all cases among the first or the last bytes."""
    reach = len(content) if rng.random() < 0.5 else min(len(content), 128)
    place = int(reach * rng.random())
    return place if rng.random() < 0.7 else max(0, len(content) - 1 - place)


def _flip_bit(content: bytes, rng: Rng) -> bytes:
    changed = bytearray(content)
    changed[_place(content, rng)] ^= 1 << int(rng.integers(8))
    return bytes(changed)


def overwrite(content: bytes, rng: Rng) -> bytes:
    """Write some bytes over others."""
    place, random = _place(content, rng), rng.bytes(int(rng.integers(1, 9)))
    new = random if rng.random() < 0.5 else EXTREMES[rng.integers(len(EXTREMES))]
    return content[:place] + new + content[place + len(new) :]


def _cut_out(content: bytes, rng: Rng) -> bytes:
    place = _place(content, rng)
    return content[:place] + content[place + int(rng.integers(1, 200)) :]


def _insert(content: bytes, rng: Rng) -> bytes:
    place = _place(content, rng)
    return content[:place] + rng.bytes(int(rng.integers(1, 20))) + content[place:]


def _repeat(content: bytes, rng: Rng) -> bytes:
    place = _place(content, rng)
    again = content[place : place + 64] * int(rng.integers(2, 50))
    return content[:place] + again + content[place:]


def _swap(content: bytes, rng: Rng) -> bytes:
    a, b, c = sorted(_place(content, rng) for _ in range(3))
    return content[:a] + content[b:c] + content[a:b] + content[c:]


def _other_file(folder: Path, name: str, rng: Rng) -> None:
    """Put another file of the index, of the same form, in its place."""
    suffix = Path(name).suffix
    others = [other for other in data_files(folder) if other != name and other.endswith(suffix)]
    if others:
        replace(folder / name, (folder / others[rng.integers(len(others))]).read_bytes())


BYTES: dict[str, Change] = {
    "a bit flipped": rewrite(_flip_bit),
    "bytes overwritten": rewrite(overwrite),
    "bytes cut out": rewrite(_cut_out),
    "end cut off": rewrite(lambda content, rng: content[: _place(content, rng)]),
    "bytes inserted": rewrite(_insert),
    "part repeated": rewrite(_repeat),
    "parts swapped": rewrite(_swap),
    "extended": rewrite(lambda content, rng: content + bytes(int(rng.integers(1, 5000)))),
    "emptied": rewrite(lambda content, rng: b""),
    "zeros": rewrite(lambda content, rng: bytes(len(content))),
    "another file": _other_file,
}

# What stands in the place of a file.


def _link(target: str) -> Change:
    def apply(folder: Path, name: str, rng: Rng) -> None:
        (folder / name).unlink()
        (folder / name).symlink_to(target)

    return apply


def _outside(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}-outside")


def _link_to_copy(folder: Path, name: str, rng: Rng) -> None:
    (folder / name).rename(_outside(folder))
    (folder / name).symlink_to(_outside(folder))


def _link_inside(folder: Path, name: str, rng: Rng) -> None:
    moved = folder / f"{name}.moved"
    (folder / name).rename(moved)
    (folder / name).symlink_to(moved.name)


def _link_to_itself(folder: Path, name: str, rng: Rng) -> None:
    _link(Path(name).name)(folder, name, rng)


def _linked_folder(folder: Path, name: str, rng: Rng) -> None:
    """Move the folder of a file out of the index, and link to it."""
    inner = folder / Path(name).parts[0] if name != MANIFEST else folder / "versions"
    if rng.random() < 0.5 and name != MANIFEST:
        inner = (folder / name).parent
    inner.rename(_outside(folder))
    inner.symlink_to(_outside(folder))


def _folder(folder: Path, name: str, rng: Rng) -> None:
    (folder / name).unlink()
    (folder / name).mkdir()


def _pipe(folder: Path, name: str, rng: Rng) -> None:
    (folder / name).unlink()
    os.mkfifo(folder / name)


def _socket(folder: Path, name: str, rng: Rng) -> None:
    import socket

    (folder / name).unlink()
    # The path of a socket may not be long.
    short = Path(f"/tmp/prodcat-{os.getpid()}.socket")
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(short))
    short.rename(folder / name)


def _device(folder: Path, name: str, rng: Rng) -> None:
    """Make a device of endless zeros, or link to it where that is not allowed."""
    (folder / name).unlink()
    try:
        os.mknod(folder / name, 0o020666, os.makedev(1, 5))
    except OSError:
        (folder / name).symlink_to("/dev/zero")


def _sparse(folder: Path, name: str, rng: Rng) -> None:
    replace(folder / name, (folder / name).read_bytes())
    os.truncate(folder / name, int(rng.choice([2**31, 2**33, 2**40])))


PLACES: dict[str, Change] = {
    "missing": lambda folder, name, rng: (folder / name).unlink(),
    "folder": _folder,
    "pipe": _pipe,
    "socket": _socket,
    "device": _device,
    "huge sparse file": _sparse,
    "link to the same outside": _link_to_copy,
    "link to the same inside": _link_inside,
    "link to a device": _link("/dev/zero"),
    "link to a system file": _link("/etc/passwd"),
    "link to memory": _link("/proc/self/mem"),
    "link to nothing": _link("/nothing"),
    "link to itself": _link_to_itself,
    "folder that is a link": _linked_folder,
}
