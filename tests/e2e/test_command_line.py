"""`manage.py deploy`: its exit status, its JSON, its words on stderr."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from subprocess import CompletedProcess

import pytest

from tests.e2e.running import Running

pytestmark = pytest.mark.slow
STEPS = ["checkout", "secrets", "render", "preflight", "apply", "rollout", "notify"]
GOOD, BAD = "one that succeeds", "one that fails"
COMMANDS = {
    BAD: ["catalog", "staging", "--revision", "broken", "--wait", "--json"],
    GOOD: ["storefront", "production", "--revision", "main", "--wait", "--json", "--as", "lead"],
    "unknown revision": ["storefront", "staging", "--revision", "no-such-branch"],
    "hostile revision": ["storefront", "staging", "--revision=--upload-pack=touch /tmp/x"],
    "unknown project": ["storefont", "staging", "--revision", "main"],
    "unknown environment": ["storefront", "stagin", "--revision", "main"],
    "role too weak": ["storefront", "staging", "--revision", "main", "--as", "viewer"],
    "unknown person": ["storefront", "staging", "--revision", "main", "--as", "nobody"],
}
SAID = {
    "unknown revision": "no-such-branch",
    "hostile revision": "upload-pack",
    "unknown project": "storefont",
    "unknown environment": "stagin",
    "role too weak": "deployer",
    "unknown person": "nobody",
}


@pytest.fixture(scope="module")
def done(sandbox: Running) -> Iterator[dict[str, Future[CompletedProcess[str]]]]:
    """All commands, some at once: each start costs a second or two."""
    with ThreadPoolExecutor(3) as pool:
        yield {
            name: pool.submit(sandbox.manage, "deploy", *arguments) for name, arguments in COMMANDS.items()
        }


def test_it_succeeds(sandbox: Running, done: dict[str, Future[CompletedProcess[str]]]) -> None:
    command = done[GOOD].result()
    assert command.returncode == 0, command.stdout + command.stderr
    facts = json.loads(command.stdout)
    assert set(facts) == {
        "id",
        "project",
        "environment",
        "revision",
        "state",
        "reason",
        "url",
        "steps",
        "pods",
    }
    assert {(one["ready"] == one["wanted"], *one["waiting"]) for one in facts["pods"]} == {(True,)}
    assert (facts["project"], facts["environment"], facts["state"]) == (
        "storefront",
        "production",
        "succeeded",
    )
    assert len(facts["revision"]) == 40
    assert facts["url"] == f"{sandbox.url}/deploys/{facts['id']}/"
    assert [(step["name"], step["state"]) for step in facts["steps"]] == [
        (name, "succeeded") for name in STEPS
    ]
    assert all(step["seconds"] >= 0 for step in facts["steps"])
    assert sandbox.deploy(facts["id"])["actor_text"] == "lead"


def test_it_fails(sandbox: Running, done: dict[str, Future[CompletedProcess[str]]]) -> None:
    command = done[BAD].result()
    assert command.returncode == 1, command.stdout + command.stderr
    facts = json.loads(command.stdout)
    assert facts["state"] == "failed"
    assert "container api crashed" in facts["reason"]
    assert "PRICE_FEED_URL is missing" in facts["reason"]
    assert sandbox.deploy(facts["id"])["actor_kind"] == "system"


@pytest.mark.parametrize("name", SAID)
def test_it_is_refused(sandbox: Running, done: dict[str, Future[CompletedProcess[str]]], name: str) -> None:
    """The reason on stderr, nothing on stdout, no deploy."""
    command = done[name].result()
    assert (command.returncode, command.stdout) == (2, ""), command.stderr
    assert SAID[name] in command.stderr
    assert "Traceback" not in command.stderr
    asked = COMMANDS[name][COMMANDS[name].index("--revision") + 1] if "--revision" in COMMANDS[name] else ""
    assert asked == "main" or not sandbox.rows("SELECT 1 FROM deployments_deploy WHERE requested = ?", asked)
