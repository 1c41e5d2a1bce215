"""Values of options: how they are read, and which are refused before the work starts."""

from __future__ import annotations

import codecs
import errno
import os
import re
from collections.abc import Callable, Iterable
from math import inf
from pathlib import Path
from typing import Any

import typer

SHARE = re.compile(r"(\d+\.?\d*|\.\d+)\s*(%?)", re.ASCII)


def between(low: float, high: float) -> Callable[[float | None], float | None]:
    """Return the check that a number lies between two others, and is neither."""

    def check(value: float | None) -> float | None:
        if value is None or low < value < high:
            return value
        upper = "" if high == inf else f" and below {high:g}"
        raise typer.BadParameter(f"{value:g} is not above {low:g}{upper}")

    return check


def parse_weights(text: str) -> dict[str, float]:
    """Read ``title=0.6,image=0.4``; a name may hold commas and equals signs itself."""
    from prodcat_index.index import fusion

    weights: dict[str, float] = _check_read(fusion.parse_weights, text)
    return weights


def parse_encoders(pairs: Iterable[str] | None) -> dict[str, list[str]]:
    """Read ``title=lexical:128``, once or several times for a modality."""
    from prodcat_index.encoders.registry import check_scheme

    chosen: dict[str, list[str]] = {}
    for pair in pairs or ():
        # The name of a modality may hold an equals sign, and so may the options of a spec.
        parts = [(pair[: sign.start()], pair[sign.end() :]) for sign in re.finditer("=", pair)]
        parts = [(modality, spec) for modality, spec in parts if modality and spec]
        if not parts:
            raise typer.BadParameter(
                f"{pair!r} is not MODALITY=SPEC; write for example --encoder title=lexical:128"
            )
        known = [(modality, spec) for modality, spec in parts if not check_scheme(spec)]
        if not known:
            raise typer.BadParameter(check_scheme(parts[0][1]))
        modality, spec = known[0]
        chosen.setdefault(modality, []).append(spec)
    return chosen


def parse_share(value: str | float, least: float | None = None) -> float:
    """Read ``5%`` or ``0.05``, up to the whole; what is below `least` is not advised."""
    text = str(value).strip()
    found = SHARE.fullmatch(text)
    number = float(found[1]) if found else inf
    share = number / 100 if found and found[2] else number
    if share <= 1:
        return share
    meant = f"give one from {least:g} to 1" if least else "write for example 5% or 0.05"
    if share == number <= 100 and number / 100 >= (least or 0):
        meant = f"give {number / 100:g} or {number:g}%"
    raise typer.BadParameter(f"{text!r} is no share; {meant}")


def check_where(text: str) -> str:
    """Refuse a filter that cannot be read."""
    from prodcat_index.cards.where import parse

    _check_read(parse, text)
    return text


def check_memory(text: str) -> str:
    """Refuse a size that cannot be read."""
    from prodcat_index.index.kinds import parse_memory

    _check_read(parse_memory, text)
    return text


def _check_read(parse: Callable[[str], Any], text: str) -> Any:
    from prodcat_index.errors import QueryError

    try:
        return parse(text)
    except QueryError as error:
        raise typer.BadParameter(str(error)) from None


def check_encoders(pairs: Any) -> Any:
    """Refuse an encoder, or several, that there are not."""
    parse_encoders([pairs] if isinstance(pairs, str) else pairs)
    return pairs


def check_specs(specs: list[str] | None) -> list[str] | None:
    """Refuse encoders that there are not."""
    from prodcat_index.encoders.registry import check_scheme

    for spec in specs or ():
        if problem := check_scheme(spec):
            raise typer.BadParameter(problem)
    return specs


def check_encoding(name: str) -> str:
    """Refuse an encoding that there is not."""
    try:
        _ = name and codecs.lookup(name)
    except LookupError:
        raise typer.BadParameter(
            f"there is no encoding {name!r}; give a name such as utf-8 or cp1251"
        ) from None
    return name


def check_picture(image: Path | None) -> Path | None:
    """Refuse a picture file that cannot be used; whoever names one by itself wants it compared."""
    if image is not None:
        from prodcat_index.cards.pictures import load_picture
        from prodcat_index.errors import PictureError

        try:
            load_picture(image)
        except PictureError as error:
            raise PictureError(f"The picture {image} cannot be used: {error}.") from None
    return image


def output_file(*endings: str) -> Callable[[Path | None], Path | None]:
    """Return the check of a file to write: that it can be, and has one of the endings or none."""

    def check(path: Path | None) -> Path | None:
        if path is None:
            return None
        writable(path)
        if path.is_dir():
            raise typer.BadParameter(f"{path} is a folder; name a file")
        if path.suffix and path.suffix.lower() not in endings:
            raise typer.BadParameter(f"{path} must end in {' or '.join(endings)}")
        return path

    return check


def option(help_line: str, *names: str, **more: Any) -> Any:
    """Return an option of Typer, which is named as its parameter is unless it has other names."""
    return typer.Option(*names, help=help_line, **more)


def file_option(help_line: str, *endings: str) -> Any:
    """Return the option of a file to write, with one of the endings."""
    return option(help_line, callback=output_file(*endings))


def share_option(help_line: str, *names: str, least: float | None = None) -> Any:
    """Return an option that takes a share: from `least` to the whole, or between 0 and 1."""

    def parse(text: str | float) -> float:
        share = parse_share(text, least)
        if least is None:
            between(0, 1)(share)
        elif share < least:
            raise typer.BadParameter(f"{share:g} is below {least:g}")
        return share

    return option(help_line, *names, metavar="SHARE", parser=parse)


def output_option(help_line: str, *endings: str) -> Any:
    """Return the option of a command's output: a file with one of the endings, or a folder."""
    check = output_file(*endings) if endings else output_folder
    metavar = "FILE" if endings else "FOLDER"
    return option(help_line, "--output", "-o", metavar=metavar, callback=check)


def output_folder(path: Path | None) -> Path | None:
    """Check a folder to write: that it is none yet, or a folder that can be written to."""
    if path and writable(path).exists() and not path.is_dir():
        raise typer.BadParameter(f"{path} is a file; name a folder")
    return path


def writable(path: Path) -> Path:
    """Refuse a file or folder that cannot be written, or is among the files of an index."""
    from prodcat_index.index.folder import is_index

    try:
        path.stat()
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENAMETOOLONG):
            raise typer.BadParameter(f"{path} cannot be written: {error.strerror}") from None
    there = next(place for place in (path, *path.parents) if place.exists())
    if there != path and not there.is_dir():
        raise typer.BadParameter(f"{path} cannot be written: {there} is a file")
    if not os.access(there, os.W_OK):
        raise typer.BadParameter(f"{path} cannot be written: {there} is read-only")
    # A file among those of an index would damage it, or keep it from being built again.
    if any(map(is_index, Path(os.path.realpath(path)).parents)):
        raise typer.BadParameter(f"{path} is in the folder of an index; name another place")
    return path
