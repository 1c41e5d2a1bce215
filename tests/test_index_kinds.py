"""Which kind of search index is chosen: the wrong one is slow, does not fit, or misses cards."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import made
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prodcat_index import ProductIndex
from prodcat_index.errors import QueryError
from prodcat_index.index.folder import parse_manifest
from prodcat_index.index.folder_card import explain_search, memory_warning
from prodcat_index.index.kinds import KINDS, IndexChoice, choose_index, parse_memory, readable_size

SIZES = st.integers(1, 5_000_000)
DIMS = st.integers(1, 4096)
MEMORIES = st.integers(1, 10**11)


@pytest.mark.parametrize(
    ("n", "dim", "memory", "kind"),
    [
        # 4 bytes a value: 91,120 x 146 are 53 MB and 13 million values, quickly compared.
        (91_120, 146, None, "flat"),
        (91_120, 146, 53_214_080, "flat"),
        # A byte less: 146 + 20 bytes a card are 15.1 MB.
        (91_120, 146, 53_214_079, "ivf"),
        (91_120, 146, 15_125_920, "ivf"),
        # 12 bytes less a card without cells; nothing is smaller, so it is taken even if it is more.
        (91_120, 146, 15_125_919, "sq8"),
        (91_120, 146, 1, "sq8"),
        # 163 and 146 million values are too many to compare at every query.
        (91_120, 1792, None, "ivf"),
        (1_000_000, 146, None, "ivf"),
        # Few cards are compared however long their rows are, unless memory is short.
        (9_999, 8_000, None, "flat"),
        (9_999, 8_000, 10**6, "sq8"),
        (1, 1, None, "flat"),
    ],
)
def test_the_kind_is_chosen_by_size_and_memory(
    n: int, dim: int, memory: int | None, kind: str
) -> None:
    assert choose_index(n, dim, memory).name == kind


@given(SIZES, DIMS, MEMORIES)
def test_what_is_chosen_fits_wherever_anything_fits(n: int, dim: int, memory: int) -> None:
    smallest = min(kind.size(n, dim) for kind in KINDS.values())
    chosen = choose_index(n, dim, memory).size(n, dim)
    assert chosen <= memory if smallest <= memory else chosen == smallest


@given(SIZES, DIMS, MEMORIES, MEMORIES)
def test_less_memory_never_takes_more(n: int, dim: int, one: int, other: int) -> None:
    less, more = sorted((one, other))
    assert choose_index(n, dim, less).size(n, dim) <= choose_index(n, dim, more).size(n, dim)


@given(SIZES, SIZES, DIMS, MEMORIES | st.none())
def test_more_cards_are_never_compared_exactly_where_fewer_are_not(
    one: int, other: int, dim: int, memory: int | None
) -> None:
    fewer, more = sorted((one, other))
    if choose_index(more, dim, memory).name == "flat":
        assert choose_index(fewer, dim, memory).name == "flat"


def test_a_kind_that_is_asked_for_is_taken_whatever_the_size() -> None:
    for kind in KINDS:
        assert IndexChoice(kind, memory=1).choose(10, 10).name == kind


def test_a_share_of_the_memory_is_chosen_within() -> None:
    choice = IndexChoice(memory=2 * 53_214_080)
    assert choice.choose(91_120, 146, 0.5).name == "flat"
    assert choice.choose(91_120, 146, 0.49).name == "ivf"


@pytest.mark.parametrize(
    ("text", "size"),
    [("2GB", 2 * 10**9), ("1.5 gb", 1_500_000_000), ("500MB", 5 * 10**8), ("1,000 kb", 10**6)],
)
def test_sizes_are_read(text: str, size: int) -> None:
    assert parse_memory(text) == size


@pytest.mark.parametrize("text", ["", "2", "GB", "two GB", "-1GB", "0MB", "nanGB", "infGB", "2PB"])
def test_what_is_no_size_is_refused_in_words(text: str) -> None:
    with pytest.raises(QueryError, match="size of memory"):
        parse_memory(text)


def test_sizes_are_shown_with_their_unit() -> None:
    shown = [readable_size(size) for size in (1_500, 53_214_080, 2 * 10**9, 3 * 10**12)]
    assert shown == ["1.5 KB", "53.2 MB", "2 GB", "3 TB"]


@pytest.mark.parametrize(
    "options", [{"kind": "pq"}, {"recall": 0.0}, {"recall": 1.1}, {"memory": 0}]
)
def test_an_impossible_choice_is_refused(options: dict[str, object]) -> None:
    with pytest.raises(QueryError):
        IndexChoice(**options)  # type: ignore[arg-type]


def test_a_memory_that_nothing_fits_into_is_told_with_what_is_taken(tmp_path: Path) -> None:
    """A machine would be sized by a figure that the index does not keep to."""
    for memory, is_kept in (("1KB", False), ("1GB", True)):
        index = ProductIndex.build(
            made.catalogue(), encoders={"title": "lexical:64"}, memory=memory
        )
        index.save(tmp_path / memory)
        manifest = parse_manifest(tmp_path / memory)
        warning, explained = memory_warning(manifest), explain_search(manifest)
        assert ("Chosen by size within 1 GB" in explained) == is_kept
        assert (warning == "") == is_kept
        if not is_kept:
            assert warning.startswith("no kind of search index fits into 1 KB: the smallest")
            assert warning[1:] in explained


def test_votes_and_similar_products_share_the_memory() -> None:
    """Each would take all of it where they are found by different blocks."""
    index = ProductIndex.build(made.catalogue(), weights={"title": 1})
    parts = index.parts
    votes = [block for block in parts.all_blocks if parts.weights[block.name] > 0]
    both = [sum(b.dim + 1 for b in blocks) for blocks in (votes, parts.encoder_blocks)]
    flat = 4 * len(index) * sum(both)
    for memory, kinds in ((flat, {"flat"}), (flat // 3, {"sq8"})):
        shared = replace(parts, asked=IndexChoice(memory=memory))
        assert {shared.kind_of(blocks).name for blocks in (votes, parts.encoder_blocks)} == kinds


def test_a_memory_beside_a_kind_is_refused() -> None:
    """It would be ignored in silence."""
    with pytest.raises(QueryError, match="Leave out memory, or index='hnsw'"):
        ProductIndex.build(made.catalogue(), index="hnsw", memory="1KB")
