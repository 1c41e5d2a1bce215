"""Reading a catalogue: a file or table of any supported shape to cleaned, checked cards."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Any, TypeAlias

from prodcat_index.cards.card import CORE_TEXTS, DIGEST, IMAGE, Card, Catalogue
from prodcat_index.cards.categories import Categories, category_name, read_categories
from prodcat_index.cards.cleaning import MAX_TEXT, clean_id, clean_text, raw_text, tidy, was_cut
from prodcat_index.cards.inputs import (
    CARDS,
    DICTS,
    STDIN,
    CardSource,
    check_vectors,
    folder_of,
    join_cards,
    open_source,
)
from prodcat_index.cards.levels import with_levels
from prodcat_index.cards.objects import read_objects
from prodcat_index.cards.picture_files import find_pictures
from prodcat_index.cards.pieces import LABELLING
from prodcat_index.cards.readers import is_catalogue_name
from prodcat_index.cards.roles import (
    NO_TEXTS,
    OPTIONS,
    USUAL_NAMES,
    doubt_category,
    find_columns,
    find_repeated,
    free_name,
    list_columns,
    note_languages,
    usual_columns,
)
from prodcat_index.cards.table import Table, texts_of
from prodcat_index.errors import CatalogueError, check_type
from prodcat_index.findings import counted, list_findings, name_first
from prodcat_index.progress import progress_bar

if TYPE_CHECKING:
    import numpy.typing as npt
    import pandas as pd


Vectors: TypeAlias = Mapping[str, "npt.ArrayLike"]
ROWS_AT_ONCE = 20_000
UNLABELLED = "cards have no category to vote for"
ALONE = "cards are the only one of their category"
# Databases write a line break or tab into tab-separated fields as two characters.
ESCAPED_SPACE = re.compile(r"(?<!\\)\\[nrt]")
NO_ID = "rows have no id (left out)"
CUT = f"cards have a text that was cut at {MAX_TEXT} characters"


def read_catalogue(
    path: CardSource,
    *,
    id_column: str | None = None,
    title_column: str | None = None,
    description_column: str | None = None,
    category_column: str | None = None,
    group_column: str | None = None,
    image_column: str | None = None,
    text_columns: Sequence[str] = (),
    image_root: str | Path | None = None,
    encoding: str | None = None,
    category_separator: str | None = None,
    like: Catalogue | None = None,
    skip_bad_rows: bool = False,
    vectors: Vectors | None = None,
) -> Catalogue:
    """Read a catalogue, clean its texts, find its pictures and check its ids.

    Columns are found by their usual names in nine languages where they are not given. Of the
    KazanExpress layout (``product_id`` and ``text_fields``), the attributes and characteristics
    can be named in `text_columns`.

    Parameters
    ----------
    path
        A CSV, Excel, JSON, Parquet or XML file, a folder of Parquet files, which are one table in
        the order of their names, a DataFrame, or dicts or cards. The columns of
        Google Merchant and Yandex Market feeds, exports of Shopify, WooCommerce and Magento, and
        Amazon metadata are known. The keys of dicts are columns; a key that is the name of a part
        of a card, such as ``title``, is that part.
    id_column
        Column of unique identifiers. Without one, ids are the row numbers, from ``"1"``.
    title_column, description_column
        Columns of the two texts that most cards have.
    category_column
        Column of the label, or those of its levels, such as ``"main > sub"``; without another,
        the column of ``category_id``.
    group_column
        Column that is the same for variants of one product.
    image_column
        Column of picture paths in `image_root`, or of lists of them, of which the first that can
        be read is taken. Other letter case, a missing ending or folder, backslashes and escapes
        are tolerated and counted. Without such a column, or where it holds web addresses only,
        pictures are the files ``{id}.jpg`` (jpeg, png, webp) in `image_root` or in its folder of
        the catalogue's name, such as ``train`` for ``train.parquet``.
    text_columns
        Further columns to embed, each as a modality of its own.
    image_root
        The picture folder, outside of which nothing is read. By default the folder of the file
        or, for pictures found by their ids, the folder ``images`` in it; for dicts and cards the
        working directory, and nothing for paths in memory that are all absolute.
    encoding
        Encoding of a text file; by default its byte order mark decides, or it is UTF-8.
    category_separator
        What separates the levels of a category, beside ``" > "`` and arrows, such as ``"/"``. By
        default it is a mark that holds for the column; ``" > "`` keeps all else in the names.
    like
        Cards that these are compared with, such as the :attr:`~ProductIndex.catalogue` of an
        index. What is not given here is read as theirs: from the same columns, and from no others
        where the file lacks them, with the same separator and the same names of categories.
    skip_bad_rows
        Leave out rows with another number of fields than the header or without an id, and lines
        that are not JSON or XML, instead of raising an error. They are counted in ``findings``.
    vectors
        Modality -> embeddings of your own, such as ``{"title": rows}``: one row a card, in their
        order; zeros or NaN for a card without one. They take the place of what an encoder would
        make of the modality, or are a modality of their own.

    Returns
    -------
    Catalogue
        The cards in the order of the file. A column that has no part in a card but has the name
        of one, such as ``category`` beside ``category_column="level2"``, becomes
        ``category_in_file``. What was skipped or corrected is in ``findings``.

    Raises
    ------
    CatalogueError
        If the file cannot be read, a named column is absent, ids are empty or repeat, the named
        column of groups holds departments, there is neither a text nor a picture nor a vector, or
        the vectors are not one row of numbers a card.
    TypeError
        If what is given is none of these things.
    """
    wanted = {
        "id": id_column,
        "title": title_column,
        "description": description_column,
        "category": category_column,
        "group": group_column,
        "image": image_column,
    }
    for part, column in wanted.items():
        check_type(column, (str, NoneType), f"The column of the {part} is given by its name")
    check_type(category_separator, (str, NoneType), "The separator of categories is a text")
    check_type(like, (Catalogue, NoneType), "Cards are read like those of a Catalogue")
    text_columns = [text_columns] if isinstance(text_columns, str) else text_columns
    opened, name, file = open_source(path, encoding, skip_bad_rows)
    known = _known_columns(like)
    if not isinstance(path, Catalogue):
        opened = with_levels(opened, category_column, known)
    table, seen = opened.frame, list(opened.frame.columns)
    defined = opened.columns
    is_listed = opened.format in (DICTS, CARDS) or name == STDIN
    if is_listed and (name != STDIN or opened.format.startswith("JSON")):
        # A program names the parts of a card, whatever the columns of the catalogue were called.
        defined = {part: part for part in (*USUAL_NAMES, *known) if part in seen} | dict(defined)
    if not known:
        text_columns = text_columns or opened.texts

    def values(column: str) -> Iterable[str]:
        return map(raw_text, table[column])

    columns = find_columns(seen, wanted, text_columns, known, defined, values)
    if skip_bad_rows and columns["id"]:
        opened = _with_ids(opened, columns["id"])
        table = opened.frame
    embedded = check_vectors({} if vectors is None else vectors, len(table))
    if isinstance(path, Catalogue):
        embedded = {**path.vectors, **embedded}
    table, keys, objects_noticed = read_objects(table, columns)
    ids = read_ids(texts_of(table, columns["id"]), columns["id"], name, opened)
    texts, cut = _clean_texts(
        table,
        {part: columns[part] for part in columns if part not in NO_TEXTS},
        is_escaped=opened.format == "TSV",
    )
    named_pictures = texts_of(table, columns[IMAGE])
    if file is None and any(named_pictures) and image_root is None:
        image_root = folder_of(named_pictures, is_listed)
    pictures, pictures_noticed = find_pictures(named_pictures, ids, file, image_root)
    if not (any(pictures) or embedded or any(columns[part] for part in (*texts, IMAGE))):
        raise CatalogueError(_nothing_to_embed(name, seen, known))
    categories = _read_categories(table, columns, keys, category_separator, like, opened.others)
    labels = categories.labels
    parts = {"id": ids, **texts, IMAGE: pictures, "category": labels, "category_id": keys}
    parts["group"] = [tidy(value) for value in texts_of(table, columns["group"])]
    sizes = Counter(labels)
    noticed = {
        # Listings of which none has a category are new ones, to be categorized.
        UNLABELLED: [not label and len(sizes) > 1 for label in labels],
        ALONE: [bool(label) and sizes[label] == 1 for label in labels],
        CUT: cut,
        **objects_noticed,
        **pictures_noticed,
    }
    rest = table.drop(columns=list({column for column in columns.values() if column}))
    catalogue = Catalogue(
        cards=_join(parts, rest),
        text_modalities=tuple(texts),
        findings=(*opened.findings, *list_findings(noticed, ids)),
        source=name,
        format=opened.format,
        # Cards have no columns of their own that others could be read from.
        columns={} if opened.format == CARDS else columns,
        category_separator=categories.separator,
        vectors=embedded,
    )
    chosen = (*wanted.values(), *known.values(), *opened.columns.values(), columns["category_id"])
    is_given = columns["category"] in chosen
    doubt = "" if is_given else doubt_category(columns["category"], labels, seen, values)
    lacks = [] if like is None else _lacks(catalogue, like, is_listed)
    languages = [] if known else note_languages(columns, seen)
    notes = tuple(note for note in (doubt, *lacks, *languages, *categories.notes) if note)
    catalogue = replace(catalogue, notes=notes)
    if group_column is not None:
        from prodcat_index.cards.duplicates import check_group_column

        check_group_column(catalogue)
    return catalogue


def _known_columns(like: Catalogue | None) -> Mapping[str, str]:
    """Return the columns of other cards; of an index of an earlier format, those of its texts."""
    if like is None or like.columns:
        return like.columns if like else {}
    return {name: name for name in like.text_modalities if name not in CORE_TEXTS}


def _nothing_to_embed(name: str, seen: Sequence[str], known: Mapping[str, str]) -> str:
    what = "No column is a title, description or picture by its name"
    had = [column for part, column in known.items() if column and part in (*CORE_TEXTS, IMAGE)]
    if had:
        what = f"{name} has none of the columns that the index was built from ({name_first(had)})"
    return f"{what}: choose one with {OPTIONS}. {list_columns(seen)}"


def _lacks(catalogue: Catalogue, like: Catalogue, is_listed: bool) -> list[str]:
    notes = []
    lacking = [
        f"{part} (column {like.columns[part]!r})" if like.columns.get(part) else part
        for part in (IMAGE, *like.text_modalities)
        if part not in (*catalogue.modalities, *like.vectors)
        and not catalogue.columns.get(part)
        and like.has(part).any()
    ]
    if lacking:
        notes.append(
            f"{catalogue.source} lacks {name_first(lacking)}, which the cards of the index have: "
            f"only the rest is compared; where it has another name here, choose it with {OPTIONS}"
        )
    if not is_listed and lacks_ids(catalogue, like):
        notes.append(
            f"{catalogue.source} lacks the ids (column {like.columns['id']!r}), so its cards are "
            "called by their row numbers; choose the column of the ids with --id-column"
        )
    if category := find_unused_category(catalogue, like):
        notes.append(
            f"{catalogue.source} lacks the category (column {like.columns['category']!r}); if it "
            f'is in {category!r}, add --category-column "{category}"'
        )
    return notes


def lacks_ids(catalogue: Catalogue, like: Catalogue) -> bool:
    """Check whether cards were read by row numbers, and others, such as those of an index, not."""
    known = (cards.columns.get("id") for cards in (like, catalogue) if cards.columns)
    return [bool(column) for column in known] == [True, False]


def find_unused_category(catalogue: Catalogue, like: Catalogue) -> str:
    """Return a column that has the name of a category, where that of the others is not there."""
    known, own = (cards.columns.get("category") for cards in (like, catalogue))
    found = usual_columns("category", catalogue.further_columns) if known and not own else []
    return "".join(found[:1])


def _read_categories(
    table: pd.DataFrame,
    columns: Mapping[str, str],
    keys: Sequence[str],
    separator: str | None,
    like: Catalogue | None,
    others: Sequence[tuple[str, str]] = (),
) -> Categories:
    column = columns["category"]
    values = table[column].tolist() if column else [""] * len(table)
    values, keys = values + [name for name, _ in others], [*keys, *(key for _, key in others)]
    known = None
    if like is not None:
        known = dict(zip(like.values("category"), like.values("category_id"), strict=True))
        separator = like.category_separator if separator is None else separator
    read = read_categories(values, keys, separator, known)
    return read._replace(labels=read.labels[: len(table)])


def category_pairs(opened: Table, columns: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return the category and the key of each row as they are written in columns of other cards."""
    own = {part: columns.get(part, "") for part in LABELLING}
    column = own["category"]
    frame, keys, _ = read_objects(with_levels(opened, column, columns).frame, own)
    names = [category_name(value) for value in frame[column]] if column else [""] * len(keys)
    return list(zip(names, keys, strict=True))


