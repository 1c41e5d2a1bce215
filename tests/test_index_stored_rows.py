"""What a change of an index writes: what is new, and what it must not write again."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import made
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prodcat_index.errors import IndexFolderError
from prodcat_index.index.folder import parse_manifest
from prodcat_index.index.integrity import verify_index
from prodcat_index.index.manifest import Manifest, StoredRecord
from prodcat_index.index.product_index import ProductIndex
from prodcat_index.index.rows import Rows
from prodcat_index.index.stored_rows import Layout
from prodcat_index.types import MISSING

NUMBERS = {"title": "numbers", "description": "numbers"}


def cards(start: int, count: int, shelf: str = "") -> list[dict[str, str]]:
    return [
        made.row(
            f"c{n:03}",
            f"{np.cos(n):.4f} {np.sin(n):.4f}",
            f"1 {n}" if n % 3 else "",
            category=shelf or f"shelf {n % 4}",
        )
        for n in range(start, start + count)
    ]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    index = ProductIndex.build(made.catalogue(cards(0, 40)), encoders=NUMBERS, projection="none")
    return index.save(tmp_path / "index")


def change(folder: Path, act: Callable[[ProductIndex], ProductIndex]) -> Manifest:
    act(ProductIndex.load(folder)).save_next(folder)
    return parse_manifest(folder)


def stored(manifest: Manifest) -> StoredRecord:
    assert manifest.stored is not None
    return manifest.stored


def sizes(folder: Path) -> dict[str, int]:
    """Return the files of the versions and their sizes, without those of manifests."""
    files = (path for path in (folder / "versions").rglob("*") if path.is_file())
    kept = {path.relative_to(folder).as_posix(): path.stat().st_size for path in files}
    return {name: size for name, size in kept.items() if not name.endswith("manifest.json")}


def check_as_one(folder: Path, rows: Sequence[dict[str, str]]) -> None:
    """Compare an index with what was stored of the cards that it should have."""
    index = ProductIndex.load(folder)
    table = index.parts.catalogue.to_frame()
    expected = made.catalogue(rows).to_frame()
    assert sorted(table["id"]) == sorted(expected["id"])
    order = expected.set_index("id").loc[table["id"]].reset_index()
    pd.testing.assert_frame_equal(table, order[table.columns], check_dtype=False)
    for block in index.parts.blocks:
        own = block.encode_queries(index.parts.catalogue.values(block.modality))
        np.testing.assert_array_equal(block.vectors, own.vectors.astype(np.float16))
        np.testing.assert_array_equal(block.present, own.present)
    searcher = index.parts.searcher
    assert searcher is not None
    fused = index.parts.indexed().searcher
    np.testing.assert_array_equal(searcher.rows, fused.rows if fused else None)


def test_adding_appends_rows_and_writes_what_is_small_alone(folder: Path) -> None:
    """A card more would cost a copy of a million cards every night."""
    before = sizes(folder)
    manifest = change(folder, lambda index: index.add(made.catalogue(cards(40, 2))))
    after = sizes(folder)
    grown = {name: after[name] - size for name, size in before.items() if after[name] != size}
    assert grown == {
        "versions/0001/0-title.f16": 2 * 2 * 2,
        "versions/0001/1-description.f16": 2 * 2 * 2,
        "versions/0001/search.f32": 2 * 4 * 6,
    }
    assert {name.split("/")[-1] for name in after if name not in before} == {
        *("cards.parquet", "codes.npy", "categories.json"),
        *("0-title.present.npy", "1-description.present.npy"),
        # Formats before 5 took what an absent block counts as from the rows of the moment.
        *(name.split("/")[-1] for name in after if "references" in name and name not in before),
    }
    assert stored(manifest).positions is None
    assert [count for _, count in stored(manifest).cards] == [40, 2]
    check_as_one(folder, cards(0, 42))


def test_removing_writes_which_rows_are_left(folder: Path) -> None:
    before = sizes(folder)
    manifest = change(folder, lambda index: index.remove(["c003", "c020"]))
    after = sizes(folder)
    assert all(after[name] == size for name, size in before.items())
    assert not [name for name in after if name not in before and "f16" in name]
    assert (stored(manifest).rows, manifest.cards) == (40, 38)
    check_as_one(folder, [card for card in cards(0, 40) if card["id"] not in ("c003", "c020")])


def test_other_labels_write_no_rows_and_no_cards(folder: Path) -> None:
    before = sizes(folder)
    change(folder, lambda index: index.relabel({"shelf 1": "attic"}))
    new = {name.split("/")[-1] for name in sizes(folder) if name not in before}
    assert not {name for name in new if name.endswith((".f16", ".f32", ".parquet"))}
    moved = [
        {**card, "category": "attic"} if card["category"] == "shelf 1" else card
        for card in cards(0, 40)
    ]
    check_as_one(folder, moved)


def test_a_reader_keeps_the_rows_of_its_version(folder: Path) -> None:
    """A service that answers meanwhile would answer with the rows of other cards."""
    reader = ProductIndex.load(folder)
    rows = [np.array(block.vectors) for block in reader.parts.blocks]
    change(folder, lambda index: index.remove(["c000"]))
    change(folder, lambda index: index.add(made.catalogue(cards(50, 3))))
    for block, own in zip(reader.parts.blocks, rows, strict=True):
        np.testing.assert_array_equal(block.vectors, own)
    assert reader.parts.catalogue.ids[0] == "c000"


def test_the_files_are_written_anew_where_too_many_rows_are_dead(folder: Path) -> None:
    """The folder would grow for ever."""
    removed = [f"c{n:03}" for n in range(11)]
    manifest = change(folder, lambda index: index.remove(removed))
    assert (stored(manifest).rows, stored(manifest).positions) == (29, None)
    assert [count for _, count in stored(manifest).cards] == [29]
    check_as_one(folder, cards(11, 29))


def test_the_files_are_written_anew_after_many_deliveries(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("prodcat_index.index.writing.MOST_PIECES", 3)
    counts = []
    for n in range(40, 44):
        manifest = change(folder, lambda index, n=n: index.add(made.catalogue(cards(n, 1))))  # type: ignore[misc]
        counts.append([count for _, count in stored(manifest).cards])
    assert counts == [[40, 1], [40, 1, 1], [43], [43, 1]]
    check_as_one(folder, cards(0, 44))


VERBS = ("add", "remove", "relabel", "nothing")
Act = tuple[str, int]


@settings(max_examples=8, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(["add", "remove", "relabel", "none"]), st.integers(0, 9)))
)
def test_after_any_changes_the_folder_holds_the_cards_and_their_rows(
    tmp_path_factory: pytest.TempPathFactory, acts: list[Act]
) -> None:
    folder = tmp_path_factory.mktemp("changed") / "index"
    rows, made_until = cards(0, 20), 20
    index = ProductIndex.build(made.catalogue(rows), encoders=NUMBERS, projection="none")
    index.save(folder)
    index = ProductIndex.load(folder)
    for verb, number in acts:
        if verb == "add":
            new = cards(made_until, 1 + number % 4)
            made_until += len(new)
            index, rows = index.add(made.catalogue(new)), rows + new
        elif verb == "remove" and len(rows) > 10:
            gone = rows[number]["id"]
            index, rows = index.remove([gone]), [card for card in rows if card["id"] != gone]
        elif verb == "relabel":
            card = rows[number]["id"]
            index = index.relabel({card: "attic"})
            rows = [{**own, "category": "attic"} if own["id"] == card else own for own in rows]
        # Several changes are made in memory before they are written.
        if number % 2:
            index.save_next(folder)
            check_as_one(folder, rows)
            index = ProductIndex.load(folder)
    index.save_next(folder)
    check_as_one(folder, rows)
    index.save(folder.with_name("whole"))
    check_as_one(folder.with_name("whole"), rows)


def test_a_layout_puts_new_rows_behind_those_that_are_there() -> None:
    layout = Layout(np.array([4, MISSING, 0, MISSING]), 5)
    assert layout.positions.tolist() == [4, 5, 0, 6]
    assert (layout.rows, layout.is_plain, layout.is_loose) == (7, False, True)
    anew = Layout.anew(3)
    assert (anew.positions.tolist(), anew.rows, anew.is_plain) == ([0, 1, 2], 3, True)
    assert Layout(np.array([0, 1, MISSING]), 2).is_plain
    assert not Layout(np.array([1, 0]), 2).is_plain


def damaged(folder: Path, name: str, array: Any) -> str:
    path = folder / parse_manifest(folder).data / name
    np.save(path, array)
    made.forge(folder, path.relative_to(folder).as_posix(), path.read_bytes())
    with pytest.raises(IndexFolderError) as caught:
        ProductIndex.load(folder)
    return str(caught.value)


@pytest.mark.parametrize("wrong, why", [(40, "rows that are not there"), (0, "the same row")])
def test_positions_that_cannot_be_are_refused(folder: Path, wrong: int, why: str) -> None:
    """A card would be answered with the row of another, or of one that is gone."""
    change(folder, lambda index: index.remove(["c003"]))
    positions = np.delete(np.arange(40), 3)
    positions[-1] = wrong
    assert why in damaged(folder, "rows.npy", positions)


@pytest.mark.parametrize("wrong", [-1, 4])
def test_codes_of_no_category_are_refused(folder: Path, wrong: int) -> None:
    codes = np.full(40, wrong, dtype=np.int32)
    assert "categories that are not there" in damaged(folder, "codes.npy", codes)


def test_codes_of_other_categories_than_those_of_the_manifest_are_refused(folder: Path) -> None:
    codes = np.zeros(40, dtype=np.int32)
    assert "its categories are others" in damaged(folder, "codes.npy", codes)


@pytest.mark.parametrize(
    "content",
    [b"[[", b"{}", b'["a"]', b'[["a", 1]]', b'[["\\ud800", ""]]', b"[" * 10**5, b'[["\xff", ""]]'],
)
def test_categories_that_are_none_are_refused_in_words(folder: Path, content: bytes) -> None:
    made.forge(folder, "versions/0001/categories.json", content)
    with pytest.raises(IndexFolderError, match=r"categories\.json of the index is damaged"):
        ProductIndex.load(folder)


def test_a_mask_that_is_none_is_refused(folder: Path) -> None:
    """A byte of 2 is true to some of numpy and another number to the rest."""
    path = folder / "versions/0001/0-title.present.npy"
    content = bytearray(path.read_bytes())
    content[-1] = 2
    made.forge(folder, "versions/0001/0-title.present.npy", bytes(content))
    with pytest.raises(IndexFolderError, match=r"0-title\.present\.npy of the index is damaged"):
        ProductIndex.load(folder)


def test_pictures_elsewhere_are_stored_as_well(pictures: list[Path], tmp_path: Path) -> None:
    """The new pictures would lie outside of the folder of the others, and be none."""

    def pictured(n: int, path: Path) -> dict[str, str]:
        return made.row(f"c{n}", f"{n} 1", category=f"cat{n % 2}", image=str(path))

    encoders = {"title": "numbers", "image": "names"}
    first, second = tmp_path / "photos" / "one", tmp_path / "photos" / "two"
    for place in (first, second):
        place.mkdir(parents=True)
        for number, path in enumerate(pictures[:4]):
            (place / f"{number}.png").write_bytes(path.read_bytes())
    rows = [pictured(n, first / f"{n}.png") for n in range(3)]
    folder = ProductIndex.build(made.catalogue(rows), encoders=encoders).save(tmp_path / "index")
    near = pictured(3, first / "3.png")
    manifest = change(folder, lambda index: index.add(made.catalogue([near])))
    assert (manifest.image_root, len(stored(manifest).cards)) == (str(first), 2)
    far = pictured(4, second / "0.png")
    manifest = change(folder, lambda index: index.add(made.catalogue([far])))
    assert (manifest.image_root, len(stored(manifest).cards)) == (str(first.parent), 1)
    paths = ProductIndex.load(folder).parts.catalogue.values("image")
    assert paths == [card["image"] for card in [*rows, near, far]]


def test_two_deliveries_of_one_id_are_found(folder: Path) -> None:
    """`similar` would answer for whichever comes first."""
    manifest = change(folder, lambda index: index.add(made.catalogue(cards(40, 1))))
    path = stored(manifest).cards[1][0]
    file = io.BytesIO()
    pd.read_parquet(folder / path).assign(id="c003").to_parquet(file, index=False)
    made.forge(folder, path, file.getvalue())
    with pytest.raises(IndexFolderError, match="two cards have the same id"):
        verify_index(folder)


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_rows_that_are_no_numbers_are_refused_when_they_are_read(
    folder: Path, wrong: float
) -> None:
    """A card would count as if it lacked the block, or be nearer than all others."""
    path = folder / "versions/0001/0-title.f16"
    content = np.fromfile(path, dtype=np.float16)
    content[6] = wrong
    made.forge(folder, "versions/0001/0-title.f16", content.tobytes())
    index = ProductIndex.load(folder)
    with pytest.raises(IndexFolderError, match="rows of its cards hold values that are no numbers"):
        index.search("1 0", 40)


def test_damage_in_a_card_that_is_shown_is_noticed_without_the_digest_of_all(
    tmp_path: Path,
) -> None:
    """A flipped bit would be another title, and nobody would know."""
    index = ProductIndex.build(made.catalogue(cards(0, 40)), encoders=NUMBERS, projection="none")
    folder = index.save(tmp_path / "index")
    path = folder / "versions/0001/cards.parquet"
    content = path.read_bytes()
    group = pq.ParquetFile(path).metadata.row_group(0)
    titles = next(c for c in map(group.column, range(8)) if c.path_in_schema == "title")
    refused = 0
    for place in range(titles.total_compressed_size):
        changed = bytearray(content)
        changed[titles.dictionary_page_offset + place] ^= 1
        made.forge(folder, "versions/0001/cards.parquet", bytes(changed))
        try:
            found = ProductIndex.load(folder).parts.catalogue.values("title")
            assert found == index.parts.catalogue.values("title")
        except IndexFolderError:
            refused += 1
    assert refused > titles.total_compressed_size // 2


def test_rows_are_read_as_they_lie(folder: Path) -> None:
    change(folder, lambda index: index.remove(["c003"]))
    vectors = ProductIndex.load(folder).parts.blocks[0].vectors
    assert isinstance(vectors, Rows)
    assert not vectors.pieces[0].flags.writeable
    assert (len(vectors.pieces), len(vectors.pieces[0]), len(vectors)) == (1, 40, 39)


def test_a_query_from_the_command_line_loads_nothing_that_it_does_not_need(saved: Path) -> None:
    """Any of them takes longer than the answer."""
    code = f"""
