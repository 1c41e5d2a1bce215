"""Languages of the texts of a catalogue."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from prodcat_index.cards.card import Catalogue
from prodcat_index.progress import progress_bar
from prodcat_index.types import Float32Array, Float64Array, evenly_spaced

MODEL = "data/model.npz.xz"
# More texts, or more of each, change the shares by less than they can be trusted.
MOST_TEXTS = 20_000
READ = 500
FEWEST_LETTERS = 3

# Probability from which a text counts for a language.
SURE = 0.5
# The estimate of the mixture ends when no frequency changes by more than this, or here.
SETTLED, ROUNDS = 1e-4, 100


@dataclass(frozen=True)
class Languages:
    """Languages of the texts of a column, by their ISO 639 codes."""

    texts: int
    read: int  # a sample of these
    counts: dict[str, int] = field(repr=False)  # of those read; the most frequent first
    shares: dict[str, float]
    undetermined: float  # share of those read

    @property
    def with_undetermined(self) -> dict[str, int]:
        """Numbers of texts read by language, those of an undetermined one last."""
        return {**self.counts, "undetermined": self.read - sum(self.counts.values())}


def detect_languages(catalogue: Catalogue) -> dict[str, Languages]:
    """Detect the languages of every text column."""
    texts = {name: list(filter(None, catalogue.values(name))) for name in catalogue.text_modalities}
    read = {
        name: [values[row] for row in evenly_spaced(len(values), MOST_TEXTS, endpoint=False)]
        for name, values in texts.items()
    }
    # All columns at once: the mixture is that of the catalogue.
    codes = iter(_detect([text for values in read.values() for text in values]))
    languages = {}
    for name, values in read.items():
        counts = Counter(next(codes) for _ in values)
        undetermined = counts.pop("", 0) / max(len(values), 1)
        shares = {code: count / len(values) for code, count in counts.most_common()}
        languages[name] = Languages(
            len(texts[name]), len(values), dict(counts.most_common()), shares, undetermined
        )
    return languages


def _detect(texts: Sequence[str]) -> list[str]:
    """Return the language of each text, empty where it is undetermined."""
    from py3langid.langid import LanguageIdentifier

    codes = [""] * len(texts)
    letters = [sum(letter.isalpha() for letter in text[:READ]) for text in texts]
    rows = [row for row, count in enumerate(letters) if count >= FEWEST_LETTERS]
    if not rows:
        return codes
    identifier = LanguageIdentifier.from_model_file(MODEL, norm_probs=True)
    likelihoods = np.zeros((len(rows), len(identifier.labels)), dtype=np.float32)
    with progress_bar(len(rows), "languages", "text") as bar:
        for place, row in enumerate(rows):
            ranked = dict(identifier.rank(texts[row][:READ]))
            likelihoods[place] = [ranked[label] for label in identifier.labels]
            bar.update()
    for row, probabilities in zip(rows, adapt_to_mixture(likelihoods), strict=True):
        best = int(probabilities.argmax())
        codes[row] = identifier.labels[best] if probabilities[best] >= SURE else ""
    return codes


def adapt_to_mixture(likelihoods: Float32Array) -> Float64Array:
    """Weigh each row of likelihoods, shape (texts, classes), by the frequencies of the classes.

    One by one, a title such as "Кран шаровой" is as good Bulgarian as Russian; the frequencies,
    estimated by expectation and maximisation, decide.
    """
    frequencies = np.full(likelihoods.shape[1], 1 / likelihoods.shape[1])
    for _ in range(ROUNDS):
        weighed = likelihoods * frequencies
        weighed /= weighed.sum(axis=1, keepdims=True)
        before, frequencies = frequencies, weighed.mean(axis=0)
        if np.abs(frequencies - before).max() < SETTLED:
            break
    return weighed
