"""``scripts/bench answers`` and ``scripts/bench mwpd``: figures of the benchmark page."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import f1_score, precision_recall_fscore_support
from typer.testing import CliRunner

from prodcat_index import ProductIndex, find_groups, read_catalogue
from prodcat_index.evaluation.text_classifier import classify_texts
from scripts.benchmarks import answers, judging, mwpd
from scripts.benchmarks.__main__ import app
from scripts.benchmarks.judging import Judged, Runs, ask, judge, level_f1

SHELVES = {"boots": "leather sole winter", "kettles": "steel glass boils", "lamps": "light shade"}
GS1 = {
    "boots": "63000000_Footwear > 63010000_Footwear > 63010300_Boots/Shoes",
    "kettles": "73000000_Kitchen > 73040000_Kitchenware > 73040100_Kettles",
    "lamps": "78000000_Electrical > 78020000_Lighting > 78020100_Lamps",
}


def write_cards(file: Path, count: int = 60, **more: Callable[[int], str]) -> Path:
    """Write cards whose words are those of their shelf, but for every fifth card."""
    rng = np.random.default_rng(3)
    rows = []
    for number in range(count):
        shelf = list(SHELVES)[number % 3]
        told = list(SHELVES)[(number + (number % 5 == 0)) % 3]
        words = rng.choice(SHELVES[told].split(), 2)
        row = {"id": f"c{number:02}", "title": f"{' '.join(words)} {number}", "category": shelf}
        rows.append(row | {name: make(number) for name, make in more.items()})
    file.parent.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(rows).to_csv(file, index=False)
    return file


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two catalogues, one with variants and a second column of categories, and one without any."""
    group = {"image_sha1": lambda n: f"photo {n // 4}", "level2": lambda n: f"half {n % 2}"}
    write_cards(tmp_path / "data" / "variants" / "cards.csv", **group)
    write_cards(tmp_path / "data" / "alone" / "cards.csv")
    nothing = pd.DataFrame({"id": ["1"], "title": ["boots"], "shelf": ["boots"]})
    (tmp_path / "data" / "nothing").mkdir()
    nothing.to_csv(tmp_path / "data" / "nothing" / "cards.csv", index=False)
    return tmp_path / "data"


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Judge in this process, and list what was judged."""
    judged: list[Any] = []

    def work(function: Callable[..., Any], *given: Any) -> Any:
        judged.append(given)
        return function(*given)

    monkeypatch.setattr(judging, "in_own_process", work)
    return judged


def bench(*arguments: object) -> Any:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def parts_of(file: Path, seed: int = 0) -> tuple[Any, Any, Any]:
    catalogue = read_catalogue(file)
    codes = find_groups(catalogue).codes
    [(train, test)] = answers.split(codes, [seed])
    return catalogue.select(train.tolist()), catalogue.select(test.tolist()), codes[train]


def test_figures_are_those_of_the_index_and_of_the_classifier(tmp_path: Path) -> None:
    """The page would show other figures than a user gets."""
    train, test, groups = parts_of(write_cards(tmp_path / "cards.csv", 90))
    judged = judge(train, test, groups, 5, 0.95, 0)
    index, true = ProductIndex.build(train), test.values("category")
    given, refused = ask(index, test, 0.95)
    predicted = index.predict(test).categories
    right = np.array(predicted) == np.array(true)
    confidence = np.array([answer.confidence for answer in given])
    assert (judged.test, judged.unreachable, judged.refused) == (len(test), 0, refused)
    assert judged.f1 == [pytest.approx(f1_score(true, predicted, average="weighted"))]
    assert judged.accuracy == pytest.approx(right.mean())
    assert judged.confidence == pytest.approx(confidence.mean())
    assert 0 < judged.accuracy < 1
    scores = classify_texts(train, groups, test, 5).scores
    assert scores is not None
    told = np.array(sorted(SHELVES))[scores.argmax(axis=1)]
    assert judged.text_f1 == [pytest.approx(f1_score(true, told, average="weighted"))]
    assert judged.accepted == sum(answer.decision == "accept" for answer in given)
    bounds = [confidence >= least for least in confidence]
    kept = [accepted.mean() for accepted in bounds if right[accepted].mean() >= 0.95]
    assert judged.oracle == pytest.approx(max(kept, default=0.0))
    assert judged.build_cpu > 0


class Answer:
    """An answer of a made-up index."""

    def __init__(self, category: str, confidence: float, decision: str) -> None:
        self.category, self.confidence, self.decision = category, confidence, decision


def test_accepted_answers_are_counted_with_those_that_are_right(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A precision would be shown that nobody reached."""
    train, test, groups = parts_of(write_cards(tmp_path / "cards.csv"))
    test = test.select([0, 1, 2, 3])
    true = test.values("category")
    given = [
        Answer(true[0], 0.9, "accept"),
        Answer("a shelf that is wrong", 0.8, "accept"),
        Answer(true[2], 0.7, "accept"),
        Answer(true[3], 0.0, "review"),
    ]
    monkeypatch.setattr(judging, "ask", lambda *_: (given, False))
    judged = judge(train, test, groups, 0, 0.95, 0)
    assert (judged.accepted, judged.accepted_right, judged.refused) == (3, 2, False)
    assert (judged.accuracy, judged.confidence) == (0.75, pytest.approx(0.6))
    assert judged.ece == pytest.approx((0.1 + 0.8 + 0.3 + 1.0) / 4)
    assert judged.oracle == 0.25
    row = judging.confidence_row("made up", [judged])
    assert row[:-1] == ["made up", "0.750", "0.600", "0.550", "75.0%", "66.7%", "25.0%"]


