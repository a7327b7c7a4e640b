"""From an empty portal to the first deploy, in a browser, with what a person types and presses and nothing else."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.e2e.browsing import AXE, SLOWLY, needs_axe, needs_browser
from tests.e2e.empty import (
    Empty,
    account_kubeconfig,
    empty_portal,
    fresh_repository,
    registry_fields,
)
from tests.e2e.running import Running

pytestmark = [*needs_browser, needs_axe]
FIVE_MINUTES = 300.0


@dataclass
class Hands:
    """What a person does, counted. `troubles`: errors of the browser's console."""

    page: Page
    typed: int = 0
    pressed: int = 0
    troubles: list[str] = field(default_factory=list)

    def fill(self, where: Locator, text: str) -> None:
        """Types into a field."""
        where.fill(text)
        self.typed += 1

    def press(self, what: Locator) -> None:
        """Presses a button or a link."""
        what.click(timeout=SLOWLY)
        self.pressed += 1


@pytest.fixture
def empty(sandbox: Running) -> Iterator[Empty]:
    """The empty portal."""
    with empty_portal(sandbox) as found:
        yield found


@pytest.fixture
def hands(chromium: Browser, empty: Empty) -> Iterator[Hands]:
    """A browser in which nobody is signed in."""
    context = chromium.new_context(
        viewport={"width": 1440, "height": 900}, base_url=empty.url, reduced_motion="reduce", bypass_csp=True
    )
    context.set_default_timeout(SLOWLY)
    found = Hands(context.new_page())
    found.page.on("console", lambda message: _hear(found, message))
    yield found
    context.close()
    assert found.troubles == []


def _hear(hands: Hands, message: Any) -> None:
    if message.type == "error":
        hands.troubles.append(f"{hands.page.url}: {message.text}")


def test_from_an_empty_portal_to_the_first_deploy(
    sandbox: Running, empty: Empty, hands: Hands, record_property: Any
) -> None:
    address, kubeconfig = fresh_repository(sandbox), account_kubeconfig(sandbox)
    token = json.loads((sandbox.directory / "keys.json").read_text())["git_token"]
    page, began = hands.page, time.monotonic()

    page.goto("/")
    expect(page.get_by_text("Nobody has an account here yet.")).to_be_visible(timeout=SLOWLY)
    expect(page.get_by_text("manage.py setuplink")).to_be_visible(timeout=SLOWLY)
    page.goto(empty.setup_link())
    hands.fill(page.get_by_label("Username"), "tess")
    for label in page.get_by_label("password").all():
        hands.fill(label, "a long enough passphrase 7")
    hands.press(page.get_by_role("button", name="Make the account"))
    expect(page.get_by_role("heading", name="No projects yet")).to_be_visible(timeout=SLOWLY)

    hands.press(page.get_by_role("link", name="Register a cluster"))
    expect(page.get_by_text("How to make such a kubeconfig")).to_be_visible(timeout=SLOWLY)
    hands.fill(page.get_by_label("Name", exact=True), "London")
    hands.fill(page.get_by_role("textbox", name="Kubeconfig"), kubeconfig)
    hands.press(page.get_by_role("button", name="Try and register"))
    expect(page.get_by_role("heading", name="London")).to_be_visible(timeout=SLOWLY)
    expect(page.get_by_text("The account lacks")).to_have_count(0)

    page.goto("/")
    hands.press(page.get_by_role("link", name="Register a registry"))
    for label, text in registry_fields(sandbox).items():
        hands.fill(page.get_by_label(label, exact=True), text)
    hands.press(page.get_by_role("button", name="Try and register"))
    expect(page.get_by_role("heading", name="ECR")).to_be_visible(timeout=SLOWLY)

    page.goto("/")
    from_project = time.monotonic(), hands.typed, hands.pressed
    hands.press(page.get_by_role("link", name="Add a project"))
    hands.fill(page.get_by_label("Repository"), address)
    page.get_by_label("Access").select_option("token")
    hands.fill(page.get_by_label("Token or private key"), token)
    hands.press(page.get_by_role("button", name="Read the repository"))

    expect(page.get_by_role("heading", name="Read from the repository")).to_be_visible(timeout=SLOWLY)
    expect(page.get_by_label("Namespace")).to_have_value("widget-staging")
    assert (axe(page), too_wide(page)) == ([], [])
    hands.fill(page.get_by_label("Value of GREETING"), "Hello")
    hands.fill(page.get_by_label("Value of REPLICAS"), "2")
    hands.press(page.get_by_role("button", name="Save everything"))

    expect(page.get_by_role("heading", name="Until the first deploy")).to_be_visible(timeout=SLOWLY)
    hands.press(page.get_by_role("button", name="Create the namespace"))
    expect(page.get_by_text("widget-staging is on London.")).to_be_visible(timeout=SLOWLY)
    hands.press(page.get_by_role("link", name="Create it from the reference file"))
    hands.fill(page.get_by_label("Why?"), "The first one")
    hands.press(page.get_by_role("button", name="Make the secret in AWS"))
    expect(page.get_by_text("1 of its keys has no value yet")).to_be_visible(timeout=SLOWLY)
    assert (axe(page), too_wide(page)) == ([], [])

    hands.press(page.locator(".checklist").get_by_role("link", name="Deploy for Staging"))
    expect(page.get_by_role("heading", name="Commits")).to_be_visible(timeout=SLOWLY)
    hands.press(page.get_by_role("button", name="Deploy "))
    page.wait_for_url("**/deploys/*/")
    expect(page.locator("h1 .state")).to_have_text("Succeeded", timeout=SLOWLY)
    ended = time.monotonic()

    page.goto("/projects/widget/")
    expect(page.get_by_role("heading", name="Staging")).to_be_visible(timeout=SLOWLY)
    expect(page.get_by_text("Until the first deploy")).to_have_count(0)
    told = (
        f"from an empty portal {ended - began:.0f} s, {hands.typed} fields, {hands.pressed} clicks;"
        f" of the project {ended - from_project[0]:.0f} s, {hands.typed - from_project[1]} fields,"
        f" {hands.pressed - from_project[2]} clicks"
    )
    record_property("from zero", told)
    sys.stdout.write(f"{told}\n")
    assert ended - began < FIVE_MINUTES, told


def axe(page: Page) -> list[tuple[str, list[str]]]:
    """What axe finds on the page as it is."""
    page.add_script_tag(path=AXE)
    found = page.evaluate("axe.run({resultTypes: ['violations']})")["violations"]
    return [(one["id"], [node["html"] for node in one["nodes"]]) for one in found]


def too_wide(page: Page) -> list[int]:
    """The widths of phones that the page does not fit."""
    found = []
    for width in (320, 390):
        page.set_viewport_size({"width": width, "height": 900})
        if page.evaluate("document.documentElement.scrollWidth") > width:
            found.append(width)
    page.set_viewport_size({"width": 1440, "height": 900})
    return found
