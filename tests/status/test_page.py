"""The status page: what admins and others see, and in which words."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from adapters.errors import Unavailable
from core import status
from core.models import Heartbeat
from core.status import Row
from portal.status import own, watch
from portal.status.pulse import HANGS, Bell, Queue
from projects import contacts
from tests.factories import make_cluster, make_environment, make_project, make_registry, make_secrets_file
from tests.status.conftest import beat

pytestmark = pytest.mark.django_db


@pytest.fixture
def outside(db: None, settings: Any) -> None:
    """One of each outside system; all but the registry have answered."""
    settings.SLACK_BOT_TOKEN = "xoxb-test"
    cluster = make_cluster(slug="lon1", name="London", last_seen=timezone.now())
    environment = make_environment(make_project(repository_url="https://git.inner/shop.git"), cluster=cluster)
    make_secrets_file(environment, region="eu-west-2")
    make_registry(endpoint="https://registry.inner")
    for name in ("git git.inner", "aws eu-west-2", "slack"):
        contacts.note_answer(name)
    contacts.note_error(
        "registry registry.inner",
        Unavailable("The registry registry.inner is not reachable.", system="x", hint="Try."),
    )


def text_of(client: Client, **headers: str) -> str:
    answer = client.get("/status/", headers=headers)
    assert answer.status_code == 200
    return re.sub(r"\s+", " ", answer.content.decode())


def test_all_is_well(as_admin: Client, all_lives: None) -> None:
    page = text_of(as_admin)
    assert "All is well" in page
    assert "1 worker, 0 busy; nothing waits." in page
    assert "What to do" not in page


def test_an_admin_sees_each_system_with_names_errors_and_remedies(
    as_admin: Client, all_lives: None, outside: None
) -> None:
    beat(300, "short", doing="clusters.jobs.refresh_live", since=timezone.now() - timedelta(seconds=70))
    Heartbeat.objects.filter(pid=101).update(beat_at=timezone.now() - timedelta(seconds=90))
    page = text_of(as_admin)
    for said in (
        "Not all is well", "London", "git.inner", "eu-west-2", "The registry registry.inner is not reachable.",
        "Running pods stay", "inner-host, process 300: clusters.jobs.refresh_live for 1 min 10 s",
        "inner-host, process 101: dead or hanging, silent for 1 min 30 s",
    ):  # fmt: skip
        assert said in page


def test_others_see_neither_names_nor_hosts_nor_errors(
    as_viewer: Client, all_lives: None, outside: None
) -> None:
    page = text_of(as_viewer)
    for hidden in ("inner", "London", "eu-west-2", "DATA_DIR", "/admin/"):
        assert hidden not in page
    for said in ("Not all is well", "Clusters", "Registries", "Git hosts", "Slack", "Tell an admin"):
        assert said in page


def test_several_systems_of_a_kind_are_counted_for_others(as_viewer: Client, all_lives: None) -> None:
    make_cluster(last_seen=timezone.now())
    make_cluster(last_error="Nobody is there.")
    assert "1 of 2 answer." in text_of(as_viewer)


def test_without_redis(as_admin: Client, all_lives: None, redis_answers: Callable[[Bell], None]) -> None:
    redis_answers(Bell(HANGS, 0.25))
    page = text_of(as_admin)
    assert "Redis hangs" in page
    assert "what waits is not known without Redis" in page


def test_when_redis_last_answered_is_told_by_any_process(
    as_admin: Client, all_lives: None, redis_answers: Callable[[Bell], None]
) -> None:
    contacts.note(contacts.REDIS)
    redis_answers(Bell(HANGS, 0.25))
    row = next(row for row in own.rows(watch.now()) if row.name == "Redis")
    assert row.answered_at is not None


def test_without_scheduler_and_workers(
    as_admin: Client, db: None, redis_answers: Callable[[Bell], None]
) -> None:
    redis_answers(Bell("", 0.002, (Queue("deploys", 2, 50.0), Queue("short", 0, None))))
    page = text_of(as_admin)
    assert "The scheduler has not run yet" in page
    assert "(2 jobs waiting for 50 s)" in page
    assert "Start one: manage.py rqworker short." in page


def test_what_nobody_has_heard_of_is_unknown(as_admin: Client, all_lives: None, settings: Any) -> None:
    settings.SLACK_BOT_TOKEN = "xoxb-test"
    assert "Not all is known" in text_of(as_admin)


def test_htmx_gets_the_part_only(as_admin: Client, all_lives: None) -> None:
    part = text_of(as_admin, **{"HX-Request": "true"})
    assert "<html" not in part
    assert 'data-changes="/changes/?topic=status"' in part


def test_the_number_of_queries_does_not_grow(
    as_admin: Client, all_lives: None, django_assert_max_num_queries: Any
) -> None:
    for _ in range(10):
        make_cluster()
        make_environment()
        make_registry()
    with django_assert_max_num_queries(17):
        text_of(as_admin)


def test_an_app_adds_rows(as_admin: Client, all_lives: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status, "_rows", [])
    status.register(
        rows=lambda: [Row("Pull credentials", "London", "failed", "Ends in 2 h.", remedy="Refresh it.")]
    )
    page = text_of(as_admin)
    assert "Ends in 2 h." in page
    assert "Refresh it." in page


def test_little_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own.shutil, "disk_usage", lambda _: type("U", (), {"free": 2**30, "total": 2**36})())
    row = own.disk()
    assert (row.state, row.sentence) == ("warning", "1.0 of 64.0 GiB are free.")
    assert row.remedy


def test_a_folder_that_cannot_be_read(settings: Any) -> None:
    settings.DATA_DIR = "/nowhere/at/all"
    assert own.disk().state == "failed"
