"""From the answers on every split to the rows and tables of an evaluation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from prodcat_index.cards.card import Catalogue
from prodcat_index.evaluation.result import TUNED, Row
from prodcat_index.evaluation.trial import Answer, Contender
from prodcat_index.index.neighbours import IntArray
from prodcat_index.voting.bootstrap import Sample, draw_weighted_f1, percentile_interval
from prodcat_index.voting.breakdown import (
    Bucket,
    Confusion,
    mean_buckets,
    size_buckets,
    worst_confusions,
)
from prodcat_index.voting.hierarchy import HierarchyScore, score_hierarchy
from prodcat_index.voting.metrics import score_outcome

if TYPE_CHECKING:
    import pandas as pd

Draws = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Run:
    """What every contender answered on one split.

    Attributes
    ----------
    test
        n test cards.
    training_sizes
        int64, shape (C,): training cards of each category.
    clusters
        int64, shape (n,): equal for cards that belong together, also in other splits.
    answers
        Name of the contender -> its answer.
    """

    test: Catalogue
    training_sizes: IntArray
    clusters: IntArray
    answers: Mapping[str, Answer]

    def sample(self, name: str) -> Sample:
        """Return what a contender's F1 is drawn from."""
        outcome = self.answers[name].outcome
        return Sample(outcome.true, outcome.predicted, self.clusters)


def summarise_rows(
    runs: Sequence[Run], entered: Sequence[Contender], names: Sequence[str], seed: int
) -> list[Row]:
    """Judge every contender over all splits, and compare it with the tuned one.

    Parameters
    ----------
    runs
        One for each split, clusters numbered alike.
    entered
        The contenders, a tuned one among them.
    names
        The C categories.
    seed
        Of the draws.
    """
    drawn = {
        contender.name: draw_weighted_f1(
            [run.sample(contender.name) for run in runs], len(names), seed=seed
        )
        for contender in entered
    }
    return [_row(runs, contender, names, drawn) for contender in entered]


def _row(
    runs: Sequence[Run], contender: Contender, names: Sequence[str], drawn: Mapping[str, Draws]
) -> Row:
    name = contender.name
    answers = [run.answers[name] for run in runs]
    return Row(
        name=name,
        kind=contender.kind,
        scores=[score_outcome(answer.outcome) for answer in answers],
        interval=percentile_interval(drawn[name]),
        lead=None if name == TUNED else percentile_interval(drawn[name] - drawn[TUNED]),
        hierarchy=_hierarchy(answers, names),
        settings=[answer.settings for answer in answers],
        notes=list(dict.fromkeys(answer.note for answer in answers if answer.note)),
    )


def _hierarchy(answers: Sequence[Answer], names: Sequence[str]) -> HierarchyScore | None:
    true = np.concatenate([answer.outcome.true for answer in answers])
    predicted = np.concatenate([answer.outcome.predicted for answer in answers])
    return score_hierarchy(true, predicted, names)


def summarise_buckets(runs: Sequence[Run]) -> list[Bucket]:
    """Break the tuned row's weighted F1 down by the size of categories in training."""
    outcomes = [(run.answers[TUNED].outcome, run.training_sizes) for run in runs]
    return mean_buckets([size_buckets(o.true, o.predicted, sizes) for o, sizes in outcomes])


def summarise_confusions(cards: pd.DataFrame) -> list[Confusion]:
    """Find what the tuned row confuses most often.

    Parameters
    ----------
    cards
        From :func:`card_table`.
    """
    return worst_confusions(*(cards[column].tolist() for column in ("true", "predicted", "id")))


def card_table(runs: Sequence[Run], names: Sequence[str]) -> pd.DataFrame:
    """List every test card of every split with the tuned row's answer.

    Parameters
    ----------
    runs
        One for each split.
    names
        The C categories.

    Returns
    -------
    pandas.DataFrame
        As in :class:`~prodcat_index.evaluation.result.Evaluation`.
    """
    import pandas as pd

    return pd.concat(
        [_cards_of(run, number, names) for number, run in enumerate(runs, start=1)],
        ignore_index=True,
    )


def _cards_of(run: Run, number: int, names: Sequence[str]) -> pd.DataFrame:
    import pandas as pd

    answer = run.answers[TUNED]
    ranked, shares = answer.outcome.ranked, answer.shares
    assert ranked is not None and shares is not None, "the tuned row is a vote"
    label = np.array([*names, ""], dtype=object)
    told = {"calibrated": answer.calibrated, "accepted": answer.accepted}
    known = {name: values for name, values in told.items() if values is not None}
    return pd.DataFrame(
        {
            "split": number,
            "id": run.test.ids,
            "true": label[answer.outcome.true],
            "predicted": label[answer.outcome.predicted],
            "confidence": shares[:, 0],
            **known,
            "top5": [label[row[row >= 0]].tolist() for row in ranked],
            "top5_shares": [
                share[row >= 0].round(4).tolist() for row, share in zip(ranked, shares, strict=True)
            ],
            "nearest_id": list(answer.nearest),
        }
    )
