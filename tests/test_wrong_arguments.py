"""Natural wrong calls of the library, and what each one says."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import made
import pytest

from prodcat_index import ProductIndex, QueryError, evaluate

Call = Callable[[ProductIndex], object]
CARDS: Any = made.catalogue()

WRONG_VALUES: dict[str, Call] = {
    "The projection is one of lda, none; it is 'x'.": lambda index: ProductIndex.build(
        CARDS, projection="x"
    ),
    "The projection is one of lda, none; it is None.": lambda index: ProductIndex.build(
        CARDS, projection=None
    ),
    "The projection is one of lda, none; it is 'LDA'.": lambda index: evaluate(
        CARDS, projection="LDA", by="random"
    ),
}


@pytest.mark.parametrize("sentence", WRONG_VALUES)
def test_a_wrong_value_is_refused_in_words(sentence: str, index: ProductIndex) -> None:
    """It would be taken for another, and scores printed that are not of what was asked."""
    with pytest.raises(QueryError, match=f"^{re.escape(sentence)}$"):
        WRONG_VALUES[sentence](index)
