"""An index on disk is the index in memory, and loading one never runs anything."""

from __future__ import annotations

import io
import mmap
import pickle
import shutil
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import made
import numpy as np
import pandas as pd
import pytest
from made import change_manifest, forge, read_json

from prodcat_index.cards.card import Card, Catalogue
from prodcat_index.errors import EncoderError, IndexFolderError
from prodcat_index.index.folder import read_manifest
from prodcat_index.index.manifest import FORMAT_VERSION
from prodcat_index.index.product_index import ProductIndex
from prodcat_index.index.rows import Rows
from prodcat_index.index.transaction import rollback
from prodcat_index.voting.vote import VoteParameters

DATA = "versions/0001"
QUERIES = [
    Card(id="1", title="leather boots", description="warm"),
    Card(id="2", title="чайник"),
    Card(id="3", description="boils water"),
    Card(id="4", title="漢字"),
]


def refusal(folder: Path) -> str:
    with pytest.raises(IndexFolderError) as caught:
        ProductIndex.load(folder)
    return str(caught.value)


def as_npy(array: Any, **options: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, array, **options)
    return file.getvalue()


# Category, its share and its calibrated confidence, as the versions said that wrote the folders.
OLD_ANSWERS = {
    1: [
        ("Shop > kettle", 0.51494, 0.50244),
        ("Shop > lamp", 0.86230, 0.85062),
        ("Shop > lamp", 0.93785, 0.91181),
    ],
    2: [
        ("Shop > sledge", 0.55138, 0.51427),
        ("Shop > lamp", 0.87706, 0.81955),
        ("Shop > lamp", 0.96698, 0.91374),
    ],
    3: (
        scored := [
            ("Shop > kettle", 1.0, 0.88632),
            ("Shop > sledge", 1.0, 0.87271),
            ("Shop > lamp", 1.0, 0.88647),
        ]
    ),
    4: scored,
    5: scored,
    6: scored,
}
# Of each listing the nearest card.
OLD_NEAREST = {
    **dict.fromkeys((1, 2), "c252 c126 c000"),
    **dict.fromkeys((3, 4, 5, 6), "c069 c023 c094"),
}
OLD_LISTINGS = [
    Card(id="1", title="1 0", description="kettle"),
    Card(id="2", title="-0.9 0.1"),
    Card(id="3", description="lamp"),
]


