"""Which languages the texts of a catalogue are in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from prodcat_index.cards.card import Catalogue
from prodcat_index.progress import progress_bar
from prodcat_index.types import evenly_spaced

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier


MODEL = "data/model.npz.xz"
# More texts, or more of each, change the shares by less than they can be trusted.
MOST_TEXTS = 20_000
READ = 500
FEWEST_LETTERS = 3

SURE = 0.5
ROUNDS = 100
SETTLED = 1e-4


@dataclass(frozen=True)
class Languages:
    """Languages of one text column."""

    name: str
    texts: int
    read: int
    counts: dict[str, int]
    undetermined: int

    def as_dict(self) -> dict[str, Any]:
        """Return the shares of the languages among the texts that were looked at."""
        return {
            "texts": self.texts,
            "read": self.read,
            "shares": {code: count / self.read for code, count in self.counts.items()},
            "undetermined": self.undetermined / self.read if self.read else 0.0,
        }


def detect_languages(catalogue: Catalogue) -> tuple[Languages, ...]:
    """Tell the languages of every text column."""
    texts = {name: list(filter(None, catalogue.values(name))) for name in catalogue.text_modalities}
    read = {
        name: [values[row] for row in evenly_spaced(len(values), MOST_TEXTS, endpoint=False)]
        for name, values in texts.items()
    }
    codes = iter(_tell([text for values in read.values() for text in values]))
    return tuple(
        _count(name, len(texts[name]), [next(codes) for _ in values])
        for name, values in read.items()
    )


def adapt_to_mixture(likelihoods: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Estimate how frequent the classes are, and weigh each row by that."""
    frequencies = np.full(likelihoods.shape[1], 1 / likelihoods.shape[1])
    for _ in range(ROUNDS):
        weighed = likelihoods * frequencies
        weighed /= weighed.sum(axis=1, keepdims=True)
        before, frequencies = frequencies, weighed.mean(axis=0)
        if np.abs(frequencies - before).max() < SETTLED:
            break
    return weighed


def _tell(texts: Sequence[str]) -> list[str]:
    """Return the language of each text, empty where it is undetermined."""
    codes = [""] * len(texts)
    rows = [row for row, text in enumerate(texts) if _has_letters(text)]
    if not rows:
        return codes
    identifier = _load_identifier()
    probable = adapt_to_mixture(_likelihoods(identifier, [texts[row] for row in rows]))
    for row, probabilities in zip(rows, probable, strict=True):
        best = int(probabilities.argmax())
        codes[row] = identifier.labels[best] if probabilities[best] >= SURE else ""
    return codes


def _has_letters(text: str) -> bool:
    return sum(letter.isalpha() for letter in text[:READ]) >= FEWEST_LETTERS


def _load_identifier() -> LanguageIdentifier:
    from py3langid.langid import LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL, norm_probs=True)


def _likelihoods(identifier: LanguageIdentifier, texts: Sequence[str]) -> npt.NDArray[np.float32]:
    labels = identifier.labels
    result = np.zeros((len(texts), len(labels)), dtype=np.float32)
    with progress_bar(len(texts), "languages", "text") as bar:
        for row, text in zip(result, texts, strict=True):
            likelihoods = dict(identifier.rank(text[:READ]))
            row[:] = [likelihoods[label] for label in labels]
            bar.update()
    return result


def _count(name: str, texts: int, codes: Sequence[str]) -> Languages:
    counts = Counter(codes)
    undetermined = counts.pop("", 0)
    return Languages(name, texts, len(codes), dict(counts.most_common()), undetermined)
