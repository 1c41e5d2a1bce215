"""Pictures that are one photo, whatever a seller did to it: mirrored, cropped, with a banner.

Hashes of whole pictures survive a smaller size and compression alone. Here two pictures are laid
over one another: scale, offset and mirroring are searched for coarsely (cross-correlation of
locally normalised pictures), then refined by robust least squares (Lucas and Kanade, 1981, with
weights of Cauchy). What then counts is how much of the detail agrees, tile by tile, so that a
banner or badge, which may be left out, does not hide what the rest has in common.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from prodcat_index.audit.graph import own_places
from prodcat_index.cards.picture_hashes import LEAST_CONTRAST
from prodcat_index.cards.pictures import load_picture
from prodcat_index.errors import PictureError
from prodcat_index.progress import map_in_threads
from prodcat_index.types import (
    MISSING,
    BoolArray,
    Float32Array,
    Float64Array,
    Int64Array,
    RowsLike,
    chunks,
    evenly_spaced,
)

SIDE, COARSE, HUES, TILES, PATCHES = 64, 32, 16, 16, 8
LOADED_SIDE = 2 * SIDE
TILE = SIDE // TILES
# Grey levels of noise, below which contrast is not raised; and the width, in pixels, of what
# counts as near, and of what is blurred away, as sizes and compression change it.
NOISE, NEARBY, BLUR = 8.0, 4.0, 1.0
# A crop to 0.85 of a side, and the other way round.
SCALES = (0.85, 0.925, 1.0, 1 / 0.925, 1 / 0.85)
FARTHEST = 4  # pixels of COARSE that a crop moves the middle by, at most
PERIOD = 36  # at least COARSE + FARTHEST, and quick to transform
LEAST_COARSE = 0.4
CROPPED = 0.02
# A cover counts if it adds more than this to what both have.
COVER_PRICE = 0.03
GREY = 128.0  # of both values of colour
STEPS, OUTLIER, LONGEST_STEP, MOST_SCALED = 5, 0.5, 0.1, 1.4
PAIRS_AT_ONCE = 256
# Of a logistic regression: constant, and slopes of what both have and of shade, each by its
# logarithm; docs/decisions/audit.md says on what it was fitted.
FITTED = (-8.5, 5.9, -2.45)
SAME = 0.5
OTHER_COLOUR = 20.0  # levels, from which colours differ by more than compression does
# Principal axes that embeddings are compared by, found among so many of them.
AXES, AXES_SAMPLE, ROWS_AT_ONCE = 96, 10_000, 8192
# More rows than these are compared in cells, of which each row looks into a part.
FEW_ROWS, CELLS_A_ROOT, ROWS_A_CELL, PROBED = 20_000, 4, 64, 0.05

# (n, SIDE**2 + 2 * HUES**2): luma of each pixel, and two of colour at a lower resolution.
Thumbnails = npt.NDArray[np.uint8]


class PictureMatches(NamedTuple):
    """How P pairs of pictures lie over one another."""

    alike: Float32Array  # (P,): share of the detail that both have, from 0 to 1
    shade: Float32Array  # (P,): largest difference of a tile's luma, in levels
    colour: Float32Array  # (P,): and of its colour
    cropped: BoolArray  # (P,)
    covered: BoolArray  # (P,): by a banner or badge, which was left out
    mirrored: BoolArray  # (P,)
    exact: BoolArray  # (P,): nothing was done

    @property
    def probability(self) -> Float64Array:
        """Probability that both are one photo in one colour: (P,), NaN where not compared."""
        return np.where(self.exact, 1.0, self._of_detail * ~(self.colour >= OTHER_COLOUR))

    @property
    def _of_detail(self) -> Float64Array:
        constant, *slopes = FITTED
        seen = np.stack([-np.log(1.02 - self.alike), np.log1p(self.shade)], axis=1)
        return np.asarray(1 / (1 + np.exp(-(constant + seen.astype(np.float64) @ slopes))))

    def describe(self, pair: int) -> str:
        """Return what was done to the picture in a clause; nothing where none was compared."""
        if self.exact[pair]:
            return "equal pictures"
        if np.isnan(self.alike[pair]):
            return ""
        if self.probability[pair] < SAME:
            is_recoloured = self._of_detail[pair] >= SAME
            return "same picture in other colours" if is_recoloured else "the pictures differ"
        done = {"mirrored": self.mirrored, "cropped": self.cropped, "partly covered": self.covered}
        return ", ".join(["same picture", *(what for what, is_so in done.items() if is_so[pair])])


def _gaussian(side: int, width: float) -> Float32Array:
    """Return a matrix that blurs a column."""
    at = np.arange(side)
    rows = np.exp(-0.5 * ((at[:, None] - at) / width) ** 2)
    return (rows / rows.sum(axis=1, keepdims=True)).astype(np.float32)


def _covers() -> Float32Array:
    """Return the tiles that count: all, or all but a bar above or below, or but one corner."""
    bars = [(rows, TILES) for height in (3, 4, 5) for rows in (height, -height)]
    corners = [(a * s, b * s) for s in (4, 6) for a in (1, -1) for b in (1, -1)]
    masks = np.ones((1 + len(bars) + len(corners), TILES, TILES), dtype=np.float32)
    for mask, (rows, columns) in zip(masks[1:], (*bars, *corners), strict=True):
        mask[_first(rows), _first(columns)] = 0
    return masks


def _first(count: int) -> slice:
    return slice(count) if count > 0 else slice(count, None)


NEAR_ROWS, BLUR_ROWS = _gaussian(SIDE, NEARBY), _gaussian(SIDE, BLUR)
COVERS = _covers()
PLACES = ((np.arange(SIDE) + 0.5) / SIDE * 2 - 1).astype(np.float32)  # from -1 to 1


def _thumbnail(path: str) -> Thumbnails | None:
    """Read a picture; None where it cannot be read, or is of one colour."""
    from PIL.Image import Resampling

    try:
        loaded = load_picture(path, LOADED_SIDE).resize((SIDE, SIDE), Resampling.BICUBIC)
    except PictureError:
        return None
    luma, *hues = loaded.convert("YCbCr").split()
    pixels = np.asarray(luma)
    if pixels.std() < LEAST_CONTRAST:
        return None
    small = [np.asarray(hue.reduce(SIDE // HUES)) for hue in hues]
    return np.concatenate([each.ravel() for each in (pixels, *small)])


def match_pictures(
    paths: Sequence[str], files: Int64Array, first: Int64Array, second: Int64Array, asked: BoolArray
) -> PictureMatches:
    """Compare the pictures of P pairs of N cards where it is asked for, and read these alone.

    ``files`` are codes of their contents, (N,), MISSING where there is none or it is not known.
    Pairs of one first picture are best put together, and take less time.
    """
    exact = asked & (files[first] == files[second]) & (files[first] != MISSING)
    near = np.flatnonzero(asked & ~exact)
    rows = np.unique(np.concatenate([first[near], second[near]])).tolist()
    named = list(dict.fromkeys(paths[row] for row in rows))
    read = map_in_threads(_thumbnail, named, "looking at pictures")
    thumbnails = {row: found for row in rows if (found := read[paths[row]]) is not None}
    near = near[np.isin(first[near], [*thumbnails]) & np.isin(second[near], [*thumbnails])]
    matches = _nothing(len(first))
    matches.alike[:] = np.where(exact, 1, np.nan)
    matches.exact[:] = exact

    def compare(start: int) -> None:
        part = near[start : start + PAIRS_AT_ONCE]
        seen, inverse = np.unique(np.stack([first[part], second[part]]), return_inverse=True)
        pixels = np.stack([thumbnails[row] for row in seen.tolist()])
        found = _compare(pixels, *inverse.reshape(2, -1))
        for all_pairs, some in zip(matches, found, strict=True):
            all_pairs[part] = some

    map_in_threads(compare, list(range(0, len(near), PAIRS_AT_ONCE)), "")
    return matches


def _nothing(count: int) -> PictureMatches:
    numbers = np.zeros((3, count), dtype=np.float32)
    said = np.zeros((4, count), dtype=bool)
    return PictureMatches(*numbers, *said)


def _compare(thumbnails: Thumbnails, a: Int64Array, b: Int64Array) -> PictureMatches:
    """Compare pairs of rows of thumbnails."""
    matches = _nothing(len(a))
    matches.exact[:] = (thumbnails[a] == thumbnails[b]).all(axis=1)
    luma, hues = np.split(thumbnails.astype(np.float32), [SIDE**2], axis=1)
    luma, hues = luma.reshape(-1, SIDE, SIDE), hues.reshape(-1, 2, HUES, HUES) - np.float32(GREY)
    detail = _detail(luma)
    placed, mirrored, score = _place(detail, a, b)
    near = np.flatnonzero(score >= LEAST_COARSE)
    if not len(near):
        return matches
    a, b, mirrored, placed = a[near], b[near], mirrored[near], placed[near]
    placed = _refine(_seen(detail, a, mirrored), detail[b], placed)
    own = _seen(luma, a, mirrored), _seen(hues, a, mirrored)
    found = *_judge(*own, luma[b], hues[b], placed), mirrored
    for all_pairs, some in zip(matches[:-1], found, strict=True):
        all_pairs[near] = some
    return matches


def _seen(pictures: Float32Array, rows: Int64Array, mirrored: BoolArray) -> Float32Array:
    """Return some of the pictures, some of these mirrored."""
    chosen = pictures[rows]
    chosen[mirrored] = chosen[mirrored][..., ::-1]
    return chosen


def _detail(luma: Float32Array) -> Float32Array:
    """Take lighting and contrast out of pictures."""
    luma = BLUR_ROWS @ luma @ BLUR_ROWS.T
    detail = luma - NEAR_ROWS @ luma @ NEAR_ROWS.T
    return detail / np.sqrt(NEAR_ROWS @ (detail * detail) @ NEAR_ROWS.T + NOISE**2)


def _place(
    detail: Float32Array, a: Int64Array, b: Int64Array
) -> tuple[Float32Array, BoolArray, Float32Array]:
    """Find the scale, offset and mirroring under which each pair correlates best.

    Returns (P, 2, 2): scale and offset of rows and of columns, as in :func:`_sample`; whether the
    first is mirrored; and the correlation.
    """
    from scipy.fft import irfft2, rfft2

    small = detail.reshape(len(detail), COARSE, 2, COARSE, 2).mean(axis=(2, 4))
    size = (PERIOD, PERIOD)
    target = rfft2(small, s=size)
    lengths = np.sqrt(np.square(small).sum(axis=(1, 2)))
    firsts, which = np.unique(a, return_inverse=True)
    shifts = np.r_[0 : FARTHEST + 1, -FARTHEST:0]
    best = np.full(len(a), -1, dtype=np.float32)
    placed = np.zeros((len(a), 2, 2), dtype=np.float32)
    placed[:, :, 0] = 1
    mirrored = np.zeros(len(a), dtype=bool)
    for mirror in (False, True):
        source = small[firsts, :, ::-1] if mirror else small[firsts]
        for scale in SCALES:
            sample = _sample(np.array([[scale, 0.0]]), COARSE)[0]
            scaled = sample @ source @ sample.T
            norm = np.sqrt(np.square(scaled).sum(axis=(1, 2)))[which] * lengths[b]
            product = target[b] * np.conj(rfft2(scaled, s=size))[which]
            scores = irfft2(product, s=size)[:, shifts[:, None], shifts].reshape(len(a), -1)
            at = scores.argmax(axis=1)
            score = scores[np.arange(len(a)), at] / np.maximum(norm, 1e-6)
            better = score > best
            best[better], mirrored[better] = score[better], mirror
            moved = np.stack([shifts[at // len(shifts)], shifts[at % len(shifts)]], axis=1)
            placed[better, :, 0] = scale
            placed[better, :, 1] = -scale * 2 / COARSE * moved[better]
    return placed, mirrored, best


def _sample(placed: npt.NDArray[Any], side: int) -> Float32Array:
    """Return matrices (P, side, side) that take a row x of the result from scale * x + offset.

    Places are from -1 to 1, between pixels linear; outside of the picture there are zeros.
    """
    places = (np.arange(side) + 0.5) / side * 2 - 1
    taken = (placed[:, :1] * places + placed[:, 1:] + 1) / 2 * side - 0.5
    return np.maximum(0, 1 - np.abs(taken[:, :, None] - np.arange(side))).astype(np.float32)


def _lay(pictures: Float32Array, placed: Float32Array) -> tuple[Float32Array, Float32Array]:
    """Return pictures laid over their seconds, and how much of each pixel they cover."""
    down, across = (_sample(placed[:, axis], pictures.shape[-1]) for axis in (0, 1))
    covered = down.sum(axis=2)[:, :, None] * across.sum(axis=2)[:, None, :]
    return down @ pictures @ across.transpose(0, 2, 1), covered


def _refine(laid: Float32Array, target: Float32Array, placed: Float32Array) -> Float32Array:
    """Improve scales and offsets by robust least squares."""
    count = len(laid)
    for _ in range(STEPS):
        moved, covered = _lay(laid, placed)
        miss = target - moved
        weight = (covered > 0.5) / (1 + np.square(miss / OUTLIER))
        down, across = np.gradient(moved, 2 / SIDE, axis=(1, 2))
        down /= placed[:, 0, :1, None]
        across /= placed[:, 1, :1, None]
        slopes = [down * PLACES[:, None], down, across * PLACES, across]
        slope = np.stack(slopes, axis=-1).reshape(count, -1, 4)
        weighed = (slope * weight.reshape(count, -1, 1)).transpose(0, 2, 1)
        normal = weighed @ slope
        # So that a picture without detail in one direction stays where it is.
        damping = 1e-3 * (1 + np.trace(normal, axis1=1, axis2=2))
        normal += damping[:, None, None] * np.eye(4, dtype=np.float32)
        step = np.linalg.solve(normal, weighed @ miss.reshape(count, -1, 1))[..., 0]
        placed = placed + np.clip(step, -LONGEST_STEP, LONGEST_STEP).reshape(count, 2, 2)
        placed[:, :, 0] = np.clip(placed[:, :, 0], 1 / MOST_SCALED, MOST_SCALED)
    return placed


def _judge(
    luma: Float32Array,
    hues: Float32Array,
    target_luma: Float32Array,
    target_hues: Float32Array,
    placed: Float32Array,
) -> tuple[Float32Array, Float32Array, Float32Array, BoolArray, BoolArray]:
    """Compare tile by tile what lies over one another, without a banner or badge.

    Returns how much is alike, shade and colour, and whether the first is cropped and covered.
    """
    moved, covered = _lay(luma, placed)
    inside = (covered > 0.9).astype(np.float32)
    # What lies outside is as the second is, so that no edge is made.
    moved += (target_luma - moved) * (1 - inside)
    own, other = (_detail(each) * inside for each in (moved, target_luma))
    both, most = _tiles(own * other), np.maximum(_tiles(own * own), _tiles(other * other))
    # A tile weighs as much as the detail in it; where that of the two differs, it does not agree.
    counts = _tiles(inside) > TILE**2 / 3
    agreed, most = np.clip(both, 0, most) * counts, most * counts
    shares = _covered_sums(agreed) / np.maximum(_covered_sums(most), 1e-6)
    best = (shares - np.where(np.arange(len(COVERS)), COVER_PRICE, 0)).argmax(axis=1)
    # Of coarser tiles, so that sharp edges may be half a pixel off.
    counted = _tiles(COVERS[best] * counts, PATCHES) == (TILES // PATCHES) ** 2
    shade = np.abs(_tiles(moved - target_luma, PATCHES)) / (SIDE // PATCHES) ** 2
    gaps = []
    for hue in (0, 1):
        moved, _ = _lay(hues[:, hue], placed)
        gaps.append(_tiles(moved - target_hues[:, hue], PATCHES) / (HUES // PATCHES) ** 2)
    darker, other_colour = ((each * counted).max(axis=(1, 2)) for each in (shade, np.hypot(*gaps)))
    is_cropped = np.abs(np.log(placed[:, :, 0])).max(axis=1) > CROPPED
    return shares[np.arange(len(luma)), best], darker, other_colour, is_cropped, best > 0


def _covered_sums(tiles: Float32Array) -> Float32Array:
    """Add up the tiles that count under each cover: (P, covers)."""
    # A product of matrices would depend on how many pairs there are.
    return np.einsum("pyx,cyx->pc", tiles, COVERS)


def _tiles(values: Float32Array, side: int = TILES) -> Float32Array:
    """Add up the pixels of each of side * side tiles: (P, side, side)."""
    size = values.shape[-1] // side
    return values.reshape(len(values), side, size, side, size).sum(axis=(2, 4))


def nearest_pictures(vectors: RowsLike, present: BoolArray, count: int) -> Int64Array:
    """Return the rows of the pictures nearest to each of N by their embeddings: (N, count).

    The card itself is left out; MISSING where there are no more. The rows are compared by their
    first principal axes, in so many cells that time grows as the power 1.5 of N.
    """
    import faiss

    rows = np.flatnonzero(present)
    found = np.full((len(present), count), MISSING, dtype=np.int64)
    if len(rows) < 2:
        return found
    sample = np.asarray(vectors[rows[evenly_spaced(len(rows), AXES_SAMPLE)]], dtype=np.float32)
    _, axes = np.linalg.eigh(sample.T @ sample)
    reduced = np.concatenate(
        [
            np.asarray(vectors[rows[part]], dtype=np.float32) @ axes[:, -AXES:]
            for part in chunks(len(rows), ROWS_AT_ONCE)
        ]
    )
    cells = int(CELLS_A_ROOT * np.sqrt(len(rows))) if len(rows) > FEW_ROWS else 1
    reduced = np.ascontiguousarray(reduced, dtype=np.float32)
    flat = faiss.IndexFlatIP(reduced.shape[1])
    index: Any = flat
    if cells > 1:
        index = faiss.IndexIVFFlat(flat, reduced.shape[1], cells, faiss.METRIC_INNER_PRODUCT)
        index.nprobe = max(1, int(PROBED * cells))
        index.train(reduced[evenly_spaced(len(rows), ROWS_A_CELL * cells)])
    index.add(reduced)
    _, near = index.search(reduced, min(count + 1, len(rows)))
    others = near[~own_places(near, np.arange(len(rows)))].reshape(len(rows), -1)
    found[rows, : others.shape[1]] = np.where(others >= 0, rows[others], MISSING)
    return found
