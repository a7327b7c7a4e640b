"""Workers that are stopped (SIGSTOP) at a step of a deploy, and woken after another one has taken over and a newer deploy has
succeeded: nothing that they had begun takes effect any more. The newer deploys lose their worker, too: by a kill in their first
steps.

One story for all cases, because each take-over costs half a minute: deploys are stopped, taken over (one is cancelled), followed
by newer ones of `main`; some of these are killed in an early step; then all that was stopped goes on.
"""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, nullcontext, suppress
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.chaos.breaking import horse_of, is_running, kill, silent, stop
from tests.chaos.workers import more_workers
from tests.e2e.fixtures import People, Slow
from tests.e2e.running import ENDS, Running, until

pytestmark = pytest.mark.slow
MORE_WORKERS = 5  # a worker whose job is stopped waits for it
TAKEN_OVER = 90.0
Outside = Callable[[Running], AbstractContextManager[None]]


def silent_aws(sandbox: Running) -> AbstractContextManager[None]:
    return silent(sandbox.pids("sandbox.aws")[0])


def silent_cluster(sandbox: Running) -> AbstractContextManager[None]:
    return silent(sandbox.api_server_pid())


@dataclass(frozen=True)
class Case:
    """Where the older deploy's worker is stopped, and the newer one's killed. `waits`: what holds the deploy in that step."""

    project: str
    environment: str
    step: str = ""  # empty: as soon as a worker has it
    waits: Outside = lambda _: nullcontext()
    cancelled: bool = False
    killed_in: str = ""
    killed_waits: Outside = lambda _: nullcontext()

    @property
    def namespace(self) -> str:
        return f"{self.project}-{self.environment}"


# In this order: who waits for a silent service is stopped before the service speaks again, and the next one begins.
FIRST = {
    "after the claim": Case("catalog", "production", killed_in="render", killed_waits=silent_cluster),
    "secrets": Case("storefront", "production", "secrets", silent_aws),
    "render": Case("catalog", "staging", "render", silent_cluster, killed_in="secrets", killed_waits=silent_aws),
    "apply, cancelled": Case("storefront", "staging", "apply", cancelled=True, killed_in="preflight"),
}  # fmt: skip
# On the same environments: the newer deploys of the first round are the older state.
AGAIN = {
    "preflight": Case("catalog", "staging", "preflight"),
    "apply": Case("storefront", "production", "apply"),
    "rollout": Case("catalog", "production", "rollout"),
}
# On SQLite, on which no site of several workers should run, only what matters most.
SHORT = {
    "apply, cancelled": Case("storefront", "staging", "apply", cancelled=True),
    "rollout": AGAIN["rollout"],
}
ROUNDS = (FIRST, AGAIN) if os.environ.get("TEST_SANDBOX_DATABASE_URL") else (SHORT,)


@dataclass
class Story:
    """What happened. By the name of the case."""

    older: dict[str, int] = field(default_factory=dict)
    newer: dict[str, int] = field(default_factory=dict)
    commits: dict[str, str] = field(default_factory=dict)
    stopped: dict[str, int] = field(default_factory=dict)
    killed: dict[str, int] = field(default_factory=dict)
    before_waking: dict[str, dict[str, Any]] = field(default_factory=dict)
    after_waking: dict[str, dict[str, Any]] = field(default_factory=dict)


def is_in(sandbox: Running, number: int, step: str) -> bool | None:
    """Whether the deploy is in that step, or just past it; with none, whether a worker has it. Fails when it ended before."""
    found = sandbox.deploy(number)
    assert found["state"] not in ENDS, f"#{number} ended before {step}: {found['result']}"
    if not step:
        return bool(found["worker"]) or None
    return sandbox.step(number, step)["state"] in ("running", "succeeded") or None


def strike(
    sandbox: Running, begin: Callable[[], int], step: str, waits: Outside, how: Callable[[int], None]
) -> tuple[int, int]:
    """Begins a deploy and strikes its worker in that step. Returns the deploy's number and the worker's process."""
    with waits(sandbox):
        number = begin()
        until(f"deploy #{number} in {step or 'work'}", lambda: is_in(sandbox, number, step), pause=0.01)
        horse = horse_of(sandbox, number)
        how(horse)
    return number, horse


@pytest.fixture(scope="module")
def story(sandbox: Running, people: People, slow: Slow) -> Iterator[Story]:
    """All of it. Whatever fails, nothing stays stopped."""
    told = Story()
    with more_workers(sandbox, MORE_WORKERS), ExitStack() as awake:
        awake.callback(lambda: [wake(pid) for pid in told.stopped.values()])
        for cases in ROUNDS:
            tell(sandbox, people, slow, told, cases)
        yield told


