"""The RQ worker class: no database or Redis connection crosses a fork, a job dies with its worker, and a long job is
told when its worker is asked to end.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import os
import signal
import sys
import threading
from typing import Any

import structlog
from django.conf import settings
from django.db import connections
from redis.exceptions import RedisError
from rq import Worker as RqWorker

from core.origin import Origin, set_origin
from core.redactor import redacting

log = structlog.get_logger(__name__)
PR_SET_PDEATHSIG = 1
LEAVE = signal.SIGUSR1
# A job that does not look whether it is to leave is killed after this: whoever asked for it asks again.
LEAVE_SECONDS = 5.0
_leaving = threading.Event()


def is_leaving() -> bool:
    """Whether the worker of this job was asked to end: a job that takes minutes hands over what it does, and returns."""
    return _leaving.is_set()


class Worker(RqWorker):
    """`manage.py rqworker QUEUE` uses it (settings.RQ)."""

    def work(self, *args: Any, **kwargs: Any) -> bool:
        """Loads what jobs need before the first one: every child is a copy of this process and need not load it again."""
        for module in settings.WORKER_PRELOAD:
            importlib.import_module(module)
        return super().work(*args, **kwargs)

    def _install_signal_handlers(self) -> None:
        """Before the first fork: a child that is told to leave in its first moment must know what it means."""
        super()._install_signal_handlers()
        signal.signal(LEAVE, lambda *_: _leaving.set())

    def handle_warm_shutdown_request(self) -> None:
        """TERM reached the worker, which now waits for its job: the job is told (`is_leaving`)."""
        super().handle_warm_shutdown_request()
        self._tell_horse()

    def fork_work_horse(self, *args: Any) -> None:
        """Also a job that was taken in the very moment of TERM is told."""
        super().fork_work_horse(*args)
        if self._stop_requested:
            self._tell_horse()

    def _tell_horse(self) -> None:
        """Tells the child to leave, and kills it when it has not after LEAVE_SECONDS."""
        pid = self.horse_pid
        if not pid:
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, LEAVE)
        killing = threading.Timer(LEAVE_SECONDS, self._kill_late_horse, [pid])
        killing.daemon = True
        killing.start()

    def _kill_late_horse(self, pid: int) -> None:
        if self.horse_pid == pid:
            log.warning("the job did not leave in time and is killed", worker=self.name)
            self.kill_horse()

    def main_work_horse(self, *args: Any, **kwargs: Any) -> None:
        """In the forked child: ends with the parent, so that a killed worker leaves no orphan that goes on applying.

        The reconciler and the fencing by attempt hold even where this does not (another system than Linux).
        """
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != self.pid:  # it ended before the call; in a container its id may be 1, as init's
            os._exit(1)
        super().main_work_horse(*args, **kwargs)

    def perform_job(self, job: Any, *args: Any) -> bool:
        """Binds the job's id to everything that the job logs and audits. A redactor is in force until its failure has been
        logged, so that a job may read secrets."""
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(job_id=job.id)
        set_origin(Origin(request_id=job.id[:64]))
        with redacting():
            return super().perform_job(job, *args)

    def handle_job_failure(
        self,
        job: Any,
        queue: Any,
        started_job_registry: Any = None,
        exc_string: str = "",
        execution: Any = None,
    ) -> None:
        """RQ keeps what it is told of a failure for days, in Redis: that is the error's class and where to find the rest,
        never the traceback, which may quote anything. The log has it, through the redactor."""
        error = sys.exc_info()[1]  # none where RQ itself tells of a worker that was killed
        said = f"{type(error).__name__}; the log has the details under {job.id}." if error else exc_string
        super().handle_job_failure(job, queue, started_job_registry, said, execution)

    def maintain_heartbeats(self, job: Any, execution: Any) -> None:
        """In the parent, every half minute. RQ ends the worker when Redis does not answer, and the job dies with it; but
        a deploy needs no Redis to go on: its own heartbeat is in the database.
        """
        try:
            super().maintain_heartbeats(job, execution)
        except (RedisError, OSError) as error:
            log.warning("Redis does not answer; the job goes on", job_id=job.id, error=type(error).__name__)

    def handle_work_horse_killed(self, job: Any, retpid: int, ret_val: int, rusage: Any) -> None:
        """In the parent, when the child was killed (out of memory, stop): say so; the reconciler does the rest.

        Whatever touched the database here would hand its connection to the next child: close all.
        """
        log.error("work horse killed", job_id=job.id, signal=ret_val & 0x7F if ret_val else None)
        connections.close_all()
