"""The preview in a browser: meaning before YAML, what mends a finding, and the record of a failed revision."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.e2e import world
from tests.e2e.browsing import SLOWLY, Visitor, deploy_number, needs_browser
from tests.e2e.fixtures import People
from tests.e2e.running import Running

# On one control plane: it is about a page.
pytestmark = [
    *needs_browser,
    pytest.mark.parametrize("sandbox", ["simulated"], indirect=True, scope="session"),
]
Visit = Callable[..., Visitor]
WEB = "kubernetes/staging/web.yaml"
MEMORY = world.Edit(
    WEB,
    "            limits:\n              memory: 256Mi",
    "            limits:\n              memory: ${WEB_MEMORY}",
)
READY = {"storefront/web": world.READY, "storefront/worker": world.READY}


def test_a_missing_variable_is_added_from_the_preview(visit: Visit, sandbox: Running) -> None:
    commit = world.push(
        sandbox, "storefront", "memory", MEMORY, subject="Let the environment decide the memory"
    )
    world.publish(sandbox, commit, READY)
    visitor = visit("lead")
    page = visitor.page
    page.goto("/projects/storefront/staging/deploy/?branch=memory")
    checks = page.locator("#checks")
    expect(checks).to_contain_text("The variable WEB_MEMORY has no value in Staging.", timeout=SLOWLY)
    expect(page.locator("#preview")).to_contain_text("memory")  # the branch, which is not the default one
    assert page.locator("#go").count() == 0
    checks.get_by_label("Value of WEB_MEMORY").fill("320Mi")
    checks.get_by_role("button", name="Add WEB_MEMORY").click()

    expect(page.get_by_text("Staging has the variable WEB_MEMORY now.")).to_be_visible()
    chips = page.locator(".chips")
    expect(chips).to_contain_text("web memory limit 256 → 320 Mi")
    web = page.locator("#objects details", has=page.locator("summary", has_text="Deployment/web"))
    expect(web.locator("summary").first).to_contain_text(re.compile("restarts [12] pods?"))
    expect(web.locator("table.diff")).to_be_hidden()
    web.locator("summary").first.click()
    image = web.locator("tr.changed", has_text="image:")
    expect(image).to_contain_text(re.compile(r"…/web:\w{7} → " + commit[:7]))
    expect(web.locator("tr.gone", has_text="sha256")).to_have_count(0)

    page.get_by_role("radio", checked=True).focus()  # the bar's fields come first behind the list
    page.get_by_label("Why (optional)").press_sequentially("more memory")
    page.keyboard.press("Tab")
    expect(page.locator("#go")).to_be_focused()
    page.keyboard.press("Enter")
    page.wait_for_url("**/deploys/*/")
    expect(visitor.state()).to_contain_text("Succeeded", timeout=SLOWLY)
    assert sandbox.deploy(deploy_number(page))["branch"] == "memory"
    page.goto("/projects/storefront/staging/")
    expect(page.locator(".facts").get_by_text("memory", exact=True)).to_be_visible()


def test_a_failed_revision_is_remembered_and_asked_once(
    visit: Visit, sandbox: Running, people: People
) -> None:
    number = people("dev").deploy("storefront", "staging", "broken")
    assert sandbox.ended(number)["state"] == "failed"
    visitor = visit("lead", width=390)
    page = visitor.page
    page.goto("/projects/storefront/production/deploy/?branch=broken&see=1")
    expect(page.locator(".pick", has=page.get_by_role("radio", checked=True))).to_contain_text(
        "failed in Staging"
    )
    bar = page.locator("#deploy-form")
    box = bar.get_by_role("checkbox", name=re.compile("all the same"))
    expect(bar).to_contain_text(f"It failed in Staging (deploy #{number})")
    page.locator("#commits").scroll_into_view_if_needed()
    expect(box).to_be_in_viewport()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.get_by_label("Type production to confirm").fill("production")
    page.locator("#go").click()  # the browser asks for the box
    assert "/deploy/" in page.url
    assert box.evaluate("box => box.matches(':invalid')")
