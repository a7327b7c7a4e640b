"""A worker that is stopped in the middle of its writes, with many still to send, and woken after a newer deploy that wants these
objects as they are: it changes no version of theirs by itself."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from sandbox.cluster.api import Api
from tests.chaos.breaking import horse_of, is_running, stop
from tests.e2e import world
from tests.e2e.fixtures import People
from tests.e2e.running import Running, until

pytestmark = [pytest.mark.slow, pytest.mark.any_database]
MANY = 150  # more than a worker has on their way at once
FILE, PLACE = "kubernetes/staging/ingress.yaml", "---\n# cert-manager puts"
NAMESPACE = "catalog-staging"


def commit_with_many(sandbox: Running, who: str) -> str:
    """A commit of the catalog with many ConfigMaps more."""
    documents = "".join(
        f"---\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: many-{number}\ndata:\n  WHO: {who}\n"
        for number in range(MANY)
    )
    edit = world.Edit(FILE, PLACE, documents + PLACE)
    commit = world.push(sandbox, "catalog", f"many-{who}", edit, subject=f"Many of {who}")
    images = dict.fromkeys(("catalog/api", "catalog/search"), world.READY)
    world.publish(sandbox, commit, images)
    return commit


def holders(sandbox: Running) -> list[str]:
    """Whose each of the ConfigMaps is."""
    found = sandbox.objects("api/v1", NAMESPACE, "configmaps")
    return [item["data"]["WHO"] for item in found if item["metadata"]["name"].startswith("many-")]


@pytest.fixture
def tidied(sandbox: Running) -> Iterator[None]:
    """The ConfigMaps go again, and what runs is what it was."""
    yield
    api = Api.from_kubeconfig(Path(sandbox.env["KUBECONFIG"]), user_agent="tests")
    for number in range(MANY):
        api.delete(f"/api/v1/namespaces/{NAMESPACE}/configmaps/many-{number}")


def test_what_was_not_sent_yet_is_never_written(sandbox: Running, people: People, tidied: None) -> None:
    lead = people("lead")
    same, older = commit_with_many(sandbox, "same"), commit_with_many(sandbox, "older")
    first = lead.deploy("catalog", "staging", same)
    assert sandbox.ended(first)["state"] == "succeeded"
    number = lead.deploy("catalog", "staging", older)
    sandbox.reaches(number, "apply")
    horse = horse_of(sandbox, number)
    until("it writes", lambda: "older" in holders(sandbox) or None, 30, pause=0.0)
    stop(sandbox.database_url, horse)
    try:
        written = holders(sandbox).count("older")
        assert 0 < written < MANY, "it was stopped in the middle"
        lead.act(number, "cancel")
        assert sandbox.ended(number)["state"] == "cancelled"
        newer = lead.deploy("catalog", "staging", same)
        ended = sandbox.ended(newer)
        assert (ended["state"], ended["attempt"]) == ("succeeded", 1), ended["result"]
        assert holders(sandbox) == ["same"] * MANY
    finally:
        with suppress(ProcessLookupError):
            os.kill(horse, signal.SIGCONT)
    until("the woken worker has given up", lambda: not is_running(horse) or None, 60)
    assert holders(sandbox) == ["same"] * MANY
    assert "it is fenced off first" in sandbox.log(newer)
    assert sandbox.ended(lead.deploy("catalog", "staging", "main"))["state"] == "succeeded"
