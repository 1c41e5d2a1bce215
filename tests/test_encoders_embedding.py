"""Embedding through the cache: the same answers, and nothing embedded twice, whatever happens."""

from __future__ import annotations

import math
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import made
import numpy as np
import pytest
from counting import DIM, UNREADABLE, CountingEncoder, digest, texts
from hypothesis import given, settings
from hypothesis import strategies as st

from prodcat_index import ProductIndex
from prodcat_index.encoders import embedding
from prodcat_index.encoders.base import Encoded, Encoder
from prodcat_index.encoders.cache import EmbeddingCache
from prodcat_index.encoders.embedding import FEWEST_STORED, embed
from prodcat_index.encoders.lexical import LexicalEncoder
from prodcat_index.encoders.registry import SCHEMES, make_encoder

TESTS = Path(__file__).parent


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for the cache, so that no test touches the user's."""
    monkeypatch.setenv("PRODCAT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def cache(folder: Path) -> EmbeddingCache:
    return EmbeddingCache(folder)


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    """Twenty files that stand for pictures, each of other bytes."""
    (tmp_path / "files").mkdir()
    paths = [tmp_path / "files" / f"{number}.jpg" for number in range(20)]
    for number, path in enumerate(paths):
        path.write_bytes(bytes([number]) * (number + 1))
    return [str(path) for path in paths]


def same(one: Encoded, other: Encoded) -> bool:
    return (
        one.vectors.dtype == other.vectors.dtype == np.float32
        and one.vectors.shape == other.vectors.shape
        and one.vectors.tobytes() == other.vectors.tobytes()
        and one.present.tolist() == other.present.tolist()
        and {reason: list(places) for reason, places in one.problems.items()}
        == {reason: list(places) for reason, places in other.problems.items()}
    )


@pytest.mark.parametrize("spec", ["efficientnet-lite0"])
def test_real_pictures_come_from_the_cache_bit_for_bit(
    spec: str, cache: EmbeddingCache, tmp_path: Path
) -> None:
    """A cached index would answer otherwise than a fresh one."""
    pictures = [str(path) for path in made.draw_pictures(tmp_path, 17)]
    encoder = make_encoder(spec)
    fresh = embed(encoder, pictures, cache=cache)
    assert cache.summary().entries == 17
    assert same(embed(encoder, pictures, cache=cache), fresh)
    assert same(fresh, encoder.encode(pictures))


value = st.one_of(
    st.sampled_from(["", "a", "b", f"{UNREADABLE} 1", f"{UNREADABLE} 2", "\ud800", "\0", "é", "é"]),
    st.text(st.characters(), max_size=3),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(value, max_size=40), st.lists(value, max_size=40), st.integers(1, 9))
def test_any_values_give_what_the_encoder_gives(
    before: list[str], values: list[str], batch: int
) -> None:
    """Rows, gaps and reported problems must not depend on what was embedded before, or how."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setitem(embedding.BATCH, "text", batch)
        cache = EmbeddingCache(Path(folder))
        embed(CountingEncoder(), before, cache=cache)
        encoder = CountingEncoder()
        assert same(embed(encoder, values, cache=cache), CountingEncoder().encode(values))
        known = set(before) if len(before) >= FEWEST_STORED else set()
        expected = {v for v in values if v and (v not in known or UNREADABLE in v)}
        assert sorted(encoder.embedded) == sorted(expected)


def test_only_changed_cards_are_embedded_again(cache: EmbeddingCache) -> None:
    """A shop that changes ten cards a day would wait for its whole catalogue every day."""
    embed(CountingEncoder(), texts(0, 1000), cache=cache)
    changed = texts(0, 1000)
    changed[17], changed[900] = "new title", "another new title"
    encoder = CountingEncoder()
    encoded = embed(encoder, changed, cache=cache)
    assert encoder.calls == [["new title", "another new title"]]
    assert same(encoded, CountingEncoder().encode(changed))


def test_a_few_changes_far_apart_make_one_batch(
    cache: EmbeddingCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A network that is given a picture at a time works far below its speed."""
    monkeypatch.setitem(embedding.BATCH, "text", 10)
    embed(CountingEncoder(), texts(0, 100), cache=cache)
    encoder = CountingEncoder()
    embed(encoder, [t for n in range(100) for t in (f"text {n}", f"new {n}")][:50], cache=cache)
    assert [len(call) for call in encoder.calls] == [10, 10, 5]


def test_another_fingerprint_embeds_everything_anew(cache: EmbeddingCache) -> None:
    """Rows of the old weights would stay in the index after the model was changed."""
    embed(CountingEncoder(fingerprint="one"), texts(0, 20), cache=cache)
    other = CountingEncoder(fingerprint="two")
    assert same(
        embed(other, texts(0, 20), cache=cache),
        CountingEncoder(fingerprint="two").encode(texts(0, 20)),
    )
    assert len(other.embedded) == 20


def test_a_renamed_picture_is_known(cache: EmbeddingCache, files: list[str]) -> None:
    """Moving the folder of pictures would cost hours of embedding."""
    before = embed(CountingEncoder("picture"), files, cache=cache)
    moved = [shutil.move(path, f"{path}.renamed") for path in files]
    encoder = CountingEncoder("picture")
    assert same(embed(encoder, moved, cache=cache), before)
    assert encoder.calls == []


def test_a_picture_of_other_content_is_embedded_under_its_old_name(
    cache: EmbeddingCache, files: list[str]
) -> None:
    """A card with a new photo would be found by its old one for ever."""
    embed(CountingEncoder("picture"), files, cache=cache)
    Path(files[3]).write_bytes(b"a new photo")
    encoder = CountingEncoder("picture")
    encoded = embed(encoder, files, cache=cache)
    assert encoder.embedded == [files[3]]
    assert same(encoded, CountingEncoder("picture").encode(files))


def test_equal_pictures_under_different_names_are_embedded_once(
    cache: EmbeddingCache, files: list[str]
) -> None:
    """Shops reuse one photo for many cards, and would pay for each."""
    copies = [shutil.copy(path, f"{path}.copy") for path in files]
    encoder = CountingEncoder("picture")
    encoded = embed(encoder, files + copies + files, cache=cache)
    assert encoder.embedded == files
    assert same(encoded, CountingEncoder("picture").encode(files + copies + files))


def test_a_picture_that_changes_while_it_is_embedded_is_not_stored(
    cache: EmbeddingCache, files: list[str]
) -> None:
    """The row of one picture would be kept under the content of another, for every later run."""

    class Interrupted(CountingEncoder):
        def encode(self, values: Sequence[str], *, label: str = "") -> Encoded:
            Path(files[5]).write_bytes(b"exported again meanwhile")
            return super().encode(values, label=label)

    content = Path(files[5]).read_bytes()
    embed(Interrupted("picture"), files, cache=cache)
    assert cache.summary().entries == 19
    Path(files[5]).write_bytes(content)
    encoder = CountingEncoder("picture")
    assert same(embed(encoder, files, cache=cache), CountingEncoder("picture").encode(files))
    assert encoder.embedded == [files[5]]


def test_pictures_that_cannot_be_read_are_reported_every_time(
    cache: EmbeddingCache, tmp_path: Path
) -> None:
    """The second build would not tell any more which cards have no usable picture."""
    good = [str(path) for path in made.draw_pictures(tmp_path, 16)]
    damaged, copy = tmp_path / "damaged.jpg", tmp_path / "copy.jpg"
    for path in (damaged, copy):
        path.write_bytes(b"\xff\xd8\xff no picture")
    missing, folder = str(tmp_path / "missing.jpg"), str(tmp_path)
    strange = "nul\0.jpg", "lone \ud800.jpg"
    values = [str(damaged), *good, missing, "", folder, str(copy), missing, *strange]
    encoder = make_encoder("efficientnet-lite0")
    expected = encoder.encode(values)
    assert sorted(place for places in expected.problems.values() for place in places) == [
        0, 17, 19, 20, 21, 22, 23
    ]  # fmt: skip
    for _ in range(2):
        assert same(embed(encoder, values, cache=cache), expected)
    assert cache.summary().entries == 16


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes are of POSIX systems")
def test_a_named_pipe_is_not_waited_for(
    cache: EmbeddingCache, files: list[str], tmp_path: Path
) -> None:
    """A build over a folder with a pipe in it would hang for ever."""
    pipe = tmp_path / f"pipe {UNREADABLE} 1"
    os.mkfifo(pipe)
    encoded = embed(CountingEncoder("picture"), [*files, str(pipe)], cache=cache)
    assert encoded.problems == {"it is 1": [20]}


def test_a_file_beyond_the_limit_is_embedded_without_the_cache(
    cache: EmbeddingCache, files: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A film named .jpg would be read from end to end at every build."""
    monkeypatch.setattr(embedding, "MAX_HASHED_BYTES", 10)
    for _ in range(2):
        encoder = CountingEncoder("picture")
        assert same(embed(encoder, files, cache=cache), CountingEncoder("picture").encode(files))
    assert encoder.embedded == files[10:]


def test_a_single_query_is_looked_up_and_not_stored(cache: EmbeddingCache) -> None:
    """Every look-up would wait for the disk longer than for the encoder."""
    embed(CountingEncoder(), texts(0, 20), cache=cache)
    known, unknown = CountingEncoder(), CountingEncoder()
    embed(known, ["text 3"], cache=cache)
    embed(unknown, ["red boots"], cache=cache)
    assert (known.embedded, unknown.embedded) == ([], ["red boots"])
    assert cache.summary().entries == 20


@pytest.mark.parametrize("values", [[], ["", ""]])
def test_nothing_to_embed_asks_nobody(cache: EmbeddingCache, values: list[str]) -> None:
    """A catalogue without pictures would fail in the middle of a build."""
    encoder = CountingEncoder()
    encoded = embed(encoder, values, cache=cache)
    assert encoded.vectors.shape == (len(values), DIM) and not encoded.present.any()
    assert encoder.calls == []


def test_without_a_cache_the_encoder_is_asked(cache: EmbeddingCache) -> None:
    """PRODCAT_CACHE=off would leave the user without embeddings."""
    encoder = CountingEncoder()
    assert same(embed(encoder, texts(0, 20), cache=None), CountingEncoder().encode(texts(0, 20)))
    assert encoder.embedded == texts(0, 20)


def test_an_encoder_that_is_fitted_on_the_catalogue_is_not_cached(cache: EmbeddingCache) -> None:
    """Each catalogue would fill the cache with rows that no other can use."""
    encoder = LexicalEncoder(4)
    encoder.fit(texts(0, 30))
    assert same(embed(encoder, texts(0, 30), cache=cache), encoder.encode(texts(0, 30)))
    assert cache.summary().entries == 0


def test_an_unusable_folder_costs_no_answer(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A read-only home must cost speed alone."""
    folder.write_text("a file where the folder should be")
    encoded = embed(CountingEncoder(), texts(0, 2000), cache=EmbeddingCache(folder))
    assert same(encoded, CountingEncoder().encode(texts(0, 2000)))
    assert capsys.readouterr().err.count("note: ") == 1


class _Bars:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.drawn: list[tuple[int, str]] = []
        self.steps: list[int] = []
        monkeypatch.setattr(embedding, "progress_bar", self._open)

    def _open(self, total: int, label: str, unit: str) -> _Bars:
        self.drawn.append((total, label))
        return self

    def __enter__(self) -> _Bars:
        return self

    def __exit__(self, *_: object) -> None: ...

    def update(self, steps: int) -> None:
        self.steps.append(steps)


def test_one_bar_counts_every_distinct_value_once(
    cache: EmbeddingCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The time left would be that of one batch, or run beyond the end."""
    monkeypatch.setitem(embedding.BATCH, "text", 10)
    embed(CountingEncoder(), texts(20, 50), cache=cache)
    bars = _Bars(monkeypatch)
    embed(CountingEncoder(), texts(0, 105) + texts(0, 7) + [""], label="title", cache=cache)
    assert bars.drawn == [(105, "title")]
    assert sum(bars.steps) == 105 and len(bars.steps) > 10


class RegisteredEncoder(CountingEncoder):
    """One that the registry can make; its calls are told by the class."""

    reads = "text"
    all_calls: list[list[str]] = []  # noqa: RUF012

    def __init__(self) -> None:
        super().__init__()
        self.calls = self.all_calls


def test_an_index_is_built_again_and_queried_without_embedding(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The commands would not use the cache at all."""
    monkeypatch.setitem(SCHEMES, "counting", f"{__name__}:RegisteredEncoder")
    RegisteredEncoder.all_calls.clear()
    cards = made.catalogue(
        [{**made.CARDS[n % 9], "id": str(n), "title": f"card {n}"} for n in range(20)]
    )
    encoders = {"title": "counting"}
    first = ProductIndex.build(cards, encoders=encoders)
    assert RegisteredEncoder.all_calls == [[f"card {n}" for n in range(20)]]
    second = ProductIndex.build(cards, encoders=encoders)
    second.predict(cards)
    assert len(RegisteredEncoder.all_calls) == 1
    assert [b.vectors.tobytes() for b in first.parts.blocks] == [
        b.vectors.tobytes() for b in second.parts.blocks
    ]


def start(
    log: Path, seconds: float, batch: int, first: int, stop: int, stored_every: float = math.inf
) -> subprocess.Popen[str]:
    arguments = map(str, (log, seconds, batch, first, stop, stored_every))
    return subprocess.Popen(
        [sys.executable, str(TESTS / "counting.py"), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def logged(log: Path) -> list[str]:
    return log.read_text(encoding="utf-8").splitlines() if log.exists() else []


@pytest.mark.skipif(os.name != "posix", reason="kill -9 is of POSIX systems")
def test_after_a_kill_the_next_run_embeds_only_the_rest(
    cache: EmbeddingCache, tmp_path: Path
) -> None:
    """A power cut in the tenth hour of embedding would cost ten hours."""
    log = tmp_path / "log"
    process = start(log, 0.005, 20, 0, 400)
    deadline = time.monotonic() + 60
    while len(logged(log)) < 110 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "the run ended before it could be killed"
    process.communicate()
    done = logged(log)
    assert 110 <= len(done) < 400
    encoder = CountingEncoder()
    encoded = embed(encoder, texts(0, 400), cache=cache)
    stored = 400 - len(encoder.embedded)
    assert stored % 20 == 0 and len(done) - 20 <= stored <= len(done)
    assert encoder.embedded == texts(stored, 400)
    assert same(encoded, CountingEncoder().encode(texts(0, 400)))


@pytest.mark.skipif(os.name != "posix", reason="kill -9 is of POSIX systems")
@pytest.mark.parametrize("stop", [signal.SIGKILL, signal.SIGINT])
def test_a_slow_run_that_is_stopped_keeps_what_it_had_done_within_a_batch(
    cache: EmbeddingCache, tmp_path: Path, stop: signal.Signals
) -> None:
    """A large network takes minutes for a batch, all of which a stop would cost."""
    log = tmp_path / "log"
    process = start(log, 0.01, 10_000, 0, 1000, 0.2 if stop == signal.SIGKILL else math.inf)
    deadline = time.monotonic() + 60
    while len(logged(log)) < 110 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(stop)
    process.communicate()
    assert process.returncode != 0, "the run ended before it could be stopped"
    done = logged(log)
    assert 110 <= len(done) < 1000
    encoder = CountingEncoder()
    encoded = embed(encoder, texts(0, 1000), cache=cache)
    stored = 1000 - len(encoder.embedded)
    # Within 0.2 seconds some 20 texts are embedded; an interrupt stores all that it has.
    assert len(done) - (1 if stop == signal.SIGINT else 60) <= stored <= len(done)
    assert encoder.embedded == texts(stored, 1000)
    assert same(encoded, CountingEncoder().encode(texts(0, 1000)))


@pytest.mark.parametrize("damaged", [False, True])
def test_processes_at_once_share_one_cache(
    cache: EmbeddingCache, folder: Path, tmp_path: Path, damaged: bool
) -> None:
    """Two builds started together would stop each other, or spoil the file for both."""
    if damaged:
        folder.mkdir()
        cache.path.write_bytes(b"not a database " * 1000)
    ranges = [(0, 300), (100, 400), (0, 300)]
    processes = [
        start(tmp_path / f"log{number}", 0.0005, 5, first, stop)
        for number, (first, stop) in enumerate(ranges)
    ]
    notes = []
    for process, (first, stop) in zip(processes, ranges, strict=True):
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        assert out.strip() == digest(CountingEncoder().encode(texts(first, stop)))
        notes += err.splitlines()
    assert len(notes) == damaged, notes
    assert cache.summary().entries == 400
    encoder = CountingEncoder()
    assert same(embed(encoder, texts(0, 400), cache=cache), CountingEncoder().encode(texts(0, 400)))
    assert encoder.calls == []


def test_a_full_disk_costs_no_answer(folder: Path) -> None:
    """A full disk must cost speed alone."""
    pytest.importorskip("resource", reason="file size limits are of POSIX systems")
    code = (
        "import resource, counting; resource.setrlimit(resource.RLIMIT_FSIZE, (60000, 60000)); "
        "counting.main('/dev/null', '0', '50', '0', '2000')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=TESTS, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == digest(CountingEncoder().encode(texts(0, 2000)))
    assert done.stderr.count("note: embeddings are not cached") == 1
    assert 0 < EmbeddingCache(folder).summary().entries < 2000, "what fitted is kept, and whole"


def test_the_contract_says_which_encoders_are_cached() -> None:
    """A new encoder would be left out of the cache without anybody noticing."""
    assert Encoder.cached and not LexicalEncoder.cached
