"""The command ``match``: which cards of two catalogues are the same product."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from prodcat_index.cli import options
from prodcat_index.cli.output import emit, note, tell, write_frame
from prodcat_index.cli.values import option, output_option, share_option
from prodcat_index.findings import counted

# Pairs of a table on a terminal.
SHOWN = 20


def match(
    left: Annotated[
        Path, typer.Argument(metavar="A", help="File of cards, as CATALOGUE elsewhere.")
    ],
    right: Annotated[Path, typer.Argument(metavar="B", help="File of the other cards.")],
    pairs: Annotated[
        Path | None,
        option(
            "Labelled pairs to learn from, with the columns left_id, right_id and label "
            "(1 for the same product, 0 for another)."
        ),
    ] = None,
    k: Annotated[int, option("Nearest cards that each is compared with.", "--k", "-k", min=1)] = 20,
    one_to_one: Annotated[bool, option("Give each card at most one partner.")] = False,
    threshold: Annotated[
        float | None,
        share_option("Smallest probability of a pair; by default that of the largest expected F1."),
    ] = None,
    output: Annotated[
        Path | None,
        output_option("Write the pairs into this file.", ".csv", ".jsonl", ".xlsx", ".parquet"),
    ] = None,
    form: options.FormatOption = "table",
    *,
    columns: options.Columns,
) -> None:
    """Link the cards of two catalogues.

    Cards are linked that are the same product.
    Columns that are named are those of both files.
    """
    import numpy as np

    from prodcat_index.audit.matching import match as find_matches
    from prodcat_index.audit.offer_similarity import compared_columns
    from prodcat_index.cards.catalogue import UNLABELLED
    from prodcat_index.types import DIGITS

    ignored = (UNLABELLED,)
    catalogues = [
        options.read_cards(path, columns, ignored=ignored, compared=compared_columns)
        for path in (left, right)
    ]
    found = find_matches(*catalogues, pairs=pairs, k=k, one_to_one=one_to_one, threshold=threshold)
    note(found.notes)
    tell(
        f"{counted(len(found), 'pairs')} of a probability of {found.threshold:.4g} or more, among "
        f"{found.compared:,} candidates"
    )
    if several := int((np.unique(found.pairs[:, 0], return_counts=True)[1] > 1).sum()):
        note([f"{counted(several, 'cards have')} several partners; --one-to-one gives each one"])
    frame = found.to_frame().round({"probability": DIGITS})
    records = frame.to_dict("records")
    if output is None:
        shown = records[:SHOWN] if form == "table" else records
        emit(shown, form)
        if len(shown) < len(records):
            note([f"{len(records) - len(shown):,} more pairs; -o FILE writes all"])
        return
    write_frame(output, frame)
    tell(f"Wrote {output}: {counted(len(found), 'pairs')}.")
