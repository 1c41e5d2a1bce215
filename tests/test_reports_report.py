"""The report of an index: its numbers are those of the evaluation, its pictures the cards'."""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from collections import Counter
from dataclasses import replace
from html import unescape
from pathlib import Path
from typing import Any

import arena
import made
import pytest
from test_index_learned import indexed
from test_reports_page import ATTACK, Reader, check_links

from prodcat_index.cards.card import Catalogue
from prodcat_index.encoders.registry import SCHEMES
from prodcat_index.errors import QueryError
from prodcat_index.evaluation.evaluate import evaluate
from prodcat_index.index.product_index import ProductIndex
from prodcat_index.reports.page import write_percent
from prodcat_index.reports.report import (
    NEAREST,
    OF_QUEUE,
    Report,
    find_examples,
    report,
    tabulate_settings,
    write_report,
)

SECRET = b"password: 12345 " * 20


def shop(folder: Path) -> Catalogue:
    """Cards with hostile titles and shelves, a few pictures, and a secret in the place of one."""
    pictures = made.draw_pictures(folder)
    secret = folder / "secret.txt"
    secret.write_bytes(SECRET)
    rows: list[Any] = arena.shop(20, noise=2).cards.to_dict(orient="records")
    for place, row in enumerate(rows):
        row["title"] = f"{ATTACK} {place}"
        row["category"] = f"{row['category']} {ATTACK}"
        row["image"] = str(pictures[place % 10] if place % 10 < len(pictures) else secret)
    return made.catalogue(rows, texts=("description",))


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Report:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(SCHEMES, "numbers", "made:NumbersEncoder")
        patch.setitem(SCHEMES, "names", "made:NamesEncoder")
        catalogue = shop(tmp_path_factory.mktemp("shop"))
        index = ProductIndex.build(catalogue, encoders=ENCODERS)
        return report(index.tuned(index.tune()), by="random", repeat=2, seed=3, baselines=False)


ENCODERS = {"description": "numbers", "image": "names"}


@pytest.fixture(scope="module")
def html(found: Report, tmp_path_factory: pytest.TempPathFactory) -> str:
    file = tmp_path_factory.mktemp("page") / "new" / "report.html"
    assert write_report(found, file) == file
    return file.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(html: str) -> Reader:
    return Reader(html)


def test_the_numbers_are_those_of_an_evaluation_of_the_same_catalogue(found: Report) -> None:
    """The page would tell of another index than `prodcat evaluate`."""
    alone = evaluate(
        found.parts.catalogue,
        by="random",
        repeat=2,
        seed=3,
        encoders={"description": ["numbers"], "image": ["names"]},
        baselines=False,
        projection="none",
    )
    assert found.evaluation.as_dict() == alone.as_dict()


def test_every_row_is_on_the_page_with_its_numbers(found: Report, html: str) -> None:
    text = unescape(html).replace("\xa0", " ")
    for row in found.evaluation.rows:
        assert row.name in text
        assert f"{row.weighted_f1:.3f} ± {row.deviation:.3f}" in text
        assert f"{row.interval.low:.3f} to {row.interval.high:.3f}" in text
        assert f"{row.mean('macro_f1'):.3f}" in text
        if row.verdict:
            assert f"{row.name}: {row.verdict}" in text
    assert "behind" in [row.verdict for row in found.evaluation.rows]


def test_what_was_evaluated_is_named(found: Report) -> None:
    """A figure without its split and seed cannot be made again."""
    told = {str(what): str(value) for what, value in tabulate_settings(found).rows}
    assert (
        told["catalogue"].replace("\xa0", " ")
        == "made-up cards (60 cards, 60 of them in 3 categories)"
    )
    assert told["split"] == found.evaluation.splits[0].made
    assert (told["number of splits"], told["seed"]) == ("2", "3")
    assert (told["encoder of description"], told["encoder of image"]) == ("numbers", "names")
    found_by = found.evaluation.tuned.settings[0]
    assert f"; k {found_by['k']}, temperature" in told["found by tuning, first split"]
    assert told["test cards of categories that training does not have"] == "0.0\xa0%"
    assert re.search(r"prodcat-index \d+\.\d+.*numpy \d", told["versions"])


