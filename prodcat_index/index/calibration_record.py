"""Between a calibration and its record in the manifest."""

from __future__ import annotations

from prodcat_index.index.manifest import CalibrationRecord
from prodcat_index.voting.backoff import BackOffCurve
from prodcat_index.voting.calibration import Calibration
from prodcat_index.voting.conformal import SetCurve
from prodcat_index.voting.probability import ProbabilityModel
from prodcat_index.voting.thresholds import PrecisionCurve


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
