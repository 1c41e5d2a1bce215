"""The page for people of an index, and the reasons to build it again."""

from __future__ import annotations

from prodcat_index.index.manifest import LEARNED, BlockDrift, DriftRecord, Manifest

# Measured: docs/decisions.md, "When to build again".
MANY_ADDED = 0.2
MANY_OF_NEW_CATEGORIES = 0.05
# Fewer cards than this share change an index little, however unlike the others they are.
FEW_ADDED = 0.05
LARGE_DRIFT = 0.25
BEYOND_CHANCE = 2.0


def rebuild_reason(manifest: Manifest) -> str:
    """Return the sentence that tells why to build an index again; empty where there is no need."""
    drift = manifest.drift
    if drift is None:
        return ""
    reasons = []
    if added_share(manifest) > MANY_ADDED:
        reasons.append(f"{added_share(manifest):.1%} were added since it was built")
    if drift.new_category_cards > MANY_OF_NEW_CATEGORIES * manifest.cards:
        reasons.append(f"{drift.new_category_cards / manifest.cards:.1%} are of new categories")
    drifted = [
        block.block
        for block in drift.blocks
        if block.cards > FEW_ADDED * manifest.cards and _has_drifted(block)
    ]
    if drifted:
        reasons.append(f"those that were added are unlike the others in {', '.join(drifted)}")
    return f"Build the index again with all cards: {'; '.join(reasons)}." if reasons else ""


def _has_drifted(block: BlockDrift) -> bool:
    beyond = max(0.0, block.shift**2 - block.chance**2) ** 0.5
    return block.shift > BEYOND_CHANCE * block.chance and beyond > LARGE_DRIFT


def added_share(manifest: Manifest) -> float:
    """Return the share of the cards that were added after the index was built."""
    return 1 - manifest.drift.fitted_cards / manifest.cards if manifest.drift else 0.0


def index_card(manifest: Manifest) -> str:
    """Describe an index in Markdown."""
    blocks = "\n".join(
        f"| {b.name} | {b.encoder} | {b.dim} | {b.cards} | {b.weight:.3f} |"
        for b in manifest.blocks
    )
    learned = manifest.learned
    if learned:
        blocks += f"\n| {LEARNED} | all of these, projected | {learned.dim} | {learned.cards} | "
        blocks += f"{learned.weight:.3f} |"
    packages = ", ".join(f"{name} {number}" for name, number in manifest.packages.items())
    tuning = manifest.tuning
    tuned = (
        f"Tuned by leave-one-out over {tuning.cards} cards of {tuning.categories} categories: "
        f"{tuning.objective} {tuning.after.value:.3f}, with equal weights {tuning.equal.value:.3f}."
        if tuning
        else "Not tuned; `prodcat tune` finds better weights and votes."
    )
    return f"""# Product index

Version {manifest.version}, written {manifest.created} by {packages}.

{manifest.cards} cards, {manifest.labelled} of them labelled, in {manifest.categories} categories.
{_describe_drift(manifest, manifest.drift) if manifest.drift else ""}
| block | encoder | dimensions | cards that have it | weight |
|---|---|---|---|---|
{blocks}

Vote of the nearest cards: {manifest.vote.describe()}. {tuned}
Search: {manifest.search.kind}, {manifest.search.dim} dimensions, made of \
{", ".join(manifest.search.blocks)}.
The files and their sha256 are listed in `manifest.json`.
"""


def _describe_drift(manifest: Manifest, drift: DriftRecord) -> str:
    added = manifest.cards - drift.fitted_cards
    new = "None is of a new category."
    if drift.new_categories:
        new = f"Of new categories ({drift.new_categories}): {drift.new_category_cards} cards."
    since = manifest.cards - drift.tuned_cards
    if manifest.tuning and since:
        tuned = "tuned and calibrated" if manifest.calibration else "tuned"
        new += f" {since} cards came since it was {tuned}."
    rows = "".join(
        f"| {b.block} | {b.cards} | {b.shift:.3f} | {b.chance:.3f} |\n" for b in drift.blocks
    )
    return f"""
{added} cards ({added_share(manifest):.1%}) were added since it was built; nothing was fitted on \
them. {new}

| block | added cards that have it | distance from the mean of the others | by chance |
|---|---|---|---|
{rows}
{rebuild_reason(manifest) or "There is no need to build the index again."}
"""