@pytest.fixture(params=OLD_ANSWERS)
def old(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[int, Path]:
    """The number of a format, and an index folder of it."""
    with ZipFile(Path(__file__).parent / "data" / f"index_format_{request.param}.zip") as archive:
        archive.extractall(tmp_path / "old")
    return request.param, tmp_path / "old"


def answers(index: ProductIndex) -> list[Any]:
    predicted = index.predict(OLD_LISTINGS, precision=0.7)
    return [(p.category, round(p.share, 5), round(p.confidence, 5)) for p in predicted]


def check_old_answers(index: ProductIndex, number: int) -> None:
    nearest = [index.search(listing, k=1)[0].id for listing in OLD_LISTINGS]
    assert " ".join(nearest) == OLD_NEAREST[number]
    for found, expected in zip(answers(index), OLD_ANSWERS[number], strict=True):
        assert found[0] == expected[0]
        assert found[1:] == pytest.approx(expected[1:], abs=2e-5)


def test_an_index_of_an_old_format_answers_as_it_did(old: tuple[int, Path]) -> None:
    """An upgrade would cost every shop its index, or silently change its answers."""
    number, folder = old
    manifest = read_manifest(folder)
    assert manifest.format_version == number
    assert manifest.tuning is not None and manifest.calibration is not None
    assert len(manifest.tuning.weight_surface) == (66 if number < 3 else 44)
    assert manifest.learned is not None
    assert (manifest.learned.head is not None, manifest.learned.hubness is not None) == (
        number > 1,
        number > 1,
    )
    fitted = manifest.drift and (manifest.drift.fitted_cards, len(manifest.drift.blocks))
    assert fitted == {1: None, 2: (360, 3)}.get(number, (200, 4))
    assert ("id" in manifest.columns) == (number >= 4)
    check_old_answers(ProductIndex.load(folder), number)


def test_an_index_of_an_old_format_can_be_written_as_one_of_today(
    old: tuple[int, Path], tmp_path: Path
) -> None:
    """Tuning or adding would lose the calibration, or what earlier tuning found."""
    number, folder = old
    before = ProductIndex.load(folder)
    after = ProductIndex.load(before.save(tmp_path / "new"))
    assert read_manifest(tmp_path / "new").format_version == FORMAT_VERSION
    assert (after.parts.tuning, after.parts.calibration, after.parts.drift) == (
        before.parts.tuning,
        before.parts.calibration,
        before.parts.drift,
    )
    check_old_answers(after, number)
    written = read_json(tmp_path / "new" / "manifest.json")
    kept = read_json(folder / "manifest.json")
    assert set(written["tuning"]) == set(kept["tuning"]) | {"check"}
    assert written["blocks"][0].keys() >= kept["blocks"][0].keys()
    added = {"growth", "columns", "category_separator", "change", "digest"}
    added |= {"aliases", "choices", "stored", "similar", "asked", "decided"}
    assert set(written) == set(kept) | added
    # What an older index was read from is not known, and nothing is made up.
    assert written["columns"] == kept.get("columns", {})
    assert written["category_separator"] == kept.get("category_separator", "")
    assert set(written["learned"]) == set(kept["learned"]) | {
        *("head", "crowding", "reliability", "expected")
    }


def test_an_index_of_an_old_format_takes_settings_and_can_be_rolled_back(
    old: tuple[int, Path],
) -> None:
    """The version before the first change by a new installation would be lost."""
    number, folder = old
    opened = ProductIndex.load(folder)
    replaced = ProductIndex(replace(opened.parts, vote=VoteParameters(k=3)))
    replaced.save_settings(folder)
    assert read_manifest(folder).format_version == FORMAT_VERSION
    assert ProductIndex.load(folder).parts.vote == VoteParameters(k=3)
    rollback(folder)
    assert read_manifest(folder).format_version == FORMAT_VERSION
    check_old_answers(ProductIndex.load(folder), number)


def test_an_index_of_an_old_format_can_be_changed(old: tuple[int, Path], tmp_path: Path) -> None:
    """It would have to be built again only to lose a card or to call a category otherwise."""
    number, folder = old
    before = ProductIndex.load(shutil.copytree(folder, tmp_path / "index"))
    expected = [(answer.category, answer.confidence) for answer in before.predict(OLD_LISTINGS)]
    gone = [card.id for card in before.catalogue if card.category == "Shop > scarf"][:3]
    changed = before.remove(gone).relabel({"Shop > lamp": "Lamps"})
    changed.save_next(tmp_path / "index")
    loaded = ProductIndex.load(tmp_path / "index")
    assert (loaded.parts.drift is not None, len(loaded)) == (True, len(before) - len(gone))
    for answer, (category, confidence) in zip(loaded.predict(OLD_LISTINGS), expected, strict=True):
        assert answer.category == ("Lamps" if category == "Shop > lamp" else category)
        assert answer.confidence == pytest.approx(confidence, abs=0.02)
    if number > 2:
        assert "Shop > lamp" in loaded.parts.text_scores.categories
    fitted = loaded.refit(tune=False)
    assert fitted.parts.aliases == {} and "Lamps" in fitted.parts.text_scores.categories


def test_settings_that_could_not_be_read_again_are_not_written(
    saved: Path, index: ProductIndex
) -> None:
    """The index would be refused as damaged from then on."""
    before = (saved / "manifest.json").read_bytes()
    many = ProductIndex(replace(index.parts, vote=VoteParameters(k=10_001)))
    for write in (many.save_settings, many.save):
        with pytest.raises(IndexFolderError, match=r"cannot be written \(vote.k: Input should be"):
            write(saved)
    assert (saved / "manifest.json").read_bytes() == before
    assert len(ProductIndex.load(saved)) == 9


@pytest.mark.parametrize("verify", [True, False])
def test_predictions_after_loading_are_those_before_saving(
    index: ProductIndex, saved: Path, verify: bool
) -> None:
    """Bit for bit, with every neighbour and explanation."""
    loaded = ProductIndex.load(saved, verify=verify)
    options: dict[str, Any] = {"k": 4, "explain": True}
    assert list(loaded.predict(QUERIES, **options)) == list(index.predict(QUERIES, **options))
    assert loaded.similar("b1") == index.similar("b1")
    assert loaded.search("red leather") == index.search("red leather")


def test_a_loaded_index_can_be_saved_again(saved: Path, tmp_path: Path) -> None:
    first = ProductIndex.load(saved)
    second = ProductIndex.load(first.save(tmp_path / "second"))
    assert list(second.predict(QUERIES)) == list(first.predict(QUERIES))
    files = [read_json(f / "manifest.json")["files"] for f in (saved, tmp_path / "second")]
    assert files[0] == files[1]


def test_an_index_can_be_saved_into_the_folder_that_it_was_loaded_from(saved: Path) -> None:
    """Its arrays are still mapped from the version that goes."""
    loaded = ProductIndex.load(saved)
    before = list(loaded.predict(QUERIES))
    loaded.save(saved)
    assert list(loaded.predict(QUERIES)) == before
    assert list(ProductIndex.load(saved).predict(QUERIES)) == before


def test_weights_and_vote_parameters_are_kept(tmp_path: Path) -> None:
    index = ProductIndex.build(
        made.catalogue(),
        weights={"title": 0.7, "description": 0.2},
        vote_parameters=VoteParameters(k=3, temperature=0.05, prior_exponent=0.25),
    )
    loaded = ProductIndex.load(index.save(tmp_path / "index"))
    assert loaded.parts.weights == index.parts.weights
    assert loaded.parts.weights["title"] == pytest.approx(7 / 9)
    assert loaded.parts.vote == VoteParameters(3, 0.05, 0.25)
    assert list(loaded.predict(QUERIES)) == list(index.predict(QUERIES))


def test_the_same_cards_give_the_same_files(saved: Path, tmp_path: Path) -> None:
    """A second build of the same catalogue is the same index, byte for byte."""
    again = ProductIndex.build(made.catalogue()).save(tmp_path / "again")
    files = [read_json(folder / "manifest.json")["files"] for folder in (saved, again)]
    assert files[0] == files[1]


def test_no_file_of_an_index_is_a_pickle(saved: Path) -> None:
    """A pickle runs whatever its writer wanted."""
    files = [path for path in saved.rglob("*") if path.is_file()]
    assert {path.suffix for path in files if path.name != ".lock"} <= {
        *(".npy", ".json", ".jsonl", ".parquet", ".f16", ".f32", ".md")
    }
    arrays = [path for path in files if path.suffix == ".npy"]
    assert len(arrays) == 3 * 2 + 3 * 2 + 1
    known = (np.float16, np.float32, np.bool_, np.int16, np.int32)
    for path in arrays:
        assert np.load(path, allow_pickle=False).dtype in known
    for path in files:
        if path.suffix != ".npy" and path.stat().st_size:
            with pytest.raises((pickle.UnpicklingError, ValueError, KeyError, EOFError)):
                SafeUnpickler(io.BytesIO(path.read_bytes())).load()


class SafeUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        raise AssertionError(f"a file of the index is a pickle of {module}.{name}")


def with_texts_and_extras() -> Catalogue:
    cards = made.catalogue().cards
    return Catalogue(
        cards.assign(
            attributes=[f"colour {n % 3}, size {n}" for n in range(len(cards))],
            price=[10.5 + n for n in range(len(cards))],
            stock=list(range(len(cards))),
            tags=[["a", n] for n in range(len(cards))],
        ),
        ("title", "description", "attributes"),
        source="made-up cards",
    )


def test_further_texts_and_columns_come_back(tmp_path: Path) -> None:
    catalogue = with_texts_and_extras()
    loaded = ProductIndex.load(ProductIndex.build(catalogue).save(tmp_path / "index"))
    back = loaded.parts.catalogue
    assert back.text_modalities == ("title", "description", "attributes")
    for column in ("id", "title", "description", "category", "attributes", "price", "stock"):
        assert back.cards[column].tolist() == catalogue.cards[column].tolist()
    assert back.cards["tags"].tolist()[:2] == ['["a", 0]', '["a", 1]']
    assert loaded.card("k3").texts == {"attributes": "colour 2, size 5"}


@pytest.fixture
def pictured(pictures: list[Path], tmp_path: Path) -> Path:
    """An index of cards with pictures in two folders, one of which is missing."""
    folder = tmp_path / "photos"
    (folder / "deep").mkdir(parents=True)
    places = [folder / "a.png", folder / "deep" / "b.png"]
    for source, place in zip(pictures, places, strict=False):
        place.write_bytes(source.read_bytes())
    index = ProductIndex.build(
        made.catalogue(
            made.row(f"c{n}", f"{n} 1", category=f"cat{n}", image=str(place))
            for n, place in enumerate([*places, folder / "deep" / "gone.png"])
        ),
        encoders={"title": "numbers", "image": "names"},
    )
    return index.save(tmp_path / "index")


def image_paths(index: ProductIndex) -> list[str]:
    return index.parts.catalogue.values("image")


def test_picture_paths_are_kept_relative_and_come_back_absolute(pictured: Path) -> None:
    photos = pictured.parent / "photos"
    stored = pd.read_parquet(pictured / DATA / "cards.parquet")["image"].tolist()
    assert stored == ["a.png", "deep/b.png", "deep/gone.png"]
    assert image_paths(ProductIndex.load(pictured)) == [
        str(photos / name) for name in ("a.png", "deep/b.png", "deep/gone.png")
    ]


def test_moved_pictures_are_found_by_their_new_root(pictured: Path) -> None:
    """An index is mailed; its pictures lie elsewhere there."""
    moved = (pictured.parent / "photos").rename(pictured.parent / "moved")
    loaded = ProductIndex.load(pictured, image_root=moved)
    assert image_paths(loaded)[1] == str(moved / "deep" / "b.png")
    nearest = loaded.search(Card(image=str(moved / "a.png")), k=1)
    assert nearest[0].image == str(moved / "a.png")


def test_an_index_whose_pictures_moved_says_so_and_finds_them_again_for_good(
    pictured: Path,
) -> None:
    """Sheets and reports would show no picture, and nobody would know why."""
    photos = pictured.parent / "photos"
    assert ProductIndex.load(pictured).findings == ()
    moved = photos.rename(pictured.parent / "moved")
    (finding,) = ProductIndex.load(pictured).findings
    assert str(finding) == (
        f"3 cards have pictures that are not in {photos} (name their folder once: "
        f"prodcat info {pictured} --image-root FOLDER): c0, c1, c2"
    )
    ProductIndex.load(pictured, image_root=moved).save_image_root(pictured)
    mended = ProductIndex.load(pictured)
    assert mended.findings == ()
    assert image_paths(mended)[1] == str(moved / "deep" / "b.png")
    assert mended.search(Card(title="1 1"), 1)[0].id == "c1"


def test_the_folder_above_the_pictures_will_do(pictured: Path) -> None:
    """A catalogue names images/1.jpg: people give the folder that this starts from."""
    above = pictured.parent / "elsewhere"
    above.mkdir()
    (pictured.parent / "photos").rename(above / "photos")
    ProductIndex.load(pictured, image_root=above).save_image_root(pictured)
    assert image_paths(ProductIndex.load(pictured))[0] == str(above / "photos" / "a.png")


def test_a_folder_without_the_pictures_is_not_stored(pictured: Path, tmp_path: Path) -> None:
    """A typing error would lose the folder that was right."""
    before = (pictured / "manifest.json").read_bytes()
    (tmp_path / "empty").mkdir()
    with pytest.raises(IndexFolderError, match=r"are not in .*empty"):
        ProductIndex.load(pictured, image_root=tmp_path / "empty").save_image_root(pictured)
    assert (pictured / "manifest.json").read_bytes() == before


def test_an_index_without_pictures_has_no_folder_of_them(saved: Path, tmp_path: Path) -> None:
    index = ProductIndex.load(saved, image_root=tmp_path)
    assert index.findings == ()
    with pytest.raises(IndexFolderError, match="has no pictures"):
        index.save_image_root(saved)


@pytest.mark.parametrize("hostile", ["../secret.png", "/etc/passwd", "deep/../../secret.png"])
def test_a_stored_picture_path_that_leaves_its_root_is_no_picture(
    pictured: Path, hostile: str
) -> None:
    """The look-up page would show any picture of the machine."""
    cards = pd.read_parquet(pictured / DATA / "cards.parquet")
    cards.loc[0, "image"] = hostile
    file = io.BytesIO()
    cards.to_parquet(file, index=False)
    forge(pictured, f"{DATA}/cards.parquet", file.getvalue())
    paths = image_paths(ProductIndex.load(pictured))
    assert paths[0] == ""
    assert Path(paths[1]).name == "b.png"


@pytest.mark.parametrize("root", ["", "..", "../../etc"])
def test_a_root_that_is_relative_is_no_root(pictured: Path, root: str) -> None:
    """It would start from wherever the reader happens to be."""
    change_manifest(pictured, lambda manifest: manifest.update(image_root=root))
    cards = pd.read_parquet(pictured / DATA / "cards.parquet").assign(image="../../etc/secret.png")
    file = io.BytesIO()
    cards.to_parquet(file, index=False)
    forge(pictured, f"{DATA}/cards.parquet", file.getvalue())
    assert set(image_paths(ProductIndex.load(pictured))) == {""}


class Payload:
    """Creates a file where it is unpickled."""

    def __init__(self, witness: Path) -> None:
        self.witness = witness

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return Path.touch, (self.witness,)


PICKLES: dict[str, Callable[[Any], bytes]] = {
    "an array of objects": lambda payload: as_npy(np.array([payload], object), allow_pickle=True),
    "a bare pickle": pickle.dumps,
}
ARRAYS = [
    f"{DATA}/codes.npy",
    f"{DATA}/0-title.present.npy",
    f"{DATA}/1-description.mean.npy",
    f"{DATA}/encoders/0-title/projection.npy",
]


def test_the_payload_works(tmp_path: Path) -> None:
    """Else the next test proves nothing."""
    content = PICKLES["an array of objects"](Payload(tmp_path / "witness"))
    np.load(io.BytesIO(content), allow_pickle=True)
    assert (tmp_path / "witness").exists()


@pytest.mark.parametrize("kind", PICKLES)
@pytest.mark.parametrize("name", ARRAYS)
def test_a_pickle_in_place_of_an_array_is_refused_and_does_not_run(
    saved: Path, tmp_path: Path, name: str, kind: str
) -> None:
    """With size and digest adapted, so that nothing but the reading of arrays stands before it."""
    forge(saved, name, PICKLES[kind](Payload(tmp_path / "witness")))
    with pytest.raises((IndexFolderError, EncoderError)) as caught:
        ProductIndex.load(saved).search("boots")
    message = str(caught.value)
    assert Path(name).name in message or "of the lexical encoder cannot be read" in message
    assert not (tmp_path / "witness").exists()


def header(text: str) -> bytes:
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode() + bytes(64)


BROKEN_ARRAYS = {
    "empty": b"",
    "an archive": b"PK\x03\x04" + bytes(100),
    "no header": header(""),
    "an open bracket": header("("),
    "nested": header("-" * 9000 + "1"),
    "brackets": header("(" * 9000),
    "enormous": header("{'descr':'<f2','fortran_order':False,'shape':(9223372036854775807000,)}"),
    "too large": header("{'descr':'<f2','fortran_order':False,'shape':(1000000, 1000000)}"),
    "no number": header("{'descr':'<f2','fortran_order':False,'shape':(True,)}"),
    "not hashable": header("{[]:1}"),
    "wrong shape": as_npy(np.zeros((9, 3), np.float16)),
    "wrong type": as_npy(np.zeros((9, 1), np.float64)),
}


@pytest.mark.parametrize("content", BROKEN_ARRAYS.values(), ids=BROKEN_ARRAYS)
@pytest.mark.parametrize("name", ARRAYS)
def test_a_broken_array_is_refused_in_words(saved: Path, name: str, content: bytes) -> None:
    """A traceback of numpy's parser names neither the index nor the way out."""
    forge(saved, name, content)
    with pytest.raises((IndexFolderError, EncoderError), match=r"build (it|the index) again"):
        ProductIndex.load(saved).search("boots")


RAW = [f"{DATA}/0-title.f16", f"{DATA}/search.f32"]


@pytest.mark.parametrize("name", RAW)
@pytest.mark.parametrize("change", [lambda c: b"", lambda c: c[:-4], lambda c: c + bytes(4)])
def test_rows_of_another_length_are_refused(
    saved: Path, name: str, change: Callable[[bytes], bytes]
) -> None:
    """Every card behind the missing one would be answered with the row of another."""
    forge(saved, name, change((saved / name).read_bytes()))
    assert refusal(saved).startswith(f"The file {saved / name} of the index is damaged (it has")


def forge_cards(folder: Path, change: Callable[[pd.DataFrame], pd.DataFrame]) -> str:
    file = io.BytesIO()
    change(pd.read_parquet(folder / DATA / "cards.parquet")).to_parquet(file, index=False)
    forge(folder, f"{DATA}/cards.parquet", file.getvalue())
    return refusal_of_cards(folder)


def refusal_of_cards(folder: Path) -> str:
    """Return why the cards are refused when they are read, which may be later than the rest."""
    index = ProductIndex.load(folder)
    with pytest.raises(IndexFolderError) as caught:
        index.similar(index.parts.catalogue.ids[0])
    return str(caught.value)


def test_cards_that_are_not_those_of_the_arrays_are_refused(saved: Path) -> None:
    """Row 5 of the table must be row 5 of the vectors."""
    assert "its rows or columns are not those of the manifest" in forge_cards(
        saved, lambda cards: cards.iloc[:-1]
    )


@pytest.mark.parametrize("column", ["id", "title", "group", "image"])
def test_cards_without_a_column_are_refused(saved: Path, column: str) -> None:
    assert "its rows or columns are not those of the manifest" in forge_cards(
        saved, lambda cards: cards.drop(columns=column)
    )


def test_two_cards_of_one_id_are_refused(saved: Path) -> None:
    """`similar` would answer for whichever comes first."""
    assert "two cards have the same id" in forge_cards(
        saved, lambda cards: cards.assign(id=["same", "same", *cards["id"][2:]])
    )


def test_a_table_that_cannot_be_read_is_refused_in_words(saved: Path) -> None:
    forge(saved, f"{DATA}/cards.parquet", b"PAR1 nonsense PAR1")
    assert "cards.parquet of the index is damaged (it cannot be read" in refusal_of_cards(saved)


def test_an_index_of_another_encoder_is_not_searched_with_this_one(saved: Path) -> None:
    """Vectors of two models are not comparable; the answers would be noise."""
    change_manifest(saved, lambda m: m["blocks"][0].update(fingerprint="0" * 64))
    loaded = ProductIndex.load(saved)
    with pytest.raises(EncoderError) as caught:
        loaded.search("boots")
    assert str(caught.value) == (
        "The encoder lexical here is not the one that this index was built with (another "
        "version, other weights or other preprocessing); build the index again, or install "
        "the versions that `prodcat info` lists."
    )
    assert [n.id for n in loaded.similar("b1", k=1)] == ["u1"]


def test_loading_reads_no_encoder_until_it_is_needed(saved: Path) -> None:
    """`prodcat similar` must not wait for a network to load."""
    loaded = ProductIndex.load(saved)
    loaded.search(Card(title="boots"))
    slots = [block.slot.encoder for block in loaded.parts.blocks]
    assert slots[0] is not None
    assert slots[1] is None


def test_vectors_stay_on_disk(saved: Path) -> None:
    """91,120 cards take 370 MB that a look-up need not read."""
    loaded = ProductIndex.load(saved)
    for block in loaded.parts.blocks:
        assert isinstance(block.vectors, Rows)
        base: Any = block.vectors.pieces[0]
        while isinstance(base, np.ndarray):
            assert not base.flags.writeable
            base = base.base
        assert isinstance(memoryview(base).obj, mmap.mmap)


def test_the_page_for_people_says_what_is_inside(saved: Path) -> None:
    page = (saved / "card.md").read_text(encoding="utf-8")
    assert "9 cards, 8 of them labelled, in 3 categories." in page
    assert "| title | lexical |" in page
    assert "k 10, temperature 0.1, prior exponent 0, head exponent 0." in page
