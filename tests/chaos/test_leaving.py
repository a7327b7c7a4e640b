"""A worker that is asked to end, as a rolling update of the portal does: its deploy goes on elsewhere at once."""

from __future__ import annotations

import os
import signal

import pytest

from tests.chaos.breaking import horse_of, is_running, parent_of
from tests.e2e.fixtures import People, Slow
from tests.e2e.running import Running, until

pytestmark = pytest.mark.slow


def test_a_deploy_is_handed_over(sandbox: Running, people: People, slow: Slow) -> None:
    number = people("dev").deploy("storefront", "staging", slow("storefront"))
    sandbox.reaches(number, "rollout")
    worker = parent_of(horse_of(sandbox, number))
    os.kill(worker, signal.SIGTERM)
    until("the worker has ended", lambda: not is_running(worker) or None, 60)
    until("another one has it", lambda: sandbox.deploy(number)["worker"] or None, 60)
    found = sandbox.ended(number)
    assert (found["state"], found["attempt"]) == ("succeeded", 2), found["result"]
    log = sandbox.log(number)
    assert "another one goes on" in log
    assert "going on at rollout" in log
