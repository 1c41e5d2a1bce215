"""Loading pictures as a person would see them."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, features

from prodcat_index.cards.pictures import MAX_PIXELS, Header, load_picture, read_header
from prodcat_index.errors import PictureError

RED, WHITE = (255, 0, 0), (255, 255, 255)


def saved(picture: Image.Image, path: Path, **options: Any) -> Path:
    picture.save(path, **options)
    return path


def pixels(path: Path) -> npt.NDArray[np.int_]:
    loaded = load_picture(path)
    assert loaded.mode == "RGB"
    return np.asarray(loaded).astype(int)


def check_colour(path: Path, colour: tuple[int, int, int], tolerance: int = 0) -> None:
    assert np.abs(pixels(path) - colour).max() <= tolerance


@pytest.mark.parametrize("ending", ["png", "bmp", "tiff", "gif", "webp", "jpg", "avif"])
def test_every_format_keeps_its_colour(tmp_path: Path, ending: str) -> None:
    if ending == "avif" and not features.check("avif"):
        pytest.skip("this Pillow was built without AVIF")
    path = saved(Image.new("RGB", (16, 8), RED), tmp_path / f"red.{ending}")
    assert load_picture(path).size == (16, 8)
    check_colour(path, RED, 0 if ending in ("png", "bmp", "tiff", "gif") else 8)


def test_a_stereo_photo_is_its_first_picture(tmp_path: Path) -> None:
    path = tmp_path / "stereo.mpo"
    frames = [Image.new("RGB", (16, 8), RED), Image.new("RGB", (16, 8), "blue")]
    frames[0].save(path, save_all=True, append_images=frames[1:])
    check_colour(path, RED, 8)


def test_the_content_counts_not_the_name(tmp_path: Path) -> None:
    check_colour(saved(Image.new("RGB", (4, 4), RED), tmp_path / "x.jpg", format="PNG"), RED)


@pytest.mark.parametrize("ending", ["jpg", "tiff"])
def test_a_red_print_picture_stays_red(tmp_path: Path, ending: str) -> None:
    """CMYK taken for RGB, or Adobe's inverted CMYK as it is, shows red lamps as cyan ones."""
    picture = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    path = saved(picture, tmp_path / f"print.{ending}")
    assert (b"Adobe" in path.read_bytes()) == (ending == "jpg")
    check_colour(path, RED, 8)


@pytest.mark.parametrize(("mode", "seen"), [("RGBA", (255, 127, 127)), ("LA", (127, 127, 127))])
def test_half_transparent_is_laid_on_white(
    tmp_path: Path, mode: str, seen: tuple[int, int, int]
) -> None:
    colour = (255, 0, 0, 128) if mode == "RGBA" else (0, 128)
    check_colour(saved(Image.new(mode, (4, 4), colour), tmp_path / "half.png"), seen, 1)


def test_hidden_colours_of_clear_pixels_do_not_show(tmp_path: Path) -> None:
    """Cut-out photos often hide black there: the product would get a black background."""
    check_colour(saved(Image.new("RGBA", (4, 4), (0, 0, 0, 0)), tmp_path / "clear.png"), WHITE)


@pytest.mark.parametrize("ending", ["png", "gif"])
def test_a_palette_with_a_clear_colour_is_laid_on_white(tmp_path: Path, ending: str) -> None:
    picture = Image.new("P", (2, 1))
    picture.putpalette([0, 0, 0, 255, 0, 0])
    picture.putpixel((1, 0), 1)
    path = saved(picture, tmp_path / f"palette.{ending}", transparency=0)
    assert pixels(path).tolist() == [[list(WHITE), list(RED)]]


def test_a_clear_colour_without_alpha_is_laid_on_white(tmp_path: Path) -> None:
    path = saved(Image.new("RGB", (2, 2), (0, 0, 9)), tmp_path / "a.png", transparency=(0, 0, 9))
    check_colour(path, WHITE)


def test_black_and_white_stays_so(tmp_path: Path) -> None:
    picture = Image.new("1", (2, 1))
    picture.putpixel((1, 0), 1)
    assert pixels(saved(picture, tmp_path / "fax.png"))[0, :, 0].tolist() == [0, 255]


