"""The manifest of an index folder: every stored thing, defined once and checked when it is read.

Attributes are the keys of ``manifest.json``. Those with an alias keep the key of earlier versions,
so that both read each other's folders.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import Annotated, Literal

import pydantic
from pydantic import AfterValidator, Field

from prodcat_index.errors import StoreError
from prodcat_index.index.kinds import ApproximateKind, IndexChoice
from prodcat_index.index.quantized import array_shapes
from prodcat_index.index.stores import StoreAddress
from prodcat_index.voting.calibration import Calibration
from prodcat_index.voting.tuning import Tuning
from prodcat_index.voting.vote import StoredVote

# 1: as published first. 2: cards added since the index was built (growth); a linear head and a
# hubness correction (crowding) beside the projection. 3: a block of text scores; weights of the
# blocks in a search; lexical encoders that hash n-grams beside their projection. 4: the columns
# that cards were read from. 5: files in pieces, the change that made the version, a digest of the
# manifest itself; rows of cards that are gone, cards in several files, labels beside them.
# 6: what people decided about the items of an audit. 7: rows in a table of a store. 8: pairs of a
# word and a mark in the text scores.
FORMAT_VERSION = 8
DIGEST_FORMAT = 5
DIGEST = ',\n "digest": "'
# Far more than the files of an index with hundreds of deliveries.
MAX_FILES = 10_000
# A hostile file of terabytes, which need not be on any disk, would be read for hours.
MOST_BYTES, MOST_BYTES_OF_A_CARD = 2**30, 2**18
LEARNED = "learned"
# The block of text scores: the last one before the learned block.
SCORES = "scores"
CARDS = "cards.parquet"
KEEP, REMOVE = "keep", "remove"  # decisions that are no category
SEARCH = "search.f32"
OLD_SEARCH = "search.faiss"  # in formats before 5


def _inside(path: str) -> str:
    parts = path.split("/")
    if {"", ".", ".."} & set(parts) or "\\" in path or ":" in parts[0] or not path.isprintable():
        raise ValueError(f"the path {path!r} leaves the index folder")
    # A writer would lengthen its own files.
    if parts[0] != "versions" or parts[-1] == "manifest.json":
        raise ValueError(f"the path {path!r} is not one of a version's data")
    return path


def _store_address(url: str) -> str:
    try:
        return str(StoreAddress(url))
    except StoreError as error:
        raise ValueError(str(error)) from error


# The upper bounds keep a hostile manifest from making the reader allocate without end.
InsidePath = Annotated[str, AfterValidator(_inside)]
Count = Annotated[int, Field(ge=0, le=2**40)]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Dimension = Annotated[int, Field(ge=1, le=2**16)]
Weight = Annotated[float, Field(ge=0, le=1)]
# Of two mean rows of unit length: 2, and a margin for rounding.
Distance = Annotated[float, Field(ge=0, le=3)]


@dataclass(frozen=True)
class FileRecord:
    """Sizes and digests of the pieces of a file, one for each time that it was written to.

    What comes after them is not read: a writer that died may have left it.
    """

    pieces: Annotated[tuple[tuple[Count, Digest], ...], Field(min_length=1, max_length=10_000)]

    @property
    def bytes(self) -> int:
        """Size of all pieces."""
        return sum(size for size, _ in self.pieces)


@dataclass(frozen=True)
class JournalEntry:
    """One change of an index folder. Who makes it names the verb and how many cards it was."""

    verb: Annotated[str, Field(max_length=100)]
    counts: Annotated[dict[str, int], Field(max_length=100)] = field(default_factory=dict)
    when: Annotated[str, Field(max_length=100)] = ""
    package: Annotated[str, Field(max_length=100)] = ""  # version of this package
    previous: Count | None = None  # version before the change, which is kept
    version: Count = 0


@dataclass(frozen=True)
class BlockRecord:
    """One encoder's block: its weights, its shape and its files."""

    name: str
    modality: str
    encoder: str
    fingerprint: str
    dim: Dimension
    cards: Count  # that have it
    weight: Weight
    vectors: InsidePath | None  # None where the rows are in a store
    present: InsidePath
    mean: InsidePath
    fitted: InsidePath  # folder of the fitted encoder
    references: InsidePath | None = None  # None in formats 1 to 4
    projected_dim: Dimension | None = None  # columns that a projection reads; None for all
    search_weight: Weight | None = None  # None in formats 1 and 2

    def __post_init__(self) -> None:
        if (self.projected_dim or 0) > self.dim:
            raise ValueError("more columns are projected than there are")


