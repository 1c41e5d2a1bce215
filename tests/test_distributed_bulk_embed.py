"""Embeddings by an engine, for the cache."""

from __future__ import annotations

from pathlib import Path

import made
import numpy as np
import pytest
from test_distributed_bulk_predict import Careless

from prodcat_index.distributed.bulk_embed import fill_cache
from prodcat_index.encoders.base import Encoded
from prodcat_index.encoders.cache import EmbeddingCache
from prodcat_index.encoders.embedding import BATCH, embed
from prodcat_index.errors import ClusterError


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> EmbeddingCache:
    monkeypatch.setenv("PRODCAT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(made.ColoursEncoder, "cached", True)
    monkeypatch.setitem(BATCH, "picture", 20)
    return EmbeddingCache(tmp_path / "cache")


def test_workers_embed_what_the_cache_lacks_and_a_driver_that_dies_keeps_it(
    cache: EmbeddingCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hours of a network's work would be done twice, or by one machine alone."""
    pictures = [str(path) for path in made.draw_pictures(tmp_path, 60)]
    cards = made.catalogue(
        made.row(f"c{n}", "boots", image=path, category="Boots")
        for n, path in enumerate([*pictures, pictures[0], "gone.png", ""])
    )
    choice, place = {"image": "colours"}, tmp_path / "work"
    with pytest.raises(ClusterError):
        fill_cache(cards, choice, "embedded", engine=Careless(ends_after=1), folder=place)
    assert cache.summary().entries == 20
    rest = Careless()
    assert fill_cache(cards, choice, "embedded", engine=rest, folder=place) == 40
    assert rest.done == 2
    expected = made.ColoursEncoder().encode(pictures)

    def fails(*_: object, **__: object) -> Encoded:
        raise AssertionError("what is in the cache is embedded again")

    monkeypatch.setattr(made.ColoursEncoder, "encode", fails)
    found = embed(made.ColoursEncoder(), pictures, cache=cache)
    np.testing.assert_array_equal(found.vectors, expected.vectors)
    assert fill_cache(cards, choice, "embedded", engine=Careless(), folder=place) == 0
