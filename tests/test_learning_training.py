"""What fine-tuning is made of: training data, balance, score, chance, and the folder."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import finetuning
import made
import numpy as np
import pandas as pd
import pytest

from prodcat_index.cards.split import Split
from prodcat_index.encoders.base import unit_rows
from prodcat_index.encoders.networks import import_with_torch
from prodcat_index.errors import CatalogueError, EncoderError
from prodcat_index.learning.finetune import FinetuneSettings, exclusive_run_dir, resume_point
from prodcat_index.learning.trainable import SHRINKAGE, first_layer, make_trainable, seeded
from prodcat_index.learning.training_data import (
    IN_LATER_PART,
    UNREADABLE,
    Rows,
    best_epoch,
    collect,
    knn_f1,
)

CARDS = [
    made.row("a1", "red boots", category="boots"),
    made.row("a2", "black boots", category="boots"),
    made.row("a3", "old boots", category="boots"),
    made.row("k1", "steel kettle", category="kettles"),
    made.row("k2", "glass kettle", category="kettles"),
    made.row("l1", "desk lamp", category="lamps"),
    made.row("u1", "no category"),
    made.row("e1", "", category="boots"),
]
PARTS = ("train", "train", "valid", "train", "test", "test", "train", "train")


def split(parts: tuple[str, ...] = PARTS) -> Split:
    ids = tuple(row["id"] for row in CARDS)
    return Split(ids, parts, np.arange(len(ids)), "made up")


def test_cards_go_to_their_parts_without_those_that_have_no_label_or_value() -> None:
    """A card without category would teach a category of the name ""."""
    data = collect(made.catalogue(CARDS), split(), "title", "text")
    assert list(data.parts["train"]["id"]) == ["a1", "a2", "k1"]
    assert list(data.parts["valid"]["value"]) == ["old boots"]
    assert list(data.parts["test"]["id"]) == ["k2", "l1"]
    assert data.categories == 2
    assert data.parts["test"]["code"].tolist() == [1, 2], "what is not taught is numbered last"
    assert data.findings == ()


def test_what_two_parts_share_stays_in_the_later_one() -> None:
    """The score would be that of a title which was learned by heart under another id."""
    cards = [*CARDS, made.row("x1", "glass kettle", category="kettles")]
    cards.append(made.row("x2", "desk lamp", category="lamps"))
    parts = Split(
        tuple(row["id"] for row in cards), (*PARTS, "train", "valid"), np.arange(10), "made up"
    )
    data = collect(made.catalogue(cards), parts, "title", "text")
    assert set(data.parts["train"]["id"]) == {"a1", "a2", "k1"}
    assert set(data.parts["valid"]["id"]) == {"a3"}
    (finding,) = data.findings
    assert (finding.what, finding.ids) == (IN_LATER_PART, ("x1", "x2"))
    assert not data.seen & set(data.parts["test"]["digest"])
    assert data.seen == {*data.parts["train"]["digest"], *data.parts["valid"]["digest"]}


def test_cards_without_an_embedding_are_named_and_the_others_numbered_anew() -> None:
    """A text without one known word would be trained on as if all such texts were alike."""
    whole = collect(made.catalogue(CARDS), split(), "title", "text")
    present = np.array([card not in ("k1", "l1") for card in whole.cards["id"]])
    with pytest.raises(CatalogueError, match="1 category to train on and 1 validation card"):
        whole.keep(present, UNREADABLE)
    data = whole.keep(~np.isin(whole.cards["id"], ["a1", "l1"]), UNREADABLE)
    assert data.parts["train"]["id"].tolist() == ["a2", "k1"]
    assert data.parts["test"]["id"].tolist() == ["k2"]
    assert (data.cards["code"].tolist(), data.categories) == ([0, 0, 1, 1], 2)
    (finding,) = data.findings
    assert (finding.what, finding.ids) == (UNREADABLE, ("a1", "l1"))


def test_nothing_to_stop_by_is_said() -> None:
    parts = tuple("train" if part == "valid" else part for part in PARTS)
    with pytest.raises(CatalogueError, match="0 validation cards"):
        collect(made.catalogue(CARDS), split(parts), "title", "text")


def test_sampling_draws_every_category_equally_often() -> None:
    import_with_torch("transformers.trainer")
    from prodcat_index.learning.training import _equal_chances

    chances = _equal_chances(np.array([0, 0, 0, 1]))
    assert chances == pytest.approx([1 / 6, 1 / 6, 1 / 6, 1 / 2])


def test_the_score_is_the_weighted_f1_of_the_nearest_taught_cards() -> None:
    """By another score than the index's own, another epoch would be kept."""
    near, far = [1.0, 0.05], [0.05, 1.0]
    taught = Rows(unit_rows(np.array([near] * 12 + [far] * 12)), np.repeat([0, 1], 12))
    asked = Rows(unit_rows(np.array([near, near, far, far])), np.array([0, 0, 1, 0]))
    # Category 0: 2 of 3 found, none wrong, F1 0.8; category 1: 1 of 1 found, 1 wrong, F1 2/3.
    assert knn_f1(taught, asked) == pytest.approx((3 * 0.8 + 1 * 2 / 3) / 4)