@dataclass(frozen=True)
class HeadRecord:
    """The linear head: its number of categories and its files."""

    size: Annotated[int, Field(ge=2, le=2**24)]
    coefficients: InsidePath
    intercepts: InsidePath
    categories: InsidePath
    # That its columns were fitted by; empty in formats 1 to 4, where these are the stored ones.
    names: Annotated[tuple[str, ...], Field(max_length=2**24)] = ()

    def __post_init__(self) -> None:
        if self.names and not len(set(self.names)) == len(self.names) == self.size:
            raise ValueError("the names of its categories are not one for each column")


@dataclass(frozen=True)
class HubnessRecord:
    """The hubness correction: its number of references, how many count, and their file."""

    size: Annotated[int, Field(ge=2, le=2**20)]
    near: Annotated[int, Field(ge=1, le=2**20)]
    references: InsidePath

    def __post_init__(self) -> None:
        if self.near >= self.size:
            raise ValueError("more references count than there are")


@dataclass(frozen=True)
class LearnedRecord:
    """The learned block: its weight, its shape and its files."""

    dim: Dimension
    cards: Count
    weight: Weight
    vectors: InsidePath | None  # as of a block
    present: InsidePath
    matrix: InsidePath
    offset: InsidePath
    reliability: InsidePath | None = None
    expected: InsidePath | None = None  # the references of the block; None in formats 1 to 4
    head: HeadRecord | None = None
    hubness: Annotated[HubnessRecord | None, Field(alias="crowding")] = None


@dataclass(frozen=True)
class BlockDrift:
    """The distance of added cards from those that an index was fitted on, in one block."""

    block: str
    cards: Annotated[int, Field(ge=1, le=2**40)]  # added ones that have it
    shift: Distance  # between the mean rows
    chance: Distance  # the same, expected of cards drawn alike


@dataclass(frozen=True)
class DriftRecord:
    """What changed since an index was built. Cards are stored in the order of their arrival."""

    fitted_cards: Count  # the first ones: those that it was fitted on and that are still there
    tuned_cards: Count  # of the first ones, seen by the last tuning
    new_categories: Count
    new_category_cards: Count
    blocks: Annotated[tuple[BlockDrift, ...], Field(alias="drifts", max_length=1000)]
    removed_cards: Count = 0  # that it was fitted on
    changed_cards: Count = 0  # likewise, other than their labels
    relabelled_cards: Count = 0  # how often one of the first ones got another category
    encoded_cards: Count | None = None  # the first ones, that the encoders were fitted on, if fewer

    @classmethod
    def without_change(cls, cards: int) -> DriftRecord:
        """Return the record of an index that was fitted on all of its cards."""
        return cls(cards, cards, 0, 0, ())

    @property
    def encoded(self) -> int:
        """Number of the first cards that the encoders were fitted on."""
        return self.fitted_cards if self.encoded_cards is None else self.encoded_cards


@dataclass(frozen=True)
class Decided:
    """What a person decided about an item of an audit, so that it is not asked again."""

    check: str
    kind: str
    decision: str  # KEEP, REMOVE, or the category that was chosen
    subject: str = ""  # of an item that is about no card
    proposal: str = ""
    # Id of a card, its category from then on, and a digest of its texts, empty where not known.
    cards: tuple[tuple[str, str, str], ...] = ()


@dataclass(frozen=True)
class Choices:
    """What was given when an index was built, and is kept when it is fitted again."""

    projection: Literal["lda", "none"] = "lda"
    weights: bool = False  # weights in votes
    vote: bool = False  # parameters of the vote
    target: str = ""  # column whose values are predicted; empty for the categories


