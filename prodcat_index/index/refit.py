"""What is fitted to labels, fitted again to the cards as they are now. Nothing is embedded."""

from __future__ import annotations

from dataclasses import replace

from prodcat_index.cards.target import with_target
from prodcat_index.errors import QueryError
from prodcat_index.findings import Finding
from prodcat_index.index.build import fit_labels, settle
from prodcat_index.index.calibrate import calibrate
from prodcat_index.index.changes import note_change, with_references
from prodcat_index.index.drift import measure_drift
from prodcat_index.index.leave_one_out import FEWEST_CARDS
from prodcat_index.index.manifest import Choices, DriftRecord
from prodcat_index.index.parts import IndexParts
from prodcat_index.index.search_weights import choose_search_weights
from prodcat_index.index.tune import tune
from prodcat_index.voting.tuning import Tuning

# A tuned index is tuned again where more of its cards came since; not measured.
MANY_UNTUNED = 0.2
DROPPED = "blocks are not those of before, so what was tuned or given is dropped (tune again)"


def refit(parts: IndexParts, *, tune_again: bool | None = None) -> tuple[IndexParts, list[Finding]]:
    """Fit again to all cards what is fitted to labels; the encoders stay as they are.

    Documented at :meth:`~prodcat_index.index.living.LivingIndex.refit`.
    """
    before, choices = with_references(parts), parts.choices
    fitted = fit_labels(
        before.catalogue,
        before.encoder_blocks,
        before.vote if choices.vote else None,
        choices.projection,
    )
    parts = replace(
        fitted,
        asked=before.asked,
        choices=choices,
        decided=before.decided,
        pending=note_change(before.pending, "refit", {}),
        opened=before.opened,
    )
    # Blocks that are fitted to labels come with the hundredth card, and go with it.
    is_same = parts.block_names == before.block_names
    untuned = 1 - before.drift.tuned_cards / len(before.catalogue) if before.drift else 0.0
    if tune_again is None:
        tune_again = before.tuning is not None and untuned > MANY_UNTUNED
    if before.tuning and is_same and not tune_again:
        parts = keep_tuning(parts, before, reweigh=True)
        if not choices.weights:
            parts = replace(parts, chosen_search_weights=choose_search_weights(parts))
    else:
        given = before.weights if choices.weights and is_same else None
        parts, untuned = settle(parts, given, has_vote=choices.vote), 0.0
    if tune_again:
        objective = before.tuning.objective if before.tuning else "weighted-f1"
        parts = with_tuning(parts, tune(parts, objective=objective))
    is_dropped = not is_same and (choices.weights or (before.tuning and not tune_again))
    findings = [Finding(DROPPED, tuple(parts.block_names))] if is_dropped else []
    return replace(parts, drift=_drift(parts, before, untuned)).indexed(is_fitted=True), findings


def fit_target(parts: IndexParts, column: str) -> IndexParts:
    """Fit to the values of a column, as they are now, what is else fitted to the categories.

    Documented at :meth:`~prodcat_index.index.living.LivingIndex.for_target`.
    """
    catalogue = with_target(parts.catalogue, column)
    if catalogue is parts.catalogue:
        return parts
    left_out = {*parts.catalogue.text_modalities} - {*catalogue.text_modalities}
    blocks = [b for b in with_references(parts).encoder_blocks if b.modality not in left_out]
    if not blocks:
        raise QueryError(
            f"Without {', '.join(sorted(left_out))}, this index has nothing to predict {column!r} "
            "from; build it with a title, a description or pictures."
        )
    projection = parts.choices.projection
    fitted = settle(fit_labels(catalogue, blocks, None, projection), None, has_vote=False)
    choices = Choices(projection, target=catalogue.columns.get("category") or column)
    return replace(fitted, choices=choices, asked=parts.asked).indexed(is_fitted=True)


def with_tuning(parts: IndexParts, tuning: Tuning) -> IndexParts:
    """Return parts with the weights, the vote and the calibration that tuning found."""
    drift = parts.drift
    return replace(
        parts.with_setting(tuning.after.setting),
        tuning=replace(tuning, calibration=None, tuned_on=""),
        calibration=tuning.calibration,
        drift=drift and replace(drift, tuned_cards=len(parts.catalogue)),
    )


def keep_tuning(parts: IndexParts, tuned: IndexParts, *, reweigh: bool = False) -> IndexParts:
    """Return parts with tuned weights and vote of others of the same blocks, calibrated anew.

    With `reweigh`, it is worked out again what the vote of each card counts.
    """
    if tuned.tuning is None or parts.block_names != tuned.block_names:
        own, others = (", ".join(each.block_names) for each in (parts, tuned))
        what = f"has other blocks ({others})" if tuned.tuning else "is not tuned"
        raise QueryError(f"The tuning cannot be kept: the other index {what}; this one has {own}.")
    parts = replace(parts.weighed(tuned.weights), vote=tuned.vote, tuning=tuned.tuning)
    if (parts.voter_codes >= 0).sum() < FEWEST_CARDS:
        return replace(parts, calibration=None)
    return calibrate(parts, choose=False, reweigh=reweigh)


def _drift(parts: IndexParts, before: IndexParts, untuned: float) -> DriftRecord | None:
    """Return what is left: cards that the encoders were not fitted on, and the tuning."""
    drift, count = before.drift, len(parts.catalogue)
    if drift is None:
        return None
    tuned = drift.tuned_cards if parts.tuning and untuned else count
    if drift.encoded == tuned == count:
        return None
    record = DriftRecord.without_change(count)
    return measure_drift(parts, replace(record, tuned_cards=tuned, encoded_cards=drift.encoded))
