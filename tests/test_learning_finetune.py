"""Fine-tuning small networks from beginning to end."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import finetuning
import made
import numpy as np
import pytest
from sentences import make_static_model

from prodcat_index.cards.card import Catalogue
from prodcat_index.cards.split import read_split
from prodcat_index.encoders.embedding import content_digests
from prodcat_index.encoders.networks import import_with_torch
from prodcat_index.encoders.registry import make_encoder, seen_by
from prodcat_index.errors import EncoderError
from prodcat_index.index.product_index import ProductIndex
from prodcat_index.learning.finetune import Finetuned, finetune
from prodcat_index.learning.training_data import Rows, knn_f1


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    """Several threads would wait for each other over networks this small."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Catalogue:
    return finetuning.coloured_cards(tmp_path_factory.mktemp("coloured"))


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> str:
    return finetuning.save_network(tmp_path_factory.mktemp("network"))


@pytest.fixture(scope="module")
def said() -> list[str]:
    return []


@pytest.fixture(scope="module")
def tuned(
    pictures: Catalogue, network: str, said: list[str], tmp_path_factory: pytest.TempPathFactory
) -> Finetuned:
    """An encoder that was trained for three epochs."""
    return finetune(
        pictures,
        "image",
        network,
        tmp_path_factory.mktemp("tuned") / "encoder",
        split=finetuning.split_of(pictures),
        settings=finetuning.QUICK,
        say=said.append,
    )


def losses(result: Finetuned) -> list[float]:
    return [entry["loss"] for entry in result.history if "loss" in entry]


def test_training_lowers_the_loss_and_tells_of_it(tuned: Finetuned, said: list[str]) -> None:
    """A network that is not trained at all would pass for a fine-tuned one."""
    assert losses(tuned)[-1] < 0.8 * losses(tuned)[0]
    assert len(said) == 3
    assert said[2].startswith(f"epoch 3 of 3: loss {losses(tuned)[-1]:.3f}, valid weighted F1 ")


def test_the_best_epoch_is_kept_and_loads_by_the_spec(
    tuned: Finetuned, pictures: Catalogue, network: str
) -> None:
    """What an index embeds with must be the very network that was scored."""
    split = finetuning.split_of(pictures)
    encoder = make_encoder(tuned.spec)
    assert encoder.spec.endswith("?input_size=32&rows=classifier&crop=none")
    rows = {}
    for part in ("train", "valid", "test"):
        cards = split.select(pictures, part)
        codes = np.unique(cards.values("category"), return_inverse=True)[1]
        rows[part] = Rows(encoder.encode(cards.values("image")).vectors, codes)
    valid, test = tuned.scores
    assert (valid.part, valid.cards, test.part, test.cards) == ("valid", 6, "test", 6)
    assert valid.after == max(entry["f1"] for entry in tuned.history if "f1" in entry)
    assert knn_f1(rows["train"], rows["valid"]) == pytest.approx(valid.after)
    assert knn_f1(rows["train"], rows["test"]) == pytest.approx(test.after)
    assert encoder.fingerprint != make_encoder(f"{network}?input_size=32").fingerprint


