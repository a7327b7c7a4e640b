"""Open pages stay true: what others do shows by itself, and every page says the same."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from urllib.request import Request, urlopen

import pytest
from playwright.sync_api import expect

from tests.builds.pushing import push_body, signature
from tests.e2e.browsing import SLOWLY, Visitor, needs_browser
from tests.e2e.fixtures import People
from tests.e2e.running import Running, until

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


@pytest.mark.any_database
def test_the_search_by_keyboard_alone(visit: Visit) -> None:
    """A combobox: the focus stays in the field, and Enter opens what is chosen."""
    visitor = visit("dev", bypass_csp=True)
    page = visitor.page
    page.goto("/projects/catalog/")
    page.keyboard.press("/")
    field = page.get_by_role("combobox", name="Search projects")
    expect(field).to_be_focused()
    page.keyboard.type("deploy storefront staging")
    option = page.get_by_role("option", name="Deploy storefront to staging")
    expect(option).to_be_visible()
    expect(field).to_have_attribute("aria-expanded", "true")
    page.keyboard.press("ArrowDown")
    expect(field).to_be_focused()
    expect(option).to_have_attribute("aria-selected", "true")
    assert field.get_attribute("aria-activedescendant") == option.get_attribute("id")
    assert visitor.axe() == []
    page.keyboard.press("Escape")
    expect(page.get_by_role("option")).to_have_count(0)
    expect(field).to_have_attribute("aria-expanded", "false")
    page.keyboard.type("deploy storefront staging")
    expect(option).to_be_visible()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.wait_for_url("**/projects/storefront/staging/deploy/")
    page.goto("/")
    page.get_by_role("link", name="Deploy catalog to staging").focus()
    page.keyboard.press("d")
    page.wait_for_url("**/projects/catalog/staging/deploy/")


@pytest.mark.any_database
def test_what_has_the_focus_keeps_it_when_its_part_loads_again(visit: Visit) -> None:
    """Also without an id, by which htmx finds it. Before, each change sent the next Tab to the top of the page."""
    page = visit("lead").page
    for address, name in (("/", "Behind"), ("/projects/catalog/staging/", "All of them")):
        page.goto(address)
        link = page.get_by_role("link", name=name, exact=True).last
        link.focus()
        old = link.element_handle()
        page.evaluate("document.body.dispatchEvent(new CustomEvent('changed'))")
        until(f"{name} is loaded again", lambda old=old: not old.evaluate("one => one.isConnected"))
        expect(link).to_be_focused()


@pytest.mark.any_database
def test_a_project_on_a_phone_opens_to_its_environments_and_stays_open(visit: Visit, people: People) -> None:
    page = visit("lead", width=390, height=844).page
    row = page.locator(".board tr", has=page.get_by_role("link", name="Catalog", exact=True))
    cell = row.get_by_role("link", name="Deploy catalog to production")
    expect(cell).to_be_hidden()
    opener = row.get_by_role("checkbox", name="show the environments of catalog")
    opener.focus()
    page.keyboard.press("Space")
    expect(cell).to_be_visible()
    number = people("dev").deploy("catalog", "staging", "main")
    expect(row.locator(f'a[href="/deploys/{number}/"]').first).to_be_visible(timeout=SLOWLY)
    expect(cell).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


@pytest.mark.any_database
def test_open_deliveries_show_a_push_that_is_not_built_and_each_has_an_address(
    visit: Visit, sandbox: Running
) -> None:
    page = visit("dev").page
    page.goto("/builds/deliveries/?project=storefront")
    url = sandbox.rows("SELECT repository_url FROM projects_project WHERE slug = ?", "storefront")[0]
    body = json.dumps(
        push_body(url["repository_url"], ref="refs/heads/seen-live", subject="Seen live")
    ).encode()
    sent = {
        "X-Hub-Signature-256": signature(body, sandbox.env["GITHUB_WEBHOOK_SECRET"]), "X-GitHub-Event": "push",
        "X-GitHub-Delivery": str(uuid.uuid4()), "Content-Type": "application/json",
    }  # fmt: skip
    with urlopen(Request(f"{sandbox.url}/webhooks/github/", data=body, headers=sent), timeout=20) as answer:
        assert answer.status == 202
    row = page.locator("#deliveries tr", has_text="Seen live")
    expect(row).to_contain_text("No build", timeout=SLOWLY)
    row.get_by_title("Link to delivery").click()
    expect(page.locator("tr:target")).to_contain_text("Seen live")
