"""Somebody with a real browser: headless Chromium."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser, BrowserContext, Error, Page, expect

from tests.browser import CHROMIUM
from tests.e2e.pictures import smaller
from tests.e2e.running import ROOT, Running

AXE = Path(os.environ.get("NODE_PATH", ROOT / "node_modules"), "axe-core", "axe.min.js")
PICTURES = ROOT / "docs" / "images"
MOST_BYTES = 150_000
LAUNCH = [
    "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--no-first-run", "--disable-default-apps", "--no-pings",
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1 , EXCLUDE localhost",
]  # fmt: skip
SLOWLY = 90_000  # ms: what a busy machine may need for something in the background
expect.set_options(timeout=30_000)  # ms, for what a page does at once

needs_browser = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed"),
]
needs_axe = pytest.mark.skipif(
    not AXE.exists(), reason="axe-core is not installed: run `npm install` at the root"
)


@dataclass
class Visitor:
    """One person's browser, signed in. `troubles`: errors of its console."""

    running: Running
    context: BrowserContext
    page: Page
    troubles: list[str] = field(default_factory=list)

    @classmethod
    def enter(
        cls, browser: Browser, running: Running, name: str, *, scheme: str = "light", width: int = 1440,
        height: int = 900, script: bool = True, bypass_csp: bool = False,
    ) -> Visitor:  # fmt: skip
        """Opens the browser and signs in by the form."""
        context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=scheme, java_script_enabled=script,
            bypass_csp=bypass_csp, base_url=running.url, reduced_motion="reduce",
        )  # fmt: skip
        context.set_default_timeout(SLOWLY)
        visitor = cls(running, context, context.new_page())
        visitor.page.on("console", visitor._hear)
        visitor.page.on("pageerror", lambda error: visitor.troubles.append(str(error)))
        visitor.sign_in(name)
        return visitor

    def _hear(self, message: Any) -> None:
        if message.type == "error":
            self.troubles.append(f"{self.page.url}: {message.text}")

    def sign_in(self, name: str) -> None:
        """As people do: whatever they open, they are asked first."""
        try:
            self.page.goto("/")
        except Error as error:  # Docker engines of other tests make and remove networks meanwhile
            if "ERR_NETWORK_CHANGED" not in error.message:
                raise
            self.page.goto("/")
        self.page.get_by_label("Username").fill(name)
        self.page.get_by_label("Password").fill(self.running.env["SLIPWAY_PASSWORD"])
        self.page.get_by_role("button", name="Sign in").click()
        expect(self.page.get_by_role("heading", name="Projects")).to_be_visible()

    def state(self) -> Any:
        """The deploy's state in the heading of its page."""
        return self.page.locator("h1 .state")

    def axe(self, *rules: str) -> list[tuple[str, list[str]]]:
        """What axe finds on the page as it is, by all rules or some. Needs `bypass_csp`."""
        if not self.page.evaluate("typeof axe === 'object'"):
            self.page.add_script_tag(path=AXE)
        options: dict[str, Any] = {"resultTypes": ["violations"]}
        if rules:
            options["runOnly"] = {"type": "rule", "values": list(rules)}
        found = self.page.evaluate("options => axe.run(options)", options)["violations"]
        return [(item["id"], [node["html"][:160] for node in item["nodes"]]) for item in found]

    def take_picture(self, name: str, *schemes: Literal["light", "dark"]) -> None:
        """For the documentation, light and dark unless told otherwise, where SCREENSHOTS=1 asks for it."""
        if os.environ.get("SCREENSHOTS") != "1":
            return
        PICTURES.mkdir(parents=True, exist_ok=True)
        for scheme in schemes or ("light", "dark"):
            self.page.emulate_media(color_scheme=scheme)
            path = PICTURES / f"{name}-{scheme}.png"
            path.write_bytes(smaller(self.page.screenshot(animations="disabled")))
            assert path.stat().st_size < MOST_BYTES, f"{path.name} is too large for the repository"
        self.page.emulate_media(color_scheme="light")


def deploy_number(page: Page) -> int:
    """Of the deploy's page that is shown."""
    return int(page.url.rstrip("/").rpartition("/")[2])