def as_catalogue(
    cards: CardSource, *, like: Catalogue | None = None, vectors: Vectors | None = None
) -> Catalogue:
    """Return what a caller gives as cards as a catalogue; one that is read already as it is."""
    if not isinstance(cards, Catalogue):
        return read_catalogue(cards, like=like, vectors=vectors)
    if vectors is None:
        return cards
    return replace(cards, vectors={**cards.vectors, **check_vectors(vectors, len(cards))})


def as_listings(
    listings: CardSource, like: Catalogue | None, vectors: Vectors | None = None
) -> Catalogue:
    """Return listings as a catalogue; a text is a title, and Cards may lack ids or share them."""
    is_text = isinstance(listings, str) and not is_catalogue_name(listings)
    if is_text or isinstance(listings, Card):
        listings = [listings]
    # A column or a generator, but no table or catalogue, which has columns.
    if isinstance(listings, Iterable) and not (
        isinstance(listings, (str, bytes, Mapping)) or hasattr(listings, "columns")
    ):
        listings = [Card(title=each) if isinstance(each, str) else each for each in listings]
        if all(isinstance(each, Card) for each in listings):
            cards, texts = join_cards(listings)
            listings = Catalogue.of_pieces(cards, texts, source="the list")
    return as_catalogue(listings, like=like, vectors=vectors)


