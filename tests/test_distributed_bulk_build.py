"""An index built shard by shard is the one that is built of a sample and added to."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from command import ENVIRONMENT, prodcat
from made import draw_pictures
from stores import ADDRESS, MemoryStore

from prodcat_index import CatalogueError, IndexFolderError, ProductIndex, QueryError, read_catalogue
from prodcat_index.distributed import bulk_build, shards
from prodcat_index.distributed.bulk_build import build_in_shards
from prodcat_index.distributed.shards import Worker
from prodcat_index.index import stores

SHELVES = {"Lamps": "desk floor lamp light", "Boots": "leather winter boots sole"}
SHELVES |= {"Kettles": "steel kettle water boils", "Chairs": "oak chair wood legs"}
FIT, ROWS = 120, 70


def made_cards(count: int = 330) -> pd.DataFrame:
    """Cards of four shelves, some without one, and one shelf that few cards have."""
    rng = np.random.default_rng(5)
    rows = []
    for n in range(count):
        shelf = list(SHELVES)[int(rng.integers(4))]
        words = rng.choice(SHELVES[shelf].split(), 3, replace=False)
        category = "" if n % 17 == 3 else "Rare" if n in (200, 201, 310) else shelf
        row = {"sku": f"c{n:03d}", "title": f"{' '.join(words)} no {n % 29}", "category": category}
        rows.append(row | {"price": n / 4, "brand": f"brand {n % 7}"})
    return pd.DataFrame(rows)


def write_parts(folder: Path, cards: pd.DataFrame, rows: int = 110) -> Path:
    """Write cards as files of a folder, with row groups that end elsewhere than shards."""
    folder.mkdir()
    for start in range(0, len(cards), rows):
        part = cards[start : start + rows]
        part.to_parquet(folder / f"part-{start:04d}.parquet", index=False, row_group_size=43)
    return folder


@pytest.fixture(scope="module")
def small_shards() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shards, "ROWS_IN_SHARD", ROWS)
        patch.setattr(bulk_build, "ROWS_IN_SHARD", ROWS)
        yield


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_parts(tmp_path_factory.mktemp("cards") / "shop", made_cards())


@pytest.fixture(scope="module")
def built(catalogue: Path, tmp_path_factory: pytest.TempPathFactory, small_shards: None) -> Any:
    folder = tmp_path_factory.mktemp("built") / "index"
    return build_in_shards(catalogue, folder, fit_cards=FIT), folder


@pytest.fixture(scope="module")
def expected(built: Any) -> ProductIndex:
    """The same cards, a sample of them built and the others added at once."""
    cards = made_cards()
    fitted = set(built[0].catalogue.ids[:FIT])
    is_fitted = cards["sku"].isin(fitted).to_numpy()
    base = ProductIndex.build(read_catalogue(cards[is_fitted].reset_index(drop=True)))
    return base.add(cards[~is_fitted].reset_index(drop=True))


def same(one: ProductIndex, other: ProductIndex) -> None:
    """Check that two indexes hold the same cards and rows, and answer alike."""
    a, b = one.parts, other.parts
    for column in ("id", "title", "category", "brand", "group"):
        assert a.catalogue.values(column) == b.catalogue.values(column), column
    assert [float(p) for p in a.catalogue.values("price")] == [
        float(p) for p in b.catalogue.values("price")
    ]
    assert a.block_names == b.block_names and a.weights == b.weights
    for mine, theirs in zip(a.all_blocks, b.all_blocks, strict=True):
        assert np.array_equal(np.asarray(mine.vectors), np.asarray(theirs.vectors)), mine.name
        assert np.array_equal(mine.present, theirs.present)
        assert np.array_equal(np.asarray(mine.references), np.asarray(theirs.references))
    assert np.array_equal(a.log_reliability, b.log_reliability)
    assert a.calibration == b.calibration and a.drift == b.drift
    assert np.array_equal(a.labels.codes, b.labels.codes) and a.labels.names == b.labels.names
    asked = ["oak chair", "steel kettle that boils", "winter boots no 7"]
    found, wanted = one.predict(asked), other.predict(asked)
    assert found.to_rows() == wanted.to_rows()


def test_shards_give_the_index_of_a_sample_and_an_addition(
    built: Any, expected: ProductIndex
) -> None:
    """Sharding would silently be another method, with other answers, than the one measured."""
    index, folder = built
    same(index, expected)
    assert sorted(index.catalogue.ids) == sorted(made_cards()["sku"])
    assert not folder.with_name("index.work").exists()
    assert ProductIndex.load(folder, verify=True).catalogue.ids == index.catalogue.ids


def test_what_is_noticed_is_summed_over_the_shards(built: Any) -> None:
    """A user would not learn how many cards lack a category, or that it was said once a shard."""
    found = {finding.what: finding for finding in built[0].findings}
    without = [f"c{n:03d}" for n in range(330) if n % 17 == 3]
    finding = found["cards have no category to vote for"]
    assert finding.count == len(without) and set(finding.ids) <= set(without)
    assert str(finding).startswith(f"{len(without)} cards have no category")
    assert "new categories" not in found or found["new categories"].ids == ("Rare",)


def test_a_catalogue_that_can_be_fitted_as_a_whole_is_just_built(
    catalogue: Path, tmp_path: Path, small_shards: None
) -> None:
    """The result of a small catalogue would depend on how it is cut into shards."""
    index = build_in_shards(catalogue, tmp_path / "index", fit_cards=330, projection="none")
    whole = ProductIndex.build(read_catalogue(catalogue), projection="none")
    same(index, whole)
    assert index.parts.drift is None


def test_ids_that_two_shards_have_are_an_error_before_anything_is_embedded(
    tmp_path: Path, small_shards: None
) -> None:
    """One of two cards of an id would never be found again."""
    cards = made_cards()
    cards.loc[300, "sku"] = "c007"
    folder = write_parts(tmp_path / "shop", cards)
    with pytest.raises(CatalogueError, match=r"1 id occurs more than once in .*shop \(c007\)"):
        build_in_shards(folder, tmp_path / "index", fit_cards=FIT)
    assert not (tmp_path / "index.work" / "base").exists()


def test_cards_without_ids_are_called_by_their_rows_in_the_whole(
    tmp_path: Path, small_shards: None
) -> None:
    """Cards of different shards would have the same id."""
    folder = write_parts(tmp_path / "shop", made_cards().drop(columns="sku"))
    index = build_in_shards(folder, tmp_path / "index", fit_cards=FIT, projection="none")
    assert sorted(map(int, index.catalogue.ids)) == list(range(1, 331))
    titles = dict(zip(index.catalogue.ids, index.catalogue.values("title"), strict=True))
    assert titles["300"] == made_cards()["title"][299]


def test_keys_that_tell_categories_apart_do_so_over_shards(
    tmp_path: Path, small_shards: None
) -> None:
    """Two shelves of one name would be one category where no shard has both."""
    cards = made_cards()
    cards["category_id"] = cards["category"].map({c: str(n) for n, c in enumerate(SHELVES)})
    late = cards.index >= 280
    cards.loc[late & (cards["category"] == "Rare"), ["category", "category_id"]] = ["New", "88"]
    cards.loc[150, ["category", "category_id"]] = ["New", "77"]
    cards = cards.fillna("")
    folder = write_parts(tmp_path / "shop", cards)
    sample = np.setdiff1d(np.arange(330), [150, 310])[:FIT]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bulk_build, "choose_sample", lambda *given: sample)
        index = build_in_shards(folder, tmp_path / "index", fit_cards=FIT, projection="none")
    own = dict(zip(index.catalogue.ids, index.catalogue.values("category"), strict=True))
    assert (own["c150"], own["c310"]) == ("New [77]", "New [88]")


def test_the_layout_of_a_public_data_set_is_read_in_parts(
    tmp_path: Path, small_shards: None
) -> None:
    """The columns of KazanExpress are not those of its cards: titles are in JSON."""
    cards = made_cards().assign(category=lambda all: all["category"].replace("", "Chairs"))
    fields = [json.dumps({"title": title, "description": "x"}) for title in cards["title"]]
    layout = {"product_id": range(330), "category_name": cards["category"], "text_fields": fields}
    folder = write_parts(tmp_path / "shop", pd.DataFrame(layout))
    index = build_in_shards(folder, tmp_path / "index", fit_cards=FIT, projection="none")
    own = dict(zip(index.catalogue.ids, index.catalogue.values("title"), strict=True))
    assert own == {str(n): title for n, title in enumerate(cards["title"])}


def test_pictures_are_those_of_the_cards_in_every_shard(
    tmp_path: Path, small_shards: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cards of later shards would have no picture, or that of another card."""
    (tmp_path / "photos").mkdir()
    pictures = draw_pictures(tmp_path / "photos")
    cards = made_cards()[:200]
    cards = cards.assign(image=[pictures[n % 8].name if n % 3 else "" for n in range(200)])
    folder = write_parts(tmp_path / "shop", cards)
    options: Any = {"encoders": {"image": "names"}, "projection": "none"}
    monkeypatch.chdir(tmp_path)
    columns = {"image_root": Path("photos")}
    built = build_in_shards(
        "shop", tmp_path / "index", fit_cards=100, columns=columns, **options
    ).parts
    whole = read_catalogue(folder, image_root=pictures[0].parent)
    of_card = dict(zip(whole.ids, whole.values("image"), strict=True))
    assert [of_card[card] for card in built.catalogue.ids] == built.catalogue.values("image")
    rows = {card: row for row, card in enumerate(built.catalogue.ids)}
    same_picture = [rows[f"c{n:03d}"] for n in (1, 25, 49, 145, 193)]
    image = np.asarray(built.blocks[0].vectors)[same_picture]
    assert built.block_names[0] == "image" and (image == image[0]).all() and image.any()


