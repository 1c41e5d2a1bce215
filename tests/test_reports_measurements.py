"""Measurements of texts, pictures and labels: outliers, the cards at the ends, languages."""

from __future__ import annotations

from pathlib import Path

import made
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from prodcat_index.reports.explore import as_json
from prodcat_index.reports.measurements import (
    Extreme,
    adapt_to_mixture,
    detect_languages,
    find_extremes,
    is_outlier,
    measure_pictures,
    measure_texts,
    spread_of,
)


def save(folder: Path, name: str, size: tuple[int, int]) -> str:
    Image.new("RGB", size, "red").save(folder / name)
    return str(folder / name)


def test_records_become_what_repr_shows() -> None:
    """Rows of a table in memory would be taken for ids of the shop."""
    record = {1: (Extreme("card", 7, 2.5), None)}
    assert as_json(record) == {"1": [{"id": "card", "value": 2.5}, None]}


def test_text_lengths_leave_out_the_empty_and_name_both_ends() -> None:
    """The cards to mend would have to be searched for."""
    cards = [made.row("a", "x" * 10), made.row("b"), made.row("c", "x"), made.row("d", "x" * 40)]
    title, description = measure_texts(made.catalogue(cards)).values()
    assert title.characters is not None
    assert (title.characters.count, title.characters.least, title.characters.median) == (3, 1, 10)
    assert [(e.id, e.row, e.value) for e in title.shortest] == [("c", 2, 1.0)]
    assert [(e.id, e.row, e.value) for e in title.longest] == [("d", 3, 40.0)]
    assert description.characters is None and description.longest == ()


def test_outliers_are_told_by_fences_on_a_logarithmic_scale() -> None:
    """Long-tailed lengths would all be outliers on a plain scale."""
    usual = [8.0, 9.0, 10.0, 11.0, 12.0] * 4
    assert is_outlier([*usual, 1.0, 1000.0]).tolist() == [False] * 20 + [True, True]
    assert not is_outlier([1, 2, 4, 8, 16, 32, 64]).any()


def test_one_picture_of_another_size_is_an_outlier_among_equal_ones() -> None:
    assert is_outlier([512] * 20 + [511]).tolist() == [False] * 20 + [True]
    # What differs by rounding alone does not differ.
    assert not is_outlier([0.3] * 20 + [0.1 + 0.2]).any()


@settings(deadline=None)
@given(st.lists(st.floats(0.001, 1e9), min_size=1, max_size=50), st.floats(0.01, 100))
def test_outliers_do_not_depend_on_the_unit(values: list[float], factor: float) -> None:
    """Whether a picture is odd would depend on pixels or inches."""
    logs = np.sort(np.log(values))
    first, third = np.quantile(logs, (0.25, 0.75))
    reach = 3 * (third - first)
    edges = np.abs(np.concatenate([logs - first + reach, logs - third - reach]))
    if edges.min() > 1e-6:
        scaled = is_outlier(np.array(values) * factor)
        assert scaled.tolist() == is_outlier(values).tolist()


@settings(deadline=None)
@given(st.lists(st.integers(1, 10**6), min_size=1, max_size=50))
def test_quantiles_are_in_order_and_inside(values: list[int]) -> None:
    spread = spread_of(values)
    assert spread is not None
    assert spread.least == min(values) and spread.most == max(values)
    assert spread.least <= spread.low <= spread.median <= spread.high <= spread.most
    assert 0 <= spread.outliers <= len(values) / 2


def test_equal_extremes_stand_in_catalogue_order() -> None:
    """Two runs over one catalogue would name different cards."""
    ids = [f"card{row}" for row in range(10)]
    found = find_extremes([5, 7, 1, 1, 7], [2, 4, 5, 6, 8], ids, most=True)
    assert [e.id for e in found] == ["card4", "card8"]


def test_where_all_are_equal_none_is_extreme() -> None:
    """Five ordinary pictures would be shown as the widest of all."""
    assert find_extremes([512] * 3, [0, 1, 2], ["a", "b", "c"], most=True) == ()
    assert find_extremes([], [], [], most=False) == ()


