"""The RQ worker class: no database or Redis connection crosses a fork, and a job dies with its worker."""

from __future__ import annotations

import ctypes
import os
import signal
from typing import Any

import structlog
from django.db import connections
from redis.exceptions import RedisError
from rq import Worker as RqWorker

from core.context_vars import Origin, set_origin

log = structlog.get_logger(__name__)
PR_SET_PDEATHSIG = 1


class Worker(RqWorker):
    """`manage.py rqworker QUEUE` uses it (settings.RQ)."""

    def main_work_horse(self, *args: Any, **kwargs: Any) -> None:
        """In the forked child: ends with the parent, so that a killed worker leaves no orphan that goes on applying.

        The reconciler and the fencing by attempt hold even where this does not (another system than Linux).
        """
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() == 1:
            os._exit(1)
        super().main_work_horse(*args, **kwargs)

    def perform_job(self, job: Any, *args: Any) -> bool:
        """Binds the job's id to everything that the job logs and audits."""
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(job_id=job.id)
        set_origin(Origin(request_id=job.id[:64]))
        return super().perform_job(job, *args)

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
