"""Options in a spec, and rows that stand where their values stand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from prodcat_index.encoders.base import (
    Encoded,
    Options,
    Precision,
    distinct,
    group_by_reason,
    join_options,
    rows_of,
    split_options,
    unit_rows,
)
from prodcat_index.errors import EncoderError


class Sample(Options):
    prefix: str | None = Field(None, description="a text")
    size: int | None = Field(None, ge=1, le=99, description="a whole number from 1 to 99")
    precision: Precision | None = Field(None, description="float32 or bfloat16")


def test_name_and_options_are_told_apart() -> None:
    name, options = split_options("owner/name?prefix=query: &size=7", Sample)
    assert name == "owner/name"
    assert options == Sample(prefix="query: ", size=7)


def test_without_options_everything_is_as_the_model_has_it() -> None:
    for argument in ("owner/name", "owner/name?"):
        assert split_options(argument, Sample) == ("owner/name", Sample())
    assert join_options("owner/name", Sample()) == "owner/name"


def test_the_order_and_the_spelling_of_options_do_not_change_the_spec() -> None:
    """Else one encoder would be two in the cache and in comparisons of indexes."""
    spellings = ("n?size=7&prefix=query: ", "n?prefix=query%3A%20&size=07")
    specs = {join_options(*split_options(spelling, Sample)) for spelling in spellings}
    assert specs == {"n?prefix=query:%20&size=7"}


@given(st.text(st.characters(exclude_categories=["Cs"])), st.integers(1, 99))
def test_a_spec_is_read_as_it_was_written(prefix: str, size: int) -> None:
    """An index keeps the spec and makes its encoder from it again."""
    options = Sample(prefix=prefix, size=size)
    spec = join_options("name", options)
    assert split_options(spec, Sample) == ("name", options)
    assert spec.split() == [spec]


def test_a_plus_is_a_plus() -> None:
    assert split_options("n?prefix=C++ ", Sample)[1].prefix == "C++ "


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("n?sise=7", "There is no option 'sise' in n?sise=7; the options here are prefix, size, "),
        ("n?size=many", "The option size=many of n?size=many is wrong; it must be a whole number"),
        ("n?size=0", "it must be a whole number from 1 to 99."),
        ("n?precision=int8", "it must be float32 or bfloat16."),
        ("n?size=7&size=8", "What follows ? in n?size=7&size=8 must be key=value&key=value"),
        ("a folder?/with it", "a file or folder with ? in its name must be renamed."),
    ],
)
def test_a_wrong_option_is_refused_in_a_sentence(argument: str, message: str) -> None:
    with pytest.raises(EncoderError) as caught:
        split_options(argument, Sample)
    assert message in str(caught.value)


def test_each_value_gets_its_own_row_and_a_missing_one_zeros() -> None:
    """A card would be searched by the text of another one."""
    values = ["b", "", "a", "b", "unknown"]
    assert distinct(values) == ["b", "a", "unknown"]
    rows = np.array([[3, 4], [0, 5]], dtype=np.float32)
    placed = rows_of(values, ["b", "a"], rows)
    assert placed.dtype == np.float32
    assert placed.tolist() == [[3, 4], [0, 0], [0, 5], [3, 4], [0, 0]]
    assert Encoded(placed).present.tolist() == [True, False, True, True, False]
    assert rows_of([], ["b", "a"], rows).shape == (0, 2)


def test_rows_without_a_finite_length_become_zeros() -> None:
    """One broken row would make every similarity of its card NaN."""
    rows = np.array([[3, 4], [0, 0], [np.inf, 1], [np.nan, 1]], dtype=np.float64)
    scaled = unit_rows(rows)
    assert scaled.dtype == np.float32
    np.testing.assert_allclose(scaled, [[0.6, 0.8], [0, 0], [0, 0], [0, 0]], rtol=1e-6)


def test_positions_are_grouped_by_the_reason_why_a_value_has_no_row() -> None:
    """The report would name other cards than those with an unreadable picture."""
    reasons = [None, "damaged", "missing", None, "damaged"]
    assert group_by_reason(reasons) == {"damaged": [1, 4], "missing": [2]}
    assert group_by_reason([None, None]) == {}
