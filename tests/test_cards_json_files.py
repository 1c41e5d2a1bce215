"""JSON lines, arrays and objects."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from catalogue_files import findings, refusal, rows, written

from prodcat_index.cards import json_files, sources


def test_json_lines_keep_their_values(tmp_path: Path) -> None:
    """A whole number beside an absent one must not lose its last digits."""
    content = '{"id": 9007199254740993, "title": "a\u2028b"}\n\n{"title": null, "tags": ["x"]}\n'
    first, second = rows(written(tmp_path, "a.jsonl", content))
    assert first == {"id": 9007199254740993, "title": "a\u2028b", "tags": ""}
    assert second == {"id": "", "title": "", "tags": ["x"]}


@pytest.mark.parametrize("broken", ['{"id": 1', "[" * 100_000, "{'id': 1}", '{"id": 1} {"id": 2}'])
def test_a_broken_json_line_is_named(tmp_path: Path, broken: str) -> None:
    path = written(tmp_path, "a.jsonl", '{"id": 1}\n\n' + broken + "\n")
    assert refusal(path).startswith(f"{path}, line 3 is not JSON (")


@pytest.mark.parametrize("value", ['["a"]', "1", '"text"', "null"])
def test_a_json_line_that_is_no_object_is_named(tmp_path: Path, value: str) -> None:
    path = written(tmp_path, "a.ndjson", '{"id": 1}\n' + value)
    assert refusal(path).startswith(f"{path}, line 2 is JSON, but no object")


def test_broken_lines_are_left_out_and_named(tmp_path: Path) -> None:
    path = written(tmp_path, "a.jsonl", '{"id": 1}\n{"id": \n[2]\n{"id": 3}\n')
    assert rows(path, skip_bad_rows=True) == [{"id": 1}, {"id": 3}]
    assert findings(path, skip_bad_rows=True) == [
        "2 lines are no JSON object (left out): line 2, line 3"
    ]


@pytest.mark.parametrize("space", ["", " ", "\n", "\n\n  "])
def test_an_array_is_read(tmp_path: Path, space: str) -> None:
    content = f'{space}[{space}{{"id": 1, "a": "],["}}{space},{space}{{"id": 2}}{space}]{space}'
    assert rows(written(tmp_path, "a.json", content)) == [{"id": 1, "a": "],["}, {"id": 2, "a": ""}]


@pytest.mark.parametrize("part", [1, 2, 3, 5, 7])
def test_an_array_is_read_whatever_its_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: int
) -> None:
    """Large arrays are read in parts: one may end within a word, a number or a character."""
    monkeypatch.setattr(sources, "PART", part)
    monkeypatch.setattr(json_files, "PART", part)
    values = [
        {"id": n, "t": 'é"\\\\ \U0001f600', "ok": False, "x": [None, 1.5e-7]} for n in range(30)
    ]
    assert rows(written(tmp_path, "a.json", json.dumps(values))) == values
    assert rows(written(tmp_path, "b.json", json.dumps(values, indent=1))) == values


@pytest.mark.parametrize(
    ("content", "where"),
    [
        ("[", "element 1"),
        ('[{"id": 1}', "element 2"),
        ('[{"id": 1} {"id": 2}]', "element 2"),
        ('[{"id": 1}, {"id": }]', "element 2"),
        ('[{"id": 1}, 2]', "element 2"),
        ('[{"id": 1}] x', "element 2"),
        ('[{"id": "' + "a" * 50_000, "element 1"),
        ("[" * 100_000, "element 1"),
        ('[{"id": ' + "9" * 5_000 + "}]", "element 1"),
    ],
)
def test_a_broken_array_is_named_with_the_element(tmp_path: Path, content: str, where: str) -> None:
    path = written(tmp_path, "a.json", content)
    assert refusal(path).startswith(f"{path}, {where} is")


def test_a_huge_element_is_not_parsed_again_for_every_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Read a megabyte at a time, an element of 100 MB would be parsed a hundred times."""
    monkeypatch.setattr(sources, "PART", 10)
    monkeypatch.setattr(json_files, "PART", 10)
    path = written(tmp_path, "a.json", json.dumps([{"a": [1] * 100_000}]))
    assert rows(path) == [{"a": [1] * 100_000}]


