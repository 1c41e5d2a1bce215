"""Planted wrong labels found by an audit, beside cleanlab given the same probabilities."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer

from prodcat_index.audit.graph import AuditGraph, build_graph
from prodcat_index.audit.label_errors import LabelErrors
from prodcat_index.cards.card import Catalogue
from prodcat_index.types import CATEGORY_SEPARATOR, BoolArray, Float64Array, Int64Array
from scripts.benchmarks.answers import CARDS, read_pairs
from scripts.benchmarks.page import PAGE, PageOption, table, write_section

if TYPE_CHECKING:
    from prodcat_index.index.product_index import ProductIndex

SETS = ("santechtula", "ru_toys_ecopuzzles", "flipkart1050", "es_mercadona", "mwpd2020")
DEMO = "demo"
KINDS = ("random", "sibling")
FIRST, RESAMPLED, NEAREST = 100, 500, 10
OURS, GIVEN, GRAPH = "audit", "cleanlab", "cleanlab, kNN"


@dataclass(frozen=True)
class Found:
    """How well one method ranks the planted errors."""

    method: str
    precision: float  # average
    low: float
    high: float
    first: float  # precision at 100
    missed: float  # share of the planted that is not among as many worst


@dataclass(frozen=True)
class Planted:
    """One run."""

    name: str
    cards: int
    categories: int
    kind: str
    rate: float
    seed: int
    found: Mapping[str, Found]
    planted: int
    flagged: int
    hits: int
    proposed: int  # hits whose proposal is the true category


def labels(
    data: Annotated[Path, typer.Argument(help=f"Folder of folders that hold {CARDS}.")],
    seeds: Annotated[str, typer.Option(help="Seeds of the planting.")] = "1",
    category: Annotated[
        list[str] | None, typer.Option(help="Column of categories, as NAME=COLUMN; else category.")
    ] = None,
    only: Annotated[list[str] | None, typer.Option(help="Name of a folder to take.")] = None,
    cards: Annotated[int, typer.Option(help="Cards of a catalogue, drawn at random.")] = 4000,
    kinds: Annotated[str, typer.Option(help="Where wrong labels come from.")] = ",".join(KINDS),
    rates: Annotated[str, typer.Option(help="Shares of wrong labels.")] = "0.05,0.1",
    cache: Annotated[Path | None, typer.Option(help="File of finished runs.")] = None,
    page: PageOption = PAGE,
) -> None:
    """Plant wrong labels, find them, and compare with cleanlab."""
    columns, runs = read_pairs(category), []
    for name in only or (*SETS, DEMO):
        for seed in map(int, seeds.split(",")):
            for kind in kinds.split(",") if name != DEMO else ("its own",):
                for rate in map(float, rates.split(",")) if name != DEMO else (0.015,):
                    key = json.dumps([name, kind, rate, seed, cards])
                    run = _cached(cache, key)
                    if run is None:
                        start = time.perf_counter()
                        column = columns.get(name, "category")
                        run = measure(data / name / CARDS, column, kind, rate, seed, cards)
                        typer.echo(f"{key}: {time.perf_counter() - start:.0f} s", err=True)
                        if cache:
                            with cache.open("a", encoding="utf-8") as file:
                                file.write(f"{json.dumps([key, asdict(run)])}\n")
                    runs.append(run)
    given = "".join(f" --category {name}={column}" for name, column in columns.items())
    given += "".join(f" --only {name}" for name in only or ())
    called = f"scripts/bench labels DATA --seeds {seeds} --cards {cards} --rates {rates}{given}"
    called += f" --kinds {kinds}" if kinds != ",".join(KINDS) else ""
    body = describe(runs, called)
    typer.echo(body)
    write_section(page, "Wrong labels", body)


def _cached(cache: Path | None, key: str) -> Planted | None:
    lines = cache.read_text(encoding="utf-8").splitlines() if cache and cache.is_file() else []
    for known, run in map(json.loads, lines):
        if known == key:
            found = {name: Found(**each) for name, each in run.pop("found").items()}
            return Planted(**run, found=found)
    return None


def measure(file: Path, column: str, kind: str, rate: float, seed: int, most: int) -> Planted:
    """Plant errors into a catalogue, build an index of it, and rank its cards by each method."""
    name = file.parent.name
    with tempfile.TemporaryDirectory() as place:
        cards, true = (
            _read_demo(Path(place), seed)
            if name == DEMO
            else _planted(file, column, kind, rate, seed, most)
        )
        graph = build_graph(_build(cards))
        result = LabelErrors().run(graph)
    own = np.array(cards.values("category"), dtype=object)
    checked = np.isfinite(result.scores)
    wrong = (own != true)[checked]
    codes = graph.parts.labels.codes[checked]
    scores = {OURS: result.scores[checked]}
    scores[GIVEN], method = best_of_cleanlab(codes, _dense(graph)[checked], wrong)
    scores[GRAPH], other = best_of_cleanlab(codes, neighbour_shares(graph)[checked], wrong)
    methods = {OURS: "", GIVEN: method, GRAPH: other}
    proposal = {card: item.proposal for item in result.items for card in item.cards}
    hits = result.flagged & (own != true)
    right = [proposal[graph.ids[row]] == true[row] for row in np.flatnonzero(hits).tolist()]
    return Planted(
        name,
        len(cards),
        len(graph.parts.labels.names),
        kind,
        rate,
        seed,
        {each: judge(methods[each], values, wrong) for each, values in scores.items()},
        planted=int(wrong.sum()),
        flagged=int(result.flagged.sum()),
        hits=int(hits.sum()),
        proposed=sum(right),
    )


def _build(cards: Catalogue) -> ProductIndex:
    """Build an index without its calibration, which takes half of the time and ranks no card."""
    from prodcat_index.encoders.registry import DEFAULT_PRESET
    from prodcat_index.index.build import build_parts
    from prodcat_index.index.product_index import ProductIndex

    return ProductIndex(build_parts(cards, {}, DEFAULT_PRESET, None, "lda")[0])


def _planted(
    file: Path, column: str, kind: str, rate: float, seed: int, most: int
) -> tuple[Catalogue, Int64Array]:
    from prodcat_index.cards.catalogue import read_catalogue

    cards = read_catalogue(file, category_column=column).labelled()
    if len(cards) > most:
        rows = np.random.default_rng(seed).choice(len(cards), most, replace=False)
        cards = cards.select(np.sort(rows))
    true = np.array(cards.values("category"), dtype=object)
    noisy = plant(true, kind, rate, seed)
    return cards.relabelled(noisy.tolist(), [""] * len(cards)), true


def plant(true: Int64Array, kind: str, rate: float, seed: int) -> Int64Array:
    """Give a share of the cards another category: any, or one below the same parent."""
    rng = np.random.default_rng(seed)
    names = sorted(set(true))
    above = {name: name.rpartition(CATEGORY_SEPARATOR)[0] for name in names}
    near = {
        name: [each for each in names if each != name and above[each] == above[name]]
        for name in names
    }
    possible = [row for row, name in enumerate(true) if kind == "random" or near[name]]
    wrong = rng.choice(possible, min(len(possible), round(rate * len(true))), replace=False)
    noisy = true.copy()
    for row in wrong:
        others = near[true[row]] if kind == "sibling" else [n for n in names if n != true[row]]
        noisy[row] = others[rng.integers(len(others))]
    return noisy


def _read_demo(folder: Path, seed: int) -> tuple[Catalogue, Int64Array]:
    from prodcat_index.cards.catalogue import read_catalogue
    from prodcat_index.demo.shop import make_demo_catalogue

    make_demo_catalogue(folder, seed=seed)
    cards = read_catalogue(folder / "catalogue.csv")
    wrong = json.loads((folder / "truth.json").read_text(encoding="utf-8"))["wrong_labels"]
    true = np.array(cards.values("category"), dtype=object)
    rows = {card: row for row, card in enumerate(cards.ids)}
    for card, category in wrong.items():
        true[rows[card]] = category
    return cards, true


def _dense(graph: AuditGraph) -> Float64Array:
    """Return the probabilities of all categories; the others share what the likeliest leave."""
    labels = graph.parts.labels
    dense = np.zeros((len(graph.ids), len(labels.names)))
    rows = np.arange(len(dense))
    for codes, logarithms in zip(graph.likely.T, graph.log_likely.T, strict=True):
        dense[rows, codes] = np.exp(logarithms)
    dense[rows, labels.codes] = np.exp(graph.own_log_likely)
    rest = np.maximum(0.0, 1 - dense.sum(axis=1)) / np.maximum(1, (dense == 0).sum(axis=1))
    dense = np.where(dense == 0, rest[:, None], dense)
    return dense / dense.sum(axis=1, keepdims=True)


def neighbour_shares(graph: AuditGraph) -> Float64Array:
    """Return each category's share of the nearest cards, as cleanlab makes them from features."""
    codes = graph.parts.labels.codes
    shares = np.zeros((len(codes), len(graph.parts.labels.names)))
    near = graph.neighbours[:, :NEAREST]
    there = (near >= 0) & (codes[near] >= 0)
    rows = np.broadcast_to(np.arange(len(codes))[:, None], near.shape)
    np.add.at(shares, (rows[there], codes[near[there]]), 1 / near.shape[1])
    return shares


