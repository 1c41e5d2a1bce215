"""Groups: cards that are one product, by the shop's own column or as near-duplicates.

A group, or any other value that cards may share, is a code: a number from 0, or -1 for none.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from prodcat_index.cards.card import IMAGE, Catalogue
from prodcat_index.cards.pictures import load_picture
from prodcat_index.errors import PictureError
from prodcat_index.files import sha256_of
from prodcat_index.findings import Finding, list_findings
from prodcat_index.progress import map_in_threads, progress_bar
from prodcat_index.types import MISSING, BoolArray, Int64Array, chunks

# A product with many variants has one category, but for a wrong label here and there.
PLACEHOLDER_CARDS = 10
PLACEHOLDER_SHARE = 0.8

HASH_SIDE = 16
HASH_BITS = HASH_SIDE**2
NO_HASH = np.zeros(HASH_BITS // 8, dtype=np.uint8)
LOADED_SIDE = 128
# Below this deviation of the grey levels a hash is made of compression noise.
LEAST_CONTRAST = 2.0
# Bits that two hashes of one photo may differ in, saved anew or made smaller; the hashes of
# different photos differ in about half of all bits.
MAX_DISTANCE = 24
# Bounds the memory: in the worst case each of these is near all others.
SEARCHED_AT_ONCE = 256

COLUMN, TEXTS = "group column", "equal texts"
FILES, NEAR = "equal picture files", "near-equal pictures"

UNREADABLE = "cards have a picture that cannot be read, which counts as none"
BLANK = "cards have a picture of one colour, which counts as none"
SHARED_TEXTS = "cards have texts that many cards of several categories share, which join no group"
SHARED_PICTURE = (
    "cards have a picture that many cards of several categories share, which joins no group"
)

Hashes = npt.NDArray[np.uint8]  # (N, 32), perceptual hashes of 256 bits


@dataclass(frozen=True, eq=False)
class Groups:
    """Cards that are one product, or look like it.

    Parameters
    ----------
    codes
        int64, shape (N,): the group of each card, from 0, in the order of the groups' smallest
        ids, so that it does not depend on the order of the cards.
    by_rule
        Rule -> int64, shape (N,): equal for cards that the rule joins, -1 for cards that it does
        not apply to. ``codes`` is all of them together, transitively.
    findings
        Cards that share a text or a picture with too many others, or have a picture that cannot
        be compared.
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
        joined = {}
        for rule, codes in self.by_rule.items():
            sizes = np.bincount(codes[codes != MISSING])
            joined[rule] = int(sizes[sizes > 1].sum())
        return joined


def find_groups(catalogue: Catalogue) -> Groups:
    """Find the groups of a catalogue.

    Cards are joined if they have the same non-empty ``group``; if all their texts are equal but
    for case and punctuation; if their picture files are equal; and if their pictures look equal,
    which is a distance of at most 24 between 256-bit perceptual hashes. Joins are transitive.

    What at least 10 labelled cards share, less than 80 % of them of one category, is a placeholder
    or boilerplate: it joins nothing, and is a finding. So is a picture that cannot be read, or is
    of one colour.

    Parameters
    ----------
    catalogue
        N cards.

    Returns
    -------
    Groups
        One code a card.
    """
    categories = encode(catalogue.values("category"))
    contents, hashes, problems = hash_pictures(catalogue.values(IMAGE))
    texts, shared_texts = _without_placeholders(encode(_normalised_texts(catalogue)), categories)
    files, shared_files = _without_placeholders(contents, categories)
    near, shared_looks = join_near(hashes, contents != MISSING, categories)
    shared = shared_files | shared_looks
    files[shared] = near[shared] = MISSING
    by_rule = {COLUMN: encode(catalogue.values("group")), TEXTS: texts, FILES: files, NEAR: near}
    noticed: dict[str, Iterable[bool]] = {
        SHARED_TEXTS: shared_texts,
        SHARED_PICTURE: shared,
        **{what: [problem == what for problem in problems] for what in (UNREADABLE, BLANK)},
    }
    codes = order_codes(join_codes(list(by_rule.values())), catalogue.ids)
    return Groups(codes, by_rule, list_findings(noticed, catalogue.ids))