@dataclass(frozen=True)
class CodesRecord:
    """The codes of an approximate search: their shapes, their files, and how wide it is."""

    kind: ApproximateKind
    size: Annotated[int, Field(ge=1, lt=2**31)]  # cards that were coded
    cells: Annotated[int, Field(ge=0, le=2**24)]
    links: Annotated[int, Field(ge=0, le=2**36)]
    files: Annotated[dict[str, InsidePath], Field(max_length=10)]  # by the names of the arrays
    cards: InsidePath | None  # numbers of the coded cards; None if they are all, in order
    fetch: Annotated[int, Field(ge=1, le=1000)]
    margin: Annotated[float, Field(ge=0, le=10)]
    walk: Annotated[int, Field(ge=0, le=2**24)]
    recall: Annotated[float, Field(ge=0, le=1)]  # as measured when they were made
    # ivf: share of the codes that a query is compared with on average; None in formats before 8.
    compared: Annotated[float, Field(ge=0, le=1)] | None = None


@dataclass(frozen=True)
class SearchRecord:
    """A search index, and the blocks that it is made of."""

    kind: str
    dim: Annotated[int, Field(ge=1, le=2**20)]
    blocks: Annotated[tuple[str, ...], Field(min_length=1)]
    rows: InsidePath | None = None  # None in formats before 5, and where there are codes
    codes: CodesRecord | None = None  # None where all cards are compared exactly

    def __post_init__(self) -> None:
        if self.codes:
            shapes = array_shapes(self.codes.kind, self.dim, 1, 0, 0)
            if self.kind != self.codes.kind or shapes.keys() != self.codes.files.keys():
                raise ValueError("the codes have other arrays than those of their kind")


@dataclass(frozen=True)
class StoreRecord:
    """The table of a store that holds the rows of all blocks, fused, and searches them."""

    address: Annotated[str, AfterValidator(_store_address)]  # without a password
    table: Annotated[str, Field(pattern=r"^prodcat_[0-9a-f]{8}_[0-9]{1,9}$")]
    owner: Annotated[int, Field(ge=0)]  # number of the index folder: a copy of it has another
    token: Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]  # of the last change of the table
    walk: Annotated[int, Field(ge=1, le=2**24)]  # rows that a walk through the graph keeps
    recall: Annotated[float, Field(ge=0, le=1)]  # of the nearest 20 under the weights of votes
    far_recall: Annotated[float, Field(ge=0, le=1)]  # the lowest under other weights
    asked: Annotated[float, Field(ge=0, le=1)]  # recall that was to be reached
    # What the columns of the encoders' blocks are stored times.
    scale: Annotated[int, Field(ge=1, le=8)]


