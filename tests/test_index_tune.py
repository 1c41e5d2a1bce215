"""Tuning an index on its own cards: honest, repeatable, and undone without a trace."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from faulty import PowerCut, failing_at, full
from made import BOOTS, catalogue, change_manifest, row, settings_of
from sklearn.metrics import f1_score

from prodcat_index import files
from prodcat_index.cards.card import Card
from prodcat_index.errors import IndexFolderError, QueryError
from prodcat_index.index import tune as tuning
from prodcat_index.index.leave_one_out import LeaveOneOut, leave_out_groups
from prodcat_index.index.parts import IndexParts
from prodcat_index.index.product_index import ProductIndex
from prodcat_index.learning import folds as learning_folds
from prodcat_index.types import Int64Array
from prodcat_index.voting.pool import Pool, rank
from prodcat_index.voting.tuning import OBJECTIVES, Objective, Setting, Step, Tuning, outcome
from prodcat_index.voting.vote import VoteParameters

NUMBERS = {"title": "numbers", "description": "numbers"}
SHELVES = ("East", "North", "South", "West")
ANGLES = dict(zip(SHELVES, (0.0, 0.5, 1.5, 1.0), strict=True))


def direction(rng: np.random.Generator, half_turns: float, spread: float) -> str:
    angle = np.pi * (half_turns + spread * rng.normal())
    return f"{np.cos(angle):.4f} {np.sin(angle):.4f}"


def planted_rows(count: int = 80, told: bool = False) -> list[dict[str, str]]:
    """Titles tell the category more often than not, descriptions never, or as often."""
    rng = np.random.default_rng(0)
    angles = [ANGLES[SHELVES[n % 4]] for n in range(count)]
    return [
        row(
            f"c{n:03d}",
            direction(rng, angle, 0.25),
            direction(rng, angle, 0.25) if told else direction(rng, 0.0, 1.0),
            category=SHELVES[n % 4],
        )
        for n, angle in enumerate(angles)
    ]


def build(rows: Sequence[dict[str, str]], **options: Any) -> ProductIndex:
    chosen = {"encoders": NUMBERS, "projection": "none", **options}
    return ProductIndex.build(catalogue(rows), **chosen)


@cache
def planted_once(told: bool = False) -> ProductIndex:
    return build(planted_rows(told=told))


@pytest.fixture
def planted() -> ProductIndex:
    return planted_once()


def asked_of(parts: IndexParts, rows: Int64Array | None = None) -> LeaveOneOut:
    everybody = np.arange(len(parts.catalogue))
    rows = everybody if rows is None else rows
    return LeaveOneOut(parts, leave_out_groups(parts.catalogue), rows, np.zeros_like(everybody))


def excluded_from(parts: IndexParts) -> dict[str, set[str]]:
    """Say which cards each card must not see when it asks the others for its category."""
    rows = np.arange(len(parts.catalogue))
    queries = asked_of(parts)._queries(rows, parts.blocks)
    vectors = [block.vectors.astype(np.float32) for block in parts.blocks]
    similarities = np.stack([block @ block.T for block in vectors])
    excluded = queries.exclude(slice(None), rows, similarities)
    ids = np.array(parts.catalogue.ids)
    return {card: set(ids[excluded[n]].tolist()) for n, card in enumerate(ids.tolist())}


def of_pictures(rows: Sequence[dict[str, str]]) -> IndexParts:
    return build(rows, encoders={"image": "names"}).parts


def test_a_card_sees_neither_itself_nor_its_variants_nor_its_texts_again() -> None:
    """The sizes of one boot would vouch for each other, and tuning would trust duplicates."""
    parts = of_pictures(
        [
            row("a", "red boots", "warm", category=BOOTS, group="1"),
            row("b", "red boots, size 40", category=BOOTS, group="1"),
            row("c", " RED BOOTS, size 40", category=BOOTS, group="2"),
            row("d", "red boots", "cold", category=BOOTS),
            row("e", "blue boots", category=BOOTS),
            row("f", category=BOOTS, image="f.jpg"),
            row("g", category=BOOTS, image="g.jpg"),
        ]
    )
    family = {"a", "b", "c"}
    assert excluded_from(parts) == {
        **dict.fromkeys(family, family),
        **{alone: {alone} for alone in "defg"},
    }


def test_a_card_does_not_see_cards_with_its_picture() -> None:
    """A seller who lists a product again takes another title, and the same photo."""
    parts = of_pictures(
        [
            row("a", "red boots", image="one/photo.jpg", category=BOOTS),
            row("b", "warm boots", image="two/photo.jpg", category=BOOTS),
            row("c", "tall boots", image="other.jpg", category=BOOTS),
            row("d", "wide boots", category=BOOTS),
            row("e", "thin boots", category=BOOTS),
        ]
    )
    assert excluded_from(parts) == {
        "a": {"a", "b"},
        "b": {"a", "b"},
        "c": {"c"},
        "d": {"d"},
        "e": {"e"},
    }


def placeholder_rows(categories: int, unlabelled: int = 0) -> list[dict[str, str]]:
    labels = [f"shelf {n}" for n in range(categories)] + [""] * unlabelled
    rows = [
        row(f"p{n}", f"thing {n}", image=f"{n}/none.jpg", category=c) for n, c in enumerate(labels)
    ]
    return [*rows, row("x", "else", image="x.jpg", category="shelf 0")]


def test_a_placeholder_picture_hides_nobody() -> None:
    """ "No photo" on every second card would leave these cards with nobody to ask."""
    few, many = of_pictures(placeholder_rows(5)), of_pictures(placeholder_rows(6))
    assert excluded_from(few)["p0"] == {f"p{n}" for n in range(5)}
    assert excluded_from(many)["p0"] == {"p0"}


def test_unlabelled_cards_do_not_make_a_picture_a_placeholder() -> None:
    parts = of_pictures(placeholder_rows(5, unlabelled=3))
    rows = np.flatnonzero(parts.labels.labelled)
    queries = asked_of(parts)._queries(rows, parts.blocks)
    image = next(b.vectors for b in parts.blocks if b.modality == "image").astype(np.float32)
    similarities = np.stack([image[rows] @ image[rows].T] * len(parts.blocks))
    assert queries.exclude(slice(0, 1), rows, similarities[:, :1]).sum() == 5


def test_pairs_of_the_same_product_teach_nothing() -> None:
    """Labels at random, every card listed twice: whoever sees his twin is always right."""
    rng = np.random.default_rng(0)
    rows = []
    for n in range(60):
        told = {"category": SHELVES[rng.integers(4)], "group": f"g{n}"}
        title = direction(rng, 0.0, 1.0)
        rows += [row(f"a{n}", title, **told), row(f"b{n}", f"{title}1", **told)]
    options = {"encoders": {"title": "numbers"}, "vote_parameters": VoteParameters(k=1)}
    together = build(rows, **options).tune(objective="accuracy")
    apart = build([{**r, "group": ""} for r in rows], **options).tune(objective="accuracy")
    assert together.before.value < 0.45
    assert apart.before.value > 0.8


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_modality_of_noise_loses_its_weight(planted: ProductIndex, objective: Objective) -> None:
    """What a shop tunes for; and the tuned index must not be worse than before."""
    found = planted.tune(objective=objective)
    assert found.after.setting.weights[1] < 0.2
    assert found.after.value > found.before.value
    assert found.after.value >= found.equal.value
    assert found.objective == objective
    values = [step.value for step in found.path]
    assert values == sorted(values) and values[-1] == found.after.value
    assert (found.cards, found.categories, found.recall) == (80, 4, 1.0)


def test_a_tuned_index_answers_by_what_was_found(planted: ProductIndex) -> None:
    found = planted.tune()
    tuned = planted.tuned(found)
    listing = Card(title="1 0", description="-1 0.2")
    vote = found.after.setting.vote
    asked = planted.predict(
        [listing],
        weights=dict(zip(("title", "description"), found.after.setting.weights, strict=True)),
        k=vote.k,
        temperature=vote.temperature,
        prior_exponent=vote.prior_exponent,
    )[0]
    assert tuned.predict([listing])[0].ranked == asked.ranked
    assert tuned.parts.tuning == replace(found, calibration=None)
    assert planted.parts.tuning is None and planted.parts.vote == VoteParameters()


def test_the_value_before_is_the_share_of_cards_that_the_others_answer_rightly(
    planted: ProductIndex,
) -> None:
    """Worked out one card after the other, by indexes that lack that card."""
    weights, rows = np.array([0.5, 0.5]), planted_rows()
    space, codes = planted.parts.space, planted.parts.labels.codes
    right = 0
    for n in range(len(rows)):
        vectors = [block.vectors[[n]].astype(np.float32) for block in planted.parts.blocks]
        similarity = sum(
            w * (block.vectors.astype(np.float64) @ v[0].astype(np.float64))
            for w, v, block in zip(weights, vectors, planted.parts.blocks, strict=True)
        )
        similarity[n] = -np.inf
        nearest = np.lexsort((space.ids(np.arange(len(rows))), -similarity))[:10]
        votes = np.bincount(
            codes[nearest], np.exp((similarity[nearest] - similarity[nearest[0]]) / 0.1), 4
        )
        right += int(votes.argmax() == codes[n])
    assert planted.tune(objective="accuracy").before.value == pytest.approx(right / len(rows))


def test_unlabelled_cards_neither_ask_nor_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their code is -1, which to numpy is the last category."""
    pools: list[Pool] = []
    search = tuning.Search
    monkeypatch.setattr(tuning, "Search", lambda pool, o: pools.append(pool) or search(pool, o))
    rows = planted_rows(40)
    index = build([*rows, *({**r, "id": f"u{r['id']}", "category": ""} for r in rows)])
    assert index.tune().cards == 40
    assert pools[0].categories.shape == (40, 39)
    assert (pools[0].true >= 0).all()
    assert (pools[0].categories >= 0).sum() == 40 * 39


