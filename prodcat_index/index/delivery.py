"""What a delivery of cards to an index must be: of the same parts, ids and categories."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping

from prodcat_index.cards.card import CORE_TEXTS, DIGEST, IMAGE, LABELS, Catalogue
from prodcat_index.cards.catalogue import find_unused_category, lacks_ids
from prodcat_index.cards.categories import hint_match
from prodcat_index.cards.roles import MAY_DIFFER, find_repeated
from prodcat_index.errors import CatalogueError
from prodcat_index.findings import Finding, counted, name_first
from prodcat_index.index.block import check_dims, hint_vectors, lacked_vectors
from prodcat_index.index.parts import IndexParts

NEW_CATEGORIES = "new categories"
# More cards in new categories than this share of a delivery suggest a wrong column.
FEW_NEW = 0.05
# Of a small delivery, fewer cards in new categories say nothing about its column.
SEVERAL_NEW = 3


def check_delivery(parts: IndexParts, new: Catalogue, *, is_whole: bool) -> None:
    """Raise an error for cards that cannot be compared with those of an index.

    A whole export, which replaces all cards, has every part that they have.
    """
    if repeated := find_repeated(new.ids):
        raise CatalogueError(
            f"{counted(len(repeated), 'ids occur more than once')} in {new.source} "
            f"({name_first(repeated)}): leave one card of each. Nothing was changed."
        )
    if not len(new):
        return
    old = parts.catalogue
    _check_texts(old, new)
    _check_columns(old, new)
    check_dims(parts, new)
    if lacked := lacked_vectors(parts, new):
        raise CatalogueError(
            f"The cards of {new.source} have no vectors of {name_first(list(lacked))}."
            f"{hint_vectors(lacked)}"
        )
    if is_whole and (lacking := lacked_parts(old, new)):
        named = [f"{part} (column {old.columns[part]!r})" for part in lacking]
        option = {part: part for part in (*CORE_TEXTS, IMAGE, "category", "group")}
        option["category_id"] = "category"
        options = dict.fromkeys(option.get(part, "text") for part in lacking)
        choose = " or ".join(f"--{option}-column" for option in options)
        raise CatalogueError(
            f"{new.source} lacks {name_first(named)}, which the cards of the index have, so it is "
            f"no whole export: choose the column with {choose}; or add its cards, which keep what "
            "is not in the file; or build the index again without. Nothing was changed."
        )


def lacked_parts(old: Catalogue, new: Catalogue) -> list[str]:
    """Return the parts of the cards of an index that a delivery has no column for.

    Cards that are there already keep these.
    """
    if not (old.columns and new.columns):
        return []
    return [
        part
        for part in (*old.text_modalities, IMAGE, "category", "category_id", "group")
        if old.columns.get(part) and not new.columns.get(part) and not any(new.values(part))
    ]


def lacked_columns(old: Catalogue, new: Catalogue) -> list[str]:
    """Return the columns of an index that a delivery lacks, by the names in the file."""
    if not (old.columns and new.columns):
        return []
    own = {*old.text_modalities, *LABELS, "id", IMAGE, DIGEST}
    further = [name for name in old.pieces.names if name not in own]
    there = {*new.pieces.names}
    parts = [str(old.columns[part]) for part in lacked_parts(old, new)]
    return [*parts, *(name for name in further if name not in there)]


def _check_texts(old: Catalogue, new: Catalogue) -> None:
    missing = [name for name in old.text_modalities if name not in new.text_modalities]
    foreign = [name for name in new.text_modalities if name not in old.text_modalities]
    if missing:
        raise CatalogueError(
            f"The cards of {new.source} have no {name_first(missing)}, which the index has as a "
            "text: name these columns with --text-column."
        )
    if foreign:
        raise CatalogueError(
            f"The index has no text {name_first(foreign)}; add the cards without it, or build the "
            "index again with all cards."
        )


def _check_columns(old: Catalogue, new: Catalogue) -> None:
    """Raise CatalogueError where ids or categories would be lost for the name of a column."""
    if lacks_ids(new, old):
        raise CatalogueError(
            f"{new.source} lacks the ids (column {old.columns['id']!r}), and row numbers are no "
            "ids for cards of this index: choose the column with --id-column. Nothing was changed."
        )
    if category := find_unused_category(new, old):
        raise CatalogueError(
            f"{new.source} lacks the category (column {old.columns['category']!r}): if it is in "
            f'{category!r}, add --category-column "{category}"; if not, leave that column out. '
            "Nothing was changed."
        )


def find_new_categories(labels: Iterable[str], known: Collection[str]) -> tuple[Finding, ...]:
    """Return a finding with the categories that are not known, if there are any."""
    new = tuple(sorted(set(labels) - {"", *known}))
    return (Finding(NEW_CATEGORIES, new),) if new else ()


def check_new_categories(
    old: Catalogue,
    new: Catalogue,
    labels: Iterable[str],
    known: Collection[str],
    renamed: Mapping[str, str],
) -> None:
    """Raise CatalogueError for new categories that suggest a wrong column.

    A few categories that are renamed, each to a name of its own, are no new ones.
    """
    labels = [label for label in labels if label]
    if all(label in known for label in labels):
        return
    differing = [
        f"{part} from {new.columns.get(part) or 'nowhere'!r} and not from {column!r}"
        for part, column in old.columns.items()
        if column
        and part not in (*MAY_DIFFER, IMAGE)
        and (new.columns.get(part) or "").casefold() != column.casefold()
    ]
    own = {name: renamed[name] for name in renamed if renamed[name] not in known}
    is_own_name = Counter(own.values())
    few = len(renamed) < len(known) / 2 and all(count == 1 for count in is_own_name.values())
    expected = {*known, *(own.values() if few and not differing else ())}
    cards = [label for label in labels if label not in expected]
    hint = hint_match(labels, known)
    is_many = len(cards) >= SEVERAL_NEW or bool(hint)
    if not (differing or (is_many and len(cards) > FEW_NEW * len(labels))):
        return
    reasons = [f"they are on {len(cards)} of its {len(labels)} labelled cards"]
    if differing:
        reasons.append(f"its columns differ from those of the index ({name_first(differing)})")
    if hint:
        reasons.append(hint)
    [found] = find_new_categories(cards, ())
    rename = ""
    if own:
        names = name_first([f"{old} -> {name}" for old, name in own.items()])
        rename = f", or rename categories first with prodcat relabel ({names})"
    # A column that was chosen is not to be chosen once more.
    column = new.columns.get("category")
    chosen = (column or "").casefold() != (old.columns.get("category") or "").casefold()
    wrong = "choose the column with --category-column"
    if chosen and column:
        wrong = f"{column!r} is not the column of the categories"
    raise CatalogueError(
        f"{new.source} has {found}; {', and '.join(reasons)}. If they are right, add "
        f"--allow-new-categories{rename}; if not, {wrong}. Nothing was changed."
    )
