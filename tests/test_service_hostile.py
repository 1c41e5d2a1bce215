"""Requests that mean harm, sent to a server of a real index: refused in words, and it goes on."""

from __future__ import annotations

import io
import json
import socket
import struct
import tempfile
import zipfile
import zlib
from pathlib import Path

import httpx
import pytest
from PIL import Image
from service import Served


def png(width: int, height: int) -> bytes:
    """A PNG of one colour and any size, of some kilobytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        checked = kind + data
        return struct.pack(">I", len(data)) + checked + struct.pack(">I", zlib.crc32(checked))

    packed, row = zlib.compressobj(9), bytes(1 + width // 8)
    rows = b"".join(packed.compress(row) for _ in range(min(height, 20_000))) + packed.flush()
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    parts = chunk(b"IHDR", header), chunk(b"IDAT", rows), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def zipped() -> bytes:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.jpg", bytes(10_000_000))
    return written.getvalue()


def picture(form: str) -> bytes:
    written = io.BytesIO()
    Image.new("RGB", (40, 40), "red").save(written, form)
    return written.getvalue()


SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>'
NO_PICTURES = {
    "bomb of 400 megapixels": png(20_000, 20_000),
    "bomb of another size than it says": png(60_000, 60_000),
    "zip": zipped(),
    "jpeg head and a zip": b"\xff\xd8\xff\xe0\x00\x10JFIF\x00" + zipped(),
    "cut": picture("JPEG")[:300],
    "svg": SVG,
    "html": b"<script>alert(1)</script>",
    "postscript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(/etc/passwd) run\n",
    "empty": b"",
    "pixels of a line": png(1, 19_000),
}


def refused(answer: httpx.Response, *statuses: int) -> str:
    assert answer.status_code in statuses, (answer.status_code, answer.text[:300])
    assert answer.headers["content-type"] == "application/problem+json"
    detail = str(answer.json()["detail"])
    assert tempfile.gettempdir() not in detail, "the file of an upload is nobody's business"
    assert detail.endswith((".", "?", "\u2026"))
    return detail


@pytest.mark.parametrize("content", NO_PICTURES.values(), ids=NO_PICTURES)
def test_a_file_that_is_no_picture_is_refused(served: Served, content: bytes) -> None:
    """Some kilobytes would take gigabytes, or a parser of another format would be asked."""
    for path in ("/predict", "/search"):
        files = {"image": ("a.jpg", content, "image/jpeg")}
        refused(served.client.post(path, files=files, data={"title": "boot"}), 413, 415, 422)


def test_an_upload_leaves_nothing_behind(served: Served) -> None:
    """A disk would be full of pictures that were asked about."""
    folder = Path(tempfile.gettempdir())
    before = set(folder.glob("prodcat-*"))
    good = {"image": ("../../x.jpg", picture("JPEG"), "image/jpeg")}
    assert served.client.post("/search", files=good).status_code == 200
    bad = {"image": ("x.jpg", SVG, "image/jpeg")}
    served.client.post("/search", files=bad)
    assert set(folder.glob("prodcat-*")) == before


TRAVERSALS = [
    "/../../../../etc/passwd",
    "/..%2f..%2f..%2f..%2fetc%2fpasswd",
    "/%2e%2e/%2e%2e/settings.py",
    "/..\\..\\settings.py",
    "/..%5csettings.py",
    "/....//settings.py",
    "/%00",
    "/style.css%00.js",
    "//etc/passwd",
    "/cards/../settings.py",
    "/cards/..%2f..%2f..%2fetc%2fpasswd",
    "/cards/..%2f..%2f..%2fetc%2fpasswd/image",
    "/cards/%2fetc%2fpasswd/image",
    "/cards/file:%2f%2f%2fetc%2fpasswd/image",
    "/cards/http:%2f%2f127.0.0.1%2f/image",
    "/cards/%ff%fe",
    "/cards/%00/image",
    "/templates/reference.html",
    "/cards/" + "x" * 20_000,
]


@pytest.mark.parametrize("path", TRAVERSALS)
def test_no_path_of_a_request_reaches_a_file(served: Served, path: str) -> None:
    """A stranger would read the tokens."""
    address = served.client.base_url
    with socket.create_connection((address.host, address.port or 80), timeout=20) as sent:
        sent.sendall(
            f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
        )
        answer = b""
        while part := sent.recv(65536):
            answer += part
    assert answer.split()[1] in (b"404", b"400", b"422"), answer[:200]
    assert b"root:" not in answer
    assert b"ServeSettings" not in answer


def test_ten_thousand_fields_are_refused(served: Served) -> None:
    fields = {f"field{n}": "x" for n in range(10_000)}
    files = {"image": ("x.jpg", picture("JPEG"), "image/jpeg")}
    refused(served.client.post("/predict", data=fields, files=files), 400, 413, 422)


@pytest.mark.parametrize(
    "body",
    [
        b'{"title": "\\ud800"}',
        b'{"title": "\xff\xfe"}',
        b'{"title": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"id": ' + b"9" * 100_000 + b"}",
        b'{"title": "x", "k": NaN}',
        b'{"title": {"$gt": ""}}',
        b'{"image": "http://169.254.169.254/"}',
        b'{"image": "/etc/passwd"}',
        b'{"title": "' + b"x" * 200_000 + b'"}',
        b"[]",
        b"null",
        b"",
        b"\x00",
    ],
    ids=lambda body: repr(body[:30]),
)
def test_json_that_is_no_listing_is_refused(served: Served, body: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    for path in ("/predict", "/search"):
        refused(served.client.post(path, content=body, headers=headers), 400, 413, 422)


@pytest.mark.parametrize(
    "query",
    [
        "k=9999999999999999999999",
        "k=-1",
        "k=NaN",
        "temperature=nan",
        "temperature=1e999",
        "prior_exponent=inf",
        "precision=2",
        "weights=title=1e999",
        "weights=" + "title=1," * 2000,
        "weights=__class__=1",
        "where=" + "(" * 5000,
        "where=title = '" + "x" * 20_000 + "'",
        "where=__import__('os')",
        "where=category = 'a' ; drop table cards",
        "where=%ff",
        "unknown=1",
    ],
    ids=lambda query: query[:24],
)
def test_a_parameter_that_is_impossible_is_refused(served: Served, query: str) -> None:
    answer = served.client.post(f"/predict?{query}", json={"title": "boot"})
    refused(answer, 422)


def test_a_deep_filter_is_answered_or_refused(served: Served) -> None:
    where = "not " * 1500 + "title = a"
    answer = served.client.get("/cards", params={"where": where})
    assert answer.status_code in (200, 422)


def test_lines_are_refused_one_by_one(served: Served) -> None:
    headers = {"Content-Type": "application/x-ndjson"}
    lines = "\n".join([json.dumps({"title": "boot"}), "{", json.dumps({"title": "x"})])
    assert "line 2" in refused(served.client.post("/predict", content=lines, headers=headers), 422)
    many = "\n".join(['{"title":"x"}'] * 1001)
    refused(served.client.post("/predict", content=many, headers=headers), 413)


def test_the_service_answers_after_all_that(served: Served) -> None:
    assert served.client.get("/readyz").status_code == 200
    assert served.client.post("/predict", json={"title": "boot"}).status_code == 200