def test_the_same_seed_gives_the_same_answer(planted: ProductIndex) -> None:
    assert planted.tune(sample=30, seed=4) == planted.tune(sample=30, seed=4)
    assert planted.tune(sample=30, seed=4).before != planted.tune(sample=30, seed=5).before


def test_the_order_of_the_cards_does_not_matter(planted: ProductIndex) -> None:
    """Sorting a catalogue must not change how it answers."""
    shuffled = build([planted_rows()[n] for n in np.random.default_rng(1).permutation(80)])
    one, other = planted.tune(objective="nll"), shuffled.tune(objective="nll")
    assert one.after.setting.vote == other.after.setting.vote
    assert one.after.setting.weights == pytest.approx(other.after.setting.weights, abs=1e-9)
    assert one.after.value == pytest.approx(other.after.value, abs=1e-5)


def test_all_cards_answer_even_where_few_ask(planted: ProductIndex) -> None:
    """Cards would have to do with neighbours that are far away, and large k would win."""
    assert planted.tune(sample=20).cards == 20
    asked = asked_of(planted.parts, np.arange(0, 80, 4))
    pool = asked.collect([np.array([0.5, 0.5])], 100)
    assert (pool.categories >= 0).sum(axis=1).tolist() == [79] * 20


@pytest.mark.parametrize("labelled", [1, 19])
def test_too_few_labelled_cards_are_refused_in_words(labelled: int) -> None:
    rows = [r if n < labelled else {**r, "category": ""} for n, r in enumerate(planted_rows(40))]
    with pytest.raises(QueryError) as caught:
        build(rows).tune()
    assert str(caught.value) == (
        f"Tuning needs at least 20 labelled cards, and this index has {labelled}."
    )