def test_json_files_may_have_a_line_each_or_one_object(tmp_path: Path) -> None:
    """The files of many data sets are called .json and are lines."""
    assert rows(written(tmp_path, "a.json", '{"id": 1}\n{"id": 2}\n')) == [{"id": 1}, {"id": 2}]
    assert rows(written(tmp_path, "b.json", '{\n"id": 1}\n')) == [{"id": 1}]
    wrapped = '{"count": 2,\n "products": [{"id": 1}, {"id": 2}]}'
    assert rows(written(tmp_path, "c.json", wrapped)) == [{"id": 1}, {"id": 2}]
    own = '{"title": "set", "items": [{"id": 1}, {"id": 2}]}'
    assert rows(written(tmp_path, "d.json", own))[0]["title"] == "set"


@pytest.mark.parametrize("name", ["a.jsonl", "a.json"])
def test_half_characters_are_left_out(tmp_path: Path, name: str) -> None:
    """They cannot be written to the index, which would end with a traceback."""
    content = '{"id": "\\ud83d\\ude00", "title": "a\\ud800b"}\n{"\\udfff": 1, "id": "\\\\ud800"}\n'
    first, second = rows(written(tmp_path, name, content))
    assert (first["id"], first["title"]) == ("\U0001f600", "ab")
    assert (second["column 3"], second["id"]) == (1, "\\ud800")


CARDS = [{"id": "1", "title": "A", "category_id": 5}, {"id": "2", "title": "B", "category_id": 6}]


@pytest.mark.parametrize(
    ("content", "path"),
    [
        ({"name": "My shop", "products": CARDS}, "products"),
        ({"title": "Feed", "items": CARDS, "total": 2}, "items"),
        ({"data": {"products": CARDS}}, "data.products"),
        ({"stock": CARDS}, "stock"),
        ({"hits": {"hits": [{"_id": c["id"], "_source": c} for c in CARDS]}}, "hits.hits"),
        ({"data": {"products": {"edges": [{"node": c} for c in CARDS]}}}, "data.products.edges"),
    ],
)
def test_the_list_in_an_object_is_read(tmp_path: Path, content: object, path: str) -> None:
    """Else a catalogue is one card with the name of the shop for a title."""
    file = written(tmp_path, "a.json", json.dumps(content))
    assert rows(file) == CARDS
    assert findings(file) == [f"1 list is read as the cards: {path}"]


def test_categories_beside_the_products_name_them(tmp_path: Path) -> None:
    categories = [{"id": 4, "name": "Home"}, {"id": 5, "name": "Lamps", "parent_id": 4}]
    file = written(tmp_path, "a.json", json.dumps({"categories": categories, "products": CARDS}))
    assert [row["category"] for row in rows(file)] == [["Home", "Lamps"], ""]


def test_several_lists_are_refused_by_name(tmp_path: Path) -> None:
    file = written(tmp_path, "a.json", json.dumps({"old": CARDS, "new": CARDS}))
    assert "several lists of objects (old, new)" in refusal(file)


def test_a_card_with_lists_is_a_card(tmp_path: Path) -> None:
    card = {"title": "A", "images": [{"name": "x", "src": "a.jpg"}], "offers": [{"price": 1}]}
    assert rows(written(tmp_path, "a.json", json.dumps(card))) == [card]


def test_cards_by_their_ids_are_read(tmp_path: Path) -> None:
    content = {"7": {"title": "A"}, "8": {"title": "B"}}
    assert rows(written(tmp_path, "a.json", json.dumps(content))) == [
        {"id": "7", "title": "A"},
        {"id": "8", "title": "B"},
    ]


def test_products_within_categories_have_their_name(tmp_path: Path) -> None:
    content = {
        "categories": [{"name": "A", "products": CARDS[:1]}, {"name": "B", "items": CARDS[1:]}]
    }
    found = rows(written(tmp_path, "a.json", json.dumps(content)))
    assert [(row["id"], row["category"]) for row in found] == [("1", "A"), ("2", "B")]


def test_products_by_their_ids_are_a_list(tmp_path: Path) -> None:
    content = {"products": {"7": {"title": "A"}, "8": {"title": "B"}}, "total": 2}
    found = rows(written(tmp_path, "a.json", json.dumps(content)))
    assert found == [{"id": "7", "title": "A"}, {"id": "8", "title": "B"}]
