"""The page for people in an index folder, and when to build an index again."""

from __future__ import annotations

from prodcat_index.findings import counted
from prodcat_index.index.kinds import (
    FAR_RECALL,
    KINDS,
    MOST_EXACT_VALUES,
    RECALL_AT,
    Kind,
    count_held_out,
    readable_size,
)
from prodcat_index.index.manifest import (
    LEARNED,
    SCORES,
    BlockDrift,
    DriftRecord,
    Manifest,
    SearchRecord,
    StoreRecord,
)

# When to fit or build again, and which of these shares are measured: docs/decisions/index.md.
MANY_ADDED = 0.2
MANY_OF_NEW_CATEGORIES = 0.05
# Of cards that came after the encoders were fitted; not measured.
MANY_UNSEEN = 0.5
# Fewer cards than this share change an index little, however unlike the others they are.
FEW_ADDED = 0.05
LARGE_DRIFT = 0.25
BEYOND_CHANCE = 2.0
# Where more of the codes are compared, cells save little.
MOST_IN_CELLS = 0.9
HOLDS_FOR = "This holds for listings like the cards of the index; for others less may be found."


def rebuild_reason(manifest: Manifest) -> str:
    """Return a sentence with the reasons to fit or build an index again; empty without any."""
    drift, cards = manifest.drift, manifest.cards
    if drift is None:
        return ""
    came = 1 - drift.fitted_cards / cards
    gone = drift.removed_cards + drift.changed_cards
    moved = drift.relabelled_cards / cards
    reasons = []
    if came > MANY_ADDED:
        reasons.append(f"{came:.1%} of its cards came or changed since it was fitted")
    if moved > MANY_ADDED:
        times = f"{drift.relabelled_cards:,} times"
        reasons.append(f"its {cards:,} cards got another category {times}")
    if drift.removed_cards > MANY_ADDED * (drift.fitted_cards + gone):
        reasons.append(f"{drift.removed_cards:,} of the cards that it was fitted on are gone")
    if drift.new_category_cards > MANY_OF_NEW_CATEGORIES * cards:
        reasons.append(f"{drift.new_category_cards / cards:.1%} are of new categories")
    many = [block for block in drift.blocks if block.cards > FEW_ADDED * cards]
    drifted = [block.block for block in many if _has_drifted(block)]
    if drifted:
        reasons.append(f"those that came are unlike the others in {', '.join(drifted)}")
    unseen = 1 - drift.encoded / cards
    if unseen > MANY_UNSEEN and drift.encoded < drift.fitted_cards:
        reasons.append(f"its encoders have not seen {unseen:.1%}")
    if not reasons:
        return ""
    # Only what is fitted to labels can be fitted again without the texts and pictures.
    is_foreign = unseen > MANY_UNSEEN or bool({*drifted} - {LEARNED, SCORES})
    if manifest.learned and not is_foreign:
        return f"Fit the index again (prodcat refit): {'; '.join(reasons)}."
    return f"Build the index again with all cards (prodcat build-index): {'; '.join(reasons)}."


def _has_drifted(block: BlockDrift) -> bool:
    beyond = max(0.0, block.shift**2 - block.chance**2) ** 0.5
    return block.shift > BEYOND_CHANCE * block.chance and beyond > LARGE_DRIFT


def index_card(manifest: Manifest) -> str:
    """Describe an index in Markdown."""
    rows = [(b.name, b.encoder, b.dim, b.cards, b.weight, b.search_weight) for b in manifest.blocks]
    if manifest.learned:
        learned = manifest.learned
        projected = "all of these, projected"
        searched = 0.0 if manifest.search_weights else None
        rows.append((LEARNED, projected, learned.dim, learned.cards, learned.weight, searched))
    blocks = "".join(
        f"| {b} | {e} | {d:,} | {n:,} | {voting:.3f} | "
        f"{'-' if search is None else f'{search:.3f}'} |\n"
        for b, e, d, n, voting, search in rows
    )
    predicted = manifest.choices.target if manifest.choices else ""
    target = f", which are the values of the column {predicted}" if predicted else ""
    tuning = manifest.tuning
    tuned = "Not tuned; `prodcat tune` looks for better weights and a better vote."
    if tuning:
        tuned = (
            f"Tuned by leave-one-out over {tuning.cards:,} cards of {tuning.categories:,} "
            f"categories: {tuning.objective} {tuning.after.value:.3f}, with equal weights "
            f"{tuning.equal.value:.3f}."
        )
    decided = ""
    if manifest.decided:
        decided = counted(len(manifest.decided), "items of audits are decided")
        decided += ", and prodcat audit does not ask for them again.\n\n"
    return f"""# Product index

Version {manifest.version}, written {manifest.created} by \
{", ".join(" ".join(package) for package in manifest.packages.items())}.

{manifest.cards:,} cards, {manifest.labelled:,} of them labelled, in \
{manifest.categories:,} categories{target}.
{_describe_drift(manifest, manifest.drift) if manifest.drift else ""}
{decided}\
| block | encoder | dimensions | cards | weight in votes | weight in a search |
|---|---|---|---|---|---|
{blocks}
Vote of the nearest cards: {manifest.vote.describe()}. {tuned}

{explain_search(manifest)}
The files and their sha256 are listed in `manifest.json`.
"""


