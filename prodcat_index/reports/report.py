"""Evaluating the catalogue of an index, and writing a page of it that needs nothing beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Any

from prodcat_index.cards.card import IMAGE
from prodcat_index.evaluation.evaluate import evaluate
from prodcat_index.evaluation.result import Evaluation, Row
from prodcat_index.index.product_index import ProductIndex
from prodcat_index.index.writing import package_versions
from prodcat_index.reports import evaluation as figures
from prodcat_index.reports import page
from prodcat_index.reports.problems import CONTRADICTS, problems_of_index, tabulate_problems
from prodcat_index.reports.tuning_figures import draw_tuning
from prodcat_index.voting.breakdown import Confusion
from prodcat_index.voting.metrics import RiskCoverage
from prodcat_index.voting.prediction import Neighbour
from prodcat_index.voting.thresholds import Acceptance, check_share
from prodcat_index.voting.vote import VoteParameters

if TYPE_CHECKING:
    from prodcat_index.cards.split import Split
    from prodcat_index.index.parts import IndexParts


# Numbers of examples of a confusion and of the other lists, and of the neighbours of each.
OF_CONFUSION, OF_QUEUE, NEAREST = 2, 12, 4
FIRST_SPLIT = 1
# Shares of the vote below this are written as nothing.
LEAST_SHARE = 0.001
CONTENTS = {
    "first": "Fix these first",
    "scores": "Scores",
    "confidence": "Confidence",
    "sizes": "By the size of the category",
    "tree": "In the tree of categories",
    "confusions": "Worst confusions",
    "doubted": "Labels to check",
    "review": "Least confident answers",
    "tuning": "Tuning",
    "made": "What was evaluated",
}


@dataclass(frozen=True)
class Example:
    """A test card, its prediction, and the training cards nearest to it."""

    id: str
    title: str
    image: str
    true: str
    predicted: str
    confidence: float
    alternatives: Sequence[tuple[str, float]]  # categories and shares, largest first
    neighbours: Sequence[Neighbour]

    @property
    def is_right(self) -> bool:
        """Whether the prediction is the true category."""
        return self.true == self.predicted


@dataclass(frozen=True)
class Examples:
    """Test cards of the first split that are shown."""

    confused: Sequence[Sequence[Example]]  # for each of the worst confusions
    queue: Sequence[Example]  # the least confident first
    doubted: Sequence[Example]  # labels that confident answers contradict, the most confident first


@dataclass(frozen=True, eq=False)
class Report:
    """The content of the page of an index.

    Attributes
    ----------
    parts
        The parts of the index.
    evaluation
        The evaluation of its catalogue, by indexes of training parts.
    examples
        Cards of the first split with the cards nearest to them.
    precision
        The target precision.
    """

    parts: IndexParts
    evaluation: Evaluation
    examples: Examples
    precision: float

    @property
    def confusions(self) -> list[tuple[Confusion, Sequence[Example]]]:
        """The worst confusions with cards of each; there may be none in the first split."""
        return list(zip(self.evaluation.confusions, self.examples.confused, strict=True))

    @property
    def acceptance(self) -> Acceptance | None:
        """What ``predict`` of this index accepts at the precision; None if that is nothing."""
        calibration = self.parts.calibration
        return calibration.precision.accept_at(self.precision) if calibration else None

    @property
    def curve(self) -> RiskCoverage:
        """Share of wrong answers by the share of answers kept, over all splits."""
        return self.evaluation.confidence[-1].curve


def report(
    index: ProductIndex,
    *,
    split: Split | None = None,
    by: str = "group",
    test: float = 0.25,
    repeat: int = 1,
    seed: int = 0,
    baselines: bool = True,
    precision: float = 0.95,
    allow_trained_on: bool = False,
) -> Report:
    """Evaluate an index by its own catalogue.

    The weights of the index have seen all of its cards. So the cards are split, and encoders,
    projection, weights and calibration are fitted anew on each training part, with the encoders
    and the objective of the index. Embeddings are taken from the cache where it has them.

    Parameters
    ----------
    index
        The index whose catalogue is split.
    split, by, test, repeat, seed, baselines, allow_trained_on
        As for :func:`~prodcat_index.evaluation.evaluate.evaluate`.
    precision
        Target precision of accepted answers, above 0 and below 1.

    Returns
    -------
    Report
        The scores, with examples of mistakes and of the least confident answers.

    Raises
    ------
    QueryError
        If the precision is no share, or there are too few cards to tune on.
    CatalogueError
        If the cards cannot be split, or not so, or an encoder was trained on test cards.
    EncoderError
        If an encoder cannot be loaded.
    """
    check_share("precision", precision)
    parts = index.parts
    # A modality may have several encoders, each a block.
    specs: dict[str, list[str]] = {}
    for block in parts.encoder_blocks:
        if block.kind != "vector":
            specs.setdefault(block.modality, []).append(block.slot.spec)
    evaluation = evaluate(
        index.catalogue,
        split=split,
        by=by,
        test=test,
        repeat=repeat,
        seed=seed,
        encoders=specs,
        projection="lda" if parts.learned else "none",
        baselines=baselines,
        objective=parts.tuning.objective if parts.tuning else "weighted-f1",
        precision=precision,
        allow_trained_on=allow_trained_on,
    )
    return Report(parts, evaluation, find_examples(evaluation), precision)


def find_examples(evaluation: Evaluation) -> Examples:
    """Choose test cards of the first split and find the training cards nearest to them."""
    kind = evaluation.confidence[-1].kind
    cards = evaluation.cards[evaluation.cards["split"] == FIRST_SPLIT]
    cards = cards.assign(sure=cards[kind].fillna(0.0)).sort_values("sure", kind="stable")
    # Of a confusion the most confident mistakes, which tell most.
    confused = [
        cards[(cards["true"] == c.true) & (cards["predicted"] == c.predicted)][::-1][:OF_CONFUSION]
        for c in evaluation.confusions
    ]
    is_doubted = (cards["true"] != cards["predicted"]) & (cards["sure"] >= CONTRADICTS)
    lists = (*confused, cards[:OF_QUEUE], cards[is_doubted][::-1][:OF_QUEUE])
    shown = [some.to_dict(orient="records") for some in lists]
    # A card without an answer has nothing to search by, so it has no neighbour.
    answered = {card["id"] for some in shown for card in some if card["predicted"]}
    nearest = _search_training_part(evaluation, answered) if answered else {}
    catalogue = evaluation.catalogue
    columns = zip(catalogue.ids, catalogue.values("title"), catalogue.values(IMAGE), strict=True)
    own = {id: (id, title, image) for id, title, image in columns}

    def make(card: Mapping[Any, Any]) -> Example:
        ranked = zip(card["top5"], card["top5_shares"], strict=True)
        return Example(
            *own[card["id"]],
            true=card["true"],
            predicted=card["predicted"],
            confidence=card["sure"],
            alternatives=[(name, share) for name, share in ranked if share >= LEAST_SHARE],
            neighbours=nearest.get(card["id"], ()),
        )

    *confusions, queue, doubted = ([make(card) for card in some] for some in shown)
    return Examples(confusions, queue, doubted)


def _search_training_part(evaluation: Evaluation, ids: set[str]) -> dict[str, Sequence[Neighbour]]:
    """Find the neighbours of test cards in an index of the first training part."""
    settings, catalogue = evaluation.settings, evaluation.catalogue
    index = ProductIndex.build(
        evaluation.splits[0].select(catalogue, "train"),
        encoders=settings["encoders"],
        preset=settings["preset"],
        projection=settings["projection"],
    )
    listings = catalogue.select([row for row, card in enumerate(catalogue.ids) if card in ids])
    weights = evaluation.tuned.settings[0]["weights"]
    predictions = index.predict(listings, k=NEAREST, weights=weights)
    return {prediction.id: prediction.neighbours for prediction in predictions}


def write_report(report: Report, file: str | Path, *, command: str = "") -> Path:
    """Write a report into an HTML file with all pictures inside.

    The page bears the date of today, or of ``SOURCE_DATE_EPOCH`` where that is set.

    Parameters
    ----------
    report
        The report to write.
    file
        The file; an existing file is replaced, a missing folder is created.
    command
        The command that made the page, for its foot.

    Returns
    -------
    pathlib.Path
        The file.

    Raises
    ------
    ProdcatError
        If the file cannot be written.
    """
    evaluation, parts = report.evaluation, report.parts
    drawn = {
        "f1": figures.draw_f1(evaluation.rows),
        "reliability": figures.draw_reliability(evaluation.confidence),
        "risk": figures.draw_risk(report.curve, report.precision, evaluation.acceptance),
        "buckets": figures.draw_buckets(evaluation.buckets),
    }
    if parts.tuning:
        drawn["tuning"] = draw_tuning(parts.tuning, parts.block_names)
    problems = problems_of_index(parts, evaluation)
    tables = {
        "first": tabulate_problems(problems, "gain at most"),
        "made": tabulate_settings(report),
        **figures.tabulate_evaluation(evaluation),
    }
    missing = {"tree"} - set(tables) | {"tuning"} - set(drawn)
    missing |= {"doubted"} - {problem.what.place for problem in problems}
    content = page.render_page(
        "report.html",
        command,
        title=f"Report on {Path(evaluation.catalogue.source).name}",
        contents={id: heading for id, heading in CONTENTS.items() if id not in missing},
        found=report,
        evaluation=evaluation,
        drawn=drawn,
        tables=tables,
        has_pictures=any(parts.catalogue.values(IMAGE)),
        describe_lead=_describe_lead,
    )
    page.write_file(Path(file), content)
    return Path(file)


def tabulate_settings(report: Report) -> page.Table:
    """Make the table of what was evaluated, and how."""
    evaluation, settings = report.evaluation, report.evaluation.settings
    parts, tuned = report.parts, evaluation.tuned.settings[0]
    weights = ", ".join(f"{name} {page.write_figure(w)}" for name, w in tuned["weights"].items())
    vote = VoteParameters(**{name: tuned[name] for name in vars(VoteParameters())})
    labelled = page.write_figure(parts.labels.labelled.sum())
    size = (
        f"{page.write_counted(len(parts.catalogue), 'cards')}, {labelled} of them in "
        f"{page.write_counted(len(parts.labels.names), 'categories')}"
    )
    unreachable = evaluation.tuned.mean("unreachable_share") or 0.0
    rows = {
        "catalogue": f"{evaluation.catalogue.source} ({size})",
        "split": settings["splits"][0],
        "number of splits": str(len(evaluation.splits)),
        "training cards": _write_mean([count["train"] for count in evaluation.counts]),
        "test cards": _write_mean([count["test"] for count in evaluation.counts]),
        "test cards of categories that training does not have": page.write_percent(unreachable),
        "seed": str(settings["seed"]),
        "tuned for": settings["objective"],
        "found by tuning, first split": f"weights {weights}; {vote.describe()}",
        **{f"encoder of {block.name}": block.slot.spec for block in parts.blocks},
        "projection learned from labels": settings["projection"],
        "versions": ", ".join(f"{name} {number}" for name, number in package_versions().items()),
    }
    return page.Table("Settings of the evaluation", ("setting", "value"), list(rows.items()))


def _write_mean(counts: list[int]) -> str:
    return page.write_figure(mean(counts)) + (" on average" if len(set(counts)) > 1 else "")


def _describe_lead(row: Row, evaluation: Evaluation) -> str:
    """Describe the lead of a row over the tuned one; empty for that row itself."""
    if row.lead is None:
        return ""
    lead = row.weighted_f1 - evaluation.tuned.weighted_f1
    within = f"({row.lead.low:+.3f} to {row.lead.high:+.3f})".replace("-", "−")
    if row.lead.low == row.lead.high == 0:
        return "tie: the same score on every draw"
    if row.verdict == "tie":
        return f"tie: {lead:+.3f} lies inside the noise ".replace("-", "−") + within
    return f"{row.verdict} by {abs(lead):.3f} {within}"