def test_each_level_is_scored_as_the_organisers_of_the_benchmark_do() -> None:
    """A figure beside the published best would be of another measure."""
    rng = np.random.default_rng(0)
    names = [f"{a} > {a}{b} > {a}{b}{c}" for a in "xy" for b in "12" for c in "mn"]
    true, told = (list(rng.choice(names, 80)) for _ in range(2))
    told[0] = ""
    found = level_f1(true, told, 3)
    for level in range(3):
        gold = [label.split(" > ")[level] for label in true]
        said = [[*label.split(" > "), "", ""][level] for label in told]
        scored = precision_recall_fscore_support(gold, said, average="weighted", zero_division=0)
        assert found[level] == pytest.approx(scored[2])
    assert found[0] > found[1] > found[2]
    assert level_f1(true, told, 0) == [pytest.approx(found[2])]
    assert level_f1(true, [], 3) == []


def figures(f1: float, **more: Any) -> Judged:
    usual = Judged(40, 2, [f1], [0.75], 0.8, 0.9, 0.1, False, 10, 9, 0.5, 3.2)
    return Judged(**{**asdict(usual), **more})


def test_a_finished_run_is_not_run_again(tmp_path: Path, at_once: list[Any]) -> None:
    """An interrupted night of computing would begin anew, or an old figure stand for a new one."""
    file, cards = tmp_path / "runs.jsonl", write_cards(tmp_path / "cards.csv")
    train, test, groups = parts_of(cards)
    work = (train, test, groups, 0, 0.95, 0)
    first = Runs(file).judge([cards], {"seed": 0}, *work)
    assert Runs(file).judge([cards], {"seed": 0}, *work) == first
    assert len(at_once) == 1
    Runs(file).judge([cards], {"seed": 1}, *work)
    assert len(at_once) == 2
    with file.open("a", encoding="utf-8") as end:
        end.write('["half of a li')
    write_cards(cards, 59)
    Runs(file).judge([cards], {"seed": 0}, *work)
    assert len(at_once) == 3


