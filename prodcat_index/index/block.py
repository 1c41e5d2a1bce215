"""A block: one encoder's rows of every card, centred, and what it can be compared with."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, cast

import numpy as np

from prodcat_index.cards.card import DIGEST, IMAGE, Catalogue, ModalityKind, modality_kind
from prodcat_index.encoders.base import Encoded, Encoder, GivenVectors
from prodcat_index.encoders.cache import default_cache
from prodcat_index.encoders.embedding import content_digests, embed
from prodcat_index.encoders.registry import restore_encoder
from prodcat_index.errors import EncoderError, QueryError, one_line
from prodcat_index.files import Contents
from prodcat_index.findings import Finding
from prodcat_index.index.fusion import centre, reference_rows, training_mean
from prodcat_index.index.manifest import SCORES
from prodcat_index.types import BoolArray, Float32Array, FloatingArray, RowsLike

if TYPE_CHECKING:
    from prodcat_index.index.parts import IndexParts

# Texts, paths of pictures, or vectors that came with the cards, (n, dim).
Values = Sequence[str] | FloatingArray


@dataclass
class EncoderSlot:
    """An encoder that is loaded when it is first needed."""

    spec: str
    fingerprint: str
    stored: Contents | None = None  # files of its fitted parts, opened
    encoder: Encoder | None = field(default=None, repr=False)

    def load(self) -> Encoder:
        """Return the encoder that made the block."""
        if self.encoder is None:
            assert self.stored is not None, "a slot without an encoder has its stored parts"
            spec = one_line(self.spec)
            try:
                encoder = restore_encoder(self.spec, self.stored)
            except (OSError, ValueError) as error:  # of a spec that names a strange path
                raise EncoderError(
                    f"The encoder {spec} of this index cannot be loaded ({one_line(error)}); "
                    "build the index again."
                ) from error
            if encoder.fingerprint != self.fingerprint:
                raise EncoderError(
                    f"The encoder {spec} here is not the one that this index was built with "
                    "(another version, other weights or other preprocessing); build the index "
                    "again, or install the versions that `prodcat info` lists."
                )
            self.encoder = encoder
        return self.encoder


@dataclass(frozen=True)
class Block:
    """One encoder's view of N cards."""

    name: str
    modality: str
    slot: EncoderSlot
    vectors: RowsLike  # float16, (N, dim): centred unit rows, zeros where absent
    present: BoolArray  # (N,)
    mean: Float32Array  # (dim,): of the rows before centring
    projected_dim: int | None = None  # the first columns, which a projection reads; None for all
    # float16, (R, dim): cards of build time, which tell what an absent row counts as; None in
    # indexes of formats 1 to 4.
    references: FloatingArray | None = None

    @property
    def dim(self) -> int:
        """Length of a row."""
        return len(self.mean)

    @property
    def kind(self) -> ModalityKind:
        """The kind of what the rows were made of."""
        is_given = self.slot.spec.startswith(f"{GivenVectors.scheme}:")
        return "vector" if is_given else modality_kind(self.modality)

    def referenced(self) -> Block:
        """Return this block with some of its cards as references."""
        return replace(self, references=np.asarray(self.vectors[reference_rows(self.present)]))

    def encode_queries(self, values: Values, label: str = "") -> Encoded:
        """Embed values as those of the cards were, and centre them by the cards' mean."""
        if not has_any(values):
            # The encoder may take seconds to load, and has nothing to embed.
            return Encoded(np.zeros((len(values), self.dim), dtype=np.float32))
        encoded = _embed(self.slot.load(), values, label)
        if not self.mean.any():
            # Not centred, as text scores: their length tells how much belongs to no category.
            return encoded
        rows, _ = centre(encoded.vectors, encoded.present, self.mean)
        return Encoded(rows, encoded.problems)


def has_any(values: Values) -> bool:
    """Check whether any value is there."""
    return bool(values.any()) if isinstance(values, np.ndarray) else any(values)


def _embed(encoder: Encoder, values: Values, label: str) -> Encoded:
    cache = default_cache() if encoder.cached else None
    # Only the encoder of vectors reads an array.
    return embed(encoder, cast("Sequence[str]", values), label=label, cache=cache)


