"""The threads that look: one at a time, their last answer is kept, nobody waits for one that hangs."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from portal.status import watch
from portal.status.watch import Kept

pytestmark = pytest.mark.watched


def soon(seconds: float = 30.0) -> float:
    return time.monotonic() + seconds


def test_an_answer_is_kept_while_it_is_fresh() -> None:
    read: list[int] = []
    kept = Kept(lambda: read.append(1) or len(read))
    for _ in range(5):
        kept.look()
        assert kept.value(soon()) == 1
    kept.forget()
    kept.look()
    assert kept.value(soon()) == 2


@pytest.fixture
def hang() -> Iterator[threading.Event]:
    let_go = threading.Event()
    yield let_go
    let_go.set()


def test_one_that_hangs_costs_the_wait_and_one_thread_only(hang: threading.Event) -> None:
    begun: list[int] = []

    def read() -> str:
        begun.append(1)
        hang.wait(120)
        return "late"

    kept = Kept(read)
    for _ in range(4):
        began = time.monotonic()
        kept.look()
        assert kept.value(soon(0.1)) is None
        assert time.monotonic() - began < 20
    assert begun == [1]
    hang.set()
    assert kept.value(soon()) == "late"


def test_a_page_takes_the_last_answer_instead_of_waiting(hang: threading.Event) -> None:
    answers = iter(["first"])

    def read() -> str:
        try:
            return next(answers)
        except StopIteration:
            hang.wait(120)
            return "second"

    kept = Kept(read, fresh=0.0)
    kept.look()
    assert kept.value(soon()) == "first"
    time.sleep(0.05)
    kept.look()
    began = time.monotonic()
    assert kept.value(soon(), enough=10.0) == "first"
    assert time.monotonic() - began < 20


def test_an_old_answer_says_nothing(monkeypatch: pytest.MonkeyPatch, hang: threading.Event) -> None:
    answers = iter(["first"])
    kept = Kept(lambda: next(answers, None) or (hang.wait(120) and "second"), fresh=0.0)
    kept.look()
    assert kept.value(soon(), enough=60.0) == "first"
    monkeypatch.setattr(watch, "OLD_SECONDS", 0.05)
    time.sleep(0.1)
    kept.look()
    assert kept.value(soon(0.1), enough=0.05) is None


def test_an_unforeseen_error_is_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    tries = iter([KeyError("no such key"), "well"])

    def read() -> object:
        found = next(tries)
        if isinstance(found, Exception):
            raise found
        return found

    kept = Kept(read)
    kept.look()
    assert kept.value(soon(0.2)) is None
    kept.look()
    assert kept.value(soon()) == "well"
    assert "was not read" in caplog.text
