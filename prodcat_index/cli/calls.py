"""The call of a command: options that every command has, options that were given, refusals."""

from __future__ import annotations

import os
import re
import traceback
from collections.abc import Callable, Iterable, Mapping
from copy import copy
from dataclasses import fields, is_dataclass
from functools import wraps
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import Annotated, Any, get_args, get_type_hints

import typer

from prodcat_index.errors import did_you_mean
from prodcat_index.progress import verbosity

# Seconds after which a phase of the work is named, where no bar can be drawn.
SILENCE = 1.0

# Name of a parameter -> its option as it was given, such as "form" -> "--format".
Given = Mapping[str, str]

Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Write nothing but results and errors.")]
Verbose = Annotated[
    bool, typer.Option("--verbose", "-v", help="Write a line for each phase, and no bars.")
]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
COMMON_OPTIONS: dict[str, Any] = {"quiet": Quiet, "verbose": Verbose, "debug": Debug}
# What the help calls a value whose option does not say.
METAVARS: dict[Any, str] = {int: "NUMBER", float: "NUMBER", str: "TEXT", Path: "FILE"}
# Parameters that name a file or folder to write.
OUTPUTS = ("output", "page", "sheet", "plot", "save_split")


class WrongCallError(typer.BadParameter):
    """A call that is wrong whatever the files hold; the exit status is 2."""

    def format_message(self) -> str:
        """Return the sentence without a heading."""
        return self.message


def explain_wrong_call(message: str) -> str:
    """Return the message of Typer as a sentence, with the nearest of some choices."""
    message = message.removeprefix("Value error, ")
    if choice := re.fullmatch(r"'(.+)' is not one of (.+)\.", message):
        message += did_you_mean(choice[1], re.findall("'(.+?)'", choice[2]))
    return message


def refuse(given: Given, names: Iterable[str], sentence: str) -> None:
    """Refuse options that would be ignored or contradict another."""
    if named := ", ".join(given[name] for name in names if name in given):
        raise WrongCallError(sentence.format(named))


def as_command(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the common options; it gets what was given as ``given``, if it wants it.

    A parameter that is a dataclass stands for several options, which are its fields.
    """
    own = signature(command, eval_str=True).parameters
    groups: dict[str, Any] = {
        name: p.annotation for name, p in own.items() if is_dataclass(p.annotation)
    }

    @wraps(command)
    def called(context: typer.Context, **values: Any) -> None:
        before = context.find_root().params
        quiet, verbose, debug = (values.pop(o) or before.get(o) for o in COMMON_OPTIONS)
        if quiet and verbose:
            raise WrongCallError("Choose one of --quiet and --verbose.")
        verbosity.quiet, verbosity.verbose = bool(quiet), bool(verbose)
        verbosity.lines_after, verbosity.last = 0.0 if verbose else SILENCE, ""
        _check_outputs(values)
        for name, group in groups.items():
            values[name] = group(**{field.name: values.pop(field.name) for field in fields(group)})
        if "given" in own:
            values["given"] = _given(context)
        try:
            command(**values)
        except Exception:
            if debug:
                traceback.print_exc()
            raise

    declared = [
        *(each for name, p in own.items() if name != "given" for each in _options_of(p)),
        *(_option(name, False, kind) for name, kind in COMMON_OPTIONS.items()),
        Parameter("context", Parameter.KEYWORD_ONLY, annotation=typer.Context),
    ]
    vars(called)["__signature__"] = Signature(declared)
    called.__annotations__ = {p.name: p.annotation for p in declared}
    return called


def _options_of(parameter: Parameter) -> list[Parameter]:
    """Return the options that a parameter of a command stands for."""
    group = parameter.annotation
    if not is_dataclass(group):
        return [_option(parameter.name, parameter.default, group)]
    kinds = get_type_hints(group, include_extras=True)
    return [_option(field.name, field.default, kinds[field.name]) for field in fields(group)]


def _option(name: str, default: Any, annotation: Any) -> Parameter:
    """Return an option with the usual name of its value; a flag that is off has no --no- form."""
    kind, info = get_args(annotation)
    info = copy(info)
    info.metavar = info.metavar or METAVARS.get(_value_type(kind))
    # The first name that is given to typer.Option is its `default`.
    if kind is bool and default is False and info.default is ...:
        info.param_decls = (f"--{name.replace('_', '-')}",)
    annotated: Any = Annotated
    return Parameter(
        name, Parameter.KEYWORD_ONLY, default=default, annotation=annotated[kind, info]
    )


def _value_type(kind: Any) -> Any:
    """Return what a value is, such as Path for ``list[Path] | None``."""
    own = get_args(kind)
    return _value_type(own[0]) if own else kind


def _given(context: typer.Context) -> Given:
    return {
        parameter.name: max(parameter.opts, key=len)
        for parameter in context.command.params
        if (source := context.get_parameter_source(parameter.name)) and source.name != "DEFAULT"
    }


def _check_outputs(values: Mapping[str, Any]) -> None:
    """Refuse to write a file twice, or over one that is read."""
    taken: dict[Path, str] = {}
    paths = {name: value for name, value in values.items() if isinstance(value, Path)}
    for name in sorted(paths, key=lambda name: name in OUTPUTS):
        # Path.resolve raises RuntimeError for a link to itself; what opens it has a sentence.
        place = Path(os.path.realpath(paths[name]))
        if name in OUTPUTS and place in taken:
            raise WrongCallError(
                f"{paths[name]} is named twice and would be overwritten; name another file."
            )
        taken[place] = name