def test_a_category_that_is_not_taught_is_missed() -> None:
    rows = unit_rows(np.eye(3))
    assert knn_f1(Rows(rows[:2], np.array([0, 1])), Rows(rows[2:], np.array([2]))) == 0


@pytest.mark.parametrize(
    ("scores", "kept"),
    [([0.5, 0.6, 0.7, 0.65], 2), ([0.5, 0.4, 0.45], 0), ([0.5, 0.4, 0.5], 2), ([0.5, 0.6, 0.6], 1)],
)
def test_the_best_epoch_is_kept_and_the_beginning_only_where_none_is_as_good(
    scores: list[float], kept: int
) -> None:
    """Else the picture of the training shows another network than the folder holds."""
    entries = [{"epoch": float(epoch), "f1": f1} for epoch, f1 in enumerate(scores)]
    history = [entries[0], {"epoch": 0.5, "loss": 0.9}, *entries[1:]]
    assert best_epoch(history) == (kept, scores[kept])


def test_no_discriminant_of_the_first_layer_outweighs_the_others() -> None:
    """The gains in docs/decisions.md are those of discriminants that are not stretched."""
    rng = np.random.default_rng(0)
    codes = np.repeat([0, 1, 2], 40)
    rows = rng.normal(size=(120, 8)) * [9, 3, 1, 1, 1, 1, 1, 2]
    rows[:, 5] += 4 * codes
    rows[:, 6] += 2 * (codes == 1)
    weights, _ = first_layer(rows.astype(np.float32), codes)
    within = np.mean([np.cov(rows[codes == code].T, bias=True) for code in range(3)], axis=0)
    shrunk = (1 - SHRINKAGE) * within + SHRINKAGE * np.trace(within) / 8 * np.eye(8)
    spread = weights[:2] @ shrunk @ weights[:2].T
    assert spread / spread[0, 0] == pytest.approx(np.eye(2), abs=1e-3)


def test_the_first_layer_tells_categories_apart_and_all_else_beside_them() -> None:
    """With the categories alone, the pictures of one of them would all be alike to a search."""
    rng = np.random.default_rng(0)
    codes = np.repeat([0, 1, 2], 40)
    rows = rng.normal(size=(120, 8)) * [9, 3, 1, 1, 1, 1, 1, 0] + 5
    rows[:, 5] += 4 * codes
    rows[:, 6] += 4 * (codes == 1)
    weights, biases = first_layer(rows.astype(np.float32), codes)
    assert weights.shape == (2 + 7, 8) and biases.shape == (9,)
    out = rows @ weights.T + biases
    assert out.mean(axis=0) == pytest.approx(np.zeros(9), abs=1e-4)
    assert np.linalg.norm(out[:, :2], axis=1).mean() == pytest.approx(1, abs=1e-4)
    assert np.linalg.norm(out[:, 2:], axis=1).mean() == pytest.approx(1.5, abs=1e-4)
    # The covariance of the components is that of the rows to the power of a half.
    deviations = np.sort(out[:, 2:].std(axis=0))[::-1]
    usual = np.linalg.svd(rows - rows.mean(axis=0), compute_uv=False)[:7]
    assert deviations / deviations[0] == pytest.approx(np.sqrt(usual / usual[0]), rel=1e-3)
    between = np.var([out[codes == code, :2].mean(axis=0) for code in range(3)], axis=0).sum()
    plain = np.var([rows[codes == code].mean(axis=0) for code in range(3)], axis=0).sum()
    assert between / out[:, :2].var(axis=0).sum() > 2 * plain / rows.var(axis=0).sum()


