"""Made-up cards, vectors and index folders that the tests of the core share."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from PIL import Image, ImageDraw

from prodcat_index.cards.card import CORE_TEXTS, Catalogue
from prodcat_index.cards.pictures import load_picture
from prodcat_index.encoders.base import Encoded, Encoder, group_by_reason, unit_rows
from prodcat_index.errors import PictureError
from prodcat_index.files import Contents, open_content
from prodcat_index.index.fusion import reference_rows
from prodcat_index.index.manifest import DIGEST_FORMAT, sealed
from prodcat_index.index.search import SearchSpace
from prodcat_index.index.searchers import FlatSearcher

COLUMNS = ("id", "title", "description", "image", "category", "category_id", "group")
BOOTS, KETTLES, LAMPS = "Shoes > Boots", "Kitchen > Kettles", "Home > Lamps"


def row(id: str, title: str = "", description: str = "", **more: str) -> dict[str, str]:
    """Make the row of one card."""
    return {"id": id, "title": title, "description": description, **more}


CARDS: tuple[dict[str, str], ...] = (
    row("b1", "red leather boots", "warm winter lining", category=BOOTS),
    row("b2", "black leather boots", "rubber sole", category=BOOTS),
    row("b3", "hiking boots", "waterproof leather", category=BOOTS),
    row("k1", "steel kettle", "boils water quickly", category=KETTLES),
    row("k2", "electric kettle", "glass, boils water", category=KETTLES),
    row("k3", "чайник электрический", category=KETTLES),
    row("l1", "desk lamp", "warm light, steel stand", category=LAMPS),
    row("l2", "red floor lamp", "fabric shade", category=LAMPS),
    row("u1", "leather boots of unknown shelf", "warm"),
)


def catalogue(
    rows: Iterable[Mapping[str, str]] = CARDS, texts: Sequence[str] = CORE_TEXTS
) -> Catalogue:
    """Make a catalogue of rows; what a row does not name is empty."""
    columns = dict.fromkeys((*COLUMNS, *texts))
    table = pd.DataFrame([{name: row.get(name, "") for name in columns} for row in rows])
    return Catalogue(table, tuple(texts), source="made-up cards")


class NumbersEncoder(Encoder):
    """Takes the text ``"0.6 0.8"`` for the row itself, so that a person can work out the rest."""

    reads = "text"
    spec = "numbers"
    dim = 2
    fingerprint = "numbers"

    @classmethod
    def from_spec(cls, argument: str) -> NumbersEncoder:
        return cls()

    def encode(self, values: Sequence[str], *, label: str = "") -> Encoded:
        rows = [[float(n) for n in value.split()] or [0.0] * self.dim for value in values]
        vectors = unit_rows(np.array(rows, dtype=np.float32).reshape(-1, self.dim))
        return Encoded(vectors)


class NamesEncoder(Encoder):
    """Makes rows of the file names of pictures, without looking at them."""

    reads = "picture"
    spec = "names"
    dim = 4
    fingerprint = "names"

    @classmethod
    def from_spec(cls, argument: str) -> NamesEncoder:
        return cls()

    def encode(self, values: Sequence[str], *, label: str = "") -> Encoded:
        digests = [hashlib.sha256(Path(value).name.encode()).digest()[:4] for value in values]
        present = np.array([bool(value) for value in values], dtype=bool)
        rows = np.array([list(digest) for digest in digests], dtype=np.float32).reshape(-1, 4)
        return Encoded(unit_rows(rows * present[:, None]))


class ColoursEncoder(Encoder):
    """Makes rows of the colours of pictures, in no time."""

    reads = "picture"
    spec = "colours"
    dim = 48
    fingerprint = "colours"

    @classmethod
    def from_spec(cls, argument: str) -> ColoursEncoder:
        return cls()

    def encode(self, values: Sequence[str], *, label: str = "") -> Encoded:
        rows, reasons = np.zeros((len(values), self.dim), dtype=np.float32), []
        for row, value in enumerate(values):
            reasons.append(None)
            if value:
                try:
                    picture = load_picture(value)
                except PictureError as error:
                    reasons[-1] = str(error)
                else:
                    rows[row] = np.asarray(picture.resize((4, 4)), dtype=np.float32).ravel() - 100
        return Encoded(unit_rows(rows), group_by_reason(reasons))


@dataclass(frozen=True)
class Made:
    """Blocks of cards, and everything that a search over them needs."""

    vectors: Sequence[npt.NDArray[np.float16]]
    present: npt.NDArray[np.bool_]
    order: npt.NDArray[np.int64]
    is_stored: bool = True

    @property
    def space(self) -> SearchSpace:
        searcher = FlatSearcher.build(self.vectors, self.present) if self.is_stored else None
        return SearchSpace(searcher, self.vectors, self.present, self.order.__getitem__)

    def similarities(
        self,
        queries: Sequence[npt.NDArray[np.float32]],
        present: npt.NDArray[np.bool_],
        weights: npt.NDArray[np.float64],
    ) -> npt.NDArray[np.float64]:
        """Work out the definition, one query and one block after the other, in float64."""
        result = np.full((len(present), len(self.present)), np.nan)
        for q in np.flatnonzero(present @ weights):
            shared = np.where(present[q], weights, 0.0) / weights[present[q]].sum()
            result[q] = sum(
                weight * self._cosines(b, queries[b][q].astype(np.float64))
                for b, weight in enumerate(shared)
            )
        return result

    def _cosines(self, b: int, query: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        cosines = self.vectors[b].astype(np.float64) @ query
        references = np.sort(cosines[reference_rows(self.present[:, b])])
        expected = references[int(0.9 * (len(references) - 1))] if len(references) else 0.0
        return np.where(self.present[:, b], cosines, expected)


def random_rows(
    rng: np.random.Generator, n: int, dim: int, present: npt.NDArray[np.bool_]
) -> npt.NDArray[np.float32]:
    """Draw unit rows, zeros where absent."""
    rows = unit_rows(rng.normal(size=(n, dim)))
    rows[~present] = 0.0
    return rows


def random_cards(
    rng: np.random.Generator, n: int, dims: Sequence[int], missing: float = 0.2
) -> Made:
    """Draw cards, each block of each missing with a probability."""
    present = rng.random((n, len(dims))) >= missing
    return Made(
        [random_rows(rng, n, d, present[:, b]).astype(np.float16) for b, d in enumerate(dims)],
        present,
        rng.permutation(n),
    )


def draw_pictures(folder: Path, count: int = 8) -> list[Path]:
    """Draw small pictures that differ in colour, shape and size."""
    paths = []
    for number in range(count):
        size = (48 + 16 * number, 64)
        picture = Image.new("RGB", size, (30 * number, 255 - 30 * number, 128))
        draw = ImageDraw.Draw(picture)
        shape: Callable[..., None] = (draw.ellipse, draw.rectangle)[number % 2]
        shape((8, 8, 40, 40 + number), fill=(255, 20 * number, 0), outline="black")
        draw.line((0, 60 - 4 * number, size[0], 4 * number), fill="white", width=1 + number)
        paths.append(folder / f"picture{number}.png")
        picture.save(paths[-1])
    return paths


def store(folder: Path, parts: Mapping[str, Any]) -> None:
    """Write what was fitted into a folder, as an index does."""
    for name, part in parts.items():
        if name.endswith(".npy"):
            np.save(folder / name, part, allow_pickle=False)
        else:
            (folder / name).write_text(json.dumps(part), encoding="utf-8")


def stored_in(folder: Path) -> Contents:
    """Open what :func:`store` wrote."""
    return Contents((path.name, open_content(path)) for path in folder.iterdir())


def read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def settings_of(folder: Path) -> dict[str, Any]:
    """Return the manifest of an index without what tells one version from the next."""
    content = read_json(folder / "manifest.json")
    return {k: v for k, v in content.items() if k not in ("version", "created", "change", "digest")}


def change_manifest(folder: Path, change: Callable[[Any], Any]) -> None:
    """Rewrite the manifest of an index folder with some fields changed in place."""
    path = folder / "manifest.json"
    content = read_json(path)
    change(content)
    content.pop("digest", None)
    text = json.dumps(content)
    is_sealed = content["format_version"] >= DIGEST_FORMAT
    path.write_text(sealed(text) if is_sealed else text, encoding="utf-8")


def forge(folder: Path, name: str, content: bytes) -> None:
    """Replace a file of an index folder, and adapt its size and digest in the manifest."""
    (folder / name).write_bytes(content)
    record = {"pieces": [[len(content), hashlib.sha256(content).hexdigest()]]}
    change_manifest(folder, lambda manifest: manifest["files"].update({name: record}))


def forge_array(folder: Path, path: Path, array: npt.NDArray[Any]) -> None:
    """Replace an array of an index folder as :func:`forge` does."""
    file = BytesIO()
    np.save(file, array)
    forge(folder, path.relative_to(folder).as_posix(), file.getvalue())


OFFER_KINDS = ("drill", "saw", "kettle", "toaster", "lamp", "router")
OFFER_BRANDS = ("Norvik", "Bellon", "Tasker", "Quadra", "Ostrom")
OFFER_COLOURS = ("black", "white", "red")


def two_shops(count: int = 60, seed: int = 0) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Two shops that write the same products in their own way; ids of one product are alike."""
    generator = np.random.default_rng(seed)
    left, right = [], []
    for number in range(count):
        brand, kind = generator.choice(OFFER_BRANDS), generator.choice(OFFER_KINDS)
        code = f"{brand[:2].upper()}{generator.integers(100, 999)}{generator.choice(list('abc'))}"
        watts, colour = generator.integers(2, 30) * 100, generator.choice(OFFER_COLOURS)
        price = float(generator.integers(20, 400))
        title = f"{brand} {kind} {code}, {watts} W, {colour}"
        left.append((f"l{number}", title, brand, price))
        other = f"{kind} {code[:2]}-{code[2:].lower()} {watts}W by {brand.upper()}"
        right.append((f"r{number}", other, "", price * generator.uniform(0.9, 1.1)))
    columns = ["id", "title", "brand", "price"]
    return pd.DataFrame(left, columns=columns), pd.DataFrame(right, columns=columns)
