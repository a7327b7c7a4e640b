"""Killed workers: whoever dies in the middle of a deploy, another one ends it, and the page says so.

Four deploys are broken at once, since each costs the time until a worker counts as silent. Slack is away meanwhile.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest
import requests

from tests.chaos.breaking import gone, horse_of, is_running, kill, parent_of
from tests.e2e.fixtures import People, Slow
from tests.e2e.portal import Person
from tests.e2e.running import Running, until

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Case:
    """Who is killed, where, in which step."""

    project: str
    environment: str
    step: str
    whole_worker: bool


CASES = {
    "horse in apply": Case("storefront", "staging", "apply", whole_worker=False),
    "horse in rollout": Case("catalog", "staging", "rollout", whole_worker=False),
    "worker in apply": Case("storefront", "production", "apply", whole_worker=True),
    "worker in rollout": Case("catalog", "production", "rollout", whole_worker=True),
}


def strike(sandbox: Running, number: int, case: Case) -> None:
    """Waits for the step and kills."""
    sandbox.reaches(number, case.step)
    horse = horse_of(sandbox, number)
    worker = parent_of(horse)
    assert worker in sandbox.pids("manage.py", "rqworker", "deploys")
    kill(worker if case.whole_worker else horse)
    until("the one who worked is gone, too", lambda: not is_running(horse) or None, 10)


@dataclass(frozen=True)
class BrokenOff:
    """The deploys of this module, all ended: those whose worker was killed by case; one that Slack did not hear of."""

    numbers: dict[str, int]
    commits: dict[str, str]
    untold: int


@pytest.fixture(scope="module")
def broken_off(sandbox: Running, people: People, slow: Slow) -> BrokenOff:
    """Starts and breaks two by two (there are two workers), then waits for all."""
    lead, numbers, commits = people("lead"), {}, {}
    for pair in (list(CASES)[:2], list(CASES)[2:]):
        for name in pair:
            case = CASES[name]
            commits[name] = slow(case.project)
            numbers[name] = lead.deploy(case.project, case.environment, commits[name])
        for name in pair:
            strike(sandbox, numbers[name], CASES[name])
    untold = without_slack(sandbox, lead)
    for number in numbers.values():
        sandbox.ended(number, 150)
    return BrokenOff(numbers, commits, untold)


def without_slack(sandbox: Running, lead: Person) -> int:
    """A deploy while Slack is away, meanwhile: the killed workers count as silent only after a while."""
    port = sandbox.ports["slack"]
    with gone(sandbox.pids("sandbox.slack.end")[0], port):
        number = lead.deploy("cluster-base", "cluster", "main")
        found = sandbox.ended(number)
        assert (found["state"], found["attempt"]) == ("succeeded", 1), found["result"]
        until("Slack was tried", lambda: tries(sandbox, number) or None)
    return number


def tries(sandbox: Running, number: int) -> int:
    """How often Slack was told that a deploy started."""
    found = sandbox.rows("SELECT tries FROM notify_outgoing WHERE key = ?", f"deploy-{number}-started")
    return int(found[0]["tries"]) if found else 0


@pytest.mark.parametrize("name", CASES)
def test_another_worker_ends_it(sandbox: Running, broken_off: BrokenOff, people: People, name: str) -> None:
    number, case = broken_off.numbers[name], CASES[name]
    deploy = sandbox.deploy(number)
    assert (deploy["state"], deploy["attempt"]) == ("succeeded", 2), deploy["result"]
    log = sandbox.log(number)
    assert f"(attempt 2); going on at {case.step}" in log
    assert log.rstrip().endswith("every object is ready.")
    assert log.count(f"Job storefront-{case.environment}/migrate-{number}: created") <= 1
    page = people("lead").get(f"/deploys/{number}/").text
    assert "attempt 2" in page
    verbs = sandbox.rows(
        "SELECT verb FROM audit_auditevent WHERE target_kind = 'deploy' AND target_id = ? ORDER BY id",
        str(number),
    )
    assert [row["verb"] for row in verbs] == [
        "deploy.requested",
        "deploy.started",
        "deploy.resumed",
        "deploy.ended",
    ]


@pytest.mark.parametrize("name", CASES)
def test_what_runs_is_what_was_asked_for(sandbox: Running, broken_off: BrokenOff, name: str) -> None:
    case = CASES[name]
    found = sandbox.objects("apis/apps/v1", f"{case.project}-{case.environment}", "deployments")
    assert found
    for item in found:
        image = item["spec"]["template"]["spec"]["containers"][0]["image"]
        assert f":{broken_off.commits[name][:7]}@sha256:" in image
        assert item["status"]["readyReplicas"] == item["spec"]["replicas"]


def test_slack_is_told_later(sandbox: Running, broken_off: BrokenOff) -> None:
    """The result did not wait for Slack. One message per deploy, with the end in it, arrives once it is back."""
    waiting = "SELECT key, state, result FROM notify_outgoing WHERE state NOT IN ('sent', 'skipped')"
    until("everything was told", lambda: not sandbox.rows(waiting) or None)
    assert tries(sandbox, broken_off.untold) >= 2
    answer = requests.get(
        sandbox.env["SLIPWAY_SLACK_URL"], headers={"Accept": "application/json"}, timeout=20
    )
    shown = [json.dumps(message) for message in answer.json()["messages"]]
    for number in (broken_off.untold, *broken_off.numbers.values()):
        about = [text for text in shown if f"/deploys/{number}/" in text or f"/deploys/{number}|" in text]
        assert len(about) == 1, f"#{number}: {len(about)} messages"
        assert "runs in" in about[0]
