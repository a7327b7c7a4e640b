"""Mirrors are tidied in the background, once a day each."""

from __future__ import annotations

from typing import Any

import pytest

from adapters.errors import TimedOut
from adapters.git.repository import GitRepository
from portal.ticks import TICKS
from projects import mirrors
from tests.factories import make_project

pytestmark = pytest.mark.django_db


def test_the_tick_only_asks_for_one_job_a_project_and_hour(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[Any, ...]] = []
    monkeypatch.setattr("projects.mirrors.enqueue", lambda *args, **more: asked.append((*args, more)))
    monkeypatch.setattr(
        GitRepository, "tidy", lambda *args: pytest.fail("the scheduler tidies nothing itself")
    )
    monkeypatch.setattr("core.jobs.time.time", lambda: 7200.0)
    project = make_project()
    (tick,) = [tick for tick in TICKS if tick.name == "mirrors"]
    tick.run()
    job = {"queue": "git", "job_id": f"tidy-{project.pk}-2"}
    assert asked == [("projects.mirrors.tidy", project.pk, job)]


def test_the_job_tidies_and_what_stands_in_its_way_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    tidied: list[str] = []

    def busy(repository: GitRepository) -> bool:
        tidied.append(repository.url)
        raise TimedOut("Another fetch is taking too long.", system="Git")

    monkeypatch.setattr(GitRepository, "tidy", busy)
    project = make_project(repository_url="https://git.example.com/shop.git")
    mirrors.tidy(project.pk)
    mirrors.tidy(project.pk + 1)
    assert tidied == ["https://git.example.com/shop.git"]
