"""Stopping with a rollback behind it, and rollbacks that follow a failure by themselves: in the running portal, whoever
dies meanwhile."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from tests.chaos.breaking import horse_of, kill
from tests.e2e.fixtures import People, Slow
from tests.e2e.running import Running, until

pytestmark = pytest.mark.slow


def follower(sandbox: Running, number: int) -> dict[str, Any]:
    """The one rollback that follows a deploy."""
    query = "SELECT r.* FROM deployments_deploy r JOIN deployments_deploy d ON r.undoes_id = d.id WHERE d.number = ?"
    found = sandbox.rows(query, number)
    assert len(found) == 1
    return found[0]


def images(sandbox: Running, namespace: str) -> set[str]:
    """What the Deployments of a namespace want to run: tags."""
    found = sandbox.objects("apis/apps/v1", namespace, "deployments")
    texts = [item["spec"]["template"]["spec"]["containers"][0]["image"] for item in found]
    return {text.partition("@")[0].rpartition(":")[2] for text in texts}


@pytest.mark.parametrize("dies", [False, True], ids=["its worker stops", "its worker is killed"])
def test_stop_and_roll_back(sandbox: Running, people: People, slow: Slow, dies: bool) -> None:
    """The rollback is what comes next, before what waited; no one who dies in between takes it along."""
    dev, lead = people("dev"), people("lead")
    good = dev.deploy("catalog", "staging", "main")
    assert sandbox.ended(good)["state"] == "succeeded"
    before = images(sandbox, "catalog-staging")
    number = dev.deploy("catalog", "staging", slow("catalog"))
    sandbox.reaches(number, "rollout")
    behind = dev.deploy("catalog", "staging", slow("catalog"))
    if dies:
        kill(horse_of(sandbox, number))
    answer = lead.act(number, "cancel", then="roll_back")
    assert answer.status_code == 200
    rollback = follower(sandbox, number)
    assert f"/deploys/{rollback['number']}/" in answer.text
    ended = sandbox.ended(number, 150)
    assert (ended["state"], ended["result"].startswith("lead cancelled it")) == ("cancelled", True)
    assert f"deploy #{rollback['number']} rolls back to" in ended["result"]
    done = sandbox.ended(rollback["number"])
    assert (done["state"], done["kind"], done["actor_text"]) == ("succeeded", "rollback", "lead")
    assert done["revision"] == sandbox.deploy(good)["revision"]
    log = sandbox.log(rollback["number"])
    assert "Deployment catalog-staging/api: changed" in log
    last = sandbox.ended(behind)
    assert last["state"] == "succeeded"
    assert ended["ended_at"] <= done["started_at"] < done["ended_at"] <= last["started_at"]
    assert before == {sandbox.deploy(good)["revision"][:7]}


@pytest.fixture
def rolls_back_by_itself(sandbox: Running, people: People) -> Iterator[None]:
    """The storefront's staging does, for as long as a test runs."""
    rows = "SELECT e.id, e.name, e.cluster_id, e.policies FROM projects_environment e JOIN projects_project p"
    rows += " ON p.id = e.project_id WHERE p.slug = 'storefront' AND e.slug = 'staging'"
    switch(sandbox, people, on=True)
    assert json.loads(sandbox.rows(rows)[0]["policies"]) == {"automatic_rollback": True}
    yield
    switch(sandbox, people, on=False)
    assert json.loads(sandbox.rows(rows)[0]["policies"]) == {}


def switch(sandbox: Running, people: People, *, on: bool) -> None:
    """By the form of the settings, with all that it holds."""
    query = "SELECT e.* FROM projects_environment e JOIN projects_project p ON p.id = e.project_id"
    row = sandbox.rows(f"{query} WHERE p.slug = 'storefront' AND e.slug = 'staging'")[0]
    variables = json.loads(row["variables"])
    data = {
        "edited": row["edited"], "name": row["name"], "order": row["order"], "cluster": row["cluster_id"],
        "namespace": row["namespace"], "config_directory": row["config_directory"], "pull_secret": row["pull_secret"],
        "deploy_timeout": row["deploy_timeout"], "slack_channel": row["slack_channel"],
        "placeholders": "stop" if row["placeholders_stop"] else "warn",
        "variables-TOTAL_FORMS": len(variables), "variables-INITIAL_FORMS": len(variables),
        **({"automatic_rollback": "on"} if on else {}),
    }  # fmt: skip
    for n, variable in enumerate(variables):
        data |= {f"variables-{n}-name": variable["name"], f"variables-{n}-value": variable["value"]}
        data |= {f"variables-{n}-type": variable["type"]}
    path = "/projects/storefront/settings/environments/staging/"
    answer = people("lead").post(path, {name: str(value) for name, value in data.items()})
    assert answer.status_code == 200
    assert "Saved." in answer.text


def test_a_failed_rollout_is_rolled_back_by_itself(
    sandbox: Running, people: People, rolls_back_by_itself: None
) -> None:
    """The last good release is back without anybody doing anything, everybody is told, and it happens once."""
    dev = people("dev")
    good = dev.deploy("storefront", "staging", "main")
    assert sandbox.ended(good)["state"] == "succeeded"
    number = dev.deploy("storefront", "staging", "broken")
    failed = sandbox.ended(number)
    assert failed["state"] == "failed", failed["result"]
    rollback = follower(sandbox, number)
    done = sandbox.ended(rollback["number"])
    assert (done["state"], done["actor_text"]) == ("succeeded", "system"), done["result"]
    assert images(sandbox, "storefront-staging") == {sandbox.deploy(good)["revision"][:7]}
    page = dev.get(f"/deploys/{number}/").text
    assert f'/deploys/{done["number"]}/">Rollback #{done["number"]}' in page
    page = dev.get(f"/deploys/{done['number']}/").text
    assert "rolls back by itself" in page
    until("Slack heard of it", lambda: told(sandbox, number, done["number"]) or None)


def told(sandbox: Running, failed: int, rollback: int) -> bool:
    """Whether Slack's message about the failed deploy links its rollback."""
    url = sandbox.env["SLIPWAY_SLACK_URL"]
    messages = requests.get(url, headers={"Accept": "application/json"}, timeout=20).json()["messages"]
    texts = [json.dumps(message) for message in messages]
    return any(
        f"/deploys/{failed}/|" in text and f"/deploys/{rollback}/|#{rollback}>" in text for text in texts
    )