@dataclass(frozen=True)
class StoredRecord:
    """What the files hold of the cards: rows of some that are gone, and a file a delivery."""

    rows: Count  # of each file of rows
    cards: Annotated[tuple[tuple[InsidePath, Count], ...], Field(min_length=1, max_length=1000)]
    codes: InsidePath  # of the labels of each card
    categories: InsidePath  # each with the shop's own key of it
    positions: InsidePath | None = None  # of the cards among the rows; None if there are no others
    store: StoreRecord | None = None  # None where the rows are in files

    def __post_init__(self) -> None:
        if sum(count for _, count in self.cards) != self.rows:
            raise ValueError("the files of the cards do not hold as many as there are rows")


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """Everything about an index but its arrays."""

    # Holds for all that is nested as well.
    __pydantic_config__ = pydantic.ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    format_version: int
    version: Annotated[int, Field(ge=1)]
    data: InsidePath
    created: str
    packages: dict[str, str]
    cards: Count
    labelled: Count
    categories: Count
    text_modalities: tuple[str, ...]
    image_root: str
    columns: dict[str, str] = field(default_factory=dict)  # part of a card -> column
    category_separator: str = ""
    blocks: Annotated[tuple[BlockRecord, ...], Field(min_length=1)]
    learned: LearnedRecord | None = None
    vote: StoredVote
    tuning: Tuning | None = None  # without its calibration, which stands beside it
    calibration: Calibration | None = None
    drift: Annotated[DriftRecord | None, Field(alias="growth")] = None
    aliases: dict[str, str] = field(default_factory=dict)  # fitted name of a category -> name now
    choices: Choices | None = None  # None in formats 1 to 4
    decided: tuple[Decided, ...] = ()
    search: SearchRecord
    stored: StoredRecord | None = None  # None in formats before 5
    similar: SearchRecord | None = None  # of the encoders' blocks, if they have codes of their own
    asked: IndexChoice = field(default_factory=IndexChoice)
    change: JournalEntry | None = None  # None in formats before 5
    files: Annotated[dict[InsidePath, FileRecord], Field(max_length=MAX_FILES)]

    def __post_init__(self) -> None:
        if self.change and not (self.change.previous or 0) < self.change.version == self.version:
            raise ValueError("the change is not the one that made this version")
        if len(self.dims) < len(self.blocks) + bool(self.learned):
            raise ValueError("two blocks have the same name")
        self._check_search()
        if self.stored and not self.cards <= self.stored.rows:
            raise ValueError("there are more cards than rows")
        if self.stored and self.stored.positions is None and self.stored.rows > self.cards:
            raise ValueError("there are more rows than cards, and it is not said which are theirs")
        if not self.categories <= self.labelled <= self.cards:
            raise ValueError("more cards are labelled than there are, or in more categories")
        steps = self.tuning.steps if self.tuning else ()
        if any(len(step.weights) != len(self.dims) for step in steps):
            raise ValueError("tuning weighed other blocks than these")
        if self.tuning and self.tuning.calibration:
            raise ValueError("a calibration stands inside of the tuning")
        if self.drift:
            self._check_drift(self.drift)
        # What is not listed has no digest, and its damage would go unnoticed.
        unlisted = sorted(self._paths_read() - set(self.files))
        if unlisted:
            raise ValueError(f"{unlisted[0]} is not among the files")
        most = MOST_BYTES + self.cards * MOST_BYTES_OF_A_CARD
        if any(record.bytes > most for record in self.files.values()):
            raise ValueError("a file is larger than its cards can make it")
        # Where letter case does not count they would be one file.
        if len({name.casefold() for name in self.files}) < len(self.files):
            raise ValueError("two files differ in their letter case alone")

    @property
    def dims(self) -> dict[str, int]:
        """Length of a row of every block, the learned one last."""
        learned = {LEARNED: self.learned.dim} if self.learned else {}
        return {block.name: block.dim for block in self.blocks} | learned

    @property
    def weights(self) -> dict[str, float]:
        """Weight of every block, the learned one last."""
        learned = {LEARNED: self.learned.weight} if self.learned else {}
        return {block.name: block.weight for block in self.blocks} | learned

    @property
    def search_weights(self) -> dict[str, float]:
        """Weight of every encoder's block in a search; empty where none were chosen."""
        chosen = {b.name: b.search_weight for b in self.blocks if b.name != SCORES}
        return {name: weight for name, weight in chosen.items() if weight is not None}

    @property
    def store(self) -> StoreRecord | None:
        """The table that holds the rows; None where they are in files."""
        return self.stored.store if self.stored else None

    @property
    def cards_files(self) -> tuple[tuple[str, int], ...]:
        """The files of the cards, each with how many are in it."""
        return self.stored.cards if self.stored else ((f"{self.data}/{CARDS}", self.cards),)

    def _check_search(self) -> None:
        dims = self.dims
        if self.similar and not self.similar.codes:
            raise ValueError("a search for similar cards has no codes")
        for search in filter(None, (self.search, self.similar)):
            searched = search.blocks
            if not set(searched) <= set(dims) or len(set(searched)) < len(searched):
                raise ValueError("a search index is made of blocks that are not there")
            if search.dim != sum(dims[name] for name in searched) + len(searched):
                raise ValueError("a search index has another dimension than its blocks together")
        rows = {block.vectors for block in (*self.blocks, self.learned) if block}
        if self.store and (rows != {None} or {*self.search.blocks} != {*dims} or self.similar):
            raise ValueError("the rows are in a store and in files")
        if not self.store and None in rows:
            raise ValueError("the rows are in no file and in no store")
        encoders = tuple(block.name for block in self.blocks if block.name != SCORES)
        if self.similar and self.similar.blocks != encoders:
            raise ValueError("a search for similar cards is made of other blocks than theirs")

    def _check_drift(self, drift: DriftRecord) -> None:
        added = self.cards - drift.fitted_cards
        if added < 0:
            raise ValueError("it was fitted on more cards than it has")
        if max(drift.tuned_cards, drift.encoded_cards or 0) > self.cards:
            raise ValueError("tuning or an encoder has seen more cards than exist")
        if not drift.new_categories <= drift.new_category_cards <= added:
            raise ValueError("more cards are of new categories than were added")
        added = self.cards - min(drift.encoded, drift.fitted_cards)
        for block in drift.blocks:
            if block.block not in self.dims:
                raise ValueError("a drift is of a block that is not there")
            if block.cards > added:
                raise ValueError("more cards have drifted than were added")

    def _paths_read(self) -> set[str]:
        paths: list[str | None] = [path for path, _ in self.cards_files]
        if stored := self.stored:
            paths += [stored.codes, stored.categories, stored.positions]
        if not (self.search.codes or self.store):
            paths.append(self.search.rows or f"{self.data}/{OLD_SEARCH}")
        for search in (self.search, self.similar):
            if search and search.codes:
                paths += [*search.codes.files.values(), search.codes.cards]
        for block in self.blocks:
            paths += [block.present, block.mean, block.vectors, block.references]
        if learned := self.learned:
            paths += [learned.present, learned.matrix, learned.offset]
            paths += [learned.vectors, learned.reliability, learned.expected]
            if head := learned.head:
                paths += [head.coefficients, head.intercepts, head.categories]
            if learned.hubness:
                paths.append(learned.hubness.references)
        return {path for path in paths if path}


