"""From a catalogue to the parts of an index."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from prodcat_index.cards.card import Catalogue, modality_kind
from prodcat_index.encoders.registry import make_encoder, preset_spec
from prodcat_index.errors import CatalogueError, EncoderError
from prodcat_index.findings import Finding
from prodcat_index.index.block import Block, build_block, unusable_pictures
from prodcat_index.index.learned import ProjectionKind, learn
from prodcat_index.index.manifest import LEARNED
from prodcat_index.index.parts import IndexParts, Labels
from prodcat_index.voting.vote import VoteParameters

# A dozen cards fit any projection.
MIN_CARDS_TO_LEARN = 100
VOTE_OF_LEARNED = VoteParameters(temperature=0.02, head_exponent=0.75)

EncoderChoice = Mapping[str, str | Sequence[str]]


def build_parts(
    catalogue: Catalogue,
    encoders: EncoderChoice,
    preset: str,
    vote: VoteParameters | None,
    projection: ProjectionKind,
) -> tuple[IndexParts, list[Finding]]:
    """Embed a catalogue and index it."""
    if not any(catalogue.values("category")):
        raise CatalogueError(
            f"No card of {catalogue.source} has a category, so nothing can be learned from it; "
            "name the column with --category-column."
        )
    findings: list[Finding] = []
    blocks = [
        block
        for modality, specs in _chosen_specs(catalogue, encoders, preset).items()
        for block in _modality_blocks(catalogue, modality, specs, findings)
    ]
    if not blocks:
        raise CatalogueError(
            f"No card of {catalogue.source} has a readable picture or text that tells it from "
            "the others; check the columns and --image-root."
        )
    labels = Labels.from_catalogue(catalogue)
    is_learned = projection == "lda" and labels.labelled.sum() >= MIN_CARDS_TO_LEARN
    learned = learn(blocks, labels.codes) if is_learned else None
    chosen_vote = vote or (VOTE_OF_LEARNED if learned else VoteParameters())
    parts = IndexParts(catalogue, blocks, equal_weights(blocks), chosen_vote, learned=learned)
    return (parts.weighed({LEARNED: 1.0}) if learned else parts), findings


def _chosen_specs(
    catalogue: Catalogue, encoders: EncoderChoice, preset: str
) -> dict[str, list[str]]:
    unknown = sorted(set(encoders) - set(catalogue.modalities))
    if unknown:
        raise EncoderError(
            f"An encoder is given for {unknown[0]!r}, which no card has; "
            f"the modalities here are {', '.join(catalogue.modalities)}."
        )
    chosen = {}
    for modality in catalogue.modalities:
        given = encoders.get(modality, preset_spec(preset, modality_kind(modality)))
        chosen[modality] = [given] if isinstance(given, str) else list(dict.fromkeys(given))
    return chosen


def _modality_blocks(
    catalogue: Catalogue, modality: str, specs: Sequence[str], findings: list[Finding]
) -> list[Block]:
    """Return a block for each spec, if any card has it; add unreadable pictures to `findings`."""
    kind, blocks = modality_kind(modality), []
    for spec in specs:
        encoder = make_encoder(spec)
        if encoder.reads != kind:
            raise EncoderError(
                f"The encoder {spec} reads {encoder.reads}s and {modality} is a {kind}; "
                "give it another one."
            )
        name = modality if len(specs) == 1 else f"{modality}:{spec}"
        block, problems = build_block(name, modality, encoder, catalogue.values(modality))
        findings.extend(unusable_pictures(catalogue.ids, problems))
        if block.present.any():
            blocks.append(block)
    return blocks


def equal_weights(blocks: Sequence[Block]) -> dict[str, float]:
    """Weigh every modality the same, and share a modality's weight among its blocks."""
    modalities = [block.modality for block in blocks]
    share = 1.0 / len(set(modalities))
    return {block.name: share / modalities.count(block.modality) for block in blocks}
