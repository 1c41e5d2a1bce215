"""An exact FAISS index over fused blocks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from prodcat_index.encoders.base import BoolArray
from prodcat_index.index.fusion import fuse_cards

ADD_CHUNK = 8192


def flat_index(blocks: Sequence[npt.NDArray[np.floating]], present: BoolArray) -> Any:
    """Index the fused rows of some blocks.

    Parameters
    ----------
    blocks
        B arrays of shape (N, dim of the block), B at least 1.
    present
        bool, shape (N, B).

    Returns
    -------
    faiss.IndexFlatIP
        Over N rows of dimension sum of dims + B.
    """
    import faiss

    index = faiss.IndexFlatIP(sum(block.shape[1] for block in blocks) + len(blocks))
    for start in range(0, len(present), ADD_CHUNK):
        part = slice(start, start + ADD_CHUNK)
        index.add(fuse_cards([block[part] for block in blocks], present[part]))
    return index
