"""The manifest: what an index folder holds, checked field by field when it is read."""

from __future__ import annotations

from collections.abc import Sequence, Sized
from operator import gt
from pathlib import PurePosixPath
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from prodcat_index.voting.calibration import Calibration, ProbabilityModel
from prodcat_index.voting.thresholds import BackOffCurve, PrecisionCurve, SetCurve
from prodcat_index.voting.tuning import Objective, Step, Tuning
from prodcat_index.voting.vote import VoteParameters

# 2: what was added since the index was built (growth); a linear head and a hubness
# correction beside the projection.
FORMAT_VERSION = 2
LEARNED = "learned"
CARDS = "cards.parquet"
SEARCH = "search.faiss"


def _inside(path: str) -> str:
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or ".." in parts or "\\" in path or ":" in parts[0]:
        raise ValueError(f"the path {path!r} leaves the index folder")
    return path


InsidePath = Annotated[str, AfterValidator(_inside)]
Count = Annotated[int, Field(ge=0, le=2**40)]
Weight = Annotated[float, Field(ge=0, le=1)]


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
    weight: Weight
    vectors: InsidePath
    present: InsidePath
    mean: InsidePath
    fitted: InsidePath


class VoteRecord(_Record):
    """How neighbours vote."""

    k: int = Field(ge=1, le=10_000)
    temperature: float = Field(gt=0)
    prior_exponent: float
    head_exponent: float = Field(default=0.0, ge=0)


class StepRecord(_Record):
    """A setting that tuning tried, and what the objective said."""

    weights: tuple[Weight, ...] = Field(strict=False, min_length=1, max_length=1000)
    vote: VoteRecord
    value: float


Steps = Annotated[tuple[StepRecord, ...], Field(strict=False, max_length=10_000)]


class TuningRecord(_Record):
    """How the weights and the vote were found."""

    objective: Objective
    cards: Count
    categories: Count
    before: StepRecord
    equal: StepRecord
    after: StepRecord
    recall: float = Field(ge=0, le=1)
    path: Steps
    weight_surface: Steps
    vote_surface: Steps

    @property
    def steps(self) -> tuple[StepRecord, ...]:
        """Every setting that is told of."""
        named = (self.before, self.equal, self.after)
        return (*named, *self.path, *self.weight_surface, *self.vote_surface)


Probability = Annotated[float, Field(ge=0, le=1)]
Probabilities = Annotated[tuple[Probability, ...], Field(strict=False, max_length=1000)]
CalibrationCards = Annotated[int, Field(ge=0, le=2**22)]
CalibrationCounts = Annotated[tuple[CalibrationCards, ...], Field(strict=False, max_length=1000)]


class ProbabilityRecord(_Record):
    """From shares of a vote to probabilities."""

    sharpness: float = Field(gt=0)
    intercept: float
    similarity_weight: float = Field(ge=0)
    share_weight: float = Field(ge=0)
    offset: float
    slope: float = Field(ge=0)


class PrecisionRecord(_Record):
    """What each confidence threshold does to the calibration cards."""

    cards: CalibrationCards
    thresholds: Probabilities
    answered: CalibrationCounts
    wrong: CalibrationCounts

    @model_validator(mode="after")
    def _consistent(self) -> PrecisionRecord:
        rising = [0, *self.answered, self.cards]
        _check_table(self.thresholds, self.answered, self.wrong)
        if list(self.thresholds) != sorted(self.thresholds, reverse=True):
            raise ValueError("the thresholds do not fall")
        if rising != sorted(rising) or 0 in self.answered or any(map(gt, self.wrong, rising[1:])):
            raise ValueError("the numbers of answers and mistakes do not fit together")
        return self


class BackOffRecord(_Record):
    """How sure a prefix must be for each asked precision."""

    precisions: Probabilities
    thresholds: Probabilities
    coverage: Probabilities
    accuracy: Probabilities

    @model_validator(mode="after")
    def _consistent(self) -> BackOffRecord:
        _check_table(self.precisions, self.thresholds, self.coverage, self.accuracy)
        return self


class SetRecord(_Record):
    """How probable the true category was to the calibration cards."""

    cards: CalibrationCards
    ranks: CalibrationCounts
    probabilities: Probabilities

    @model_validator(mode="after")
    def _consistent(self) -> SetRecord:
        _check_table(self.ranks, self.probabilities)
        rising = [0, *self.ranks, self.cards]
        if rising != sorted(rising):
            raise ValueError("the ranks do not rise")
        return self


def _check_table(*columns: Sized) -> None:
    if len(set(map(len, columns))) > 1:
        raise ValueError("the columns of a calibration differ in length")


class CalibrationRecord(_Record):
    """How far confidence can be trusted."""

    cards: CalibrationCards
    model: ProbabilityRecord
    precision: PrecisionRecord
    prefixes: BackOffRecord | None
    sets: SetRecord


class HeadRecord(_Record):
    """The linear head: the number of categories that it tells apart, and its files."""

    size: int = Field(ge=2, le=2**24)
    coefficients: InsidePath
    intercepts: InsidePath
    categories: InsidePath


class HubnessRecord(_Record):
    """Cards by which hubness is measured: their number, how many count, and their file."""

    size: int = Field(ge=2, le=2**20)
    near: int = Field(ge=1, le=2**20)
    references: InsidePath

    @model_validator(mode="after")
    def _consistent(self) -> HubnessRecord:
        if self.near >= self.size:
            raise ValueError("more cards count for hubness than there are")
        return self