def test_runs_of_other_code_do_not_count(
    tmp_path: Path, at_once: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page would mix figures of two versions."""
    cards, package = write_cards(tmp_path / "cards.csv"), tmp_path / "package"
    package.mkdir()
    (package / "code.py").write_text("one", encoding="utf-8")
    monkeypatch.setattr(judging, "PACKAGE", package)
    work = (*parts_of(cards), 0, 0.95, 0)
    for text, count in (("one", 1), ("one", 1), ("two", 2)):
        (package / "code.py").write_text(text, encoding="utf-8")
        Runs(tmp_path / "runs.jsonl").judge([cards], {}, *work)
        assert len(at_once) == count


def test_every_catalogue_of_a_folder_has_a_row(
    data: Path, tmp_path: Path, at_once: list[Any]
) -> None:
    """The table would lack a shop, most likely one where we are behind."""
    page, cache = tmp_path / "page.md", tmp_path / "runs.jsonl"
    page.write_text("# Benchmarks\n\n## Tuning\n\nkept\n", encoding="utf-8")
    given = ["answers", data, "--seeds", "0,7", "--cache", cache, "--output", page]
    done = bench(*given)
    assert done.exit_code == 0, done.output
    written = page.read_text(encoding="utf-8")
    assert "## Tuning\n\nkept" in written
    rows = [line.split(" | ") for line in written.splitlines() if line.startswith("| alone")]
    assert len(rows) == 2 and len(rows[0]) == len(answers.HEADER)
    runs = [Judged(**json.loads(line)[1]) for line in cache.read_text().splitlines()]
    assert len(runs) == len(at_once) == 4
    assert rows[0][1:3] == ["60", "3"]
    assert rows[0][4] == f"{(runs[0].f1[0] + runs[1].f1[0]) / 2:.3f}"
    assert rows[0][5] == f"{runs[0].f1[0]:.3f}, {runs[1].f1[0]:.3f}"
    assert rows[0][7] == f"{runs[0].text_f1[0]:.3f}, {runs[1].text_f1[0]:.3f}"
    assert "Left out, because they cannot be judged: nothing." in written
    assert "--seeds 0,7" in written
    assert done.stderr.count(" as built ") == 4
    assert bench(*given).exit_code == 0
    assert page.read_text(encoding="utf-8") == written
    assert len(at_once) == 4


def test_groups_and_categories_are_those_that_were_asked_for(
    data: Path, tmp_path: Path, at_once: list[Any]
) -> None:
    """Variants in both parts make every figure too good."""
    given = ["answers", data, "--seeds", "0", "--only", "variants", "--page", tmp_path / "page.md"]
    done = bench(*given, "--category", "variants=level2")
    assert done.exit_code == 0, done.output
    [(train, test, groups, *_)] = at_once
    assert set(train.values("category")) == {"half 0", "half 1"}
    photos = [set(part.values("group")) for part in (train, test)]
    assert photos[0] and photos[1] and not photos[0] & photos[1]
    assert len(groups) == len(train)
    assert len(set(groups.tolist())) == len(photos[0])
    assert bench(*given, "--group", "variants=id").exit_code == 0
    photos = [set(part.values("image_sha1")) for part in at_once[1][:2]]
    assert photos[0] & photos[1]


@pytest.mark.parametrize(
    "wrong", [["--seeds", "zero"], ["--category", "level2"], ["--only", "no such shop"]]
)
def test_a_wrong_call_is_told(data: Path, tmp_path: Path, wrong: list[str]) -> None:
    done = bench("answers", data, "--page", tmp_path / "page.md", *wrong)
    assert done.exit_code == 2
    assert not (tmp_path / "page.md").exists()


def test_a_set_where_we_are_behind_is_told() -> None:
    """The table would be read as a row of victories."""
    ahead = answers.Answered("first", 1000, 7, [figures(0.8), figures(0.9)])
    behind = answers.Answered("second", 90, 3, [figures(0.7)])
    text = answers.describe([ahead, behind], [], "scripts/bench answers DATA", 0.95)
    assert (
        "| first | 1,000 | 7 | 2, 2 | 0.850 | 0.800, 0.900 | 0.750 | 0.750, 0.750 | +0.100 |"
        in text
    )
    assert "| 0.750 | 0.750 | **-0.050, behind** |" in text
    assert "| second | 0.800 | 0.900 | 0.100 | 25.0% | 90.0% | 50.0% | 3 |" in text


def test_what_cannot_be_measured_is_a_dash() -> None:
    """A refusal would look like a precision of nothing."""
    run = figures(0.8, text_f1=[], refused=True, accepted=0, accepted_right=0)
    text = answers.describe([answers.Answered("pictures", 9, 3, [run])], [], "", 0.95)
    assert "| pictures | 9 | 3 | 2 | 0.800 | 0.800 | – | – | – |" in text
    assert "| pictures | 0.800 | 0.900 | 0.100 | refused | – | 50.0% | 3 |" in text


def offers(letter: str, numbers: range) -> list[dict[str, str]]:
    rows = []
    for number in numbers:
        shelf = list(SHELVES)[number % 3]
        levels = dict(zip(mwpd.LEVELS, GS1[shelf].split(" > "), strict=True))
        fields = {"Name": f"{SHELVES[shelf]} {number}", "Description": f"a thing {number % 7}"}
        rows.append(
            {"ID": f"{letter}{number}", "URL": "", "CategoryText": "All", **fields, **levels}
        )
    return rows


PARTS = {
    "train": ("t", range(60)),
    "validation": ("v", range(60, 75)),
    "test": ("x", range(75, 90)),
}


@pytest.fixture
def published(tmp_path: Path) -> Path:
    folder = tmp_path / "published"
    folder.mkdir()
    for part, (letter, numbers) in PARTS.items():
        lines = map(json.dumps, offers(letter, numbers))
        (folder / mwpd.FILES[part]).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def test_both_layouts_of_the_benchmark_hold_the_same_cards(published: Path, tmp_path: Path) -> None:
    """A user of the published files would get other figures."""
    rows = [offer for letter, numbers in PARTS.values() for offer in offers(letter, numbers)]
    table = pd.DataFrame([mwpd.make_row(offer) for offer in rows])
    table.to_csv(tmp_path / "cards.csv", index=False)
    one, other = mwpd.read_parts(published), mwpd.read_parts(tmp_path)
    assert list(one) == list(other) == list(PARTS)
    for part, (letter, numbers) in PARTS.items():
        assert one[part].ids == other[part].ids == [f"{letter}{n}" for n in numbers]
        for column in ("title", "description", "category"):
            assert one[part].values(column) == other[part].values(column)
    assert one["train"].values("category")[0] == GS1["boots"]


@pytest.mark.parametrize(("given", "part"), [([], "test"), (["--on", "validation"], "validation")])
def test_the_benchmark_is_scored_on_a_part(
    published: Path, tmp_path: Path, at_once: list[Any], given: list[str], part: str
) -> None:
    """A score on other cards would stand beside the published best."""
    page = tmp_path / "page.md"
    done = bench("mwpd", published, "--page", page, *given)
    assert done.exit_code == 0, done.output
    [(train, test, groups, *_, depth)] = at_once
    letter, numbers = PARTS[part]
    assert test.ids == [f"{letter}{number}" for number in numbers]
    assert len(train) == len(groups) == 60 and depth == 3
    text = page.read_text(encoding="utf-8")
    assert "| prodcat, as built | 1.000 | 1.000 | 1.000 | 1.000 |" in text
    assert ("| best published | – | – | – | 0.886 |" in text) == (part == "test")


def test_a_part_that_is_not_there_is_told(published: Path, tmp_path: Path) -> None:
    (published / mwpd.FILES["test"]).unlink()
    done = bench("mwpd", published, "--on", "test", "--page", tmp_path / "page.md")
    assert done.exit_code == 2
    assert "no cards of the part test" in " ".join(done.output.split())


def test_a_run_in_a_process_of_its_own_says_the_same(tmp_path: Path) -> None:
    """What the tests judge here in one process would not be what the script does."""
    cards = write_cards(tmp_path / "cards.csv")
    work = (*parts_of(cards), 0, 0.95, 0)
    apart, here = Runs(None).judge([cards], {}, *work), judge(*work)
    assert {**asdict(apart), "build_cpu": 0} == {**asdict(here), "build_cpu": 0}
