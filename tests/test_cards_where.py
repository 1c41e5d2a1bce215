"""Filters: which cards match, which are left out, and why a filter cannot be read."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import replace

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prodcat_index.cards.card import Catalogue
from prodcat_index.cards.catalogue import read_catalogue
from prodcat_index.cards.numbers import read_numbers
from prodcat_index.cards.where import MOST_CHARACTERS, Filter, parse
from prodcat_index.errors import QueryError

TABLE = pd.DataFrame(
    {
        "sku": ["A1", "A2", "A3", "A4", "007"],
        "name": ["Cordless DRILL", "Saw", "Drill bit 10", "Lamp", "10"],
        "category": ["Tools > Drills", "Tools > Saws", "Tools > Drills > Bits", "Home", "Toolsets"],
        "brand": ["Bosch", "Makita", "Black & Decker", None, "O'Neill"],
        "price": ["5 000,50 руб.", "по запросу", "12", "", "100,5"],
        "in stock": [True, False, True, True, False],
        "code": ["7", "007", "7.0", "12345678901234567890", "12345678901234567891"],
        "since": ["2024-12-31", "2025-01-01", "2025-06-01", "", "2025-01-02"],
    }
)
CARDS = read_catalogue(TABLE)


def quote(text: object) -> str:
    return '"' + str(text).replace('"', '""') + '"'


def found(where: str, cards: Catalogue = CARDS) -> str:
    mask = parse(where).matches(cards).mask
    return " ".join(card for card, matches in zip(cards.ids, mask, strict=True) if matches)


@pytest.mark.parametrize(
    ("where", "cards"),
    [
        ("brand=Bosch and price<5001", "A1"),
        ("brand = Bosch or brand = Makita and price > 1", "A1"),
        ("(brand = Bosch or brand = Makita) and not since > '2025'", "A1"),
        ("NOT brand IN (Bosch, 'O''Neill', \"Black & Decker\")", "A2 A4"),
        ("brand not in (Bosch, Makita)", "A3 A4 007"),
        ('brand = ""', "A4"),
        ("brand = bosch", ""),
        ("brand != Bosch", "A2 A3 A4 007"),
        ("not not brand == Bosch", "A1"),
        ("title ~ drill", "A1 A3"),
        ("name contains drill", "A1 A3"),
        ("Name not contains drill", "A2 A4 007"),
        ("price = 5000.5", "A1"),
        ("price in (12, 5000.50)", "A1 A3"),
        ("price >= 100.5", "A1 007"),
        ("price <= 100.5", "A3 007"),
        ("price != 12", "A1 007"),
        ("not price < 100", "A1 007"),
        ("price > 0 or brand = Makita", "A1 A2 A3 007"),
        ("price = 'по запросу'", "A2"),
        ("`in stock` = True", "A1 A3 A4"),
        ('"in stock" != True', "A2 007"),
        ("category under Tools", "A1 A2 A3"),
        ('category under "Tools > Drills"', "A1 A3"),
        ('category not under "Tools > Drills"', "A2 A4 007"),
        ("category = Tools", ""),
        ("since >= '2025-01-01' and since < '2025-01-02'", "A2"),
        ("code = 7", "A1 A2 A3"),
        ("code = 007", "A2"),
        ("code = '7'", "A1"),
        ("code = 12345678901234567890", "A4"),
        ("code > 7", "A4 007"),
        ("id = 7", ""),
        ("id = 007", "007"),
        ("title = 10", "007"),
        ("title <= 10", "007"),
    ],
)
def test_a_filter_matches_what_it_says(where: str, cards: str) -> None:
    """People would choose among the wrong products."""
    assert found(where) == cards


def test_cards_that_a_number_cannot_be_read_of_are_counted() -> None:
    """They match neither a comparison nor its opposite, and would be missed without a word."""
    for where in ("price < 100", "not price < 100"):
        _, told = parse(where).matches(CARDS).notes
        assert told == (
            "2 cards are left out because their price is no number (such as 'по запросу'): A2, A4"
        )
    # Only where it matters.
    notes = parse("price > 0 or brand = Makita").matches(CARDS).notes
    assert notes == (
        "4 of 5 cards match price > 0 or brand = Makita",
        "1 card is left out because its price is no number (it is empty): A4",
    )
    assert len(parse("price > 0 and brand = Bosch").matches(CARDS).notes) == 1


def test_a_filter_that_no_card_matches_names_the_nearest_value() -> None:
    """A letter in the wrong case would look as if a brand were sold out."""
    assert parse("brand = bosch").matches(CARDS).notes == (
        "no card matches brand = bosch. Did you mean 'Bosch'?",
    )
    [told] = parse('category under "tools > drill"').matches(CARDS).notes
    assert told.endswith("Did you mean 'Tools > Drills'?")
    # The brand is there, and so is nothing to be asked.
    assert parse("brand = Bosch and price > 9999").matches(CARDS).notes[0].endswith("> 9999.")


def test_columns_are_found_by_their_name_in_the_source() -> None:
    """Whoever made the file knows no other name."""
    assert found("sku = A1") == found("SKU = A1") == found("id = A1") == "A1"
    assert found("name = Saw") == found("title = Saw") == "A2"


def test_categories_are_under_a_path_as_the_file_writes_it() -> None:
    """A shop that writes Tools/Drills would have to know how it is kept."""
    rows = {"id": list("abcd"), "title": list("abcd"), "description": ""}
    paths = ["Tools/Drills", "Tools/Saws", "Home/Lamps", "Home/Lamps"]
    slashes = read_catalogue(pd.DataFrame({**rows, "category": paths}))
    assert found('category under "Tools/Drills"', slashes) == "a"
    assert found('category under "Tools > Drills"', slashes) == "a"
    # Two categories of one name, told apart by their keys, are both below it.
    keyed = pd.DataFrame({**rows, "category": "A > B", "category_id": [1, 1, 2, ""]})
    cards = read_catalogue(keyed)
    assert "A > B [2]" in cards.values("category")
    assert found('category under "A > B"', cards) == "a b c d"
    assert found('category under "A > B [2]"', cards) == ""
    assert found('category = "A > B [2]"', cards) == "c"


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("", "for it is empty: a comparison is expected, which begins with a column"),
        ("brand Bosch", "at character 7, 'Bosch': =, !=, <, <=, >, >=, ~, in, contains or under"),
        ("brand = Black Decker", "at character 15, 'Decker': and, or or the end is expected; put"),
        ("brand = Black and Decker", "at its end, after 'Decker': =, !=, <, <=, >, >=, ~, in"),
        ("brand =", "at its end, after '=': a value is expected"),
        ("brand = (Bosch)", "at character 9, '(Bosch)': a value is expected"),
        ("brand in Bosch", "at character 10, 'Bosch': a list is expected, such as (a, b)"),
        ("brand in ()", "at character 11, ')': a value is expected"),
        ("brand in (a b)", "at character 13, 'b)': a comma or ) is expected, as in (a, b)"),
        ("brand in (a, b", "at its end, after 'b': a comma or ) is expected, as in (a, b)"),
        ("brand not = Bosch", "at character 11, '=': in, contains or under is expected after not"),
        ("(brand = Bosch", "at its end, after 'Bosch': ) is expected"),
        ("brand = Bosch)", "at character 14, ')': the end is expected"),
        ("brand = 'Bosch", 'at character 9, "\'Bosch": this quote is not closed'),
        ("brand & Bosch", "at character 7, '&': =, !=, <, <=, >, >=, ~, in, contains or under"),
        ("price < 5000,50", "at character 13, ',50': the decimal mark of a number is a point"),
        ("price < 5k", "compares price < 5k, which is no number such as 5000.5; put a text"),
        ("not", "at its end, after 'not': a comparison is expected"),
        ("__import__('os')", "at character 11, \"('os')\": =, !=, <, <=, >, >=, ~, in"),
        ("(" * 99_000, "at its end"),
        ("a=1 and (b=1 or (" * 60 + "c=1" + "))" * 60, "nested 100 levels deep at most"),
        ("x" * (MOST_CHARACTERS + 1), "A filter has 100,000 characters at most, not 100,001"),
    ],
)
def test_a_filter_that_cannot_be_read_says_where_and_what_is_expected(
    where: str, said: str
) -> None:
    """People would try at random."""
    with pytest.raises(QueryError) as refused:
        parse(where)
    assert said in str(refused.value)


def test_an_unknown_column_is_named_with_the_nearest_one() -> None:
    with pytest.raises(QueryError, match=r"no column 'brnd' to filter by\. Did you mean 'brand'?"):
        found("brnd = Bosch")
    with pytest.raises(TypeError, match="A filter is a text such as 'brand = Bosch'; this is of"):
        parse(5)  # type: ignore[arg-type]


def test_many_parentheses_and_ids_are_read() -> None:
    """A list of a thousand ids is what programs write."""
    assert found("(" * 2000 + "brand = Bosch" + ")" * 2000) == "A1"
    assert found(f"id in ({', '.join(f'A{n}' for n in range(2000, 0, -1))})") == "A1 A2 A3 A4"
    assert found(f"brand = Bosch{' or brand = Makita' * 2000}") == "A1 A2"


PYTHON: dict[str, Callable[..., bool]] = {
    **{"=": operator.eq, "==": operator.eq, "!=": operator.ne},
    **{"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge},
}
Row = Mapping[str, str]
Test = Callable[[Row], bool | None]


def _number(row: Row, name: str) -> float | None:
    number = float(read_numbers([row[name]])[0])
    return None if number != number else number


def _numbered(name: str, sign: str, wanted: float) -> tuple[str, Test]:
    def test(row: Row) -> bool | None:
        own = _number(row, name)
        return None if own is None else bool(PYTHON[sign](own, wanted))

    return f"{name} {sign} {wanted}", test


def _named(name: str, sign: str, wanted: str) -> tuple[str, Test]:
    written = f"{quote(name)}{sign}{quote(wanted)}"
    return written, lambda row: bool(PYTHON[sign](row[name], wanted))


def _listed(name: str, wanted: list[str]) -> tuple[str, Test]:
    return f"{name} in ({', '.join(map(quote, wanted))})", lambda row: row[name] in wanted


def _containing(name: str, wanted: str) -> tuple[str, Test]:
    shown = f"`{name}` Contains {quote(wanted)}"
    return shown, lambda row: wanted.casefold() in row[name].casefold()


def _under(top: str) -> tuple[str, Test]:
    def test(row: Row) -> bool:
        return row["category"].split(" > ")[: len(top.split(" > "))] == top.split(" > ")

    return f"category under {quote(top)}", test


def _not(part: tuple[str, Test]) -> tuple[str, Test]:
    def test(row: Row) -> bool | None:
        own = part[1](row)
        return None if own is None else not own

    return f"not ({part[0]})", test


def _all(parts: list[tuple[str, Test]]) -> tuple[str, Test]:
    def test(row: Row) -> bool | None:
        own = [part(row) for _, part in parts]
        return False if False in own else None if None in own else True

    return " and ".join(f"({text})" for text, _ in parts), test


def _any(parts: list[tuple[str, Test]]) -> tuple[str, Test]:
    opposite = _not(_all([_not(part) for part in parts]))
    return " OR ".join(f"({text})" for text, _ in parts), opposite[1]


BRANDS = st.sampled_from(["Bosch", "bosch", "O'Neill", 'an 8" saw', "", "and", "( x", "5"])
PRICES = st.sampled_from(["5 000,50 руб.", "12", "12.0", "100,5", "-3", "on request", ""])
PATHS = st.sampled_from(["Tools", "Tools > Drills", "Tools > Drills > Bits", "Toolsets", "Home"])
SIGNS = st.sampled_from(list(PYTHON))
TESTS = st.one_of(
    st.builds(_numbered, st.just("price"), SIGNS, st.sampled_from([12, 5000.5, 100.5, -3, 0])),
    st.builds(_named, st.just("the brand"), SIGNS, BRANDS),
    st.builds(_listed, st.just("price"), st.lists(PRICES, min_size=1)),
    st.builds(_containing, st.just("the brand"), BRANDS),
    st.builds(_under, PATHS),
)
FILTERS = st.recursive(
    TESTS,
    lambda part: st.one_of(
        st.builds(_not, part),
        st.builds(_all, st.lists(part, min_size=1, max_size=3)),
        st.builds(_any, st.lists(part, min_size=1, max_size=3)),
    ),
)
ROWS = st.lists(
    st.fixed_dictionaries({"the brand": BRANDS, "price": PRICES, "category": PATHS}),
    min_size=1,
    max_size=8,
)


@settings(deadline=None)
@given(FILTERS, ROWS)
def test_a_filter_agrees_with_python(filtered: tuple[str, Test], rows: list[Row]) -> None:
    """A card that should not be there, or is missing, is found by nobody."""
    text, test = filtered
    table = pd.DataFrame([{"id": str(n), "title": "x", **row} for n, row in enumerate(rows)])
    empty = dict.fromkeys(("description", "image", "category_id", "group"), "")
    matches = parse(text).matches(Catalogue(table.assign(**empty)))
    assert matches.mask.tolist() == [test(row) is True for row in rows]
    # Where no part of a filter decides, the note counts the card.
    unsure = sum(test(row) is None for row in rows)
    assert len(matches.notes) == (2 if unsure else 1)
    if unsure:
        assert matches.notes[1].startswith(f"{unsure} card")


@settings(deadline=None)
@given(st.text(), st.text(min_size=1))
def test_any_text_is_read_or_refused_in_a_sentence(text: str, value: str) -> None:
    """A filter comes from a search box, and must not end the service behind it."""
    try:
        assert isinstance(parse(text), Filter)
    except QueryError as refused:
        assert str(refused).endswith(".")
    cards = replace(CARDS, cards=CARDS.cards.assign(brand=value))
    parse(f"brand = {quote(value)} or `brand` ~ {quote(value)}").matches(cards)
