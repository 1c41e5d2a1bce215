"""What would change in an index: a delivery compared with its cards, ids to remove, other labels.

Nothing is embedded here. :mod:`prodcat_index.index.changes` puts a difference into effect.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import compress
from types import MappingProxyType
from typing import Any

import numpy as np

from prodcat_index.cards.card import IMAGE, Catalogue
from prodcat_index.cards.categories import clean_category
from prodcat_index.cards.cleaning import raw_text
from prodcat_index.cards.picture_files import NO_SUCH_FILE, OUTSIDE
from prodcat_index.cards.pieces import LABELLING
from prodcat_index.errors import CatalogueError, QueryError, check_named
from prodcat_index.findings import Finding, counted, list_findings, name_findings, name_first
from prodcat_index.index.delivery import (
    check_delivery,
    check_new_categories,
    lacked_columns,
    lacked_parts,
)
from prodcat_index.index.differing import differing_parts
from prodcat_index.index.labelling import Labelling, find_renamed
from prodcat_index.index.manifest import KEEP, REMOVE, Decided
from prodcat_index.index.parts import IndexParts
from prodcat_index.types import MISSING, BoolArray, Int64Array

# An export that lacks more of the cards of an index than this is probably incomplete.
MAX_REMOVED = 0.05
# Where more of the pictures, and at least so many, are not found, their folder is rather another.
MANY_UNFOUND, SEVERAL_UNFOUND = 0.9, 3
KNOWN = "cards are in the index already (skipped)"
ABSENT = "ids are of no card of the index (left out)"
LACKED = "columns are in the index and not in the delivery (cards keep what they had)"
UNKNOWN_NAMES = "names are of no card and no category of the index (left out)"
UNREADABLE = "cards have a picture that cannot be read now (kept as it was)"
UNDONE = "cards are otherwise than a review decided (correct the shop's own data as well)"
MOVED, NONE = "of another category", "no category"
# Pairs of an old and a new category that are printed.
MOVES = 10


@dataclass(frozen=True)
class Update:
    """The rows of an index after a change: those that stay, and fresh ones after them."""

    base: IndexParts
    kept: Int64Array  # (M,): rows that stay, rising
    categories: Sequence[str]  # of these
    keys: Sequence[str]  # the shop's own keys of these categories
    moved: BoolArray  # (N,) of the base: of another category from now on, not by its new name
    fresh: Catalogue  # the n cards that follow
    sources: Int64Array  # (n,): row of the card that each takes the place of, or MISSING
    embedded: Mapping[str, BoolArray]  # modality -> the fresh cards that are new in it, (n,)
    delivered: Sequence[str] = ()  # categories of all cards of a delivery, as they are from now on
    unfound: tuple[int, int] = (0, 0)  # delivered cards without the file they name, of how many

    @property
    def keeps_all(self) -> bool:
        """Whether all rows stay."""
        return len(self.kept) == len(self.base.catalogue)


@dataclass(frozen=True)
class Difference:
    """What a change does to the cards of an index, such as :meth:`ProductIndex.compare` finds.

    It is true if it does anything; as a text, it is the lines that a person reads.

    Attributes
    ----------
    source
        Where it comes from, for people.
    added, changed, removed, relabelled
        Ids of new cards; of cards of which more than the category differs; of cards that go; and
        of cards whose category alone is another one, but for those of `renamed`.
    changed_parts
        Part of a card, or column -> ids of the changed cards that differ in it.
    renamed
        Category -> the one that all its cards are of from now on.
    renamed_cards
        Number of cards of each of these that are not among the cards of the other kinds.
    unchanged
        Number of cards that stay as they are.
    moves
        Id of a card that gets another category -> the old and the new one, but for a new name of
        the whole category.
    lost
        Part of a card -> how many cards lose it, and how many of those that stay have it.
    findings
        What was noticed about single cards.
    decided
        What a person decided about items of an audit, to be remembered.
    """

    source: str
    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    changed_parts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    removed: tuple[str, ...] = ()
    renamed: Mapping[str, str] = field(default_factory=dict)
    renamed_cards: Mapping[str, int] = field(default_factory=dict)
    relabelled: tuple[str, ...] = ()
    unchanged: int = 0
    moves: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    lost: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
    decided: tuple[Decided, ...] = ()
    verb: str = "change"  # of the journal
    update: Update | None = field(default=None, repr=False, compare=False)

    def __bool__(self) -> bool:
        """Check whether anything changes."""
        kinds = (self.added, self.changed, self.removed, self.renamed, self.relabelled)
        return any((*kinds, self.decided))

    def __str__(self) -> str:
        """Return a line for each kind of change, with its number and the first few ids."""
        parts = ", ".join(f"{part} {len(ids):,}" for part, ids in self.changed_parts.items())
        kinds = {
            "new": self.added,
            f"changed ({parts})": self.changed,
            MOVED: self.relabelled,
            "removed": self.removed,
        }
        lines = []
        for kind, ids in kinds.items():
            lines += [f"{len(ids):,} {kind}: {name_first(ids)}"] if ids else []
            lines += self._moved_lines() if kind == MOVED else []
        if renamed := [
            f"{old} -> {new} ({counted(self.renamed_cards.get(old, 0), 'cards')})"
            for old, new in self.renamed.items()
        ]:
            lines.append(f"{counted(len(renamed), 'categories renamed')}: {name_first(renamed)}")
        if self.decided:
            kept = sum(each.decision == KEEP for each in self.decided)
            lines.append(f"{counted(len(self.decided), 'items decided')}, {kept:,} of them kept")
        return "\n".join([*lines, f"{self.unchanged:,} unchanged"])

    def _moved_lines(self) -> list[str]:
        """Return a line for each old and new category, those of most cards first."""
        together: dict[tuple[str, str], list[str]] = {}
        for card, move in self.moves.items():
            together.setdefault(move, []).append(card)
        most = sorted(together.items(), key=lambda pair: (-len(pair[1]), pair[0]))
        lines = [
            f"  {old or NONE} -> {new or NONE} ({counted(len(ids), 'cards')}): {name_first(ids)}"
            for (old, new), ids in most[:MOVES]
        ]
        rest = len(most) - MOVES
        return [*lines, f"  {counted(rest, 'other pairs of categories')}"] if rest > 0 else lines

    @property
    def counts(self) -> dict[str, int]:
        """Number of cards, or of categories, of each kind of change that there is."""
        kinds = ("added", "changed", "removed", "relabelled", "renamed", "decided")
        return {kind: len(getattr(self, kind)) for kind in kinds if getattr(self, kind)}

    def as_dict(self) -> dict[str, Any]:
        """Return all that changes, for JSON.

        Returns
        -------
        dict
            The attributes by their names, but for `lost` and `findings`; of `decided` the number.
        """
        of_ids = ("added", "changed", "removed", "relabelled")
        return {
            "source": self.source,
            **{name: list(getattr(self, name)) for name in of_ids},
            "changed_parts": {part: list(ids) for part, ids in self.changed_parts.items()},
            "renamed": dict(self.renamed),
            "renamed_cards": dict(self.renamed_cards),
            "moves": {card: {"from": old, "to": new} for card, (old, new) in self.moves.items()},
            "unchanged": self.unchanged,
            "decided": len(self.decided),
        }

    def check(
        self, *, max_removed: float | None = MAX_REMOVED, allow_new_categories: bool = True
    ) -> None:
        """Raise an error for changes that suggest half an export or a wrong column.

        Parameters
        ----------
        max_removed
            Largest share of the cards, and of the texts, pictures, labels or groups of those that
            stay, that may go; None for any.
        allow_new_categories
            Whether more than one labelled card in twenty, and more than two, may be of categories
            that the index does not have, or any card if the columns differ from those of the index.

        Raises
        ------
        CatalogueError
            If too much goes, nearly no picture file is found, or too many cards are of new
            categories. It names the reasons, and the way out.
        """
        update = _update_of(self)
        base, fresh = update.base, update.fresh
        if not allow_new_categories:
            # A new name of a whole category counts as well: a wrong column has them, too.
            check_new_categories(
                base.catalogue, fresh, update.delivered, base.labels.names, self.renamed
            )
        if max_removed is None:
            return
        shares = {"cards": (len(self.removed), len(base.catalogue)), **self.lost}
        over = {what: share for what, share in shares.items() if share[0] > max_removed * share[1]}
        unfound, pictured = update.unfound
        is_elsewhere = unfound >= SEVERAL_UNFOUND and unfound > MANY_UNFOUND * pictured
        reasons = [
            f"lacks {gone:,} of the {there:,} cards of the index ({_percent(gone, there)}%)"
            if what == "cards"
            else f"has no {what} for {gone:,} of the {there:,} cards that stay and have one "
            f"({_percent(gone, there)}%)"
            for what, (gone, there) in over.items()
        ]
        if over:
            reasons = [
                f"{', and '.join(reasons)}; at most {max_removed:.0%} may go at once, for it may "
                "be half an export"
            ]
        if is_elsewhere:
            reasons.append(
                f"names picture files that are not there for {unfound:,} of its {pictured:,} cards "
                "that have a picture in the index"
            )
            way = (
                "Name the folder of the pictures with --image-root, or leave their names out if "
                "they are gone."
            )
        elif over:
            most = max(_percent(*share) for share in over.values())
            way = f"If it is right, allow it with --max-removed {most}%."
        if reasons:
            raise CatalogueError(
                f"{self.source} {'; it '.join(reasons)}. {way} Nothing was changed."
            )


def _percent(gone: int, there: int) -> int:
    return -(-100 * gone // there)


def _update_of(difference: Difference) -> Update:
    if difference.update is None:
        raise QueryError("This difference was made by hand; compare a catalogue with the index.")
    return difference.update


def compare(
    parts: IndexParts, new: Catalogue, *, removed: bool = True, only_new: bool = False
) -> Difference:
    """Compare a delivery with the cards of an index.

    With `removed`, it is a whole export: cards that it lacks go. With `only_new`, cards that are
    there already are left as they are.
    """
    check_delivery(parts, new, is_whole=removed)
    old = parts.catalogue
    rows = np.array([parts.row_of.get(card, MISSING) for card in new.ids], dtype=np.int64)
    is_known = rows != MISSING
    findings = [*list_findings({KNOWN: is_known & only_new}, new.ids)]
    if only_new:
        new, rows, is_known = new.select(~is_known), rows[~is_known], is_known[~is_known]
    known = rows[is_known]
    ours, theirs = old.select(known), new.select(is_known)
    differing, unreadable = differing_parts(parts, ours, theirs, known)
    findings += list_findings({UNREADABLE: unreadable}, theirs.ids)
    findings += name_findings({LACKED: lacked_columns(old, new) if len(theirs) else ()})
    findings += name_findings({UNDONE: _undone(parts.decided, ours, theirs, new, differing)})
    content = [mask for part, mask in differing.items() if part not in LABELLING]
    is_changed: BoolArray = np.any([np.zeros(len(ours), dtype=bool), *content], axis=0)

    labels = Labelling.of(old)
    labels.deliver(known, theirs, differing)
    is_fresh = ~is_known
    is_fresh[is_known] = is_changed
    goes = np.full(len(old), removed)
    goes[known] = False
    embedded = {part: np.ones(int(is_fresh.sum()), dtype=bool) for part in differing}
    for part, mask in differing.items():
        embedded[part][rows[is_fresh] != MISSING] = mask[is_changed]
    fresh = _completed(new.select(is_fresh), old, rows[is_fresh], labels)
    difference = _difference(parts, new.source, labels, goes, fresh, rows[is_fresh], embedded)
    both = {part: mask & is_changed for part, mask in differing.items()}
    lost = {
        part: differing[part] & ~np.fromiter(map(bool, theirs.values(part)), dtype=bool)
        for part in (*old.text_modalities, IMAGE, "category", "group")
        if part in differing
    }
    same = labels.categories[known[~is_changed]].tolist()
    had_picture = {card for card, path in zip(ours.ids, ours.values(IMAGE), strict=True) if path}
    unfound = had_picture & {
        card
        for found in new.findings
        if found.what.startswith((NO_SUCH_FILE, OUTSIDE))
        for card in found.ids
    }
    return replace(
        difference,
        update=replace(
            _update_of(difference),
            delivered=[*fresh.values("category"), *same],
            unfound=(len(unfound), len(had_picture)),
        ),
        verb="sync" if removed else "add",
        changed_parts={
            part: tuple(compress(theirs.ids, mask)) for part, mask in both.items() if mask.any()
        },
        lost={
            part: (int(mask.sum()), sum(map(bool, compress(old.values(part), ~goes))))
            for part, mask in lost.items()
            if mask.any()
        },
        findings=tuple(findings),
    )


def _undone(
    decided: Iterable[Decided],
    ours: Catalogue,
    theirs: Catalogue,
    new: Catalogue,
    differing: Mapping[str, BoolArray],
) -> list[str]:
    """Return the delivered cards that a review gave another category, or removed."""
    chosen: dict[str, str] = {}
    merged: dict[str, str] = {}
    for each in decided:
        if each.decision == KEEP:
            continue
        if each.subject:
            merged[each.subject] = each.decision
        for card, category, _ in each.cards:
            chosen[card] = REMOVE if each.decision == REMOVE else category
    known = {*ours.ids}
    undone = {card for card in new.ids if chosen.get(card) == REMOVE and card not in known}
    columns = (ours.ids, ours.values("category"), theirs.values("category"))
    for card, own, other in compress(zip(*columns, strict=True), differing.get("category", ())):
        if other and own in (chosen.get(card), merged.get(other)):
            undone.add(card)
    return [card for card in new.ids if card in undone]


def remove_cards(parts: IndexParts, ids: Iterable[object]) -> Difference:
    """Return what it changes to remove the cards of some ids; ids of no card are a finding."""
    if isinstance(ids, (str, bytes)):
        raise TypeError(f"Ids are given as a list of them, such as [{ids!r}]; this is one text.")
    old = parts.catalogue
    wanted = dict.fromkeys(map(raw_text, ids))
    goes = np.fromiter((card in wanted for card in old.ids), dtype=bool, count=len(old))
    difference = _difference(parts, "the list of ids", Labelling.of(old), goes, old.select([]))
    gone = set(difference.removed)
    absent = [card for card in wanted if card not in gone]
    return replace(difference, verb="remove", findings=name_findings({ABSENT: absent}))


def relabel_cards(
    parts: IndexParts, mapping: Mapping[Any, Any], removed: Container[str] = ()
) -> Difference:
    """Return what it changes to give categories, or single cards by their ids, other categories.

    Cards may be removed in the same change.
    """
    check_named("New categories", mapping, "{'Shoes > Boots': 'Boots', 'P1': 'Lamps'}")
    old, labels = parts.catalogue, Labelling.of(parts.catalogue)
    of_card: dict[int, str] = {}
    of_category: dict[str, str] = {}
    absent, nameless = [], []
    for key, value in mapping.items():
        card, name = raw_text(key), clean_category(key, old.category_separator)
        category = clean_category(value, old.category_separator)
        # An empty one is meant: it takes the category away.
        if not category and (said := raw_text(value)):
            nameless.append(f"{card} -> {said!r}")
        is_category = name in parts.labels.code_of
        if card in parts.row_of and is_category:
            raise QueryError(
                f"{card!r} is the id of a card and a category of this index as well; name the "
                "cards of this category by their ids."
            )
        if card in parts.row_of:
            of_card[parts.row_of[card]] = category
        elif is_category:
            of_category[name] = category
        else:
            absent.append(card)
    if nameless:
        raise QueryError(
            f"{counted(len(nameless), 'new categories have')} no name, only what separates the "
            f"levels of a path ({name_first(nameless)}); give their whole paths. "
            "Nothing was changed."
        )
    # All at once, so that two categories can change places; what is said of a card counts more.
    new = [
        of_card.get(row, of_category.get(name, name)) for row, name in enumerate(labels.categories)
    ]
    after = np.array(new, dtype=object)
    # What is said of a category holds for its scores, also if some of its cards go elsewhere.
    went = set(zip(labels.categories.tolist(), new, strict=True))
    whole = {
        name: category
        for name, category in of_category.items()
        if category and (name, category) in went and (name, name) not in went
    }
    renamed = {**find_renamed(labels.categories, after), **whole}
    labels.move(after, renamed)
    goes = np.fromiter((card in removed for card in old.ids), dtype=bool, count=len(old))
    difference = _difference(
        parts, "the new categories", labels, goes, old.select([]), renamed=renamed
    )
    return replace(difference, verb="relabel", findings=name_findings({UNKNOWN_NAMES: absent}))


def _difference(
    parts: IndexParts,
    source: str,
    labels: Labelling,
    goes: BoolArray,
    fresh: Catalogue,
    sources: Int64Array | None = None,
    embedded: Mapping[str, BoolArray] = MappingProxyType({}),
    renamed: Mapping[str, str] | None = None,
) -> Difference:
    """Put together what all changes have in common: rows that stay or go, and what is renamed."""
    old = parts.catalogue
    sources = np.empty(0, dtype=np.int64) if sources is None else sources
    before = Labelling.of(old)
    if renamed is None:
        renamed = find_renamed(before.categories[~goes], labels.categories[~goes])
    stays = ~goes
    stays[sources[sources >= 0]] = False
    expected = np.array([renamed.get(name, name) for name in before.categories], dtype=object)
    moved = np.asarray(labels.categories != expected, dtype=bool)
    is_new_key = (labels.keys != before.keys) & (expected == before.categories)
    relabelled = stays & (moved | is_new_key).astype(bool)
    kept = np.flatnonzero(stays)
    columns = (old.ids, before.categories, labels.categories)
    moves = {
        card: (own, other)
        for card, own, other in compress(zip(*columns, strict=True), moved & ~goes)
    }
    follows = Counter(before.categories[stays & ~relabelled].tolist())
    return Difference(
        source=source,
        added=tuple(compress(fresh.ids, sources == MISSING)),
        changed=tuple(compress(fresh.ids, sources != MISSING)),
        removed=tuple(compress(old.ids, goes)),
        renamed=dict(sorted(renamed.items())),
        renamed_cards={name: follows[name] for name in sorted(renamed)},
        relabelled=tuple(compress(old.ids, relabelled)),
        unchanged=int(np.sum(stays & (expected == before.categories) & ~relabelled)),
        moves=moves,
        update=Update(
            base=parts,
            kept=kept,
            categories=labels.categories[kept].tolist(),
            keys=labels.keys[kept].tolist(),
            moved=moved,
            fresh=fresh,
            sources=sources,
            embedded=embedded,
        ),
    )


def _completed(
    fresh: Catalogue, old: Catalogue, sources: Int64Array, labels: Labelling
) -> Catalogue:
    """Give fresh cards what their delivery lacks of the cards that they take the place of."""
    import pandas as pd

    at = np.flatnonzero(sources != MISSING)
    cards = fresh.cards.copy()
    if len(at):
        lacked = lacked_parts(old, fresh)
        for name in old.pieces.names:
            if name in lacked or name not in cards:
                known = dict(zip(at.tolist(), old.pieces.read(name, sources[at]), strict=True))
                missing = "" if any(isinstance(each, str) for each in known.values()) else None
                column = pd.Series([known.get(place, missing) for place in range(len(cards))])
                cards[name] = column.convert_dtypes() if missing is None else column
    for part, every in zip(LABELLING, (labels.categories, labels.keys), strict=True):
        own = np.array(fresh.values(part), dtype=object)
        own[at] = every[sources[at]]
        cards[part] = own
    return replace(fresh, cards=cards)
