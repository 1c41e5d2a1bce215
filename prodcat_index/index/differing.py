"""Cards of an index compared with a delivery of the same cards, part by part."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from prodcat_index.cards.card import DIGEST, IMAGE, Catalogue
from prodcat_index.cards.cleaning import raw_text
from prodcat_index.cards.pieces import LABELLING
from prodcat_index.encoders.embedding import content_digests
from prodcat_index.errors import CatalogueError
from prodcat_index.index.block import block_values
from prodcat_index.index.delivery import lacked_parts
from prodcat_index.index.parts import IndexParts
from prodcat_index.types import BoolArray, Int64Array

# The rows of the index have 16 bits a number: by this much, they differ from what they were.
ROUNDING = 0.01
# More vectors that are others, and more than half, are those of another model.
FEW_OTHERS = 10
# A part of a card that is not embedded.
PLACE = "place of the picture"


def vectors_of(modality: str) -> str:
    """Name the vectors that come with the cards, which stand beside a text of the same name."""
    return f"vectors of {modality}"


def differing_parts(
    parts: IndexParts, ours: Catalogue, theirs: Catalogue, rows: Int64Array
) -> tuple[dict[str, BoolArray], BoolArray]:
    """Compare m cards of the index, of some rows, with those of a delivery.

    Returns the cards that differ, (m,), for every part that is delivered, and those whose
    pictures cannot be read.
    """
    lacked = lacked_parts(parts.catalogue, theirs)
    differing: dict[str, BoolArray] = {}
    for name in (*ours.text_modalities, *LABELLING, "group"):
        if name not in lacked:
            pairs = zip(ours.values(name), theirs.values(name), strict=True)
            differing[name] = np.fromiter((a != b for a, b in pairs), dtype=bool, count=len(ours))
    if "category_id" in differing:
        # A key is of a category: a card that is delivered without it is of the same one.
        there = [bool(key) for key in theirs.values("category_id")]
        differing["category_id"] &= np.array(there, dtype=bool)
    texts = [differing[name] for name in ours.text_modalities if name in differing]
    text_differs: BoolArray = np.any([np.zeros(len(ours), dtype=bool), *texts], axis=0)
    for block in parts.blocks:
        if block.kind == "vector":
            own = block.encode_queries(block_values(theirs, block)).vectors
            apart = np.linalg.norm(own - np.asarray(block.vectors[rows], dtype=np.float32), axis=1)
            differing[vectors_of(block.modality)] = apart > ROUNDING
            alone = int(np.sum(apart > ROUNDING) - np.sum((apart > ROUNDING) & text_differs))
            if alone > max(FEW_OTHERS, len(ours) / 2):
                raise CatalogueError(
                    f"The vectors of {block.modality} of {alone:,} of {len(ours):,} cards are "
                    "others, though their texts are the same: it seems that another model made "
                    "them. If so, build the index again. Nothing was changed."
                )
    unreadable = np.zeros(len(ours), dtype=bool)
    if IMAGE not in lacked:
        differing[IMAGE], unreadable = _compare_pictures(ours, theirs)
        paths = np.array(ours.values(IMAGE), dtype=object) != np.array(theirs.values(IMAGE), object)
        differing[PLACE] = paths.astype(bool) & ~differing[IMAGE] & ~unreadable
    known = {"id", *ours.text_modalities, IMAGE, *LABELLING, "group", DIGEST}
    for name in theirs.pieces.names:
        if name not in known:
            pairs = zip(ours.pieces.read(name), theirs.pieces.read(name), strict=True)
            differing[name] = np.array([not _same(a, b) for a, b in pairs], dtype=bool)
    return differing, unreadable


def _compare_pictures(ours: Catalogue, theirs: Catalogue) -> tuple[BoolArray, BoolArray]:
    """Compare pictures by their content: which differ, and which cannot be read now; (m,) each."""
    own, new = ours.values(IMAGE), theirs.values(IMAGE)
    count = len(own)
    both = [bool(a and b) for a, b in zip(own, new, strict=True)]
    if DIGEST in ours.pieces.names:
        stored = ours.values(DIGEST)
    else:
        # Of an index of an earlier format, only pictures that lie elsewhere can be compared.
        both = [there and a != b for there, a, b in zip(both, own, new, strict=True)]
        stored = content_digests("picture", _where(own, both))
    now = content_digests("picture", _where(new, both))
    is_one = np.fromiter((bool(a) != bool(b) for a, b in zip(own, new, strict=True)), bool, count)
    unreadable = np.array(both, dtype=bool) & np.array([not digest for digest in now], dtype=bool)
    other = np.fromiter((a != b for a, b in zip(stored, now, strict=True)), bool, count)
    return is_one | (np.array(both, dtype=bool) & ~unreadable & other), unreadable


def _where(paths: Sequence[str], wanted: Sequence[bool]) -> list[str]:
    return [path if is_wanted else "" for path, is_wanted in zip(paths, wanted, strict=True)]


def _same(one: Any, other: Any) -> bool:
    """Compare two values, which may be of other types: 5, 5.0 and "5" are the same."""
    try:
        if one is other or bool(one == other):
            return True
    except (TypeError, ValueError):  # a missing value, or an array
        pass
    return _plain(one) == _plain(other)


def _plain(value: Any) -> str:
    """Return a value as the text that the index stores of it, whatever its type."""
    if isinstance(value, (bool, np.bool_)):
        return str(value).lower()
    if isinstance(value, (list, tuple, dict, np.ndarray)):
        value = json.dumps(value.tolist() if isinstance(value, np.ndarray) else value, default=str)
    return raw_text(value)
