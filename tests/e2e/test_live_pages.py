"""Open pages stay true: what others do shows by itself, and every page says the same."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import expect

from tests.e2e.browsing import SLOWLY, Visitor, needs_browser
from tests.e2e.fixtures import People
from tests.e2e.running import Running

pytestmark = needs_browser
Visit = Callable[..., Visitor]


def test_an_open_board_shows_a_deploy_of_somebody_else_and_what_it_left(
    visit: Visit, sandbox: Running, people: People
) -> None:
    """Nothing is clicked or loaded again on the lead's board; the deploy's end stands there as it does everywhere else."""
    board = visit("lead").page
    cell = board.locator("#board td", has=board.get_by_role("link", name="Deploy storefront to staging"))
    before = cell.locator(".rev").first.inner_text()
    dev = people("dev")
    number = dev.deploy("storefront", "staging", "broken")
    expect(board.locator("#board")).to_contain_text("Deploying", timeout=SLOWLY)
    expect(board.get_by_role("link", name=f"Deploy #{number}")).to_be_visible(
        timeout=SLOWLY
    )  # "Needs you", once it failed
    expect(cell).to_contain_text(f"#{number} by dev", timeout=SLOWLY)
    told = " ".join(cell.locator(".mixed").inner_text().split())
    assert told.startswith(f"web {before}, worker ")
    runs = told.partition(" · ")[0]
    for address in ("/projects/storefront/", "/projects/storefront/staging/"):
        page = visit("viewer").page
        page.goto(address)
        facts = page.locator(".panel", has=page.get_by_text("Last try")).first
        expect(facts).to_contain_text(runs)
        expect(facts.locator(".panel-head")).to_contain_text("Failed")
    dev.deploy("storefront", "staging", "main")
    expect(cell).to_contain_text("Healthy", timeout=SLOWLY)
    expect(cell).not_to_contain_text("Failed")


def test_going_back_shows_today(visit: Visit, sandbox: Running, people: People) -> None:
    page = visit("lead").page
    page.goto("/projects/catalog/")
    page.get_by_role("link", name="Board").first.click()
    number = people("dev").deploy("catalog", "staging", "main")
    page.go_back()
    expect(page.locator(f"#deploy-line-{number}")).to_be_visible(timeout=SLOWLY)
