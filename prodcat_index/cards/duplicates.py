"""Which cards are one product: variants by the shop's own word, and near-duplicates."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import compress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt

from prodcat_index.cards.card import IMAGE, Catalogue
from prodcat_index.cards.codes import (
    NO_CODE,
    category_counts,
    components,
    encode,
    join_codes,
    order_codes,
)
from prodcat_index.cards.pictures import load_picture
from prodcat_index.errors import PictureError
from prodcat_index.files import sha256_of
from prodcat_index.findings import Finding
from prodcat_index.progress import progress_bar
from prodcat_index.types import BoolArray, Int64Array

if TYPE_CHECKING:
    from PIL.Image import Image


FEWEST_CARDS = 10
LARGEST_SHARE = 0.8


def are_placeholders(counts: Any) -> BoolArray:
    """Find values that at least 10 labelled cards share, less than 80 % of them of one category."""
    cards = counts.sum(axis=1)
    most = counts.max(axis=1).toarray().ravel()
    return (cards >= FEWEST_CARDS) & (most < LARGEST_SHARE * cards)


def without_placeholders(codes: Int64Array, categories: Int64Array) -> tuple[Int64Array, BoolArray]:
    """Take away the values that are placeholders."""
    told = codes >= 0
    shared = np.zeros(len(codes), dtype=bool)
    if told.any():
        shared[told] = are_placeholders(category_counts(codes, categories))[codes[told]]
    return np.where(shared, NO_CODE, codes), shared


HASH_SIDE = 16
HASH_BITS = HASH_SIDE**2
LOADED_SIDE = 128
# Below this deviation of the grey levels a hash is made of compression noise.
LEAST_CONTRAST = 2.0

UNREADABLE = "cards have a picture that cannot be read, which counts as none"
BLANK = "cards have a picture of one colour, which counts as none"

_Value = TypeVar("_Value")
_Result = TypeVar("_Result")
_Hash = tuple[npt.NDArray[np.uint8] | None, str]
_NO_PICTURE: _Hash = (None, "")


@dataclass(frozen=True, eq=False)
class PictureHashes:
    """What the pictures of N cards are compared by."""

    files: tuple[str, ...]
    hashes: npt.NDArray[np.uint8]
    problems: tuple[str, ...]

    @property
    def present(self) -> npt.NDArray[np.bool_]:
        """bool, shape (N,): which cards have a picture to compare."""
        return np.array([bool(file) for file in self.files], dtype=bool)


def hash_pictures(paths: Sequence[str]) -> PictureHashes:
    """Hash picture files, each different content once, with a progress bar."""
    distinct = list(dict.fromkeys(path for path in paths if path))
    digests = _map_in_threads(_digest, distinct, "reading pictures")
    one_path = {digest: path for path, digest in digests.items() if digest}
    by_path = _map_in_threads(_hash, list(one_path.values()), "comparing pictures")
    by_digest = {digest: by_path[path] for digest, path in one_path.items()}
    by_digest[""] = (None, UNREADABLE)
    found = [by_digest[digests[path]] if path else _NO_PICTURE for path in paths]
    hashes = np.zeros((len(paths), HASH_BITS // 8), dtype=np.uint8)
    for row, (bits, _) in enumerate(found):
        hashes[row] = 0 if bits is None else bits
    files = tuple(
        "" if bits is None else digests[path] for path, (bits, _) in zip(paths, found, strict=True)
    )
    return PictureHashes(files, hashes, tuple(problem for _, problem in found))


def _map_in_threads(
    work: Callable[[_Value], _Result], values: Sequence[_Value], label: str
) -> dict[_Value, _Result]:
    def results() -> Iterator[_Result]:
        with (
            progress_bar(len(values), label, "picture") as bar,
            ThreadPoolExecutor(os.cpu_count()) as pool,
        ):
            for result in pool.map(work, values):
                bar.update()
                yield result

    return dict(zip(values, results(), strict=True))


def _digest(path: str) -> str:
    try:
        return sha256_of(Path(path))
    except (OSError, ValueError):
        return ""


def _hash(path: str) -> _Hash:
    try:
        grey = load_picture(path, min_side=LOADED_SIDE).convert("L")
    except PictureError:
        return None, UNREADABLE
    return (None, BLANK) if np.asarray(grey).std() < LEAST_CONTRAST else (_perceptual(grey), "")


def _perceptual(grey: Image) -> npt.NDArray[np.uint8]:
    from imagehash import phash

    return np.packbits(phash(grey, hash_size=HASH_SIDE).hash.ravel())


MAX_DISTANCE = 24
SEARCHED_AT_ONCE = 256


def join_near(pictures: PictureHashes, categories: Int64Array) -> tuple[Int64Array, BoolArray]:
    """Join pictures at most 24 bits apart, transitively, but for placeholders and all near them."""
    present = pictures.present
    codes = np.full(len(present), NO_CODE, dtype=np.int64)
    shared = np.zeros(len(present), dtype=bool)
    if present.any():
        hashes, inverse = np.unique(pictures.hashes[present], axis=0, return_inverse=True)
        joined, placeholder = _join(_NearHashes(hashes), inverse, categories[present])
        codes[present], shared[present] = joined[inverse], placeholder[inverse]
    return codes, shared


def _join(
    search: _NearHashes, hash_of: Int64Array, categories: Int64Array
) -> tuple[Int64Array, BoolArray]:
    placeholder, alone = search.judge(category_counts(hash_of, categories))
    joined = search.join(~placeholder, np.flatnonzero(~placeholder & ~alone))
    return np.where(placeholder, NO_CODE, joined), placeholder


class _NearHashes:
    """Neighbourhoods of M different hashes, looked up in parts so that memory is bounded."""

    def __init__(self, hashes: npt.NDArray[np.uint8]) -> None:
        import faiss

        self._hashes = hashes
        self._index = faiss.IndexBinaryFlat(HASH_BITS)
        self._index.add(hashes)

    def judge(self, counts: Any) -> tuple[BoolArray, BoolArray]:
        """Tell which hashes have the neighbourhood of a placeholder, and which have no other."""
        placeholder = np.zeros(len(self._hashes), dtype=bool)
        alone = np.zeros(len(self._hashes), dtype=bool)
        for part, near in self._neighbourhoods(np.arange(len(self._hashes))):
            placeholder[part] = are_placeholders(near @ counts)
            alone[part] = np.diff(near.indptr) == 1
        return placeholder, alone

    def join(self, allowed: BoolArray, sources: Int64Array) -> Int64Array:
        """Give each source the number of all allowed ones near it, transitively."""
        everyone = np.arange(len(self._hashes), dtype=np.int64)
        codes = everyone
        for part, near in self._neighbourhoods(sources):
            edges = near.tocoo()
            kept = allowed[edges.col]
            a = np.concatenate([everyone, part[edges.row[kept]]])
            b = np.concatenate([len(everyone) + codes, edges.col[kept]])
            codes = components(a, b, 2 * len(everyone))[: len(everyone)]
        return codes

    def _neighbourhoods(self, rows: Int64Array) -> Iterator[tuple[Int64Array, Any]]:
        from scipy.sparse import csr_array

        with progress_bar(len(rows), "looking for near-equal pictures", "picture") as bar:
            for start in range(0, len(rows), SEARCHED_AT_ONCE):
                part = rows[start : start + SEARCHED_AT_ONCE]
                # FAISS finds what is nearer than its radius.
                ends, _, near = self._index.range_search(self._hashes[part], MAX_DISTANCE + 1)
                ones = np.ones(len(near), dtype=np.int64)
                shape = (len(part), len(self._hashes))
                yield part, csr_array((ones, near, ends.astype(np.int64)), shape=shape)
                bar.update(len(part))


COLUMN = "group column"
TEXTS = "equal texts"
FILES = "equal picture files"
NEAR = "near-equal pictures"

SHARED_TEXTS = "cards have texts that many cards of several categories share, which join no group"
SHARED_PICTURE = (
    "cards have a picture that many cards of several categories share, which joins no group"
)


@dataclass(frozen=True, eq=False)
class Groups:
    """Cards that are one product, or look like it.

    Attributes
    ----------
    codes
        int64, shape (N,): the group of each card, from 0, in the order of the groups' smallest
        ids, so that it does not depend on the order of the cards.
    by_rule
        Rule -> int64 of shape (N,): what the rule says of each card, equal for cards that it
        joins, -1 where it says nothing. ``codes`` is all of them together, transitively.
    findings
        Which cards shared a text or a picture with too many, or had a picture that says nothing.
    """

    codes: Int64Array
    by_rule: Mapping[str, Int64Array] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()

    @property
    def count(self) -> int:
        """Number of groups; a card on its own is one."""
        return len(np.unique(self.codes))

    @property
    def joined(self) -> dict[str, int]:
        """Rule -> number of cards that it joins with at least one other."""
        return {rule: _count_joined(codes) for rule, codes in self.by_rule.items()}


def find_groups(catalogue: Catalogue) -> Groups:
    """Find the groups of a catalogue.

    Cards are joined where they have the same non-empty ``group``; where all their texts are
    equal but for case and punctuation; where their picture files are equal; and where their
    pictures look equal, which is a distance of at most 24 between 256-bit perceptual hashes. Joins
    are transitive.

    A text or a look that at least 10 labelled cards share, of which less than 80 % are of one
    category, is a placeholder or boilerplate: it joins nothing, and is counted. So is a picture
    that cannot be read, or is of one colour.

    Parameters
    ----------
    catalogue
        N cards.
    """
    categories = encode(catalogue.values("category"))
    pictures = hash_pictures(catalogue.values(IMAGE))
    texts, shared_texts = without_placeholders(encode(_normalised_texts(catalogue)), categories)
    files, shared_files = without_placeholders(encode(pictures.files), categories)
    near, shared_looks = join_near(pictures, categories)
    shared = shared_files | shared_looks
    files[shared] = near[shared] = NO_CODE
    by_rule = {COLUMN: encode(catalogue.values("group")), TEXTS: texts, FILES: files, NEAR: near}
    noticed = {
        SHARED_TEXTS: shared_texts,
        SHARED_PICTURE: shared,
        **{what: np.array([p == what for p in pictures.problems]) for what in (UNREADABLE, BLANK)},
    }
    codes = order_codes(join_codes(list(by_rule.values())), catalogue.ids)
    return Groups(codes, by_rule, _list_findings(noticed, catalogue.ids))


def _list_findings(noticed: Mapping[str, BoolArray], ids: Sequence[str]) -> tuple[Finding, ...]:
    found = (Finding(what, tuple(compress(ids, where))) for what, where in noticed.items())
    return tuple(finding for finding in found if finding.ids)


def _count_joined(codes: Int64Array) -> int:
    _, sizes = np.unique(codes[codes >= 0], return_counts=True)
    return int(sizes[sizes > 1].sum())


def _normalised_texts(catalogue: Catalogue) -> list[str]:
    joined = [""] * len(catalogue)
    for modality in catalogue.text_modalities:
        texts = zip(joined, catalogue.values(modality), strict=True)
        joined = [f"{others}\n{_normalise(text)}" for others, text in texts]
    return [texts if texts.strip() else "" for texts in joined]


def _normalise(text: str) -> str:
    return " ".join(re.findall(r"\w+", unicodedata.normalize("NFKC", text).casefold()))