_ADAPTER = pydantic.TypeAdapter(Manifest)


def manifest_from_json(content: str) -> Manifest:
    """Check and return a manifest; raise ValueError with the first field that is wrong."""
    try:
        return _ADAPTER.validate_json(_unsealed(content))
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "manifest"
        raise ValueError(f"{where}: {first['msg']}") from error


def manifest_to_json(manifest: Manifest) -> str:
    """Return the text of ``manifest.json``; raise ValueError if it could not be read again."""
    # An older version, which may read the manifest, knows of no stores.
    unknown = set() if manifest.store else {"store"}
    exclude = {"tuning": {"calibration", "tuned_on"}, "stored": unknown}
    content = _ADAPTER.dump_json(manifest, indent=1, by_alias=True, exclude=exclude).decode()
    manifest_from_json(content := sealed(content))
    return content


def sealed(content: str) -> str:
    """Return the text of a JSON object with a digest of all that stands before it as the last."""
    content = content.rstrip().removesuffix("}").rstrip()
    return f'{content}{DIGEST}{_digest(content)}"\n}}\n'


def _unsealed(content: str) -> str:
    """Return a manifest without its digest, if that is right, as one of the newest format."""
    read = json.loads(content)
    if read["format_version"] < DIGEST_FORMAT:
        listed = read.get("files")
        for name, record in listed.items() if isinstance(listed, dict) else ():
            if isinstance(record, dict) and record.keys() == {"bytes", "sha256"}:
                listed[name] = {"pieces": [[record["bytes"], record["sha256"]]]}
        return json.dumps(read)
    content, _, rest = content.rpartition(DIGEST)
    if rest != f'{_digest(content)}"\n}}\n':
        raise ValueError("its content is not that of its digest")
    return content + "}"


def _digest(content: str) -> str:
    return hashlib.sha256(content.encode()).hexdigest()
