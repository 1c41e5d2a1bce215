"""Adding cards to an index by what was fitted when it was built; nothing is fitted again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import compress
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from prodcat_index.cards.card import IMAGE, LABELS, Catalogue, join_catalogues
from prodcat_index.cards.catalogue import UNLABELLED, find_unused_category, lacks_ids
from prodcat_index.cards.categories import hint_match
from prodcat_index.cards.roles import MAY_DIFFER
from prodcat_index.encoders.embedding import content_digests
from prodcat_index.errors import CatalogueError
from prodcat_index.findings import Finding, list_findings, name_first
from prodcat_index.index.block import Block, unusable_pictures
from prodcat_index.index.learned import LearnedBlock, project_cards
from prodcat_index.index.manifest import BlockDrift, DriftRecord
from prodcat_index.index.parts import (
    NOTHING,
    IndexParts,
    Labels,
    block_values,
    check_dims,
    hint_vectors,
    lacked_vectors,
)
from prodcat_index.types import MISSING, BoolArray, Float64Array, Int64Array, chunks

# A mebibyte or some of float16 rows, beside which their sums are small.
ROWS_AT_ONCE = 8192
# A delivery of more cards in new categories than this is rather a wrong column than new goods.
FEW_NEW = 0.05
# The rows of the index have 16 bits a number: by this much, they differ from what they were.
ROUNDING = 0.01
KNOWN = "cards are in the index already (skipped)"

AnyBlock = TypeVar("AnyBlock", Block, LearnedBlock)


def add_cards(
    parts: IndexParts, catalogue: Catalogue, allow_new_categories: bool = True
) -> tuple[IndexParts, list[Finding]]:
    """Put new cards after those of an index."""
    _check_texts(parts.catalogue, catalogue)
    _check_columns(parts.catalogue, catalogue)
    check_dims(parts, catalogue)
    if lacked := lacked_vectors(parts, catalogue):
        raise CatalogueError(
            f"The cards of {catalogue.source} have no vectors of {name_first(list(lacked))}."
            f"{hint_vectors(lacked)}"
        )
    known = _known_cards(parts, catalogue)
    findings = [*list_findings({KNOWN: known}, catalogue.ids)]
    fresh = catalogue.select(~known)
    findings += _new_categories(parts.catalogue, fresh, allow_new_categories)
    unused = {
        f"cards have {name}, which this index does not embed": fresh.has(name)
        for name in fresh.modalities
        if name not in parts.modalities
    }
    findings += list_findings(unused, fresh.ids)
    if len(fresh):
        blocks = [_embedded(block, fresh, findings) for block in parts.blocks]
        present = np.any([block.present for block in blocks], axis=0)
        findings += list_findings({NOTHING: ~present}, fresh.ids)
        parts = _extended(parts, fresh, blocks)
    return parts, findings


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
            "ids for cards of this index: choose the column with --id-column. Nothing was added."
        )
    if category := find_unused_category(new, old):
        raise CatalogueError(
            f"{new.source} lacks the category (column {old.columns['category']!r}): if it is in "
            f'{category!r}, add --category-column "{category}"; if not, leave that column out. '
            "Nothing was added."
        )


def _new_categories(old: Catalogue, fresh: Catalogue, allowed: bool) -> list[Finding]:
    """Name the new categories; raise CatalogueError if they rather come from a wrong column."""
    labels = [label for label in fresh.values("category") if label]
    known = set(old.values("category"))
    cards = [label for label in labels if label not in known]
    if not labels:
        return [*list_findings({UNLABELLED: [True] * len(fresh)}, fresh.ids)]
    if not cards:
        return []
    found = Finding("new categories", tuple(sorted(set(cards))))
    differing = [
        f"{part} from {fresh.columns.get(part) or 'nowhere'!r} and not from {column!r}"
        for part, column in old.columns.items()
        if column
        and part not in (*MAY_DIFFER, IMAGE)
        and not _same(fresh.columns.get(part), column)
    ]
    if allowed or not (differing or len(cards) > FEW_NEW * len(labels)):
        return [found]
    reasons = [f"they are on {len(cards)} of its {len(labels)} labelled cards"]
    if differing:
        reasons.append(f"its columns differ from those of the index ({name_first(differing)})")
    if hint := hint_match(labels, known):
        reasons.append(hint)
    raise CatalogueError(
        f"{fresh.source} has {found}; {', and '.join(reasons)}. If they are right, add "
        "--allow-new-categories; if not, choose the column with --category-column. Nothing was "
        "added."
    )


def _same(column: str | None, other: str) -> bool:
    return (column or "").casefold() == other.casefold()


def _known_cards(parts: IndexParts, new: Catalogue) -> BoolArray:
    """Return which new cards are in the index; raise CatalogueError if one is only in its id."""
    old = parts.catalogue
    row_of_id = {card_id: row for row, card_id in enumerate(old.ids)}
    rows = np.array([row_of_id.get(card_id, MISSING) for card_id in new.ids], dtype=np.int64)
    known = rows != MISSING
    differing = _differences(old.select(rows[known]), new.select(known))
    differing |= _other_vectors(parts.blocks, rows[known], new.select(known))
    if differing:
        raise CatalogueError(
            f"{new.source} has other cards under ids of the index "
            f"({name_first(sorted(set().union(*differing.values())))}); what differs is "
            f"{', '.join(differing)}. Give new cards ids of their own; cards that changed need "
            "the index to be built again. Nothing was added."
        )
    return known


def _differences(old: Catalogue, new: Catalogue) -> dict[str, list[str]]:
    """Return, for every part of a card, the ids of the cards that differ in it."""
    pairs = {name: (old.values(name), new.values(name)) for name in (*old.text_modalities, *LABELS)}
    paths = old.values(IMAGE), new.values(IMAGE)
    # Pictures that lie at two places are compared by their content.
    moved = [bool(a and b and a != b) for a, b in zip(*paths, strict=True)]
    pairs[IMAGE] = _digests(paths[0], moved), _digests(paths[1], moved)
    found = {
        name: [i for i, a, b in zip(new.ids, *values, strict=True) if a != b]
        for name, values in pairs.items()
    }
    return {name: ids for name, ids in found.items() if ids}


def _other_vectors(
    blocks: Sequence[Block], rows: Int64Array, new: Catalogue
) -> dict[str, list[str]]:
    """Return, for every modality of vectors, the ids of the cards whose vectors are others."""
    found = {}
    for block in blocks:
        if block.kind == "vector":
            own = block.encode_queries(block_values(new, block)).vectors
            apart = np.linalg.norm(own - block.vectors[rows], axis=1) > ROUNDING
            found[block.modality] = list(compress(new.ids, apart))
    return {name: ids for name, ids in found.items() if ids}


def _digests(paths: Sequence[str], moved: Sequence[bool]) -> list[str]:
    """Replace the paths of moved pictures by the digests of their content, if it can be read."""
    digests = content_digests(
        "picture", [p if m else "" for p, m in zip(paths, moved, strict=True)]
    )
    return [digest or path for digest, path in zip(digests, paths, strict=True)]


def _embedded(block: Block, fresh: Catalogue, findings: list[Finding]) -> Block:
    """Return the block of the new cards alone, and add what is wrong with them to `findings`."""
    encoded = block.encode_queries(block_values(fresh, block), block.name)
    findings.extend(unusable_pictures(fresh.ids, encoded.problems))
    return replace(block, vectors=encoded.vectors.astype(np.float16), present=encoded.present)


def _extended(parts: IndexParts, fresh: Catalogue, blocks: Sequence[Block]) -> IndexParts:
    catalogue = join_catalogues(parts.catalogue, fresh)
    learned = parts.learned
    if learned:
        # New categories stand between the old ones, and the head must go on naming the same.
        code = {name: place for place, name in enumerate(Labels.from_catalogue(catalogue).names)}
        codes = np.array([code[name] for name in parts.labels.names], dtype=np.int64)
        joined = _joined(learned, project_cards(learned.model, blocks))
        # Nothing that has not seen them contradicts the labels of new cards.
        reliability = np.zeros(len(catalogue), dtype=np.float16)
        reliability[: len(parts.catalogue)] = parts.log_reliability
        model = learned.model.renumbered(codes)
        learned = replace(joined, model=model, log_reliability=reliability)
    extended = replace(
        parts,
        catalogue=catalogue,
        blocks=[_joined(*pair) for pair in zip(parts.blocks, blocks, strict=True)],
        learned=learned,
        searcher=None,
    )
    before, drift = len(parts.catalogue), parts.drift
    fitted, tuned = (drift.fitted_cards, drift.tuned_cards) if drift else (before, before)
    return replace(extended, drift=measure_drift(extended, fitted, tuned)).indexed()


def _joined(old: AnyBlock, new: AnyBlock) -> AnyBlock:
    return replace(
        old,
        vectors=np.concatenate([old.vectors, new.vectors]),
        present=np.concatenate([old.present, new.present]),
    )


def measure_drift(parts: IndexParts, fitted_cards: int, tuned_cards: int) -> DriftRecord:
    """Compare the first `fitted_cards`, which all is fitted on, with those that came later."""
    codes = parts.labels.codes
    added = codes[fitted_cards:]
    new = added[(added != MISSING) & ~np.isin(added, codes[:fitted_cards])]
    drifts = [block_drift(block, fitted_cards) for block in parts.all_blocks]
    return DriftRecord(
        fitted_cards=fitted_cards,
        tuned_cards=tuned_cards,
        new_categories=len(np.unique(new)),
        new_category_cards=len(new),
        blocks=tuple(drift for drift in drifts if drift),
    )


def block_drift(block: Block | LearnedBlock, fitted_cards: int) -> BlockDrift | None:
    """Compare the mean rows of the first and of the other cards; None where either have no row."""
    rows = block.unit_rows if isinstance(block, LearnedBlock) else block.vectors
    n, m = (int(there.sum()) for there in np.split(block.present, [fitted_cards]))
    if n == 0 or m == 0:
        return None
    mean, other = _total(rows[:fitted_cards]) / n, _total(rows[fitted_cards:]) / m
    # The squared distance of the means of two samples of one population is so large on average.
    variance = max(0.0, 1.0 - float(mean @ mean)) * (1 / n + 1 / m)
    shift = float(np.linalg.norm(other - mean))
    return BlockDrift(block=block.name, cards=m, shift=shift, chance=float(np.sqrt(variance)))


def _total(rows: npt.NDArray[np.float16]) -> Float64Array:
    # In float16 a sum of unit rows stands still at 2048.
    total = np.zeros(rows.shape[1])
    for part in chunks(len(rows), ROWS_AT_ONCE):
        total += rows[part].sum(axis=0, dtype=np.float64)
    return total
