"""Options in a spec: ``scheme:NAME?key=value&key=value``."""

from __future__ import annotations

import re
from typing import Literal, TypeVar
from urllib.parse import quote, unquote

from pydantic import BaseModel, ConfigDict, ValidationError

from prodcat_index.errors import EncoderError

Precision = Literal["float32", "bfloat16"]
Crop = Literal["none"]


class Options(BaseModel):
    """The options of one scheme; every field has a description to finish ``it must be …``."""

    model_config = ConfigDict(extra="forbid", frozen=True)


_OptionsT = TypeVar("_OptionsT", bound=Options)


def split_options(argument: str, kind: type[_OptionsT]) -> tuple[str, _OptionsT]:
    """Split what follows ``scheme:`` in a spec into a name and its options.

    Parameters
    ----------
    argument
        Such as ``"intfloat/multilingual-e5-small?prefix=query: &truncate_dim=256"``. Values may
        be percent-encoded; the first ``?`` ends the name.
    kind
        The options that there are.

    Raises
    ------
    EncoderError
        If an option is unknown, given twice or wrong.
    """
    name, _, query = argument.partition("?")
    given: dict[str, str] = {}
    for part in query.split("&") if query else ():
        key, separator, value = part.partition("=")
        if not separator or key in given:
            raise EncoderError(
                f"What follows ? in {argument} must be key=value&key=value, each key once; "
                "a file or folder with ? in its name must be renamed."
            )
        given[key] = unquote(value)
    return name, _checked(argument, kind, given)


def join_options(name: str, options: Options) -> str:
    """Write a name and options as :func:`split_options` reads them, always in the same order."""
    values = options.model_dump(exclude_none=True)
    pairs = [f"{key}={_escaped(str(value))}" for key, value in values.items()]
    return f"{name}?{'&'.join(pairs)}" if pairs else name


def _escaped(value: str) -> str:
    return re.sub(r"[%&\s]", lambda match: quote(match[0]), value)


def _checked(argument: str, kind: type[_OptionsT], given: dict[str, str]) -> _OptionsT:
    try:
        return kind.model_validate(given)
    except ValidationError as error:
        key = str(error.errors()[0]["loc"][0])
    if key not in kind.model_fields:
        raise EncoderError(
            f"There is no option {key!r} in {argument}; "
            f"the options here are {', '.join(kind.model_fields)}."
        )
    raise EncoderError(
        f"The option {key}={given[key]} of {argument} is wrong; "
        f"it must be {kind.model_fields[key].description}."
    )
