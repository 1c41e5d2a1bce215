"""What a card and a catalogue are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd

    from prodcat_index.findings import Finding


IMAGE = "image"
CORE_TEXTS = ("title", "description")
ModalityKind = Literal["text", "picture"]
# What the values of a modality are; one that is not named here is text.
MODALITY_KINDS: dict[str, ModalityKind] = {IMAGE: "picture"}


def modality_kind(modality: str) -> ModalityKind:
    """Return what the values of a modality are."""
    return MODALITY_KINDS.get(modality, "text")


@dataclass(frozen=True)
class Card:
    """One product listing to be categorized.

    Attributes
    ----------
    title, description
        Texts as a person wrote them; empty when there is none.
    image
        Path of the picture file; empty when there is none.
    id
        Identifier; empty for a listing that has none yet.
    texts
        Further text modalities by name, such as ``{"attributes": "red, cotton"}``.
    """

    title: str = ""
    description: str = ""
    image: str = ""
    id: str = ""
    texts: Mapping[str, str] = field(default_factory=dict)

    def value(self, modality: str) -> str:
        """Return this card's value of a modality, empty when it has none."""
        if modality in (IMAGE, *CORE_TEXTS):
            return str(getattr(self, modality))
        return self.texts.get(modality, "")


@dataclass(frozen=True)
class Catalogue:
    """Many cards, cleaned and checked.

    Attributes
    ----------
    cards
        One row a card. Columns ``id``, the text modalities, ``image`` (absolute path or empty),
        ``category`` (empty when unlabelled), ``category_id`` (the shop's own key of the category,
        or empty), ``group`` (variants of one product, or empty), then every further column of
        the file as it was. The named columns hold ``str`` without missing values; ids are unique.
    text_modalities
        Names of the text columns that are embedded, in order.
    findings
        What was skipped or mended while reading.
    source
        Where the cards come from, for people.
    """

    cards: pd.DataFrame
    text_modalities: tuple[str, ...] = CORE_TEXTS
    findings: tuple[Finding, ...] = ()
    source: str = ""

    def __len__(self) -> int:
        """Return the number of cards."""
        return len(self.cards)

    @property
    def ids(self) -> list[str]:
        """Identifiers in catalogue order."""
        return [str(i) for i in self.cards["id"]]

    @property
    def modalities(self) -> tuple[str, ...]:
        """Modalities that at least one card has, picture first."""
        return tuple(m for m in (IMAGE, *self.text_modalities) if any(self.values(m)))

    def values(self, modality: str) -> list[str]:
        """Return the cards' values of a modality, empty strings where a card has none."""
        if modality not in self.cards.columns:
            return [""] * len(self)
        return [str(v) for v in self.cards[modality]]

    def select(self, rows: npt.NDArray[np.bool_] | Sequence[int]) -> Catalogue:
        """Return the catalogue of these rows only (a boolean mask or row numbers)."""
        import numpy as np

        chosen = np.asarray(rows)
        positions = np.flatnonzero(chosen) if chosen.dtype == bool else chosen
        return replace(self, cards=self.cards.iloc[positions].reset_index(drop=True))

    def card(self, row: int) -> Card:
        """Return the card of a row."""
        record = self.cards.iloc[row]
        texts = {name: str(record[name]) for name in self.text_modalities if name in record}
        return Card(
            id=str(record["id"]),
            title=texts.pop("title", ""),
            description=texts.pop("description", ""),
            image=str(record[IMAGE]),
            texts=texts,
        )

    def labelled(self) -> Catalogue:
        """Return the cards that have a category."""
        return self.select([row for row, label in enumerate(self.values("category")) if label])


def join_catalogues(first: Catalogue, second: Catalogue) -> Catalogue:
    """Put the cards of one catalogue after those of another.

    Parameters
    ----------
    first
        Gives its text modalities and its source.
    second
        With ids of its own. A further column that only one of them has is missing in the cards
        of the other.
    """
    import pandas as pd

    lacked = set(first.cards.columns) ^ set(second.cards.columns)
    tables = [_with_missing(catalogue.cards, lacked) for catalogue in (first, second)]
    joined = pd.concat(tables, ignore_index=True)
    loose = [name for name in lacked if joined[name].dtype == object]
    return replace(first, cards=joined.fillna(dict.fromkeys(loose, "")), findings=())


def _with_missing(cards: pd.DataFrame, lacked: set[str]) -> pd.DataFrame:
    """Let whole numbers stay whole and truth stay truth beside missing values."""
    own = [name for name in cards.columns if name in lacked]
    return cards.assign(**{name: cards[name].convert_dtypes() for name in own})
