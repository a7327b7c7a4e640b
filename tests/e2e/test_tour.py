"""The parts of docs/tour.md that no other test walks through, with its pictures."""

from __future__ import annotations

import os
import re
from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from sandbox.kubernetes import faults
from sandbox.supervision import losing
from tests.e2e.browsing import SLOWLY, Visitor, deploy_number, needs_browser
from tests.e2e.fixtures import Slow
from tests.e2e.running import Running
from tests.e2e.test_whole_path import press_deploy, press_deploy_this

pytestmark = [*needs_browser, pytest.mark.any_database]
Visit = Callable[..., Visitor]
only_pictures = pytest.mark.skipif(
    os.environ.get("SCREENSHOTS") != "1",
    reason="makes a picture of what tests/chaos shows; SCREENSHOTS=1 asks for it",
)


def test_signing_in_and_looking_back(visit: Visit, sandbox: Running) -> None:
    visitor = visit("dev")
    page = visitor.page
    page.goto("/deploys/")
    expect(page.locator("table tbody tr").first).to_contain_text("#")
    visitor.take_picture("tour-history", "light")
    visitor.context.clear_cookies()
    page.goto("/deploys/")
    expect(page.get_by_label("Username")).to_be_focused()
    visitor.take_picture("tour-sign-in", "light")


def test_a_missing_key_is_named_before_anything_is_changed(visit: Visit, sandbox: Running) -> None:
    visitor = visit("dev")
    page = visitor.page
    page.goto("/projects/storefront/staging/deploy/?branch=more-keys&see=1")
    checks = page.locator("#checks")
    expect(checks).to_contain_text("FRAUD_CHECK_TOKEN")
    expect(page.locator(".action-bar")).to_contain_text(re.compile("error|failed"))
    visitor.take_picture("tour-missing-key", "light")


def test_a_wrong_tag_is_given_up_soon_and_rolled_back(visit: Visit, sandbox: Running) -> None:
    visitor = visit("lead")
    page = visitor.page
    press_deploy(page, "cluster-base", "cluster", "wrong-tag")
    page.get_by_label("Type cluster to confirm").fill("cluster")
    press_deploy_this(page)
    expect(visitor.state()).to_contain_text("Failed", timeout=SLOWLY)
    expect(page.locator("#why")).to_contain_text("v1.12.1 was not found in the registry")
    visitor.take_picture("tour-wrong-tag", "light")
    page.get_by_role("button", name="Roll back to").first.click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Type cluster to go on").fill("cluster")
    dialog.get_by_role("button", name="Roll back to").click()
    page.wait_for_url(lambda url: not url.endswith("/rollback/"))
    expect(visitor.state()).to_contain_text("Succeeded", timeout=SLOWLY)
    assert sandbox.deploy(deploy_number(page))["kind"] == "rollback"


@only_pictures
def test_picture_of_a_lost_worker(visit: Visit, sandbox: Running, slow: Slow) -> None:
    visitor = visit("dev")
    page = visitor.page
    press_deploy(page, "storefront", "staging", slow("storefront"))
    number = press_deploy_this(page)
    sandbox.reaches(number, "rollout")
    assert losing.kill(sandbox.directory, "deploys")
    expect(page.get_by_text("attempt 2").first).to_be_visible(timeout=SLOWLY)
    visitor.take_picture("tour-lost-worker", "light")
    expect(visitor.state()).to_contain_text("Succeeded", timeout=SLOWLY)


@only_pictures
def test_picture_of_a_dead_cluster(visit: Visit, sandbox: Running) -> None:
    visitor = visit("dev")
    page = visitor.page
    assert faults.main(["api-down", "90"], sandbox.directory / "simulated") == 0
    expect(page.locator("main")).to_contain_text("Unknown", timeout=120_000)
    visitor.take_picture("tour-dead-cluster", "light")
    expect(page.locator("main")).not_to_contain_text("Unknown", timeout=120_000)
