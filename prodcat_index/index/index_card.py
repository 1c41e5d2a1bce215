"""The page that tells people what an index holds."""

from __future__ import annotations

from prodcat_index.index.manifest import LEARNED, DriftRecord, GrowthRecord, Manifest
from prodcat_index.voting.vote import VoteParameters

# Measured: docs/decisions.md, "When to build again".
MUCH_ADDED = 0.2
MUCH_NEW = 0.05
# Fewer cards than this share change an index little, however unlike the others they are.
FEW_ADDED = 0.05
FAR = 0.25
BEYOND_CHANCE = 2.0


def rebuild_reason(manifest: Manifest) -> str:
    """Say in one sentence that an index should be built again, or nothing."""
    reasons = _reasons(manifest, manifest.growth) if manifest.growth else []
    return f"Build the index again with all cards: {'; '.join(reasons)}." if reasons else ""


def _reasons(manifest: Manifest, growth: GrowthRecord) -> list[str]:
    reasons = []
    if added_share(manifest) > MUCH_ADDED:
        reasons.append(f"{added_share(manifest):.1%} were added since it was built")
    if growth.new_category_cards > MUCH_NEW * manifest.cards:
        share = growth.new_category_cards / manifest.cards
        reasons.append(f"{share:.1%} are of new categories")
    many = [drift for drift in growth.drifts if drift.cards > FEW_ADDED * manifest.cards]
    drifted = [drift.block for drift in many if has_drifted(drift)]
    if drifted:
        reasons.append(f"those that were added are unlike the others in {', '.join(drifted)}")
    return reasons


def has_drifted(drift: DriftRecord) -> bool:
    """Tell whether added cards are other than before, beyond chance and enough to matter."""
    beyond = max(0.0, drift.shift**2 - drift.chance**2) ** 0.5
    return drift.shift > BEYOND_CHANCE * drift.chance and beyond > FAR


def added_share(manifest: Manifest) -> float:
    """Return the share of the cards that were added after the index was built."""
    growth = manifest.growth
    return 1 - growth.fitted_cards / manifest.cards if growth else 0.0


def describe_growth(manifest: Manifest) -> str:
    """Tell in Markdown what was added, ending with a new line; nothing where nothing was."""
    growth = manifest.growth
    if growth is None:
        return ""
    added = manifest.cards - growth.fitted_cards
    rows = "".join(
        f"| {d.block} | {d.cards} | {d.shift:.3f} | {d.chance:.3f} |\n" for d in growth.drifts
    )
    return f"""
{added} cards ({added_share(manifest):.1%}) were added since it was built; nothing was fitted on \
them. {_new_categories(growth)}{_since_tuning(manifest, growth)}

| block | added cards that have it | distance from the mean of the others | by chance |
|---|---|---|---|
{rows}
{rebuild_reason(manifest) or "There is no need to build the index again."}
"""


def _new_categories(growth: GrowthRecord) -> str:
    if not growth.new_categories:
        return "None is of a new category."
    return f"Of new categories ({growth.new_categories}): {growth.new_category_cards} cards."


def _since_tuning(manifest: Manifest, growth: GrowthRecord) -> str:
    since = manifest.cards - growth.tuned_cards
    if manifest.tuning is None or not since:
        return ""
    what = "tuned and calibrated" if manifest.calibration else "tuned"
    return f" {since} cards came since it was {what}."


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
    vote = VoteParameters(**manifest.vote.model_dump())
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
{describe_growth(manifest)}
| block | encoder | dimensions | cards that have it | weight |
|---|---|---|---|---|
{blocks}

Vote of the nearest cards: {vote.describe()}. {tuned}
Search: {manifest.search.kind}, {manifest.search.dim} dimensions, made of \
{", ".join(manifest.search.blocks)}.
The files and their sha256 are listed in `manifest.json`.
"""
