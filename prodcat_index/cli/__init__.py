"""The command line."""

from __future__ import annotations

import sys


def main() -> None:
    """Run ``prodcat``: exit status 0 when done, 1 when it failed, 2 when called wrongly."""
    from prodcat_index.cli.app import app
    from prodcat_index.errors import ProdcatError

    debug = "--debug" in sys.argv
    try:
        app(args=[argument for argument in sys.argv[1:] if argument != "--debug"])
    except ProdcatError as error:
        if debug:
            raise
        print(f"prodcat: {error}", file=sys.stderr)
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        print("prodcat: stopped.", file=sys.stderr)
        raise SystemExit(130) from None
