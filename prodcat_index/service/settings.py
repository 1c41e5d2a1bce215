"""What a service is run with: where it listens, who may ask, and how much it takes."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from prodcat_index.errors import QueryError

LOOPBACK = ("127.0.0.1", "::1", "localhost")
MB = 1 << 20


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
        """Refuse what would let strangers in."""
        if not self.tokens and self.host not in LOOPBACK:
            raise QueryError(
                f"Whoever reaches {self.host} could ask this service; give --token-file, or leave "
                "out --host to listen on this machine alone."
            )
        if not self.tokens and self.writable:
            raise QueryError("Who may change the index is told by tokens; give --token-file.")

    @property
    def journal(self) -> Path:
        """The file of the review journal."""
        return self.state or self.index.absolute().with_name(f"{self.index.name}.review.sqlite")
