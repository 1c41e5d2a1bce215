"""The two things that all rooms share: a card and a catalogue of cards."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from prodcat_index.cards.categories import PATH_SEPARATOR
from prodcat_index.cards.cleaning import clean_id, clean_text, raw_text, tidy
from prodcat_index.cards.picture_files import NO_SUCH_FILE, OUTSIDE, WEB_ADDRESS
from prodcat_index.cards.pieces import LABELLING, CodedLabels, Frame, Pieces
from prodcat_index.cards.roles import RENAMED
from prodcat_index.errors import CatalogueError
from prodcat_index.findings import counted, name_first

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd

    from prodcat_index.findings import Finding
    from prodcat_index.types import BoolArray, FloatingArray, Int64Array

IMAGE = "image"
CORE_TEXTS = ("title", "description")
LABELS = ("category", "category_id", "group")
# Column of the sha256 of each picture that an index was built from: internal, and no column of a
# user's.
DIGEST = "image_digest"
# Vectors come with the cards: they are the kind of a block, never of values.
ModalityKind = Literal["text", "picture", "vector"]
# The kind of a modality's values; one that is not named here is text.
MODALITY_KINDS: dict[str, ModalityKind] = {IMAGE: "picture"}
# To read one value of a stored column takes about as long as this many of its values.
READ_WITH_ONE = 1000
# Rows of the table that a notebook shows, and columns that a line names.
SHOWN_ROWS, SHOWN = 5, 3
SHOWN_NAMES = {"category_id": "category key", IMAGE: "picture"}
NO_PICTURES = {
    OUTSIDE: "no file found; --image-root names their folder",
    NO_SUCH_FILE: "no file found; --image-root names their folder",
    WEB_ADDRESS: "addresses only",
}


def modality_kind(modality: str) -> ModalityKind:
    """Return the kind of a modality's values."""
    return MODALITY_KINDS.get(modality, "text")


@dataclass(frozen=True)
class Card:
    """One product listing.

    Its values are cleaned like those of a catalogue: markup goes, None, NaN and words such as
    ``N/A`` are nothing, and numbers and nested values become text.

    Parameters
    ----------
    title, description
        Texts as a person wrote them; empty when there is none.
    image
        Path of the picture file; empty when there is none.
    id
        Identifier; empty for a listing that has none yet.
    texts
        Further text modalities by name, such as ``{"attributes": "red, cotton"}``.
    category, category_id, group
        As in a catalogue: the category, the shop's own key of it, and what variants of one product
        have in common; empty where it is not known.
    """

    title: str = ""
    description: str = ""
    image: str = ""
    id: str = ""
    texts: Mapping[str, str] = field(default_factory=dict)
    category: str = ""
    category_id: str = ""
    group: str = ""

    def __post_init__(self) -> None:
        cleaned: dict[str, Any] = {n: clean_text(raw_text(getattr(self, n))) for n in CORE_TEXTS}
        cleaned |= {n: clean_id(raw_text(getattr(self, n))) for n in ("id", IMAGE)}
        cleaned |= {n: tidy(raw_text(getattr(self, n))) for n in LABELS}
        cleaned["texts"] = {str(n): clean_text(raw_text(v)) for n, v in (self.texts or {}).items()}
        vars(self).update(cleaned)

    def value(self, modality: str) -> str:
        """Return this card's value of a modality, empty when it has none."""
        if modality in (IMAGE, *CORE_TEXTS):
            return str(getattr(self, modality))
        return self.texts.get(modality, "")


