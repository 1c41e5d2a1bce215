"""Character and word n-grams, weighted by rarity, folded into a few hundred dimensions.

Works in any language, needs no download, and is fitted on the catalogue itself: TF-IDF
(sublinear counts, smoothed idf; Salton and Buckley 1988), of which a row holds two images of equal
length. The first is latent semantic analysis (Deerwester et al. 1990): what texts are about. The
second is feature hashing (Weinberger et al. 2009), which keeps the cosines of TF-IDF but for some
noise: which words they have. Only fitting needs scikit-learn; a query needs numpy alone, so that
one look-up starts quickly.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from prodcat_index.encoders.base import Encoded, Encoder, FittedPart, distinct, rows_of, unit_rows
from prodcat_index.encoders.ngrams import chosen_ngrams, count_ngrams, ngrams
from prodcat_index.errors import EncoderError, NoWordError, one_line
from prodcat_index.files import Contents, open_array, read_json
from prodcat_index.progress import progress_bar
from prodcat_index.types import Float32Array, Float64Array

if TYPE_CHECKING:
    from threadpoolctl import ThreadpoolController

DEFAULT_DIM = 256
# Columns that n-grams are hashed into. Why so: docs/decisions/encoders.md.
HASHED = 128
MAX_DIM = 4096
# Bounds on memory and time of fitting: the vocabulary, and the texts that it is learned from.
MAX_FEATURES = 300_000
MAX_FIT_TEXTS = 50_000
# Of no more n-grams all are kept. Of more, those of one text take more room than they are worth.
SMALL_VOCABULARY = 50_000
# Directions this weak, beside the strongest, are rounding noise.
RANK_TOLERANCE = 1e-5
SEED = 0
# Rows of the projection that the n-grams of a text read, or somewhat fewer.
ROWS_A_TEXT = 64
# Every row of the projection depends on all texts. To read more than these would cost a look-up
# more memory than the look-up itself; damage is found by the digests of the files.
FINGERPRINT_ROWS = 1024
# To be raised with every change of `ngrams` or of the rows: it is a part of the fingerprint.
# 1: latent semantic analysis alone, in float32.
ANALYZER_VERSION, FIRST_VERSION = "2", "1"


@cache
def _thread_pools() -> ThreadpoolController:
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()  # It looks through all libraries of the process.


class LexicalEncoder(Encoder):
    """TF-IDF over n-grams, reduced by a truncated SVD and by hashing."""

    reads = "text"
    cached = False

    def __init__(self, dim: int = DEFAULT_DIM) -> None:
        self.spec = "lexical" if dim == DEFAULT_DIM else f"lexical:{dim}"
        self._dim = dim
        self._hashed = HASHED  # 0 in encoders of the first version
        self._vocabulary: dict[str, int] = {}
        self._projection: npt.NDArray[np.floating] = np.zeros((0, 0), dtype=np.float16)
        # Of each n-gram: the column that it is added to, and by what weight, of either sign.
        self._columns = np.zeros(0, dtype=np.int16)
        self._weights = np.zeros(0, dtype=np.float32)

    @classmethod
    def from_spec(cls, argument: str) -> LexicalEncoder:
        """Make an encoder from ``""`` or the wanted dimension of the projection."""
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
        return self.projected_dim + self._hashed

    @property
    def projected_dim(self) -> int:
        """Number of columns without the hashed ones, which are noise to what is learned."""
        return int(self._projection.shape[1])

    @property
    def fingerprint(self) -> str:
        """Hex digest of the analyzer's version and the fitted parts."""
        version = ANALYZER_VERSION if self._hashed else FIRST_VERSION
        digest = hashlib.sha256(f"lexical {version}\n".encode())
        digest.update("\n".join(self._vocabulary).encode())
        rows = self._projection[: FINGERPRINT_ROWS if self._hashed else None]
        for array in (rows, self._columns, self._weights):
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()

    def fit(self, values: Sequence[str]) -> None:
        """Learn the vocabulary, the idf weights and the projection from texts."""
        from sklearn.decomposition import TruncatedSVD
        from sklearn.feature_extraction.text import TfidfTransformer

        try:
            names, counts = count_ngrams(values, MAX_FIT_TEXTS, dtype=np.float32)
        except ValueError as error:
            raise NoWordError(
                "The lexical encoder found no word in these texts; "
                "leave this modality out or give it texts."
            ) from error
        kept = np.arange(len(names))
        if len(names) > SMALL_VOCABULARY:
            kept = chosen_ngrams(names, np.bincount(counts.indices), MAX_FEATURES)
        tfidf = TfidfTransformer(sublinear_tf=True)
        rows = tfidf.fit_transform(counts[:, kept])
        # Several threads sum in another order; and texts that are all alike have no variance to
        # explain, which is no reason to warn.
        with _thread_pools().limit(limits=1), np.errstate(invalid="ignore"):
            svd = TruncatedSVD(min(self._dim, *rows.shape), n_iter=4, random_state=SEED)
            svd.fit(rows)
        held = svd.singular_values_ > RANK_TOLERANCE * svd.singular_values_[0]
        self._vocabulary = {str(ngram): row for row, ngram in enumerate(names[kept])}
        projection = svd.components_[held].T * tfidf.idf_[:, None]
        self._projection = np.ascontiguousarray(projection, dtype=np.float16)
        # By chance: n-grams of one word stand side by side, and must not share a column.
        rng = np.random.default_rng(SEED)
        self._columns = rng.integers(0, self._hashed, len(kept), dtype=np.int16)
        self._weights = (tfidf.idf_ * rng.choice([-1.0, 1.0], len(kept))).astype(np.float32)

    def encode(self, values: Sequence[str], *, label: str = "") -> Encoded:
        """Embed texts; equal texts are embedded once."""
        texts = distinct(values)
        table = self._projection
        if len(texts) >= len(table) / ROWS_A_TEXT:
            # Rows are read over and over: to widen them once takes less time than each time.
            table = table.astype(np.float32)
        projected = np.zeros((len(texts), self.projected_dim), dtype=np.float32)
        hashed = np.zeros((len(texts), self._hashed), dtype=np.float32)
        with progress_bar(len(texts), label, "text") as bar:
            for row, text in enumerate(texts):
                projected[row], hashed[row] = self._halves(text, table)
                bar.update()
        rows = np.concatenate([unit_rows(projected), unit_rows(hashed)], axis=1)
        return Encoded(rows_of(values, texts, unit_rows(rows)))

    def _halves(
        self, text: str, table: npt.NDArray[np.floating]
    ) -> tuple[Float32Array, Float64Array]:
        counts = Counter(map(self._vocabulary.get, ngrams(text)))
        features = sorted(feature for feature in counts if feature is not None)
        weights = 1.0 + np.log(np.array([counts[f] for f in features], dtype=np.float32))
        projection = table[features].astype(np.float32, copy=False)
        projected = np.einsum("f,fd->d", weights, projection)
        if not self._hashed:
            return projected, np.zeros(0)
        added = weights * self._weights[features]
        hashed = np.bincount(self._columns[features], added, minlength=self._hashed)
        return projected, hashed.astype(np.float64)

    def fitted_parts(self) -> Mapping[str, FittedPart]:
        """Return the vocabulary, the projection and what is hashed."""
        parts: dict[str, FittedPart] = {
            "vocabulary.json": list(self._vocabulary),
            "projection.npy": self._projection,
        }
        if self._hashed:
            parts |= {"columns.npy": self._columns, "weights.npy": self._weights}
        return parts

    @classmethod
    def restore(cls, argument: str, stored: Contents) -> LexicalEncoder:
        """Make the encoder from its stored parts; the projection stays on disk."""
        encoder = cls.from_spec(argument)
        try:
            names = read_json(stored["vocabulary.json"])
            if not isinstance(names, list):
                raise ValueError("the vocabulary is not a JSON list")
            encoder._restore_arrays(stored, len(names))
        except (ValueError, RecursionError) as error:
            raise EncoderError(
                f"The fitted parts of the lexical encoder cannot be read ({one_line(error)}); "
                "build the index again."
            ) from error
        encoder._vocabulary = {str(name): row for row, name in enumerate(names)}
        return encoder

    def _restore_arrays(self, stored: Contents, n: int) -> None:
        if "columns.npy" not in stored:  # of the first version
            self._hashed = 0
            self._projection = open_array(stored["projection.npy"], "float32", (n, None))
            return
        self._projection = open_array(stored["projection.npy"], "float16", (n, None))
        self._columns = open_array(stored["columns.npy"], "int16", (n,))
        self._weights = open_array(stored["weights.npy"], "float32", (n,))
        if n and not 0 <= self._columns.min() <= self._columns.max() < self._hashed:
            raise ValueError("an n-gram is hashed into no column")
