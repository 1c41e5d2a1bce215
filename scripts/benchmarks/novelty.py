"""Listings of new categories told from those of known ones, beside other scores, and grouped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean
from types import SimpleNamespace
from typing import Annotated, Any

import numpy as np
import typer

from prodcat_index.cards.card import Catalogue
from prodcat_index.types import BoolArray, Float32Array, Float64Array, Int64Array
from scripts.benchmarks.answers import CARDS, group_column, read_pairs
from scripts.benchmarks.measuring import in_own_process
from scripts.benchmarks.page import PAGE, PageOption, table, write_section

# One category in so many is left out whole; of the others, one card in so many is held out.
CATEGORIES, HELD_OUT = 5, 4
# Known listings that a threshold must keep.
RECALL = 0.95
# The k-th neighbour. The paper's 50 of 50,000 pictures are more than most categories have here.
KTH = 5
# Inverse penalty of the logistic regression, as in `prodcat evaluate`, and its steps.
PENALTY, STEPS = 100.0, 100
OURS = "P(known)"
SCORES = (OURS, "confidence", "softmax", "nearest", f"kNN, k = {KTH}", "ViM")


@dataclass(frozen=True)
class Told:
    """One split: how well each score tells known listings from new ones, and what was grouped."""

    auroc: dict[str, float]
    fpr: dict[str, float]
    known: int
    unseen: int
    false_alarms: float  # share of the known listings that are called new
    found: float  # share of the new ones
    groups: int  # of at least three cards
    purity: float
    rand: float  # adjusted, over all cards that are called new; known ones are a class each
    with_group: float  # share of the new categories that are most of a group


def novelty(
    data: Annotated[Path, typer.Argument(help=f"Folder of folders that hold {CARDS}.")],
    seeds: Annotated[str, typer.Option(help="Seeds of the splits.")] = "0,1,2",
    cards: Annotated[int, typer.Option(help="Cards of a catalogue that are taken.")] = 1500,
    category: Annotated[
        list[str] | None, typer.Option(help="Column of categories, as NAME=COLUMN; else category.")
    ] = None,
    only: Annotated[list[str] | None, typer.Option(help="Name of a folder to take.")] = None,
    further: Annotated[
        list[str] | None, typer.Option(help="Name of a folder that is not in the mean.")
    ] = None,
    page: PageOption = PAGE,
) -> None:
    """Leave a fifth of the categories out, and tell their listings from those of known ones."""
    columns, chosen = read_pairs(category), [int(seed) for seed in seeds.split(",")]
    found: dict[str, list[Told]] = {}
    for file in sorted(data.glob(f"*/{CARDS}")):
        name = file.parent.name
        if only and name not in (*only, *(further or ())):
            continue
        own = columns.get(name, "category")
        found[name] = [in_own_process(tell, file, own, seed, cards) for seed in chosen]
        for seed, told in zip(chosen, found[name], strict=True):
            typer.echo(f"{name}, seed {seed}: {asdict(told)}", err=True)
    if not found:
        raise typer.BadParameter(f"no folder in {data} holds a {CARDS}")
    given = [f" --category {name}={own}" for name, own in columns.items()]
    given += [f" --only {name}" for name in only or ()]
    given += [f" --further {name}" for name in further or ()]
    called = f"scripts/bench novelty DATA --seeds {seeds} --cards {cards}{''.join(given)}"
    body = describe(found, further or (), called, cards)
    typer.echo(body)
    write_section(page, "New categories", body)


def tell(file: Path, column: str, seed: int, cards: int) -> Told:
    """Build from a part of the known categories' cards, and score the other cards."""
    from sklearn.metrics import roc_auc_score

    from prodcat_index.audit.graph import answer_new
    from prodcat_index.index.product_index import ProductIndex

    train, test, is_known = split(file, column, seed, cards)
    index = ProductIndex.build(train)
    new = answer_new(index, test, _no_graph(index))
    decision = new.decision
    assert decision.known is not None and decision.of_none is not None, "it is calibrated"
    scores = {OURS: decision.known, "confidence": decision.confidence}
    scores |= {
        "nearest": np.nan_to_num(new.similarities[:, 0].astype(np.float64), nan=-1.0),
        **baselines(index, new.queries.vectors),
    }
    groups, purity, rand, with_group = judge_groups(index, new, is_known)
    return Told(
        {name: float(roc_auc_score(is_known, scores[name])) for name in SCORES},
        {name: false_positives(scores[name], is_known) for name in SCORES},
        int(is_known.sum()),
        int((~is_known).sum()),
        float(decision.of_none[is_known].mean()),
        float(decision.of_none[~is_known].mean()),
        groups,
        purity,
        rand,
        with_group,
    )


