"""A worker that is asked to end, as a rolling update of the portal does: its deploy goes on elsewhere at once."""

from __future__ import annotations

import os
import signal
import time

import pytest

from tests.chaos.breaking import horse_of, is_running, parent_of
from tests.e2e.fixtures import People, Slow
from tests.e2e.running import Running, until

pytestmark = pytest.mark.slow


def test_a_deploy_is_handed_over(sandbox: Running, people: People, slow: Slow) -> None:
    number = people("dev").deploy("storefront", "staging", slow("storefront"))
    sandbox.reaches(number, "rollout")
    worker = parent_of(horse_of(sandbox, number))
    asked = time.monotonic()
    os.kill(worker, signal.SIGTERM)
    until("the worker has ended", lambda: not is_running(worker) or None, 10)
    until("another one has it", lambda: sandbox.deploy(number)["worker"] or None, 10)
    assert time.monotonic() - asked < 10, "sooner than silence is noticed"
    found = sandbox.ended(number)
    assert (found["state"], found["attempt"]) == ("succeeded", 2), found["result"]
    log = sandbox.log(number)
    assert "another one goes on" in log
    assert "going on at rollout" in log
