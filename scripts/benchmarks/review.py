"""Planted wrong labels corrected by a person who follows the audit, beside cards at random."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer

from prodcat_index.cards.card import IMAGE, Catalogue
from scripts.benchmarks.answers import CARDS, read_pairs
from scripts.benchmarks.page import PAGE, PageOption, table, write_section

if TYPE_CHECKING:
    from prodcat_index.index.product_index import ProductIndex

SETS = ("ru_toys_ecopuzzles", "flipkart1050")
RATE = 0.1


@dataclass(frozen=True)
class Reviewed:
    """Weighted F1 on test cards, with true labels, of one run."""

    name: str
    seed: int
    cards: int
    test: int
    planted: int
    reviewed: int
    found: int  # planted ones among those reviewed by the audit
    found_at_random: int
    before: float
    after: float
    at_random: float
    all_true: float


def review(
    data: Annotated[Path, typer.Argument(help=f"Folder of folders that hold {CARDS}.")],
    seeds: Annotated[str, typer.Option(help="Seeds of the splits and of the planting.")] = "1",
    category: Annotated[
        list[str] | None, typer.Option(help="Column of categories, as NAME=COLUMN; else category.")
    ] = None,
    only: Annotated[list[str] | None, typer.Option(help="Name of a folder to take.")] = None,
    cards: Annotated[int, typer.Option(help="Cards of a catalogue, drawn at random.")] = 1500,
    page: PageOption = PAGE,
) -> None:
    """Plant wrong labels, review what the audit lists, and compare the answers."""
    columns = read_pairs(category)
    runs = [
        measure(data / name / CARDS, columns.get(name, "category"), seed, cards)
        for name in only or SETS
        for seed in map(int, seeds.split(","))
    ]
    given = "".join(f" --category {name}={column}" for name, column in columns.items())
    body = describe(runs, f"scripts/bench review DATA --seeds {seeds} --cards {cards}{given}")
    typer.echo(body)
    write_section(page, "Reviewing an audit", body)


def measure(file: Path, column: str, seed: int, most: int) -> Reviewed:
    """Review the first items of the audit, and as many cards at random, and score both."""
    from prodcat_index.audit.audit import audit_catalogue
    from prodcat_index.cards.catalogue import read_catalogue
    from prodcat_index.cards.splitting import split_catalogue
    from prodcat_index.index.product_index import ProductIndex

    rng = np.random.default_rng(seed)
    cards = read_catalogue(file, category_column=column).labelled()
    cards = replace(cards, cards=cards.cards.assign(**{IMAGE: ""}))
    if len(cards) > most:
        cards = cards.select(np.sort(rng.choice(len(cards), most, replace=False)))
    split = split_catalogue(cards, test=0.25, seed=seed)
    train, test = split.select(cards, "train"), split.select(cards, "test")
    true = dict(zip(train.ids, train.values("category"), strict=True))
    noisy = dict(true)
    names = sorted(set(true.values()))
    for card in rng.choice(train.ids, round(RATE * len(train)), replace=False).tolist():
        others = [name for name in names if name != true[card]]
        noisy[card] = others[rng.integers(len(others))]
    index = ProductIndex.build(train.relabelled([*noisy.values()], [""] * len(train)))
    planted = {card for card in true if noisy[card] != true[card]}
    # A person decides on as many cards as are wrong, and knows the right category.
    found = audit_catalogue(index, checks=["labels"]).to_frame()
    chosen = list(dict.fromkeys(found["id"]))[: len(planted)]
    decided = [true[card] if card in chosen else "" for card in found["id"]]
    alone = found.assign(item=range(1, len(found) + 1))
    reviewed = index.review(alone.assign(decision=decided), allow_new_categories=True).refit()
    drawn = rng.choice(train.ids, len(chosen), replace=False).tolist()
    return Reviewed(
        file.parent.name,
        seed,
        len(train),
        len(test),
        len(planted),
        len(chosen),
        len(planted & set(chosen)),
        len(planted & set(drawn)),
        before=score(index, test),
        after=score(reviewed, test),
        at_random=score(_relabelled(index, true, drawn), test),
        all_true=score(_relabelled(index, true, planted), test),
    )


def _relabelled(index: ProductIndex, true: dict[str, str], cards: Iterable[str]) -> ProductIndex:
    return index.relabel({card: true[card] for card in cards}).refit()


def score(index: ProductIndex, test: Catalogue) -> float:
    """Return the weighted F1 of the answers to test cards."""
    truths = dict(zip(test.ids, test.values("category"), strict=True))
    return float(index.score(index.predict(test), truths).weighted_f1)


def describe(runs: Sequence[Reviewed], called: str) -> str:
    """Write the table and what it shows."""
    header = ["", "train", "test", "planted, reviewed", "wrong among them", "before"]
    header += ["audit", "at random", "all corrected"]
    return (
        f"`{called}`, texts alone: of the cards (groups whole) a quarter is held out with true "
        f"labels, and {RATE:.0%} of the others get another label at random. A person who knows "
        "the truth decides on the cards that `audit` lists first by its check *labels*, as many "
        "as were planted at most, through its table and `relabel`; or on as many at random. Then "
        "the index is fitted again. Weighted F1 on the held-out cards; *wrong among them* counts "
        "the planted among the cards reviewed (audit / at random).\n\n"
        + table(header, [_row(run) for run in runs])
    )


def _row(run: Reviewed) -> list[str]:
    return [
        f"{run.name}, seed {run.seed}",
        f"{run.cards:,}",
        f"{run.test:,}",
        f"{run.planted}, {run.reviewed}",
        f"{run.found} / {run.found_at_random}",
        f"{run.before:.3f}",
        f"**{run.after:.3f}**"
        if run.after > max(run.before, run.at_random)
        else f"{run.after:.3f}",
        f"{run.at_random:.3f}",
        f"{run.all_true:.3f}",
    ]