def _no_graph(index: Any) -> Any:
    """Stand in for a graph: new listings are compared with the index, whatever its own edges."""
    return SimpleNamespace(parts=index.parts, neighbours=np.zeros((len(index), 1)))


def split(file: Path, column: str, seed: int, cards: int) -> tuple[Catalogue, Catalogue, BoolArray]:
    """Return training cards, the others, and which of these are of a known category."""
    from prodcat_index.cards.catalogue import read_catalogue
    from prodcat_index.cards.duplicates import find_groups

    whole = read_catalogue(file, category_column=column, group_column=group_column(file)).labelled()
    rng = np.random.default_rng(seed)
    # Whole categories: of a few cards of each, most would be of categories of one card.
    _, codes, sizes = np.unique(
        np.array(whole.values("category"), dtype=str), return_inverse=True, return_counts=True
    )
    order = rng.permutation(len(sizes))
    enough = order[: 1 + int(np.searchsorted(np.cumsum(sizes[order]), cards))]
    whole = whole.select(np.flatnonzero(np.isin(codes, enough)).tolist())
    groups, labels = find_groups(whole).codes, np.array(whole.values("category"), dtype=object)
    names = sorted(set(labels.tolist()))
    hidden = rng.choice(len(names), max(1, round(len(names) / CATEGORIES)), replace=False)
    is_hidden = np.isin(labels, [names[place] for place in hidden])
    unique = np.unique(groups)
    held_out = np.isin(groups, rng.choice(unique, len(unique) // HELD_OUT, replace=False))
    train = np.flatnonzero(~is_hidden & ~held_out)
    known = ~is_hidden & held_out & np.isin(labels, labels[train])
    # What has a variant in the index is not new to it.
    unseen = is_hidden & ~np.isin(groups, groups[train])
    asked = np.flatnonzero(known | unseen)
    return whole.select(train.tolist()), whole.select(asked.tolist()), known[asked]


def false_positives(scores: Float64Array, is_known: BoolArray) -> float:
    """Return the share of new listings above the threshold that keeps 95 % of the known ones."""
    threshold = np.quantile(scores[is_known], 1 - RECALL)
    return float((scores[~is_known] >= threshold).mean())


def baselines(index: Any, queries: Sequence[Float32Array]) -> dict[str, Float64Array]:
    """Score queries by what looks at the encoders' blocks side by side alone."""
    from scipy.special import logsumexp
    from sklearn.linear_model import LogisticRegression

    parts = index.parts
    blocks = parts.encoder_blocks
    train = np.concatenate([b.vectors for b in blocks], axis=1, dtype=np.float32)
    test = np.concatenate(queries[: len(blocks)], axis=1)
    model = LogisticRegression(C=PENALTY, max_iter=STEPS).fit(train, parts.labels.codes)
    cosines = np.sort(_unit(test) @ _unit(train).T, axis=1)
    logits, usual = model.decision_function(test), model.decision_function(train)
    if logits.ndim == 1:
        logits, usual = (np.stack([-each, each], axis=1) / 2 for each in (logits, usual))
    # Virtual logit matching (H. Wang and others, 2022): what lies outside the main directions.
    origin = -np.linalg.pinv(model.coef_) @ model.intercept_
    moved = train - origin
    values, directions = np.linalg.eigh(moved.T @ moved / len(moved))
    kept = 512 if len(values) >= 1024 else len(values) // 2
    rest = directions[:, np.argsort(-values)[kept:]]
    scale = usual.max(axis=1).mean() / np.linalg.norm(moved @ rest, axis=1).mean()
    virtual = scale * np.linalg.norm((test - origin) @ rest, axis=1)
    return {
        "softmax": model.predict_proba(test).max(axis=1),
        f"kNN, k = {KTH}": cosines[:, -KTH],
        "ViM": logsumexp(logits, axis=1) - virtual,
    }


def _unit(rows: Float32Array) -> Float32Array:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.divide(rows, lengths, out=np.zeros_like(rows), where=lengths > 0)


def judge_groups(index: Any, new: Any, is_known: BoolArray) -> tuple[int, float, float, float]:
    """Compare the groups of the check with the true categories of what it calls new."""
    from sklearn.metrics import adjusted_rand_score

    from prodcat_index.audit.new_categories import NewCategories, group_cards

    rows = np.flatnonzero(new.decision.of_none)
    # Listings of known categories belong to no group.
    labels = np.array(new.catalogue.values("category"), dtype=object)
    labels[is_known] = [f"known {n}" for n in range(int(is_known.sum()))]
    _, codes = np.unique(labels.astype(str), return_inverse=True)
    groups: Int64Array = group_cards(index.parts, new, rows)
    large = [rows[groups == group] for group in np.unique(groups)]
    large = [own for own in large if len(own) >= NewCategories.least_cards]
    most = [np.bincount(codes[own]) for own in large]
    leading = {int(counts.argmax()) for counts in most} & set(codes[~is_known].tolist())
    cards = sum(map(len, large))
    return (
        len(large),
        sum(int(counts.max()) for counts in most) / cards if cards else 0.0,
        float(adjusted_rand_score(codes[rows], groups)) if len(rows) else 0.0,
        len(leading) / max(1, len(set(codes[~is_known].tolist()))),
    )


def describe(
    found: Mapping[str, Sequence[Told]], further: Sequence[str], called: str, cards: int
) -> str:
    """Write the tables and what they show."""
    counted = [name for name in found if name not in further]
    tables = []
    for measure in ("auroc", "fpr"):
        rows = [
            [name, *(_write([getattr(run, measure)[score] for run in runs]) for score in SCORES)]
            for name, runs in found.items()
        ]
        seeds = range(min(map(len, found.values())))
        means = [
            _write(
                [mean(getattr(found[n][seed], measure)[score] for n in counted) for seed in seeds]
            )
            for score in SCORES
        ]
        rows.append([f"**mean of {len(counted)}**", *(f"**{value}**" for value in means)])
        tables.append(table(["", *SCORES], rows))
    return (
        f"`{called}`: about {cards:,} cards of each catalogue, whole categories drawn by seed; one "
        f"in {CATEGORIES} is left out whole, and a quarter of the other groups is held out. "
        "An index of the rest scores the listings held out (known) and those of the categories "
        "left out (new), but for those with a variant in the index. Means over the seeds, lowest "
        f"and highest in brackets. *{OURS}*: the evidence that decides what is `new`; "
        "*confidence*: the calibrated maximum probability of `predict`; *softmax*: maximum "
        "probability by logistic regression on the encoders' blocks side by side, which the last "
        "two read as well; *nearest*: similarity of the nearest card; *kNN*: cosine of the k-th "
        "neighbour of unit rows (Sun 2022); *ViM*: virtual logit matching (Wang 2022).\n\n"
        f"AUROC, known against new:\n\n{tables[0]}\n\n"
        f"FPR95, the share of new listings at or above the 5 % quantile of the known ones' "
        f"scores, lower is better:\n\n{tables[1]}\n\n"
        "What the stored threshold calls new, for at most 5 % of the known listings, and the "
        "groups of at least three that the check `novelty` makes of it. *Purity*: share of the "
        "cards in groups that are of their group's most frequent new category, known ones never "
        "being right; *Rand*: adjusted Rand index over all that is called new; *with a group*: "
        "new categories that are the most frequent one of a group.\n\n"
        + table(
            ["", "known", "new", "called new", "found", "groups", "purity", "Rand", "with a group"],
            [_grouped(name, runs) for name, runs in found.items()],
        )
    )


def _grouped(name: str, runs: Sequence[Told]) -> list[str]:
    return [
        name,
        f"{mean(run.known for run in runs):.0f}",
        f"{mean(run.unseen for run in runs):.0f}",
        f"{mean(run.false_alarms for run in runs):.1%}",
        f"{mean(run.found for run in runs):.1%}",
        f"{mean(run.groups for run in runs):.0f}",
        f"{mean(run.purity for run in runs):.2f}",
        f"{mean(run.rand for run in runs):.2f}",
        f"{mean(run.with_group for run in runs):.0%}",
    ]


def _write(values: Sequence[float]) -> str:
    return f"{mean(values):.3f} ({min(values):.2f} to {max(values):.2f})"