@pytest.mark.parametrize(
    ("values", "grey"),
    [
        (np.array([[0, 32_896, 65_535]], dtype=np.uint16), [0, 128, 255]),
        (np.array([[0, 257, 514]], dtype=np.uint16), [0, 1, 2]),
        (np.array([[-5, 32_896, 65_535]], dtype=np.int32), [0, 128, 255]),
        (np.array([[0, 0.5, 1]], dtype=np.float32), [0, 128, 255]),
        (np.array([[0, 128, 255]], dtype=np.float32), [0, 128, 255]),
        (np.array([[np.nan, 0, 1e6]], dtype=np.float32), [0, 0, 255]),
        (np.array([[0, 0, 0]], dtype=np.float32), [0, 0, 0]),
    ],
    ids=["16 bits", "dark 16 bits", "32 bits", "unit floats", "byte floats", "any floats", "black"],
)
def test_deep_greys_are_scaled_not_clipped(
    tmp_path: Path, values: npt.NDArray[Any], grey: list[int]
) -> None:
    """A clipped 16-bit photo is a white square."""
    path = saved(Image.fromarray(values), tmp_path / "deep.tiff")
    assert pixels(path)[0, :, 0].tolist() == grey


def test_a_sixteen_bit_png_is_scaled(tmp_path: Path) -> None:
    path = saved(Image.fromarray(np.full((2, 2), 32_896, dtype=np.uint16)), tmp_path / "deep.png")
    check_colour(path, (128, 128, 128))


@pytest.mark.parametrize("ending", ["gif", "webp", "png", "tiff"])
def test_of_an_animation_the_first_frame_is_taken(tmp_path: Path, ending: str) -> None:
    frames = [Image.new("RGB", (8, 8), RED), Image.new("RGB", (8, 8), (0, 0, 255))]
    path = tmp_path / f"moving.{ending}"
    frames[0].save(path, save_all=True, append_images=frames[1:], lossless=True)
    check_colour(path, RED, 2)


def exif_of(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


@pytest.mark.parametrize("ending", ["jpg", "png", "webp", "tiff"])
def test_a_photo_from_a_phone_stands_upright(tmp_path: Path, ending: str) -> None:
    picture = Image.new("RGB", (32, 16), "black")
    picture.paste((255, 255, 255), (0, 0, 16, 16))
    path = saved(picture, tmp_path / f"phone.{ending}", exif=exif_of(6))
    upright = load_picture(path)
    assert upright.size == (16, 32)
    assert np.asarray(upright)[:12].min() > 200
    assert np.asarray(upright)[20:].max() < 55


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "exif", [b"Exif\x00\x00rubbish", b"Exif\x00\x00II*\x00\x08\x00\x00\x00\xff\xff", b"", b"Exif"]
)
def test_broken_exif_does_not_lose_the_picture(tmp_path: Path, exif: bytes) -> None:
    check_colour(saved(Image.new("RGB", (16, 16), RED), tmp_path / "x.jpg", exif=exif), RED, 8)


@pytest.mark.parametrize("size", [(1, 1), (1, 100), (100, 1), (30_000, 300)])
def test_odd_shapes_load_whole(tmp_path: Path, size: tuple[int, int]) -> None:
    path = saved(Image.new("RGB", size, RED), tmp_path / "odd.jpg")
    assert load_picture(path).size == size
    assert load_picture(path, min_side=224).size == size


@pytest.mark.parametrize(
    ("size", "min_side", "decoded"),
    [
        ((1600, 800), 100, (200, 100)),
        ((1600, 800), 101, (400, 200)),
        ((1600, 800), 224, (800, 400)),
        ((1600, 800), 800, (1600, 800)),
        ((100, 50), 224, (100, 50)),
    ],
)
def test_a_jpeg_is_decoded_no_smaller_than_needed(
    tmp_path: Path, size: tuple[int, int], min_side: int, decoded: tuple[int, int]
) -> None:
    path = saved(Image.new("RGB", size, RED), tmp_path / "large.jpg")
    picture = load_picture(path, min_side=min_side)
    assert picture.size == decoded
    assert np.abs(np.asarray(picture).astype(int) - RED).max() <= 8


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_other_jpegs_are_decoded_small_in_their_colours(tmp_path: Path, mode: str) -> None:
    path = saved(Image.new(mode, (800, 800), 0), tmp_path / "large.jpg")
    picture = load_picture(path, min_side=100)
    assert picture.size == (100, 100)
    assert np.asarray(picture).mean() == pytest.approx(0 if mode == "L" else 255, abs=3)


def test_min_side_does_not_change_other_formats(tmp_path: Path) -> None:
    path = saved(Image.new("RGB", (800, 800), RED), tmp_path / "large.png")
    assert load_picture(path, min_side=10).size == (800, 800)


