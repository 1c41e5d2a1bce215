"""Look up, in a real browser."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from browser import grave_findings, params_of
from playwright.sync_api import Error, Page, Route, expect
from service import Served, serving

from prodcat_index.cards.card import Card
from prodcat_index.service.settings import ServeSettings

Open = Callable[..., Page]
PAGE = Path(__file__).parents[1] / "prodcat_index" / "service" / "page"
TITLE = "leather boots"
K = 24


@pytest.fixture
def page(open_page: Open, served: Served) -> Page:
    return open_page(served.url)


def ids(page: Page) -> list[str]:
    """Return the ids of the nearest cards, as they stand on the page."""
    return page.locator(".near .tiles > li").evaluate_all("all => all.map(one => one.dataset.id)")


def wait_for(page: Page, expected: list[str]) -> None:
    """Wait until the nearest cards are the expected ones."""
    page.wait_for_function(
        "wanted => [...document.querySelectorAll('.near .tiles > li')].map(one => one.dataset.id)"
        ".join('|') === wanted",
        arg="|".join(expected),
    )


def nearest(served: Served, card: Card, **options: Any) -> list[str]:
    return [each.id for each in served.index.search(card, K, **options)]


def move(page: Page, name: str, value: float) -> None:
    """Move a slider as a person does who drags it."""
    page.get_by_role("slider", name=name).evaluate(
        "(slider, value) => {slider.value = value; slider.dispatchEvent(new Event('input'))}", value
    )


def picture_of(served: Served, card: str) -> bytes:
    return served.client.get(f"/cards/{card}/image?size=512").content


def as_percent(level: dict[str, float]) -> str:
    """Write a probability or share as the page does: only what is certain is 100 %."""
    share = level.get("probability", level["share"])
    return "99%" if 0.995 < share < 1 else f"{100 * share:.0f}%"


def some_picture(served: Served) -> tuple[str, bytes]:
    """Return a card with a picture, and that picture."""
    cards = served.client.get("/cards", params={"limit": 50}).json()["cards"]
    card = next(card["id"] for card in cards if card["image"])
    return card, picture_of(served, card)


def hand_over(page: Page, content: bytes, name: str, kind: str) -> Any:
    """Return a file as a browser hands it over when it is dropped or pasted."""
    return page.evaluate_handle(
        """([bytes, name, type]) => {
            const data = new DataTransfer();
            data.items.add(new File([new Uint8Array(bytes)], name, { type }));
            return data;
        }""",
        [list(content), name, kind],
    )


def drop(page: Page, content: bytes, name: str = "new.jpg", kind: str = "image/jpeg") -> None:
    """Drop a file onto the page."""
    data = hand_over(page, content, name, kind)
    page.locator(".drop").dispatch_event("drop", {"dataTransfer": data})


def test_typed_title_shows_what_the_library_finds_and_predicts(page: Page, served: Served) -> None:
    """A page that shows other cards or another category than the library would mislead."""
    page.get_by_role("searchbox", name="Title").fill(TITLE)
    wait_for(page, nearest(served, Card(title=TITLE)))
    prediction = served.index.predict([Card(title=TITLE)], explain=True)[0]
    expect(page.locator(".answer")).to_have_text(prediction.category.replace(" > ", " › "))
    expect(page.locator(".sure")).to_contain_text(f"{100 * prediction.confidence:.0f}% sure")
    same = sum(each.category == prediction.category for each in prediction.neighbours)
    expect(page.locator(".why")).to_contain_text(
        f"{same} of the {len(prediction.neighbours)} cards that vote are of this category"
    )
    answer = served.client.post("/predict", json={"title": TITLE}).json()
    for level in answer["tree"]:
        row = page.locator(".level-row > .share").filter(
            has_text=level["category"].split(" > ")[-1]
        )
        expect(row.locator(".share-value")).to_have_text(as_percent(level))
    assert prediction.explanation is not None
    for word, _ in prediction.explanation.words[:6]:
        expect(page.locator(".why .word").filter(has_text=word).first).to_be_visible()
    assert params_of(page) == {"title": TITLE}
    expect(page.locator("#live")).to_contain_text(f"{K} cards found")


@pytest.mark.parametrize(
    ("without", "reason"),
    [
        (("Home > Lamps", 0.4), "Decided by title: without it, the answer would be Home › Lamps"),
        (("Tools > Drills", 0.6), "Mostly decided by title: without it, the same category would"),
        (("Tools > Drills", 0.88), "No part decides alone: even without title, the category keeps"),
        (("", 0), "Decided by title: without it, nothing would be known of the listing."),
    ],
)
def test_reason_says_how_much_a_part_decides(
    page: Page, without: tuple[str, float], reason: str
) -> None:
    """Whoever believes that the title decided, where it did not, mends the wrong field."""
    level = {"category": "Tools", "share": 0.9, "siblings": []}
    answer = {"category": "Tools > Drills", "confidence": 0.9, "share": 0.9, "decided_by": "title"}
    answer |= {"tree": [level], "ranked": [level], "neighbours": [], "notes": []}
    answer |= {"without": {"title": dict(zip(("category", "share"), without, strict=True))}}
    said = page.evaluate(
        "async answer => (await import('./predicted.js')).predicted(answer, {}).textContent", answer
    )
    assert reason in said


def test_sliders_rank_anew_by_their_weights(page: Page, served: Served) -> None:
    """The trademark: what a slider says is what the library is asked with, without a rebuild."""
    card = served.index.card(some_picture(served)[0])
    page.goto(f"{served.url}/#/look?id={card.id}")
    before = [each.id for each in served.index.similar(card.id, K)]
    wait_for(page, before)
    move(page, "Title", 0)
    move(page, "Description", 0)
    move(page, "Picture", 1)
    after = [each.id for each in served.index.similar(card.id, K, weights={"image": 1.0})]
    assert after != before
    wait_for(page, after)
    assert params_of(page)["w.title"] == "0"
    expect(page.locator(".weight").filter(has_text="Picture").locator("output")).to_have_text(
        "100%"
    )
    page.get_by_role("button", name="Reset").click()
    wait_for(page, before)
    assert params_of(page) == {"id": card.id}


def test_votes_rank_by_the_weights_of_the_vote(page: Page, served: Served) -> None:
    """Whoever asks why a category was predicted sees the cards that voted, not similar ones."""
    page.goto(f"{served.url}/#/look?title={TITLE}")
    page.get_by_role("radio", name="The vote").check()
    weights = served.index.parts.weights
    wait_for(page, nearest(served, Card(title=TITLE), weights=weights))
    expect(page.locator(".near .badge").first).to_contain_text("of the vote")
    move(page, "Learned from the categories", 0)
    wait_for(page, nearest(served, Card(title=TITLE), weights={**weights, "learned": 0.0}))
    assert params_of(page) == {"title": TITLE, "by": "vote", "w.learned": "0"}
    # These weights are not calibrated: what is shown is no probability.
    expect(page.locator(".sure")).to_contain_text("of the vote")


def test_only_the_last_of_quick_changes_is_shown(page: Page, served: Served) -> None:
    """An answer that comes late must not take the place of a later one."""
    late: list[Route] = []

    def hold(route: Route) -> None:
        if (route.request.post_data or "").count("leather") and not late:
            late.append(route)
        else:
            route.continue_()

    page.route("**/search?*", hold)
    title = page.get_by_role("searchbox", name="Title")
    title.fill("leather")
    page.wait_for_timeout(300)
    assert late
    title.fill("lamp")
    wait_for(page, nearest(served, Card(title="lamp")))
    with suppress(Error):  # The page has dropped the request.
        late[0].continue_()
    page.wait_for_timeout(300)
    assert ids(page) == nearest(served, Card(title="lamp"))


def test_dropped_picture_is_compared(page: Page, served: Served, tmp_path: Path) -> None:
    """Without this, a shop with photos and poor titles has no use for the page."""
    card, content = some_picture(served)
    file = tmp_path / "new.jpg"
    file.write_bytes(content)
    drop(page, content)
    wait_for(page, nearest(served, Card(image=str(file))))
    assert ids(page)[0] == card
    expect(page.get_by_alt_text("Picture of your listing")).to_be_visible()
    expect(page.locator(".answer")).to_be_visible()
    assert grave_findings(page) == []
    page.get_by_role("button", name="Remove the picture").click()
    expect(page.get_by_text("What is it, and what is like it?")).to_be_visible()
    page.go_back()
    wait_for(page, nearest(served, Card(image=str(file))))
    page.reload()
    expect(page.get_by_text("The picture is not part of the link")).to_be_visible()


def test_pasted_picture_is_compared(page: Page, served: Served, tmp_path: Path) -> None:
    """A picture of another page comes by the clipboard."""
    _, content = some_picture(served)
    file = tmp_path / "new.png"
    file.write_bytes(content)
    expect(page.locator(".tile").first).to_be_visible()
    data = hand_over(page, content, "image.png", "image/jpeg")
    page.locator("body").evaluate(
        "(body, clipboardData) => body.dispatchEvent("
        "new ClipboardEvent('paste', {clipboardData, bubbles: true, cancelable: true}))",
        data,
    )
    wait_for(page, nearest(served, Card(image=str(file))))


def test_chosen_picture_and_title_together(page: Page, served: Served, tmp_path: Path) -> None:
    """A listing has several parts, and all that are given count."""
    _, content = some_picture(served)
    file = tmp_path / "new.jpg"
    file.write_bytes(content)
    page.get_by_role("searchbox", name="Title").fill("lamp")
    page.locator("#picture").set_input_files(file)
    wait_for(page, nearest(served, Card(title="lamp", image=str(file))))


def test_file_that_is_no_picture_is_refused_in_words(page: Page) -> None:
    """Whoever drops a table by mistake is told so."""
    drop(page, b"id,title", "cards.csv", "text/csv")
    expect(page.locator(".toast")).to_contain_text("“cards.csv” is no picture.")
    drop(page, b"not a picture", "broken.jpg", "image/jpeg")
    expect(page.locator(".message.error")).to_contain_text("picture")


def test_link_restores_the_state(open_page: Open, served: Served) -> None:
    """A link that a colleague opens shows what the one who sent it saw."""
    where = "price < 5000"
    state = f"title={TITLE}&where=price+%3C+5000&w.description=0&w.title=0.25&w.image=0.75"
    page = open_page(f"{served.url}/#/look?{state}")
    weights = {"title": 0.25, "image": 0.75}
    wait_for(page, nearest(served, Card(title=TITLE), weights=weights, where=where))
    expect(page.get_by_role("searchbox", name="Title")).to_have_value(TITLE)
    expect(page.locator("#where")).to_have_value(where)
    expect(page.get_by_role("slider", name="Picture")).to_have_value("0.75")


def test_neighbour_leads_on_and_back_leads_back(page: Page, served: Served) -> None:
    """One goes from card to card as one looks for something, and returns."""
    page.get_by_role("searchbox", name="Title").fill(TITLE)
    first = nearest(served, Card(title=TITLE))
    wait_for(page, first)
    page.locator(".near .tile").nth(2).click()
    wait_for(page, [each.id for each in served.index.similar(first[2], K)])
    expect(page.locator(".start-card")).to_contain_text(served.index.card(first[2]).title)
    page.go_back()
    wait_for(page, first)
    page.go_forward()
    page.get_by_role("button", name="Leave this card").click()
    expect(page.get_by_text("What is it, and what is like it?")).to_be_visible()


def test_filter_that_cannot_be_read_is_explained(page: Page, served: Served) -> None:
    """A filter is typed letter by letter; half of one is no failure of the page."""
    page.get_by_role("searchbox", name="Title").fill(TITLE)
    wait_for(page, nearest(served, Card(title=TITLE)))
    page.get_by_text("Only cards where").first.click()
    page.locator("#where").fill("prise < 5000")
    expect(page.locator("#where-said")).to_contain_text("prise")
    page.locator("#where").fill("price < 5000")
    wait_for(page, nearest(served, Card(title=TITLE), where="price < 5000"))
    expect(page.locator("#where-said")).to_have_text("Columns: brand, price.")


def test_languages_and_colours_are_kept(page: Page, served: Served) -> None:
    """A Russian manager chooses once."""
    page.get_by_label("Language").select_option("ru")
    expect(page.get_by_role("searchbox", name="Название")).to_be_visible()
    page.get_by_label("Цвета").select_option("dark")
    page.goto(f"{served.url}/#/look?title={TITLE}")
    page.reload()
    expect(page.locator("html")).to_have_attribute("lang", "ru")
    expect(page.locator(".why")).to_contain_text("голосующих карточек")
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert background == "rgb(17, 22, 27)"


def test_the_browser_chooses_language_and_colours(open_page: Open, served: Served) -> None:
    """Nobody should have to look for a switch."""
    page = open_page(served.url, scheme="dark", language="ru-RU")
    expect(page.get_by_role("link", name="Поиск")).to_be_visible()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(17, 22, 27)"


def test_the_keyboard_is_enough(page: Page, served: Served) -> None:
    """Some people have no mouse, and the quick ones do not want it."""
    expect(page.get_by_role("searchbox", name="Title")).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("/")
    expect(page.get_by_role("searchbox", name="Title")).to_be_focused()
    page.keyboard.type("lamp?")
    wait_for(page, nearest(served, Card(title="lamp?")))
    page.get_by_role("link", name="Look up").focus()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_contain_text("Go to the search field")
    page.keyboard.press("Escape")
    page.keyboard.press("b")
    expect(page.get_by_role("tree")).to_be_visible()
    # The key "l" of a Russian keyboard.
    page.get_by_role("tree").dispatch_event("keydown", {"key": "д", "code": "KeyL"})
    expect(page.get_by_role("searchbox", name="Title")).to_be_visible()


def test_service_gone_and_back(page: Page, served: Served) -> None:
    """A service that is restarted costs nobody what they typed."""
    title = page.get_by_role("searchbox", name="Title")
    title.fill(TITLE)
    wait_for(page, nearest(served, Card(title=TITLE)))
    page.context.set_offline(True)
    title.fill("lamp")
    expect(page.get_by_role("alert")).to_contain_text("The service does not answer")
    assert ids(page) == nearest(served, Card(title=TITLE))
    page.context.set_offline(False)
    expect(page.get_by_role("alert")).to_be_hidden()
    wait_for(page, nearest(served, Card(title="lamp")))
    expect(title).to_have_value("lamp")


def test_token_is_asked_for_under_a_path_prefix(open_page: Open, shop_index: Path) -> None:
    """A shop that lets only its people in still sees pictures, behind any proxy."""
    tokens = {"the-token-of-anna": "Anna"}
    with serving(ServeSettings(shop_index, tokens=tokens, path_prefix="/shop")) as served:
        page = open_page(f"{served.url}/")
        token = page.get_by_label("Token")
        token.fill("wrong")
        token.press("Enter")
        expect(page.get_by_text("The service does not know this token.")).to_be_visible()
        token.fill("the-token-of-anna")
        page.get_by_role("button", name="Use this token").click()
        expect(page.get_by_text("You are Anna")).to_be_visible()
        picture = page.locator(".tile img.loaded").first
        expect(picture).to_be_visible()
        assert (picture.get_attribute("src") or "").startswith("blob:")
        page.reload()
        expect(page.get_by_text("You are Anna")).to_be_visible()
        assert "anna" not in page.url


def test_view_that_was_left_does_not_come_back(page: Page, served: Served) -> None:
    """Whoever clicks twice sees what they clicked last."""
    held: list[Route] = []
    page.route("**/categories", lambda route: held.append(route))
    page.get_by_role("link", name="Browse").click()
    page.get_by_text("Loading").wait_for()
    page.get_by_role("link", name="Look up").click()
    title = page.get_by_role("searchbox", name="Title")
    title.fill("lamp")
    held[0].continue_()
    page.wait_for_timeout(300)
    expect(title).to_have_value("lamp")
    expect(page.get_by_role("tree")).to_have_count(0)
    page.get_by_role("link", name="Look up").focus()
    page.keyboard.press("/")
    expect(title).to_be_focused()


def test_problem_is_a_sentence(open_page: Open, served: Served) -> None:
    """Nobody should see a stack trace or a number, and an old link leads to something."""
    page = open_page(f"{served.url}/#/look?id=nothing")
    expect(page.locator(".lost")).to_contain_text("There is no card 'nothing'")
    expect(page.locator(".tile").first).to_be_visible()


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_axe_finds_nothing_grave(open_page: Open, served: Served, width: int, scheme: str) -> None:
    """A page that a screen reader cannot read shuts people out."""
    page = open_page(f"{served.url}/#/look", width=width, scheme=scheme)
    expect(page.locator(".tile").first).to_be_visible()
    assert grave_findings(page) == []
    page.goto(f"{served.url}/#/look?title={TITLE}&by=vote&id={some_picture(served)[0]}")
    expect(page.locator(".near .tile").first).to_be_visible()
    expect(page.locator(".answer")).to_be_visible()
    page.wait_for_timeout(300)  # Until what fades in is there.
    assert grave_findings(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.fixture(scope="module")
def sources() -> dict[str, str]:
    files = [path for path in PAGE.iterdir() if path.suffix in (".js", ".html", ".css")]
    return {path.name: path.read_text("utf-8") for path in files}


def test_both_languages_have_all_words_and_each_is_used(
    page: Page, sources: dict[str, str]
) -> None:
    """A word that lacks in one language is an empty button there."""
    texts = page.evaluate("import('./texts.js').then(module => module.TEXTS)")
    assert texts["en"].keys() == texts["ru"].keys()
    for english, russian in zip(texts["en"].values(), texts["ru"].values(), strict=True):
        plural = isinstance(english, dict)
        assert isinstance(russian, dict) == plural
        forms = {"one", "few", "many", "other"} if plural else set()
        assert set(russian if plural else ()) == forms
        first = "".join(english.values()) if plural else english
        second = "".join(russian.values()) if plural else russian
        assert set(re.findall(r"\{\w+\}", first)) == set(re.findall(r"\{\w+\}", second))
    code = "\n".join(text for name, text in sources.items() if name != "texts.js")
    prefixes = tuple(re.findall(r"\bt\(`(\w+)\$\{", code))
    unused = [
        key
        for key in texts["en"]
        if not re.search(rf'["`]{key}["`]', code) and not (prefixes and key.startswith(prefixes))
    ]
    assert unused == []
    asked = re.findall(r'\bt\("(\w+)"', code) + re.findall(r'data-t(?:-label)?="(\w+)"', code)
    assert set(asked) <= texts["en"].keys()


def test_page_is_small_and_comes_from_here_alone(served: Served, sources: dict[str, str]) -> None:
    """A page of 150 KB opens at once, and one that asks nobody else works behind a firewall."""
    sent = 0
    for file in PAGE.iterdir():
        with served.client.stream("GET", f"/{file.name}") as answer:
            sent += sum(map(len, answer.iter_raw()))
    assert 10_000 < sent < 150_000
    for name, text in sources.items():
        assert not re.search(r"(src|href)=\"(https?:)?//|url\(|@import|innerHTML", text), name
    assert not re.search(r"\son\w+=|\sstyle=|<style|<script>", sources["index.html"])
