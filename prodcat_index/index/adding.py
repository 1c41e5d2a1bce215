"""Adding cards to an index by what was fitted when it was built; nothing is fitted again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from prodcat_index.cards.card import IMAGE, Catalogue, join_catalogues
from prodcat_index.encoders.embedding import content_digests
from prodcat_index.errors import CatalogueError
from prodcat_index.findings import Finding, name_first
from prodcat_index.index.block import Block, Problems, unusable_pictures
from prodcat_index.index.learned import LearnedBlock, project_cards
from prodcat_index.index.manifest import DriftRecord, GrowthRecord
from prodcat_index.index.parts import IndexParts, Labels
from prodcat_index.types import BoolArray

ROWS_AT_ONCE = 8192


def measure_growth(parts: IndexParts, fitted_cards: int, tuned_cards: int) -> GrowthRecord:
    """Compare the cards that an index was fitted on with those that came later."""
    codes = parts.labels.codes
    added = codes[fitted_cards:]
    new = added[(added >= 0) & ~np.isin(added, codes[:fitted_cards])]
    drifts = [measure_drift(block, fitted_cards) for block in parts.all_blocks]
    return GrowthRecord(
        fitted_cards=fitted_cards,
        tuned_cards=tuned_cards,
        new_categories=len(np.unique(new)),
        new_category_cards=len(new),
        drifts=tuple(drift for drift in drifts if drift is not None),
    )


def after_tuning(growth: GrowthRecord | None, cards: int) -> GrowthRecord | None:
    """Note that tuning has seen all cards."""
    return growth and growth.model_copy(update={"tuned_cards": cards})


def measure_drift(block: Block | LearnedBlock, fitted_cards: int) -> DriftRecord | None:
    """Measure how far apart the mean rows of the first and of the other cards are."""
    rows = block.unit_rows if isinstance(block, LearnedBlock) else block.vectors
    first, n = _total(rows[:fitted_cards], block.present[:fitted_cards])
    other, m = _total(rows[fitted_cards:], block.present[fitted_cards:])
    if n == 0 or m == 0:
        return None
    mean = first / n
    # The squared distance of the means of two samples of one population is so large on average.
    variance = max(0.0, 1.0 - float(mean @ mean)) * (1 / n + 1 / m)
    return DriftRecord(
        block=block.name,
        cards=m,
        shift=float(np.linalg.norm(other / m - mean)),
        chance=float(np.sqrt(variance)),
    )


def _total(
    rows: npt.NDArray[np.float16], present: BoolArray
) -> tuple[npt.NDArray[np.float64], int]:
    total = np.zeros(rows.shape[1])
    for start in range(0, len(rows), ROWS_AT_ONCE):
        total += rows[start : start + ROWS_AT_ONCE].sum(axis=0, dtype=np.float64)
    return total, int(present.sum())


KNOWN = "cards are in the index already, and are skipped"
NOTHING = "cards have nothing that the index knows, and are never found"
LABELS = ("category", "category_id", "group")

AnyBlock = TypeVar("AnyBlock", Block, LearnedBlock)


def add_cards(parts: IndexParts, catalogue: Catalogue) -> tuple[IndexParts, list[Finding]]:
    """Put new cards after those of an index."""
    _check_texts(parts.catalogue, catalogue)
    known = _known_cards(parts.catalogue, catalogue)
    fresh = catalogue.select(~known)
    findings = [_finding(KNOWN, catalogue, known), *_not_embedded(parts, fresh)]
    if len(fresh):
        blocks = [_embedded(block, fresh, findings) for block in parts.blocks]
        present = np.any([block.present for block in blocks], axis=0)
        findings.append(_finding(NOTHING, fresh, ~present))
        parts = _extended(parts, fresh, blocks)
    return parts, [finding for finding in findings if finding.ids]


def _check_texts(old: Catalogue, new: Catalogue) -> None:
    lacked = [name for name in old.text_modalities if name not in new.text_modalities]
    foreign = [name for name in new.text_modalities if name not in old.text_modalities]
    if lacked:
        raise CatalogueError(
            f"The cards of {new.source} have no {name_first(lacked)}, which the index has as a "
            "text: name these columns with --text-column."
        )
    if foreign:
        raise CatalogueError(
            f"The index has no text {name_first(foreign)}; add the cards without it, or build the "
            "index again with all cards."
        )


def _known_cards(old: Catalogue, new: Catalogue) -> BoolArray:
    """Tell which new cards are in the index; refuse those that only have the id of one."""
    row_of_id = {card_id: row for row, card_id in enumerate(old.ids)}
    rows = [row_of_id.get(card_id, -1) for card_id in new.ids]
    shared = [place for place, row in enumerate(rows) if row >= 0]
    there = old.select([rows[place] for place in shared])
    again = new.select(shared)
    differing = _differences(there, again)
    if differing:
        ids = sorted({card_id for positions in differing.values() for card_id in positions})
        raise CatalogueError(
            f"{new.source} has other cards under ids of the index ({name_first(ids)}); what "
            f"differs is {', '.join(differing)}. Give new cards ids of their own; cards that "
            "changed need the index to be built again. Nothing was added."
        )
    known = np.zeros(len(new), dtype=bool)
    known[shared] = True
    return known


def _differences(old: Catalogue, new: Catalogue) -> dict[str, list[str]]:
    """List for every part of a card the ids of those that differ in it."""
    pairs = {name: (old.values(name), new.values(name)) for name in (*old.text_modalities, *LABELS)}
    pairs[IMAGE] = _pictures(old.values(IMAGE), new.values(IMAGE))
    found = {
        name: [i for i, a, b in zip(new.ids, *values, strict=True) if a != b]
        for name, values in pairs.items()
    }
    return {name: ids for name, ids in found.items() if ids}


def _pictures(old: Sequence[str], new: Sequence[str]) -> tuple[list[str], list[str]]:
    """Tell pictures that lie at different places by their bytes."""
    moved = [bool(a and b and a != b) for a, b in zip(old, new, strict=True)]
    sides = []
    for paths in (old, new):
        asked = [path if has else "" for path, has in zip(paths, moved, strict=True)]
        digests = content_digests("picture", asked)
        sides.append([digest or path for digest, path in zip(digests, paths, strict=True)])
    return sides[0], sides[1]


def _finding(what: str, catalogue: Catalogue, where: BoolArray) -> Finding:
    ids = catalogue.ids
    return Finding(what, tuple(ids[row] for row in np.flatnonzero(where)))


def _not_embedded(parts: IndexParts, fresh: Catalogue) -> list[Finding]:
    return [
        _finding(
            f"cards have {modality}, which this index does not embed",
            fresh,
            np.array([bool(value) for value in fresh.values(modality)]),
        )
        for modality in fresh.modalities
        if modality not in parts.modalities
    ]


def _embedded(block: Block, fresh: Catalogue, findings: list[Finding]) -> Block:
    """Return the block of the new cards alone."""
    ids = fresh.ids

    def note(problems: Problems) -> None:
        findings.extend(unusable_pictures(ids, problems))

    values = fresh.values(block.modality)
    vectors, present = block.encode_queries(values, block.name, note)
    return replace(block, vectors=vectors.astype(np.float16), present=present)


def _extended(parts: IndexParts, fresh: Catalogue, blocks: Sequence[Block]) -> IndexParts:
    learned = parts.learned and _joined(parts.learned, project_cards(parts.learned.learner, blocks))
    catalogue = join_catalogues(parts.catalogue, fresh)
    extended = replace(
        parts,
        catalogue=catalogue,
        blocks=[_joined(*pair) for pair in zip(parts.blocks, blocks, strict=True)],
        learned=learned and _renumbered(learned, parts.labels, Labels.of(catalogue)),
        faiss_index=None,
        covered=(),
    )
    before = len(parts.catalogue)
    fitted = parts.growth.fitted_cards if parts.growth else before
    tuned = parts.growth.tuned_cards if parts.growth else before
    return replace(extended, growth=measure_growth(extended, fitted, tuned)).indexed()


def _renumbered(learned: LearnedBlock, old: Labels, new: Labels) -> LearnedBlock:
    """Let the head go on telling the same categories, which new ones stand between."""
    code = {name: place for place, name in enumerate(new.names)}
    codes = np.array([code[name] for name in old.names], dtype=np.int64)
    return replace(learned, learner=learned.learner.renumbered(codes))


def _joined(old: AnyBlock, new: AnyBlock) -> AnyBlock:
    return replace(
        old,
        vectors=np.concatenate([old.vectors, new.vectors]),
        present=np.concatenate([old.present, new.present]),
    )
