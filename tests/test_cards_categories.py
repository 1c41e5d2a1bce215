"""Categories: paths of one form, separators that hold for a column, and keys."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prodcat_index import ProductIndex, read_catalogue, read_labels
from prodcat_index.cards.categories import clean_category, hint_match, read_categories

LEVELS = [("Home & Garden", "Lamps"), ("Home & Garden", "Rugs"), ("Kitchen", "Mugs")]
PATHS = [" > ".join(levels) for levels in LEVELS]


def read(*values: Any, separator: str | None = None) -> list[str]:
    return read_categories(values, [""] * len(values), separator).labels


@pytest.mark.parametrize("mark", [" > ", ">", ">>", "›", "»", "->", "→", "=>", "::", "|", "/"])
@pytest.mark.parametrize("form", ["{}", " {} "])
def test_a_mark_of_the_whole_column_separates_levels(mark: str, form: str) -> None:
    """A shop with paths would get plain names: no back-off, and no part of the tree."""
    assert read(*(form.format(mark).join(levels) for levels in LEVELS)) == PATHS


def test_a_list_is_a_path_whether_it_is_written_as_one_or_is_one() -> None:
    """A category would be called "['Kitchen', 'Mugs']", or two of its levels one name."""
    assert read(*(str(list(levels)) for levels in LEVELS)) == PATHS
    assert read(*(list(levels) for levels in LEVELS)) == PATHS
    assert read(*(np.array(levels) for levels in LEVELS)) == PATHS
    assert read('["Home & Garden", "Lamps"]', "[['Kitchen', 'Mugs'], ['Sale']]") == [
        *(PATHS[0], PATHS[2])
    ]
    assert read("['Men\\'s, shoes']", "[]", "[nan]", '[""]', "[None]", "[Sale]") == [
        *("Men's, shoes", "", "", "", "", "[Sale]")
    ]
    assert read(["Kitchen > Mugs", "Sale > Mugs"]) == ["Kitchen > Mugs"]


def test_entities_are_decoded_before_categories_are_compared() -> None:
    """One category would be two, and each card half wrong."""
    assert read("Home &amp; Garden &gt; Lamps &amp; more", "Home & Garden > Lamps & more") == [
        *("Home & Garden > Lamps & more",) * 2
    ]


@pytest.mark.parametrize(
    "nothing",
    [
        None,
        float("nan"),
        pd.NA,
        pd.NaT,
        "",
        " ",
        "N/A",
        "#N/A",
        "<NA>",
        "null",
        "-",
        "\\N",
        "[]",
        "{}",
    ],
)
def test_words_for_nothing_are_no_category(nothing: Any) -> None:
    """Cards without a category would be one large category called N/A."""
    assert read(nothing, "Lamps", "Lamps > N/A") == ["", "Lamps", "Lamps"]


def test_a_mark_in_some_plain_names_is_kept_and_noted() -> None:
    """TV/Audio would be torn apart; but who has paths is told how to say so."""
    names = ["TV/Audio", "Bed/Bath", "Toys"]
    found = read_categories(names, [""] * 3)
    assert (found.labels, found.separator) == (names, "")
    [note] = found.notes
    assert note.startswith("'/' is in 2 of 3 categories, which are taken for plain names (B")
    assert note.endswith('add --category-separator "/"')
    assert read_categories(["TV/Audio", "Toys", "Lamps"], [""] * 3).notes == []
    # All of them, but no first part comes twice: they are no tree.
    assert read("TV/Audio", "Bed/Bath", "PC/Laptop") == ["TV/Audio", "Bed/Bath", "PC/Laptop"]


def test_marks_inside_paths_stay_in_their_names() -> None:
    values = ["Home > TV/Audio", "Home > TV/Video", "Kitchen > A|B"]
    assert read(*values) == values
    # Some are paths in the usual form, so that a slash is part of a name.
    values = ["Home > TV/Audio", "Bed/Bath", "Bed/Wood", "Bed/Metal"]
    assert read(*values) == values
    assert read("Valves/1/2 inch", "Valves/3/4 inch") == ["Valves > 1/2 inch", "Valves > 3/4 inch"]


def test_a_separator_that_is_named_is_used_and_an_ordinary_one_turns_the_rule_off() -> None:
    assert read("Кино - DVD", "Кино - Blu-ray", separator=" - ") == ["Кино > DVD", "Кино > Blu-ray"]
    assert read("A/B", "A/C", separator=" > ") == ["A/B", "A/C"]


def test_categories_of_one_name_are_told_apart_by_their_keys() -> None:
    """Half of the answers would have the key of the other category."""
    names = ["Accessories", "Accessories", "Mugs", "Accessories", "Cups", ""]
    found = read_categories(names, ["12", "45", "7", "", "7", "9"])
    assert found.labels == [
        *("Accessories [12]", "Accessories [45]", "Mugs", "Accessories", "Cups", "")
    ]
    assert found.notes == [
        "2 categories share their name with another, so the keys tell them apart: "
        "Accessories [12], Accessories [45]",
        "several names have the same category key, and each is a category: 7 (Cups, Mugs)",
    ]


def test_later_cards_get_the_category_that_has_their_key() -> None:
    """A delivery of one shelf would be added to, or scored against, a shelf of the same name."""
    known = {"Accessories [12]": "12", "Accessories [45]": "45", "Mugs": "7"}
    names = ["Accessories", "Mugs", "Mugs"]
    assert read_categories(names, ["45", "7", "8"], known=known).labels == [
        *("Accessories [45]", "Mugs", "Mugs [8]")
    ]
    [note] = read_categories(["Cups"], ["7"], known=known).notes
    assert note.endswith("is a category: 7 (Cups, Mugs)")


@given(st.lists(st.tuples(st.sampled_from("AB"), st.sampled_from("123"))))
def test_a_label_has_one_key(cards: list[tuple[str, str]]) -> None:
    """The key of a prediction is looked up by its label."""
    names, keys = [name for name, _ in cards], [key for _, key in cards]
    labels = read_categories(names, keys).labels
    assert len(set(zip(labels, keys, strict=True))) == len(set(labels)) == len(set(cards))


@given(st.text("ab'\"[], \\{}", max_size=12))
def test_what_looks_like_a_list_is_read_or_kept(text: str) -> None:
    """One odd cell would end a build of hours."""
    assert isinstance(clean_category(text), str)


def test_every_answer_has_the_key_of_its_category(tmp_path: Path) -> None:
    """The shop files by key: the right name with the wrong key is a wrong answer."""
    goods = {("Accessories", "12"): "lamp shade", ("Accessories", "45"): "phone case"}
    rows = [
        {"id": f"{key}-{n}", "title": f"{title} {n}", "category": name, "category_id": key}
        for (name, key), title in goods.items()
        for n in range(6)
    ]
    index = ProductIndex.build(read_catalogue(pd.DataFrame(rows)))
    new = pd.DataFrame({"id": ["x", "y"], "title": ["lamp shade", "phone case"]})
    predictions = index.predict(read_catalogue(new))
    assert [p.category_id for p in predictions] == ["12", "45"]
    assert [p.category for p in predictions] == ["Accessories [12]", "Accessories [45]"]
    for columns in (["category_id"], ["category", "category_id"]):
        truth = pd.DataFrame({"id": ["x", "y"], "category": "Accessories", "category_id": [12, 45]})
        truth[["id", *columns]].to_csv(tmp_path / "truth.csv", index=False)
        truths = read_labels(tmp_path / "truth.csv", like=index.catalogue)
        assert index.score(predictions, truths).accuracy == 1.0


@pytest.mark.parametrize(
    "form",
    [
        "{} > {}|Sale",
        "Sale|{} > {}",
        "{} > {}; Sale > Hot",
        "{} > {}\nSale > Hot",
        "{} > {}||Sale",
        "{}/{}|Sale/Hot|New",
        "{}|{}||Sale|Hot",
        "{} &gt; {}; {} &gt; Sale",
    ],
)
def test_of_several_paths_the_deepest_is_taken_and_counted(form: str) -> None:
    """Every mixture of shelves would be a category of its own."""
    values = [form.format(*levels, levels[0]) for levels in LEVELS for _ in range(2)]
    found = read_categories(values, [""] * 6)
    assert found.labels == [path for path in PATHS for _ in range(2)]
    [note] = found.notes
    assert note.startswith("6 cards have several categories (")
    assert note.endswith(
        "is between them): the one with the most levels is taken, the first where equal"
    )


def test_a_comma_separates_paths_only_where_each_begins_as_others_do() -> None:
    values = ["Home > Lamps, Home > Sale", "Home > Rugs, Home", "Home > Mugs"]
    assert read(*values) == ["Home > Lamps", "Home > Rugs", "Home > Mugs"]
    # Whether these are of several is not known, but said.
    values = ["Home/Lamps, Sale/Hot", "Home/Rugs, Sale/Hot", "Home/Mugs, Sale/New"]
    found = read_categories(values, [""] * 3)
    assert found.labels[0] == "Home > Lamps, Sale > Hot"
    assert found.notes[0].startswith("3 cards have several categories, it seems (',' is between")
    for kept in (["Home > Bed, Bath > Towels", "Home > Mugs"], ["Home > Lamps, Rugs", "Toys > A"]):
        assert read(*kept) == kept


def test_a_mark_that_is_part_of_a_name_separates_no_paths() -> None:
    values = ["Home > A|B", "Home > TV; Radio", "Kitchen > Cups", "Kitchen > Pots"]
    assert read(*values) == values
    # One value of several among others with the mark is left as it is, and said.
    values = [*values, "Home > C;D", "Home > E;F", "Home > Lamps; Home > Rugs"]
    found = read_categories(values, [""] * len(values))
    assert found.labels == values
    assert found.notes[0] == (
        "1 card has several categories, it seems (';' is between them), taken for one each"
    )


@pytest.mark.parametrize(
    ("change", "way"),
    [
        (lambda path: path.replace(" > ", "/"), 'with --category-separator "/"'),
        (lambda path: path.replace(" > ", ";"), 'with --category-separator ";"'),
        (str.upper, "in the letter case of the index"),
        (lambda path: f"Shop > {path}", "without their first level"),
        (lambda path: path.split(" > ")[1], "as whole paths: they are last levels of the index"),
    ],
)
def test_categories_that_would_match_in_another_form_are_told(change: Any, way: str) -> None:
    """All answers would count as wrong, or every category be there twice."""
    labels = [change(path) for path in PATHS]
    hint = hint_match(labels, set(PATHS))
    assert hint == f"3 would match {way}"
    [note] = read_categories(labels, [""] * 3, "", known=dict.fromkeys(PATHS, "")).notes
    assert note.startswith(f"3 of 3 categories are not in the index ({min(labels)}, ")
    assert note.endswith(f"); {hint}")


def test_a_lost_root_is_told_and_other_categories_are_not_guessed_at() -> None:
    known = {"Shop > Home > Lamps", "Shop > Kitchen > Mugs", "Other"}
    assert hint_match(["Home > Lamps", "Kitchen > Mugs"], known) == (
        "2 would match below 'Shop', a first level of the index"
    )
    assert hint_match(["Toys", "Games"], known) == ""
    assert hint_match(["Other", "Shop > Home > Lamps", "other"], known) == ""
    assert hint_match(["Toys"], ()) == ""
    # Some cards of the index have no category.
    assert hint_match(["Toys", "Games"], {"", "Lamps"}) == ""
