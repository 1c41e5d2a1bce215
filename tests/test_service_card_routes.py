"""Cards, their pictures, and categories."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import quote

import made
import numpy as np
import pytest
from PIL import Image
from pydantic import TypeAdapter
from service import Served, serving

from prodcat_index.cards.pictures import load_picture
from prodcat_index.encoders.registry import SCHEMES
from prodcat_index.index.product_index import ProductIndex
from prodcat_index.service import schemas
from prodcat_index.service.card_routes import category_tree
from prodcat_index.service.current_index import Version
from prodcat_index.service.settings import ServeSettings
from prodcat_index.service.shared import Thumbnails

ODD_IDS = ("a/b", "a/b/image", "a", "ж 1?#%2F", "..hidden", "{x}", "a//c")


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Cards with ids that look like paths and addresses, one of them with a picture."""
    SCHEMES.setdefault("colours", "made:ColoursEncoder")
    folder = tmp_path_factory.mktemp("odd")
    picture = str(made.draw_pictures(folder, 1)[0])
    rows = [
        made.row(id, f"leather boots {id}", category=made.BOOTS, image=picture if id == "a" else "")
        for id in ODD_IDS
    ]
    rows += [made.row("top", "a shoe", category="Shoes"), made.row("none", "something")]
    index = ProductIndex.build(made.catalogue(rows), encoders={"image": "colours"})
    with serving(ServeSettings(index.save(folder / "index"))) as running:
        yield running


def test_a_card_has_all_its_columns(served: Served) -> None:
    catalogue = served.index.catalogue
    own = catalogue.card(3)
    answer = served.client.get(f"/cards/{own.id}").json()
    schemas.Card.model_validate(answer, strict=True)
    frame = catalogue.to_frame().iloc[3]
    assert list(answer) == list(frame.index)
    assert {k: v for k, v in answer.items() if k != "image"} == {
        k: v for k, v in frame.items() if k != "image"
    }
    assert answer["image"] == (f"cards/{own.id}/image" if own.image else "")


@pytest.mark.parametrize("card_id", ODD_IDS)
def test_any_id_has_an_address(odd: Served, card_id: str) -> None:
    """A shop whose ids hold slashes could not look at its cards."""
    answer = odd.client.get(f"/cards/{quote(card_id, safe='')}")
    assert answer.json()["id"] == card_id


def test_no_address_leads_to_a_file(odd: Served) -> None:
    for card_id in ("../../etc/passwd", "/etc/passwd", "nobody"):
        answer = odd.client.get(f"/cards/{quote(card_id, safe='')}")
        assert answer.status_code == 404
        assert answer.json()["detail"] == f"There is no card {card_id!r} in this index."
        assert odd.client.get(f"/cards/{quote(card_id, safe='')}/image").status_code == 404
    answer = odd.client.get("/cards/none/image")
    assert answer.json()["detail"] == "The card 'none' has no picture."


def test_a_picture_is_scaled_and_encoded_anew(served: Served) -> None:
    """The file itself may be large, no picture any more, or tell where it was taken."""
    own = next(card for card in served.index.catalogue if card.image)
    answer = served.client.get(f"/cards/{own.id}/image", params={"size": 100})
    picture = Image.open(BytesIO(answer.content))
    assert (picture.format, max(picture.size)) == ("JPEG", 128)
    whole = load_picture(own.image).resize(picture.size)
    assert np.abs(np.asarray(picture, float) - np.asarray(whole, float)).mean() < 8
    assert answer.headers["cache-control"] == "private, max-age=60"
    known = {"if-none-match": answer.headers["etag"]}
    again = served.client.get(f"/cards/{own.id}/image", params={"size": 100}, headers=known)
    assert (again.status_code, again.content) == (304, b"")
    other = served.client.get(f"/cards/{own.id}/image", params={"size": 200}, headers=known)
    assert other.status_code == 200