def _with_ids(opened: Table, column: str) -> Table:
    """Leave out the rows without an id, which are totals and titles of sections, and count them."""
    kept = opened.without([not text for text in texts_of(opened.frame, column)], NO_ID)
    return opened if kept is opened else replace(kept, rows=())


def read_ids(values: Sequence[str], column: str, name: str, table: Table) -> list[str]:
    """Return the ids in a column of the source `name`; raise an error if empty or repeated."""
    numbers = table.rows or range(1, len(values) + 1)
    if not column:
        # Of a part of a larger table, the rows are those of the whole.
        return [str(n) for n in (numbers if table.source else range(1, len(values) + 1))]
    ids = [clean_id(value) for value in values]
    if without := [str(n) for n, card in zip(numbers, ids, strict=True) if not card]:
        raise CatalogueError(
            f"{counted(len(without), 'cards have no id')} in {name} "
            f"({'row' if table.rows else 'card number'} {name_first(without)}): "
            f"{_other_ids(column)}, or leave such rows out with --skip-bad-rows."
        )
    if repeated := find_repeated(ids):
        raise repeated_ids(repeated, column, name)
    return ids


def repeated_ids(repeated: Sequence[str], column: str, name: str) -> CatalogueError:
    """Return the error for ids that occur more than once."""
    return CatalogueError(
        f"{counted(len(repeated), 'ids occur more than once')} in {name} "
        f"({name_first(repeated)}): {_other_ids(column)}."
    )


