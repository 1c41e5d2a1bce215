"""Character and word n-grams, weighted by rarity, folded into a few hundred dimensions.

Works in any language, needs no download, and is fitted on the catalogue itself: TF-IDF
(sublinear counts, smoothed idf; Salton and Buckley 1988) followed by latent semantic analysis
(Deerwester et al. 1990). Only fitting needs scikit-learn; a query needs numpy alone, so that
one look-up starts quickly.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from prodcat_index.encoders.base import Encoded, Encoder, distinct, rows_of, unit_rows
from prodcat_index.encoders.ngrams import ngrams
from prodcat_index.errors import EncoderError
from prodcat_index.files import open_array
from prodcat_index.progress import progress_bar
from prodcat_index.types import Float32Array, evenly_spaced

DEFAULT_DIM = 256
MAX_DIM = 4096
# Bounds on memory and time of fitting: the vocabulary, and the texts that it is learned from.
MAX_FEATURES = 300_000
MAX_FIT_TEXTS = 50_000
# Directions this weak, beside the strongest, are rounding noise.
RANK_TOLERANCE = 1e-5
SEED = 0
# To be raised with every change of `ngrams`: it is a part of the fingerprint.
ANALYZER_VERSION = "1"


class LexicalEncoder(Encoder):
    """TF-IDF over n-grams, reduced by a truncated SVD."""

    reads = "text"
    cached = False

    def __init__(self, dim: int = DEFAULT_DIM) -> None:
        self.spec = "lexical" if dim == DEFAULT_DIM else f"lexical:{dim}"
        self._dim = dim
        self._vocabulary: dict[str, int] = {}
        self._projection: Float32Array = np.zeros((0, 0), dtype=np.float32)

    @classmethod
    def from_spec(cls, argument: str) -> LexicalEncoder:
        """Make an encoder from ``""`` or the wanted dimension."""
        if not argument:
            return cls()
        if not re.fullmatch("[0-9]{1,4}", argument) or not 1 <= int(argument) <= MAX_DIM:
            raise EncoderError(
                f"The encoder lexical:{argument} has no such dimension; "
                f"write lexical:N with a whole number from 1 to {MAX_DIM}."
            )
        return cls(int(argument))

    @property
    def dim(self) -> int:
        """Length of a row."""
        return int(self._projection.shape[1])

    @property
    def fingerprint(self) -> str:
        """Hex digest of the analyzer's version and the fitted parts."""
        digest = hashlib.sha256(f"lexical {ANALYZER_VERSION}\n".encode())
        digest.update("\n".join(self._vocabulary).encode())
        digest.update(np.ascontiguousarray(self._projection).data)
        return digest.hexdigest()

    def fit(self, values: Sequence[str]) -> None:
        """Learn the vocabulary, the idf weights and the projection from texts."""
        from sklearn.decomposition import TruncatedSVD
        from sklearn.feature_extraction.text import TfidfVectorizer
        from threadpoolctl import threadpool_limits

        vectorizer = TfidfVectorizer(
            analyzer=ngrams, sublinear_tf=True, max_features=MAX_FEATURES, dtype=np.float32
        )
        texts = sorted(distinct(values))
        sample = [texts[row] for row in evenly_spaced(len(texts), MAX_FIT_TEXTS)]
        try:
            counts = vectorizer.fit_transform(sample)
        except ValueError as error:
            raise EncoderError(
                "The lexical encoder found no word in these texts; "
                "leave this modality out or give it texts."
            ) from error
        dim = min(self._dim, *counts.shape)
        # Several threads sum in another order; and texts that are all alike have no variance to
        # explain, which is no reason to warn.
        with threadpool_limits(limits=1), np.errstate(invalid="ignore"):
            svd = TruncatedSVD(dim, n_iter=4, random_state=SEED).fit(counts)
        order = vectorizer.get_feature_names_out()
        self._vocabulary = {str(ngram): row for row, ngram in enumerate(order)}
        held = svd.singular_values_ > RANK_TOLERANCE * svd.singular_values_[0]
        self._projection = np.ascontiguousarray(
            svd.components_[held].T * vectorizer.idf_[:, None], dtype=np.float32
        )

    def encode(self, values: Sequence[str], *, label: str = "") -> Encoded:
        """Embed texts; equal texts are embedded once."""
        texts = distinct(values)
        rows = np.zeros((len(texts), self.dim), dtype=np.float32)
        with progress_bar(len(texts), label, "text") as bar:
            for row, text in enumerate(texts):
                rows[row] = self._project(text)
                bar.update()
        return Encoded(rows_of(values, texts, unit_rows(rows)))

    def _project(self, text: str) -> Float32Array:
        counts = Counter(self._vocabulary[n] for n in ngrams(text) if n in self._vocabulary)
        features = sorted(counts)
        weights = 1.0 + np.log(np.array([counts[f] for f in features], dtype=np.float32))
        return np.einsum("f,fd->d", weights, self._projection[features])

    def save(self, folder: Path) -> None:
        """Write the vocabulary (JSON) and the projection (npy)."""
        (folder / "vocabulary.json").write_text(
            json.dumps(list(self._vocabulary), ensure_ascii=False), encoding="utf-8"
        )
        np.save(folder / "projection.npy", self._projection, allow_pickle=False)

    @classmethod
    def restore(cls, argument: str, folder: Path) -> LexicalEncoder:
        """Make the encoder from what :meth:`save` wrote; the projection stays on disk."""
        encoder = cls.from_spec(argument)
        try:
            names = json.loads((folder / "vocabulary.json").read_text(encoding="utf-8"))
            if not isinstance(names, list):
                raise ValueError("the vocabulary is not a JSON list")
            shape = (len(names), None)
            encoder._projection = open_array(folder / "projection.npy", "float32", shape)
        except (OSError, ValueError, RecursionError) as error:
            raise EncoderError(
                f"The fitted parts of the lexical encoder in {folder} cannot be read ({error}); "
                "build the index again."
            ) from error
        encoder._vocabulary = {str(name): row for row, name in enumerate(names)}
        return encoder
