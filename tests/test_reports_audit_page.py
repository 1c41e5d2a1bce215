"""The page of an audit: the worst on top beside its neighbours, and hostile texts as texts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import made
import pytest
from auditing import MadeCheck, item
from made import BOOTS, KETTLES, LAMPS
from test_reports_page import ATTACK, Reader, check_links

from prodcat_index.audit.audit import Audit, audit_catalogue
from prodcat_index.audit.check import Item
from prodcat_index.errors import ProdcatError
from prodcat_index.index.product_index import ProductIndex
from prodcat_index.reports.audit_page import CARDS, FIRST, LISTED, write_audit

SURE = item(
    *("labels", "b1"),
    **{"subject": BOOTS, "proposal": LAMPS, "confidence": 0.913, "why": "Two of three are lamps."},
    neighbours=("l1", "b2", "gone"),
)
MERGED = item("coverage", subject=KETTLES, proposal=f"merge into {LAMPS}")


def pictured(index: ProductIndex, pictures: list[Path]) -> ProductIndex:
    """The index with pictures of its cards, which it does not embed."""
    files = [*map(str, pictures), ""]
    cards = index.parts.catalogue
    return ProductIndex(
        replace(index.parts, catalogue=replace(cards, cards=cards.cards.assign(image=files)))
    )


def write(audit: Audit, folder: Path, **options: str) -> str:
    return write_audit(audit, folder / "audit.html", **options).read_text(encoding="utf-8")


def test_a_card_is_beside_its_neighbours(
    index: ProductIndex, pictures: list[Path], tmp_path: Path
) -> None:
    """Nobody can decide on an id."""
    found = audit_catalogue(pictured(index, pictures), checks=[MadeCheck("labels", [SURE])])
    text = write(found, tmp_path, command="prodcat audit shop")
    page = Reader(text)
    check_links(page)
    article = Reader(text.split('<article id="item-1">')[1].split("</article>")[0])
    words = [" ".join(each.split()) for each in article.texts if each.strip()]
    assert words[0] == "1. Wrong label"
    assert f"{BOOTS} →" in words and LAMPS in words and "(91.3 %)" in words
    assert "Two of three are lamps." in words
    # A neighbour that is of the proposed category speaks for it, and one that is gone is left out.
    assert f"✓ {LAMPS}" in words and f"✗ {BOOTS}" in words and "gone" not in words
    assert article.tags.count("img") == 3 and "prodcat audit shop" in text


def test_a_shop_without_pictures_gets_no_blank_frames(index: ProductIndex, tmp_path: Path) -> None:
    text = write(audit_catalogue(index, checks=[MadeCheck("labels", [SURE])]), tmp_path)
    assert "red leather boots" in text and "no picture" not in text and "<img" not in text


def test_hostile_texts_are_shown_as_they_are(index: ProductIndex, tmp_path: Path) -> None:
    """Whoever lists a product could run a script in the shop-keeper's browser."""
    hostile = Item(
        *("labels", ATTACK, 0.1, ("b1",)),
        subject=ATTACK,
        proposal=ATTACK,
        why=ATTACK,
        words=(ATTACK,),
    )
    details = {"tables": {ATTACK: [{ATTACK: ATTACK, "share": 0.5}]}}
    found = audit_catalogue(index, checks=[MadeCheck("labels", [hostile], details)])
    page = Reader(write(found, tmp_path))
    assert "script" not in page.tags
    assert not [each for each in page.attributes if each[1].startswith("on")]
    assert sum(ATTACK in text for text in page.texts) >= 5
    check_links(page)


def test_the_details_of_a_check_are_tables_with_bars(index: ProductIndex, tmp_path: Path) -> None:
    records = [
        {"category": BOOTS, "share": 0.25, "gain": 0.0413, "near": ["a", "b"], "is_new": True},
        {"category": LAMPS},
    ]
    check = MadeCheck("coverage", [MERGED], {"tables": {"Sizes": records, "Nothing": []}})
    text = write(audit_catalogue(index, checks=[check]), tmp_path)
    assert ">Sizes</caption>" in text and "Nothing" not in text
    assert 'data-head="gain">0.041</td>' in text and "the share" not in text
    assert 'style="width: 25.0%"' in text and ">a, b</td>" in text
    assert 'data-head="is new">yes</td>' in text
    # An item about no card is in the table of its check, and has no strip of cards.
    assert f">merge into {LAMPS}</td>".replace(" > ", " &gt; ") in text
    assert "There is no card to decide on." in text


def test_many_items_and_cards_are_cut_and_counted(index: ProductIndex, tmp_path: Path) -> None:
    """A page of a hundred thousand pictures opens nowhere."""
    ids = index.parts.catalogue.ids
    many = [replace(SURE, proposal=f"{LAMPS} {n}") for n in range(LISTED + 5)]
    page = write(audit_catalogue(index, checks=[MadeCheck("labels", many)]), tmp_path)
    assert page.count("<article") == FIRST + 12
    assert f"{LISTED} of {LISTED + 5}" in page.replace("\N{NO-BREAK SPACE}", " ")
    few = item("novelty", *(ids * 2))  # 18 cards
    page = write(audit_catalogue(index, checks=[MadeCheck("novelty", [few])]), tmp_path)
    assert page.count("card asked") == CARDS
    assert f"{18 - CARDS} cards more" in page.replace("\N{NO-BREAK SPACE}", " ")


def test_what_was_not_checked_and_what_was_decided_is_said(
    index: ProductIndex, tmp_path: Path
) -> None:
    """Silence would be taken for a clean catalogue."""
    found = audit_catalogue(index, checks=[MadeCheck("labels", [SURE])])
    told = replace(found, skipped={"drift": "It needs new cards."}, decided=1)
    page = write(told, tmp_path)
    assert "Drift was not checked: It needs new cards." in page and "decided before" in page


def test_new_cards_are_counted_and_a_page_that_cannot_be_written_is_an_error(
    index: ProductIndex, tmp_path: Path
) -> None:
    new = made.catalogue([made.row("n1", "wooden clogs")])
    check = MadeCheck("novelty", [item("novelty", "n1")], needs_new=True)
    found = audit_catalogue(index, new, checks=[check])
    page = write(found, tmp_path)
    assert "wooden clogs" in page and "new card" in page
    with pytest.raises(ProdcatError, match="cannot be written"):
        write_audit(found, tmp_path / "audit.html" / "page.html")