def test_mistakes_are_shown_beside_the_training_cards_nearest_to_them(found: Report) -> None:
    """Nobody would see why the index was wrong."""
    answers = found.evaluation.cards.query("split == 1").set_index("id")
    shown = [card for _, cards in found.confusions for card in cards]
    assert shown and not any(card.is_right for card in shown)
    for confusion, cards in found.confusions:
        assert {(c.true, c.predicted) for c in cards} <= {(confusion.true, confusion.predicted)}
        same = answers[answers["true"] == confusion.true]
        surest = sorted(same.loc[same["predicted"] == confusion.predicted, "confidence"])[::-1]
        assert [card.confidence for card in cards] == surest[: len(cards)]
    for card in [*shown, *found.examples.queue]:
        assert card.neighbours[0].id == answers.loc[card.id, "nearest_id"]
        assert len(card.neighbours) == NEAREST
        assert not {near.id for near in card.neighbours} & set(answers.index)


def test_the_queue_is_of_the_least_sure_cards(found: Report) -> None:
    cards = found.evaluation.cards.query("split == 1")
    queue = found.examples.queue
    assert [card.confidence for card in queue] == sorted(cards["confidence"])[:OF_QUEUE]
    first = cards.set_index("id").loc[queue[0].id]
    assert [name for name, _ in queue[0].alternatives] == first["top5"]
    assert queue[0].alternatives[0][0] == queue[0].predicted


def test_hostile_texts_become_no_tags(page: Reader) -> None:
    """Whoever lists a product could run a script in the shop-keeper's browser."""
    assert "script" not in page.tags
    assert not [a for a in page.attributes if a[1].startswith("on")]
    assert all(source.startswith("data:image/") for source in page.values("img", "src"))
    assert any("default-src 'none'" in value for value in page.values("meta", "content"))
    assert any(text.strip().startswith(ATTACK) for text in page.texts)


def test_pictures_are_thumbnails_and_nothing_but_pictures_is_embedded(
    found: Report, page: Reader
) -> None:
    """A forged index could mail the reader's files to whoever gets the report."""
    sources = page.values("img", "src")
    kinds = Counter(source.split(",")[0] for source in sources)
    assert kinds["data:image/png;base64"] == 5
    cards = [card for _, some in found.confusions for card in some]
    cards += [*found.examples.queue, *found.examples.doubted]
    images = [card.image for card in cards]
    images += [near.image for card in cards for near in card.neighbours]
    assert any(image.endswith(".txt") for image in images)
    assert kinds["data:image/jpeg;base64"] == sum(image.endswith(".png") for image in images)
    assert sum(text.strip() == "no picture" for text in page.texts) == sum(
        image.endswith(".txt") for image in images
    )
    contents = [b64decode(source.split(",")[1]) for source in sources]
    assert not any(b"password" in content for content in contents)
    assert b64encode(SECRET[:30]).decode() not in "".join(sources)


def test_every_figure_has_words_and_every_link_a_target(page: Reader) -> None:
    alts = page.values("img", "alt")
    assert len(alts) == page.tags.count("img") and all(len(alt) > 10 for alt in alts)
    check_links(page)
    assert {"tree", "tuning", "first"} <= set(page.values("section", "id"))


def test_plain_labels_without_pictures_have_a_report(tmp_path: Path) -> None:
    """A shop of texts alone, with no tree, not tuned, whose every answer is right."""
    rows: list[Any] = arena.shop().cards.to_dict(orient="records")
    for row in rows:
        row["category"] = row["category"].rpartition(" > ")[2]
    catalogue = made.catalogue(rows)
    index = ProductIndex.build(catalogue, encoders=arena.ENCODERS, projection="none")
    found = report(index, split=arena.alternating(catalogue), baselines=False)
    page = Reader(write_report(found, tmp_path / "r.html").read_text(encoding="utf-8"))
    ids = set(page.values("section", "id"))
    assert ids == {"first", "made", "scores", "confidence", "sizes", "confusions", "review"}
    text = " ".join(page.texts)
    assert "Nothing was confused." in text and "itself is not tuned" in text
    assert not [s for s in page.values("img", "src") if "jpeg" in s]
    told = {str(what): str(value) for what, value in tabulate_settings(found).rows}
    assert (told["split"], told["projection learned from labels"]) == ("by hand", "none")
    assert "learned" not in [row.name for row in found.evaluation.rows]