def png_header(width: int, height: int) -> bytes:
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = b"IDAT" + zlib.compress(b"")
    chunks = ((body, 13), (data, len(data) - 4), (b"IEND", 0))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", size) + chunk + struct.pack(">I", zlib.crc32(chunk))
        for chunk, size in chunks
    )


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("width", [MAX_PIXELS // 1000 + 1, 100_000, 200_000, 4_000_000])
def test_a_bomb_is_refused_by_its_header(tmp_path: Path, width: int) -> None:
    """A picture of some kilobytes that unpacks to gigabytes would end the build."""
    path = tmp_path / "bomb.png"
    path.write_bytes(png_header(width, 1000))
    with pytest.raises(PictureError, match=r"^it is larger than 64 megapixels$"):
        load_picture(path)


def test_the_largest_picture_allowed_is_not_refused_for_its_size(tmp_path: Path) -> None:
    path = tmp_path / "large.png"
    path.write_bytes(png_header(MAX_PIXELS // 1000, 1000))
    with pytest.raises(PictureError) as error:
        load_picture(path)
    assert "megapixels" not in str(error.value)


@pytest.mark.parametrize("size", [(101, 1), (1, 101), (20_000, 2), (100_000, 1)])
@pytest.mark.parametrize("read", [load_picture, read_header])
def test_a_thin_picture_is_refused(
    tmp_path: Path, size: tuple[int, int], read: Callable[[Path], object]
) -> None:
    """A network scales the short side up first: 122 bytes take gigabytes and end the build."""
    path = saved(Image.new("1", size), tmp_path / "thin.png")
    with pytest.raises(PictureError, match=r"^it is more than 100 times as long as it is wide$"):
        read(path)


def with_scans(path: Path, repeated: int) -> Path:
    """Write a progressive JPEG whose last scan is repeated."""
    saved(Image.new("RGB", (16, 16), RED), path, progressive=True)
    content = path.read_bytes()
    last = content[content.rfind(b"\xff\xda") : -2]
    path.write_bytes(content[:-2] + last * repeated + b"\xff\xd9")
    return path


def test_a_jpeg_of_very_many_scans_is_refused(tmp_path: Path) -> None:
    """Each scan takes a hundred bytes and, of a large picture, 40 ms: a file could take hours."""
    check_colour(with_scans(tmp_path / "usual.jpg", 80), RED, 8)
    with pytest.raises(PictureError, match=r"^it has more than 100 scans$"):
        load_picture(with_scans(tmp_path / "many.jpg", 100))


def tiled_tiff(path: Path, side: int) -> Path:
    """Write a grey picture of 16 x 16 pixels in one tile of `side` x `side`."""
    data = zlib.compress(bytes(side * side))
    tags = [(256, 16), (257, 16), (258, 8), (259, 8), (262, 1), (277, 1)]
    tags += [(322, side), (323, side), (324, 8), (325, len(data))]
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    directory = struct.pack("<H", len(tags)) + entries + bytes(4)
    path.write_bytes(struct.pack("<2sHI", b"II", 42, 8 + len(data)) + data + directory)
    return path


def test_a_tile_larger_than_any_picture_is_refused(tmp_path: Path) -> None:
    """A tile is decoded whole: a picture of 16 x 16 pixels would take a gigabyte."""
    assert load_picture(tiled_tiff(tmp_path / "usual.tiff", 256)).size == (16, 16)
    with pytest.raises(PictureError, match=r"^it is larger than 64 megapixels$"):
        load_picture(tiled_tiff(tmp_path / "bomb.tiff", 8_016))


def test_a_large_picture_is_halved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sixteen threads, each with a picture of 64 megapixels, would take all memory."""
    monkeypatch.setattr("prodcat_index.cards.pictures.LARGE_PIXELS", 100)
    picture = Image.new("RGB", (40, 10), RED)
    picture.paste((0, 0, 255), (20, 0, 40, 10))
    loaded = load_picture(saved(picture, tmp_path / "large.png"))
    assert loaded.size == (20, 5)
    assert loaded.getpixel((9, 2)) == RED and loaded.getpixel((10, 2)) == (0, 0, 255)
    assert load_picture(saved(Image.new("RGB", (10, 10)), tmp_path / "a.png")).size == (10, 10)


@pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from /proc")
@pytest.mark.parametrize(("mode", "megabytes"), [("RGB", 450), ("RGBA", 700), ("I;16", 850)])
def test_the_largest_picture_takes_bounded_memory(
    tmp_path: Path, mode: str, megabytes: int
) -> None:
    """Copies of copies took 1.2 GB for a file of 250 KB."""
    path = saved(Image.new(mode, (8_000, 8_000)), tmp_path / "large.png")
    program = (
        "import resource, sys; import numpy, PIL.Image\n"
        "from prodcat_index.cards.pictures import load_picture\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "load_picture(sys.argv[1])\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, path], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < megabytes * 1024


def test_no_memory_for_a_picture_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", fail)
    with pytest.raises(PictureError, match=r"^there is not enough memory for it$"):
        load_picture(saved(Image.new("RGB", (4, 4)), tmp_path / "a.png"))


def test_a_truncated_file_is_named_so(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    for ending in ("jpg", "png"):
        path = saved(Image.fromarray(noise), tmp_path / f"noise.{ending}")
        path.write_bytes(path.read_bytes()[:2_000])
        with pytest.raises(PictureError, match=r"^the file is truncated$"):
            load_picture(path)


def test_a_damaged_file_is_never_a_crash(tmp_path: Path) -> None:
    """One broken file among 91,120 must not lose the other embeddings."""
    rng = np.random.default_rng(0)
    noise = Image.fromarray(rng.integers(0, 255, (16, 16, 3), dtype=np.uint8))
    for ending in ("jpg", "png", "gif", "webp", "bmp", "tiff"):
        content = saved(noise, tmp_path / f"x.{ending}").read_bytes()
        for _ in range(40):
            damaged = bytearray(content)
            for place in rng.integers(0, len(content), 8):
                damaged[place] = rng.integers(256)
            (tmp_path / "damaged").write_bytes(damaged)
            try:
                assert load_picture(tmp_path / "damaged").mode == "RGB"
            except PictureError as error:
                assert str(error)


@pytest.mark.parametrize("content", [b"hello", b"%!PS-Adobe-3.0 EPSF-3.0\n", b"<svg></svg>"])
def test_other_files_are_no_pictures(tmp_path: Path, content: bytes) -> None:
    """PostScript in particular would be run by an outside program."""
    (tmp_path / "x.jpg").write_bytes(content)
    with pytest.raises(PictureError, match=r"^it is not a picture of a known format$"):
        load_picture(tmp_path / "x.jpg")


def test_what_is_no_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty.jpg").touch()
    for path, reason in (
        (tmp_path / "empty.jpg", "^the file is empty$"),
        (tmp_path / "none.jpg", "^there is no such file$"),
        (tmp_path, "^it is a folder$"),
    ):
        with pytest.raises(PictureError, match=reason):
            load_picture(path)


def test_a_pipe_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    with pytest.raises(PictureError, match=r"^it is no regular file$"):
        load_picture(tmp_path / "pipe.jpg")


def test_a_locked_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(Image.new("RGB", (4, 4)), tmp_path / "locked.png")

    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Image, "open", refuse)
    with pytest.raises(PictureError, match=r"^reading it is not permitted$"):
        load_picture(path)


def test_no_picture_is_decoded_to_learn_its_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A catalogue of 91,000 photographs would take many minutes."""
    path = saved(Image.new("RGB", (30, 20)), tmp_path / "a.png")

    def decode(*_: object) -> None:
        raise AssertionError("decoded")

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", decode)
    assert read_header(path) == Header(30, 20, "PNG")


def test_a_photograph_on_its_side_is_measured_upright(tmp_path: Path) -> None:
    """Half of the portraits taken by telephone would count as landscapes."""
    exif = Image.Exif()
    exif[0x0112] = 6
    path = saved(Image.new("RGB", (40, 10)), tmp_path / "a.jpg", exif=exif)
    assert read_header(path) == Header(10, 40, "JPEG")


@pytest.mark.filterwarnings("error")
def test_measuring_a_picture_with_broken_exif_warns_of_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A line for each of 91,000 photographs would bury what matters."""
    exif = b"Exif\x00\x00II*\x00\x08\x00\x00\x00\xff\xff"
    path = saved(Image.new("RGB", (30, 20)), tmp_path / "a.jpg", exif=exif)
    assert read_header(path) == Header(30, 20, "JPEG")
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("side", [9_000, 60_000])
def test_a_header_of_too_many_pixels_is_refused(tmp_path: Path, side: int) -> None:
    """A file of 100 bytes could take all memory."""
    path = saved(Image.new("RGB", (1, 1)), tmp_path / "a.bmp")
    content = bytearray(path.read_bytes())
    content[18:26] = side.to_bytes(4, "little") * 2
    path.write_bytes(content)
    with pytest.raises(PictureError, match="larger than 64 megapixels"):
        read_header(path)
