"""The audit of a catalogue: all checks over one graph, and one list of what to fix first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from html import escape
from typing import TYPE_CHECKING, Any, Literal, get_args

from prodcat_index.audit.check import Check, CheckName, CheckResult, Item, undecided
from prodcat_index.audit.coverage import Coverage
from prodcat_index.audit.delivery_drift import DeliveryDrift
from prodcat_index.audit.duplicate_cards import DuplicateCards
from prodcat_index.audit.graph import AuditGraph, answer_new, build_graph
from prodcat_index.audit.label_errors import CERTAIN, LabelErrors
from prodcat_index.audit.leaks import Leaks
from prodcat_index.audit.new_categories import NewCategories
from prodcat_index.cards.card import Catalogue
from prodcat_index.cards.catalogue import as_listings
from prodcat_index.cards.inputs import CardSource
from prodcat_index.cards.split import Split
from prodcat_index.errors import QueryError, did_you_mean
from prodcat_index.findings import counted
from prodcat_index.index.product_index import ProductIndex
from prodcat_index.index.review import is_of_labels
from prodcat_index.progress import progress_bar, quiet
from prodcat_index.types import rounded

if TYPE_CHECKING:
    import pandas as pd

ALL = "all"
NAMES: tuple[CheckName, ...] = get_args(CheckName)
# Of the checks whose items do not change what the index answers wrongly today, the worst first.
LATER: Sequence[CheckName] = ("leaks", "duplicates", "coverage", "drift")
COLUMNS = [
    *("item", "check", "kind", "id", "title", "category", "proposal", "confidence", "score"),
    *("why", "neighbours", "words", "decision"),
]
BETWEEN = ", "
# Items in a notebook.
SHOWN = 20


def make_checks(split: Split | None = None, against: Catalogue | None = None) -> list[Check]:
    """Make all checks."""
    others = DeliveryDrift(against), Coverage(), NewCategories(), Leaks(split)
    return [LabelErrors(), DuplicateCards(), *others]


@dataclass(frozen=True, eq=False)
class Audit:
    """What the checks of a catalogue found.

    Attributes
    ----------
    index
        The index that was audited.
    new
        The new catalogue, or None.
    results
        Check -> its :class:`CheckResult`, with all that it found, decided or not.
    skipped
        Check that was not run -> why.
    items
        What a person is to decide, of all checks, what to fix first on top: equal products in
        different categories and labels that are more likely wrong than not; then cards that belong
        to no category; other doubtful labels; leaks; duplicates; categories; and the delivery.
        Among these, by the probability that the proposal is right, or one minus the score where
        that is not known; then by the number of cards. What two checks ask alike is one item.
    decided
        Number of items that are left out because they were decided before.
    notes
        What all checks rest on less than was given, and what was noticed about the new cards.
    """

    index: ProductIndex
    new: Catalogue | None
    results: Mapping[str, CheckResult]
    skipped: Mapping[str, str] = field(default_factory=dict)
    items: Sequence[Item] = ()
    decided: int = 0
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        """Return the number of items, and of those of each check, in one line."""
        counts = {name: sum(item.check == name for item in self.items) for name in self.results}
        each = BETWEEN.join(f"{name} {count:,}" for name, count in counts.items())
        return f"<Audit: {counted(len(self.items), 'items')} ({each or 'no check'})>"

    def _repr_html_(self) -> str:
        """Return the summaries and the first items, for notebooks."""
        sentences = [f"{name}: {result.summary}" for name, result in self.results.items()]
        sentences += [f"{name} was not checked: {why}" for name, why in self.skipped.items()]
        lines = "".join(f"<li>{escape(sentence)}</li>" for sentence in sentences)
        table = self.to_frame().drop(columns=["decision"])
        shown = table[table["item"] <= SHOWN].to_html(index=False, float_format="%.3f")
        return f"<p>{escape(repr(self)[1:-1])}</p>\n<ul>{lines}</ul>\n{shown}"

    def catalogue_of(self, check: str) -> Catalogue:
        """Return the cards that a check is about.

        Parameters
        ----------
        check
            Name of a check that was run.

        Returns
        -------
        Catalogue
            Those of the index, or the new ones.
        """
        own = self.index.parts.catalogue
        if self.new is None or list(self.results[check].ids) == list(own.ids):
            return own
        return self.new

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield the rows of :meth:`to_frame`.

        Yields
        ------
        dict
            A row by its columns.
        """
        named = {card for item in self.items for card in item.cards}
        facts: dict[str, dict[str, tuple[str, str]]] = {}  # check -> id -> title and category
        for check in self.results:
            columns = map(self.catalogue_of(check).values, ("id", "title", "category"))
            rows = zip(*columns, strict=True)
            facts[check] = {card: (title, of) for card, title, of in rows if card in named}
        for number, item in enumerate(self.items, start=1):
            for card in item.cards or ("",):
                title, category = facts[item.check].get(card, ("", item.subject))
                about = number, item.check, item.kind, card, title, category
                proposed = item.proposal, item.confidence, item.score
                shown = item.why, BETWEEN.join(item.neighbours), BETWEEN.join(item.words)
                row = dict(zip(COLUMNS, (*about, *proposed, *shown, ""), strict=True))
                # The last digits depend on the number of threads.
                yield dict(rounded(row))

    def to_frame(self) -> pd.DataFrame:
        """Return all items as a table with a row for each card.

        Returns
        -------
        pandas.DataFrame
            Columns ``item`` (its number, from 1), ``check``, ``kind``, ``id``, ``title``,
            ``category``, ``proposal``, ``confidence``, ``score``, ``why``, ``neighbours``,
            ``words``, and the empty ``decision``, which :meth:`ProductIndex.review` reads. An item
            that is about no card has one row without an id, whose category is what it is about.
        """
        import pandas as pd

        frame = pd.DataFrame(list(self.rows()), columns=COLUMNS)
        return frame.astype({"item": int, "confidence": float, "score": float})

    def as_dict(self) -> dict[str, Any]:
        """Return all that was found, for JSON.

        Returns
        -------
        dict
            ``checks``, each with its summary, notes, numbers and details; ``skipped``;
            ``decided``; ``notes``; and the ``items``.
        """
        return {
            "checks": {
                name: {
                    "summary": result.summary,
                    "notes": list(result.notes),
                    "cards": len(result.ids),
                    "flagged": int(result.flagged.sum()),
                    "details": dict(result.details),
                }
                for name, result in self.results.items()
            },
            "skipped": dict(self.skipped),
            "decided": self.decided,
            "notes": list(self.notes),
            "items": [
                {name: rounded(value) for name, value in vars(item).items()} for item in self.items
            ],
        }


