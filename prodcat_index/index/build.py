"""From a catalogue to the parts of an index."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import get_args

import numpy as np

from prodcat_index.cards.card import Catalogue, ModalityKind, modality_kind
from prodcat_index.cards.duplicates import unused_group_column
from prodcat_index.cards.roles import no_category
from prodcat_index.encoders.base import GivenVectors
from prodcat_index.encoders.registry import make_encoder, preset_spec
from prodcat_index.errors import (
    CatalogueError,
    EncoderError,
    NoWordError,
    QueryError,
    check_named,
    check_type,
    did_you_mean,
)
from prodcat_index.findings import Finding, list_findings
from prodcat_index.index.block import (
    Block,
    EncoderSlot,
    Values,
    build_block,
    unusable_pictures,
    with_digests,
)
from prodcat_index.index.calibrate import calibrate
from prodcat_index.index.learned import MIN_CARDS_TO_LEARN, ProjectionKind, learn
from prodcat_index.index.leave_one_out import leave_out_groups
from prodcat_index.index.manifest import LEARNED, SCORES
from prodcat_index.index.parts import NOT_EMBEDDED, IndexParts, Labels, equal_weights
from prodcat_index.index.search_weights import choose_search_weights
from prodcat_index.learning.text_scores import TextScoresEncoder
from prodcat_index.types import BoolArray
from prodcat_index.voting.vote import VoteParameters

# Why these weights and votes: docs/decisions/learning.md.
VOTE_OF_LEARNED = VoteParameters(temperature=0.02, head_exponent=0.75)
VOTE_OF_SCORES = VoteParameters(temperature=0.05, head_exponent=1.0)
WEIGHTS_OF_SCORES = {LEARNED: 0.7, SCORES: 0.3}

EncoderChoice = Mapping[str, str | Sequence[str]]


def build_parts(
    catalogue: Catalogue,
    encoders: EncoderChoice,
    preset: str,
    vote: VoteParameters | None,
    projection: ProjectionKind,
) -> tuple[IndexParts, list[Finding]]:
    """Embed a catalogue and index it."""
    kinds = get_args(ProjectionKind)
    if projection not in kinds:
        raise QueryError(f"The projection is one of {', '.join(kinds)}; it is {projection!r}.")
    if not any(catalogue.values("category")):
        raise no_category(catalogue, "nothing can be learned from it")
    for name in (LEARNED, SCORES):
        if name in catalogue.modalities:
            raise CatalogueError(
                f"A modality is called {name}, as a block that is fitted to the labels is; "
                "rename it."
            )
    findings = [*unused_group_column(catalogue)]
    blocks = [
        block
        for modality, specs in chosen_specs(catalogue, encoders, preset).items()
        for block in _modality_blocks(catalogue, modality, specs, findings)
    ]
    if not blocks:
        raise CatalogueError(
            f"No card of {catalogue.source} has a readable picture or text that tells it from "
            "the others; check the columns and --image-root."
        )
    # The blocks hold the vectors.
    catalogue = replace(catalogue, vectors={})
    if any(block.kind == "picture" for block in blocks):
        catalogue = with_digests(catalogue)
    parts = fit_labels(catalogue, blocks, vote, projection)
    findings += list_findings({NOT_EMBEDDED: ~parts.found}, catalogue.ids)
    return parts, findings


def fit_labels(
    catalogue: Catalogue,
    blocks: Sequence[Block],
    vote: VoteParameters | None,
    projection: ProjectionKind,
) -> IndexParts:
    """Fit what is learned from the labels to embedded cards, and put all together."""
    labels = Labels.from_catalogue(catalogue)
    teaching = labels.labelled & np.any([block.present for block in blocks], axis=0)
    is_learned = projection == "lda" and teaching.sum() >= MIN_CARDS_TO_LEARN
    learned = learn(blocks, labels.codes, labels.names) if is_learned else None
    scores = _scores_block(catalogue) if learned else None
    usual, weights = VoteParameters(), equal_weights(blocks)
    if learned:
        usual, weights = VOTE_OF_LEARNED, {LEARNED: 1.0}
    if scores:
        usual, weights, blocks = VOTE_OF_SCORES, WEIGHTS_OF_SCORES, [*blocks, scores]
    return IndexParts(catalogue, blocks, {}, vote or usual, learned=learned).weighed(weights)


def settle(parts: IndexParts, weights: Mapping[str, float] | None, *, has_vote: bool) -> IndexParts:
    """Choose the weights and the vote that are not given, and calibrate the confidence."""
    if weights is not None:
        vector = parts.weight_vector(weights)
        parts = parts.weighed(dict(zip(parts.block_names, vector.tolist(), strict=True)))
    if parts.learned:
        parts = calibrate(parts, choose=weights is None and not has_vote)
    if weights is None:
        parts = replace(parts, chosen_search_weights=choose_search_weights(parts))
    return parts


def _left_out(catalogue: Catalogue, modality: str) -> tuple[Finding, ...]:
    what = f"cards have a {modality} that tells none from the others (left out)"
    return list_findings({what: catalogue.has(modality)}, catalogue.ids)


def _scores_block(catalogue: Catalogue) -> Block | None:
    """Return the out-of-fold text scores of all cards as a block; None where texts tell nothing."""
    texts = {name: catalogue.values(name) for name in catalogue.text_modalities}
    groups = leave_out_groups(catalogue)
    fitted = TextScoresEncoder.fitted(texts, catalogue.values("category"), groups)
    if fitted is None:
        return None
    encoder, rows = fitted
    slot = EncoderSlot(encoder.spec, encoder.fingerprint, encoder=encoder)
    present: BoolArray = np.any(rows > 0, axis=1)
    # Not centred: a row holds the probabilities, which the vote reads as well.
    mean = np.zeros(encoder.dim, dtype=np.float32)
    return Block(SCORES, SCORES, slot, rows.astype(np.float16), present, mean).referenced()


def check_encoders(encoders: EncoderChoice) -> None:
    """Raise TypeError unless encoders are given as specs by modality."""
    check_named("Encoders", encoders, "{'title': 'lexical:128'}")
    for modality, given in encoders.items():
        what = f"The encoder of {modality} is a text or several, such as 'lexical:128'"
        check_type(given, (str, Sequence), what)
        for spec in given:
            check_type(spec, str, what)


def chosen_specs(
    catalogue: Catalogue, encoders: EncoderChoice, preset: str
) -> dict[str, list[str]]:
    """Return the specs of the encoders of each modality of a catalogue."""
    check_encoders(encoders)
    unknown = sorted(set(encoders) - set(catalogue.modalities))
    if unknown:
        raise EncoderError(
            f"An encoder is given for {unknown[0]!r}, which no card has; "
            f"the modalities here are {', '.join(catalogue.modalities)}."
            f"{did_you_mean(unknown[0], catalogue.modalities)}"
        )
    chosen = {}
    for modality in catalogue.modalities:
        if modality in catalogue.vectors and modality in encoders:
            raise EncoderError(
                f"Both an encoder and vectors are given for {modality}; leave out one of them."
            )
        if modality in catalogue.vectors:
            given: str | Sequence[str] = (
                f"{GivenVectors.scheme}:{catalogue.vectors[modality].shape[1]}"
            )
        else:
            given = encoders.get(modality, preset_spec(preset, modality_kind(modality)))
        chosen[modality] = [given] if isinstance(given, str) else list(dict.fromkeys(given))
    return chosen


def possible_blocks(catalogue: Catalogue, encoders: EncoderChoice, preset: str) -> list[str]:
    """Return the names of the blocks that an index of the catalogue has at most."""
    chosen = chosen_specs(catalogue, encoders, preset)
    own = [
        _block_name(modality, spec, specs) for modality, specs in chosen.items() for spec in specs
    ]
    return [*own, SCORES, LEARNED]


def _block_name(modality: str, spec: str, specs: Sequence[str]) -> str:
    return modality if len(specs) == 1 else f"{modality}:{spec}"


def _modality_blocks(
    catalogue: Catalogue, modality: str, specs: Sequence[str], findings: list[Finding]
) -> list[Block]:
    """Return a block for each spec, if any card has it; add unreadable pictures to `findings`."""
    values: Values = catalogue.vectors.get(modality, ())
    kind: ModalityKind = "vector"
    if modality not in catalogue.vectors:
        kind, values = modality_kind(modality), catalogue.values(modality)
    blocks = []
    for spec in specs:
        encoder = make_encoder(spec)
        if encoder.reads != kind:
            raise EncoderError(
                f"The encoder {spec} reads {encoder.reads}s and {modality} is a {kind}; "
                "give it another one."
            )
        name = _block_name(modality, spec, specs)
        try:
            block, problems = build_block(name, modality, encoder, values)
        except NoWordError:
            findings.extend(_left_out(catalogue, modality))
            continue
        findings.extend(unusable_pictures(catalogue.ids, problems))
        if block.present.any():
            blocks.append(block)
        elif not problems:
            findings.extend(_left_out(catalogue, modality))
    return blocks
