"""The path of issue and design, in a browser: from the Deploy button to a verified release, a failure, and back."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from playwright.sync_api import Page, expect

from tests.e2e.browsing import SLOWLY, Visitor, deploy_number, needs_browser
from tests.e2e.fixtures import Slow
from tests.e2e.running import Running

pytestmark = needs_browser
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
Visit = Callable[..., Visitor]


def press_deploy(page: Page, project: str, environment: str, revision: str = "") -> None:
    """From the board to the preview of a revision (the newest one without)."""
    page.goto("/")
    page.locator(f'a[href="/projects/{project}/{environment}/deploy/"]').click()
    if revision:
        page.get_by_label("Or a commit, branch or tag").fill(revision)
        page.get_by_role("button", name="Show").click()
    else:
        page.get_by_role("radio").first.check()
    expect(page.get_by_role("heading", name="Commits")).to_be_visible(timeout=SLOWLY)


def press_deploy_this(page: Page) -> int:
    """The button under the preview; the number of the deploy whose page opens."""
    page.get_by_role("button", name="Deploy ").click()
    page.wait_for_url("**/deploys/*/")
    return deploy_number(page)


@contextmanager
def always_ready(sandbox: Running, namespace: str, name: str, replicas: int) -> Iterator[list[int]]:
    """Asks the cluster again and again how many replicas of a Deployment are ready; the list of answers."""
    seen: list[int] = []
    over = threading.Event()

    def look() -> None:
        while not over.is_set():
            found = sandbox.objects("apis/apps/v1", namespace, "deployments")
            seen.append(
                next(d["status"].get("readyReplicas", 0) for d in found if d["metadata"]["name"] == name)
            )
            over.wait(0.5)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()
    assert seen
    assert min(seen) >= replicas


def log_stands_beside_the_objects(page: Page) -> bool:
    """Whether the log is to the right of the objects, and all of its box is in sight."""
    log, objects = page.locator(".log").bounding_box(), page.locator("#details").bounding_box()
    size = page.viewport_size
    assert log
    assert objects
    assert size
    return log["x"] > objects["x"] + objects["width"] and log["y"] + log["height"] <= size["height"]


def test_from_the_button_to_a_verified_release(visit: Visit, sandbox: Running, slow: Slow) -> None:
    visitor = visit("dev")
    page = visitor.page
    visitor.take_picture("board")

    commit = slow("storefront")
    press_deploy(page, "storefront", "staging", commit)
    commits = page.locator("#commits tbody tr")
    expect(commits.first).to_contain_text("Keep a basket for a week")
    expect(commits.first).to_contain_text("Tess Tester")
    expect(page.locator(".tabs a", has_text="Commits").locator(".count")).to_have_text(str(commits.count()))
    expect(page.locator("#objects summary", has_text="Deployment").first).to_be_visible()
    expect(page.locator(".chips")).to_contain_text(re.compile(f"web, worker.*image .* → {commit[:7]}"))
    keys = page.locator("#secrets tbody tr")
    expect(keys.filter(has_text="SMTP_PASSWORD")).to_contain_text(re.compile("added|changed"))
    page.locator("#objects summary", has_text="Secret/").first.click()
    expect(page.locator("#objects .masked").first).to_be_visible()
    visitor.take_picture("preview")

    number = press_deploy_this(page)
    expect(visitor.state()).to_contain_text("Running")
    page.evaluate("window.loadedOnce = true")
    lines = page.locator(".log-lines > li")
    expect(lines.filter(has_text="objects in kubernetes/staging")).to_have_count(1)
    before = lines.count()
    expect(lines.filter(has_text="storefront-staging/web: changed")).to_have_count(1, timeout=SLOWLY)
    assert lines.count() > before
    expect(page.locator("#details .sub", has_text="readiness probe").first).to_contain_text(
        "HTTP 503", timeout=SLOWLY
    )
    assert log_stands_beside_the_objects(page)
    visitor.take_picture("running")
    expect(visitor.state()).to_contain_text("Succeeded", timeout=SLOWLY)
    expect(page.locator("ol.steps li").filter(has_text="Rollout")).to_contain_text("Succeeded")
    assert page.evaluate("window.loadedOnce"), "the page was loaded again"
    visitor.take_picture("succeeded")

    page.get_by_role("link", name="Deploys").first.click()
    row = page.locator("table tbody tr").filter(has=page.get_by_role("link", name=f"#{number}", exact=True))
    expect(row).to_contain_text("Succeeded")
    expect(row).to_contain_text("dev")
    expect(page.locator("table tbody tr").first).to_contain_text(str(number))


def test_a_broken_revision_is_explained_and_rolled_back(visit: Visit, sandbox: Running) -> None:
    visitor = visit("lead")
    page = visitor.page
    press_deploy(page, "storefront", "staging", "broken")
    with always_ready(sandbox, "storefront-staging", "web", 2):
        press_deploy_this(page)
        expect(visitor.state()).to_contain_text("Failed", timeout=SLOWLY)
    card = page.locator("section.failure")
    expect(card.locator("#why")).to_contain_text("container web crashed")
    expect(card.locator("#why")).to_contain_text("setting PAYMENT_API_URL is missing")
    assert card.locator("#why").inner_text().count("\n") == 0
    expect(card).to_contain_text("Left behind")
    expect(card).to_contain_text("PAYMENT_API_URL is read by web since this revision and set nowhere in")
    expect(page.locator("#live")).to_contain_text(
        re.compile(r"Deploy #\d+ to \w+ failed: web: container web crashed")
    )
    expect(card).to_contain_text("2 of 2 replicas are ready")
    expect(card.locator(".log-lines").first).to_contain_text("setting PAYMENT_API_URL is missing")
    visitor.take_picture("failed")

    card.get_by_role("link", name="Add variable").click()
    expect(
        page.get_by_label("Name of variable").and_(page.locator("[value=PAYMENT_API_URL]"))
    ).to_be_visible()

    page.goto("/")
    page.get_by_role("link", name="Roll back to").click()
    page.get_by_role("dialog").get_by_role("button", name="Roll back to").click()
    page.wait_for_url(lambda url: not url.endswith("/rollback/"))
    expect(page.locator("header .parts").filter(has_text="back to #").first).to_be_visible()
    expect(visitor.state()).to_contain_text("Succeeded", timeout=SLOWLY)
    visitor.take_picture("tour-rolled-back", "light")
    assert sandbox.deploy(deploy_number(page))["kind"] == "rollback"


def test_what_kubectl_made_is_taken_over_once(visit: Visit, sandbox: Running) -> None:
    made = sandbox.objects("apis/apps/v1", "catalog-production", "deployments")
    assert any(LAST_APPLIED in item["metadata"].get("annotations", {}) for item in made)
    visitor = visit("lead", scheme="dark")
    page = visitor.page
    press_deploy(page, "catalog", "production")
    expect(page.locator("#checks")).to_contain_text("Slipway takes over the fields of 7 objects from kubectl")
    expect(page.locator("#objects summary", has_text="taken over").first).to_be_visible()
    expect(page.locator(".tabs a", has_text="Commits").locator(".count")).to_have_text("5")
    page.get_by_label("Type production to confirm").fill("production")
    agree = page.get_by_label(re.compile("Deploy .* all the same"))
    if agree.count():  # the tests before it deployed other revisions to staging
        agree.check()
    press_deploy_this(page)
    expect(visitor.state()).to_contain_text("Succeeded", timeout=SLOWLY)

    kinds = {"deployments": "apis/apps/v1", "services": "api/v1", "ingresses": "apis/networking.k8s.io/v1"}
    for item in (o for kind, api in kinds.items() for o in sandbox.objects(api, "catalog-production", kind)):
        assert LAST_APPLIED not in item["metadata"].get("annotations", {})
        assert "kubectl-client-side-apply" not in {
            field["manager"] for field in item["metadata"]["managedFields"]
        }
    page.goto("/projects/catalog/production/deploy/?see=1")
    expect(page.locator("#objects")).to_contain_text("Nothing changes")


def test_without_script(visit: Visit, sandbox: Running) -> None:
    visitor = visit("dev", script=False)
    page = visitor.page
    page.get_by_role("link", name="Deploy catalog to staging").click()
    page.get_by_role("button", name="Show what will change").click()
    expect(page.get_by_role("heading", name="Commits")).to_be_visible()
    press_deploy_this(page)
    expect(visitor.state()).to_contain_text("Succeeded", timeout=SLOWLY)
    expect(page.locator(".log-lines > li").last).to_contain_text("every object is ready")


def test_stopped_and_rolled_back_without_script(visit: Visit, sandbox: Running, slow: Slow) -> None:
    """The question and both of its buttons are plain HTML."""
    visitor = visit("dev", script=False)
    page = visitor.page
    press = page.get_by_role("dialog").get_by_role("button", name="Stop and roll back to")
    page.goto(f"/projects/catalog/staging/deploy/?see=1&revision={slow('catalog')}")
    number = press_deploy_this(page)
    sandbox.reaches(number, "rollout")
    page.goto(f"/deploys/{number}/")
    page.get_by_role("button", name="Cancel…").click()
    expect(page.get_by_role("dialog").get_by_role("button", name="Stop here")).to_be_visible()
    press.click()
    expect(page.get_by_text(re.compile("dev (asked to cancel|cancelled it)"))).to_be_visible()
    page.get_by_role("link", name=re.compile("ollback #")).click()
    expect(page.get_by_text(f"dev stopped deploy #{number}")).to_be_visible()
    expect(visitor.state()).to_contain_text("Succeeded", timeout=SLOWLY)
    page.goto(f"/deploys/{number}/")
    expect(visitor.state()).to_contain_text("Cancelled")
    expect(page.get_by_text("followed: succeeded.")).to_be_visible()
