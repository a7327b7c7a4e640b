"""The worker: a Redis that is away for a while ends no job."""

from __future__ import annotations

from typing import Any

import pytest
from redis.exceptions import ConnectionError as RedisGone
from rq import Worker as RqWorker

from core.worker import Worker


def test_a_job_goes_on_while_redis_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """RQ would end the worker, and the job with it."""

    def gone(self: Any, job: Any, execution: Any) -> None:
        raise RedisGone("Connection refused")

    monkeypatch.setattr(RqWorker, "maintain_heartbeats", gone)
    worker = Worker.__new__(Worker)
    worker.maintain_heartbeats(type("Job", (), {"id": "x-1"})(), None)
