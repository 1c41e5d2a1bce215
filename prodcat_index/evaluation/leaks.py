"""Test cards that an encoder was trained on, whatever their ids are now."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import compress

from prodcat_index.cards.card import IMAGE, Catalogue
from prodcat_index.encoders.base import Reads
from prodcat_index.encoders.embedding import content_digests
from prodcat_index.encoders.finetuned import seen_by
from prodcat_index.errors import CatalogueError
from prodcat_index.findings import Finding, name_first
from prodcat_index.index.building import EncoderChoice


def find_trained_on(test: Catalogue, encoders: EncoderChoice) -> list[Finding]:
    """Find cards with a value that a fine-tuned encoder was trained or stopped on.

    Parameters
    ----------
    test
        Cards that are to be judged.
    encoders
        Modality -> spec, or several.

    Raises
    ------
    EncoderError
        If the list of what an encoder has seen is damaged.
    """
    return list(_search(test, encoders))


def _search(test: Catalogue, encoders: EncoderChoice) -> Iterator[Finding]:
    for modality, specs in encoders.items():
        for spec in [specs] if isinstance(specs, str) else specs:
            seen = seen_by(spec)
            if seen:
                reads: Reads = "picture" if modality == IMAGE else "text"
                digests = content_digests(reads, test.values(modality))
                cards = tuple(compress(test.ids, [digest in seen for digest in digests]))
                if cards:
                    what = f"cards have a value of {modality} that {spec} was trained or stopped on"
                    yield Finding(what, cards)


def refuse_trained_on(findings: list[Finding], count: int) -> None:
    """Refuse to judge on cards that were found.

    Parameters
    ----------
    findings
        From :func:`find_trained_on`.
    count
        Number of test cards.

    Raises
    ------
    CatalogueError
        If there are any.
    """
    if findings:
        first = findings[0]
        raise CatalogueError(
            f"{first.count} of the {count} test {first.what} ({name_first(first.ids)}), so its "
            "score would be too good; judge on the split.csv in its folder with --split, or say "
            "--allow-trained-on to have the score nonetheless."
        )
