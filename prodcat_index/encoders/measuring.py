"""How many cards a second an encoder embeds here, on cards that are made up for it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from prodcat_index.encoders.base import Encoder
from prodcat_index.encoders.registry import make_encoder

TEXTS, PICTURES = 512, 64
WARM_UP = 8
SIDE = 512
WORDS = 12
SEED = 0


def measure(spec: str) -> tuple[Encoder, float]:
    """Load an encoder and time it, loading left out.

    Texts have 1 to 24 words, pictures 512 pixels a side; no two are alike.

    Parameters
    ----------
    spec
        Name of the encoder.

    Returns
    -------
    tuple
        The encoder, and how many cards it embeds a second.

    Raises
    ------
    EncoderError
        If it cannot be had.
    """
    encoder = make_encoder(spec)
    with TemporaryDirectory() as folder:
        values = _pictures(Path(folder)) if encoder.reads == "picture" else _texts()
        encoder.fit(values)
        encoder.encode(values[:WARM_UP])
        started = time.perf_counter()
        encoder.encode(values[WARM_UP:])
        return encoder, (len(values) - WARM_UP) / (time.perf_counter() - started)


def _texts() -> Sequence[str]:
    import numpy as np

    rng = np.random.default_rng(SEED)
    letters = np.array(list("aeioubcdklmnprst"))
    words = ["".join(rng.choice(letters, rng.integers(3, 10))) for _ in range(2000)]
    sizes = rng.integers(1, 2 * WORDS + 1, TEXTS)
    return [f"{' '.join(rng.choice(words, size))} {n}" for n, size in enumerate(sizes)]


def _pictures(folder: Path) -> Sequence[str]:
    import numpy as np
    from PIL import Image

    rng = np.random.default_rng(SEED)
    paths = [str(folder / f"{n}.jpg") for n in range(PICTURES)]
    for path in paths:
        coarse = Image.fromarray(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8))
        coarse.resize((SIDE, SIDE)).save(path)
    return paths