import sys
from prodcat_index.cli import main
sys.argv = ["prodcat", "query", "--text", "leather boots", "--index", {str(saved)!r}]
try:
    main()
except SystemExit as ended:
    assert not ended.code
libraries = "pandas sklearn scipy torch timm PIL matplotlib tqdm tokenizers".split()
own = "build calibrate changes leave_one_out refit storage transaction tune writing".split()
own = ["prodcat_index.index." + name for name in own]
print([name for name in (*libraries, *own) if name in sys.modules])
"""
    command = [sys.executable, "-c", code]
    ended = subprocess.run(command, check=True, capture_output=True, text=True)
    assert ended.stdout.splitlines()[-1] == "[]"
    assert "boots" in ended.stdout


def test_a_search_loads_neither_the_library_of_tables_nor_all_cards(saved: Path) -> None:
    """Half a second of every query from the command line."""
    code = f"""
import sys
from prodcat_index.index.product_index import ProductIndex
index = ProductIndex.load({str(saved)!r})
assert index.search("leather boots", 2)[0].title
assert index.predict(["leather boots"])[0].category
assert "pandas" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_few_cards_of_many_are_read_without_the_library_of_tables(tmp_path: Path) -> None:
    """It is half a second of every query, and a large index reads its cards another way."""
    ids = [f"c{n}" for n in range(100)]
    path = tmp_path / "cards.parquet"
    pq.write_table(pa.table({"id": ids, "title": ids[::-1]}), path, row_group_size=4)
    code = f"""
import sys
import numpy as np
from pathlib import Path
from prodcat_index.files import open_content
from prodcat_index.index.stored_cards import StoredCards
path = Path({str(path)!r})
cards = StoredCards(open_content(path), path, 100, frozenset(["id", "title"]), Path(""))
assert cards.read("title", np.array([99, 3, 3, 98])) == ["c0", "c96", "c96", "c1"]
assert cards.read("id")[:2] == ["c0", "c1"]
assert "pandas" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)
