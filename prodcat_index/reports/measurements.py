"""What is measured in texts, pictures and labels: lengths, sizes, languages, similar names."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from prodcat_index.cards.card import IMAGE, Catalogue
from prodcat_index.cards.pictures import Header, read_header
from prodcat_index.errors import PictureError
from prodcat_index.progress import map_in_threads, progress_bar
from prodcat_index.types import BoolArray, Float32Array, Float64Array, Int64Array, evenly_spaced

QUANTILES = (0.0, 0.05, 0.5, 0.95, 1.0)
# Tukey's fence for what is far out, in interquartile ranges.
FENCE = 3.0
EXTREMES = 5

LANGUAGE_MODEL = "data/model.npz.xz"
# More texts, or more letters of each, change the shares by less than they can be trusted.
MOST_TEXTS, READ = 20_000, 500
FEWEST_LETTERS = 3
# Probability from which a text counts for a language.
SURE = 0.5
# The estimate of the mixture ends when no frequency changes by more than this, or here.
SETTLED, ROUNDS = 1e-4, 100


@dataclass(frozen=True)
class Spread:
    """Quantiles of positive numbers."""

    count: int
    least: float
    low: float  # 5 % are below
    median: float
    high: float  # 5 % are above
    most: float
    outliers: int


@dataclass(frozen=True)
class Extreme:
    """A card at an end of a scale."""

    id: str
    row: int = field(repr=False)  # in the catalogue
    value: float


def spread_of(values: npt.ArrayLike) -> Spread | None:
    """Summarize positive numbers; None where there are none."""
    numbers = np.asarray(values, dtype=np.float64)
    if not numbers.size:
        return None
    # Values that occur: nobody has seen a text of 50.8 characters.
    found = np.quantile(numbers, QUANTILES, method="inverted_cdf")
    least, low, median, high, most = map(float, found)
    return Spread(numbers.size, least, low, median, high, most, int(is_outlier(numbers).sum()))


def is_outlier(values: npt.ArrayLike) -> BoolArray:
    """Mark the numbers, at least one, beyond Tukey's far fences on a logarithmic scale."""
    logs = np.log(np.asarray(values, dtype=np.float64))
    first, third = np.quantile(logs, (0.25, 0.75))
    # Among equal values the reach is 0: one that differs by rounding alone is no outlier.
    reach = FENCE * (third - first) + 1e-9
    return np.asarray((logs < first - reach) | (logs > third + reach))


def find_extremes(
    values: npt.ArrayLike, rows: Sequence[int], ids: Sequence[str], *, most: bool
) -> tuple[Extreme, ...]:
    """Name the cards with the least or the most of something; `rows` are those of the values."""
    numbers = np.asarray(values, dtype=np.float64)
    if not numbers.size:
        return ()
    beyond = (numbers - np.median(numbers)) * (1 if most else -1)
    order = np.argsort(-beyond, kind="stable")[:EXTREMES]
    named = [place for place in order if beyond[place] > 0]
    return tuple(Extreme(ids[rows[i]], int(rows[i]), float(numbers[i])) for i in named)


@dataclass(frozen=True)
class TextLengths:
    """Lengths of the texts of a column."""

    lengths: Int64Array = field(repr=False)  # in characters, without empty texts
    characters: Spread | None
    shortest: tuple[Extreme, ...]
    longest: tuple[Extreme, ...]


def measure_texts(catalogue: Catalogue) -> dict[str, TextLengths]:
    """Measure the texts of every text modality."""
    ids, measured = catalogue.ids, {}
    for name in catalogue.text_modalities:
        texts = catalogue.values(name)
        rows = [row for row, text in enumerate(texts) if text]
        lengths = np.array([len(texts[row]) for row in rows], dtype=np.int64)
        shortest, longest = (find_extremes(lengths, rows, ids, most=most) for most in (False, True))
        measured[name] = TextLengths(lengths, spread_of(lengths), shortest, longest)
    return measured


@dataclass(frozen=True)
class Pictures:
    """Sizes and formats of the pictures of a catalogue."""

    sizes: Int64Array = field(repr=False)  # width and height, shape (n, 2)
    readable: int
    unreadable: Mapping[str, Sequence[str]]  # reason -> ids
    formats: Mapping[str, int]
    width: Spread | None
    height: Spread | None
    aspect_ratio: Spread | None
    extremes: Mapping[str, Sequence[Extreme]]

    @property
    def unreadable_count(self) -> int:
        """Number of cards whose picture cannot be read."""
        return sum(len(ids) for ids in self.unreadable.values())


def measure_pictures(catalogue: Catalogue) -> Pictures:
    """Read the size and format of every picture, without decoding any."""
    ids, paths = catalogue.ids, catalogue.values(IMAGE)
    headers: dict[int, Header] = {}
    unreadable: dict[str, list[str]] = {}
    with warnings.catch_warnings():
        # What Pillow warns of, the reasons tell.
        warnings.filterwarnings("ignore", module="PIL")
        read = map_in_threads(_read_header, [*dict.fromkeys(filter(None, paths))], "picture sizes")
    for row, path in enumerate(paths):
        found = read.get(path)
        if isinstance(found, Header):
            headers[row] = found
        elif found:
            unreadable.setdefault(found, []).append(ids[row])
    rows = list(headers)
    sizes = np.array([(h.width, h.height) for h in headers.values()], np.int64).reshape(-1, 2)
    width, height = sizes.T
    pixels, aspect = width * height, width / height
    return Pictures(
        sizes=sizes,
        readable=len(sizes),
        unreadable=unreadable,
        formats=dict(Counter(header.format for header in headers.values()).most_common()),
        width=spread_of(width),
        height=spread_of(height),
        aspect_ratio=spread_of(aspect),
        extremes={
            "fewest_pixels": find_extremes(pixels, rows, ids, most=False),
            "most_pixels": find_extremes(pixels, rows, ids, most=True),
            "widest": find_extremes(aspect, rows, ids, most=True),
            "tallest": find_extremes(aspect, rows, ids, most=False),
        },
    )


def _read_header(path: str) -> Header | str:
    try:
        return read_header(path)
    except PictureError as error:
        return str(error)


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
        found = Counter(next(codes) for _ in values)
        undetermined = found.pop("", 0) / max(len(values), 1)
        counts = dict(found.most_common())
        shares = {code: count / len(values) for code, count in counts.items()}
        languages[name] = Languages(len(texts[name]), len(values), counts, shares, undetermined)
    return languages


def _detect(texts: Sequence[str]) -> list[str]:
    """Return the language of each text, empty where it is undetermined."""
    from py3langid.langid import LanguageIdentifier

    codes = [""] * len(texts)
    letters = [sum(letter.isalpha() for letter in text[:READ]) for text in texts]
    rows = [row for row, count in enumerate(letters) if count >= FEWEST_LETTERS]
    if not rows:
        return codes
    identifier = LanguageIdentifier.from_model_file(LANGUAGE_MODEL, norm_probs=True)
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
