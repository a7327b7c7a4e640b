"""Redis is a bell, the database is the truth: nothing that was asked for is lost with it."""

from __future__ import annotations

import pytest
from redis import Redis

from tests.chaos.breaking import gone, is_back, kill_service
from tests.e2e.fixtures import People, Slow
from tests.e2e.running import Running

pytestmark = [pytest.mark.slow, pytest.mark.any_database]


def test_away_in_the_middle_and_at_a_click(sandbox: Running, people: People, slow: Slow) -> None:
    """A deploy that runs ends well without Redis; one that is asked for meanwhile is kept and starts by itself."""
    dev, port = people("dev"), sandbox.ports["redis"]
    running = dev.deploy("storefront", "staging", slow("storefront"))
    sandbox.reaches(running, "apply")
    with gone(sandbox.redis_pid(), port):
        asked = dev.deploy("catalog", "staging", "main")
        page = dev.get(f"/deploys/{asked}/").text
        assert "Waits for a free worker. It starts by itself." in page
        assert sandbox.deploy(asked)["state"] == "queued"
        dev.get("/")
        sandbox.reaches(running, "rollout")  # it goes on without Redis
        assert sandbox.deploy(asked)["state"] == "queued"
    for number in (running, asked):
        found = sandbox.ended(number)
        assert (found["state"], found["attempt"]) == ("succeeded", 1), found["result"]


def test_killed_and_started_again(sandbox: Running, people: People, slow: Slow) -> None:
    """Without its memory: what was in its queues is rung for again; a flush is the same."""
    dev = people("dev")
    first = dev.deploy("storefront", "staging", slow("storefront"))
    sandbox.reaches(first, "apply")
    behind = dev.deploy("storefront", "staging", "main")
    kill_service(sandbox.redis_pid(), sandbox.ports["redis"])
    is_back(sandbox.ports["redis"])
    assert sandbox.deploy(behind)["state"] == "queued"
    others = [dev.deploy("catalog", "staging", slow("catalog")), dev.deploy("catalog", "staging", "main")]
    with Redis(port=sandbox.ports["redis"]) as redis:
        redis.flushall()
    for number in (first, behind, *others):
        found = sandbox.ended(number)
        assert (found["state"], found["attempt"]) == ("succeeded", 1), found["result"]
    assert sandbox.deploy(first)["ended_at"] <= sandbox.deploy(behind)["started_at"]
