"""The review queue in a real browser: what a person decides, and what becomes of it."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest
from browser import grave_findings
from service import Served, serving

from prodcat_index.index.product_index import ProductIndex
from prodcat_index.service.settings import ServeSettings

if TYPE_CHECKING:
    from playwright.sync_api import Page, Route

ITEMS = 44
TOKENS = {"token-of-anna": "anna", "token-of-boris": "boris"}
SHOWN = "(document.getElementById('review-title')?.dataset.item ?? null)"
SAVED = ".review-unsaved[hidden]"


@dataclass
class Shop:
    """A served index whose queue asks whether cards are of the category that is named next."""

    settings: ServeSettings
    asked: pd.DataFrame
    port: int = 0
    running: ExitStack = field(default_factory=ExitStack)
    served: Served | None = None

    def start(self) -> None:
        self.served = self.running.enter_context(serving(self.settings, port=self.port))
        self.port = int(self.served.url.rpartition(":")[2])

    def stop(self) -> None:
        self.running.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/#/review"

    def ask(self, method: str, path: str, token: str = "token-of-anna", **more: Any) -> Any:
        assert self.served is not None
        headers = {"Authorization": f"Bearer {token}"}
        answer = self.served.client.request(method, path, headers=headers, **more)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def journal(self) -> list[dict[str, Any]]:
        """Return the decisions, the oldest first."""
        found: list[dict[str, Any]] = self.ask("GET", "/review/decisions")["decisions"]
        return found[::-1]

    def categories(self) -> dict[str, str]:
        """Return card -> category, as the folder of the index has it."""
        cards = ProductIndex.load(self.settings.index).catalogue
        return dict(zip(cards.ids, cards.values("category"), strict=True))


@pytest.fixture
def shop(own_shop_index: Path, tmp_path: Path) -> Iterator[Shop]:
    """A running service whose queue is filled, the surest proposal first."""
    cards = ProductIndex.load(own_shop_index).catalogue
    frame = pd.DataFrame({name: cards.values(name) for name in ("id", "title", "category")})
    names = sorted(set(frame["category"]) - {""})
    following = dict(zip(names, [*names[1:], names[0]], strict=True))
    asked = frame[frame["category"] != ""].sort_values(["category", "id"])[:ITEMS]
    asked = asked.reset_index(drop=True)
    asked["item"] = asked.index + 1
    asked["proposal"] = asked["category"].map(following)
    asked["confidence"] = [round(0.99 - 0.005 * place, 3) for place in asked.index]
    asked = asked.assign(
        check="labels",
        kind="wrong label",
        decision="",
        score=0.1,
        why="It was made up.",
        words="steel",
    )
    asked.to_csv(tmp_path / "asked.csv", index=False)
    shop = Shop(
        ServeSettings(
            own_shop_index, tokens=TOKENS, writable=True, reviews=(tmp_path / "asked.csv",)
        ),
        asked,
    )
    shop.start()
    while shop.ask("GET", "/review", params={"limit": 0})["counter"]["left"] < ITEMS:
        time.sleep(0.05)
    yield shop
    shop.stop()


def sign_in(page: Page, name: str = "anna") -> Page:
    """Say who one is, and wait for the first card."""
    page.fill("#token", f"token-of-{name}")
    page.keyboard.press("Enter")
    page.wait_for_selector("#review-title:focus")
    return page


def title(page: Page) -> str:
    return page.inner_text("#review-title")


def wait_title(page: Page, title: str) -> None:
    is_shown = "title => document.getElementById('review-title')?.textContent === title"
    page.wait_for_function(is_shown, arg=title)


def press(page: Page, *keys: str) -> None:
    """Press keys, each when the next card is there."""
    for key in keys:
        before = page.evaluate(SHOWN)
        page.keyboard.press(key)
        # Where the service is slow, no card is shown for a while, and no key decides.
        is_next = f"{SHOWN} || document.querySelector('.review-finished')"
        page.wait_for_function(f"before => {SHOWN} !== before && ({is_next})", arg=before)


def wait_saved(page: Page) -> None:
    page.wait_for_selector(SAVED, state="attached")


def test_twenty_cards_by_keyboard_change_the_index(
    shop: Shop, open_page: Callable[..., Page]
) -> None:
    """A person decides at a stroke, and what they decided is what the index has afterwards."""
    page = sign_in(open_page(shop.url))
    asked, before = shop.asked, shop.categories()
    expected, words = {}, []
    for place in range(20):
        row = asked.loc[place]
        assert title(page) == row["title"]
        key = {3: "k", 7: "r", 9: "1", 14: "2"}.get(place, "y" if place % 2 else "Enter")
        becomes = {"k": row["category"], "r": None}.get(key, row["proposal"])
        if key.isdigit():
            becomes = page.get_attribute(f".review-choice >> nth={int(key) - 1}", "data-category")
        expected[row["id"]] = becomes
        words.append({"k": "keep", "r": "remove"}.get(key, becomes if key.isdigit() else "yes"))
        press(page, key)
    wait_saved(page)
    journal = shop.journal()
    assert [one["ids"] for one in journal] == [[id] for id in expected]
    assert {(one["who"], one["state"]) for one in journal} == {("anna", "pending")}
    assert [one["decision"] for one in journal] == words
    assert shop.categories() == before
    page.click("text=Apply now")
    page.wait_for_selector("text=20 decisions are in the index now.")
    changed = before | {id: to for id, to in expected.items() if to is not None}
    del changed[asked.loc[7, "id"]]
    assert shop.categories() == changed
    page.wait_for_selector(".review-decisions li.applied")
    # What is in the index is put back from the journal.
    page.click(".review-decisions li >> nth=0 >> text=Revert")
    page.wait_for_selector(".review-decisions li.reverted")
    assert shop.categories()[asked.loc[19, "id"]] == before[asked.loc[19, "id"]]


def test_any_category_and_a_new_one_are_typed(shop: Shop, open_page: Callable[..., Page]) -> None:
    """A category that is no choice is found among thousands, and one that is missing is made."""
    page = sign_in(open_page(shop.url))
    first, second = shop.asked.loc[0, "id"], shop.asked.loc[1, "id"]
    wanted = sorted(set(shop.categories().values()))[-1]
    page.keyboard.press("/")
    page.keyboard.type(wanted[-7:])
    page.keyboard.press("Enter")
    wait_title(page, shop.asked.loc[1, "title"])
    page.keyboard.press("n")
    page.keyboard.press("Control+a")
    page.keyboard.type("Garden>Made here")
    page.wait_for_selector("text=New: Garden > Made here")
    page.keyboard.press("Enter")
    wait_title(page, shop.asked.loc[2, "title"])
    wait_saved(page)
    assert [one["category"] for one in shop.journal()] == [wanted, "Garden > Made here"]
    shop.ask("POST", "/review/apply")
    now = shop.categories()
    assert (now[first], now[second]) == (wanted, "Garden > Made here")


def test_cards_that_are_alike_are_decided_at_once(
    shop: Shop, open_page: Callable[..., Page]
) -> None:
    """One look at tiles decides a cluster, but for what was left out; one key takes it back."""
    page = sign_in(open_page(shop.url))
    while not page.is_visible("text=All like this"):
        press(page, "s")
    page.keyboard.press("a")
    page.wait_for_selector("input[data-item]:focus")
    assert grave_findings(page) == []
    shown = page.eval_on_selector_all(
        ".review-tile input", "all => all.map(one => one.dataset.item)"
    )
    page.keyboard.press("x")
    assert (
        page.inner_text(".review-count")
        == f"Decide {len(shown)} card{'s' * (len(shown) > 1)} at once"
    )
    page.keyboard.press("Enter")
    page.wait_for_selector(".review-tile", state="detached")
    wait_saved(page)
    last = shop.journal()[-1]
    assert last["cards"] == len(shown)
    proposal = dict(zip(shop.asked["id"], shop.asked["proposal"], strict=True))
    assert {proposal[id] for id in last["ids"]} == {last["category"]}
    page.keyboard.press("u")
    wait_saved(page)
    assert shop.journal()[-1]["state"] == "undone"


def test_ten_decisions_are_taken_back(shop: Shop, open_page: Callable[..., Page]) -> None:
    """Whoever notices a mistake late goes back card by card, to the first."""
    page = sign_in(open_page(shop.url))
    press(page, *["Enter"] * 5, *["k"] * 3, *["r"] * 2)
    press(page, *["u"] * 10)
    assert title(page) == shop.asked.loc[0, "title"]
    wait_saved(page)
    assert [one["state"] for one in shop.journal()] == ["undone"] * 10
    press(page, "1")
    wait_saved(page)
    assert [one["state"] for one in shop.journal()] == ["undone"] * 10 + ["pending"]


def test_nothing_is_lost_while_the_server_is_gone(
    shop: Shop, open_page: Callable[..., Page]
) -> None:
    """Decisions made while the service restarts are told apart from saved ones, and saved later."""
    page = sign_in(open_page(shop.url))
    press(page, "Enter")
    wait_saved(page)
    shop.stop()
    press(page, "Enter", "k")
    page.wait_for_selector("text=2 not saved yet")
    assert page.locator(".review-decisions li.unsaved").count() == 2
    # The saved one was carried out when the service ended.
    shop.start()
    page.click(".review-unsaved")
    wait_saved(page)
    assert [(one["ids"], one["decision"]) for one in shop.journal()] == [
        ([shop.asked.loc[place, "id"]], said) for place, said in enumerate(["yes", "yes", "keep"])
    ]
    press(page, "Enter")
    wait_saved(page)
    assert len(shop.journal()) == 4


def test_a_tab_that_is_closed_loses_no_decision(shop: Shop, open_page: Callable[..., Page]) -> None:
    """A browser that dies before the answer comes, or before the request goes, costs no work."""
    page = sign_in(open_page(shop.url))
    context = page.context

    def lose(route: Route) -> None:
        if "review/" in route.request.url and len(lost) < 1:
            route.fetch()  # The service takes it, and its answer is lost.
        lost.append(route.request.url)
        route.abort()

    lost: list[str] = []
    context.route(
        "**/review/*",
        lambda route: lose(route) if route.request.method == "POST" else route.continue_(),
    )
    press(page, "Enter", "Enter")
    page.wait_for_selector("text=2 not saved yet")
    page.close()
    context.unroute_all()
    again = context.new_page()
    again.goto(shop.url)
    sign_in(again)
    wait_saved(again)
    assert [one["ids"] for one in shop.journal()] == [[id] for id in shop.asked["id"][:2]]
    assert title(again) not in set(shop.asked["title"][:2])


def test_two_tabs_never_show_the_same_card(shop: Shop, open_page: Callable[..., Page]) -> None:
    """Two people, or one with two tabs, never decide the same card twice."""
    first = sign_in(open_page(shop.url))
    # A tab that a page opens begins with a copy of all that the first one remembers.
    with first.context.expect_page() as opened:
        first.evaluate("address => void window.open(address)", shop.url)
    second = opened.value
    second.wait_for_selector("#review-title:focus")
    other = sign_in(open_page(shop.url), "boris")
    seen: list[str | None] = []
    for _ in range(6):
        for page in (first, second, other):
            seen.append(page.evaluate(SHOWN))
            press(page, "k")
    assert len(set(seen)) == len(seen) == 18
    for page in (first, second, other):
        wait_saved(page)
    assert sorted(one["who"] for one in shop.journal()) == ["anna"] * 12 + ["boris"] * 6
    first.reload()
    first.wait_for_selector("#review-title:focus")
    assert first.get_attribute("#review-title", "data-item") not in seen
    first.wait_for_selector("text=Also reviewing: boris")


def test_what_the_service_refuses_is_said(shop: Shop, open_page: Callable[..., Page]) -> None:
    """A decision that was not taken does not look as if it was."""
    page = sign_in(open_page(shop.url))
    refusal = {"title": "Conflict", "status": 409, "detail": "boris has decided this item."}
    page.route(
        "**/review/*",
        lambda route: route.fulfill(
            status=409, json=refusal, content_type="application/problem+json"
        ),
        times=1,
    )
    said = title(page)
    press(page, "Enter")
    page.wait_for_selector(f"text=Not taken: {said}. boris has decided this item.")
    assert page.locator(".review-decisions li").count() == 0
    assert shop.journal() == []
    # It is asked about again, because nobody has decided it after all.
    shown = []
    while said not in shown:
        shown.append(title(page))
        press(page, "s")
    assert len(shown) <= 5


def test_keys_are_taken_once_and_what_they_did_is_heard(
    shop: Shop, open_page: Callable[..., Page]
) -> None:
    """A finger that rests on a key decides one card, a Russian layout has the same keys, and who
    does not see the card hears what became of it, and the next one."""
    page = sign_in(open_page(shop.url))
    for _ in range(3):
        page.keyboard.down("k")
    page.keyboard.up("k")
    first, second, third = (shop.asked.loc[place] for place in range(3))
    assert title(page) == second["title"]
    next_said = f"Next: {second['title']}. Proposed: {second['proposal']}."
    assert page.inner_text("#live") == f"{first['title']}: kept as it is. {next_said}"
    russian = "new KeyboardEvent('keydown', {key: 'н', code: 'KeyY', bubbles: true})"
    page.evaluate(f"document.body.dispatchEvent({russian})")
    assert title(page) == third["title"]
    assert page.evaluate("document.activeElement.id") == "review-title"
    wait_saved(page)
    assert [one["decision"] for one in shop.journal()] == ["keep", "yes"]


def test_the_choices_stand_beside_their_relatives(
    served: Served, open_page: Callable[..., Page]
) -> None:
    """Parents, children and siblings of the proposal are seen as such, and have keys in order."""
    page = open_page(served.url)
    item = {
        "proposal": "Tools > Drills",
        "card": {"category": "Tools > Saws"},
        "choices": [
            {"category": category, "share": share}
            for category, share in [
                ("Tools > Drills", 0.4),
                ("Kitchen > Pans", 0.2),
                ("Tools > Drills > Hammer drills", 0.1),
                ("Tools > Saws", 0.1),
                ("Tools", 0.05),
                ("Tools > Planes", 0.05),
            ]
        ],
    }
    groups = page.evaluate(
        "async item => (await import('./review_parts.js')).groupChoices(item)"
        ".map(({ relation, parent, share, choices }) => "
        "[relation, parent, share, ...choices.map(({ key, category }) => [key, category])])",
        item,
    )
    assert groups == [
        ["beside", "Tools", pytest.approx(0.65), [1, "Tools > Saws"], [2, "Tools > Planes"]],
        ["above", "", None, [3, "Tools"]],
        ["below", "", None, [4, "Tools > Drills > Hammer drills"]],
        ["elsewhere", "", None, [5, "Kitchen > Pans"]],
    ]


def test_the_end_of_the_queue_is_said(shop: Shop, open_page: Callable[..., Page]) -> None:
    """Whoever is done sees what it brought, can still take back, and downloads the journal."""
    for item in shop.ask("GET", "/review", params={"limit": ITEMS - 2})["items"]:
        shop.ask("POST", f"/review/{item['id']}", json={"decision": "yes"})
    page = sign_in(open_page(shop.url))
    press(page, "Enter", "Enter")
    page.wait_for_selector("text=Nothing is left to decide.")
    page.wait_for_selector(f"text={ITEMS} cards done")
    assert grave_findings(page) == []
    with page.expect_download() as download:
        page.click("text=Download the journal")
    rows = list(csv.DictReader(io.StringIO(download.value.path().read_text("utf-8"))))
    assert [row["who"] for row in rows] == ["anna"] * ITEMS
    press(page, "u")
    assert title(page) == shop.asked.loc[ITEMS - 1, "title"]


def test_without_a_right_to_decide_it_says_how(
    shop: Shop, served: Served, open_page: Callable[..., Page]
) -> None:
    """Whoever may not decide reads what is missing, and not an error or an empty page."""
    page = open_page(shop.url)
    page.click("#ask-token >> text=Cancel")
    page.wait_for_selector(".message.error")
    page.click(".message >> text=Try again")
    sign_in(page)
    page = open_page(f"{served.url}/#/review")
    page.wait_for_selector("text=--writable --token-file")


@pytest.mark.parametrize(
    ("width", "scheme", "language"), [(1280, "light", "en-GB"), (390, "dark", "ru-RU")]
)
def test_no_obstacle_for_people_who_cannot_see(
    shop: Shop, open_page: Callable[..., Page], width: int, scheme: str, language: str
) -> None:
    """The card, the decisions and the dialogs are usable without eyes or a mouse."""
    page = sign_in(open_page(shop.url, width=width, scheme=scheme, language=language))
    press(page, "s")
    wait_saved(page)
    assert grave_findings(page) == []
    overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert page.evaluate(overflow) <= 0
    page.keyboard.press("/")
    page.keyboard.type("a")
    page.wait_for_selector("[role=option]")
    assert grave_findings(page) == []
    page.click(".review-find >> text=/Cancel|Отмена/")
    page.wait_for_selector(".review-find", state="detached")
    page.wait_for_selector("#review-title:focus")