def explain_search(manifest: Manifest) -> str:
    """Describe in words how cards are found, and why so."""
    if manifest.store:
        return _explain_store(manifest.store)
    asked, searches = manifest.asked, {"Votes": manifest.search}
    if manifest.similar:
        searches["Similar products"] = manifest.similar
    lines = [_explain(name, search, manifest) for name, search in searches.items()]
    limit = f" within {readable_size(asked.memory)}" if asked.memory else ""
    chosen = f"The kind was asked for: `--index {asked.kind}`."
    if warning := memory_warning(manifest):
        chosen = f"{warning[0].upper()}{warning[1:]}."
    elif asked.kind == "auto":
        values = f"{MOST_EXACT_VALUES // 10**6} million values"
        chosen = (
            f"Chosen by size{limit}: every card is compared where that is at most {values} a "
            "query. Similarities and their order are exact in every kind."
        )
    return "\n".join([*lines, chosen])


def _explain_store(store: StoreRecord) -> str:
    text = (
        f"All blocks are searched by the store {store.address}, in its table {store.table}: by a "
        f"walk through a graph that keeps {store.walk:,} cards, or, where few cards are eligible, "
        "by a scan of these. Similarities and their order are exact. It found "
        f"{store.recall:.1%} of the nearest 20 cards under the weights of votes, and at least "
        f"{store.far_recall:.1%} under other weights, such as those of one block alone. "
        f"{HOLDS_FOR}"
    )
    warning = recall_warning(store)
    return f"{text} {warning[0].upper()}{warning[1:]}." if warning else text


def recall_warning(store: StoreRecord) -> str:
    """Return what is found of the nearest cards where that is less than was asked for."""
    if store.recall >= store.asked and store.far_recall >= min(store.asked, FAR_RECALL):
        return ""
    return (
        f"by its longest walk, the store finds {store.recall:.1%} of the nearest 20 cards under "
        f"the weights of votes, of {store.asked:.1%} asked for, and {store.far_recall:.1%} under "
        "others; more is found by an index without --store"
    )


def search_memory(manifest: Manifest) -> int:
    """Return the bytes that the searches of votes and of similar products keep in memory."""
    return sum(_size(search, manifest) for search in (manifest.search, manifest.similar) if search)


def memory_warning(manifest: Manifest) -> str:
    """Return what the smallest search index takes where that is more memory than was allowed."""
    allowed, size = manifest.asked.memory, search_memory(manifest)
    if allowed is None or size <= allowed or manifest.asked.kind != "auto":
        return ""
    return (
        f"no kind of search index fits into {readable_size(allowed)}: the smallest, which was "
        f"chosen, takes {readable_size(size)}"
    )


def _kind(search: SearchRecord) -> Kind:
    return KINDS["flat" if search.codes is None else search.codes.kind]


def _size(search: SearchRecord, manifest: Manifest) -> int:
    """Return the bytes that a search takes."""
    n = manifest.cards if search.codes is None else search.codes.size
    return _kind(search).size(n, search.dim)


def _explain(name: str, search: SearchRecord, manifest: Manifest) -> str:
    codes, n = search.codes, manifest.cards
    kind, size = _kind(search), readable_size(_size(search, manifest))
    text = (
        f"{name}: found by {', '.join(search.blocks)}. "
        f"Kind {kind.name}: it {kind.description}; {size} in memory."
    )
    if codes is None:
        return text
    later = max(0, n - codes.size)
    share = codes.compared
    compared = "" if share is None else f" It compares {share:.0%} of the codes for it on average."
    if share is not None and share > MOST_IN_CELLS:
        compared += " So the cells save little: `--index sq8` compares all, and takes less memory."
    came = f"{compared} {later:,} cards came later and are compared one by one."
    if not count_held_out(codes.size):
        few = counted(codes.size, "cards")
        return (
            f"{text} Of {few}, none was held out to measure the share of the nearest cards that it "
            f"finds, so it searches as widely as it can.{came}"
        )
    nearest = " and ".join(map(str, RECALL_AT))
    return (
        f"{text} It found {codes.recall:.1%} of the nearest {nearest} cards, of "
        f"{manifest.asked.recall:.1%} asked for, measured on cards held out, under the weights of "
        f"the index and under weights far from them. {HOLDS_FOR}{came}"
    )


def _describe_drift(manifest: Manifest, drift: DriftRecord) -> str:
    added, since = manifest.cards - drift.fitted_cards, manifest.cards - drift.tuned_cards
    # Cards that got a new category by a new label alone are not counted.
    new = "" if drift.relabelled_cards or not added else "None is of a new category."
    if drift.new_categories:
        new = f"Of new categories ({drift.new_categories:,}): {drift.new_category_cards:,} cards."
    if manifest.tuning and since:
        tuned = "tuned and calibrated" if manifest.calibration else "tuned"
        new += f" {since:,} cards came since it was {tuned}."
    rows = "".join(
        f"| {b.block} | {b.cards:,} | {b.shift:.3f} | {b.chance:.3f} |\n" for b in drift.blocks
    )
    changes = {"removed": drift.removed_cards, "changed": drift.changed_cards}
    others = ", ".join(f"{count:,} {what}" for what, count in changes.items() if count)
    if drift.relabelled_cards:
        times = f"{drift.relabelled_cards:,} times"
        new = f"Cards got another category {times}; nothing was fitted on these labels. {new}"
    if others:
        new = f"Of the cards that it was fitted on: {others}. {new}"
    came = "No card came or changed since it was fitted."
    if added:
        share = f"{added / manifest.cards:.1%}"
        came = f"{added:,} cards ({share}) came or changed since it was fitted; "
        came += "nothing was fitted on them."
    if rows:
        rows = f"""
| block | such cards | distance from the mean of the others | by chance |
|---|---|---|---|
{rows}"""
    return f"""
{f"{came} {new}".rstrip()}
{rows}
{rebuild_reason(manifest) or "There is no need to fit or build the index again."}
"""
