"""Every kind of page: what axe finds, at the width of a phone, without complaints of the browser."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.e2e.browsing import Visitor, needs_axe, needs_browser
from tests.e2e.fixtures import People
from tests.e2e.running import Running

pytestmark = needs_browser
Visit = Callable[..., Visitor]
PLAIN = (
    "/",
    "/projects/storefront/",
    "/projects/storefront/staging/",
    "/projects/storefront/staging/deploy/?see=1&revision=broken",
    "/projects/catalog/production/deploy/?see=1",
    "/deploys/",
    "/audit/",
    "/projects/storefront/settings/",
    "/projects/storefront/settings/environments/",
    "/projects/storefront/settings/environments/production/",
    "/projects/storefront/settings/images/",
    "/projects/storefront/settings/secrets-files/",
    "/projects/storefront/settings/members/",
    "/admin/",
    "/admin/clusters/sandbox/",
    "/admin/registries/sandbox/",
    "/admin/people/",
    "/account/",
)


@pytest.fixture(scope="module")
def addresses(sandbox: Running, people: People, slow: dict[str, str]) -> list[str]:
    """The pages to look at, a deploy of each end among them."""
    ended = sandbox.rows(
        "SELECT max(number) AS number FROM deployments_deploy WHERE ended_at IS NOT NULL GROUP BY state"
    )
    if not sandbox.rows("SELECT 1 FROM deployments_deploy WHERE state = 'failed'"):
        number = people("dev").deploy("storefront", "staging", "broken")
        assert sandbox.ended(number)["state"] == "failed"
        ended.append({"number": number})
    return [*PLAIN, *(f"/deploys/{row['number']}/" for row in ended)]


@needs_axe
@pytest.mark.parametrize(("scheme", "width"), [("light", 1440), ("dark", 390)])
def test_axe_finds_nothing(
    visit: Visit, addresses: list[str], people: People, slow: dict[str, str], scheme: str, width: int
) -> None:
    visitor = visit("admin", scheme=scheme, width=width, bypass_csp=True)
    found = {}
    running = people("dev").deploy("catalog", "staging", slow["catalog"])
    for address in (f"/deploys/{running}/", *addresses):
        visitor.page.goto(address)
        found[address] = visitor.axe()
    assert {address: rules for address, rules in found.items() if rules} == {}


def test_nothing_scrolls_sideways(visit: Visit, addresses: list[str]) -> None:
    visitor = visit("admin", width=390)
    wide = []
    for address in addresses:
        visitor.page.goto(address)
        for width in (390, 320):
            visitor.page.set_viewport_size({"width": width, "height": 844})
            if visitor.page.evaluate("document.documentElement.scrollWidth") > width:
                wide.append((address, width))
    assert wide == []