def _normalised_texts(catalogue: Catalogue) -> list[str]:
    columns = [map(_normalise, catalogue.values(name)) for name in catalogue.text_modalities]
    texts = ("\n".join(texts) for texts in zip(*columns, strict=True))
    return [text if text.strip() else "" for text in texts] if columns else [""] * len(catalogue)


def _normalise(text: str) -> str:
    return " ".join(re.findall(r"\w+", unicodedata.normalize("NFKC", text).casefold()))


def _without_placeholders(
    codes: Int64Array, categories: Int64Array
) -> tuple[Int64Array, BoolArray]:
    """Return the codes without those of placeholders, and the cards that had one."""
    known = codes != MISSING
    shared = np.zeros(len(codes), dtype=bool)
    shared[known] = _are_placeholders(category_counts(codes, categories))[codes[known]]
    return np.where(shared, MISSING, codes), shared


def _are_placeholders(counts: Any) -> BoolArray:
    """Find the values that too many cards of several categories share; counts as (M, C)."""
    cards = counts.sum(axis=1)
    most = counts.max(axis=1).toarray().ravel()
    return (cards >= PLACEHOLDER_CARDS) & (most < PLACEHOLDER_SHARE * cards)


def hash_pictures(paths: Sequence[str]) -> tuple[Int64Array, Hashes, list[str]]:
    """Hash N picture files, each different content once; an empty path is a card without one.

    Returns a code of each content, -1 without one to compare, the hashes, and the problems.
    """
    distinct = [path for path in dict.fromkeys(paths) if path]
    digests = map_in_threads(_digest, distinct, "reading pictures")
    path_of = {digest: path for path, digest in digests.items() if digest}
    hash_of = map_in_threads(_hash, list(path_of.values()), "comparing pictures")
    files, problems = [], []
    hashes = np.zeros((len(paths), HASH_BITS // 8), dtype=np.uint8)
    for row, path in enumerate(paths):
        digest = digests.get(path, "")
        unread = (NO_HASH, UNREADABLE if path else "")
        hashes[row], problem = hash_of[path_of[digest]] if digest else unread
        files.append("" if problem else digest)
        problems.append(problem)
    return encode(files), hashes, problems


def _digest(path: str) -> str:
    try:
        return sha256_of(Path(path))
    except (OSError, ValueError):
        return ""


def _hash(path: str) -> tuple[Hashes, str]:
    from imagehash import phash

    try:
        grey = load_picture(path, min_side=LOADED_SIDE).convert("L")
    except PictureError:
        return NO_HASH, UNREADABLE
    if np.asarray(grey).std() < LEAST_CONTRAST:
        return NO_HASH, BLANK
    return np.packbits(phash(grey, hash_size=HASH_SIDE).hash.ravel()), ""


def join_near(
    hashes: Hashes, present: BoolArray, categories: Int64Array
) -> tuple[Int64Array, BoolArray]:
    """Join the present pictures at most MAX_DISTANCE bits apart, transitively.

    Returns a code a card, and the cards whose picture, or one near it, is a placeholder, which
    joins nothing.
    """
    codes = np.full(len(present), MISSING, dtype=np.int64)
    shared = np.zeros(len(present), dtype=bool)
    if present.any():
        distinct, inverse = np.unique(hashes[present], axis=0, return_inverse=True)
        joined, placeholder = _join(distinct, category_counts(inverse, categories[present]))
        codes[present] = np.where(placeholder, MISSING, joined)[inverse]
        shared[present] = placeholder[inverse]
    return codes, shared


def _join(hashes: Hashes, counts: Any) -> tuple[Int64Array, BoolArray]:
    """Return a code for each of M different hashes, and those that are near a placeholder."""
    everyone = np.arange(len(hashes), dtype=np.int64)
    placeholder, alone = (np.zeros(len(hashes), dtype=bool) for _ in range(2))
    for part, near in _neighbourhoods(hashes, everyone):
        placeholder[part] = _are_placeholders(near @ counts)
        alone[part] = np.diff(near.indptr) == 1
    codes = everyone
    for part, near in _neighbourhoods(hashes, np.flatnonzero(~placeholder & ~alone)):
        edges = near.tocoo()
        kept = ~placeholder[edges.col]
        # The first M nodes are the hashes, the others the codes that they had so far.
        a = np.concatenate([everyone, part[edges.row[kept]]])
        b = np.concatenate([len(everyone) + codes, edges.col[kept]])
        codes = _components(a, b, 2 * len(everyone))[: len(everyone)]
    return codes, placeholder


def _neighbourhoods(hashes: Hashes, rows: Int64Array) -> Iterator[tuple[Int64Array, Any]]:
    """Yield some rows and a sparse matrix (rows, M) of the hashes near each of them, itself too."""
    import faiss
    from scipy.sparse import csr_array

    index = faiss.IndexBinaryFlat(HASH_BITS)
    index.add(hashes)
    with progress_bar(len(rows), "looking for near-equal pictures", "picture") as bar:
        for chunk in chunks(len(rows), SEARCHED_AT_ONCE):
            part = rows[chunk]
            # FAISS finds what is nearer than its radius.
            ends, _, near = index.range_search(hashes[part], MAX_DISTANCE + 1)
            ones = np.ones(len(near), dtype=np.int64)
            shape = (len(part), len(hashes))
            yield part, csr_array((ones, near, ends.astype(np.int64)), shape=shape)
            bar.update(len(part))


def encode(values: Sequence[str]) -> Int64Array:
    """Return the number of each value in sorted order, -1 for the empty one; int64, (N,)."""
    code = {value: number for number, value in enumerate(sorted(set(values) - {""}))}
    return np.array([code.get(value, MISSING) for value in values], dtype=np.int64)


def join_codes(rules: Sequence[Int64Array]) -> Int64Array:
    """Join N rows that have a code in common under any rule, transitively; int64, (N,)."""
    # One node a row, and after them one a code of each rule.
    rows, nodes, first = [], [], len(rules[0])
    for codes in rules:
        known = np.flatnonzero(codes != MISSING)
        rows.append(known)
        nodes.append(first + codes[known])
        first += int(codes.max(initial=MISSING)) + 1
    return _components(np.concatenate(rows), np.concatenate(nodes), first)[: len(rules[0])]


def order_codes(codes: Int64Array, ids: Sequence[str]) -> Int64Array:
    """Renumber groups from 0 in the order of their smallest ids, whatever the order of rows."""
    import pandas as pd

    by_id = np.argsort(np.array(ids, dtype=object))
    ordered = np.empty(len(codes), dtype=np.int64)
    ordered[by_id] = pd.factorize(codes[by_id])[0]
    return ordered


def _components(a: Int64Array, b: Int64Array, nodes: int) -> Int64Array:
    """Return the connected component of each node of a graph with the edges a-b."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    graph = coo_array((np.ones(len(a), dtype=np.int8), (a, b)), shape=(nodes, nodes))
    return connected_components(graph, directed=False)[1].astype(np.int64)


def category_counts(codes: Int64Array, categories: Int64Array) -> Any:
    """Count the labelled cards of each code in each category: a sparse int64 matrix."""
    from scipy.sparse import coo_array

    known = (codes >= 0) & (categories >= 0)
    shape = int(codes.max(initial=MISSING)) + 1, max(1, int(categories.max(initial=MISSING)) + 1)
    ones = np.ones(int(known.sum()), dtype=np.int64)
    return coo_array((ones, (codes[known], categories[known])), shape=shape).tocsr()
