"""Which troubles are found from what database and Redis say, and their words."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from core.heartbeats import WORKER, Process
from core.status import Notice
from portal.status.pulse import HANGS, Bell, Queue, Records
from portal.status.troubles import found
from portal.status.watch import Pulse


def worker(queue: str, age: float = 1.0, doing: str = "") -> Process:
    return Process(WORKER, "h", 7, (queue,), doing, 1.0 if doing else None, age, datetime.now(UTC))


def records(*processes: Process, silent: float | None = 1.0, notices: tuple[Notice, ...] = ()) -> Records:
    return Records("", 0.01, processes, silent, notices)


def bell(*queues: Queue, problem: str = "") -> Bell:
    return Bell(problem, 0.01, queues)


def keys(records: Records | None, bell: Bell | None) -> list[str]:
    return [notice.key for notice in found(Pulse(records, bell))]


WELL = records(worker("deploys"), worker("short"))
EMPTY = bell(Queue("deploys", 0, None), Queue("short", 0, None))


def test_all_is_well() -> None:
    assert keys(WELL, EMPTY) == []


@pytest.mark.parametrize("silent", [None, 46.0, 4000.0])
def test_a_dead_scheduler(silent: float | None) -> None:
    (notice,) = found(Pulse(records(worker("deploys"), silent=silent), EMPTY))
    assert notice.key == "portal.scheduler"
    assert "Running deploys go on" in notice.text
    assert "manage.py scheduler" in notice.remedy


def test_a_rolling_update_of_the_scheduler_is_none() -> None:
    assert keys(records(worker("deploys"), silent=30.0), EMPTY) == []


@pytest.mark.parametrize("answer", [None, bell(problem=HANGS), bell(problem="does not answer")])
def test_redis_gone_hanging_or_silent(answer: Bell | None) -> None:
    (notice,) = found(Pulse(WELL, answer))
    assert notice.key == "portal.redis"
    assert "Pages work" in notice.text


@pytest.mark.parametrize(
    ("waited", "processes", "told"),
    [
        (31.0, (), True),
        (31.0, (worker("short"),), True),
        (31.0, (worker("deploys", age=31.0),), True),  # it is dead
        (31.0, (worker("deploys", age=29.0),), False),
        (29.0, (), False),
        (None, (), False),
    ],
)
def test_a_queue_without_workers(waited: float | None, processes: tuple[Process, ...], told: bool) -> None:
    queues = bell(Queue("deploys", 3 if waited else 0, waited))
    assert keys(records(*processes), queues) == (["portal.queue.deploys"] if told else [])


def test_its_words() -> None:
    (notice,) = found(Pulse(records(), bell(Queue("deploys", 3, 240.0))))
    assert notice.text.startswith("No worker takes jobs of the queue “deploys” (3 jobs waiting for 4 min).")
    assert "manage.py rqworker deploys" in notice.remedy


def test_a_queue_that_does_not_keep_up() -> None:
    stuck = bell(Queue("deploys", 2, 5000.0), Queue("short", 900, 601.0))
    (notice,) = found(Pulse(WELL, stuck))  # deploys may wait for hours
    assert (notice.key, notice.state) == ("portal.queue.short", "warning")


def test_without_the_database_nothing_is_claimed_of_its_rows() -> None:
    assert keys(Records("does not answer", 0.1), bell(Queue("deploys", 3, 99.0))) == []
    assert keys(None, EMPTY) == []


def test_apps_add_their_own() -> None:
    own = Notice("registry.lon1", "A pull credential ends in 2 h.")
    assert found(Pulse(records(worker("deploys"), worker("short"), notices=(own,)), EMPTY)) == [own]
