"""Groups: cards that are one product, by the shop's own column or as near-duplicates.

A group, or any other value that cards may share, is a code: a number from 0, or -1 for none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from prodcat_index.cards.card import IMAGE, Catalogue
from prodcat_index.cards.catalogue import as_catalogue
from prodcat_index.cards.codes import (
    PLACEHOLDER_CARDS,
    PLACEHOLDER_SHARE,
    category_counts,
    encode,
    join_codes,
    order_codes,
    without_placeholders,
)
from prodcat_index.cards.inputs import CardSource
from prodcat_index.cards.picture_hashes import BLANK, UNREADABLE, hash_pictures, join_near
from prodcat_index.cards.variants import join_descriptions, join_titles, product_words, words_of
from prodcat_index.errors import CatalogueError
from prodcat_index.findings import Finding, counted, list_findings, name_first
from prodcat_index.types import MISSING, Int64Array

COLUMN, TEXTS = "group column", "equal texts"
TITLES = "titles that differ in a size, colour or number"
DESCRIPTIONS = "an equal long description"
FILES, NEAR = "equal picture files", "near-equal pictures"

# Fewer groups than this hold all cards, and a card's group is larger on average than one product's
# variants, or than a smaller number where the categories in it differ: these are departments.
FEW, MOST_IN_GROUP, DEPARTMENT = 20, 30, 10
NAMED = 3

DEPARTMENTS = (
    "cards have a group that is a department rather than the variants of one product ({}), so the "
    "column {!r} is not used; name another with --group-column"
)
SHARED_TEXTS = "cards have texts that many cards of several categories share, which join no group"
SHARED_TITLES = (
    "cards have a title that, but for sizes, colours and numbers, too many share, which joins no "
    "group"
)
SHARED_DESCRIPTIONS = "cards have a description that several products share, which joins no group"
SHARED_PICTURE = (
    "cards have a picture that many cards of several categories share, which joins no group"
)

Rules = dict[str, Int64Array]  # (N,) each
Noticed = dict[str, Iterable[bool]]


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

    def describe(self) -> str:
        """Return what was joined by which rule in one sentence."""
        joined = ", ".join(f"{n} by {rule}" for rule, n in self.joined.items() if n)
        largest = counted(int(np.bincount(self.codes).max()), "cards")
        return (
            f"{counted(len(self.codes), 'cards are')} {counted(self.count, 'groups')}, the largest "
            f"of {largest}; joined with others: {joined or 'none'}."
        )


def find_groups(catalogue: CardSource, *, pictures: bool = True) -> Groups:
    """Find the groups of a catalogue.

    Cards are joined if they have the same non-empty ``group``; if all their texts are equal but
    for case and punctuation; if their titles are, but for sizes, colours and numbers, and of two
    words at least; if they share a long description; if their picture files are equal; and if
    their pictures look equal, which is a distance of at most 24 between 256-bit perceptual hashes.
    Joins are transitive.

    What at least 10 labelled cards share, less than 80 % of them of one category, is a placeholder
    or boilerplate: it joins nothing, and is a finding. So is a title that more than 50 cards
    share, every title where titles would make most cards one group, and a description that 10
    cards share whose titles have little in common or that are more than a quarter of all. So is a
    picture that cannot be read, or is of one colour. A ``group`` of a few values that hold all
    cards is taken for departments, and not used.

    Parameters
    ----------
    catalogue
        N cards: a catalogue, or what read_catalogue reads.
    pictures
        Whether to compare pictures, which reads every file.

    Returns
    -------
    Groups
        One code a card.
    """
    catalogue = as_catalogue(catalogue)
    categories = encode(catalogue.values("category"))
    by_rule, noticed = _join_texts(catalogue, categories)
    if pictures:
        of_pictures, noticed_there = _join_pictures(catalogue, categories)
        by_rule, noticed = by_rule | of_pictures, noticed | noticed_there
    codes = join_codes(list(by_rule.values()))
    if _holds_most(codes):
        others = join_codes([rule for name, rule in by_rule.items() if name != TITLES])
        if not _holds_most(others):
            noticed[SHARED_TITLES] = by_rule[TITLES] != MISSING
            by_rule[TITLES] = np.full(len(codes), MISSING, dtype=np.int64)
            codes = others
    codes = order_codes(codes, catalogue.ids)
    return Groups(codes, by_rule, list_findings(noticed, catalogue.ids))


def _holds_most(codes: Int64Array) -> bool:
    """Check whether one group has more than half of all cards, and more than a few."""
    largest = np.bincount(codes).max(initial=0)
    return bool(largest > max(PLACEHOLDER_CARDS, len(codes) / 2))


def _join_texts(catalogue: Catalogue, categories: Int64Array) -> tuple[Rules, Noticed]:
    groups, departments = read_group_column(catalogue)
    texts, shared_texts = without_placeholders(encode(normalised_texts(catalogue)), categories)
    words = [product_words(title) for title in catalogue.values("title")]
    titles, shared_titles = join_titles(words, categories)
    descriptions, shared_descriptions = join_descriptions(
        catalogue.values("description"), words, categories
    )
    noticed: Noticed = {
        SHARED_TEXTS: shared_texts,
        SHARED_TITLES: shared_titles & ~shared_texts,
        SHARED_DESCRIPTIONS: shared_descriptions & ~shared_texts,
    }
    if departments:
        noticed[departments] = map(bool, catalogue.values("group"))
    return {COLUMN: groups, TEXTS: texts, TITLES: titles, DESCRIPTIONS: descriptions}, noticed


def read_group_column(catalogue: Catalogue) -> tuple[Int64Array, str]:
    """Return the codes of the cards' groups, all -1 where the column is not used, and why not."""
    values = catalogue.values("group")
    codes = encode(values)
    if not _are_departments(codes, encode(catalogue.values("category"))):
        return codes, ""
    column = catalogue.columns.get("group", "group")
    named = name_first(sorted(set(values) - {""}), NAMED)
    return np.full(len(codes), MISSING, dtype=np.int64), DEPARTMENTS.format(named, column)


