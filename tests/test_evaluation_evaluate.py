"""An evaluation scores only cards that nothing has seen."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import arena
import made
import numpy as np
import pandas as pd
import pytest

from prodcat_index import read_catalogue
from prodcat_index.cards.card import Catalogue
from prodcat_index.cards.duplicates import COLUMN, DESCRIPTIONS, FILES, NEAR, TEXTS, TITLES
from prodcat_index.errors import CatalogueError
from prodcat_index.evaluation import held_out
from prodcat_index.evaluation.evaluate import evaluate
from prodcat_index.evaluation.held_out import TUNED
from prodcat_index.evaluation.result import Evaluation
from prodcat_index.index.product_index import ProductIndex

RULES = (COLUMN, TEXTS, TITLES, DESCRIPTIONS, FILES, NEAR)


def judge(catalogue: Catalogue, **options: Any) -> Evaluation:
    usual = {"encoders": arena.ENCODERS, "baselines": False, "projection": "none"}
    return evaluate(catalogue, **{**usual, **options})


def test_every_row_is_judged_on_all_test_cards() -> None:
    catalogue = arena.shop(24, noise=3)
    evaluation = judge(catalogue, split=arena.alternating(catalogue), baselines=True)
    assert [row.name for row in evaluation.rows] == [
        "title",
        "description",
        "equal weights",
        TUNED,
        "KNeighborsClassifier",
        "LogisticRegression",
        "LinearSVC",
        "TF-IDF + LinearSVC",
    ]
    assert {(r.scores[0].cards, r.scores[0].categories) for r in evaluation.rows} == {(18, 3)}
    assert evaluation.counts == [{"train": 54, "test": 18, "categories": 3}]
    assert evaluation.row("title").weighted_f1 == evaluation.tuned.weighted_f1 == 1.0
    assert evaluation.row("description").weighted_f1 < 0.8
    assert evaluation.row("description").verdict == "behind"
    assert evaluation.row("title").verdict == "tie"


def test_the_index_never_sees_a_test_card(monkeypatch: pytest.MonkeyPatch) -> None:
    """Scores would be those of cards that the index knows by heart."""
    seen: list[set[str]] = []
    build = ProductIndex.build

    def spy(cards: Catalogue, **options: Any) -> ProductIndex:
        seen.append(set(cards.ids))
        return build(cards, **options)

    monkeypatch.setattr(ProductIndex, "build", spy)
    evaluation = judge(arena.shop(), repeat=3)
    assert len(seen) == 3
    for number, train in enumerate(seen, start=1):
        answers = evaluation.cards[evaluation.cards["split"] == number]
        assert not train & set(answers["id"])
        assert set(answers["nearest_id"]) <= train
        assert len(train) + len(answers) == 36


def test_the_classifier_of_texts_sees_no_test_card(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rival would be fitted to the answers, or its variants judge each other."""
    seen: list[tuple[list[str], list[int]]] = []
    fit = held_out.classify_texts

    def spy(train: Catalogue, groups: Any, *others: Any) -> Any:
        seen.append((train.ids, groups.tolist()))
        return fit(train, groups, *others)

    monkeypatch.setattr(held_out, "classify_texts", spy)
    rows = arena.shop(24).cards.to_dict(orient="records")
    for place, row in enumerate(rows):
        row["group"] = f"group {place // 24} {place % 12}"
    evaluation = judge(made.catalogue(rows), baselines=True, repeat=2)
    group_of = {row["id"]: row["group"] for row in rows}
    assert len(seen) == 2
    for number, (ids, groups) in enumerate(seen, start=1):
        judged = evaluation.cards[evaluation.cards["split"] == number]
        assert not set(ids) & set(judged["id"])
        assert len(ids) + len(judged) == len(rows)
        code_of = {group_of[card]: code for card, code in zip(ids, groups, strict=True)}
        assert [code_of[group_of[card]] for card in ids] == groups
        assert len(set(groups)) > 20


def test_a_catalogue_without_texts_has_no_classifier_of_texts(pictures: list[Path]) -> None:
    """The row would be missed, or stand there with nothing behind it."""
    rows = [
        made.row(f"p{n:02}", image=str(pictures[n % 8]), category=f"shelf {n % 2}")
        for n in range(40)
    ]
    encoders = {"image": "names"}
    found = judge(made.catalogue(rows), encoders=encoders, baselines=True, by="random")
    assert "TF-IDF + LinearSVC" not in [row.name for row in found.rows]
    groups, left_out = found.notes
    assert groups.startswith(
        "40 cards are 8 groups, the largest of 5 cards; joined with others: 40"
    )
    assert left_out == "The row TF-IDF + LinearSVC is left out, because no card has a text."
    assert found.as_dict()["notes"] == list(found.notes)
    found = judge(made.catalogue(rows), encoders=encoders, by="random")
    assert found.notes == (groups,)


