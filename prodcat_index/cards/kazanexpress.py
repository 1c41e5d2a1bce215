"""The KazanExpress layout: most of a card is one JSON string in the column ``text_fields``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from prodcat_index.cards.cleaning import join_values
from prodcat_index.errors import CatalogueError

if TYPE_CHECKING:
    import pandas as pd

MARKS = frozenset({"product_id", "text_fields"})
FIELDS = (
    "title",
    "description",
    "attributes",
    "custom_characteristics",
    "defined_characteristics",
    "filters",
)


def is_kazanexpress(table: pd.DataFrame) -> bool:
    """Tell by its columns whether a table has the KazanExpress layout."""
    return set(table.columns) >= MARKS


def expand_text_fields(table: pd.DataFrame) -> pd.DataFrame:
    """Replace ``text_fields`` by one text column for each of its ``FIELDS``.

    Parameters
    ----------
    table
        A table with the columns ``product_id`` and ``text_fields``.

    Returns
    -------
    pandas.DataFrame
        Lists joined as ``red, cotton``, mappings as ``colour: red, cloth: cotton``; the other
        columns as they were.

    Raises
    ------
    CatalogueError
        When a ``text_fields`` is no JSON object; names the product.
    """
    import pandas as pd

    products = zip(table["product_id"], table["text_fields"], strict=True)
    parsed = [_parse(product, fields) for product, fields in products]
    columns = {name: [join_values(fields.get(name)) for fields in parsed] for name in FIELDS}
    rest = table.drop(columns=["text_fields", *FIELDS], errors="ignore")
    texts = pd.DataFrame(columns, index=table.index, dtype=object)
    expanded: pd.DataFrame = pd.concat([rest, texts], axis=1)
    return expanded


def _parse(product: Any, text_fields: Any) -> dict[str, Any]:
    if isinstance(text_fields, dict):
        return text_fields
    if not isinstance(text_fields, str) or not text_fields.strip():
        return {}
    try:
        fields = json.loads(text_fields)
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, dict):
        raise CatalogueError(
            f"Product {product} has text_fields that are no JSON object: mend or remove this row."
        )
    return fields