def unused_group_column(catalogue: Catalogue) -> tuple[Finding, ...]:
    """Return a finding if the column of groups is not used."""
    _, why = read_group_column(catalogue)
    return list_findings({why: map(bool, catalogue.values("group"))} if why else {}, catalogue.ids)


def check_group_column(catalogue: Catalogue) -> None:
    """Raise CatalogueError if the column of groups would not be used."""
    if read_group_column(catalogue)[1]:
        column = catalogue.columns.get("group", "group")
        values = sorted(set(catalogue.values("group")) - {""})
        raise CatalogueError(
            f"The column {column!r} has {counted(len(values), 'values')} "
            f"({name_first(values, NAMED)}) for {counted(len(catalogue), 'cards')}: these are "
            "departments or the like, not groups of variants of one product. Name another column "
            "with --group-column, or leave it out; to keep the values apart in a split, "
            f"{'rename it and ' * (column == 'group')}use --by {column}."
        )


def _are_departments(codes: Int64Array, categories: Int64Array) -> bool:
    """Check whether a few values hold most cards, more of them than a product has variants."""
    sizes = np.bincount(codes[codes != MISSING])
    squares, alone = int((sizes**2).sum()), int(np.sum(codes == MISSING))
    if not squares or len(codes) ** 2 >= FEW * (squares + alone):
        return False
    counts = category_counts(codes, categories)
    are_mixed = counts.max(axis=1).sum() < PLACEHOLDER_SHARE * counts.sum()
    return squares > len(codes) * (DEPARTMENT if are_mixed else MOST_IN_GROUP)


def normalised_texts(catalogue: Catalogue) -> list[str]:
    """Return all texts of each card without case and punctuation; empty where there is none."""
    columns = [
        [" ".join(words_of(text)) for text in catalogue.values(name)]
        for name in catalogue.text_modalities
    ]
    texts = ("\n".join(texts) for texts in zip(*columns, strict=True))
    return [text if text.strip() else "" for text in texts] if columns else [""] * len(catalogue)


def _join_pictures(catalogue: Catalogue, categories: Int64Array) -> tuple[Rules, Noticed]:
    contents, hashes, problems = hash_pictures(catalogue.values(IMAGE))
    files, shared_files = without_placeholders(contents, categories)
    near, shared_looks = join_near(hashes, contents != MISSING, categories)
    shared = shared_files | shared_looks
    files[shared] = near[shared] = MISSING
    noticed: Noticed = {
        SHARED_PICTURE: shared,
        **{what: [problem == what for problem in problems] for what in (UNREADABLE, BLANK)},
    }
    return {FILES: files, NEAR: near}, noticed
