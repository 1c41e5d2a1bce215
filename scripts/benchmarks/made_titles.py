"""Folders of Parquet files with made-up titles, of any number of cards."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from prodcat_index.types import chunks

ROWS_IN_FILE = 250_000
# Of a shop of some size: categories, words that all of them use, and words that each has.
CATEGORIES, WORDS, OWN_WORDS = 300, 30_000, 40
LETTERS = np.array(list("aeiouklmnprstvz"))
SHORTEST, LONGEST = 4, 9
# Of the words of a title, so many are of its category; of the cards, so many have none.
OWN_SHARE, UNLABELLED_SHARE = 0.4, 0.03


def draw_titles(folder: Path, count: int, seed: int = 0) -> None:
    """Write cards with an id, a title, a category, a brand and a price."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    words = np.array(["".join(rng.choice(LETTERS, rng.integers(3, 9))) for _ in range(WORDS)])
    # Of a few words many titles have one, as Zipf's law has it.
    often = 1 / np.arange(1, WORDS + 1)
    own = rng.integers(0, WORDS, (CATEGORIES, OWN_WORDS))
    names = np.array([f"shelf {n // 20} > part {n}" for n in range(CATEGORIES)])
    popular = 1 / np.arange(1, CATEGORIES + 1) ** 0.7
    for number, part in enumerate(chunks(count, ROWS_IN_FILE)):
        size = part.stop - part.start
        drawn = np.random.default_rng([seed, number])
        codes = drawn.choice(CATEGORIES, size, p=popular / popular.sum())
        common = drawn.choice(WORDS, (size, LONGEST), p=often / often.sum())
        special = own[codes[:, None], drawn.integers(0, OWN_WORDS, (size, LONGEST))]
        chosen = words[np.where(drawn.random((size, LONGEST)) < OWN_SHARE, special, common)]
        lengths = drawn.integers(SHORTEST, LONGEST + 1, size)
        titles = [" ".join(row[:n]) for row, n in zip(chosen.tolist(), lengths, strict=True)]
        labels = np.where(drawn.random(size) < UNLABELLED_SHARE, "", names[codes])
        table = pa.table(
            {
                "id": [f"card-{n:09d}" for n in range(part.start, part.stop)],
                "title": titles,
                "category": labels.tolist(),
                "brand": words[drawn.integers(0, 500, size)].tolist(),
                "price": drawn.integers(1, 100_000, size) / 100,
            }
        )
        pq.write_table(table, folder / f"part-{number:04d}.parquet")
