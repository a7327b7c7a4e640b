"""After a failure nobody calls the service for a while; then one tries, and the others wait for the result."""

from __future__ import annotations

import pytest

from core import breaker as breakers
from core.breaker import Breaker


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The clock: `now[0]`."""
    clock = [100.0]
    monkeypatch.setattr(breakers.time, "monotonic", lambda: clock[0])
    return clock


def test_closed_everybody_may_try(now: list[float]) -> None:
    breaker = Breaker(5)
    assert breaker.may_try()
    assert breaker.may_try()
    assert not breaker.is_open


def test_open_nobody_may_and_then_one(now: list[float]) -> None:
    breaker = Breaker(5)
    breaker.failed()
    assert not breaker.may_try()
    now[0] += 5
    assert [breaker.may_try() for _ in range(3)] == [True, False, False]
    now[0] += 5  # the one that tried was killed: the next one may
    assert breaker.may_try()


def test_the_result_of_that_one_decides(now: list[float]) -> None:
    breaker = Breaker(5)
    breaker.failed()
    now[0] += 5
    assert breaker.may_try()
    breaker.failed()
    now[0] += 4
    assert not breaker.may_try()
    now[0] += 1
    assert breaker.may_try()
    breaker.worked()
    assert breaker.may_try()
    assert breaker.may_try()