class DiedError(Exception):
    pass


def test_what_is_done_is_not_done_again(
    catalogue: Path,
    tmp_path: Path,
    expected: ProductIndex,
    small_shards: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A build of days would begin at the beginning each time that the machine restarts."""
    folder, work = tmp_path / "index", tmp_path / "index.work"
    done: list[int] = []
    own = Worker.embed

    def dies(self: Worker, shard: int) -> None:
        if len(done) == 3:
            raise DiedError
        done.append(shard)
        own(self, shard)

    monkeypatch.setattr(Worker, "embed", dies)
    with pytest.raises(DiedError):
        build_in_shards(catalogue, folder, fit_cards=FIT)
    # A shard whose files are not as they were written is done again, be they as long.
    (work / "shards" / "00001" / "0.f16").write_bytes(b"\0" * 10)
    rows = work / "shards" / "00002" / "0.f16"
    rows.write_bytes(bytes([rows.read_bytes()[0] ^ 1]) + rows.read_bytes()[1:])
    again: list[int] = []
    monkeypatch.setattr(Worker, "embed", lambda self, n: (again.append(n), own(self, n))[1])
    fitted = (work / "base" / "manifest.json").stat().st_mtime_ns
    monkeypatch.setattr(ProductIndex, "build", lambda *_, **__: pytest.fail("fitted again"))
    index = build_in_shards(catalogue, folder, fit_cards=FIT)
    assert (done, again) == ([0, 1, 2], [1, 2, 3, 4])
    assert fitted and not work.exists()
    same(index, expected)


def dies(*_: object, **__: object) -> None:
    raise DiedError


def test_another_build_does_not_go_on_with_what_is_there(
    tmp_path: Path, small_shards: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Shards of two catalogues, or of two states of one, would be put together."""
    shop, index = write_parts(tmp_path / "shop", made_cards()), tmp_path / "index"
    with monkeypatch.context() as patch:
        patch.setattr(bulk_build, "_embed", dies)
        with pytest.raises(DiedError):
            build_in_shards(shop, index, fit_cards=FIT)
    with pytest.raises(
        IndexFolderError, match=r"index\.work holds .* not finished, of other options"
    ):
        build_in_shards(shop, index, fit_cards=FIT + 1)
    made_cards()[:110].assign(title="changed").to_parquet(shop / "part-0000.parquet")
    with pytest.raises(IndexFolderError, match="not finished, of other files"):
        build_in_shards(shop, index, fit_cards=FIT)


def test_work_that_was_being_removed_is_not_gone_on_with(
    catalogue: Path, tmp_path: Path, small_shards: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that is killed at its very end would leave its shards to the next export."""
    removes = bulk_build.shutil.rmtree

    def dies_at_last(path: Path, *given: Any, **named: Any) -> None:
        if path.parent == tmp_path / "index.work":
            raise DiedError
        removes(path, *given, **named)

    with monkeypatch.context() as patch:
        patch.setattr(bulk_build.shutil, "rmtree", dies_at_last)
        with pytest.raises(DiedError):
            build_in_shards(catalogue, tmp_path / "index", fit_cards=FIT)
    assert any((tmp_path / "index.work").rglob("*.f16"))
    other = made_cards()
    other["sku"] = "new-" + other["sku"]
    shop = write_parts(tmp_path / "shop", other)
    index = build_in_shards(shop, tmp_path / "index", fit_cards=FIT)
    assert sorted(index.catalogue.ids) == sorted(other["sku"])
    assert not (tmp_path / "index.work").exists()


def test_a_catalogue_that_was_refused_may_be_corrected(tmp_path: Path, small_shards: None) -> None:
    """The same command would be refused for good after a mistake in the file."""
    cards = made_cards()
    shop = write_parts(tmp_path / "shop", cards.assign(sku=cards["sku"].replace("c300", "c001")))
    with pytest.raises(CatalogueError, match="occurs more than once"):
        build_in_shards(shop, tmp_path / "index", fit_cards=FIT)
    cards[220:].to_parquet(shop / "part-0220.parquet", index=False)
    assert len(build_in_shards(shop, tmp_path / "index", fit_cards=FIT)) == len(cards)


def test_files_of_somebody_else_are_not_removed(catalogue: Path, tmp_path: Path) -> None:
    """A folder that is called like that of an unfinished build may hold anything."""
    (tmp_path / "index.work").mkdir()
    (tmp_path / "index.work" / "thesis.txt").write_text("years of work")
    with pytest.raises(IndexFolderError, match=r"holds other files \(thesis\.txt\)"):
        build_in_shards(catalogue, tmp_path / "index", fit_cards=FIT)
    assert (tmp_path / "index.work" / "thesis.txt").read_text() == "years of work"


@pytest.mark.parametrize("few", [0, 1, -5, 99])
def test_an_index_is_fitted_to_enough_cards(few: int, catalogue: Path, tmp_path: Path) -> None:
    """What is fitted to a handful of cards answers all of a catalogue wrongly."""
    with pytest.raises(QueryError, match=f"fitted to 100 cards at least; {few} are too few"):
        build_in_shards(catalogue, tmp_path / "index", fit_cards=few)


def test_shards_are_put_into_a_store(
    catalogue: Path,
    tmp_path: Path,
    expected: ProductIndex,
    small_shards: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A catalogue that needs a store most could not be written into one."""
    store = MemoryStore()
    monkeypatch.setattr(stores, "connect", store.connect)
    index = build_in_shards(catalogue, tmp_path / "index", fit_cards=FIT, store=ADDRESS)
    same(index, expected)
    [table] = store.kept.values()
    assert [table[place][0] for place in sorted(table)] == expected.catalogue.ids
    assert not list((tmp_path / "index").rglob("*.f16"))


def test_build_index_takes_a_folder_and_says_what_it_is_fitted_to(
    catalogue: Path, tmp_path: Path, small_shards: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever builds would take the figures of a sample for those of all cards."""
    monkeypatch.setattr(sys.modules["prodcat_index.cli.build_index"], "MUCH_MEMORY", 1000)
    options = ("--fit-cards", FIT, "--projection", "none")
    ran = prodcat("build-index", catalogue, "-o", tmp_path / "index", *options)
    assert ran.code == 0, ran.err
    assert "330 cards in 5 categories" in ran.out
    assert "it is fitted to 120 cards, and the others are added to these" in ran.err
    assert "20 cards have no category to vote for" in ran.err
    assert re.search(r"searches keep [\d.]+ KB in memory", ran.err)
    asked = prodcat("query", "--text", "oak chair", "-i", tmp_path / "index", "-f", "json")
    assert asked.json[0]["category"] == "Chairs"


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--fit-cards", 900), "Leave out --fit-cards as only Parquet is read in parts"),
        (("--split", "s.json", "--engine", "ray"), "Leave out --engine with --split"),
    ],
)
def test_what_cannot_be_done_in_shards_is_said(
    tmp_path: Path, more: tuple[object, ...], said: str
) -> None:
    """An option that does nothing would be believed to do something."""
    file = tmp_path / "cards.csv"
    made_cards().to_csv(file, index=False)
    ran = prodcat("build-index", file, "-o", tmp_path / "index", *more)
    assert ran.code == 2 and said in ran.err


SCRIPT = """
import sys
from prodcat_index.distributed import bulk_build, shards
for module in (bulk_build, shards):
    module.ROWS_IN_SHARD = {rows}
bulk_build.build_in_shards(sys.argv[1], sys.argv[2], fit_cards={fit})
"""


def _killed(catalogue: Path, folder: Path, seen: str) -> list[int]:
    """Build in a process, kill it once a path is there, and return the shards that are done."""
    script = SCRIPT.format(rows=ROWS, fit=FIT)
    command = [sys.executable, "-c", script, str(catalogue), str(folder)]
    process = subprocess.Popen(command, env=ENVIRONMENT)
    deadline = time.monotonic() + 120
    while not any(folder.parent.glob(seen)) and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "the build ended before it could be killed"
    parts = folder.with_name("index.work") / "shards"
    return [shard for shard in range(5) if shards.read_done(parts / f"{shard:05d}")]


@pytest.mark.skipif(os.name != "posix", reason="kill -9 is of POSIX systems")
def test_killed_in_a_shard_and_while_put_together_it_goes_on(
    catalogue: Path, tmp_path: Path, expected: ProductIndex, small_shards: None
) -> None:
    """A card would be lost or doubled by a power cut, or hours of work done again."""
    folder = tmp_path / "index"
    assert _killed(catalogue, folder, "index.work/shards/.00002-*/*") == [0, 1]
    done = tmp_path / "index.work" / "shards"
    stamps = [(done / f"0000{shard}" / "done.json").stat().st_mtime_ns for shard in (0, 1)]
    assert _killed(catalogue, folder, "index/versions/0001/*") == [0, 1, 2, 3, 4]
    assert stamps == [(done / f"0000{s}" / "done.json").stat().st_mtime_ns for s in (0, 1)]
    assert not (folder / "manifest.json").exists()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Worker, "embed", lambda self, shard: pytest.fail(f"{shard} again"))
        index = build_in_shards(catalogue, folder, fit_cards=FIT)
    same(index, expected)
    assert sorted(index.catalogue.ids) == sorted(made_cards()["sku"])
