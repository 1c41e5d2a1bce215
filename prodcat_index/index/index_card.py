"""The page that tells people what an index holds."""

from __future__ import annotations

from prodcat_index.index.advice import describe_growth
from prodcat_index.index.manifest import LEARNED, Manifest
from prodcat_index.voting.vote import VoteParameters


def index_card(manifest: Manifest) -> str:
    """Describe an index in Markdown.

    Parameters
    ----------
    manifest
        Of the version that is described.
    """
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
