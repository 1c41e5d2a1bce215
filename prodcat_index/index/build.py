"""From a catalogue to the parts of an index."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from prodcat_index.cards.card import Catalogue, modality_kind
from prodcat_index.encoders.registry import make_encoder, preset_spec
from prodcat_index.errors import CatalogueError, EncoderError
from prodcat_index.findings import Finding
from prodcat_index.index.block import Block, Problems, build_block, unusable_pictures
from prodcat_index.index.learned import ProjectionKind, learn
from prodcat_index.index.manifest import LEARNED
from prodcat_index.index.parts import IndexParts, Labels
from prodcat_index.voting.vote import VoteParameters

# A dozen cards fit any projection.
FEWEST_LEARNED_FROM = 100
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
    chosen = _chosen_specs(catalogue, encoders, preset)
    blocks = [
        block
        for modality, specs in chosen.items()
        for block in _modality_blocks(catalogue, modality, specs, findings)
    ]
    if not blocks:
        raise CatalogueError(
            f"No card of {catalogue.source} has a readable picture or text that tells it from "
            "the others; check the columns and --image-root."
        )
    labels = Labels.of(catalogue)
    is_learned = projection == "lda" and labels.labelled.sum() >= FEWEST_LEARNED_FROM
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
        given = encoders.get(modality, preset_spec(preset, _reads(modality)))
        chosen[modality] = [given] if isinstance(given, str) else list(dict.fromkeys(given))
    return chosen


def _reads(modality: str) -> str:
    return modality_kind(modality)


def _modality_blocks(
    catalogue: Catalogue, modality: str, specs: Sequence[str], findings: list[Finding]
) -> list[Block]:
    values, ids = catalogue.values(modality), catalogue.ids

    def note(problems: Problems) -> None:
        findings.extend(unusable_pictures(ids, problems))

    blocks = []
    for spec in specs:
        encoder = make_encoder(spec)
        if encoder.reads != _reads(modality):
            raise EncoderError(
                f"The encoder {spec} reads {encoder.reads}s and {modality} is a "
                f"{_reads(modality)}; give it another one."
            )
        name = modality if len(specs) == 1 else f"{modality}:{spec}"
        block = build_block(name, modality, encoder, values, note)
        if block.present.any():
            blocks.append(block)
    return blocks


def equal_weights(blocks: Sequence[Block]) -> dict[str, float]:
    """Weigh every modality the same, and share a modality's weight among its blocks."""
    modalities = [block.modality for block in blocks]
    share = 1.0 / len(set(modalities))
    return {block.name: share / modalities.count(block.modality) for block in blocks}
