"""Tests that break things while the portal works, on the sandbox that `tests/e2e` uses too."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.fixtures import people, planted, sandbox, slow, tell_logs
from tests.e2e.running import Running

__all__ = ["people", "planted", "sandbox", "slow"]


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport() -> Iterator[None]:
    """The sandbox's logs belong to a failure."""
    outcome: Any = yield
    tell_logs(outcome.get_result())


@pytest.fixture(autouse=True)
def nothing_goes_on(sandbox: Running) -> Iterator[None]:
    """What one test broke or left running is over before the next one: it would be blamed for it. The first one finds what the
    tests of `tests/e2e` left."""
    wait_for_all(sandbox)
    yield
    wait_for_all(sandbox)


def wait_for_all(sandbox: Running) -> None:
    """Waits for the end of every deploy."""
    for row in sandbox.rows("SELECT number FROM deployments_deploy WHERE ended_at IS NULL"):
        sandbox.ended(row["number"], 150)
