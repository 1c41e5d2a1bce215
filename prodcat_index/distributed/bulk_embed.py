"""Embeddings by the workers of a cluster, for the cache of this machine."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from prodcat_index.cards.card import Catalogue
from prodcat_index.distributed.engines import Engine
from prodcat_index.encoders.base import Encoder, distinct
from prodcat_index.encoders.cache import EmbeddingCache, default_cache
from prodcat_index.encoders.embedding import BATCH, content_digests, embed
from prodcat_index.encoders.registry import make_encoder
from prodcat_index.index.build import EncoderChoice, chosen_specs
from prodcat_index.types import Float32Array, chunks


def fill_cache(
    cards: Catalogue, encoders: EncoderChoice, preset: str, *, engine: Engine, folder: Path
) -> int:
    """Let workers embed what an index of some cards needs and the cache lacks.

    Each batch is put into the cache as it comes, so that a driver that dies loses little.
    Returns how many embeddings were added.
    """
    cache, added = default_cache(), 0
    if cache is None:
        return 0
    for modality, specs in chosen_specs(cards, encoders, preset).items():
        if modality in cards.vectors:
            continue
        for spec in specs:
            encoder = make_encoder(spec)
            if encoder.cached:  # others take no time
                batches = _missing(encoder, cache, cards.values(modality))
                label, start = f"embedding {modality}", partial(make_encoder, spec)
                for _, vectors in engine.map(
                    start, _embed, batches, label=label, unit="batch", folder=folder
                ):
                    cache.put(encoder.spec, encoder.fingerprint, vectors)
                    added += len(vectors)
    return added


def _missing(encoder: Encoder, cache: EmbeddingCache, values: list[str]) -> list[list[str]]:
    """Return the values whose embeddings are not in the cache, each content once, in batches."""
    wanted = distinct(values)
    digests = content_digests(encoder.reads, wanted)
    value_of = {bytes.fromhex(d): v for d, v in zip(digests, wanted, strict=True) if d}
    known = cache.get(encoder.fingerprint, value_of, encoder.dim)
    missing = [value for digest, value in value_of.items() if digest not in known]
    return [missing[part] for part in chunks(len(missing), BATCH[encoder.reads])]


class _Collected(EmbeddingCache):
    """Stands in for the cache of a worker: it holds nothing, and keeps what is put into it."""

    def __init__(self) -> None:
        self.vectors: dict[bytes, Float32Array] = {}

    def get(
        self, fingerprint: str, digests: Iterable[bytes], dim: int
    ) -> dict[bytes, Float32Array]:
        return {}

    def put(self, spec: str, fingerprint: str, vectors: Mapping[bytes, Any]) -> None:
        self.vectors |= {digest: row.copy() for digest, row in vectors.items()}


def _embed(encoder: Encoder, values: list[str]) -> dict[bytes, Float32Array]:
    """Return the rows of some contents by their digests; those that cannot be read have none."""
    collected = _Collected()
    embed(encoder, values, cache=collected)
    return collected.vectors
