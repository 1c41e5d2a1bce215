"""The ways to categorize that are compared: one modality alone, all alike, tuned."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from prodcat_index.evaluation.classifiers import CLASSIFIERS, classify
from prodcat_index.evaluation.result import TUNED
from prodcat_index.evaluation.trial import Answer, Contender, Trial
from prodcat_index.index.building import equal_weights
from prodcat_index.index.learned import ProjectionKind
from prodcat_index.voting.tuning import Objective
from prodcat_index.voting.vote import VoteParameters

EQUAL = "equal weights"
PROJECTED = "learned"


def contenders(
    modalities: Sequence[str],
    *,
    baselines: bool,
    objective: Objective,
    seed: int,
    projection: ProjectionKind,
) -> list[Contender]:
    """List the rows of the table.

    Parameters
    ----------
    modalities
        Each gets a row of its own.
    baselines
        Compare with classifiers on the same embeddings.
    objective
        What tuning maximises.
    seed
        Of tuning and of the classifiers.
    projection
        What the indexes learn from the labels.
    """
    alone = [Contender(m, "modality", partial(_alone, m)) for m in modalities]
    votes = [
        *([Contender(EQUAL, "vote", _equal)] if len(modalities) > 1 else []),
        *([Contender(PROJECTED, "vote", _projected)] if projection == "lda" else []),
        Contender(TUNED, "vote", partial(_tuned, objective, seed)),
    ]
    named = CLASSIFIERS if baselines else ()
    return [
        *alone,
        *votes,
        *(Contender(name, "classifier", partial(classify, name, seed)) for name in named),
    ]


def _alone(modality: str, trial: Trial) -> Answer:
    blocks = [block.name for block in trial.index.parts.blocks if block.modality == modality]
    return trial.vote({name: 1 / len(blocks) for name in blocks}, VoteParameters())


def _equal(trial: Trial) -> Answer:
    return trial.vote(equal_weights(trial.index.parts.blocks), VoteParameters())


def _projected(trial: Trial) -> Answer:
    """Vote as an index does that is not tuned."""
    return trial.vote(trial.index.parts.weights, trial.index.parts.vote)


def _tuned(objective: Objective, seed: int, trial: Trial) -> Answer:
    parts = trial.index.tuned(trial.index.tune(objective=objective, seed=seed)).parts
    return trial.vote(parts.weights, parts.vote, parts.calibration)