def audit_catalogue(
    index: ProductIndex,
    new: CardSource | None = None,
    *,
    checks: Literal["all"] | Sequence[str | Check] = ALL,
    split: Split | None = None,
    against: CardSource | None = None,
    again: bool = False,
    graph: AuditGraph | None = None,
) -> Audit:
    """Check a catalogue for wrong labels, duplicates, new categories and the like.

    Every card of the index is answered by what has not seen its group, and compared with the cards
    nearest to it; all checks read this one graph.

    Parameters
    ----------
    index
        The index of the catalogue.
    new
        New cards, such as a delivery, as :meth:`ProductIndex.predict` takes them; checks of new
        cards need them.
    checks
        ``"all"``, or some of ``labels``, ``duplicates``, ``novelty``, ``drift``, ``coverage`` and
        ``leaks``, or checks with options of their own, such as ``LabelErrors(...)``. Of all,
        those that cannot be run are skipped.
    split
        Parts of the cards that are trained and tested on, for ``leaks``.
    against
        An earlier delivery that the new one is compared with, for ``drift``.
    again
        Whether to show again what was decided before.
    graph
        What all checks read, if it was made before, as by ``graph_in_shards``.

    Returns
    -------
    Audit
        The results of the checks, and their items in one list.

    Raises
    ------
    QueryError
        If there is no such check, or one that is named cannot be run.
    CatalogueError
        If the new cards cannot be read.
    """
    chosen = _choose(checks, make_checks(split, _read(index, against)))
    delivery = _read(index, new)
    graph = graph or build_graph(index)
    answered = None if delivery is None else answer_new(index, delivery, graph)
    results: dict[str, CheckResult] = {}
    skipped: dict[str, str] = {}
    with progress_bar(len(chosen), "checking", "check") as bar:
        for check in chosen:
            bar.set_postfix_str(check.name)
            try:
                with quiet():
                    results[check.name] = check.run(graph, answered)
            except QueryError as error:
                if checks != ALL:
                    raise
                skipped[check.name] = str(error)
            bar.update()
    notes = (*graph.notes, *(answered.notes if answered else ()))
    found = Audit(index, delivery, results, skipped, notes=notes)
    memory = () if again else index.parts.decided
    items = [
        item
        for name, result in results.items()
        for item in undecided(result.items, found.catalogue_of(name), memory)
    ]
    decided = sum(len(result.items) for result in results.values()) - len(items)
    return replace(found, items=_rank(items, index), decided=decided)


