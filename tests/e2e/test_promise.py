"""The plan is the promise, in a browser: what came in between is told before anything happens, and the same work is not done
twice."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

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
PLACE = "/projects/catalog/staging/"
READY = {"catalog/api": world.READY, "catalog/search": world.READY}


def a_commit(sandbox: Running, branch: str, replicas: str) -> str:
    """A pushed revision with images, which sets the number of replicas."""
    edit = world.Edit("kubernetes/staging/api.yaml", "replicas: 1", f"replicas: {replicas}")
    commit = world.push(sandbox, "catalog", branch, edit, subject=f"Run {replicas} of it")
    world.publish(sandbox, commit, READY)
    return commit


def numbers(sandbox: Running) -> list[int]:
    """The deploys of the environment."""
    query = (
        "SELECT d.number FROM deployments_deploy d JOIN projects_environment e ON e.id = d.environment_id"
        " JOIN projects_project p ON p.id = e.project_id WHERE p.slug = 'catalog' AND e.slug = 'staging' ORDER BY d.number"
    )
    return [row["number"] for row in sandbox.rows(query)]


def see(page: Page, commit: str) -> None:
    """Its preview, with a button."""
    page.goto(f"{PLACE}deploy/?revision={commit}")
    expect(page.locator("#go")).to_be_enabled(timeout=SLOWLY)


def test_what_came_in_between_is_told_before_anything_happens(
    visit: Visit, sandbox: Running, people: People
) -> None:
    commit = a_commit(sandbox, "two-of-it", "2")
    visitor = visit("dev")
    page = visitor.page
    see(page, commit)
    other = people("lead").deploy("catalog", "staging", "main")
    assert sandbox.ended(other)["state"] == "succeeded"
    before = numbers(sandbox)

    page.locator("#go").click()
    told = page.get_by_role("alert").filter(has_text="Nothing was started.")
    expect(told).to_contain_text(
        re.compile(rf"Deploy #{other} of \w{{7}} by lead came in between \(succeeded\)")
    )
    expect(told).to_contain_text("Press the button again if that is what you want.")
    assert numbers(sandbox) == before
    visitor.troubles.clear()  # the browser tells of the 422

    page.locator("#go").click()
    page.wait_for_url("**/deploys/*/")
    expect(visitor.state()).to_contain_text("Succeeded", timeout=SLOWLY)
    expect(page.locator("main")).to_contain_text("Did exactly what the preview showed.")
    assert sandbox.deploy(deploy_number(page))["revision"] == commit


def test_two_clicks_and_the_back_button_do_the_work_once(visit: Visit, sandbox: Running) -> None:
    commit = a_commit(sandbox, "three-of-it", "3")
    visitor = visit("dev")
    page = visitor.page
    see(page, commit)
    before = numbers(sandbox)
    page.locator("#go").dblclick()
    page.wait_for_url("**/deploys/*/")
    number = deploy_number(page)
    assert numbers(sandbox) == [*before, number]
    expect(visitor.state()).to_contain_text("Succeeded", timeout=SLOWLY)

    page.go_back()  # the page as it is now, not as it was: what was to change has changed
    objects = page.locator("#objects")
    expect(objects).to_contain_text("Nothing changes: every object already is", timeout=SLOWLY)
    assert numbers(sandbox) == [*before, number]


def test_another_choice_takes_the_old_button_away_at_once(visit: Visit, sandbox: Running) -> None:
    commit = a_commit(sandbox, "four-of-it", "4")
    page = visit("dev").page
    see(page, commit)
    with page.expect_response(lambda answer: "/preview" in answer.url):
        page.get_by_label("Branch", exact=True).select_option("main")
        assert page.locator("#go:enabled").count() == 0
    expect(page.locator("#go")).to_be_enabled(timeout=SLOWLY)
    expect(page.locator("#preview")).not_to_contain_text(commit[:7])
