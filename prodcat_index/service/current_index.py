"""The index that is served: the newest version of its folder."""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Lock

from anyio import to_thread

from prodcat_index.cards.card import IMAGE, Card
from prodcat_index.cards.catalogue import as_listings
from prodcat_index.errors import IndexFolderError, ProdcatError
from prodcat_index.index.encoded_listings import EncodedListings
from prodcat_index.index.folder import MANIFEST, parse_manifest
from prodcat_index.index.product_index import ProductIndex

# Seconds to wait for another process that writes, and changes that are tried anew after it did.
PATIENCE, ATTEMPTS = 60.0, 5
# Seconds between looks at the folder.
LOOK_EVERY = 1.0
# Embeddings of listings that are kept: 10 to 20 kB each.
MOST_ENCODED = 1000


@dataclass(frozen=True, eq=False)
class Version:
    """One version of an index, and what is remembered of it."""

    number: int
    index: ProductIndex
    # What takes long to make of this version, by a name, for routes.
    made: dict[str, tuple[object, bytes]] = field(default_factory=dict, repr=False)
    _encoded: OrderedDict[tuple[object, ...], EncodedListings] = field(
        default_factory=OrderedDict, repr=False
    )

    @classmethod
    def load(cls, folder: Path, before: Version | None = None) -> Version:
        """Open the current version of a folder, with encoders that the one before has loaded."""
        index = ProductIndex.load(folder, verify=False)
        opened = index.parts.opened
        assert opened is not None, "it was loaded"
        if before is not None:  # Networks would be in memory twice while the versions change.
            slots = [block.slot for block in before.index.parts.blocks]
            loaded = {slot.fingerprint: slot.encoder for slot in slots}
            for block in index.parts.blocks:
                block.slot.encoder = block.slot.encoder or loaded.get(block.slot.fingerprint)
        return cls(opened.manifest.version, index)

    def warm_up(self) -> None:
        """Answer for a card, so that no request waits for what is read when it is first needed."""
        with suppress(ProdcatError):
            card = replace(self.index.parts.catalogue.card(0), id="")
            self.index.predict_each([card])[0].to_records()
            self.index.search(card)
        parts = self.index.parts
        _ = parts.row_of, parts.labels.sizes
        # To read a neighbour's title from the file takes longer than to find the neighbour.
        for column in ("title", IMAGE, "category"):
            parts.catalogue.values(column)

    def encode(self, cards: Sequence[Card]) -> list[EncodedListings]:
        """Embed listings, each by itself; those embedded lately are kept. For one thread."""
        keys = [_content(card) for card in cards]
        missing = {
            key: card for key, card in zip(keys, cards, strict=True) if key not in self._encoded
        }
        made = dict[tuple[object, ...], EncodedListings]()
        if missing:
            together = self.index.encode([*missing.values()])
            own = together.split() if len(missing) > 1 else [together]
            made = dict(zip(missing, own, strict=True))
        encoded = []
        for key, card in zip(keys, cards, strict=True):
            each = self._encoded.pop(key, None) or made[key]
            made[key] = each
            # The file of a request that was given up is gone; the picture itself may be good.
            if not each.queries.problems:
                self._encoded[key] = each
            encoded.append(replace(each, listings=as_listings(card, self.index.parts.catalogue)))
        while len(self._encoded) > MOST_ENCODED:
            self._encoded.popitem(last=False)
        return encoded


def _content(card: Card) -> tuple[object, ...]:
    """Return what the embeddings of a listing depend on."""
    picture = card.image
    if picture:
        # A file that cannot be read is a problem for whoever embeds it.
        with suppress(OSError):
            picture = hashlib.sha256(Path(picture).read_bytes()).hexdigest()
    return card.title, card.description, *sorted(card.texts.items()), picture


class CurrentIndex:
    """Holds the version that is served."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._writing, self._loading = Lock(), Lock()
        # A request keeps the version that it began with.
        self.now = Version.load(folder)

    @property
    def index(self) -> ProductIndex:
        """The index of the current version."""
        return self.now.index

    @property
    def version(self) -> int:
        """Number of the current version in the folder."""
        return self.now.number

    def change(
        self, change: Callable[[ProductIndex], ProductIndex], *, wait: float = PATIENCE
    ) -> int:
        """Write a changed index as the next version, serve it, and return its number.

        `change` may be called several times, and returns what it is given to leave it as it is.
        """
        with self._writing:
            for attempt in range(ATTEMPTS):
                self.refresh()
                before = self.now
                changed = change(before.index)
                if changed.parts is before.index.parts:
                    return before.number
                try:
                    changed.save_next(self.folder, wait=wait)
                except IndexFolderError:
                    # Where another process has written, its version is changed anew.
                    self.refresh()
                    if self.now.number == before.number or attempt + 1 == ATTEMPTS:
                        raise
                    continue
                self.refresh()
                return self.now.number
            raise AssertionError("the last attempt returns or raises")

    def refresh(self) -> None:
        """Serve the newest version of the folder, if it is another one, or of another index."""
        with self._loading:
            opened = self.now.index.parts.opened
            if opened is None or parse_manifest(self.folder) != opened.manifest:
                new = Version.load(self.folder, self.now)
                new.warm_up()
                self.now = new

    async def follow(self, tell: Callable[[ProdcatError], object]) -> None:
        """Look for a new version, again and again; one that cannot be read is told of once."""
        seen, told = self._stamp(), ""
        while True:
            await asyncio.sleep(LOOK_EVERY)
            if (stamp := self._stamp()) == seen and not told:
                continue
            try:
                await to_thread.run_sync(self.refresh)
                seen, told = stamp, ""
            except ProdcatError as error:
                if str(error) != told:
                    tell(error)
                told = str(error)

    def _stamp(self) -> tuple[int, int]:
        try:
            found = (self.folder / MANIFEST).stat()
        except OSError:
            return 0, 0
        return found.st_ino, found.st_mtime_ns
