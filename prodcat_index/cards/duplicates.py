"""Which cards are one product: variants by the shop's own word, and near-duplicates."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import compress

import numpy as np

from prodcat_index.cards.card import IMAGE, Catalogue
from prodcat_index.cards.codes import NO_CODE, BoolArray, IntArray, encode, join_codes, order_codes
from prodcat_index.cards.near_pictures import join_near
from prodcat_index.cards.picture_hashes import BLANK, UNREADABLE, hash_pictures
from prodcat_index.cards.placeholders import without_placeholders
from prodcat_index.findings import Finding

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

    codes: IntArray
    by_rule: Mapping[str, IntArray] = field(default_factory=dict)
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


def _count_joined(codes: IntArray) -> int:
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