def test_thumbnails_are_kept_within_bounds_and_follow_their_file(tmp_path: Path) -> None:
    paths = made.draw_pictures(tmp_path, 4)
    one = Thumbnails().get(paths[0], 64)[1]
    assert one is not None
    kept = Thumbnails(most_bytes=3 * len(one))
    for path in paths * 2:
        assert kept.get(path, 64)[1] == Thumbnails().get(path, 64)[1]
    sizes = [len(content) for content in kept._kept.values()]
    assert sizes and sum(sizes) <= 3 * len(one)
    assert sum(sizes) == kept._bytes
    Image.new("RGB", (80, 80), "blue").save(paths[0])
    changed = kept.get(paths[0], 64)[1]
    assert changed is not None and changed != one


def test_a_photo_does_not_tell_where_it_was_taken(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x8825] = {1: "N", 2: (55.0, 45.0, 0.0)}
    Image.new("RGB", (50, 50)).save(tmp_path / "a.jpg", exif=exif, comment=b"taken at home")
    content = Thumbnails().get(tmp_path / "a.jpg", 64)[1]
    assert content is not None and b"taken at home" not in content
    assert not Image.open(BytesIO(content)).getexif()


def test_cards_are_listed_by_category_and_filter(odd: Served, served: Served) -> None:
    def ids(**params: Any) -> tuple[list[str], int]:
        answer = odd.client.get("/cards", params=params).json()
        schemas.Cards.model_validate(answer, strict=True)
        return [card["id"] for card in answer["cards"]], answer["total"]

    assert ids(category="Shoes") == ([*ODD_IDS, "top"], 8)
    assert ids(category="Shoes > Boots", limit=2, offset=1) == (["a/b/image", "a"], 7)
    assert ids(category="") == (["none"], 1)
    assert ids(offset=100) == ([], 9)
    assert ids(where='title contains "shoe"') == (["top"], 1)
    assert odd.client.get("/cards", params={"category": "Sho"}).status_code == 404
    answer = served.client.get("/cards", params={"where": "price < 1000", "limit": 200}).json()
    assert answer["total"] == int(served.index.matches("price < 1000").mask.sum())
    assert answer["notes"] == list(served.index.matches("price < 1000").notes)


def test_the_tree_counts_the_cards_of_each_category_and_below(odd: Served) -> None:
    tree = odd.client.get("/categories").json()
    TypeAdapter(list[schemas.Category]).validate_python(tree, strict=True)
    boots = {"category": "Shoes > Boots", "name": "Boots", "cards": 7, "cards_below": 0}
    shoes = {"category": "Shoes", "name": "Shoes", "cards": 1, "cards_below": 7}
    assert tree == [shoes | {"children": [boots | {"children": []}]}]
    assert odd.client.get("/categories").json() == tree


def test_the_tree_tells_what_an_audit_found(odd: Served) -> None:
    version = Version(1, odd.index)
    tree = category_tree(version, {"Shoes > Boots": {"accuracy": 0.5, "wrong_labels": 2}})
    assert tree[0]["children"][0]["accuracy"] == 0.5
    assert "accuracy" not in tree[0]


def test_a_category_is_found_by_a_part_of_its_name(served: Served) -> None:
    names = served.index.parts.labels.names
    sizes = dict(zip(names, served.index.parts.labels.sizes.tolist(), strict=True))
    every = served.client.get("/categories?flat=true").json()
    assert {each["category"]: each["cards"] for each in every} == sizes
    found = served.client.get("/categories", params={"flat": True, "q": "BOO"}).json()
    assert "Footwear > Boots" in [each["category"] for each in found]
    assert all("boo" in each["category"].lower() for each in found)
    below = served.client.get("/categories", params={"flat": True, "q": "footwear"}).json()
    assert {each["category"] for each in below} == {n for n in names if n.startswith("Footwear")}
    assert [each["cards"] for each in below] == sorted((c["cards"] for c in below), reverse=True)


def test_the_index_describes_itself(served: Served) -> None:
    answer = served.client.get("/index").json()
    schemas.IndexDescription.model_validate(answer, strict=True)
    parts = served.index.parts
    assert answer["weights"] == {"vote": dict(parts.weights), "search": dict(parts.search_weights)}
    assert [m["name"] for m in answer["modalities"]] == ["image", "title", "description"]
    assert (answer["cards"], answer["columns"]) == (len(served.index), ["brand", "price"])
    assert answer["vote"]["k"] == parts.vote.k
    assert (answer["has_pictures"], answer["writable"], answer["needs_token"]) == (
        True,
        False,
        False,
    )
