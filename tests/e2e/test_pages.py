"""Every kind of page: what axe finds, at the width of a phone, without complaints of the browser."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from playwright.sync_api import Browser

from tests.e2e.browsing import AXE, Visitor, needs_axe, needs_browser
from tests.e2e.fixtures import People, Slow
from tests.e2e.running import Running
from tests.ui.wording import faults

# On one control plane: they are about pages, and no cluster takes part.
pytestmark = [
    *needs_browser,
    pytest.mark.parametrize("sandbox", ["simulated"], indirect=True, scope="session"),
]
PLAIN = (
    "/",
    "/projects/storefront/",
    "/projects/storefront/staging/",
    "/projects/storefront/staging/deploy/?see=1&revision=broken",
    "/projects/catalog/production/deploy/?see=1",
    "/registry/",
    "/registry/?cluster=sandbox&show=attention",
    "/registry/sandbox/settings/",
    "/registry/sandbox/pause/",
    "/registry/images/storefront/web/",
    "/secrets/",
    "/projects/storefront/staging/secrets/",
    "/projects/storefront/staging/secrets/?edit=storefront-secrets/PAYMENT_TOKEN",
    "/projects/storefront/production/secrets/?reveal=storefront-secrets/PAYMENT_TOKEN",
    "/deploys/",
    "/audit/",
    "/projects/new/",
    "/projects/storefront/settings/",
    "/projects/storefront/settings/proposals/",
    "/projects/storefront/settings/environments/",
    "/projects/storefront/settings/environments/production/",
    "/projects/storefront/settings/environments/staging/variable/?name=LOG_LEVEL",
    "/projects/storefront/settings/images/",
    "/projects/storefront/settings/secrets-files/",
    "/projects/storefront/settings/builds/?look=1",
    "/projects/storefront/settings/builds/keys/",
    "/projects/storefront/settings/builds/images/web/",
    "/projects/storefront/settings/builds/secrets/new/",
    "/builds/deliveries/",
    "/projects/storefront/settings/members/",
    "/projects/storefront/settings/archive/",
    "/projects/storefront/settings/environments/production/archive/",
    "/admin/clusters/sandbox/archive/",
    "/archived/",
    "/admin/",
    "/status/",
    "/admin/clusters/sandbox/",
    "/admin/clusters/new/",
    "/admin/registries/sandbox/",
    "/admin/people/",
    "/admin/people/new/",
    "/admin/people/2/",
    "/admin/people/2/roles/",
    "/admin/people/2/second-step/",
    "/projects/new/",
    "/account/",
)


# What depends on colours and width: asked again in the dark and on a phone; the rest is the same there.
OF_LOOKS = ("color-contrast", "link-in-text-block", "scrollable-region-focusable", "target-size")


@dataclass(frozen=True)
class Look:
    """What was found on one page. `axe`: in the light, in the dark on a phone. `wide`: widths (px) that it does not fit. `words`:
    faults in its text."""

    axe: tuple[list[Any], list[Any]]
    wide: list[int]
    words: list[str]


@pytest.fixture(scope="module")
def addresses(sandbox: Running, people: People, slow: Slow) -> list[str]:
    """The pages to look at: a deploy that runs, and one of each end."""
    if not sandbox.rows("SELECT 1 FROM deployments_deploy WHERE state = 'failed'"):
        number = people("dev").deploy("storefront", "staging", "broken")
        assert sandbox.ended(number)["state"] == "failed"
    newest = "SELECT max(number) AS number FROM deployments_deploy WHERE ended_at IS NOT NULL GROUP BY state"
    ended = [row["number"] for row in sandbox.rows(newest)]
    running = people("dev").deploy("catalog", "staging", slow("catalog"))
    return [*(f"/deploys/{number}/" for number in (running, *ended)), *PLAIN]


@pytest.fixture(scope="module")
def looks(chromium: Browser, sandbox: Running, addresses: list[str]) -> Iterator[dict[str, Look]]:
    """Each page opened once, looked at in every way. The browser must have nothing to complain of."""
    visitor = Visitor.enter(chromium, sandbox, "admin", bypass_csp=True)
    yield {address: look_at(visitor, address) for address in addresses}
    visitor.context.close()
    assert visitor.troubles == []


def look_at(visitor: Visitor, address: str) -> Look:
    """One page."""
    page = visitor.page
    page.emulate_media(color_scheme="light")
    page.set_viewport_size({"width": 1440, "height": 900})
    page.goto(address)
    light = visitor.axe() if AXE.exists() else []
    page.emulate_media(color_scheme="dark")
    wide = []
    for width in (320, 390):
        page.set_viewport_size({"width": width, "height": 844})
        if page.evaluate("document.documentElement.scrollWidth") > width:
            wide.append(width)
    return Look((light, visitor.axe(*OF_LOOKS) if AXE.exists() else []), wide, faults(page.content()))


@needs_axe
def test_axe_finds_nothing(looks: dict[str, Look]) -> None:
    assert {address: look.axe for address, look in looks.items() if any(look.axe)} == {}


def test_nothing_scrolls_sideways(looks: dict[str, Look]) -> None:
    assert {address: look.wide for address, look in looks.items() if look.wide} == {}


def test_the_words_are_right(looks: dict[str, Look]) -> None:
    assert {address: look.words for address, look in looks.items() if look.words} == {}
