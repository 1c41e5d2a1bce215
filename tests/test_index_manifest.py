"""Checks of a manifest, which may come from a stranger."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from made import change_manifest

from prodcat_index.errors import IndexFolderError
from prodcat_index.index.folder import MANIFEST, read_manifest
from prodcat_index.index.manifest import FORMAT_VERSION


def refusal(folder: Path) -> str:
    with pytest.raises(IndexFolderError) as caught:
        read_manifest(folder)
    return str(caught.value)


def check_damaged(folder: Path, what: str) -> None:
    message = refusal(folder)
    assert message.startswith(f"The index {folder} is damaged (")
    assert what in message
    assert message.endswith("); copy it again or build it again.")


def rewrite(folder: Path, content: bytes) -> None:
    (folder / MANIFEST).write_bytes(content)


def test_the_manifest_describes_the_index(saved: Path) -> None:
    manifest = read_manifest(saved)
    assert (manifest.cards, manifest.labelled, manifest.categories) == (9, 8, 3)
    assert manifest.text_modalities == ("title", "description")
    assert [(b.name, b.modality, b.encoder, b.cards) for b in manifest.blocks] == [
        ("title", "title", "lexical", 9),
        ("description", "description", "lexical", 8),
    ]
    assert [block.weight for block in manifest.blocks] == [0.5, 0.5]
    assert manifest.search.dim == sum(block.dim + 1 for block in manifest.blocks)
    assert (manifest.vote.k, manifest.vote.temperature) == (10, 0.1)
    assert (manifest.version, manifest.format_version) == (1, FORMAT_VERSION)


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"[]", "manifest.json is not a JSON object"),
        (b"null", "manifest.json is not a JSON object"),
        (b"", "manifest.json cannot be read"),
        (b"{", "manifest.json cannot be read"),
        (b"\xff\xfe\x00", "manifest.json cannot be read"),
        (b"[" * 200_000, "manifest.json cannot be read"),
        (b'{"a":' * 200_000, "manifest.json cannot be read"),
        (b"9" * 100_000, "manifest.json cannot be read"),
        (b"{}", "the manifest has no format version"),
        (b'{"format_version": "1"}', "the manifest has no format version"),
        (b'{"format_version": true}', "the manifest has no format version"),
        (b'{"format_version": 1}', "version: Field required"),
    ],
    ids=range(12),
)
def test_what_is_no_manifest_is_refused_in_words(saved: Path, content: bytes, what: str) -> None:
    rewrite(saved, content)
    check_damaged(saved, what)


def test_a_newer_format_says_how_to_upgrade(saved: Path) -> None:
    """Even where nothing else of it can be understood."""
    rewrite(saved, json.dumps({"format_version": FORMAT_VERSION + 1, "new": []}).encode())
    assert refusal(saved) == (
        f"{saved} has index format {FORMAT_VERSION + 1} and this version reads up to "
        f"{FORMAT_VERSION}; upgrade with: pip install --upgrade prodcat-index"
    )


def test_an_enormous_manifest_is_not_even_read(saved: Path) -> None:
    with (saved / MANIFEST).open("r+b") as file:
        file.truncate(2**40)
    check_damaged(saved, "manifest.json is far too large")


def test_no_byte_of_a_manifest_can_change_unnoticed(saved: Path) -> None:
    """A weight of 0.6 in the place of 0.5 would change every answer, silently."""
    content = (saved / MANIFEST).read_bytes()
    for place in range(0, len(content), 37):
        for bit in (1, 4):
            changed = bytearray(content)
            changed[place] ^= bit
            rewrite(saved, bytes(changed))
            assert refusal(saved)
    for changed in (content[:-1], content + b" ", content.replace(b"\n ", b"\n  ", 1)):
        rewrite(saved, bytes(changed))
        check_damaged(saved, "its content is not that of its digest")


@pytest.mark.parametrize("path", ["manifest.json", "card.md", "versions/0001/manifest.json", "a/b"])
def test_what_is_no_data_of_a_version_is_not_taken_for_it(saved: Path, path: str) -> None:
    """The next delivery would be written behind the manifest."""
    change_manifest(saved, lambda manifest: manifest["blocks"][0].update(vectors=path))
    check_damaged(saved, f"the path {path!r} is not one of a version's data")


def test_files_whose_names_differ_in_letter_case_alone_are_refused(saved: Path) -> None:
    """On some systems they are one file, and on others two."""
    record = {"pieces": [[1, "0" * 64]]}
    change_manifest(saved, lambda m: m["files"].update({"versions/0001/CARDS.parquet": record}))
    check_damaged(saved, "two files differ in their letter case alone")


def test_twenty_thousand_files_are_refused(saved: Path) -> None:
    """Each of them would be opened."""
    record = {"pieces": [[1, "0" * 64]]}
    many = {f"versions/0001/{n}": record for n in range(20_000)}
    change_manifest(saved, lambda m: m["files"].update(many))
    check_damaged(saved, "files")


@pytest.mark.parametrize(("previous", "version"), [(1, 2), (2, 1), (1, 1)])
def test_a_change_that_made_another_version_is_refused(
    saved: Path, previous: int, version: int
) -> None:
    change_manifest(saved, lambda m: m["change"].update(previous=previous, version=version))
    check_damaged(saved, "the change is not the one that made this version")


HOSTILE_PATHS = [
    "../../etc/passwd",
    "versions/../../secret",
    "/etc/passwd",
    "..\\..\\secret",
    "C:/secret",
    "C:\\secret",
    "",
    ".",
    "..",
    "versions//0001",
    "versions/./0001",
    "versions/0001/",
    "versions/0001\n",
    "versions/\x00",
]


@pytest.mark.parametrize("path", HOSTILE_PATHS)
@pytest.mark.parametrize("field", ["vectors", "present", "mean", "fitted"])
def test_a_block_path_that_leaves_the_folder_is_refused(saved: Path, field: str, path: str) -> None:
    change_manifest(saved, lambda manifest: manifest["blocks"][0].update({field: path}))
    check_damaged(saved, f"blocks.0.{field}: Value error, the path {path!r} leaves the index")


@pytest.mark.parametrize("path", HOSTILE_PATHS)
def test_a_data_path_that_leaves_the_folder_is_refused(saved: Path, path: str) -> None:
    change_manifest(saved, lambda manifest: manifest.update(data=path))
    check_damaged(saved, f"data: Value error, the path {path!r} leaves the index")


@pytest.mark.parametrize("path", HOSTILE_PATHS)
def test_a_file_path_that_leaves_the_folder_is_refused(saved: Path, path: str) -> None:
    record = {"pieces": [[1, "0" * 64]]}
    change_manifest(saved, lambda manifest: manifest["files"].update({path: record}))
    check_damaged(saved, f"the path {path!r} leaves the index")


def number_of(field: str, value: Any) -> Callable[[Any], None]:
    return lambda manifest: manifest.update({field: value})


def of_block(field: str, value: Any) -> Callable[[Any], None]:
    return lambda manifest: manifest["blocks"][1].update({field: value})


def of_vote(field: str, value: Any) -> Callable[[Any], None]:
    return lambda manifest: manifest["vote"].update({field: value})


NAN, INFINITY = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("change", "where"),
    [
        (of_block("weight", NAN), "blocks.1.weight"),
        (of_block("weight", -0.5), "blocks.1.weight"),
        (of_block("weight", 1.5), "blocks.1.weight"),
        (of_block("weight", "0.5"), "blocks.1.weight"),
        (of_block("weight", INFINITY), "blocks.1.weight"),
        (of_block("dim", 0), "blocks.1.dim"),
        (of_block("dim", 2.0), "blocks.1.dim"),
        (of_block("dim", 2**40), "blocks.1.dim"),
        (of_block("dim", 500), "another dimension than its blocks together"),
        (of_block("dim", 5), "more columns are projected than there are"),
        (of_block("projected_dim", 0), "blocks.1.projected_dim"),
        (of_block("search_weight", -0.1), "blocks.1.search_weight"),
        (of_block("name", "title"), "two blocks have the same name"),
        (of_block("extra", 1), "blocks.1.extra"),
        (lambda manifest: manifest.update(categories=10**12), "in more categories"),
        (lambda manifest: manifest.update(labelled=10**12), "more cards are labelled than there"),
        (of_vote("temperature", 0.0), "vote.temperature"),
        (of_vote("temperature", NAN), "vote.temperature"),
        (of_vote("k", 0), "vote.k"),
        (lambda manifest: manifest["vote"].pop("k"), "vote: Value error, k is missing"),
        (lambda manifest: manifest.update(vote=3), "vote"),
        (of_vote("k", 10**9), "vote.k"),
        (of_vote("prior_exponent", NAN), "vote.prior_exponent"),
        (number_of("cards", -1), "cards"),
        (number_of("cards", 2**60), "cards"),
        (number_of("version", 0), "version"),
        (number_of("blocks", []), "blocks"),
        (number_of("text_modalities", [1]), "text_modalities.0"),
        (number_of("unheard_of", 1), "unheard_of"),
        (
            number_of("files", {"versions/a": {"pieces": [[1, "abc"]]}}),
            "files.versions/a.pieces.0.1",
        ),
    ],
)
def test_a_wrong_field_is_refused_by_its_name(
    saved: Path, change: Callable[[Any], None], where: str
) -> None:
    """A NaN weight would make every similarity NaN, silently."""
    change_manifest(saved, change)
    check_damaged(saved, where)


@pytest.mark.parametrize(
    "name",
    ["0-title.f16", "0-title.present.npy", "1-description.mean.npy", "cards.parquet", "search.f32"],
)
def test_a_file_that_is_read_must_be_listed(saved: Path, name: str) -> None:
    """What is not listed has no digest, and its damage would go unnoticed."""
    change_manifest(saved, lambda manifest: manifest["files"].pop(f"versions/0001/{name}"))
    check_damaged(saved, f"versions/0001/{name} is not among the files")


def grown(**change: Any) -> Callable[[Any], None]:
    """The index of nine cards, three of them added."""
    drift = {"block": "title", "cards": 3, "shift": 0.5, "chance": 0.5, **change.pop("drift", {})}
    growth = {"fitted_cards": 6, "tuned_cards": 6, "new_categories": 1, "new_category_cards": 2}
    return number_of("growth", {**growth, "drifts": [drift], **change})


def test_a_drift_that_fits_is_read(saved: Path) -> None:
    """Or the refusals below would be of something else."""
    change_manifest(saved, grown())
    drift = read_manifest(saved).drift
    assert drift is not None and (drift.fitted_cards, drift.blocks[0].shift) == (6, 0.5)


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"fitted_cards": 10, "tuned_cards": 10}, "fitted on more cards than it has"),
        ({"fitted_cards": -1}, "growth.fitted_cards"),
        ({"fitted_cards": 6.0}, "growth.fitted_cards"),
        ({"tuned_cards": 10}, "tuning or an encoder has seen more cards than exist"),
        ({"encoded_cards": 10}, "tuning or an encoder has seen more cards than exist"),
        ({"new_category_cards": 4}, "more cards are of new categories than were added"),
        ({"new_categories": 3}, "more cards are of new categories than were added"),
        ({"drift": {"block": "image"}}, "a drift is of a block that is not there"),
        ({"drift": {"cards": 4}}, "more cards have drifted than were added"),
        ({"drift": {"shift": NAN}}, "growth.drifts.0.shift"),
        ({"drift": {"chance": -0.1}}, "growth.drifts.0.chance"),
        ({"extra": 1}, "growth.extra"),
    ],
)
def test_a_drift_that_cannot_be_is_refused(saved: Path, change: dict[str, Any], where: str) -> None:
    """Cards that nothing was fitted on would pass for others, and rebuilding be advised in vain."""
    change_manifest(saved, grown(**change))
    check_damaged(saved, where)