def _other_ids(column: str) -> str:
    return f"correct the column {column!r}, or choose another with --id-column"


def _clean_texts(
    table: pd.DataFrame, columns: Mapping[str, str], *, is_escaped: bool
) -> tuple[dict[str, pd.Series[Any]], list[bool]]:
    """Return the cleaned texts by modality, and for each card if one of them was cut."""
    import pandas as pd

    texts: dict[str, pd.Series[Any]] = {}
    cut = [False] * len(table)
    for modality, column in columns.items():
        parts = []
        with progress_bar(len(table), f"cleaning {modality}", "text") as bar:
            # A list of texts takes several times the memory of a column.
            for start in range(0, len(table), ROWS_AT_ONCE):
                values = texts_of(table.iloc[start : start + ROWS_AT_ONCE], column)
                if is_escaped:
                    values = [ESCAPED_SPACE.sub(" ", value) for value in values]
                # Every different text once, for variants of one product share theirs.
                cleaned = {text: clean_text(text) for text in dict.fromkeys(values)}
                for row, text in enumerate(values, start):
                    cut[row] = cut[row] or was_cut(text, cleaned[text])
                parts.append(pd.Series([cleaned[text] for text in values]))
                bar.update(len(values))
        texts[modality] = pd.concat(parts, ignore_index=True)
    return texts, cut


