"""The portal's own parts as rows of the status page: database, Redis, scheduler, queues with their workers, disk."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from datetime import timedelta

from django.conf import settings
from django.utils import timezone

from core.heartbeats import SCHEDULER, Process
from core.scheduler import WORKING
from core.status import Notice, Row
from portal.status import troubles
from portal.status.pulse import Queue, Records
from portal.status.watch import Pulse
from projects import contacts
from ui.words import duration

GROUP = "Portal"
LITTLE_SHARE, LITTLE_BYTES = 0.1, 2 * 1024**3
GIB = 1024**3


def rows(pulse: Pulse) -> list[Row]:
    """All rows, in a fixed order."""
    bad = {notice.key: notice for notice in troubles.found(pulse)}
    return [
        _database(pulse.records),
        _redis(pulse, bad.get(f"{troubles.KEY}redis")),
        _scheduler(pulse.records, bad.get(f"{troubles.KEY}scheduler")),
        *(_queue(name, pulse, bad.get(f"{troubles.KEY}queue.{name}")) for name in settings.RQ_QUEUES),
        disk(),
    ]


def _own(name: str, state: str, sentence: str, bad: Notice | None = None, **more: object) -> Row:
    remedy = bad.remedy if bad else ""
    return Row(GROUP, name, state, sentence=sentence, remedy=remedy, outside=False, **more)  # type: ignore[arg-type]


def _database(records: Records | None) -> Row:
    if records is None or records.problem:
        problem = records.problem if records else "gives no answer in time"
        trouble = Notice(
            "", "", remedy="Look at the database and at DATABASE_URL; run manage.py migrate after an update."
        )
        return _own("Database", "failed", f"Trouble: {problem}.", trouble)
    return _own(
        "Database",
        "reachable",
        f"Answers within {records.seconds * 1000:.0f} ms.",
        answered_at=timezone.now(),
    )


def _redis(pulse: Pulse, bad: Notice | None) -> Row:
    heard = contacts.heard(contacts.REDIS).get(contacts.REDIS)
    answered, failed = (heard.answered_at, heard.failed_at) if heard else (None, None)
    if bad is not None or pulse.bell is None:
        return _own("Redis", "failed", bad.text if bad else "", bad, answered_at=answered, failed_at=failed)
    return _own(
        "Redis",
        "reachable",
        f"Answers within {pulse.bell.seconds * 1000:.0f} ms.",
        answered_at=timezone.now(),
    )


def _scheduler(records: Records | None, bad: Notice | None) -> Row:
    if records is None or records.problem:
        return _own("Scheduler", "unknown", "Not known without the database.")
    details = tuple(_described(one) for one in records.processes if one.kind == SCHEDULER)
    silent = records.scheduler_silent
    seen = None if silent is None else timezone.now() - timedelta(seconds=silent)
    if bad is not None:
        return _own("Scheduler", "failed", bad.text, bad, answered_at=seen, failed_at=seen, details=details)
    standing_by = sum(
        one.kind == SCHEDULER and one.lives and one.doing != WORKING for one in records.processes
    )
    more = f" {standing_by} more stand by." if standing_by else ""
    return _own("Scheduler", "reachable", f"Works.{more}", answered_at=seen, details=details)


def _queue(name: str, pulse: Pulse, bad: Notice | None) -> Row:
    title = f"Queue “{name}”"
    if pulse.records is None or pulse.records.problem:
        return _own(title, "unknown", "Not known without the database.")
    workers = troubles.workers_of(name, pulse.records)
    details = tuple(_described(one) for one in pulse.records.processes if name in one.queues)
    seen = max((one.beat_at for one in pulse.records.processes if name in one.queues), default=None)
    if bad is not None:
        return _own(title, bad.state, bad.text, bad, answered_at=seen, details=details)
    queue = next((one for one in pulse.bell.queues if one.name == name), None) if pulse.bell else None
    sentence = f"{_counted(workers)}; {_waiting(queue)}."
    if not workers and name in troubles.OPTIONAL:  # what waits for one is a trouble, see above
        return _own(title, "inactive", sentence, answered_at=seen, details=details)
    if not workers:
        none = Notice("", "", remedy=f"Start one: manage.py rqworker {name}.")
        return _own(title, "warning", sentence, none, answered_at=seen, details=details)
    return _own(title, "reachable", sentence, answered_at=seen, details=details)


def _counted(workers: Sequence[Process]) -> str:
    busy = sum(bool(one.doing) for one in workers)
    count = f"{len(workers)} worker{'' if len(workers) == 1 else 's'}" if workers else "No worker"
    return f"{count}, {busy} busy" if workers else count


def _waiting(queue: Queue | None) -> str:
    if queue is None:
        return "what waits is not known without Redis"
    if not queue.length:
        return "nothing waits"
    jobs = f"{queue.length} job{' waits' if queue.length == 1 else 's wait'}"
    return f"{jobs}, the oldest for {duration(queue.oldest)}" if queue.oldest is not None else jobs


def _described(one: Process) -> str:
    """A process for admins."""
    place = f"{one.host}, process {one.pid}"
    if not one.lives:
        return f"{place}: dead or hanging, silent for {duration(one.age)}"
    return f"{place}: {one.doing} for {duration(one.busy)}" if one.doing else f"{place}: waits"


def disk() -> Row:
    """The disk of DATA_DIR on the host of this web process."""
    try:
        found = shutil.disk_usage(settings.DATA_DIR)
    except OSError as error:
        bad = Notice("", "", remedy="Check DATA_DIR: fetching from Git and deploys of new revisions need it.")
        return _own("Disk", "failed", f"The data directory cannot be read ({error.strerror}).", bad)
    text = f"{found.free / GIB:.1f} of {found.total / GIB:.1f} GiB are free."
    where = (f"DATA_DIR {settings.DATA_DIR}, as this web process sees it",)
    if found.free < LITTLE_SHARE * found.total and found.free < LITTLE_BYTES:
        bad = Notice(
            "", "", remedy="Make room or a larger disk: without it Git mirrors cannot grow and deploys fail."
        )
        return _own("Disk", "warning", text, bad, details=where, answered_at=timezone.now())
    return _own("Disk", "reachable", text, details=where, answered_at=timezone.now())
