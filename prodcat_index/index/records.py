"""Between what tuning found and its records in the manifest."""

from __future__ import annotations

from collections.abc import Sequence

from prodcat_index.index.manifest import StepRecord, TuningRecord, VoteRecord
from prodcat_index.voting.calibration import Calibration
from prodcat_index.voting.tuning import Setting, Step, Tuning
from prodcat_index.voting.vote import VoteParameters


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
    return StepRecord(
        weights=step.setting.weights, vote=VoteRecord(**vars(step.setting.vote)), value=step.value
    )


def _steps(records: Sequence[StepRecord]) -> tuple[Step, ...]:
    return tuple(map(_step, records))


def _step(record: StepRecord) -> Step:
    setting = Setting(record.weights, VoteParameters(**record.vote.model_dump()))
    return Step(setting, record.value)