def _join(parts: Mapping[str, Any], rest: pd.DataFrame) -> pd.DataFrame:
    import pandas as pd

    names = list(parts)
    for name in rest.columns:
        names.append(free_name(name, [*names, DIGEST]))
    cards: pd.DataFrame = pd.concat([pd.DataFrame(parts), rest], axis=1)
    return cards.set_axis(names, axis=1)


def read_labels(
    path: CardSource, *, encoding: str | None = None, like: Catalogue | None = None
) -> dict[str, str]:
    """Read the true categories of listings, to compare predictions with.

    Parameters
    ----------
    path
        Any file or table that :func:`read_catalogue` reads, with a column of ids and one of
        categories (or, without that, of ``category_id``).
    encoding
        Encoding of a text file; by default its byte order mark decides, or it is UTF-8.
    like
        Cards whose categories these are, as for :func:`read_catalogue`. Their columns are used
        where the file has them.

    Returns
    -------
    dict
        Id -> category, cleaned as in a catalogue; rows without either are left out.

    Raises
    ------
    CatalogueError
        If the file cannot be read, has no such columns or nothing in them, or has an id with
        several categories.
    """
    opened, name, _ = open_source(path, encoding)
    known = like.columns if like is not None else {}
    opened = with_levels(opened, None, known)
    seen = list(opened.frame.columns)
    wanted = {part: column for part, column in known.items() if column in seen}
    columns = find_columns(
        seen, {part: wanted.get(part) for part in ("id", *LABELLING)}, (), {}, opened.columns
    )
    if not columns["id"] or not columns["category"]:
        raise CatalogueError(
            f"{name} needs a column of ids and one of categories. {list_columns(seen)}"
        )
    frame, keys, _ = read_objects(opened.frame, {part: columns[part] for part in LABELLING})
    ids = [tidy(value) for value in texts_of(frame, columns["id"])]
    labels = _read_categories(frame, columns, keys, None, like).labels
    true: dict[str, str] = {}
    several = [
        card
        for card, label in zip(ids, labels, strict=True)
        if card and label and true.setdefault(card, label) != label
    ]
    if several:
        count = counted(len(set(several)), "ids have more than one category")
        raise CatalogueError(
            f"{count} in {name} ({name_first(list(dict.fromkeys(several)))}): leave one of each."
        )
    if not true:
        raise CatalogueError(
            f"No row of {name} has both an id (column {columns['id']!r}) and a category (column "
            f"{columns['category']!r}), so nothing can be scored."
        )
    return true
