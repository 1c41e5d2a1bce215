"""Cleaning of texts and categories."""

from __future__ import annotations

import time

import numpy as np
import pandas as pd
import pytest
from bs4 import BeautifulSoup
from hypothesis import given, settings
from hypothesis import strategies as st

from prodcat_index.cards import cleaning
from prodcat_index.cards.categories import clean_category
from prodcat_index.cards.cleaning import (
    MAX_RAW_TEXT,
    MAX_TEXT,
    clean_text,
    column_texts,
    join_values,
    was_cut,
)

PIECES = [
    *(
        "&amp;",
        "&lt;",
        "&gt;",
        "lt;",
        "&#38;",
        "amp;",
        "<",
        ">",
        "</",
        "<b>",
        "</p>",
        "<!--",
        "-->",
    ),
    *("<![CDATA[", "]]>", "<script>", "</script>", "<?", " ", "\n", "\x00", "e\u0301", "\u200b"),
    *("\ud800", "&copy", "&nbsp;", "a", "5", "'", '"', "=", "\u037e", "!"),
]
MARKUP = st.lists(st.sampled_from(PIECES), max_size=30).map("".join)


@settings(deadline=None)
@given(st.one_of(st.text(), MARKUP))
def test_cleaning_a_clean_text_changes_nothing(text: str) -> None:
    """Else a card read, saved and read again would have another embedding."""
    once = clean_text(text)
    assert clean_text(once) == once


@settings(deadline=None)
@given(MARKUP)
def test_clean_text_can_be_written_to_any_file(text: str) -> None:
    cleaned = clean_text(text)
    cleaned.encode("utf-8")
    assert not set(cleaned) & set("\x00\n\t\u200b")


@pytest.mark.parametrize(
    ("raw", "read"),
    [
        ("<p>Чайник</p><p>1,7 л</p>", "Чайник 1,7 л"),
        ("one<br>two<br/>three", "one two three"),
        ("<ul><li>red</li><li>blue</li></ul>", "red blue"),
        ("<b>Кр</b>асный м<sup>2</sup>", "Красный м2"),
        ("Кофе &amp; чай&nbsp;&quot;Утро&quot;", 'Кофе & чай "Утро"'),
        ("<script>alert('x')</script><style>p {color: red}</style>Lamp", "Lamp"),
        ("before<!-- a <b> note -->after", "before after"),
        ("<![CDATA[Lamp]]>", "Lamp"),
        ("<![if !supportLists]>Lamp<![endif]>", "Lamp"),
        ('<a href="x.html" title="b">Lamp</a>', "Lamp"),
        ("&lt;b&gt;Lamp&lt;/b&gt;", "Lamp"),
        ("&amp;lt;b&amp;gt;Lamp", "Lamp"),
        ("<div>Lamp", "Lamp"),
        ("  a\t\tb\r\n c\u00a0d ", "a b c d"),
        ("La\x00m\x07p\u200b \ufeffso\u00adfa", "Lamp sofa"),
        ("cafe\u0301", "café"),
        ("ok\ud83dok", "okok"),
        ("", ""),
    ],
)
def test_a_person_would_read(raw: str, read: str) -> None:
    """Markup left in, or words run together, spoil every text embedding."""
    assert clean_text(raw) == read


@pytest.mark.parametrize(
    "text",
    [
        *("a < b", "5<6", "5<6 and 7>3", "a<b", "R&D", "AT&T;", "<3", "S<M<L", "<Тест>", "->"),
        *('Труба 1/2" <20 мм', "!!! ---", "x ]> y", "😀👍🏽", "C++ & C#"),
    ],
)
def test_what_is_no_markup_survives(text: str) -> None:
    """Sizes and comparisons in titles must not be eaten as tags."""
    assert clean_text(text) == text


def test_comparisons_survive_inside_html() -> None:
    assert clean_text("<p>5<6 и a < b</p>") == "5<6 и a < b"


def test_text_escaped_without_end_loses_its_marks_and_stays_clean() -> None:
    cleaned = clean_text("&" + "amp;" * 20 + "lt;b&gt;")
    assert "<" not in cleaned
    assert "&" not in cleaned
    assert clean_text(cleaned) == cleaned


@pytest.mark.parametrize(
    "hostile",
    [
        *("<div>" * 10_000 + "end", "<b>" + "<a b='" * 30_000, "<b>" + "<a" * 90_000),
        *("-->" + "<!--" * 50_000, "<b>" + "</a " * 50_000, "&" + "amp;" * 40_000),
    ],
    ids=["nested", "open quotes", "open tags", "open comments", "open ends", "escaped"],
)
def test_one_hostile_card_does_not_stop_the_catalogue(hostile: str) -> None:
    started = time.process_time()
    clean_text(hostile)
    assert time.process_time() - started < 5


def test_ten_thousand_nested_tags_keep_their_text() -> None:
    assert clean_text("<div>" * 10_000 + "end") == "end"


def test_long_texts_are_cut_where_it_is_stated() -> None:
    raw = "ab " * MAX_TEXT
    cleaned = clean_text(raw)
    assert cleaned == raw[:MAX_TEXT].rstrip()
    assert was_cut(raw, cleaned)


@pytest.mark.parametrize("length", [MAX_TEXT - 1, MAX_TEXT])
def test_a_text_that_just_fits_is_not_reported_as_cut(length: int) -> None:
    assert not was_cut("a" * length, clean_text("a" * length))


