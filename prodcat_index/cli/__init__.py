"""The command line."""

from __future__ import annotations

import gc
import io
import sys
from typing import Any

# Exit status after Ctrl-C, as shells have it.
STOPPED = 130
# Objects that are made before Python looks for garbage. Nearly all that a command makes at first
# are modules, among which 700 at a time find none: a tenth of a query.
GARBAGE_THRESHOLD = 100_000


def main() -> None:
    """Run ``prodcat``: exit status 0 when done, 1 when it failed, 2 when called wrongly."""
    gc.set_threshold(GARBAGE_THRESHOLD)
    import typer

    from prodcat_index.cli.app import app
    from prodcat_index.cli.calls import explain_wrong_call
    from prodcat_index.cli.output import REPLACE
    from prodcat_index.errors import ProdcatError
    from prodcat_index.progress import write_line

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=REPLACE)
    try:
        status = app(prog_name="prodcat", standalone_mode=False)
    except typer.TyperException as error:
        wrong: Any = error
        wrong.message = explain_wrong_call(error.message)
        wrong.show()
        status = wrong.exit_code
    except (ProdcatError, OSError) as error:
        said = str(error)
        if isinstance(error, OSError) and error.filename:
            said = f"{error.filename} cannot be used: {error.strerror}."
        write_line(f"prodcat: {said}", sys.stderr)
        status = 1
    if status == STOPPED:
        write_line("prodcat: stopped.", sys.stderr)
    gc.freeze()  # Or Python would look through all modules once more: a fifth of a query.
    raise SystemExit(status)