class LearnedRecord(_Record):
    """The learned block: its shape, its part in the similarity, and its files."""

    dim: int = Field(ge=1, le=2**16)
    cards: Count
    weight: float = Field(ge=0, le=1)
    vectors: InsidePath
    present: InsidePath
    matrix: InsidePath
    offset: InsidePath
    head: HeadRecord | None = None
    # Named as in indexes of format 2.
    crowding: HubnessRecord | None = None


class DriftRecord(_Record):
    """How far the cards that were added are from those that an index was fitted on."""

    block: str
    cards: int = Field(ge=1, le=2**40)
    shift: float = Field(ge=0, le=3)
    chance: float = Field(ge=0, le=3)


class GrowthRecord(_Record):
    """What came after an index was built."""

    fitted_cards: Count
    tuned_cards: Count
    new_categories: Count
    new_category_cards: Count
    drifts: tuple[DriftRecord, ...] = Field(strict=False, max_length=1000)


class SearchRecord(_Record):
    """The FAISS index, and the blocks that it is made of."""

    kind: str
    dim: int = Field(ge=1, le=2**20)
    blocks: tuple[str, ...] = Field(strict=False, min_length=1)


class Manifest(_Record):
    """Everything about an index but its arrays."""

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
    learned: LearnedRecord | None = None
    vote: VoteRecord
    tuning: TuningRecord | None = None
    calibration: CalibrationRecord | None = None
    growth: GrowthRecord | None = None
    search: SearchRecord
    files: dict[InsidePath, FileRecord]

    @model_validator(mode="after")
    def _consistent(self) -> Manifest:
        dims = self.dims
        if len(dims) < len(self.blocks) + bool(self.learned):
            raise ValueError("two blocks have the same name")
        steps = self.tuning.steps if self.tuning else ()
        if any(len(step.weights) != len(dims) for step in steps):
            raise ValueError("tuning weighed other blocks than these")
        searched = self.search.blocks
        if not set(searched) <= set(dims) or len(set(searched)) < len(searched):
            raise ValueError("the search index is made of blocks that are not there")
        if self.search.dim != sum(dims[name] for name in searched) + len(searched):
            raise ValueError("the search index has another dimension than its blocks together")
        if self.growth:
            self._check_growth(self.growth)
        unlisted = sorted(self._paths_read() - set(self.files))
        if unlisted:
            raise ValueError(f"{unlisted[0]} is not among the files")
        return self

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

    def _check_growth(self, growth: GrowthRecord) -> None:
        added = self.cards - growth.fitted_cards
        if added <= 0:
            raise ValueError("it was fitted on as many cards as it has, or more")
        if not growth.fitted_cards <= growth.tuned_cards <= self.cards:
            raise ValueError("tuning has seen fewer cards than were fitted on, or more than exist")
        if not growth.new_categories <= growth.new_category_cards <= added:
            raise ValueError("more cards are of new categories than were added")
        if not {drift.block for drift in growth.drifts} <= set(self.dims):
            raise ValueError("a drift is of a block that is not there")
        if any(drift.cards > added for drift in growth.drifts):
            raise ValueError("more cards have drifted than were added")

    def _paths_read(self) -> set[str]:
        of_blocks = {path for b in self.blocks for path in (b.vectors, b.present, b.mean)}
        learned = self.learned
        if learned:
            of_blocks |= {learned.vectors, learned.present, learned.matrix, learned.offset}
            head = learned.head
            of_blocks |= {head.coefficients, head.intercepts, head.categories} if head else set()
            of_blocks |= {learned.crowding.references} if learned.crowding else set()
        return of_blocks | {f"{self.data}/{CARDS}", f"{self.data}/{SEARCH}"}


def tuning_record(tuning: Tuning) -> TuningRecord:
    """Write down what tuning found."""
    return TuningRecord(
        objective=tuning.objective,
        cards=tuning.cards,
        categories=tuning.categories,
        before=_record(tuning.before),
        equal=_record(tuning.equal),
        after=_record(tuning.after),
        recall=tuning.recall,
        path=tuple(map(_record, tuning.path)),
        weight_surface=tuple(map(_record, tuning.weight_surface)),
        vote_surface=tuple(map(_record, tuning.vote_surface)),
    )


def read_tuning(record: TuningRecord, calibration: Calibration | None) -> Tuning:
    """Read what tuning found; the calibration has a record of its own."""
    return Tuning(
        objective=record.objective,
        cards=record.cards,
        categories=record.categories,
        before=_step(record.before),
        equal=_step(record.equal),
        after=_step(record.after),
        recall=record.recall,
        path=_steps(record.path),
        weight_surface=_steps(record.weight_surface),
        vote_surface=_steps(record.vote_surface),
        calibration=calibration,
    )


def _record(step: Step) -> StepRecord:
    return StepRecord(weights=step.weights, vote=VoteRecord(**vars(step.vote)), value=step.value)


def _steps(records: Sequence[StepRecord]) -> tuple[Step, ...]:
    return tuple(map(_step, records))


def _step(record: StepRecord) -> Step:
    return Step(record.weights, VoteParameters(**record.vote.model_dump()), record.value)


def calibration_record(calibration: Calibration) -> CalibrationRecord:
    """Write down a calibration."""
    return CalibrationRecord.model_validate(calibration, from_attributes=True)


def read_calibration(record: CalibrationRecord) -> Calibration:
    """Read a calibration."""
    return Calibration(
        cards=record.cards,
        model=ProbabilityModel(**vars(record.model)),
        precision=PrecisionCurve(**vars(record.precision)),
        prefixes=BackOffCurve(**vars(record.prefixes)) if record.prefixes else None,
        sets=SetCurve(**vars(record.sets)),
    )