def wake(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGCONT)


def tell(sandbox: Running, people: People, slow: Slow, told: Story, cases: dict[str, Case]) -> None:
    """One round: stopped, taken over, followed by newer deploys, woken."""
    lead = people("lead")
    for name, case in cases.items():
        told.commits[name] = commit = slow(case.project)
        began = lambda case=case, commit=commit: lead.deploy(case.project, case.environment, commit)  # noqa: E731
        told.older[name], told.stopped[name] = strike(
            sandbox, began, case.step, case.waits, lambda pid: stop(sandbox.database_url, pid)
        )
        if case.cancelled:
            lead.act(told.older[name], "cancel")
    for number in told.older.values():
        sandbox.ended(number, TAKEN_OVER)
    for name, case in cases.items():
        begin = lambda case=case: lead.deploy(case.project, case.environment, "main")  # noqa: E731
        if not case.killed_in:
            told.newer[name] = begin()
            continue
        told.newer[name], told.killed[name] = strike(sandbox, begin, case.killed_in, case.killed_waits, kill)
    for number in told.newer.values():
        sandbox.ended(number, TAKEN_OVER)
    for name, case in cases.items():
        told.before_waking[name] = held(sandbox, case.namespace)
        wake(told.stopped[name])
    for name, case in cases.items():
        pid = told.stopped[name]
        until(f"the woken worker of “{name}” has given up", lambda pid=pid: not is_running(pid) or None, 60)  # type: ignore[misc]
        told.after_waking[name] = held(sandbox, case.namespace)


def held(sandbox: Running, namespace: str) -> dict[str, Any]:
    """What the cluster holds of an environment, without what controllers write."""
    kinds = {"deployments": "apis/apps/v1", "jobs": "apis/batch/v1"}
    kinds |= dict.fromkeys(("configmaps", "secrets", "services"), "api/v1")
    found = {}
    for plural, api in kinds.items():
        for item in sandbox.objects(api, namespace, plural):
            what = {key: item.get(key) for key in ("data", "spec", "type")}
            labels = {**item["metadata"].get("labels", {})}
            found[f"{plural}/{item['metadata']['name']}"] = {**what, "labels": labels}
    return found


CASES = {name: case for cases in ROUNDS for name, case in cases.items()}


@pytest.mark.parametrize("name", CASES)
def test_what_woke_has_written_nothing(sandbox: Running, story: Story, name: str) -> None:
    """The cluster holds what the newest deploy says, and nothing of a deploy that was given up."""
    now = story.after_waking[name]
    assert now == story.before_waking[name]
    revision = sandbox.deploy(story.newer[name])["revision"]
    images = [
        container["image"]
        for key, item in now.items() if key.startswith("deployments/")
        for container in item["spec"]["template"]["spec"]["containers"]
    ]  # fmt: skip
    assert images
    assert [image for image in images if f":{revision[:7]}@sha256:" not in image] == []


@pytest.mark.parametrize("name", CASES)
def test_every_deploy_has_ended_and_its_page_says_so(
    sandbox: Running, story: Story, people: People, name: str
) -> None:
    case = CASES[name]
    older, newer = sandbox.deploy(story.older[name]), sandbox.deploy(story.newer[name])
    if case.cancelled:
        assert older["state"] == "cancelled", older["result"]
        assert "after its worker had stopped" in older["result"]
    else:
        assert (older["state"], older["attempt"]) == ("succeeded", 2), older["result"]
        assert "(attempt 2); going on at" in sandbox.log(older["number"])
    expected = ("succeeded", 2 if case.killed_in else 1)
    assert (newer["state"], newer["attempt"]) == expected, newer["result"]
    lead = people("lead")
    for row in (older, newer):
        page = lead.get(f"/deploys/{row['number']}/").text
        assert re.search(row["state"], page, re.IGNORECASE)
        verbs = sandbox.rows(
            "SELECT verb FROM audit_auditevent WHERE target_kind = 'deploy' AND target_id = ? ORDER BY id",
            str(row["number"]),
        )
        assert [row["verb"] for row in verbs].count("deploy.ended") == 1
        log = sandbox.log(row["number"])
        assert "Traceback" not in log


@pytest.mark.parametrize("name", CASES)
def test_the_newer_deploy_fenced_off_the_older_worker(sandbox: Running, story: Story, name: str) -> None:
    assert "it is fenced off first" in sandbox.log(story.newer[name])
