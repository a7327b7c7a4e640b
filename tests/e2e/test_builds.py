"""Builds in a browser: one under way is followed live, a revision without images is built from where it is missed; without
script, on a phone, in the dark."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.e2e import world
from tests.e2e.browsing import Visitor, needs_axe, needs_browser
from tests.e2e.running import Running

# On one control plane. They are about pages; tests/builds has what becomes of builds.
pytestmark = [
    *needs_browser,
    pytest.mark.parametrize("sandbox", ["simulated"], indirect=True, scope="session"),
]
Visit = Callable[..., Visitor]
Numbers = tuple[int, int, int]
PICKER = "/projects/storefront/staging/deploy/"


@pytest.fixture(scope="module")
def story(sandbox: Running) -> Numbers:
    """Builds of the last days: the numbers of one that failed, one that succeeded, and one that runs."""
    done = tell(sandbox, "story()")
    failed, succeeded, running = map(int, re.findall(r"numbers (\d+) (\d+) (\d+)", done)[0])
    return failed, succeeded, running


def tell(sandbox: Running, what: str) -> str:
    """Calls a function of `built` in the sandbox; what it returned, as text."""
    done = sandbox.manage("shell", "-c", f"from tests.e2e import built; print(built.{what})")
    assert done.returncode == 0, done.stderr
    return done.stdout


def pick(page: Page, subject: str):
    """The row of a revision in a list to choose from."""
    return page.locator(".pick-row", has_text=subject)


def test_pictures(visit: Visit, sandbox: Running, story: Numbers) -> None:
    visitor = visit("admin", bypass_csp=True)  # taking a picture adds a style of the browser's
    page = visitor.page
    page.goto("/builds/")
    visitor.take_picture("builds")
    page.goto(f"/builds/{story[1]}/")
    visitor.take_picture("build", "light")
    page.goto(f"/builds/{story[0]}/")
    visitor.take_picture("build-failed", "light")
    world.push(sandbox, "storefront", "faster-checkout", subject="Make the checkout faster")
    page.goto(f"{PICKER}?branch=faster-checkout&see=1")
    expect(page.get_by_role("button", name="Build this").first).to_be_visible()
    visitor.take_picture("builds-picker", "light")
    page.goto("/projects/storefront/")
    page.get_by_role("heading", name="Builds").scroll_into_view_if_needed()
    visitor.take_picture("builds-project", "light")


@needs_axe
@pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), (1440, "dark"), (390, "dark")])
def test_the_pages_are_accessible(visit: Visit, story: Numbers, width: int, scheme: str) -> None:
    visitor = visit("admin", width=width, scheme=scheme, bypass_csp=True)
    page = visitor.page
    addresses = [f"/builds/{number}/" for number in story]
    for address in (
        *addresses,
        "/builds/?project=storefront",
        "/builds/images/",
        "/builds/new/?project=storefront",
        PICKER,
    ):
        page.goto(address)
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") == width, address
        assert visitor.axe() == [], address


def test_the_list_is_a_key_away_and_filters_have_addresses(visit: Visit, story: Numbers) -> None:
    page = visit("dev").page
    page.keyboard.press("g")
    page.keyboard.press("u")
    expect(page).to_have_url(re.compile("/builds/$"))
    page.get_by_label("State").select_option("failed")
    page.get_by_label("Branch").fill("broken")
    page.get_by_role("button", name="Filter", exact=True).click()
    expect(page).to_have_url(re.compile("state=failed&branch=broken"))
    expect(page.locator("tbody tr")).to_have_count(1)
    expect(page.locator("tbody tr")).to_contain_text("failed at step 6 of 9")


def test_a_build_is_followed_live_to_its_failure(visit: Visit, sandbox: Running, story: Numbers) -> None:
    page = visit("dev").page
    page.goto(f"/builds/{story[2]}/")
    expect(page.locator("h1 .state")).to_have_text("Building")
    expect(page.locator(".log")).to_contain_text("Step 6/9 : RUN npm run build")
    tell(sandbox, f"goes_on({story[2]}, 'canary-line of the log')")
    expect(page.locator(".log")).to_contain_text("canary-line of the log")
    tell(sandbox, f"fails({story[2]})")
    expect(page.locator("h1 .state")).to_have_text("Build failed")
    expect(page.locator(".failure")).to_contain_text("failed at step 6 of 9")
    expect(page.locator(".failure")).to_contain_text("canary-line of the log")
    expect(page.locator(".failure dd").first).to_have_text("1 of 2 images is in the registry (web).")
    page.get_by_role("button", name="Retry…").click()
    expect(page.locator("#retry")).to_contain_text("web is in the registry and is not built again")


def test_a_line_of_the_log_has_an_address(visit: Visit, story: Numbers) -> None:
    page = visit("viewer").page
    page.goto(f"/builds/{story[0]}/#L2")
    expect(page.locator("#L2")).to_be_visible()
    expect(page.get_by_role("button", name="Retry…")).to_have_count(0)  # a viewer only looks


def test_a_revision_without_images_is_built_from_the_picker(visit: Visit, sandbox: Running) -> None:
    commit = world.push(sandbox, "storefront", "unbuilt", subject="Nobody built this yet")
    page = visit("dev").page
    page.goto(f"{PICKER}?branch=unbuilt")
    row = pick(page, "Nobody built this yet")
    expect(row).to_contain_text("No image")
    row.get_by_role("button", name="Build this").click()
    expect(page).to_have_url(re.compile(r"/builds/\d+/$"))
    expect(page.get_by_text("Nobody built this yet").first).to_be_visible()
    expect(page.locator("header.page-head")).to_contain_text("asked for by dev")
    address = page.url
    page.goto(f"{PICKER}?branch=unbuilt")
    expect(
        pick(page, "Nobody built this yet").locator(f'a[href="{address.removeprefix(sandbox.url)}"]')
    ).to_be_visible()
    assert len(sandbox.rows("SELECT 1 FROM builds_build WHERE revision = ?", commit)) == 1


def test_a_revision_is_built_by_hand_without_script(visit: Visit, sandbox: Running) -> None:
    commit = world.push(sandbox, "catalog", "by-hand", subject="Build me by hand")
    page = visit("dev", script=False).page
    page.goto("/builds/")
    page.get_by_role("link", name="Build a revision…").click()
    page.get_by_label("Project", exact=True).select_option("catalog")
    page.get_by_role("button", name="Show").click()
    page.get_by_label("Or a commit, branch or tag").fill("by-hand")
    page.get_by_role("button", name="Show").click()
    expect(pick(page, "Build me by hand").get_by_role("radio")).to_be_checked()
    page.get_by_role("button", name="Build this revision").click()
    expect(page).to_have_url(re.compile(r"/builds/\d+/$"))
    assert len(sandbox.rows("SELECT 1 FROM builds_build WHERE revision = ?", commit)) == 1
    page.goto("/builds/")
    expect(page.locator("tbody tr").first).to_contain_text("Build me by hand")