def build_block(
    name: str, modality: str, encoder: Encoder, values: Values
) -> tuple[Block, Mapping[str, Sequence[int]]]:
    """Fit an encoder and a mean to values, and embed them.

    Returns the block, and the rows of values with a problem by its name.
    """
    if not isinstance(values, np.ndarray):
        encoder.fit(values)
    encoded = _embed(encoder, values, f"embedding {name}")
    mean = training_mean(encoded.vectors, encoded.present)
    vectors, present = centre(encoded.vectors, encoded.present, mean)
    slot = EncoderSlot(encoder.spec, encoder.fingerprint, encoder=encoder)
    rows = vectors.astype(np.float16)
    block = Block(name, modality, slot, rows, present, mean, encoder.projected_dim)
    return block.referenced(), encoded.problems


def with_digests(cards: Catalogue) -> Catalogue:
    """Return cards with the digests of their pictures as they are now, to compare others with."""
    digests = content_digests("picture", cards.values(IMAGE))
    return replace(cards, cards=cards.cards.assign(**{DIGEST: digests}))


def unusable_pictures(ids: Sequence[str], problems: Mapping[str, Sequence[int]]) -> list[Finding]:
    """Return a finding for each reason why pictures could not be read."""
    return [
        Finding(f"cards have no usable picture ({reason})", tuple(ids[i] for i in positions))
        for reason, positions in problems.items()
    ]


def check_comparable(parts: IndexParts, listings: Catalogue, *, scored: bool = True) -> None:
    """Raise QueryError unless some listing has something to compare, its texts if `scored`."""
    if len(listings) == 0:
        raise QueryError("There is no listing to look up.")
    check_dims(parts, listings)
    blocks = parts.blocks if scored else parts.encoder_blocks
    if not any(has_any(block_values(listings, block)) for block in blocks):
        raise QueryError(
            f"This index embeds {', '.join(parts.modalities)}, and the query has none of "
            f"these; give one of them, or build an index with what it has."
            f"{hint_vectors(parts.vector_dims)}"
        )


def check_dims(parts: IndexParts, listings: Catalogue) -> None:
    """Raise QueryError for vectors that the vectors of an index cannot be compared with."""
    dims = parts.vector_dims
    for name, rows in listings.vectors.items():
        if rows.shape[1] != dims.get(name, 0):
            known = ", ".join(f"{own} ({dim} numbers)" for own, dim in dims.items()) or "none"
            raise QueryError(
                f"This index cannot compare vectors of {name} with {rows.shape[1]} numbers; its "
                f"own vectors are {known}."
            )


def lacked_vectors(parts: IndexParts, listings: Catalogue) -> dict[str, int]:
    """Return the dimensions of the vectors that no listing has, by modality."""
    return {n: dim for n, dim in parts.vector_dims.items() if n not in listings.vectors}


def hint_vectors(dims: Mapping[str, int]) -> str:
    """Return a sentence about modalities that the index has no encoder of; empty without any."""
    named = ", ".join(f"{name!r}: rows of {dim} numbers" for name, dim in dims.items())
    what = "vectors that came with its cards, which no text or picture is compared with"
    return f" The index holds {what}: give vectors={{{named}}}." if dims else ""


def block_values(listings: Catalogue, block: Block) -> Values:
    """Return what the encoder of a block reads of listings."""
    if block.kind != "vector":
        return listing_values(listings, block.modality)
    nothing = np.zeros((len(listings), block.dim), dtype=np.float32)
    return listings.vectors.get(block.modality, nothing)


def listing_values(listings: Catalogue, modality: str) -> list[str]:
    """Return the listings' values of a modality; for text scores, all texts as a JSON object."""
    if modality != SCORES:
        return listings.values(modality)
    columns = {name: listings.values(name) for name in listings.text_modalities}
    rows = zip(*columns.values(), strict=True)
    texts = [dict(zip(columns, row, strict=True)) for row in rows]
    return [json.dumps(own) if any(own.values()) else "" for own in texts]
