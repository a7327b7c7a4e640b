"""The RQ worker class. No database or Redis connection crosses a fork, a job dies with its worker, and a worker that is
asked to end tells its job. It runs jobs of core/listed.py only.
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
from rq.exceptions import DeserializationError

from core.collector import leave_out_what_is_loaded
from core.heartbeats import WORKER, BeatingHeart, Heart
from core.listed import ListedJob
from core.origin import Origin, set_origin
from core.redactor import redacting

log = structlog.get_logger(__name__)
PR_SET_PDEATHSIG = 1
LEAVE = signal.SIGUSR1
# A job that has not returned this long after LEAVE is killed; the reconciler enqueues it again.
LEAVE_SECONDS = 5.0
_leaving = threading.Event()


def is_leaving() -> bool:
    """Whether this job's worker was asked to end. A job that takes minutes must then hand over its work and return."""
    return _leaving.is_set()


def name_of(job: Any) -> str:
    """The dotted name of a job's function; of a job whose data cannot be read only that."""
    try:
        return str(job.func_name)
    except DeserializationError:
        return "a job that cannot be read"


class Worker(RqWorker):
    """The class that `manage.py rqworker QUEUE` uses (settings.RQ)."""

    _heart: BeatingHeart

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Always reads JSON: the command's own default, pickles, would run code from Redis."""
        super().__init__(*args, **{**kwargs, "serializer": settings.JOBS_SERIALIZER, "job_class": ListedJob})

    def work(self, *args: Any, **kwargs: Any) -> bool:
        """Imports the modules that jobs need before the first job: the children are forks and inherit them. Leaves heartbeats
        until the end."""
        for module in settings.WORKER_PRELOAD:
            importlib.import_module(module)
        leave_out_what_is_loaded()
        self._heart = BeatingHeart(Heart(WORKER, self.queue_names()))
        self._heart.start()
        try:
            return super().work(*args, **kwargs)
        finally:
            self._heart.stop()

    def execute_job(self, job: Any, queue: Any) -> None:
        """Also tells the heartbeat what this worker does."""
        self._heart.works(name_of(job))
        try:
            super().execute_job(job, queue)
        finally:
            self._heart.works("")

    def _install_signal_handlers(self) -> None:
        """Also handles LEAVE. Installed before the first fork, so that a new child handles the signal at once."""
        super()._install_signal_handlers()
        signal.signal(LEAVE, lambda *_: _leaving.set())

    def handle_warm_shutdown_request(self) -> None:
        """The worker got TERM and now waits for its job: tells the job (`is_leaving`)."""
        super().handle_warm_shutdown_request()
        self._tell_horse()

    def fork_work_horse(self, *args: Any) -> None:
        """Forks, and also tells a job to leave that was taken at the moment of TERM."""
        with self._heart.still():
            super().fork_work_horse(*args)
        if self._stop_requested:
            self._tell_horse()

    def _tell_horse(self) -> None:
        """Tells the child to leave. Kills it if it still runs after LEAVE_SECONDS."""
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
        """In the forked child: Linux ends it with its parent, so that a killed worker leaves no orphan that goes on
        applying.

        On other systems the reconciler and the fence still prevent its writes.
        """
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != self.pid:  # it ended before the call; in a container its id may be 1, as init's
            os._exit(1)
        super().main_work_horse(*args, **kwargs)

    def perform_job(self, job: Any, *args: Any) -> bool:
        """Binds the job's id to its log lines and audit events. A redactor is in force until a failure of the job has been
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
        """RQ keeps a failure's text in Redis for days. That text is the error's class and the job's id, never the
        traceback, which may quote secrets. The log has the redacted traceback."""
        error = sys.exc_info()[1]  # None when RQ itself reports a killed worker
        said = f"{type(error).__name__}; the log has the details under {job.id}." if error else exc_string
        super().handle_job_failure(job, queue, started_job_registry, said, execution)

    def maintain_heartbeats(self, job: Any, execution: Any) -> None:
        """In the parent, every half minute. RQ would end the worker, and with it the job, when Redis does not answer.
        But a deploy can go on without Redis: its heartbeat is in the database.
        """
        try:
            super().maintain_heartbeats(job, execution)
        except (RedisError, OSError) as error:
            log.warning("Redis does not answer; the job goes on", job_id=job.id, error=type(error).__name__)

    def handle_work_horse_killed(self, job: Any, retpid: int, ret_val: int, rusage: Any) -> None:
        """In the parent, after the child was killed (out of memory, stop): logs it. The reconciler does the rest.

        Closes all database connections, so that the next child does not inherit one.
        """
        log.error("work horse killed", job_id=job.id, signal=ret_val & 0x7F if ret_val else None)
        connections.close_all()
