"""A real browser, and pages that it opens, for the tests of the page."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

NAMES = ("chromium", "chromium-browser", "google-chrome")
PATIENCE = 20_000  # milliseconds
# Without a graphics card, to imitate one takes more time than to draw.
ARGUMENTS = ["--no-sandbox", "--disable-gpu"]
HEIGHTS = {1280: 900, 390: 844}
# What axe calls an obstacle for people who cannot see or use a mouse.
GRAVE = ("serious", "critical")


# Of a module: while it runs, no other test may run an event loop of its own.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium, the one that is installed."""
    sync_api = pytest.importorskip("playwright.sync_api")
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.skip(f"there is no browser: none of {', '.join(NAMES)} is installed")
    with sync_api.sync_playwright() as playwright:
        # On a machine that is busy with other things.
        sync_api.expect.set_options(timeout=PATIENCE)
        running = playwright.chromium.launch(executable_path=found, args=ARGUMENTS)
        yield running
        running.close()


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Callable[..., Page]]:
    """A function that opens an address; the test fails on an error in a script of the page."""
    contexts, errors = [], []

    def noticed(kind: str, text: str) -> None:
        # Answers that are no success and servers that are gone are for the test to judge.
        if kind == "error" and not text.startswith("Failed to load resource"):
            errors.append(text)

    def open_(
        url: str, *, width: int = 1280, scheme: Any = "light", language: str = "en-GB"
    ) -> Page:
        size: Any = {"width": width, "height": HEIGHTS.get(width, 900)}
        context = browser.new_context(
            viewport=size, color_scheme=scheme, locale=language, reduced_motion="reduce"
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda message: noticed(message.type, message.text))
        page.goto(url)
        return page

    yield open_
    for context in contexts:
        context.close()
    assert not errors


def grave_findings(page: Page) -> list[str]:
    """Return what axe finds grave on a page as it stands: rule, and the element."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page).response["violations"]
    return [
        f"{rule['id']}: {node['target']} {node['failureSummary']}"
        for rule in found
        if rule["impact"] in GRAVE
        for node in rule["nodes"]
    ]


def params_of(page: Page) -> dict[str, str]:
    """Return the state of the page: the parameters of its address."""
    from urllib.parse import parse_qsl

    return dict(parse_qsl(page.url.partition("?")[2]))