def test_a_page_of_markup_around_few_words_is_not_reported_as_cut() -> None:
    raw = "<p> </p>" * 3_000 + "Lamp"
    assert MAX_TEXT < len(raw) < MAX_RAW_TEXT
    assert clean_text(raw) == "Lamp"
    assert not was_cut(raw, "Lamp")


def test_what_lies_beyond_the_raw_limit_is_reported_as_cut() -> None:
    raw = " " * MAX_RAW_TEXT + "Lamp"
    assert clean_text(raw) == ""
    assert was_cut(raw, "")


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        ("Все категории->Электроника->Телефоны", "Все категории > Электроника > Телефоны"),
        ("Home > Kitchen", "Home > Kitchen"),
        ("Home » Kitchen → Pans", "Home > Kitchen > Pans"),
        ("  Home\t>  Kitchen\x00 ", "Home > Kitchen"),
        ("Home > > Kitchen > ", "Home > Kitchen"),
        ("->", ""),
        ("a>b", "a>b"),
        ("Товары для «Дома» и сада", "Товары для «Дома» и сада"),
        ("TV / Audio", "TV / Audio"),
        ("Audio-Video", "Audio-Video"),
    ],
)
def test_category_paths_have_one_form(raw: str, path: str) -> None:
    """Else the same category counts as two, and names are torn apart."""
    assert clean_category(raw) == path


@settings(deadline=None)
@given(st.text("ab->»→ «/\n", max_size=20))
def test_cleaning_a_clean_category_changes_nothing(text: str) -> None:
    once = clean_category(text)
    assert clean_category(once) == once


def test_every_way_to_say_nothing_is_the_empty_text() -> None:
    """The word "nan" as a title would make strangers neighbours."""
    nothing = [None, float("nan"), pd.NA, pd.NaT, " \t", "nan", "NaN", "None", "null", " NULL "]
    nothing += ["N/A", "#N/A", "<NA>", "-", "—", "\\N", "[]", "{}", "['']", "[None]", "#REF!"]
    nothing += [[], {}, [None], {"a": float("nan")}, np.float32("nan")]
    assert column_texts(pd.Series(nothing, dtype=object)) == [""] * len(nothing)


@pytest.mark.parametrize("text", ["<p>N/A</p>", "&nbsp;-&nbsp;", "\u200b\\N", "<b></b>"])
def test_nothing_in_markup_is_nothing(text: str) -> None:
    assert clean_text(text) == ""


@pytest.mark.parametrize("digits", [8, 4_301, 5_000])
@pytest.mark.parametrize("form", ["&#{};", "&#{}", "&#x{};", "&#X{}", "<b>&#{};</b> &amp;"])
def test_a_number_of_no_character_goes(form: str, digits: int) -> None:
    """Python refuses to read 5,000 digits: one title would end the build of a whole catalogue."""
    reference = form.format("9" * digits)
    assert clean_text(f"x {reference} lamp &amp; shade").split() == [
        *["x", *["&"] * form.count("amp"), "lamp", "&", "shade"]
    ]
    assert clean_category(f"Lamps {reference} &gt; Desk").endswith("> Desk")


def test_words_that_contain_the_leftovers_stay() -> None:
    assert column_texts(pd.Series(["nanny", "Nan", "None of it"])) == ["nanny", "Nan", "None of it"]


def test_numbers_are_written_as_people_write_them() -> None:
    """An id 123 that became "123.0" beside a missing one would find no picture."""
    assert column_texts(pd.Series([123.0, None, 0.5])) == ["123", "", "0.5"]
    assert column_texts(pd.Series([7, None], dtype="Int64")) == ["7", ""]
    assert column_texts(pd.Series([np.float32(3), 2**60, True], dtype=object)) == [
        *("3", str(2**60), "True")
    ]


def test_lists_and_mappings_become_readable_texts() -> None:
    assert join_values(["red", None, "cotton"]) == "red, cotton"
    assert join_values({"Цвет": ["красный", "синий"], "Вес": 2.0, "Узор": ""}) == (
        "Цвет: красный, синий, Вес: 2"
    )
    assert join_values(np.array(["a", "b"])) == "a, b"
    assert join_values("лампа".encode()) == "лампа"


def test_endless_nesting_does_not_crash() -> None:
    value: list[object] = ["deep"]
    for _ in range(5_000):
        value = [value]
    assert join_values(value) == ""


MARKUP = [
    *(
        "<b>",
        "</b>",
        "<br/>",
        '<p class="a">',
        "</p>",
        "<a title='q'>",
        '<a href="x>y">',
        "<td width=5>",
    ),
    *("&amp;", "&nbsp;", "&nbsp", "&foo;", "&#150;", "&#1234;", "&#x41;", "&", "<", ">", '"', "'"),
    *("<script>", "</script>", "<title>", "<ruby><rt>", "word", " ", "<3", "<br/ >", "<x-y:z>"),
]


@settings(max_examples=500)
@given(st.lists(st.sampled_from(MARKUP), max_size=20).map("".join))
def test_simple_markup_is_read_as_by_the_parser(text: str) -> None:
    """Else a description means something else to the encoder, only because it is simple."""
    parsed = BeautifulSoup(text, "html.parser").get_text()
    assert cleaning.tidy(cleaning._without_tags(text)) == cleaning.tidy(parsed)


@pytest.mark.parametrize(
    "hostile",
    ["<a" + " " * 150_000 + '">', "<a" + " x" * 80_000 + '">', "<" + "a-" * 80_000 + '">'],
)
def test_a_tag_that_is_nearly_one_takes_no_time(hostile: str) -> None:
    started = time.process_time()
    clean_text(hostile)
    assert time.process_time() - started < 5
