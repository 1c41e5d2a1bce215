"""How well a delivery that differs is told from one that does not, and what is expected of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean
from typing import Annotated, Any

import numpy as np
import typer

from prodcat_index.audit.delivery_drift import DeliveryDrift
from prodcat_index.audit.graph import AuditGraph, NewCards, answer_new, build_graph
from prodcat_index.cards.card import Catalogue
from prodcat_index.index import familiarity
from prodcat_index.types import Float64Array, Int64Array
from prodcat_index.voting.label_shift import LabelShift, estimate_for, reweigh
from prodcat_index.voting.metrics import score_confidence, weighted_f1
from scripts.benchmarks.answers import CARDS, group_column, read_pairs
from scripts.benchmarks.page import PAGE, PageOption, table, write_section

# Share of the groups that are the delivery, and part of it in each draw without a shift.
DELIVERED, PART = 0.4, 0.6
DRAWS = 5
# Laws that the shares of the categories are drawn from, to resample a delivery.
LAWS = ("none", "Dirichlet(1)", "Dirichlet(0.2)", "Zipf")
SHIFTS = 8
# Probability that a word of a title is left out.
LEFT_OUT = 1 / 3
HEADER = ["", "delivery", "AUC", "said to differ", "in categories", "accuracy", "expected"]
HEADER += ["error", "inside"]
HALF = 0.5  # of the categories


@dataclass(frozen=True)
class Measured:
    """Figures of one catalogue, over all seeds."""

    name: str
    cards: int
    alarms: list[bool]  # whether a delivery without any drift was said to differ
    found: Mapping[str, list[Mapping[str, Any]]]  # kind of delivery -> what the check said
    shifts: Mapping[str, list[Float64Array]]  # law -> figures of each draw


def drift(
    data: Annotated[Path, typer.Argument(help=f"Folder of folders that hold {CARDS}.")],
    seeds: Annotated[str, typer.Option(help="Seeds of the splits.")] = "0",
    category: Annotated[
        list[str] | None, typer.Option(help="Column of categories, as NAME=COLUMN; else category.")
    ] = None,
    only: Annotated[list[str] | None, typer.Option(help="Name of a folder to take.")] = None,
    cards: Annotated[int, typer.Option(help="Cards of each catalogue, at most.")] = 1000,
    page: PageOption = PAGE,
) -> None:
    """Audit deliveries with and without drift, and adjust answers to shifted categories."""
    columns, chosen = read_pairs(category), [int(seed) for seed in seeds.split(",")]
    folders = [file.parent for file in sorted(data.glob(f"*/{CARDS}"))]
    measured = [
        measure(folder, columns.get(folder.name, "category"), chosen, cards)
        for folder in folders
        if not only or folder.name in only
    ]
    given = [f" --category {name}={column}" for name, column in columns.items()]
    given += [f" --only {each.name}" for each in measured if only]
    body = describe(measured, f"scripts/bench drift DATA --seeds {seeds}{''.join(given)}", cards)
    typer.echo(body)
    write_section(page, "Drift", body)


def measure(folder: Path, column: str, seeds: Sequence[int], limit: int) -> Measured:
    from sklearn.model_selection import GroupShuffleSplit

    from prodcat_index.cards.catalogue import read_catalogue
    from prodcat_index.cards.duplicates import find_groups
    from prodcat_index.index.product_index import ProductIndex

    file = folder / CARDS
    whole = read_catalogue(file, category_column=column, group_column=group_column(file)).labelled()
    alarms: list[bool] = []
    found: dict[str, list[Mapping[str, Any]]] = {}
    shifts: dict[str, list[Float64Array]] = {law: [] for law in LAWS}
    size = 0
    for seed in seeds:
        rng = np.random.default_rng(seed)
        groups = find_groups(whole).codes
        order = np.argsort(rng.permutation(int(groups.max()) + 1)[groups], kind="stable")
        cards = whole.select(np.sort(order[:limit]).tolist())
        groups, size = groups[np.sort(order[:limit])], len(cards)
        split = GroupShuffleSplit(1, test_size=DELIVERED, random_state=seed)
        kept, delivered = next(split.split(groups, groups=groups))
        graph = build_graph(ProductIndex.build(cards.select(kept.tolist())))
        if graph.parts.calibration is None:
            raise typer.BadParameter(
                f"{folder.name} has too few cards to calibrate a confidence; name others by --only"
            )
        delivery = cards.select(delivered.tolist())
        new = answer_new(graph.index, delivery, graph)
        for _ in range(DRAWS):
            part = rng.random(int(groups.max()) + 1)[groups[delivered]] < PART
            drawn = delivery.select(np.flatnonzero(part).tolist())
            checked = check(graph, answer_new(graph.index, drawn, graph))
            alarms.append(bool(checked["items"]))
            found.setdefault("as it is", []).append(checked)
        kinds = {"titles": with_shorter_titles(delivery, rng)}
        codes = new_codes(graph, delivery)
        some = np.isin(codes, np.flatnonzero(rng.random(len(graph.parts.labels.names)) < HALF))
        kinds["categories"] = delivery.select(np.flatnonzero(some).tolist())
        for kind, other in kinds.items():
            checked = check(graph, answer_new(graph.index, other, graph))
            found.setdefault(kind, []).append(checked)
        for law in LAWS:
            shifts[law] += [adjust(graph, new, rng, law) for _ in range(SHIFTS)]
        typer.echo(f"{folder.name}, seed {seed}: {sum(alarms)} of {len(alarms)} alarms", err=True)
    return Measured(folder.name, size, alarms, found, shifts)


def check(graph: AuditGraph, new: NewCards) -> Mapping[str, Any]:
    """Run the check, and compare the expected accuracy with the true one."""
    result = DeliveryDrift().run(graph, new)
    right = new.result.vote.categories[:, 0] == new_codes(graph, new.catalogue)
    details = result.details
    low, high = details["accuracy_interval"]
    auc = {
        row["modality"]: row["AUC"]
        for row in details["tables"]["How well the delivery is told apart"]
    }
    return {
        "items": len(result.items),
        "auc": auc,
        "moved": any("category" in item.kind for item in result.items),
        "expected": details["expected_accuracy"],
        "accuracy": float(right.mean()),
        "inside": low <= right.mean() <= high,
    }


def new_codes(graph: AuditGraph, cards: Catalogue) -> Int64Array:
    code = graph.parts.labels.code_of
    return np.array([code.get(name, -1) for name in cards.values("category")])


def with_shorter_titles(cards: Catalogue, rng: np.random.Generator) -> Catalogue:
    frame = cards.to_frame()
    frame["title"] = [
        " ".join(word for word in title.split() if rng.random() > LEFT_OUT) or title
        for title in frame["title"]
    ]
    return replace(cards, cards=frame)


def draw_rows(rng: np.random.Generator, codes: Int64Array, law: str) -> Int64Array:
    """Draw as many cards, by shares of the categories that follow a law."""
    count = len(codes)
    if law == "none":
        return rng.choice(count, count)
    present = np.unique(codes[codes >= 0])
    if law == "Zipf":
        shares = 1 / (1 + rng.permutation(len(present)))
    else:
        shares = rng.dirichlet(np.full(len(present), float(law[10:-1])))
    weights = np.zeros(len(codes))
    for code, share in zip(present, shares, strict=True):
        weights[codes == code] = (share + 1e-6) / np.sum(codes == code)
    return rng.choice(count, count, p=weights / weights.sum())


def adjust(graph: AuditGraph, new: NewCards, rng: np.random.Generator, law: str) -> Float64Array:
    """Return F1, ECE and distance to the true shares before adjusting, and the same after."""
    parts, vote = graph.parts, new.result.vote
    calibration = parts.calibration
    assert calibration is not None, "enough cards calibrate it"
    true = new_codes(graph, new.catalogue)
    rows = draw_rows(rng, true, law)
    some = type(vote)(vote.neighbour_shares[rows], vote.categories[rows], vote.shares[rows])
    shift = estimate_for(calibration, parts.labels.names, parts.labels.sizes, some)
    after = reweigh(some, shift.factors, calibration.model.sharpness)
    seen = familiarity.of_queries(
        parts, new.queries.vectors, new.queries.present, new.result.found, vote.categories[:, 0]
    )[rows]
    near, count = new.result.found.similarities[rows], len(parts.labels.names)
    told = np.where(true[rows] < 0, count, true[rows])
    truth = np.bincount(told, minlength=count + 1)[:count] / max(1, int(np.sum(told < count)))
    figures = []
    for votes, shares in ((some, shift.source), (after, shift.estimated)):
        confidence = calibration.model.confidence(
            calibration.model.probabilities(votes, near, seen)
        )
        right = votes.categories[:, 0] == true[rows]
        ece = score_confidence("calibrated", confidence, right).ece
        f1 = weighted_f1(told, votes.categories[:, 0], count + 1)
        figures += [f1, ece, LabelShift(truth, shares).distance]
    return np.array(figures)


def describe(measured: Sequence[Measured], called: str, cards: int) -> str:
    drawn = [alarm for each in measured for alarm in each.alarms]
    told, adjusted = [], []
    for each in measured:
        modalities = list(each.found["as it is"][0]["auc"])
        for kind, found in each.found.items():
            aucs = [f"{name} {mean(run['auc'][name] for run in found):.2f}" for name in modalities]
            error = mean(abs(run["expected"] - run["accuracy"]) for run in found)
            told.append(
                [
                    each.name,
                    kind,
                    ", ".join(aucs),
                    f"{sum(run['items'] > 0 for run in found)} of {len(found)}",
                    f"{sum(run['moved'] for run in found)} of {len(found)}",
                    f"{mean(run['accuracy'] for run in found):.3f}",
                    f"{mean(run['expected'] for run in found):.3f}",
                    f"{error:.3f}",
                    f"{sum(run['inside'] for run in found)} of {len(found)}",
                ]
            )
        for law, draws in each.shifts.items():
            figures = np.stack(draws)
            f1, ece, distance, f1_after, ece_after, distance_after = figures.mean(axis=0)
            worst = float((figures[:, 3] - figures[:, 0]).min())
            adjusted.append(
                [
                    each.name,
                    law,
                    f"{f1:.3f}",
                    f"{f1_after - f1:+.3f}",
                    f"{worst:+.3f}",
                    f"{distance:.2f} → {distance_after:.2f}",
                    f"{ece:.3f} → {ece_after:.3f}",
                ]
            )
    gains = {
        law: mean(float(np.mean([d[3] - d[0] for d in each.shifts[law]])) for each in measured)
        for law in LAWS
    }
    shifted = mean(gains[law] for law in LAWS[1:])
    return (
        f"`{called}`: at most {cards:,} cards of each catalogue, {1 - DELIVERED:.0%} of the groups "
        f"in the index and {DELIVERED:.0%} the delivery. *As it is*: {PART:.0%} of the delivery's "
        "groups, drawn at random; *titles*: a third of the words of every title left out; "
        "*categories*: the cards of half of the categories, drawn at random. AUC of 0.5: not told "
        f"apart. **False alarms: {sum(drawn)} of {len(drawn)} "
        "deliveries as they are.** The error is the mean distance of the expected accuracy from "
        "the true one, and *inside* how often that is in the 95 % interval.\n\n"
        + table(HEADER, told)
        + f"\n\n`predict --adjust-prior` on {SHIFTS} resamplings a split of the whole delivery, by "
        "shares of the categories that follow a law. *Distance*: total variation between the true "
        "shares and those of the index, and then the estimated ones. Mean gain of weighted F1: "
        f"{shifted:+.3f} where shifted, {gains['none']:+.3f} where not.\n\n"
        + table(["", "shares", "weighted F1", "gain", "worst draw", "distance", "ECE"], adjusted)
    )