def _read(index: ProductIndex, cards: CardSource | None) -> Catalogue | None:
    return None if cards is None else as_listings(cards, index.parts.catalogue)


def _choose(checks: str | Sequence[str | Check], every: Sequence[Check]) -> list[Check]:
    """Return the checks that are asked for, each once, in the order of their names."""
    known: dict[str, Check] = {check.name: check for check in every}
    asked = [checks] if isinstance(checks, str) else checks
    chosen: dict[str, Check] = {}
    for each in every if checks == ALL else asked:
        if isinstance(each, str) and each not in known:
            raise QueryError(
                f"There is no check {each!r}; there are {BETWEEN.join(known)}."
                f"{did_you_mean(each, known)}"
            )
        check = known[each] if isinstance(each, str) else each
        chosen[check.name] = check
    return sorted(chosen.values(), key=lambda check: NAMES.index(check.name))


def _rank(items: Sequence[Item], index: ProductIndex) -> list[Item]:
    """Order the items of all checks by what to fix first; see :class:`Audit`."""
    cards = index.parts.catalogue
    category_of = dict(zip(cards.ids, cards.values("category"), strict=True))

    def urgency(item: Item) -> int:
        if item.check == "labels":
            return 0 if (item.confidence or 0.0) >= CERTAIN else 2
        if item.check == "duplicates":
            named = {category_of.get(card, "") for card in (*item.cards, *item.neighbours)}
            if len(named - {""}) > 1:
                return 0
        return 1 if item.check == "novelty" else 3 + LATER.index(item.check)

    def key(item: Item) -> tuple[int, float, int, float]:
        certainty = 1.0 - item.score if item.confidence is None else item.confidence
        return urgency(item), -certainty, -len(item.cards), item.score

    return _joined(sorted(items, key=key))


def _joined(items: Iterable[Item]) -> list[Item]:
    """Leave out items that ask for what earlier ones ask for, and give these their evidence."""
    joined: list[Item] = []
    place: dict[tuple[str, str], int] = {}
    for item in items:
        is_asked = is_of_labels(item.check, item.proposal)
        asked = [(card, item.proposal) for card in item.cards if is_asked]
        if not asked or not all(each in place for each in asked):
            place |= dict.fromkeys(asked, len(joined))
            joined.append(item)
        elif item.cards == (first := joined[place[asked[0]]]).cards:
            near = dict.fromkeys((*first.neighbours, *item.neighbours))
            why = "; ".join(filter(None, (first.why.rstrip("."), item.why)))
            joined[place[asked[0]]] = replace(first, why=why, neighbours=tuple(near))
    return joined
