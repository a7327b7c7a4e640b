"""Secrets that nobody looked at: the tick asks until a job has begun, whatever Redis loses; then it rests."""

from __future__ import annotations

from typing import Any

import pytest
import time_machine
from django.core.cache import cache

from projects.models import SecretsFile
from secrets_ui import jobs
from secrets_ui.known import looking
from tests.factories import make_environment, make_secrets_file


@pytest.fixture
def file(transactional_db: None) -> SecretsFile:
    cache.clear()
    return make_secrets_file(make_environment())


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The ids of the jobs that reached Redis, which takes none."""
    found: list[str] = []

    def push(_: str, __: Any, ___: str, job_id: str, **____: Any) -> bool:
        found.append(job_id)
        return False

    monkeypatch.setattr("core.jobs.push", push)
    return found


def test_a_job_that_redis_loses_is_asked_for_again(
    file: SecretsFile, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[int] = []
    monkeypatch.setattr(
        jobs, "look", lambda files, **_: looks.append(files[0].pk) or {files[0].pk: looking.Look(None)}
    )
    with time_machine.travel("2026-07-01T12:00:00Z", tick=False) as clock:
        for _ in range(3):
            jobs.look_at_due()
            clock.shift(60)
        assert len(set(asked)) == 3
        jobs.look_at(file.pk)
        jobs.look_at(file.pk)  # the others were only late
        assert looks == [file.pk]
        jobs.look_at_due()
        assert len(asked) == 3, "AWS gave no answer: not asked again at once"
        clock.shift(looking.LOOKED_AT.total_seconds() + 1)
        jobs.look_at_due()
        assert len(asked) == 4
