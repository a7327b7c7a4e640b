"""PostgreSQL loses a worker, and a worker stands still with locks: bounded waits, another worker goes on, and the log of the run
has its end. SQLite has no connections to lose; its locks: tests/core/test_unavailable.py."""

from __future__ import annotations

import os
import signal
import time
from contextlib import ExitStack
from urllib.parse import urlsplit

import psycopg
import pytest

from tests.chaos.breaking import horse_of, is_running
from tests.chaos.half_open import proxy
from tests.chaos.workers import more_workers, no_worker_takes_a_job
from tests.e2e.database import is_postgresql
from tests.e2e.fixtures import People, Slow
from tests.e2e.running import Running, until

pytestmark = pytest.mark.slow
NOTICED = 90.0  # 30 s without an answer, twice: in the transaction under way, and at the end
LOCKED = 45.0  # 30 s, and what it takes to notice


@pytest.fixture(autouse=True)
def on_postgresql(sandbox: Running) -> None:
    if not is_postgresql(sandbox.database_url):
        pytest.skip("the sandbox has SQLite (python -m tests.everything --postgres)")


def test_packets_to_the_database_are_lost(sandbox: Running, people: People, slow: Slow) -> None:
    """Another worker goes on after half a minute; the cut-off one ends by itself, with nothing written."""
    lead, url = people("lead"), urlsplit(sandbox.database_url)
    assert url.port is not None
    commit = slow("catalog")
    with ExitStack() as stack:
        with no_worker_takes_a_job(sandbox):
            between = stack.enter_context(proxy(url.port))
            behind = url._replace(netloc=f"{url.username}@127.0.0.1:{between.port}").geturl()
            stack.enter_context(more_workers(sandbox, 1, DATABASE_URL=behind))
            number = lead.deploy("catalog", "staging", commit)
            sandbox.reaches(number, "rollout")
            horse = horse_of(sandbox, number)
            between.cut()
        ended = sandbox.ended(number, 120)
        assert (ended["state"], ended["attempt"]) == ("succeeded", 2), ended["result"]
        until("the cut-off worker has given up", lambda: not is_running(horse) or None, NOTICED)
        between.mend()
    log = sandbox.log(number)
    assert "(attempt 2); going on at rollout" in log
    assert log.rstrip().endswith("every object is ready.")


def test_a_worker_is_stopped_in_a_transaction(sandbox: Running, people: People, slow: Slow) -> None:
    """It holds the lock of its deploy's row. PostgreSQL ends its session, so that a cancel and the next deploy wait for a bounded
    time; when it wakes, it writes nothing."""
    lead = people("lead")
    number = lead.deploy("catalog", "staging", slow("catalog"))
    sandbox.reaches(number, "rollout")
    horse = horse_of(sandbox, number)
    stop_in_transaction(sandbox, horse)
    try:
        began = time.monotonic()
        answer = lead.act(number, "cancel")
        waited = time.monotonic() - began
        assert answer.status_code in (200, 503)
        assert waited < LOCKED
        if answer.status_code == 503:
            assert "busy for too long" in answer.text
            assert lead.act(number, "cancel").status_code == 200
        assert sandbox.ended(number, 60)["state"] == "cancelled"
        following = lead.deploy("catalog", "staging", "main")
        assert sandbox.ended(following, 60)["state"] == "succeeded"
    finally:
        os.kill(horse, signal.SIGCONT)
    until("the woken worker has given up", lambda: not is_running(horse) or None, 60)
    assert sandbox.deploy(number)["state"] == "cancelled"
    assert sandbox.deploy(following)["state"] == "succeeded"


def stop_in_transaction(sandbox: Running, horse: int) -> None:
    """Stops a worker between two statements of a transaction: its log waits for a lock that we hold."""
    waiting = "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE ?"
    idle = "SELECT pid FROM pg_stat_activity WHERE state = 'idle in transaction' AND pid = ?"
    with psycopg.connect(sandbox.database_url) as own:
        own.execute("LOCK TABLE runs_logchunk IN EXCLUSIVE MODE")
        (found, *_) = until(
            "its log waits", lambda: sandbox.rows(waiting, "%runs_logchunk%") or None, 60, pause=0.02
        )
        os.kill(horse, signal.SIGSTOP)
        own.rollback()
    until("it stands still in its transaction", lambda: sandbox.rows(idle, found["pid"]) or None, 30, 0.02)
