"""Mirrors are tidied in the background, once a day each."""

from __future__ import annotations

import os
from typing import Any

import pytest

from adapters.errors import TimedOut
from adapters.git.repository import GitRepository
from core.fields import CannotDecrypt
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
    unused = {"queue": "git", "job_id": "unused-mirrors-0"}
    assert asked == [("projects.mirrors.remove_unused", unused), ("projects.mirrors.tidy", project.pk, job)]


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


def test_mirrors_that_no_project_has_are_removed_unless_a_credential_cannot_be_read(
    settings: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.GIT_MIRRORS = tmp_path
    project = make_project(repository_url="https://git.example/shop.git")
    used = mirrors.repository_of(project).mirror_name
    for name in (used, "old.git"):
        (tmp_path / name).mkdir()
        os.utime(tmp_path / name, (1.0, 1.0))

    def unreadable(project: Any) -> Any:
        raise CannotDecrypt("none of ENCRYPTION_KEYS fits")

    with monkeypatch.context() as patched:
        patched.setattr(mirrors, "repository_of", unreadable)
        mirrors.remove_unused()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([used, "old.git"])
    mirrors.remove_unused()
    assert [path.name for path in tmp_path.iterdir()] == [used]