def best_of_cleanlab(
    codes: Int64Array, probabilities: Float64Array, wrong: BoolArray
) -> tuple[Float64Array, str]:
    """Return the scores of the method with the best average precision, the errors being known."""
    from cleanlab.rank import get_label_quality_scores
    from sklearn.metrics import average_precision_score

    ranked = {}
    for method in ("self_confidence", "normalized_margin", "confidence_weighted_entropy"):
        for adjusted in (False, True):
            if adjusted and method == "confidence_weighted_entropy":
                continue
            scores = get_label_quality_scores(
                codes, probabilities, method=method, adjust_pred_probs=adjusted
            )
            ranked[method + ", adjusted" * adjusted] = np.nan_to_num(scores)
    best = max(ranked, key=lambda name: average_precision_score(wrong, -ranked[name]))
    return ranked[best], best


def judge(method: str, scores: Float64Array, wrong: BoolArray) -> Found:
    from sklearn.metrics import average_precision_score

    rng = np.random.default_rng(0)
    order, worst = np.argsort(scores, kind="stable"), int(wrong.sum())
    drawn = (rng.integers(len(wrong), size=len(wrong)) for _ in range(RESAMPLED))
    values = [average_precision_score(wrong[rows], -scores[rows]) for rows in drawn]
    low, high = np.quantile(values, (0.025, 0.975))
    return Found(
        method,
        float(average_precision_score(wrong, -scores)),
        float(low),
        float(high),
        float(wrong[order[:FIRST]].mean()),
        1 - float(wrong[order[:worst]].mean()),
    )


