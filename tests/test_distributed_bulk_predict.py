"""Predictions by an engine: those of the index, however the listings are shared out."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import made
import numpy as np
import pytest

from prodcat_index.cards.card import Catalogue
from prodcat_index.distributed.bulk_predict import predict_in_shards
from prodcat_index.distributed.engines import Engine, LocalEngine
from prodcat_index.distributed.results import find_all
from prodcat_index.encoders.registry import SCHEMES
from prodcat_index.errors import ClusterError, IndexFolderError, QueryError
from prodcat_index.index.product_index import ProductIndex
from prodcat_index.voting.prediction import Predictions

WORDS = ("oak", "elm", "fir", "ash", "yew", "bay", "fig", "ivy", "may", "nut", "pea")
KINDS = {"Shoes > Boots": "leather boots", "Kitchen > Kettles": "steel kettle", "Lamps": "lamp"}


class Careless:
    """Does each item twice, the last one first, and may end after some."""

    def __init__(self, ends_after: int | None = None) -> None:
        self.ends_after, self.done = ends_after, 0

    def connect(self) -> None:
        pass

    def map(
        self,
        start: Callable[[], Any],
        work: Callable[[Any, Any], Any],
        items: Sequence[Any],
        **_: Any,
    ) -> Iterator[tuple[int, Any]]:
        state = start()
        for number in reversed(range(len(items))):
            if self.done == self.ends_after:
                raise ClusterError("the cluster is gone")
            work(state, items[number])
            self.done += 1
            yield number, work(state, items[number])


@pytest.fixture(scope="module")
def cards(pictures: list[Path]) -> Catalogue:
    return made.catalogue(
        made.row(
            f"{kind[0]}{n:03d}",
            f"{KINDS[kind]} {WORDS[n % 11]} {WORDS[n // 11]} {WORDS[n * n % 7]}",
            image=str(pictures[n % 8]) if n % 3 else "",
            category=kind,
        )
        for kind in KINDS
        for n in range(40)
    )


@pytest.fixture(scope="module")
def folder(cards: Catalogue, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("shards") / "index"
    with pytest.MonkeyPatch.context() as patched:
        patched.setitem(SCHEMES, "colours", "made:ColoursEncoder")
        return ProductIndex.build(cards, encoders={"image": "colours"}).save(place)


@pytest.fixture(scope="module")
def listings(cards: Catalogue, pictures: list[Path]) -> Catalogue:
    """New listings, cards of the index, one with nothing, and two whose pictures are gone."""
    new = made.catalogue(
        made.row(f"n{n:02d}", f"{WORDS[n % 11]} {list(KINDS.values())[n % 3]} new", image=image)
        for n, image in enumerate([*map(str, pictures), "gone.png", "", "gone.png"])
    )
    rows = [*new.cards.to_dict("records"), *cards.cards.iloc[30:45].to_dict("records")]
    return made.catalogue([*rows, made.row("blank")])


@pytest.fixture(scope="module")
def new(listings: Catalogue) -> Catalogue:
    """Only the new listings, six times: nothing is fitted without them."""
    titles = [f"{title} {n}" for n in range(6) for title in listings.values("title")[:11]]
    return made.catalogue(made.row(f"n{n}", title) for n, title in enumerate(titles))


def same(one: Predictions, other: Predictions) -> None:
    assert one.to_rows() == other.to_rows()
    assert json.dumps(one.to_records()) == json.dumps(other.to_records())
    assert list(one) == list(other)
    assert one.notes == other.notes


@pytest.mark.parametrize(
    "choices",
    [{}, {"explain": True, "k": 5}, {"precision": 0.6, "coverage": 0.9}, {"adjust_prior": True}],
    ids=lambda choices: ",".join(choices) or "plain",
)
def test_shards_are_answered_as_all_at_once(
    choices: dict[str, Any], folder: Path, listings: Catalogue, tmp_path: Path
) -> None:
    """An answer would depend on how many machines were free."""
    found = predict_in_shards(
        folder, listings, tmp_path / "work", engine=Careless(), shard=13, **choices
    )
    same(found, ProductIndex.load(folder).predict(listings, **choices))
    assert not (tmp_path / "work").exists()


def test_what_an_engine_left_is_not_done_again(
    folder: Path, new: Catalogue, tmp_path: Path
) -> None:
    """Hours of work would be lost with the driver."""
    work, engine = tmp_path / "work", Careless(ends_after=4)
    with pytest.raises(ClusterError, match="the cluster is gone"):
        predict_in_shards(folder, new, work, engine=engine, shard=13)
    assert len([*work.glob("*.npz")]) == 4
    rest = Careless()
    found = predict_in_shards(folder, new, work, engine=rest, shard=13)
    assert rest.done == -(-len(new) // 13) - 4
    same(found, ProductIndex.load(folder).predict(new))


def test_what_is_left_of_another_question_is_not_taken(
    folder: Path, new: Catalogue, tmp_path: Path
) -> None:
    """The answers would be those of the new, or the weights, of before."""
    work = tmp_path / "work"
    with pytest.raises(ClusterError):
        predict_in_shards(folder, new, work, engine=Careless(ends_after=5), shard=13)
    changed = new.cards.assign(title=new.cards["title"] + " lamp")
    other = made.catalogue(changed.to_dict("records"))
    with pytest.raises(ClusterError):
        predict_in_shards(folder, other, work, engine=Careless(ends_after=1), shard=13)
    asked = Careless()
    found = predict_in_shards(folder, other, work, engine=asked, shard=13, k=3)
    assert asked.done == -(-len(new) // 13)
    same(found, ProductIndex.load(folder).predict(other, k=3))


def test_what_cannot_be_kept_is_said_before_anything_is_done(
    folder: Path, listings: Catalogue, tmp_path: Path
) -> None:
    engine = Careless()
    with pytest.raises(QueryError, match="leave out k, weights"):
        predict_in_shards(folder, listings, tmp_path / "w", engine=engine, k=3, precision=0.9)
    assert engine.done == 0


def test_a_folder_of_somebody_else_is_left_alone(
    folder: Path, new: Catalogue, tmp_path: Path
) -> None:
    """It would be removed with all that is in it."""
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "rows.npz").touch()
    with pytest.raises(IndexFolderError, match=r"holds other files \(rows\.npz\)"):
        predict_in_shards(folder, new, tmp_path / "work", engine=Careless())
    assert (tmp_path / "work" / "rows.npz").exists()


def test_a_damaged_result_is_named(tmp_path: Path) -> None:
    engine: Engine = LocalEngine()

    def find() -> list[Any]:
        work = lambda state, item: np.arange(item)  # noqa: E731
        names = {"label": "", "unit": "item", "folder": tmp_path}
        return [*find_all(engine, int, work, [3, 4], ["a", "b"], **names)]

    assert [each.tolist() for each in find()] == [[0, 1, 2], [0, 1, 2, 3]]
    content = bytearray((tmp_path / "a.npz").read_bytes())
    content[content.index(bytes([1, 0, 0, 0, 0, 0, 0, 0]))] ^= 255
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(ClusterError, match=re.escape(f"{tmp_path / 'a.npz'} is damaged")):
        find()
    (tmp_path / "a.npz").write_bytes(b"cut off")
    assert [each.tolist() for each in find()] == [[0, 1, 2], [0, 1, 2, 3]]
