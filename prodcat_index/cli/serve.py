"""The command ``serve``: an index over HTTP, and the page where people look and decide."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from prodcat_index.cli import options
from prodcat_index.cli.calls import WrongCallError
from prodcat_index.cli.output import note, say
from prodcat_index.cli.values import file_option, option, share_option


def serve(
    index: options.IndexArgument = None,
    index_option: options.IndexOption = None,
    host: Annotated[
        str,
        option(
            "Address to listen at, such as 0.0.0.0 for all of this machine; others than "
            "those of this machine alone need --token-file.",
            metavar="ADDRESS",
        ),
    ] = "127.0.0.1",
    port: Annotated[int, option("Port, or 0 for any free one.", min=0, max=65535)] = 8000,
    token_file: Annotated[
        Path | None,
        option(
            "File of lines NAME:TOKEN, of those who may use the service; their names are in "
            "the log and the journal of the review."
        ),
    ] = None,
    writable: Annotated[
        bool, option("Let owners of tokens change cards and decide in the review queue.")
    ] = False,
    review: Annotated[
        list[Path] | None,
        option(
            "Fill the review queue from this table of prodcat audit, or from this file of new "
            "listings; repeat it for more."
        ),
    ] = None,
    audit: Annotated[
        bool, option("Audit the index in the background, for the queue and the tree.")
    ] = False,
    precision: Annotated[
        float, share_option("Precision of predictions that need no review.")
    ] = 0.95,
    state: Annotated[
        Path | None,
        file_option(
            "File of the review's journal; by default NAME.review.sqlite beside the index.",
            ".sqlite",
            ".db",
        ),
    ] = None,
    allowed_host: Annotated[
        list[str] | None,
        option(
            "Name that the service is called by, as in a browser's address; repeat it for more.",
            metavar="NAME",
        ),
    ] = None,
    path_prefix: Annotated[
        str, option("Path that a reverse proxy serves it under, such as /prodcat.", metavar="PATH")
    ] = "",
    rate: Annotated[
        str, option("Requests of a token, or of an address.", metavar="NUMBER/UNIT")
    ] = "6000/minute",
    timeout: Annotated[
        float,
        option("Time that a request may take, its upload included.", metavar="SECONDS", min=1),
    ] = 30.0,
    log_texts: Annotated[bool, option("Write the texts of listings into the log.")] = False,
    device: options.DeviceOption = None,
) -> None:
    """Serve an index over HTTP, with a page.

    The page is at the address that is printed, the reference of the API below it at /docs. Ctrl-C
    ends it, as soon as what was asked is answered.
    """
    from prodcat_index.service.serve import serve as run
    from prodcat_index.service.settings import Limits, check_rate, is_private, read_tokens

    if problem := check_rate(rate):
        raise WrongCallError(problem)
    options.choose_device(device)
    tokens = {} if token_file is None else read_tokens(token_file)
    if token_file is not None and not is_private(token_file):
        note([f"{token_file} can be read by all users of this machine; chmod 640 keeps it private"])
    folder = options.choose_index(index, index_option)
    run(
        folder,
        ready=lambda address: say(f"Serving {folder} at {address}"),
        host=host,
        port=port,
        tokens=tokens,
        writable=writable,
        reviews=tuple(review or ()),
        audit=audit,
        precision=precision,
        state=state,
        allowed_hosts=tuple(allowed_host or ()),
        path_prefix=path_prefix.rstrip("/"),
        log_texts=log_texts,
        limits=Limits(rate=rate, seconds=timeout),
    )
