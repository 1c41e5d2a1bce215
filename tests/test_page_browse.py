"""Browse, in a real browser."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest
from browser import grave_findings, params_of
from playwright.sync_api import Page, Route, expect
from service import Served

Open = Callable[..., Page]
MANY = 4_000


@pytest.fixture
def page(open_page: Open, served: Served) -> Page:
    return open_page(f"{served.url}/#/browse")


def largest(served: Served) -> str:
    """Return the category with the most cards."""
    labels = served.index.parts.labels
    return str(labels.names[labels.sizes.argmax()])


def answer_with(page: Page, address: str, content: Any) -> None:
    """Answer a request of the page in place of the service."""

    def fulfil(route: Route) -> None:
        route.fulfill(json=content)

    page.route(address, fulfil)


def test_tree_has_the_counts_of_the_index(page: Page, served: Served) -> None:
    """Wrong counts send the manager to the wrong shelf."""
    labels = served.index.parts.labels
    counts = dict(zip(labels.names, labels.sizes.tolist(), strict=True))
    roots = {name.split(" > ")[0] for name in counts}
    expect(page.get_by_role("treeitem")).to_have_count(len(roots))
    for root in sorted(roots):
        below = sum(n for name, n in counts.items() if name.split(" > ")[0] == root)
        line = page.locator(f'[data-category="{root}"] > .tree-line')
        expect(line.locator(".tree-count")).to_have_text(f"{below:,}")


def test_category_shows_its_cards_and_is_a_link(
    page: Page, open_page: Open, served: Served
) -> None:
    """A link to a category is how people talk about it."""
    category = largest(served)
    root, _, name = category.rpartition(" > ")
    page.get_by_role("treeitem", name=root.split(" > ")[0]).locator("svg").first.click()
    page.get_by_role("treeitem", name=name).last.click()
    expect(page.locator("#category-title")).to_have_text(name)
    assert params_of(page) == {"c": category}
    found = served.client.get("/cards", params={"category": category, "limit": 24}).json()
    shown = page.locator(".content .tiles .tile")
    expect(shown).to_have_count(len(found["cards"]))
    ids = shown.evaluate_all("all => all.map(one => one.dataset.id)")
    assert ids == [card["id"] for card in found["cards"]]
    again = open_page(f"{served.url}/#/browse?c={quote(category)}")
    expect(again.locator("#category-title")).to_have_text(name)
    expect(again.locator("[aria-selected=true]")).to_contain_text(name)
    again.locator(".content .tile").first.click()
    expect(again.locator(".start-card")).to_contain_text(found["cards"][0]["title"])
    again.go_back()
    expect(again.locator("#category-title")).to_have_text(name)


def test_more_cards_and_filter(page: Page, served: Served) -> None:
    """A shelf of a thousand cards is looked through in parts, and narrowed."""
    everything = len(served.index)
    shown = page.locator(".content .tile")
    expect(shown).to_have_count(24)
    page.get_by_role("button", name="Show more cards").click()
    expect(shown).to_have_count(48)
    page.get_by_label("Only cards where").fill("price < 1000")
    matching = served.client.get("/cards", params={"where": "price < 1000"}).json()["total"]
    assert 0 < matching < everything
    expect(shown).to_have_count(min(24, matching))
    assert params_of(page) == {"where": "price < 1000"}
    page.get_by_label("Only cards where").fill("prise < 1000")
    expect(page.locator(".content .message.error")).to_contain_text("There is no column 'prise'")


def test_keyboard_walks_the_tree(page: Page, served: Served) -> None:
    """The tree is one stop of the tab key, and the arrow keys do the rest."""
    expect(page.get_by_role("treeitem").first).to_be_visible()
    page.keyboard.press("/")
    expect(page.get_by_label("Filter the categories")).to_be_focused()
    page.keyboard.press("ArrowDown")
    first = page.get_by_role("treeitem").first
    expect(first).to_be_focused()
    page.keyboard.press("ArrowRight")
    expect(first).to_have_attribute("aria-expanded", "true")
    page.keyboard.press("ArrowRight")
    child = first.get_by_role("treeitem").first
    expect(child).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#category-title")).to_have_text(child.locator(".tree-name").inner_text())
    expect(child).to_be_focused()
    page.keyboard.press("ArrowLeft")
    expect(first).to_be_focused()
    page.keyboard.press("ArrowLeft")
    expect(first).to_have_attribute("aria-expanded", "false")
    page.keyboard.press("End")
    expect(page.get_by_role("treeitem").last).to_be_focused()


def test_thousands_of_categories_are_narrowed_by_typing(open_page: Open, served: Served) -> None:
    """Among thousands of categories nobody scrolls."""
    page = open_page(f"{served.url}/#/look")
    leaves = [
        {"category": f"Shelf {n // 100} > Part {n}", "name": f"Part {n}", "cards": n}
        | {"cards_below": 0, "children": []}
        for n in range(MANY)
    ]
    roots = [
        {"category": f"Shelf {n}", "name": f"Shelf {n}", "cards": 0}
        | {"cards_below": sum(range(100 * n, 100 * n + 100)), "children": leaves[100 * n :][:100]}
        for n in range(MANY // 100)
    ]
    answer_with(page, "**/categories", roots)
    page.get_by_role("link", name="Browse").click()
    items = page.get_by_role("treeitem")
    expect(items).to_have_count(MANY // 100)
    page.get_by_label("Filter the categories").fill("part 39")
    expect(page.get_by_text("111 categories have this in their names.")).to_be_visible()
    expect(items).to_have_count(111)
    page.get_by_label("Filter the categories").fill("part")
    expect(page.get_by_text("The first 200 are shown")).to_be_visible()
    page.get_by_label("Filter the categories").fill("part 3999")
    expect(items).to_have_text(["Shelf 39 › Part 39993,999"])
    page.get_by_label("Filter the categories").fill("")
    page.get_by_label("Order").select_option("cards")
    expect(items.first).to_contain_text("Shelf 39")
    page.get_by_label("Filter the categories").fill("nothing like it")
    expect(page.get_by_text("Nothing found.")).to_be_visible()


def test_health_of_a_category(open_page: Open, served: Served) -> None:
    """The sick shelves are what the manager came for."""
    page = open_page(f"{served.url}/#/look")
    good = {"category": "Good", "name": "Good", "cards": 5, "cards_below": 0, "children": []}
    bad = good | {"category": "Sick", "name": "Sick"}
    health = {"accuracy": 0.625, "wrong_labels": 3, "duplicates": 0}
    answer_with(page, "**/categories", [good | {"accuracy": 1.0}, bad | health])
    answer_with(page, "**/cards?*", {"cards": [], "total": 0, "notes": [], "version": 1})
    page.goto(f"{served.url}/#/browse?sort=health&c=Sick")
    expect(page.get_by_role("treeitem")).to_have_text(["Sick5", "Good5"])
    figures = page.locator(".figures")
    assert figures.locator("dd").all_inner_texts() == ["5", "63%", "3", "0"]
    expect(page.get_by_text("No card is directly in this category.")).to_be_visible()


def test_health_of_a_category_counts_those_below(open_page: Open, served: Served) -> None:
    """The tree opens with the upper level, where no sick shelf would be seen."""
    page = open_page(f"{served.url}/#/look")
    leaf = {"cards": 3, "cards_below": 0, "children": []}
    sick = leaf | {"category": "Upper > A", "name": "A", "accuracy": 0.5, "wrong_labels": 2}
    well = leaf | {"category": "Upper > B", "name": "B", "cards": 1, "accuracy": 1.0}
    upper = {"category": "Upper", "name": "Upper", "cards": 0, "cards_below": 4}
    fine = leaf | {"category": "Fine", "name": "Fine", "cards": 4, "accuracy": 1.0}
    answer_with(page, "**/categories", [fine, upper | {"children": [sick, well]}])
    answer_with(page, "**/cards?*", {"cards": [], "total": 0, "notes": [], "version": 1})
    page.goto(f"{served.url}/#/browse?sort=health")
    expect(page.get_by_role("treeitem")).to_have_text(["Upper4", "Fine4"])
    # (3 · 0.5 + 1 · 1) / 4 = 0.625 of Upper, and with the four of Fine 6.5 of 8.
    assert page.locator(".figures dd").all_inner_texts() == ["8", "40", "81%", "2", "0"]
    page.goto(f"{served.url}/#/browse?sort=health&c=Upper")
    expect(page.locator(".figures dd")).to_have_text(["4", "63%", "2", "0"])


def test_empty_index_and_unknown_category_are_said(open_page: Open, served: Served) -> None:
    """An empty page would look broken."""
    page = open_page(f"{served.url}/#/browse?c=Nowhere")
    expect(page.get_by_text("The index has no category of this name.")).to_be_visible()
    page.get_by_role("button", name="All categories").click()
    expect(page.locator("#category-title")).to_have_text("All categories")
    answer_with(page, "**/categories", [])
    page.reload()
    expect(page.get_by_text("The index holds no card.")).to_be_visible()


def test_russian(open_page: Open, served: Served) -> None:
    """Half of the users read no English."""
    page = open_page(f"{served.url}/#/browse", language="ru-RU")
    expect(page.get_by_role("heading", name="Примеры карточек")).to_be_visible()
    expect(page.get_by_label("Фильтр категорий")).to_be_visible()


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_axe_finds_nothing_grave(open_page: Open, served: Served, width: int, scheme: str) -> None:
    """A page that a screen reader cannot read shuts people out."""
    address = f"{served.url}/#/browse?c={quote(largest(served))}"
    page = open_page(address, width=width, scheme=scheme)
    expect(page.locator(".content .tile").first).to_be_visible()
    assert grave_findings(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