def describe(runs: Sequence[Planted], called: str) -> str:
    """Write the table and what it shows."""
    header = ["", "cards", "categories", "planted", *(f"AP {m}" for m in (OURS, GIVEN, GRAPH))]
    header += ["P@100", "missed", "flagged", "precision / recall", "right proposals"]
    best = sorted({run.found[GIVEN].method for run in runs})
    return (
        f"`{called}`: a share of the labels is drawn anew, from all other categories (random) or "
        "from those below the same parent (sibling); *demo* has its own 1.5 %. The index is built "
        "on the wrong labels, without a calibration, which ranks nothing. *AP*: average "
        "precision of the ranking by score, with the interval "
        f"of {RESAMPLED} bootstrap samples of cards. *cleanlab* gets the audit's out-of-fold "
        "probabilities, *cleanlab, kNN* the shares of the 10 nearest cards, as its `Datalab` makes "
        "them from features; for each the best of its scores by AP is taken with the errors known "
        f"(here {', '.join(best)}). *P@100*: precision among the 100 worst; *missed*: share of "
        "the planted that is not among as many worst (audit / cleanlab / cleanlab, kNN). "
        "*Flagged*: cards that the audit flags, over those planted; *precision / recall*: of this "
        "list; real errors of a catalogue are flagged, too, and count as wrong "
        f"here.\n\n{table(header, [_row(run) for run in runs])}"
    )


def _row(run: Planted) -> list[str]:
    found = [run.found[method] for method in (OURS, GIVEN, GRAPH)]
    lead = found[0].precision >= max(each.precision for each in found)
    shown = [f"{each.precision:.3f} ({each.low:.2f}–{each.high:.2f})" for each in found]
    shown[0] = f"**{shown[0]}**" if lead else shown[0]
    return [
        f"{run.name}, {run.kind} {run.rate:.1%}, seed {run.seed}",
        f"{run.cards:,}",
        f"{run.categories:,}",
        f"{run.planted:,}",
        *shown,
        " / ".join(f"{each.first:.2f}" for each in found),
        " / ".join(f"{each.missed:.2f}" for each in found),
        f"{run.flagged / run.planted:.2f} x",
        f"{run.hits / max(1, run.flagged):.2f} / {run.hits / run.planted:.2f}",
        f"{run.proposed / max(1, run.hits):.0%}",
    ]
