"""A push to the sandbox's Git server, from the commit to the running release: GitHub's end tells the portal, and is told."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any
from urllib.request import Request, urlopen

import pytest

from tests.e2e.running import ROOT, Running, until

pytestmark = pytest.mark.slow
SUBJECT = "Say prices in words"


@pytest.fixture(scope="module")
def pushed(sandbox: Running) -> dict[str, Any]:
    """The delivery of a push, as GitHub's end shows it."""
    env = {"PATH": os.environ["PATH"], "SANDBOX_DIR": str(sandbox.directory)}
    done = subprocess.run(
        [sys.executable, "-m", "sandbox", "push", "catalog", SUBJECT],
        cwd=ROOT, env=env, capture_output=True, text=True, timeout=180, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "no Docker engine: another tool published catalog/api, catalog/search" in done.stdout
    found = [
        one for one in shown(sandbox)["deliveries"] if one["payload"]["head_commit"]["message"] == SUBJECT
    ]
    return dict(found[0])


def shown(sandbox: Running) -> dict[str, Any]:
    request = Request(sandbox.env["SLIPWAY_GITHUB_URL"], headers={"Accept": "application/json"})
    with urlopen(request, timeout=20) as response:
        return dict(json.loads(response.read()))


def deploy_of(sandbox: Running, sha: str) -> dict[str, Any] | None:
    rows = sandbox.rows("SELECT * FROM deployments_deploy WHERE revision = ?", sha)
    return rows[0] if rows else None


def test_the_portal_took_the_signed_delivery(sandbox: Running, pushed: dict[str, Any]) -> None:
    assert [one["status"] for one in pushed["attempts"]] == [202]
    row = sandbox.rows("SELECT * FROM builds_delivery WHERE delivery_id = ?", pushed["guid"])[0]
    assert (row["event"], row["ref"], row["after"]) == ("push", "refs/heads/main", pushed["payload"]["after"])


def test_staging_deploys_the_green_build_by_itself(sandbox: Running, pushed: dict[str, Any]) -> None:
    sha = pushed["payload"]["after"]
    asked = until("an automatic deploy", lambda: deploy_of(sandbox, sha), 150)
    assert (asked["actor_kind"], asked["actor_text"]) == ("system", "rule: staging deploys main")
    ended = sandbox.ended(asked["number"])
    assert ended["state"] == "succeeded", ended["result"]
    assert sandbox.rows("SELECT * FROM deployments_deploy WHERE revision = ?", sha) == [ended]


def test_github_has_the_status_and_the_deployment(sandbox: Running, pushed: dict[str, Any]) -> None:
    sha = pushed["payload"]["after"]

    def told() -> dict[str, Any] | None:
        found = shown(sandbox)
        made = next((one for one in found["deployments"] if one["sha"] == sha), None)
        states = [one for one in found["deployment_statuses"] if made and one["deployment"] == made["id"]]
        return (
            {**found, "made": made, "last": states[0]} if states and states[0]["state"] == "success" else None
        )

    found = until("the deployment's success", told, 150)
    status = next(one for one in found["statuses"] if one["sha"] == sha)
    assert (status["state"], status["context"]) == ("success", "slipway/build")
    assert status["target_url"].startswith(f"{sandbox.url}/builds/")
    assert (found["made"]["environment"], found["made"]["repository"]) == ("staging", "sandbox/catalog")
    assert found["last"]["log_url"].startswith(f"{sandbox.url}/deploys/")
