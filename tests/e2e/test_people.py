"""People in a browser: an account that chooses its own password, roles of many projects, a role taken away, and a session that
ends while a form is filled in."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Browser, expect

from tests.e2e.browsing import Visitor, needs_browser
from tests.e2e.running import Running

pytestmark = [
    *needs_browser,
    pytest.mark.parametrize("sandbox", ["simulated"], indirect=True, scope="session"),
]
Visit = Callable[..., Visitor]
PASSWORD = "chosen-by-maria-herself-4"


def test_from_a_new_account_to_its_last_role(visit: Visit, sandbox: Running, chromium: Browser) -> None:
    page = visit("admin").page
    page.goto("/admin/people/new/")
    page.get_by_label("Username").fill("maria")
    page.get_by_role("button", name="Make the account").click()
    link = page.locator("#link").inner_text()

    # She chooses a password by the link.
    theirs = chromium.new_context(base_url=sandbox.url).new_page()
    theirs.goto(link)
    theirs.get_by_label("Password", exact=True).fill(PASSWORD)
    theirs.get_by_label("Password, again").fill(PASSWORD)
    theirs.get_by_role("button", name="Set this password").click()
    theirs.get_by_label("Username").fill("maria")
    theirs.get_by_label("Password").fill(PASSWORD)
    theirs.keyboard.press("Enter")
    expect(theirs).to_have_url(re.compile(r"/$"))
    theirs.context.close()

    # The admin finds projects as they type, and gives two roles at once.
    page.get_by_role("link", name="Give roles in projects").click()
    page.get_by_label("Role in Catalog").select_option("Viewer")
    page.get_by_label("Project or group").fill("front")
    expect(page.get_by_label("Role in Catalog")).to_be_hidden()
    page.get_by_label("Role in Storefront").select_option("Deployer")
    page.get_by_role("button", name="Save the roles").click()
    expect(page.get_by_text("role is changed in Catalog, Storefront")).to_be_visible()
    expect(page.get_by_text("The password alone lets them in")).to_be_visible()

    # Taking one away asks first, in a dialog whose button has the focus.
    page.goto("/projects/catalog/settings/members/")
    page.get_by_role("link", name="Take away… the role Viewer of maria").click()
    dialog = page.get_by_role("dialog", name="Take away this role?")
    expect(dialog).to_contain_text("maria is viewer of Catalog")
    expect(dialog.get_by_role("button", name="Take it away")).to_be_focused()
    dialog.get_by_role("button", name="Take it away").click()
    expect(page.get_by_text("maria no longer has that role.")).to_be_visible()


def test_a_session_that_ends_meanwhile_costs_one_step(visit: Visit, sandbox: Running) -> None:
    visitor = visit("admin")
    page = visitor.page
    page.goto("/projects/storefront/settings/")
    page.get_by_label("Group").fill("typed while it ended")
    visitor.context.clear_cookies(name="sessionid")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("heading", name="Your session ended before you sent this")).to_be_visible()
    expect(page.locator("dl.facts")).to_contain_text("typed while it ended")
    expect(page.get_by_label("Username")).to_be_focused()
    page.get_by_label("Username").fill("admin")
    page.get_by_label("Password").fill(sandbox.env["SLIPWAY_PASSWORD"])
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("/projects/storefront/settings/$"))
    expect(page.get_by_label("Group")).to_have_value("typed while it ended")
    assert not sandbox.rows("SELECT 1 FROM projects_project WHERE \"group\" = 'typed while it ended'")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("Saved.")).to_be_visible()
    page.get_by_label("Group").fill("")
    page.get_by_role("button", name="Save", exact=True).click()
    visitor.troubles.clear()  # the answer 401 is what this is about


def test_a_token_is_typed_once(visit: Visit, sandbox: Running) -> None:
    visitor = visit("admin")
    page = visitor.page
    page.goto("/projects/new/")
    page.locator("#id_name").fill("Storefront")
    expect(page.locator("#id_slug")).to_have_value("storefront")
    page.get_by_label("Repository", exact=True).fill("https://127.0.0.1:9/nowhere.git")
    page.get_by_label("Access").select_option("Access token (HTTPS)")
    page.get_by_label("Token or private key").fill("typed-once-canary-51")
    page.get_by_role("button", name="Read the repository").click()
    expect(page.get_by_text("There is a project “storefront” already.")).to_be_visible()
    expect(page.locator("#id_repository_url_error")).to_be_visible()
    expect(page.get_by_label("Repository", exact=True)).to_be_focused()
    expect(page.get_by_text("What you typed here is kept until")).to_be_visible()
    assert "typed-once-canary-51" not in page.content()
    visitor.troubles.clear()  # the answer 422
