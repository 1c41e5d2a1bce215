"""The manifest: what an index folder holds, checked field by field when it is read."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

FORMAT_VERSION = 1
CARDS = "cards.parquet"
SEARCH = "search.faiss"


def _inside(path: str) -> str:
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or ".." in parts or "\\" in path or ":" in parts[0]:
        raise ValueError(f"the path {path!r} leaves the index folder")
    return path


InsidePath = Annotated[str, AfterValidator(_inside)]
Count = Annotated[int, Field(ge=0, le=2**40)]


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class FileRecord(_Record):
    """Size and digest of one file."""

    bytes: Count
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class BlockRecord(_Record):
    """One block: its encoder, its shape and its part in the similarity."""

    name: str
    modality: str
    encoder: str
    fingerprint: str
    dim: int = Field(ge=1, le=2**16)
    cards: Count
    weight: float = Field(ge=0, le=1)
    vectors: InsidePath
    present: InsidePath
    mean: InsidePath
    fitted: InsidePath


class VoteRecord(_Record):
    """How neighbours vote."""

    k: int = Field(ge=1, le=10_000)
    temperature: float = Field(gt=0)
    prior_exponent: float


class StepRecord(_Record):
    """A setting that tuning tried, and what the objective said."""

    weights: tuple[float, ...] = Field(strict=False, min_length=1, max_length=1000)
    vote: VoteRecord
    value: float


Steps = Annotated[tuple[StepRecord, ...], Field(strict=False, max_length=10_000)]


class TuningRecord(_Record):
    """How the weights and the vote were found."""

    objective: str
    cards: Count
    categories: Count
    before: StepRecord
    equal: StepRecord
    after: StepRecord
    recall: float = Field(ge=0, le=1)
    path: Steps
    weight_surface: Steps
    vote_surface: Steps


class SearchRecord(_Record):
    """The FAISS index."""

    kind: str
    dim: int = Field(ge=1, le=2**20)


class Manifest(_Record):
    """Everything about an index but its arrays.

    Attributes
    ----------
    format_version
        Layout of the folder; a reader refuses a newer one.
    version
        Counts the times this folder was written.
    data
        Folder of this version's files.
    created
        Time of writing, ISO 8601, UTC.
    packages
        Versions of what built it.
    cards, labelled, categories
        Counts.
    text_modalities
        Text columns in order.
    image_root
        Folder that the picture paths of the cards start from.
    tuning
        How the weights and the vote were found; none where they were given.
    files
        Path inside the index folder -> size and digest.
    """

    format_version: int
    version: int = Field(ge=1)
    data: InsidePath
    created: str
    packages: dict[str, str]
    cards: Count
    labelled: Count
    categories: Count
    text_modalities: tuple[str, ...] = Field(strict=False)
    image_root: str
    blocks: tuple[BlockRecord, ...] = Field(strict=False, min_length=1)
    vote: VoteRecord
    tuning: TuningRecord | None = None
    search: SearchRecord
    files: dict[InsidePath, FileRecord]

    @model_validator(mode="after")
    def _consistent(self) -> Manifest:
        names = [block.name for block in self.blocks]
        if len(set(names)) < len(names):
            raise ValueError("two blocks have the same name")
        steps = (self.tuning.before, self.tuning.equal) if self.tuning else ()
        if any(len(step.weights) != len(self.blocks) for step in steps):
            raise ValueError("tuning weighed other blocks than these")
        if self.search.dim != sum(block.dim for block in self.blocks) + len(self.blocks):
            raise ValueError("the search index has another dimension than the blocks together")
        unlisted = sorted(self._paths_read() - set(self.files))
        if unlisted:
            raise ValueError(f"{unlisted[0]} is not among the files")
        return self

    def _paths_read(self) -> set[str]:
        of_blocks = {path for b in self.blocks for path in (b.vectors, b.present, b.mean)}
        return of_blocks | {f"{self.data}/{CARDS}", f"{self.data}/{SEARCH}"}
