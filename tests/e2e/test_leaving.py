"""A project leaves the board and comes back; a name that is too long stays in its field."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.e2e.browsing import Visitor, needs_browser

# On one control plane. They are about pages, and no cluster takes part.
pytestmark = [
    *needs_browser,
    pytest.mark.parametrize("sandbox", ["simulated"], indirect=True, scope="session"),
]
Visit = Callable[..., Visitor]
LONG = "pre-production-for-customers-in-the-north"


def test_an_environment_is_archived_and_restored_without_a_script(visit: Visit) -> None:
    """Whoever archives is told what it does and what stays. `cluster-base` is no other test's."""
    page = visit("admin", script=False).page
    page.goto("/projects/cluster-base/settings/environments/")
    page.get_by_role("link", name=re.compile("^Edit")).first.click()
    page.get_by_role("link", name="Archive…").click()
    expect(page.get_by_role("heading", name="What stays outside")).to_be_visible()
    page.get_by_role("button", name=re.compile("^Archive ")).click()
    page.get_by_role("link", name="1 archived").click()
    page.get_by_role("link", name=re.compile("^Restore or remove")).click()
    page.get_by_role("button", name=re.compile("^Restore ")).click()
    expect(page.get_by_text("is restored.")).to_be_visible()


def test_what_is_open_is_told_with_links(visit: Visit) -> None:
    page = visit("admin").page
    page.goto("/admin/clusters/sandbox/archive/")
    expect(page.get_by_text("It cannot be archived now:")).to_be_visible()
    expect(page.get_by_role("button", name=re.compile("^Archive "))).to_have_count(0)
    page.get_by_role("link", name=re.compile("is on it.$")).first.click()
    expect(page).to_have_url(re.compile("/settings/environments/"))


def test_a_name_that_is_too_long_is_not_cut(visit: Visit) -> None:
    visitor = visit("lead")
    page = visitor.page
    page.goto("/projects/storefront/settings/environments/new/")
    slug = page.get_by_label("Short name")
    slug.fill(LONG)
    expect(slug).to_have_value(LONG)
    expect(page.get_by_text(f"{len(LONG)} of 20 characters")).to_be_visible()
    assert not slug.evaluate("field => field.checkValidity()")
    page.evaluate("document.querySelector('form.fields').noValidate = true")
    page.get_by_role("button", name="Try and add the environment").click()
    expect(slug).to_have_value(LONG)
    expect(page.get_by_text("at most 20 characters")).to_be_visible()
    visitor.troubles.clear()  # the browser tells of the 422
