"""What a service is run with: who may use it, and what is refused before it listens."""

from __future__ import annotations

from pathlib import Path

import pytest

from prodcat_index.errors import QueryError
from prodcat_index.service.settings import (
    Limits,
    ServeSettings,
    check_rate,
    is_private,
    read_tokens,
)

ANN, BOB = "0123456789abcdef", "fedcba9876543210-_.~+/="


def written(folder: Path, text: str) -> Path:
    path = folder / "tokens"
    path.write_text(text, encoding="utf-8")
    return path


def test_tokens_are_read_with_the_names_of_their_owners(tmp_path: Path) -> None:
    text = f"# people\n\nann:{ANN}\n back office : {BOB} \n"
    assert read_tokens(written(tmp_path, text)) == {ANN: "ann", BOB: "back office"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ann\n", "Line 1 .* is not NAME:TOKEN"),
        (f"\nann:{ANN} {ANN}\n", "Line 2"),
        (f"a\tb:{ANN}\n", "Line 1"),
        ("ann:0123456789abcde\n", "token of ann .* could be guessed: it has 15 characters"),
        (f"ann:{ANN}\nbob:{ANN}\n", "ann and bob have the same token"),
        ("# nobody\n", "has no token"),
    ],
)
def test_a_token_file_that_would_not_protect_is_refused(
    tmp_path: Path, text: str, said: str
) -> None:
    """A service would run with a token that is guessed, or is not who it seems."""
    with pytest.raises(QueryError, match=said) as raised:
        read_tokens(written(tmp_path, text))
    assert ANN not in str(raised.value)


def test_a_token_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(QueryError, match=r"none cannot be read: No such file"):
        read_tokens(tmp_path / "none")
    (tmp_path / "binary").write_bytes(b"ann:\xff")
    with pytest.raises(QueryError, match="binary cannot be read: it is no UTF-8"):
        read_tokens(tmp_path / "binary")


def test_a_file_that_all_users_may_read_is_not_private(tmp_path: Path) -> None:
    path = written(tmp_path, ANN)
    path.chmod(0o640)
    assert is_private(path)
    path.chmod(0o644)
    assert not is_private(path)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"host": "0.0.0.0"}, "Whoever reaches 0.0.0.0 could ask this service; give --token-file"),
        ({"writable": True}, "give --token-file"),
        ({"path_prefix": "prodcat"}, "'prodcat' is no path prefix; give one such as /prodcat"),
        ({"path_prefix": "/a b"}, "'/a b' is no path prefix; give one such as /prodcat"),
        ({"limits": Limits(rate="often")}, "'often' is no rate; give one such as 600/minute"),
    ],
)
def test_settings_that_let_strangers_in_are_refused(options: dict[str, object], said: str) -> None:
    with pytest.raises(QueryError, match=said):
        ServeSettings(Path("index"), **options)  # type: ignore[arg-type]


def test_settings_do_not_show_tokens() -> None:
    """They would stand in a log or a traceback."""
    settings = ServeSettings(Path("index"), host="0.0.0.0", writable=True, tokens={ANN: "ann"})
    assert ANN not in repr(settings)


def test_a_rate_is_checked_before_the_service_runs() -> None:
    assert check_rate("600/minute") == ""
    assert "is no rate" in check_rate("often")


def test_a_file_for_the_queue_that_is_not_there_is_named(tmp_path: Path) -> None:
    """The service would start with an empty queue."""
    with pytest.raises(QueryError, match=r"no file .*none\.csv, which is to fill the review queue"):
        ServeSettings(tmp_path, reviews=(tmp_path / "none.csv",))
