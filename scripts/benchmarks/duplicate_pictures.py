"""Copies of pictures planted among real ones: how many are found, beside hashes of pictures."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Annotated

import numpy as np
import numpy.typing as npt
import typer

from prodcat_index.audit.same_pictures import SAME, match_pictures, nearest_pictures
from prodcat_index.cards.card import IMAGE
from prodcat_index.cards.catalogue import read_catalogue
from prodcat_index.cards.codes import join_codes
from prodcat_index.cards.picture_hashes import hash_pictures, join_near
from prodcat_index.cards.pictures import load_picture
from prodcat_index.demo.shop import make_demo_catalogue
from prodcat_index.encoders.cache import default_cache
from prodcat_index.encoders.embedding import embed
from prodcat_index.encoders.registry import make_encoder
from prodcat_index.index.fusion import centre, training_mean
from prodcat_index.progress import map_in_threads
from prodcat_index.types import MISSING, BoolArray, Int64Array
from scripts.benchmarks.page import PAGE, PageOption, table, write_section

if TYPE_CHECKING:
    from PIL.Image import Image

    Edit = Callable[[Image, Random], Image]

NEAREST = 5
MOST_HASHED = 512  # pixels a side; hashes look at far fewer
FITTED_ON = ("dotnet_eshop", "santechtula")
WORDS = ("SALE -50%", "NEW 2024", "FREE DELIVERY", "ХИТ ПРОДАЖ")


def crop(picture: Image, rng: Random, share: float) -> Image:
    width, height = (round(side * share) for side in picture.size)
    x, y = rng.randint(0, picture.width - width), rng.randint(0, picture.height - height)
    return picture.crop((x, y, x + width, y + height))


def banner(picture: Image, rng: Random, share: float) -> Image:
    from PIL import ImageDraw, ImageFont

    picture = picture.copy()
    height = round(picture.height * share)
    top = rng.choice((0, picture.height - height))
    draw = ImageDraw.Draw(picture)
    colour = tuple(rng.randint(0, 255) for _ in range(3))
    draw.rectangle((0, top, picture.width, top + height), fill=colour)
    ink = (255, 255, 255) if sum(colour) < 380 else (0, 0, 0)
    font, words = ImageFont.load_default(height * 0.6), rng.choice(WORDS)
    draw.text((picture.width * 0.05, top + height * 0.15), words, fill=ink, font=font)
    return picture


def badge(picture: Image, rng: Random, share: float) -> Image:
    from PIL import ImageDraw, ImageFont

    picture = picture.copy()
    side = round(min(picture.size) * share)
    x, y = (rng.choice((0, whole - side)) for whole in picture.size)
    draw = ImageDraw.Draw(picture)
    colour = tuple(rng.randint(0, 255) for _ in range(3))
    draw.ellipse((x, y, x + side, y + side), fill=colour)
    font = ImageFont.load_default(side * 0.3)
    draw.text((x + side * 0.15, y + side * 0.3), "-30%", fill="white", font=font)
    return picture


def resize(picture: Image, share: float) -> Image:
    from PIL.Image import Resampling

    width, height = (max(8, round(side * share)) for side in picture.size)
    return picture.resize((width, height), Resampling.LANCZOS)


def stretch(picture: Image, share: float) -> Image:
    return picture.resize((picture.width, round(picture.height * share)))


def mirror(picture: Image) -> Image:
    from PIL.Image import Transpose

    return picture.transpose(Transpose.FLIP_LEFT_RIGHT)


# What is done, with shares or qualities in per cent -> the edit, and the quality of the JPEG.
EDITS: dict[str, tuple[Edit, int]] = {
    "resize25": (lambda p, _: resize(p, 0.25), 90),
    "resize50": (lambda p, _: resize(p, 0.5), 90),
    "resize200": (lambda p, _: resize(p, 2), 90),
    "stretch": (lambda p, r: stretch(p, r.choice((0.8, 1.25))), 90),
    "jpeg10": (lambda p, _: p, 10),
    "jpeg30": (lambda p, _: p, 30),
    "crop95": (lambda p, r: crop(p, r, 0.95), 85),
    "crop90": (lambda p, r: crop(p, r, 0.9), 85),
    "crop85": (lambda p, r: crop(p, r, 0.85), 85),
    "mirror": (lambda p, _: mirror(p), 85),
    "banner15": (lambda p, r: banner(p, r, 0.15), 85),
    "banner20": (lambda p, r: banner(p, r, 0.2), 85),
    "badge25": (lambda p, r: badge(p, r, 0.25), 85),
    "badge35": (lambda p, r: badge(p, r, 0.35), 85),
    "mirror+crop90": (lambda p, r: mirror(crop(p, r, 0.9)), 60),
    "crop85+banner15": (lambda p, r: banner(crop(p, r, 0.85), r, 0.15), 60),
    "mirror+banner15": (lambda p, r: banner(mirror(p), r, 0.15), 60),
}


@dataclass(frozen=True)
class Found:
    """What one method finds in one catalogue, m copies of n pictures planted."""

    method: str
    found: BoolArray  # (m,): the copy's original is among what is called the same
    false: int  # pairs of a copy and another picture that are called the same

    @property
    def precision(self) -> float:
        return float(self.found.sum() / max(self.found.sum() + self.false, 1))


@dataclass(frozen=True)
class Planted:
    """m copies below n pictures."""

    paths: list[str]  # (n + m,)
    original: Int64Array  # (m,)
    edit: list[str]  # (m,)
    twins: Int64Array  # (n,): codes of pictures that were the same before

    @property
    def count(self) -> int:
        return len(self.twins)


def pictures(
    data: Annotated[Path, typer.Argument(help="Folder of the catalogues.")],
    sets: Annotated[str, typer.Option(help="Names of the catalogues.")] = (
        "dotnet_eshop,santechtula,flipkart1050,demo"
    ),
    copies: Annotated[int, typer.Option(help="Pictures copied in each.")] = 40,
    page: PageOption = PAGE,
) -> None:
    """Find changed copies of pictures, beside imagehash and pdqhash."""
    results: dict[str, tuple[Planted, list[Found]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in sets.split(","):
            source = data / name / "cards.csv"
            if name == "demo":
                make_demo_catalogue(Path(folder) / "demo_shop")
                source = Path(folder) / "demo_shop" / "catalogue.csv"
            planted = plant(source, Path(folder) / name, copies)
            results[name] = planted, [ours(planted), *hashes(planted)]
            for each in results[name][1]:
                typer.echo(f"{name} {each.method}: {each.found.mean():.3f} {each.false}", err=True)
    write_section(page, "Copies of pictures", describe(results, copies))


def plant(source: Path, folder: Path, copies: int) -> Planted:
    """Save changed copies of some pictures of a catalogue."""
    paths = [path for path in read_catalogue(source).values(IMAGE) if path]
    folder.mkdir()
    original, edit, saved = [], [], []
    for row in np.random.default_rng(0).permutation(len(paths))[:copies].tolist():
        picture = load_picture(paths[row])
        for name, (change, quality) in EDITS.items():
            target = folder / f"{row}_{name}.jpg"
            change(picture, Random(f"{row}{name}")).save(target, "JPEG", quality=quality)
            original.append(row)
            edit.append(name)
            saved.append(str(target))
    # Equal files, and pictures near by the hash that groups are made of.
    files, near, _ = hash_pictures(paths)
    unlabelled = np.full(len(paths), MISSING, dtype=np.int64)
    twins = join_codes([files, join_near(near, files != MISSING, unlabelled)[0]])
    return Planted([*paths, *saved], np.array(original), edit, twins)


def ours(planted: Planted) -> Found:
    """Compare each picture with the nearest by embedding, pixel by pixel."""
    encoded = embed(
        make_encoder("efficientnet-lite0"), planted.paths, label="embedding", cache=default_cache()
    )
    present: BoolArray = np.any(encoded.vectors, axis=1)
    vectors, present = centre(encoded.vectors, present, training_mean(encoded.vectors, present))
    near = nearest_pictures(vectors, present, NEAREST * (1 + len(EDITS)))
    # Copies look for originals alone: each has many copies here.
    near = np.where(near < planted.count, near, MISSING)[planted.count :]
    kept = (near != MISSING) & (np.cumsum(near != MISSING, axis=1) <= NEAREST)
    copy, column = np.nonzero(kept)
    other = near[copy, column]
    unknown = np.full(len(planted.paths), MISSING, dtype=np.int64)
    asked = np.ones(len(copy), dtype=bool)
    matches = match_pictures(planted.paths, unknown, other, planted.count + copy, asked)
    same = matches.probability >= SAME
    is_own = planted.twins[other] == planted.twins[planted.original[copy]]
    found = np.zeros(len(planted.original), dtype=bool)
    found[copy[same & is_own]] = True
    return Found("this project", found, int((same & ~is_own).sum()))


def hashes(planted: Planted) -> list[Found]:
    """Compare hashes, also those of mirrored pictures, at the threshold of the best F1 here."""
    import imagehash
    import pdqhash

    def bits(path: str) -> list[npt.NDArray[np.bool_]]:
        picture = load_picture(path)
        if max(picture.size) > MOST_HASHED:
            picture.thumbnail((MOST_HASHED, MOST_HASHED))
        kinds = (imagehash.phash, imagehash.dhash, imagehash.whash)
        every = [np.asarray(kind(each).hash).ravel() for kind in kinds for each in two(picture)]
        return every + [pdqhash.compute(np.asarray(each))[0] > 0 for each in two(picture)]

    def two(picture: Image) -> tuple[Image, Image]:
        return picture, mirror(picture)

    hashed = map_in_threads(bits, planted.paths, "hashing")
    found = []
    for number, method in enumerate(("phash", "dhash", "whash", "pdqhash")):
        plain, mirrored = (
            np.stack([hashed[path][2 * number + side] for path in planted.paths]) for side in (0, 1)
        )
        known = plain[: planted.count]
        distances = np.minimum(
            _distances(plain[planted.count :], known), _distances(mirrored[planted.count :], known)
        )
        own = planted.twins[planted.original][:, None] == planted.twins
        trials = [
            Found(
                method,
                ((distances <= most) & own).any(axis=1),
                int(((distances <= most) & ~own).sum()),
            )
            for most in range(plain.shape[1] // 3)
        ]
        found.append(
            max(
                trials,
                key=lambda trial: (
                    2 * trial.found.sum() / (len(own) + trial.found.sum() + trial.false)
                ),
            )
        )
    return found


def _distances(a: BoolArray, b: BoolArray) -> Int64Array:
    x, y = 2.0 * a - 1, 2.0 * b - 1
    return np.rint((a.shape[1] - x @ y.T) / 2).astype(np.int64)


def describe(results: dict[str, tuple[Planted, list[Found]]], copies: int) -> str:
    """Return the tables: by catalogue, and by what was done, without what was fitted on."""
    methods = [each.method for each in next(iter(results.values()))[1]]
    by_set = [
        [f"{name}{' (fitted on)' * (name in FITTED_ON)}", f"{planted.count:,}"]
        + [f"{each.found.mean():.3f}, {each.precision:.3f}" for each in found]
        for name, (planted, found) in results.items()
    ]
    others = [pair for name, pair in results.items() if name not in FITTED_ON] or [
        *results.values()
    ]
    by_edit = []
    for edit in EDITS:
        cells = []
        for number in range(len(methods)):
            of_edit = [
                found[number].found[np.array(planted.edit) == edit] for planted, found in others
            ]
            cells.append(f"{np.concatenate(of_edit).mean():.3f}")
        by_edit.append([edit, *cells])
    names = [name for name in results if name not in FITTED_ON]
    return (
        f"`scripts/bench pictures DATA --sets {','.join(results)} --copies {copies}`: "
        f"{copies} pictures of each catalogue, each changed in "
        f"{len(EDITS)} ways, looked for among all its pictures. This project compares the "
        f"{NEAREST} nearest by efficientnet-lite0 pixel by pixel, as `prodcat audit --check "
        f"duplicates` does; imagehash {version('imagehash')} (64 bits) and pdqhash "
        f"{version('pdqhash')} (256 bits) compare all pairs, mirrored too, each at the threshold "
        "with the best F1 on the very catalogue. A pair counts as false unless the other picture "
        "is the original, or had an equal file or near-equal hash before.\n\n"
        "Recall, precision:\n\n"
        f"{table(['catalogue', 'pictures', *methods], by_set)}\n\n"
        f"Recall by what was done, on {' and '.join(names)}:\n\n"
        f"{table(['change', *methods], by_edit)}"
    )
