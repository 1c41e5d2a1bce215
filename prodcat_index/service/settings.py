"""What a service is run with: where it listens, who may ask, and how much it takes."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path

from prodcat_index.errors import QueryError

LOOPBACK = ("127.0.0.1", "::1", "localhost")
MB = 1 << 20
# Characters below which a token could be guessed.
SHORTEST_TOKEN = 16
# What a header can hold, and what needs no quotes in a log.
TOKEN, NAME = re.compile(r"[\w.~+/=-]+", re.ASCII), re.compile(r"[\w.@+ -]+")


@dataclass(frozen=True)
class Limits:
    """The largest request that is answered, and the most that wait at a time.

    Attributes
    ----------
    body, picture
        Bytes of a body, and of a picture in it.
    pixels
        Pixels of a picture.
    batch
        Listings of a request.
    text
        Characters of all texts of a listing.
    waiting
        Requests that wait for the library at a time; more are answered by 429.
    seconds
        Time that a request may take, its upload included.
    rate
        Requests of a client, such as ``"600/minute"``.
    """

    body: int = 20 * MB
    picture: int = 10 * MB
    pixels: int = 50_000_000
    batch: int = 1000
    text: int = 100_000
    waiting: int = 256
    seconds: float = 30.0
    rate: str = "6000/minute"


@dataclass(frozen=True)
class ServeSettings:
    """How an index is served.

    Attributes
    ----------
    index
        Folder of the index.
    host, port
        Where the service listens; 0 is any free port.
    tokens
        Token -> name of its owner. Required to write, and to listen on other than loopback.
    writable
        Whether cards may be changed and decisions made.
    reviews
        Tables of audits and files of new listings that fill the review queue.
    audit
        Whether to audit the index in the background, for the queue and the health of categories.
    precision
        Target precision of answers that need no review.
    state
        File of the review journal; by default beside the index.
    allowed_hosts
        Names that a request may be addressed to; by default those of loopback and `host`.
    path_prefix
        Path that a reverse proxy puts before all others, such as ``"/prodcat"``.
    log_texts
        Whether texts of listings are written into the log.
    limits
        The largest request, and the most requests at a time.
    """

    index: Path
    host: str = "127.0.0.1"
    port: int = 8000
    tokens: dict[str, str] = field(default_factory=dict, repr=False)
    writable: bool = False
    reviews: tuple[Path, ...] = ()
    audit: bool = False
    precision: float = 0.95
    state: Path | None = None
    allowed_hosts: tuple[str, ...] = ()
    path_prefix: str = ""
    log_texts: bool = False
    limits: Limits = Limits()

    def __post_init__(self) -> None:
        """Refuse what would let strangers in, and what is not there."""
        if not self.tokens and self.host not in LOOPBACK:
            raise QueryError(
                f"Whoever reaches {self.host} could ask this service; give --token-file, or leave "
                "out --host to listen on this machine alone."
            )
        if not self.tokens and self.writable:
            raise QueryError("Only owners of tokens may change the index; give --token-file.")
        for path in self.reviews:
            if not path.is_file():
                raise QueryError(f"There is no file {path}, which is to fill the review queue.")
        if self.path_prefix and not re.fullmatch(r"(/[\w.~-]+)+", self.path_prefix, re.ASCII):
            raise QueryError(f"{self.path_prefix!r} is no path prefix; give one such as /prodcat.")
        if problem := check_rate(self.limits.rate):
            raise QueryError(problem)

    @property
    def journal(self) -> Path:
        """The file of the review journal."""
        return self.state or self.index.absolute().with_name(f"{self.index.name}.review.sqlite")

    @property
    def pictures(self) -> Path:
        """The folder of the pictures that came with new cards."""
        return self.index.absolute().with_name(f"{self.index.name}.pictures")


def read_tokens(path: str | Path) -> dict[str, str]:
    """Read who may use a service, from lines ``NAME:TOKEN``: token -> name of its owner."""
    try:
        lines = Path(path).read_text(encoding="utf-8-sig").splitlines()
    except (OSError, ValueError) as error:
        why = os.strerror(error.errno or 0) if isinstance(error, OSError) else "it is no UTF-8"
        raise QueryError(f"The token file {path} cannot be read: {why}.") from None
    tokens: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        name, colon, token = map(str.strip, line.partition(":"))
        if not line.strip() or line.startswith("#"):
            continue
        # The token itself is in no message: this may go into a log.
        if not (colon and NAME.fullmatch(name) and TOKEN.fullmatch(token)):
            raise QueryError(f"Line {number} of the token file {path} is not NAME:TOKEN.")
        if len(token) < SHORTEST_TOKEN:
            raise QueryError(
                f"The token of {name} in {path} could be guessed: it has {len(token)} characters, "
                f"and {SHORTEST_TOKEN} are the least. Make one with: openssl rand -hex 24"
            )
        if token in tokens:
            raise QueryError(f"{tokens[token]} and {name} have the same token in {path}.")
        tokens[token] = name
    if not tokens:
        raise QueryError(f"The token file {path} has no token; write lines NAME:TOKEN into it.")
    return tokens


def is_private(path: Path) -> bool:
    """Check whether other users of this machine cannot read a file."""
    return os.name != "posix" or not path.stat().st_mode & 0o004


def check_rate(rate: str) -> str:
    """Return what is wrong with a rate, if anything is."""
    from limits import parse

    try:
        parse(rate)
    except ValueError:
        return f"{rate!r} is no rate; give one such as 600/minute."
    return ""
