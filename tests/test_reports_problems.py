"""What to fix first: every problem has its own cards, and the one that costs most is on top."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import arena
import made
import pytest

from prodcat_index.evaluation.evaluate import evaluate
from prodcat_index.evaluation.result import Evaluation, score_confidences
from prodcat_index.index.product_index import ProductIndex
from prodcat_index.reports.explore import explore
from prodcat_index.reports.problems import (
    problems_of_catalogue,
    problems_of_index,
    tabulate_problems,
)
from prodcat_index.voting.breakdown import worst_confusions


def test_the_problems_of_a_catalogue_counted_by_hand(tmp_path: Path) -> None:
    """Whoever starts at the top would mend what costs least."""
    pictures = made.draw_pictures(tmp_path, 2)
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    images = [str(pictures[0]), str(pictures[1]), str(tmp_path / "broken.jpg")]
    rows = [made.row(f"big{n}", f"kettle no {n} xx{n}", category="A > Kettles") for n in range(9)]
    rows += [
        made.row(f"few{n}", f"blue lamp {n}", category="A > Lamps", image=images[n])
        for n in range(3)
    ]
    rows += [made.row("one", "only drill", category="A > Drills")]
    rows += [
        made.row("x1", "same pot", category="B > Pots"),
        made.row("x2", "same pot", category="A > Kettles"),
    ]
    rows += [made.row(f"pot{n}", f"pot of iron {n}", category="B > Pots") for n in range(6)]
    rows += [made.row(f"s{n}", f"steel pot {n}", category="B > pots.") for n in range(2)]
    rows += [made.row(f"u{n}", "") for n in range(4)]
    found = problems_of_catalogue(explore(made.catalogue(rows)))
    assert [(str(p.what), p.cards, p.what.place) for p in found if p.cards] == [
        ("categories of 2 to 5 cards", 5, "categories"),
        ("cards without a category", 4, "columns"),
        ("equal products in different categories", 2, "duplicates"),
        ("categories that differ in spelling only", 2, "labels"),
        ("categories of one card", 1, "categories"),
        ("cards without a picture", 24, "columns"),
        ("cards without a title", 4, "columns"),
        ("pictures that cannot be read", 1, "pictures"),
    ]
    assert found[0].part == pytest.approx(5 / len(rows))
    table = tabulate_problems(found, "share of all")
    assert [row[1] for row in table.rows] == [5, 4, 2, 2, 1, 24, 4, 1]


def test_a_catalogue_without_labels_is_not_told_to_label_all() -> None:
    found = problems_of_catalogue(explore(made.catalogue([made.row("1", "a"), made.row("2", "b")])))
    assert not [problem for problem in found if problem.cards]


@cache
def base() -> tuple[ProductIndex, Evaluation]:
    """Return an index and its evaluation on cards that are known by their ids.

    In training, A has 20 cards, B 20, S (small) 2, and N none. The test cards a0 to a29 are of A,
    b0 to b9 of B, s0 and s1 of S, n0 of N; a10 to a29 have no description, and n0 has no title.
    """
    sizes = {"A": (20, 30), "B": (20, 10), "S": (2, 2), "N": (0, 1)}
    rows, parts = [], []
    for place, (name, (train, test)) in enumerate(sizes.items()):
        for number in range(train + test):
            is_test = number >= train
            id = f"{name.lower()}{number - train}" if is_test else f"{name}{number}"
            text = arena.direction(90 * place + number)
            description = "" if name == "A" and number >= 30 else text
            title = "" if id == "n0" else text
            rows.append(made.row(id, title, description, category=f"Shop > {name}"))
            parts.append("test" if is_test else "train")
    catalogue = made.catalogue(rows)
    options: dict[str, Any] = {"encoders": arena.ENCODERS, "projection": "none"}
    split = arena.split_of(catalogue, parts)
    evaluation = evaluate(catalogue, split=split, baselines=False, **options)
    return ProductIndex.build(catalogue, **options), evaluation


def evaluated(*answers: tuple[str, str, float]) -> tuple[ProductIndex, Evaluation]:
    """Return those two with other answers, by id, category and confidence; the rest are right."""
    index, evaluation = base()
    given = {card: (f"Shop > {answer}" if answer else "", sure) for card, answer, sure in answers}
    cards = evaluation.cards[["split", "id", "true"]].copy()
    pairs = zip(cards["id"], cards["true"], strict=True)
    answered = [given.get(card, (true, 0.5)) for card, true in pairs]
    cards["predicted"] = [category for category, _ in answered]
    cards["confidence"] = [sure for _, sure in answered]
    confusions = worst_confusions(*(cards[name].tolist() for name in ("true", "predicted", "id")))
    scores = score_confidences(cards)
    return index, replace(evaluation, cards=cards, confusions=confusions, confidence=scores)


def test_the_problems_of_an_index_counted_by_hand() -> None:
    """A gain that is no part of the answers is a promise that nobody can keep."""
    index, evaluation = evaluated(
        *(("a0", "B", 0.5), ("a1", "B", 0.6), ("a29", "B", 0.97), ("b3", "A", 0.4)),
        *(("a10", "B", 0.5), ("a11", "S", 0.5), ("a12", "S", 0.5), ("a13", "S", 0.5)),
        ("a14", "S", 0.5),
        *(("s0", "A", 0.2), ("n0", "A", 0.3), ("b4", "", 0.0)),
    )
    found = problems_of_index(index.parts, evaluation)
    told = {str(p.what).replace("\xa0", " "): (p.cards, p.what.place) for p in found}
    assert told == {
        "A confused with B": (5, "confusion-1"),
        "categories that training lacks": (1, "sizes"),
        "mistakes in categories of 1 to 5 training cards": (1, "sizes"),
        "labels contradicted with a confidence of 95.0 % or more": (1, "doubted"),
        "A confused with S": (5, "confusion-2"),
        "cards without a description": (20, "scores"),
    }
    assert [p.part for p in found] == sorted((p.part for p in found), reverse=True)
    assert found[0].part == pytest.approx(5 / 43)
    # 6 of 20 without a description are wrong, and 6 of 23 with one; the one without a title, which
    # is wrong as well, shows nothing.
    lacking = next(p for p in found if p.what.startswith("cards without"))
    assert lacking.part == pytest.approx(20 / 43 * (6 / 20 - 6 / 23))


def test_an_index_that_is_always_right_has_no_problems() -> None:
    index, evaluation = evaluated()
    assert problems_of_index(index.parts, evaluation) == []


def test_single_mistakes_are_no_confused_pairs() -> None:
    index, evaluation = evaluated(("a0", "B", 0.5), ("b0", "S", 0.5))
    assert problems_of_index(index.parts, evaluation) == []