def colours_of(products: int) -> Catalogue:
    """Make products in colours that no list of words knows, with labels that say nothing."""
    return made.catalogue(
        made.row(f"{n}-{tint}", f"{'nkrpt'[n % 5]}ab{n}x zu{n}mo {tint}", category=f"c{n % 3}")
        for n in range(products)
        for tint in ("sage", "mauve", "taupe", "ecru")
    )


def test_near_duplicates_in_training_are_noted() -> None:
    """A perfect score on products that the index knows by heart would be believed."""
    found = judge(colours_of(30), encoders={"title": "lexical"})
    assert found.tuned.weighted_f1 == 1.0
    assert found.notes[0].endswith("joined with others: none.")
    assert found.notes[1] == (
        "100% of 30 test cards have a near-duplicate in training (cosine 0.8 or more of the "
        "TF-IDF of their words): the tuned index is right about 100% of them. If they are variants "
        "of one product, the scores are too good; name the column that joins them with "
        "--group-column."
    )
    assert found.settings["groups"] == {"count": 120, "joined": dict.fromkeys(RULES, 0)}


def test_where_few_cards_have_a_near_duplicate_nothing_is_noted() -> None:
    catalogue = colours_of(30)
    alone = catalogue.select([row for row in range(120) if row % 4 == 0 or row < 8])
    found = judge(alone, encoders={"title": "lexical"}, by="random")
    assert len(found.notes) == 1


def test_variants_that_were_joined_are_scored_as_new_products() -> None:
    """The labels of the products are drawn, so that chance is a third: 1.000 was said."""
    rows = colours_of(60).cards.to_dict(orient="records")
    rng = np.random.default_rng(0)
    variants = {"sage": "XS", "mauve": "500 g", "taupe": "black", "ecru": "No 4"}
    drawn = {f"{n}": f"c{rng.integers(3)}" for n in range(60)}
    for row in rows:
        row["category"] = drawn[row["id"].partition("-")[0]]
        for tint, known in variants.items():
            row["title"] = row["title"].replace(tint, known)
    found = judge(made.catalogue(rows), encoders={"title": "lexical"}, repeat=3)
    assert found.settings["groups"]["joined"][TITLES] == 240
    assert found.tuned.weighted_f1 < 0.6
    assert len(found.notes) == 1


def test_a_negative_seed_is_refused_in_words() -> None:
    catalogue = arena.shop()
    with pytest.raises(CatalogueError, match="seed must be 0 or more; it is -1"):
        judge(catalogue, split=arena.alternating(catalogue), seed=-1)


def test_variants_stay_on_one_side() -> None:
    """A card that is judged beside its near-duplicate is always right."""
    rows = arena.shop(24).cards.to_dict(orient="records")
    for place, row in enumerate(rows):
        row["group"] = f"group {place // 2}"
    evaluation = judge(made.catalogue(rows))
    group_of = {row["id"]: row["group"] for row in rows}
    assert len(evaluation.cards) == 18
    for card, nearest in zip(evaluation.cards["id"], evaluation.cards["nearest_id"], strict=True):
        assert group_of[card] != group_of[nearest]