@pytest.fixture(scope="module")
def learned() -> Report:
    return report(indexed(200), by="random", baselines=False, precision=0.9)


def test_an_index_with_text_scores_has_a_report(learned: Report) -> None:
    """They are fitted anew on the training part, and are no encoder to ask for."""
    assert indexed(200).parts.scores is not None
    assert [row.name for row in learned.evaluation.rows][-2:] == ["learned", "tuned"]
    assert learned.evaluation.rows[-2].scores[0].accuracy > 0.9
    told = {str(what): str(value) for what, value in tabulate_settings(learned).rows}
    assert told["encoder of scores"] == "text-scores"


def test_the_accepted_share_is_the_one_that_predict_accepts(
    learned: Report, tmp_path: Path
) -> None:
    """Shop-keepers plan with 80 % of automatic answers, and get 60 %."""
    index, found = indexed(200), learned
    assert found.acceptance is not None and found.evaluation.acceptance is not None
    text = unescape(write_report(found, tmp_path / "r.html").read_text(encoding="utf-8"))
    # Of the index itself, by its own calibration.
    cards = index.parts.catalogue.cards
    listings = replace(index.parts.catalogue, cards=cards.assign(id="new " + cards["id"]))
    predictions = index.predict(listings, precision=0.9)
    least = found.acceptance.threshold
    assert all((p.decision == "accept") == (p.confidence >= least) for p in predictions)
    shown = f"confidence of {write_percent(least)} on, which are "
    assert shown + write_percent(found.acceptance.coverage) in text
    expected = re.search(r"expected acceptance (\d+)%", " ".join(predictions.notes))
    assert expected and int(expected[1]) == round(100 * found.acceptance.coverage)
    # Of the test cards, by an index of the others.
    split, cards = found.evaluation.splits[0], found.evaluation.catalogue
    train = ProductIndex.build(
        split.select(cards, "train"),
        encoders=found.evaluation.settings["encoders"],
        preset=found.evaluation.settings["preset"],
    )
    answers = train.tuned(train.tune()).predict(split.select(cards, "test"), precision=0.9)
    share = sum(answer.decision == "accept" for answer in answers) / len(answers)
    assert found.evaluation.acceptance.accepted == pytest.approx(share)
    assert f"accepted {write_percent(share)} of the test cards" in text


def test_a_precision_that_cannot_be_shown_accepts_nothing(tmp_path: Path) -> None:
    found = report(indexed(200), by="random", baselines=False, precision=0.999)
    page = write_report(found, tmp_path / "r.html", command="prodcat report x")
    text = unescape(page.read_text(encoding="utf-8")).replace("\xa0", " ")
    assert found.acceptance is None
    assert "accepts no answer of this index, because its 200 calibration cards cannot" in text
    assert "accepted 0.0 % of the test cards" in text and "<code>prodcat report x</code>" in text


def test_labels_that_sure_answers_contradict_are_listed(
    found: Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wrong labels are the mistakes that a correction of the catalogue mends at once."""
    answers = found.evaluation.cards.query("split == 1")
    wrong = answers[answers["true"] != answers["predicted"]]
    sure = wrong[found.evaluation.confidence[-1].kind]
    monkeypatch.setattr("prodcat_index.reports.report.CONTRADICTS", sure.median())
    doubted = find_examples(found.evaluation).doubted
    expected = sorted(sure[sure >= sure.median()], reverse=True)
    assert [card.confidence for card in doubted] == expected[:OF_QUEUE]
    assert doubted and {card.id for card in doubted} <= set(wrong["id"])


def test_a_precision_that_is_no_share_is_refused(found: Report) -> None:
    with pytest.raises(QueryError, match=r"above 0 and below 1.*it is 95"):
        report(ProductIndex(found.parts), precision=95)