def test_twenty_labelled_cards_are_enough() -> None:
    assert build(planted_rows(20)).tune().cards == 20


def test_an_unknown_objective_is_refused_in_words(planted: ProductIndex) -> None:
    with pytest.raises(QueryError) as caught:
        planted.tune(objective="f1")  # type: ignore[arg-type]
    assert str(caught.value) == (
        "There is no objective 'f1'; choose weighted-f1, macro-f1, accuracy, nll."
    )


def test_recall_is_the_part_of_the_nearest_cards_that_the_pool_holds(planted: ProductIndex) -> None:
    """A pool that lacks them would praise weights for neighbours that nobody finds."""
    parts, setting = planted.parts, Setting((0.5, 0.5), VoteParameters(k=5))
    pool = asked_of(parts).collect(list(np.eye(2)), 4)
    vectors = [block.vectors.astype(np.float64) for block in parts.blocks]
    by_block = np.stack([rows @ rows.T for rows in vectors])
    by_block[:, range(80), range(80)] = -np.inf
    held = [
        {*np.argsort(-one)[:4], *np.argsort(-other)[:4]}
        for one, other in zip(*by_block, strict=True)
    ]
    nearest = [set(np.argsort(-row)[:5]) for row in by_block.mean(axis=0)]
    found = sum(len(near & holding) for near, holding in zip(nearest, held, strict=True))
    assert 0.1 < found / 400 < 0.9
    assert tuning._recall(asked_of(parts), pool, setting) == pytest.approx(found / 400)


