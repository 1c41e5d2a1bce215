"""Languages of texts, some of them too short to judge one by one."""

from __future__ import annotations

import made
import numpy as np
import pytest

from prodcat_index.reports.languages import adapt_to_mixture, detect_languages

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
    monkeypatch.setattr("prodcat_index.reports.languages.MOST_TEXTS", 4)
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