def test_the_first_layer_is_narrow_and_works_where_cards_are_alike() -> None:
    rows = np.random.default_rng(0).normal(size=(400, 300)).astype(np.float32)
    weights, _ = first_layer(rows, np.arange(400) % 20)
    assert weights.shape == (256, 300)
    weights, _ = first_layer(rows, np.zeros(400, dtype=np.int64))
    assert weights.shape == (256, 300), "one category has no discriminants"


def test_a_picture_network_begins_with_a_layer_that_is_fitted_to_mirror_images_too(
    tmp_path: Path,
) -> None:
    """A shoe that points to the left is the same shoe, and no category should be told by it."""
    cards = finetuning.coloured_cards(tmp_path)
    values = cards.values("image")
    codes = np.unique(cards.values("category"), return_inverse=True)[1]
    network = finetuning.save_network(tmp_path)
    features = make_trainable(network, 32).encoder.features  # type: ignore[attr-defined]
    views = np.concatenate([features(values), features(values, mirrored=True)])
    weights, biases = first_layer(views, np.tile(codes, 2))
    trainable = make_trainable(network, 32)
    trainable.begin(pd.DataFrame({"value": values, "code": codes}))
    layer = trainable.network.get_classifier()  # type: ignore[operator]
    np.testing.assert_array_equal(layer.weight.detach().numpy(), weights)
    np.testing.assert_array_equal(layer.bias.detach().numpy(), biases)
    once, _ = first_layer(views[: len(values)], codes)
    assert not np.allclose(weights[: len(once)], once, atol=1e-4)


class AsGiven:
    """Stands for an encoder whose features are what it is given."""

    def __init__(self) -> None:
        import torch

        self.network = torch.nn.Sequential(torch.nn.Linear(2, 2))
        self.features = torch.nn.Identity()


def neighbourhood(codes: list[int], rows: list[list[float]]) -> Any:
    import_with_torch("transformers.trainer")
    from prodcat_index.learning.training import Neighbourhood

    initial_embeddings = Rows(np.array(rows, dtype=np.float32), np.array(codes))
    return Neighbourhood(AsGiven(), initial_embeddings, 0.0)  # type: ignore[arg-type]


def test_the_loss_is_the_share_of_the_votes_of_other_categories() -> None:
    """With itself among its neighbours, every card would be right, and nothing learned."""
    import torch

    model = neighbourhood([0, 0, 1, 1], [[1, 0], [0, 1], [-1, 0], [0, -1]])
    # A row on (1, 0): its kin at cosine 0, the others at -1 and 0; temperature 0.1.
    loss = model(torch.tensor([[1.0, 0.0]]), torch.tensor([0]))["loss"]
    assert loss.item() == pytest.approx(np.log(2 + np.exp(-10)), abs=1e-5)
    model.remember(Rows(np.array([[1, 0], [1, 0], [-1, 0], [-1, 0]], np.float32), np.zeros(4)))
    loss = model(torch.tensor([[1.0, 0.0]]), torch.tensor([0]))["loss"]
    assert loss.item() == pytest.approx(np.log(1 + 2 * np.exp(-20)), abs=1e-5)


def test_a_card_without_kin_teaches_nothing() -> None:
    """Its loss would be without bound, and spoil the network."""
    import torch

    model = neighbourhood([0, 1, 1], [[1, 0], [0, 1], [-1, 0]])
    rows = torch.tensor([[1.0, 0.0]], requires_grad=True)
    loss = model(rows, torch.tensor([0]))["loss"]
    loss.backward()
    assert loss.item() == 0
    assert rows.grad is not None and rows.grad.abs().max() == 0