def test_picture_sizes_and_extremes_are_those_of_the_files(tmp_path: Path) -> None:
    images = {
        "small": save(tmp_path, "a.png", (10, 20)),
        "wide": save(tmp_path, "b.jpg", (300, 30)),
        "large": save(tmp_path, "c.jpg", (200, 100)),
    }
    cards = [made.row(name, "x", image=path) for name, path in images.items()]
    found = measure_pictures(made.catalogue([*cards, made.row("none", "x")]))
    assert found.sizes.tolist() == [[10, 20], [300, 30], [200, 100]]
    assert found.formats == {"JPEG": 2, "PNG": 1}
    first = {name: cards[0] for name, cards in found.extremes.items()}
    assert (first["fewest_pixels"].id, first["fewest_pixels"].value) == ("small", 200)
    assert (first["most_pixels"].id, first["most_pixels"].value) == ("large", 20_000)
    assert (first["widest"].id, first["widest"].value) == ("wide", 10)
    assert (first["tallest"].id, first["tallest"].value) == ("small", 0.5)


def test_unreadable_pictures_are_named_with_their_reason(tmp_path: Path) -> None:
    (tmp_path / "empty.jpg").write_bytes(b"")
    (tmp_path / "text.jpg").write_text("no picture")
    cards = [
        made.row(name, "x", image=str(tmp_path / f"{name}.jpg"))
        for name in ("empty", "text", "gone")
    ]
    found = measure_pictures(made.catalogue(cards))
    assert found.unreadable == {
        "the file is empty": ["empty"],
        "it is not a picture of a known format": ["text"],
        "there is no such file": ["gone"],
    }
    assert found.unreadable_count == 3 and len(found.sizes) == 0


# Languages

RUSSIAN = (
    "Кран шаровой латунный с красной ручкой для воды",
    "Смеситель для кухни с высоким поворотным изливом",
    "Полотенцесушитель водяной из нержавеющей стали",
    "Мягкая игрушка для детей от трёх лет, очень приятная на ощупь",
    "Раковина керамическая белая с отверстием под смеситель",
)
ENGLISH = (
    "Stainless steel kettle with a whistle for gas and electric stoves",
    "Warm winter boots made of genuine leather for men",
    "This lamp gives soft light and looks good on any desk",
)


def test_short_titles_are_judged_by_the_language_of_the_catalogue() -> None:
    """One by one, "Кран шаровой" is as good Bulgarian as Russian."""
    titles = ["Кран", "Муфта S20", "Сифон белый", "Американка"]
    cards = [made.row(str(n), t, RUSSIAN[n]) for n, t in enumerate(titles)]
    title, description = detect_languages(made.catalogue(cards)).values()
    assert title.counts == {"ru": 4} and description.counts == {"ru": 4}


def test_two_languages_are_told_apart() -> None:
    cards = [made.row(str(n), text) for n, text in enumerate((*RUSSIAN, *ENGLISH))]
    title, description = detect_languages(made.catalogue(cards)).values()
    assert title.counts == {"ru": 5, "en": 3} and title.undetermined == 0
    assert (description.texts, description.read, description.counts) == (0, 0, {})


def test_codes_and_numbers_have_no_language() -> None:
    """A share of "Latin" would be made up of article numbers."""
    cards = [made.row("1", "12-34"), made.row("2", "5 x 7"), made.row("3", RUSSIAN[0])]
    title, _ = detect_languages(made.catalogue(cards)).values()
    assert title.undetermined == 2 / 3 and title.counts == {"ru": 1}
    assert title.shares == {"ru": pytest.approx(1 / 3)}


def test_a_catalogue_of_codes_alone_has_no_language() -> None:
    cards = [made.row("1", "12"), made.row("2", "34")]
    title, _ = detect_languages(made.catalogue(cards)).values()
    assert title.counts == {} and title.undetermined == 1
    assert title.with_undetermined == {"undetermined": 2}


def test_large_catalogues_are_sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    """A shop of millions would wait for an hour."""
    monkeypatch.setattr("prodcat_index.reports.measurements.MOST_TEXTS", 4)
    cards = [made.row(str(n), RUSSIAN[n % 5]) for n in range(20)]
    title, _ = detect_languages(made.catalogue(cards)).values()
    assert (title.texts, title.read, title.counts) == (20, 4, {"ru": 4})


def test_the_mixture_is_that_of_an_example_worked_out_by_hand() -> None:
    """Nine clear rows of one class decide the tenth, which alone would be a draw."""
    likelihoods = np.array([[1.0, 0.0]] * 8 + [[0.0, 1.0]] + [[0.5, 0.5]], dtype=np.float32)
    adapted = adapt_to_mixture(likelihoods)
    # The frequency f of the first class solves f = (8 + f) / 10, so f = 8/9.
    assert adapted[-1] == pytest.approx([8 / 9, 1 / 9], abs=1e-3)
    assert adapted[0] == pytest.approx([1, 0])