@dataclass(frozen=True)
class Catalogue:
    """Many cards, cleaned and checked.

    Parameters
    ----------
    cards
        One row a card; it must not be changed in place. Cards of an index are read when they are
        needed. Columns ``id``, the text modalities,
        ``image`` (absolute path or empty), ``category`` (empty when unlabelled), ``category_id``
        (the shop's own key of the category, or empty), ``group`` (variants of one product, or
        empty), then every further column of the file as it was. The named columns hold ``str``
        without missing values; ids are unique.
    text_modalities
        Names of the text columns that are embedded, in order.
    findings
        Cards that were skipped or corrected while reading.
    source
        Where the cards come from, for people.
    format
        Format of the source, for people.
    columns
        Part of a card, such as ``title`` -> the column of the source that it was read from, empty
        where there is none; empty where that is not known.
    category_separator
        What separated the levels of the categories there, beside ``" > "`` and arrows.
    notes
        What was noticed about columns and categories, in words.
    vectors
        Modality -> embeddings that came with the cards, of shape (N, dim); a row of zeros for a
        card without one. They are compared in place of what the modality's text or picture says.

    Examples
    --------
    >>> import pandas as pd
    >>> from prodcat_index import read_catalogue
    >>> cards = read_catalogue(pd.DataFrame({"sku": [7], "name": ["Lamp"], "shelf": ["Home"]}))
    >>> [card.title for card in cards], cards.to_frame().columns.tolist()[:3]
    (['Lamp'], ['id', 'title', 'description'])
    """

    cards: pd.DataFrame
    text_modalities: tuple[str, ...] = CORE_TEXTS
    findings: tuple[Finding, ...] = ()
    source: str = ""
    format: str = ""
    columns: Mapping[str, str] = field(default_factory=dict)
    category_separator: str = ""
    notes: tuple[str, ...] = ()
    vectors: Mapping[str, FloatingArray] = field(default_factory=dict)
    pieces: Pieces = field(init=False, repr=False, compare=False)  # what the cards are read from

    @classmethod
    def of_pieces(cls, pieces: Pieces, text_modalities: tuple[str, ...], **more: Any) -> Catalogue:
        """Return cards that are read when they are needed; `more` are the other fields."""
        cards: Any = pieces
        return cls(cards, text_modalities, **more)

    def __post_init__(self) -> None:
        # Pieces become a table when one is first asked for, and few ask for it.
        given = vars(self).pop("cards")
        if isinstance(given, Pieces):
            vars(self)["pieces"] = given
        else:
            vars(self).update(cards=given, pieces=Pieces((Frame(given),)))

    def __getattr__(self, name: str) -> Any:
        if name != "cards" or "pieces" not in vars(self):
            raise AttributeError(f"a catalogue has no {name!r}", name=name, obj=self)
        vars(self)["cards"] = table = self.pieces.frame()
        return table

    def __len__(self) -> int:
        """Return the number of cards."""
        return len(self.pieces)

    def __iter__(self) -> Iterator[Card]:
        """Yield the cards in their order."""
        return map(self.card, range(len(self)))

    def __repr__(self) -> str:
        """Return the counts that people want first."""
        labels = self.values("category")
        share = f"{sum(map(bool, labels)) / len(labels):.0%} labelled, " if labels else ""
        return (
            f"<Catalogue {self.source or 'of a table'}: {len(self):,} cards, "
            f"{len(set(labels) - {''}):,} categories, {share}"
            f"{' + '.join(self.modalities) or 'no modality'}; findings: {len(self.findings)}>"
        )

    def _repr_html_(self) -> str:
        """Return the counts, the findings and the first cards, for notebooks."""
        from html import escape

        findings = "".join(f"<li>{escape(str(finding))}</li>" for finding in self.findings)
        table = self.cards.head(SHOWN_ROWS).to_html(index=False)
        return f"<p>{escape(repr(self)[1:-1])}</p>\n<ul>{findings}</ul>\n{table}"

    def describe_columns(self, compared: Sequence[str] = ()) -> str:
        """Return in one line which column became which part of a card.

        Parameters
        ----------
        compared
            Further columns that are used, and not ignored.

        Returns
        -------
        str
            Such as ``"id: sku, title: name, description: none, category: shelf (66), picture:
            none, ignored: 14 columns"``.
        """
        parts = ("id", *self.text_modalities, "category", "category_id", IMAGE, "group")
        used = {part: self.columns.get(part, "").removesuffix(RENAMED) for part in parts}
        empty = {part for part in parts if not any(self.values(part))}
        categories = len(set(self.values("category")) - {""})
        otherwise = {IMAGE: "files named by id", "category_id": f"within {used['category']}"}
        otherwise = {"id": "row numbers"} | {p: o for p, o in otherwise.items() if p not in empty}
        problems = [finding.what for finding in self.findings]
        described = []
        for part in parts:
            if part in empty.intersection(("category_id", "group")):
                continue
            shown = used[part] or otherwise.get(part, "none")
            if used[part] and part in empty:
                known = NO_PICTURES if part == IMAGE else {}
                why = [known[k] for k in known if any(p.startswith(k) for p in problems)]
                shown += f" ({why[-1] if why else 'empty'})"
            if part == "category" and categories:
                shown += f" ({categories})"
            described.append(f"{SHOWN_NAMES.get(part, part)}: {shown}")
        levels = used["category"].split(PATH_SEPARATOR)
        further = [name for name in self.further_columns if name not in levels]
        if used_too := [name for name in further if name in compared]:
            described.append(f"also compared: {', '.join(used_too)}")
        if ignored := [name for name in further if name not in compared]:
            described.append(
                f"ignored: {counted(len(ignored), 'columns')} ({name_first(ignored, SHOWN)})"
            )
        return ", ".join(described)

    @property
    def further_columns(self) -> list[str]:
        """Columns of the source that have no part in a card, in their order."""
        parts = {"id", *self.text_modalities, IMAGE, "category", "category_id", "group", DIGEST}
        names = (name for name in self.pieces.names if name not in parts)
        return [name.removesuffix(RENAMED) for name in names]

    @property
    def source_columns(self) -> list[str]:
        """Columns of the source, those that have a part in a card first."""
        return [*dict.fromkeys(filter(None, self.columns.values())), *self.further_columns]

    @property
    def ids(self) -> list[str]:
        """Identifiers in catalogue order."""
        return self.values("id")

    @cached_property
    def modalities(self) -> tuple[str, ...]:
        """Modalities that at least one card has, picture first."""
        names = dict.fromkeys((IMAGE, *self.text_modalities, *self.vectors))
        return tuple(name for name in names if self.has(name).any())

    def has(self, modality: str) -> BoolArray:
        """Return the mask of the cards that have a value or a vector of a modality: (N,)."""
        import numpy as np

        values: BoolArray = np.fromiter(map(bool, self.values(modality)), dtype=bool)
        return values | self.vectors[modality].any(axis=1) if modality in self.vectors else values

    def values(self, modality: str) -> list[str]:
        """Return the cards' values of any column, empty strings where there is no such column.

        The list is kept, so do not change it.
        """
        if modality not in self._values:
            self._values[modality] = self._read(modality)
        return self._values[modality]

    def values_at(self, modality: str, rows: Int64Array) -> list[str]:
        """Return some cards' values of any column; of an index, few need not read the others."""
        if modality not in self._values:
            asked = self._asked[modality] = self._asked.get(modality, 0) + len(rows)
            if asked * READ_WITH_ONE < len(self):
                return self._read(modality, rows)
        values = self.values(modality)
        return [values[row] for row in rows.tolist()]

    def _read(self, modality: str, rows: Int64Array | None = None) -> list[str]:
        if modality not in self.pieces.names:
            return [""] * (len(self) if rows is None else len(rows))
        return [str(value) for value in self.pieces.read(modality, rows)]

    @cached_property
    def _values(self) -> dict[str, list[str]]:
        # Reading a column as a list takes 70 to 200 ms at 91,000 cards.
        return {}

    @cached_property
    def _asked(self) -> dict[str, int]:
        """How many rows of a column were asked for alone."""
        return {}

    def select(
        self, rows: npt.NDArray[np.bool_] | npt.NDArray[np.int64] | Sequence[int]
    ) -> Catalogue:
        """Return the catalogue of some rows: a mask of shape (N,), or row numbers in any order."""
        import numpy as np

        chosen = np.asarray(rows) if len(rows) else np.empty(0, dtype=np.int64)
        chosen = np.flatnonzero(chosen) if chosen.dtype == bool else chosen
        vectors = {name: own[chosen] for name, own in self.vectors.items()}
        cards: Any = self.pieces.select(chosen)
        return replace(self, cards=cards, vectors=vectors)

    def relabelled(self, categories: Sequence[str], keys: Sequence[str]) -> Catalogue:
        """Return the cards under other categories, with the shop's own keys of these."""
        cards: Any = replace(self.pieces, labels=CodedLabels.of(categories, keys))
        return replace(self, cards=cards)

    @cached_property
    def coded_labels(self) -> CodedLabels:
        """The categories and their keys as numbers."""
        own = self.pieces.labels
        return own or CodedLabels.of(*(self.values(name) for name in LABELLING))

    def to_frame(self) -> pd.DataFrame:
        """Return the cards as a table of one's own.

        Returns
        -------
        pandas.DataFrame
            One row a card: ``id``, the texts, ``image``, ``category``, ``category_id``, ``group``
            and the further columns. Vectors are left out.
        """
        return self.cards.drop(columns=DIGEST, errors="ignore").copy()

    def card(self, row: int) -> Card:
        """Return the card of a row."""
        import numpy as np

        def value(name: str) -> str:
            return self.values_at(name, np.array([row]))[0]

        own: dict[str, Any] = {n: value(n) for n in ("id", *CORE_TEXTS, IMAGE, *LABELS)}
        further = [name for name in self.text_modalities if name not in CORE_TEXTS]
        return Card(**own, texts={name: value(name) for name in further})

    def of_ids(self, ids: Sequence[str]) -> Catalogue:
        """Return the cards of some ids, in the order of the catalogue.

        Raises CatalogueError for an id that no card has.
        """
        if unknown := sorted(set(ids).difference(self.ids)):
            raise CatalogueError(
                f"{self.source} has no {name_first(unknown)}; its ids are like "
                f"{name_first(self.ids, 3)}."
            )
        return self.select([row for row, own in enumerate(self.ids) if own in ids])

    def labelled(self) -> Catalogue:
        """Return the cards that have a category."""
        return self.select([row for row, label in enumerate(self.values("category")) if label])


def join_catalogues(first: Catalogue, second: Catalogue) -> Catalogue:
    """Put the cards of a catalogue, with ids of its own, after those of the first."""
    pieces = [replace(each.pieces, labels=each.coded_labels) for each in (first, second)]
    cards: Any = pieces[0].joined(pieces[1])
    return replace(first, cards=cards, findings=(), notes=(), vectors={})