def test_the_interval_is_wider_for_groups_than_for_single_cards() -> None:
    def width(grouped: bool) -> float:
        rows = arena.shop(24).cards.to_dict(orient="records")
        for place, row in enumerate(rows):
            other = place // 4 % 2
            row["group"] = f"four {place // 4}" if grouped else ""
            row["description"] = arena.direction(120 * (place // 24 + other) + place % 4)
        catalogue = made.catalogue(rows)
        parts = ["test" if place // 4 % 3 == 2 else "train" for place in range(len(rows))]
        found = judge(catalogue, split=arena.split_of(catalogue, parts)).row("description")
        return found.interval.high - found.interval.low

    assert width(grouped=True) > 1.2 * width(grouped=False) > 0


def test_cards_of_unknown_categories_are_counted() -> None:
    """Users would take the missing shelf for a weakness of the index."""
    catalogue = arena.shop(16)
    lamps = [category == made.LAMPS for category in catalogue.values("category")]
    parts = ["test" if lamp or row % 4 == 0 else "train" for row, lamp in enumerate(lamps)]
    evaluation = judge(catalogue, split=arena.split_of(catalogue, parts))
    score = evaluation.tuned.scores[0]
    assert (score.cards, score.categories, score.unreachable) == (24, 3, 16)
    unknown = evaluation.buckets[0]
    assert (unknown.training_cards, unknown.cards, unknown.weighted_f1) == ("none", 16, 0.0)
    assert evaluation.confusions[0].true == made.LAMPS
    assert set(evaluation.confusions[0].examples) <= set(evaluation.cards["id"])


def test_unlabelled_cards_are_not_judged() -> None:
    """A card without category would count as wrong, whatever is said of it."""
    rows = arena.shop().cards.to_dict(orient="records")
    rows[0]["category"] = rows[1]["category"] = ""
    catalogue = made.catalogue(rows)
    evaluation = judge(catalogue, split=arena.alternating(catalogue))
    assert evaluation.counts == [{"train": 26, "test": 8, "categories": 3}]
    assert rows[0]["id"] not in set(evaluation.cards["id"])


def test_the_same_seed_says_the_same_and_another_does_not() -> None:
    """A figure that nobody can repeat is no figure."""
    catalogue = arena.shop(noise=3)
    first, again, other = (judge(catalogue, seed=seed).as_dict() for seed in (1, 1, 2))
    assert json.dumps(first) == json.dumps(again)
    assert first["cards"] != other["cards"]


def test_splits_are_put_together() -> None:
    catalogue = arena.shop(noise=3)
    evaluation = judge(catalogue, repeat=2, seed=5)
    alone = [judge(catalogue, split=split) for split in evaluation.splits]
    row = evaluation.row("description")
    scores = [single.row("description").scores[0] for single in alone]
    assert list(row.scores) == scores
    assert row.weighted_f1 == pytest.approx(np.mean([s.weighted_f1 for s in scores]))
    assert row.weighted_f1 in row.interval
    judged = pd.concat([single.cards for single in alone])
    assert evaluation.cards["id"].tolist() == judged["id"].tolist()
    assert evaluation.tuned.hierarchy is not None


@pytest.mark.parametrize(
    ("category", "told"), [("", "without a category"), ("Boots", "all of the category 'Boots'")]
)
def test_a_catalogue_with_nothing_to_tell_apart_is_refused(category: str, told: str) -> None:
    rows = [dict(row, category=category) for row in arena.shop().cards.to_dict(orient="records")]
    with pytest.raises(CatalogueError, match=f"{told}.*--category-column"):
        judge(made.catalogue(rows))


def test_a_test_part_without_labels_is_refused() -> None:
    rows = arena.shop().cards.to_dict(orient="records")
    for row in rows[::4]:
        row["category"] = ""
    catalogue = made.catalogue(rows)
    with pytest.raises(CatalogueError, match="No test card of the split has a category"):
        judge(catalogue, split=arena.alternating(catalogue))


def kazanexpress(folder: Path) -> tuple[Catalogue, Mapping[str, str]]:
    """Read the texts of both files as one catalogue, and the part of each card."""
    train, test = (pd.read_parquet(folder / f"{part}.parquet") for part in ("train", "test"))
    labels = pd.read_csv(folder / "test_labels.csv").set_index("product_id")["category_id"]
    names = dict(zip(train["category_id"], train["category_name"], strict=True))
    keys = test["product_id"].map(labels)
    test = test.assign(category_name=[names.get(key, f"key {key}") for key in keys])
    both = pd.concat([train.drop(columns="category_id"), test], ignore_index=True)
    parts = {str(card): "train" for card in train["product_id"]}
    return read_catalogue(both), parts | {str(card): "test" for card in test["product_id"]}


def test_real_cards_by_their_own_split(shared_data: Path) -> None:
    """Shops would be told other figures than they get; texts alone, for pictures take long."""
    catalogue, part_of = kazanexpress(shared_data / "kazanexpress_schema")
    split = arena.split_of(catalogue, [part_of[card] for card in catalogue.ids])
    encoders = {"title": "lexical:64", "description": "lexical:32"}
    evaluation = evaluate(catalogue, split=split, encoders=encoders, projection="none")
    score = evaluation.tuned.scores[0]
    assert (score.cards, score.categories, score.unreachable) == (273, 68, 24)
    assert {row.scores[0].cards for row in evaluation.rows} == {273}
    f1 = {row.name: row.weighted_f1 for row in evaluation.rows}
    assert f1["title"] > 0.75
    assert f1["description"] < 0.5
    assert f1[TUNED] > 0.8
    assert f1["LogisticRegression"] > f1["KNeighborsClassifier"]
    reached = 1 - score.unreachable_share
    assert score.accuracy <= (score.top3 or 0) <= (score.oracle or 0) <= reached
    assert sum(bucket.cards for bucket in evaluation.buckets) == 273
    tuned = evaluation.tuned.hierarchy
    assert tuned is not None
    assert tuned.f1 > score.accuracy