def test_chance_depends_on_its_number_alone_and_disturbs_nobody() -> None:
    """Otherwise a resumed run sees other pictures than one that was never stopped."""
    import torch

    def draw() -> tuple[float, float, float]:
        return random.random(), float(np.random.random()), float(torch.rand(()))

    def seed() -> None:
        random.seed(1)
        np.random.seed(1)
        torch.manual_seed(1)

    seed()
    plain = draw()
    seed()
    with seeded(7):
        first = draw()
    assert draw() == plain
    with seeded(7):
        assert draw() == first


def test_every_epoch_draws_the_cards_in_another_order_that_seed_and_epoch_decide() -> None:
    """A resumed run would see other pictures, or every epoch the same crops."""
    import_with_torch("transformers.trainer")
    from prodcat_index.learning.training import _Draws

    cards = pd.DataFrame({"code": [0] * 30 + [1] * 10})

    def draw(epoch: int, *, balanced: bool = False, seed: int = 0) -> list[tuple[int, int]]:
        draws = _Draws(cards, balanced, seed)
        draws.set_epoch(epoch)
        assert len(draws) == 40
        return list(draws)

    assert draw(3) == draw(3)
    assert sorted(row for row, _ in draw(3)) == list(range(40))
    numbers = [{number for _, number in draw(epoch)} for epoch in (0, 1)]
    assert len(numbers[0]) == 40 and not numbers[0] & numbers[1]
    assert [row for row, _ in draw(0)] != [row for row, _ in draw(1)]
    assert draw(0) != draw(0, seed=1)
    drawn = [row for epoch in range(20) for row, _ in draw(epoch, balanced=True)]
    assert np.mean([row >= 30 for row in drawn]) == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"epochs": 0}, "epochs"),
        ({"batch": 0}, "batch"),
        ({"learning_rate": 0.0}, "learning rate"),
        ({"freeze": 1.0}, "frozen share"),
        ({"seed": -1}, "seed"),
    ],
)
def test_a_wrong_setting_is_named(wrong: dict[str, float], named: str) -> None:
    with pytest.raises(EncoderError, match=named):
        FinetuneSettings(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("spec", "size", "said"),
    [
        ("lexical", None, "no network to train"),
        ("finetuned:somewhere", None, "fine-tuned already"),
        ("sbert:somewhere", 64, "leave the input size out"),
        ("efficientnet-lite0", 3, "from 32 to 2048"),
    ],
)
def test_what_cannot_be_trained_is_refused(spec: str, size: int | None, said: str) -> None:
    with pytest.raises(EncoderError, match=said):
        make_trainable(spec, size)


def test_a_folder_with_other_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(EncoderError, match="holds other files"), exclusive_run_dir(tmp_path):
        raise AssertionError
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_two_trainings_do_not_share_a_folder(tmp_path: Path) -> None:
    def train() -> None:
        with exclusive_run_dir(tmp_path / "encoder"):
            pass

    with (
        exclusive_run_dir(tmp_path / "encoder"),
        ThreadPoolExecutor(1) as other,
        pytest.raises(EncoderError, match="Another process is writing the encoder"),
    ):
        other.submit(train).result()


def test_a_run_goes_on_from_its_last_whole_checkpoint(tmp_path: Path) -> None:
    """One that was killed while it wrote a checkpoint could not go on at all."""
    assert resume_point(tmp_path, "abc") is None
    for step, state in ((5, "{}"), (10, "{}"), (15, '{"epoch": 1')):
        folder = tmp_path / "checkpoints" / f"checkpoint-{step}"
        folder.mkdir()
        (folder / "trainer_state.json").write_text(state)
    (tmp_path / "checkpoints" / "checkpoint-20").mkdir()
    found = resume_point(tmp_path, "abc")
    assert found is not None and found.name == "checkpoint-10"


def test_a_run_of_other_settings_is_not_gone_on_with(tmp_path: Path) -> None:
    resume_point(tmp_path, "abc")
    with pytest.raises(EncoderError, match="unfinished training of another encoder"):
        resume_point(tmp_path, "abd")