def test_a_training_that_spoils_the_network_leaves_it_as_it_began(
    pictures: Catalogue, network: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hours of training must not end in an encoder that is worse than the free one."""
    from prodcat_index.learning import training

    calls: list[float] = []

    def spoiled_f1(train: Rows, queries: Rows) -> float:
        # Of each run, the first score is that of the network as it began.
        calls.append(0.1 if len(calls) % 2 else knn_f1(train, queries))
        return calls[-1]

    monkeypatch.setattr(training, "knn_f1", spoiled_f1)
    split, said = finetuning.split_of(pictures), list[str]()
    kept = []
    for rate in (1e-3, 1e-2):
        settings = replace(finetuning.QUICK, epochs=1, learning_rate=rate)
        folder = tmp_path / f"{rate}"
        done = finetune(
            pictures, "image", network, folder, split=split, settings=settings, say=said.append
        )
        began, trained = (entry for entry in done.history if "f1" in entry)
        assert (began["epoch"], trained["f1"]) == (0, 0.1)
        assert done.scores[0].after == began["f1"] > 0.1
        assert said[-1] == "no epoch was better than the network as it began, which is kept"
        kept.append((folder / "model.safetensors").read_bytes())
    assert kept[0] == kept[1]


def test_an_index_takes_the_spec(tuned: Finetuned, pictures: Catalogue, tmp_path: Path) -> None:
    index = ProductIndex.build(pictures, encoders={"image": tuned.spec})
    loaded = ProductIndex.load(index.save(tmp_path / "index"))
    card = pictures.card(0)
    assert loaded.search(card, 1, weights={"image": 1})[0].id == card.id


def test_the_folder_holds_the_split_and_what_was_seen(
    tuned: Finetuned, pictures: Catalogue
) -> None:
    """Without these nobody can tell which scores are honest."""
    split = finetuning.split_of(pictures)
    assert read_split(tuned.folder / "split.csv").parts == split.parts
    seen = [
        digest
        for part in ("train", "valid")
        for digest in content_digests("picture", split.select(pictures, part).values("image"))
    ]
    assert seen_by(tuned.spec) == frozenset(seen)
    assert seen_by(f"timm:{finetuning.NETWORK}@{tuned.folder}/model.safetensors?input_size=32")
    assert seen_by("lexical") == seen_by("timm:resnet18") == frozenset()
    record = json.loads((tuned.folder / "training.json").read_text(encoding="utf-8"))
    assert record["training"]["cards"] == {"train": 24, "valid": 6, "test": 6}
    assert record["training"]["weighted_f1"]["test"]["after"] == tuned.scores[1].after
    assert record["training"]["settings"]["learning_rate"] == 1e-3
    left = {path.name for path in tuned.folder.iterdir()} - {".lock"}
    assert left == {"model.safetensors", "seen.txt", "split.csv", "training.json"}


def test_a_folder_that_lost_its_list_of_seen_cards_is_refused(
    tuned: Finetuned, tmp_path: Path
) -> None:
    """With the list removed, every card would pass for unseen."""
    (tmp_path / "training.json").write_bytes((tuned.folder / "training.json").read_bytes())
    with pytest.raises(EncoderError, match="nobody can tell which cards"):
        seen_by(f"finetuned:{tmp_path}")
    (tmp_path / "training.json").write_text("{}")
    with pytest.raises(EncoderError, match="damaged or of another version"):
        make_encoder(f"finetuned:{tmp_path}")


def test_a_finished_folder_is_not_written_over(
    tuned: Finetuned, pictures: Catalogue, network: str
) -> None:
    with pytest.raises(EncoderError, match="holds a fine-tuned encoder already"):
        finetune(pictures, "image", network, tuned.folder)


def poisoned(catalogue: Catalogue, folder: Path) -> Catalogue:
    """Give cards to stop by and to judge other pictures, and other labels to those to judge."""
    split = finetuning.split_of(catalogue)
    other = finetuning.coloured_cards(folder, each=4, seed=1).values("image")
    cards = catalogue.cards.copy()
    places = [row for row, part in enumerate(split.parts) if part != "train"]
    cards.loc[places, "image"] = other
    judged = [row for row, part in enumerate(split.parts) if part == "test"]
    cards.loc[judged, "category"] = "red"
    return replace(catalogue, cards=cards)


def test_cards_to_stop_by_and_to_judge_never_reach_the_network(
    pictures: Catalogue, network: str, tmp_path: Path
) -> None:
    """Scores of cards that were taught are no scores; poison in them must change no weight."""
    settings = replace(finetuning.QUICK, epochs=1)
    weights = []
    (tmp_path / "other").mkdir()
    for name, cards in (("plain", pictures), ("other", poisoned(pictures, tmp_path / "other"))):
        split, folder = finetuning.split_of(cards), tmp_path / f"encoder-{name}"
        finetune(cards, "image", network, folder, split=split, settings=settings)
        weights.append((folder / "model.safetensors").read_bytes())
    assert weights[0] == weights[1]
    changed = replace(settings, seed=1)
    finetune(pictures, "image", network, tmp_path / "c", split=split, settings=changed)
    assert (tmp_path / "c" / "model.safetensors").read_bytes() != weights[0], "it could tell"


def stopping_after(epochs: int) -> Callable[[str], None]:
    """Stop a training in the middle, as Ctrl-C does."""
    lines = []

    def say(line: str) -> None:
        lines.append(line)
        if len(lines) > epochs:
            raise KeyboardInterrupt

    return say


@pytest.mark.parametrize("change", [{}, {"accumulate": 2, "balance": True, "freeze": 0.3}])
def test_a_stopped_run_ends_as_if_it_had_not_been(
    change: dict[str, float], tuned: Finetuned, pictures: Catalogue, network: str, tmp_path: Path
) -> None:
    """Hours of training must not depend on the machine staying up, nor must the result."""
    settings = replace(finetuning.QUICK, **change)  # type: ignore[arg-type]
    split = finetuning.split_of(pictures)

    def run(name: str, say: Callable[[str], None]) -> Finetuned:
        return finetune(
            pictures, "image", network, tmp_path / name, split=split, settings=settings, say=say
        )

    whole = run("whole", print) if change else tuned
    with pytest.raises(KeyboardInterrupt):
        run("stopped", stopping_after(1))
    said: list[str] = []
    resumed = run("stopped", said.append)
    assert said[0].startswith("going on from step")
    assert len(said) == 3, "the first epoch is not repeated"
    for name in ("model.safetensors", "seen.txt", "split.csv"):
        assert (resumed.folder / name).read_bytes() == (whole.folder / name).read_bytes(), name
    assert resumed.scores == whole.scores
    assert resumed.history == whole.history


def test_frozen_layers_stay_as_they_are(pictures: Catalogue, network: str, tmp_path: Path) -> None:
    from safetensors.numpy import load_file

    settings = replace(finetuning.QUICK, epochs=1, freeze=0.3)
    split = finetuning.split_of(pictures)
    done = finetune(pictures, "image", network, tmp_path / "e", split=split, settings=settings)
    before = load_file(network.partition("@")[2])
    after = load_file(done.folder / "model.safetensors")
    timm = import_with_torch("timm")
    plain = timm.create_model(finetuning.NETWORK, num_classes=1)
    names = [name for name, _ in plain.named_parameters()]
    same = [name in before and np.array_equal(before[name], after[name]) for name in names]
    frozen = int(0.3 * len(names))
    assert all(same[:frozen])
    assert not any(same[frozen:])


def test_training_ends_early_when_nothing_gets_better(
    pictures: Catalogue, network: str, tmp_path: Path
) -> None:
    """Otherwise hours are spent on what is thrown away."""
    settings = replace(finetuning.QUICK, epochs=20, patience=2, learning_rate=1e-9)
    split, said = finetuning.split_of(pictures), list[str]()
    finetune(
        pictures, "image", network, tmp_path / "e", split=split, settings=settings, say=said.append
    )
    assert len(said) == 3


def test_texts_are_fine_tuned_too(tmp_path: Path) -> None:
    """Titles are what tells most categories apart."""
    words = {"boots": ("red", "leather", "boots", "warm"), "kettle": ("steel", "kettle", "lamp")}
    rng = np.random.default_rng(0)
    rows = [
        made.row(
            f"{name}{n}",
            " ".join(rng.permutation([*rng.permutation(own)[:2], "desk", str(n)])),
            category=name,
        )
        for name, own in words.items()
        for n in range(12)
    ]
    cards = made.catalogue(rows)
    spec = f"sbert:{make_static_model(tmp_path / 'static')}?prefix=red"
    settings = replace(finetuning.QUICK, input_size=None, learning_rate=0.05)
    done = finetune(
        cards, "title", spec, tmp_path / "e", split=finetuning.split_of(cards), settings=settings
    )
    assert losses(done)[-1] < losses(done)[0]
    encoder = make_encoder(done.spec)
    assert encoder.spec == f"sbert:{tmp_path}/e/model?prefix=red"
    taught, asked = (
        Rows(
            encoder.encode(part.values("title")).vectors,
            np.unique(part.values("category"), return_inverse=True)[1],
        )
        for part in (finetuning.split_of(cards).select(cards, p) for p in ("train", "test"))
    )
    assert knn_f1(taught, asked) == pytest.approx(done.scores[1].after)
    assert not np.array_equal(
        make_encoder(spec).encode(["red boots"]).vectors, encoder.encode(["red boots"]).vectors
    )