def test_a_pool_that_lacks_what_the_new_weights_call_near_is_made_deeper(
    planted: ProductIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And holds the nearest cards under the new weights from then on."""
    depths: list[tuple[int, int]] = []
    collect, recalls = LeaveOneOut.collect, iter([0.5, 0.9, 1.0])

    def collecting(asked: LeaveOneOut, directions: Any, depth: int, label: str = "") -> Pool:
        depths.append((len(directions), depth))
        return collect(asked, directions, depth, label)

    monkeypatch.setattr(LeaveOneOut, "collect", collecting)
    monkeypatch.setattr(tuning, "_recall", lambda *_: next(recalls))
    assert planted.tune().recall == 1.0
    assert depths == [(3, 100), (4, 200), (5, 400)]


def test_a_pool_is_not_made_deeper_for_ever(
    planted: ProductIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tuning, "_recall", lambda *_: 0.5)
    assert planted.tune().recall == 0.5


def test_an_index_of_many_voters_is_judged_by_all_of_them(
    planted: ProductIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was tuned before would look worse than it is."""
    many = ProductIndex(replace(planted.parts, vote=VoteParameters(k=40, temperature=0.5)))
    expected = many.tune(objective="nll").before
    monkeypatch.setattr(tuning, "DEPTH", 5)
    assert many.tune(objective="nll").before == expected


def test_an_index_of_pictures_alone_can_be_tuned() -> None:
    """Cards without any text are no duplicates of each other."""
    rows = [row(f"c{n}", image=f"{n}.jpg", category=SHELVES[n % 4]) for n in range(24)]
    found = build(rows, encoders={"image": "names"}).tune()
    assert found.cards == 24 and found.after.setting.weights == (1.0,)


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    """The folder of an index in which both modalities go on being weighed."""
    return planted_once(told=True).save(tmp_path / "index")


def manifest_of(folder: Path) -> bytes:
    return (folder / "manifest.json").read_bytes()


def tune_in(folder: Path) -> ProductIndex:
    index = ProductIndex.load(folder)
    tuned = index.tuned(index.tune(objective="nll"))
    tuned.save_settings(folder)
    return tuned


@cache
def tuned_once() -> ProductIndex:
    index = planted_once(told=True)
    return index.tuned(index.tune(objective="nll"))


def test_what_was_found_is_there_when_the_index_is_loaded_again(stored: Path) -> None:
    """Including the surfaces, which the figure is drawn from."""
    tuned, again = tune_in(stored), ProductIndex.load(stored)
    assert again.parts.tuning == tuned.parts.tuning
    assert again.parts.weights == tuned.parts.weights
    assert again.parts.vote == tuned.parts.vote
    assert "title" in (stored / "card.md").read_text(encoding="utf-8")


def test_only_the_manifest_and_the_page_change(stored: Path) -> None:
    """A tuned index must not be copied, or uploaded, as a whole again."""
    before = {p: p.read_bytes() for p in (stored / "versions").rglob("*") if p.is_file()}
    tune_in(stored)
    after = {p: p.read_bytes() for p in (stored / "versions").rglob("*") if p.is_file()}
    assert after.pop(stored / "versions" / "0002" / "manifest.json") == manifest_of(stored)
    assert after == before


def test_restoring_brings_back_every_bit(stored: Path) -> None:
    before, page = settings_of(stored), (stored / "card.md").read_text(encoding="utf-8")
    tune_in(stored)
    assert settings_of(stored) != before
    ProductIndex.load(stored).restored().save_settings(stored)
    assert settings_of(stored) == before
    lines = (stored / "card.md").read_text(encoding="utf-8").splitlines()
    assert [line for line in page.splitlines() if line not in lines] == [
        line for line in page.splitlines() if line.startswith("Version 1, ")
    ]


def test_a_modality_that_is_not_weighed_any_more_leaves_the_search_index(
    planted: ProductIndex, tmp_path: Path
) -> None:
    """And is there again when the tuning is undone."""
    stored = planted.save(tmp_path / "index")
    search = stored / "versions" / "0001" / "search.f32"
    whole, asked = search.read_bytes(), Card(title="1 0", description="-1 0.2")
    before = ProductIndex.load(stored).predict([asked])[0]
    tuned = tune_in(stored)
    assert tuned.parts.weights["description"] == 0.0
    loaded = ProductIndex.load(stored)
    assert loaded.predict([asked])[0] == tuned.predict([asked])[0]
    loaded.restored().save_settings(stored)
    assert (stored / "versions" / "0003" / "search.f32").read_bytes() == whole
    assert ProductIndex.load(stored).predict([asked])[0] == before


def test_an_index_that_is_not_tuned_has_nothing_to_restore(planted: ProductIndex) -> None:
    with pytest.raises(QueryError, match="not tuned, so there is nothing to restore"):
        planted.restored()


@pytest.mark.parametrize("told", [True, False])
@pytest.mark.parametrize("call", [1, 4])
@pytest.mark.parametrize("error", [PowerCut(), full()])
def test_a_writer_that_dies_leaves_the_old_settings(
    stored: Path, call: int, error: BaseException, told: bool
) -> None:
    """Tuning must never cost an index, whether its search index stays or is made anew."""
    planted_once(told).save(stored)
    before, opened = manifest_of(stored), ProductIndex.load(stored)
    tuned = opened.tuned(opened.tune(objective="nll"))
    assert (0.0 not in tuned.parts.weights.values()) == told

    with failing_at(call, error), pytest.raises((PowerCut, IndexFolderError)) as caught:
        tuned.save_settings(stored)
    if isinstance(caught.value, IndexFolderError):
        assert str(caught.value) == (
            f"The index {stored} cannot be written ([Errno 28] No space left on device); "
            "what was there before is unchanged."
        )
    assert manifest_of(stored) == before
    assert ProductIndex.load(stored).parts.vote == VoteParameters()
    tuned.save_settings(stored)
    assert ProductIndex.load(stored).parts.tuning is not None


def rebuilt(rows: list[dict[str, str]], **change: str) -> ProductIndex:
    return build([{**rows[0], **change}, *rows[1:]])


@pytest.mark.parametrize("told", [True, False])
@pytest.mark.parametrize(
    "other",
    [
        lambda rows: build(rows[:40]),
        lambda rows: build(rows, encoders={}),
        lambda rows: rebuilt(rows, category="West"),
        lambda rows: rebuilt(rows, id="new"),
    ],
    ids=["fewer cards", "other encoders", "another category", "another card"],
)
def test_an_index_that_was_built_again_meanwhile_is_refused(
    stored: Path, other: Any, told: bool
) -> None:
    """A nightly build may end while somebody tunes: its cards were not asked, nor may they go."""
    planted_once(told).save(stored)
    opened = ProductIndex.load(stored)
    found = opened.tuned(opened.tune(objective="nll"))
    other(planted_rows(told=told)).save(stored)
    before = manifest_of(stored)
    with pytest.raises(IndexFolderError) as caught:
        found.save_settings(stored)
    assert str(caught.value) == (f"The index {stored} was built again meanwhile; tune the new one.")
    assert manifest_of(stored) == before


def test_settings_of_an_index_that_was_never_saved_go_nowhere(
    planted: ProductIndex, tmp_path: Path
) -> None:
    with pytest.raises(IndexFolderError, match="There is no index at"):
        planted.save_settings(tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()


def test_the_same_index_built_again_takes_the_settings(stored: Path) -> None:
    """As it answers alike, nothing is lost."""
    opened = ProductIndex.load(stored)
    found = opened.tuned(opened.tune())
    build(planted_rows(told=True)).save(stored)
    found.save_settings(stored)
    assert ProductIndex.load(stored).parts.tuning == found.parts.tuning


NAN = float("nan")


@pytest.mark.parametrize(
    ("where", "value"),
    [
        (("after", "value"), NAN),
        (("before", "weights"), [0.5]),
        (("after", "weights"), [0.5, 0.25, 0.25]),
        (("before", "weights"), [NAN, 1.0]),
        (("before", "weights"), [-0.5, 1.0]),
        (("before", "weights"), [1.5, 0.0]),
        (("before", "weights"), [0.5] * 100_000),
        (("before", "vote"), {"k": 0, "temperature": 0.1, "prior_exponent": 0.0}),
        (("before", "vote"), {"k": 5, "temperature": 0.0, "prior_exponent": 0.0}),
        (("equal", "vote"), {"k": 5, "temperature": 0.1, "prior_exponent": NAN}),
        (("before", "vote"), {}),
        (("before", "vote"), {"temperature": 0.1, "prior_exponent": 0.0}),
        (("after", "vote"), {"k": 5, "prior_exponent": 0.0}),
        (("equal", "vote"), {"k": 5, "temperature": 0.1}),
        (("path",), [1, 2]),
        (("path",), [{}] * 20_000),
        (("recall",), 1.5),
        (("recall",), NAN),
        (("cards",), -1),
        (("objective",), "<script>"),
        (("extra",), 1),
    ],
)
def test_a_hostile_record_of_tuning_is_refused_by_its_name(
    tmp_path: Path, where: tuple[str, ...], value: Any
) -> None:
    """Restoring it would write such weights into the index; drawing it would take for ever."""
    stored = tuned_once().save(tmp_path / "index")

    def change(manifest: Any) -> None:
        place = manifest["tuning"]
        for name in where[:-1]:
            place = place[name]
        place[where[-1]] = value

    change_manifest(stored, change)
    with pytest.raises(IndexFolderError) as caught:
        ProductIndex.load(stored)
    message = str(caught.value)
    assert message.startswith(f"The index {stored} is damaged (")
    assert where[-1] in message.lower() or "tuning weighed other blocks" in message


def test_surfaces_of_other_blocks_are_refused(tmp_path: Path) -> None:
    stored = tuned_once().save(tmp_path / "index")
    change_manifest(
        stored, lambda m: m["tuning"]["weight_surface"][3].update(weights=[0.2, 0.3, 0.5])
    )
    with pytest.raises(IndexFolderError, match="tuning weighed other blocks than these"):
        ProductIndex.load(stored)


def test_no_array_is_read_to_write_settings(stored: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tuning a large index again and again must stay quick."""
    opened = ProductIndex.load(stored)
    monkeypatch.setattr(files, "open_array", None)
    monkeypatch.setattr(files, "raw_array", None)
    opened.tuned(opened.tune(objective="nll")).save_settings(stored)


def test_an_index_of_one_category_is_not_tuned() -> None:
    """Its confidence would be learned from answers that cannot be wrong."""
    rows = [row(f"c{n}", f"lamp {n}", f"text {n}", category="lamps") for n in range(40)]
    index = ProductIndex.build(catalogue(rows))
    with pytest.raises(QueryError, match="one category, so there is nothing to tune"):
        index.tune()


def test_confidence_is_learned_on_all_cards() -> None:
    """A third of them shows no precision: after tuning, all answers would go to review."""
    rng = np.random.default_rng(3)
    things = ("boots", "kettle", "lamp", "scarf")
    rows = [
        row(f"c{n:03}", f"{things[n % 4]} {rng.integers(10**6)}", category=things[n % 4])
        for n in range(400)
    ]
    index = ProductIndex.build(catalogue(rows), projection="none")
    tuning = index.tune()
    assert tuning.cards < 300
    assert tuning.calibration is not None and tuning.calibration.cards == 400


def families(count: int, size: int, **more: str) -> list[dict[str, str]]:
    """Groups of cards with other texts, each the only group of its category."""
    return [
        row(f"c{n:03}", f"thing {n} of {n // size}", category=f"shelf {n // size:03}")
        | {"group": f"g{n // size}"}
        | more
        for n in range(count * size)
    ]


def three_neighbours(search: tuning.Search, starts: Sequence[Setting]) -> Step:
    """Find that three neighbours are best."""
    return search.try_all([replace(starts[0], vote=replace(starts[0].vote, k=3))])[0]


def test_variants_count_as_one_card_in_a_promised_precision() -> None:
    """Four variants of a product are right or wrong together, and are no four proofs."""
    index = build(families(100, 4), encoders={"title": "lexical:8"})
    calibration = index.tune().calibration
    assert calibration is not None and calibration.precision.independent is not None
    assert calibration.precision.answered[-1] == calibration.cards
    assert calibration.precision.independent[-1] == calibration.cards // 4


def test_no_group_is_both_tuned_on_and_compared_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Variants of one product would vouch for each other, and any setting win."""
    index = build(families(100, 4), encoders={"title": "lexical:8"})
    pools: list[Pool] = []
    search = tuning.Search
    monkeypatch.setattr(tuning, "Search", lambda pool, o: pools.append(pool) or search(pool, o))
    monkeypatch.setattr(search, "run", three_neighbours)
    index.tune()
    tuned_on, compared_on = (set(pool.true.tolist()) for pool in (pools[0], pools[-1]))
    assert len(pools[0]) + len(pools[-1]) == 400
    assert len(pools[-1]) >= 100
    assert tuned_on & compared_on == set()


@pytest.mark.parametrize(("many", "sample", "folds"), [(5000, 40, 10), (50, 400, 4), (50, 40, 1)])
def test_a_group_is_in_one_fold(
    monkeypatch: pytest.MonkeyPatch, many: int, sample: int, folds: int
) -> None:
    """What is fitted without a card would know its variants, and with them its category."""
    monkeypatch.setattr(learning_folds, "FEW_CARDS", many)
    parts = build(families(100, 4), encoders={"title": "lexical:8"}).parts
    queries = LeaveOneOut.from_index(parts, sample, np.random.default_rng(0))
    by_group = queries.fold.reshape(100, 4)
    assert (by_group == by_group[:, :1]).all()
    assert set(queries.fold[queries.rows].tolist()) == set(range(folds))


@pytest.mark.parametrize(("values", "is_kept"), [((0.8, 0.9), False), ((0.9, 0.9), True)])
def test_a_setting_that_does_not_win_on_cards_that_it_was_not_chosen_on_is_not_taken(
    monkeypatch: pytest.MonkeyPatch, values: tuple[float, float], is_kept: bool
) -> None:
    """Tuning would make the answers to new listings worse, and say that it made them better."""
    index = build(families(100, 4), encoders={"title": "lexical:8"}, weights={"title": 1})
    monkeypatch.setattr(tuning, "_check", lambda *_: values)
    monkeypatch.setattr(tuning.Search, "run", three_neighbours)
    found = index.tune()
    assert found.check == values
    assert found.is_better is not is_kept
    tuned = index.tuned(found).parts
    assert (tuned.vote == index.parts.vote) is is_kept
    assert tuned.calibration is not None and tuned.calibration.cards == 400


def test_the_check_is_on_cards_that_were_not_tuned_on() -> None:
    index = build(families(100, 4), encoders={"title": "lexical:8"})
    asked = LeaveOneOut.from_index(index.parts, 400, np.random.default_rng(0))
    pool = asked.collect([index.parts.weight_vector(None)], 10)
    unseen = pool.select(np.arange(0, 400, 4))
    first = Setting(tuple(index.parts.weight_vector(None).tolist()), index.parts.vote)
    second = replace(first, vote=replace(first.vote, temperature=0.5, k=50))
    found = tuning._check(unseen, "weighted-f1", first, second)
    expected = [
        float(
            f1_score(
                unseen.true,
                outcome(rank(unseen, np.array(s.weights), s.vote.k), unseen.true, s.vote)[0],
                average="weighted",
            )
        )
        for s in (first, second)
    ]
    assert found == pytest.approx(expected)
    assert tuning._check(pool.select(np.arange(0)), "weighted-f1", first, second) is None


def tuned_by_groups(groups: Sequence[int], seed: int, objective: Objective) -> Tuning:
    """Tune an index whose cards have these groups, whatever their column and texts say."""
    index = planted_once() if len(groups) == 80 else build(planted_rows(len(groups)))
    with pytest.MonkeyPatch.context() as patch:
        codes = np.array(groups)
        patch.setattr("prodcat_index.index.leave_one_out.leave_out_groups", lambda cards: codes)
        return index.tune(objective=objective, seed=seed)


@pytest.mark.parametrize("objective", ["macro-f1", "nll"])  # of shares, and of all probabilities
def test_few_groups_leave_cards_to_tune_on(objective: Objective) -> None:
    """All of a few groups were drawn as unseen, and a value that is no number never ended."""
    for groups in ([0] * 40 + [1] * 40, [0] * 70 + [1] * 10, [n % 3 for n in range(80)]):
        for seed in range(3):
            found = tuned_by_groups(groups, seed, objective)
            assert found.cards >= 40
            assert all(np.isfinite(step.value) for step in found.steps)
            assert found.after.value >= found.before.value


def test_one_group_is_refused_in_words() -> None:
    with pytest.raises(QueryError, match="All labelled cards of this index are of one group"):
        tuned_by_groups([0] * 40, 0, "accuracy")


def test_a_sample_of_one_group_can_be_tuned_on() -> None:
    """Cards outside the sample answer for it; the user would be told to look for a wrong column."""
    index = build(planted_rows(80))
    codes = np.array([0] * 79 + [1])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("prodcat_index.index.leave_one_out.leave_out_groups", lambda cards: codes)
        assert index.tune(sample=20, seed=0).cards == 20


@pytest.mark.parametrize(
    ("options", "words"),
    [({"seed": -1}, "seed must be 0 or more; it is -1"), ({"sample": 19}, "20 cards or more")],
)
def test_impossible_options_are_refused_in_words(
    planted: ProductIndex, options: dict[str, int], words: str
) -> None:
    with pytest.raises(QueryError, match=words):
        planted.tune(**options)


def test_the_tuning_of_another_index_is_refused(planted: ProductIndex) -> None:
    """Its calibration would promise a precision that these cards do not keep."""
    found = planted.tune(objective="nll")
    again = build(planted_rows())
    assert again.tuned(found).parts.vote == found.after.vote  # built alike, it is the same index
    others = (
        build([{**row, "category": SHELVES[n % 3]} for n, row in enumerate(planted_rows())]),
        build(planted_rows(told=True)),
        build(planted_rows(76)),
    )
    fewer = build(
        [{**row, "description": ""} for row in planted_rows()], encoders={"title": "numbers"}
    )
    refused = "This is the tuning of an index of other cards"
    for other, told in (
        *((other, found) for other in others),
        (fewer, replace(found, tuned_on="")),
    ):
        with pytest.raises(QueryError, match=refused):
            other.tuned(told)
    with pytest.raises(TypeError, match=r"^An index is tuned by the result of tune\(\); this is "):
        planted.tuned(None)  # type: ignore[arg-type]


def test_a_tuned_index_is_stored_as_it_was_before_tunings_were_told_apart(
    planted: ProductIndex, tmp_path: Path
) -> None:
    """An earlier version would refuse the manifest for a field that it does not know."""
    tuned = planted.tuned(planted.tune())
    assert "tuned_on" not in (tuned.save(tmp_path / "index") / "manifest.json").read_text()
    assert ProductIndex.load(tmp_path / "index").parts.tuning == tuned.parts.tuning
