"""Pull credentials in a browser: a Secret of others is taken over, renewed paused; without script, on a phone."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.browsing import SLOWLY, Visitor, needs_axe, needs_browser
from tests.e2e.running import Running

# On one control plane. They are about pages; tests/registry has what clusters do.
pytestmark = [
    *needs_browser,
    pytest.mark.parametrize("sandbox", ["simulated"], indirect=True, scope="session"),
]
Visit = Callable[..., Visitor]
REGISTRY = "/registry/"
NAMESPACE = "storefront-staging"


def credentials(sandbox: Running) -> dict[str, str]:
    """The states by namespace, as they are stored."""
    return {
        row["namespace"]: row["state"]
        for row in sandbox.rows("SELECT namespace, state FROM registry_credential")
    }


def row(page: Page, namespace: str):
    """The row of a namespace."""
    return page.locator("tr", has=page.locator(".title", has_text=re.compile(f"^{namespace}$")))


@pytest.fixture
def ours(visit: Visit) -> Page:
    """The page for an admin. The portal itself keeps the samples' Secrets."""
    page = visit("admin").page
    page.goto(REGISTRY)
    expect(page.locator("tr .state").first).to_be_visible(timeout=SLOWLY)
    return page


def test_all_are_renewed_while_one_looks(ours: Page, sandbox: Running) -> None:
    page = ours
    page.goto("/")
    page.keyboard.press("g")
    page.keyboard.press("r")
    expect(page).to_have_url(re.compile("/registry/$"))
    number = len(credentials(sandbox))
    heading = page.get_by_role("heading", level=1)
    expect(heading).to_contain_text(
        f"Pulls work in {number} of {number} namespaces"
    )  # the paused one ends soon
    page.get_by_role("button", name="Refresh all now").click()
    going = page.locator(".panel", has=page.get_by_role("heading", name="Sandbox", exact=True))
    expect(going).to_contain_text("asked for by admin")
    expect(going.get_by_text("Read back")).to_be_visible()
    expect(going.locator(".panel-head .state")).to_have_text("Succeeded", timeout=SLOWLY)  # without a click
    expect(going).to_contain_text("renewed.", timeout=SLOWLY)
    expect(row(page, NAMESPACE)).to_contain_text("Valid")
    expect(row(page, NAMESPACE)).to_contain_text("11 h 59 min")


def test_pause_and_resume(ours: Page) -> None:
    page = ours
    page.goto(REGISTRY)
    page.get_by_role("link", name=f"Pause {NAMESPACE}").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(f"Pause the pull credential of {NAMESPACE}?")
    page.get_by_role("button", name="Pause").click()
    expect(page.locator(".notice").first).to_contain_text(f"{NAMESPACE}: paused.")
    page.get_by_role("button", name=f"Refresh {NAMESPACE}").click()
    expect(row(page, NAMESPACE).get_by_role("button", name="Resume")).to_be_visible(timeout=SLOWLY)
    row(page, NAMESPACE).get_by_role("button", name="Resume").click()
    page.get_by_role("button", name=f"Refresh {NAMESPACE}").click()
    expect(row(page, NAMESPACE)).to_contain_text("Valid", timeout=SLOWLY)


def test_it_works_without_script(ours: Page, visit: Visit) -> None:
    page = visit("dev", script=False).page
    page.goto(REGISTRY)
    expect(row(page, NAMESPACE)).to_contain_text(re.compile(r"\d+ h"))
    expect(page.get_by_role("button", name="Refresh all now")).to_have_count(0)
    page.get_by_role("button", name=f"Refresh {NAMESPACE}").click()
    expect(page.get_by_label("Renewals under way")).to_contain_text("asked for by dev")
    for _ in range(60):
        if page.get_by_label("Renewals under way").locator(".state.succeeded").count():
            break
        page.wait_for_timeout(1000)
        page.goto(REGISTRY)
    expect(page.get_by_label("Renewals under way")).to_contain_text("Succeeded")


def test_a_policy_is_previewed_before_it_is_saved(ours: Page, sandbox: Running) -> None:
    page = ours
    page.goto("/registry/sandbox/settings/")
    page.get_by_label("All, without the system's").check()
    page.get_by_role("button", name="Preview").click()
    expect(page.get_by_role("heading", name="What this means")).to_be_visible()
    expect(page.locator(".namespaces")).to_contain_text("default")
    assert sandbox.rows("SELECT 1 FROM registry_pullpolicy WHERE namespaces = 'all'") == []


def test_images_of_a_repository(visit: Visit) -> None:
    page = visit("dev").page
    page.goto("/registry/images/storefront/web/")
    expect(page.get_by_role("heading", level=1)).to_have_text("Images of Storefront web")
    expect(page.locator("tbody tr").first).to_contain_text("not scanned")
    expect(page.locator("tbody").get_by_role("link", name="staging").first).to_be_visible()


@needs_axe
def test_on_a_phone_in_the_dark(ours: Page, visit: Visit) -> None:
    visitor = visit("admin", width=390, scheme="dark", bypass_csp=True)
    page = visitor.page
    page.goto(REGISTRY)
    expect(row(page, NAMESPACE)).to_contain_text("Valid")
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    assert visitor.axe() == []
    page.get_by_role("button", name=f"Refresh {NAMESPACE}").click()
    expect(page.get_by_label("Renewals under way")).to_contain_text("Read back")
    assert visitor.axe() == []


def test_pictures(ours: Page, visit: Visit) -> None:
    visitor = visit("admin", bypass_csp=True)  # taking a picture adds a style of the browser's
    visitor.page.goto(REGISTRY)
    expect(row(visitor.page, NAMESPACE)).to_contain_text("Valid")
    visitor.take_picture("registry")
    visitor.page.goto("/registry/sandbox/settings/")
    visitor.take_picture("registry-settings", "light")
    visitor.page.goto("/registry/images/storefront/web/")
    visitor.take_picture("registry-images", "light")
