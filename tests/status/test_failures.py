"""What breaks: Redis gone and Redis stopped, a slow database. Nothing waits for them, and people are told."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone
from redis import Redis
from rq import Queue as RqQueue

from core.heartbeats import SILENT_SECONDS
from core.models import Contact, Heartbeat, Lease
from notify import outbox
from portal.status import pulse, telling, watch
from portal.status.pulse import GONE, HANGS, read_bell
from tests.factories import make_user
from tests.notify.conftest import FakeSlack

PAGE, PROBE = 10.0, 5.0  # seconds, for a busy machine; what hangs does so until it is let go


@contextmanager
def stopped(url: str) -> Iterator[None]:
    """That Redis takes connections, but says nothing."""
    with Redis.from_url(url) as client:
        pid = int(client.info("server")["process_id"])
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def test_redis_with_jobs(real_redis: str) -> None:
    with Redis.from_url(real_redis) as client:
        queue = RqQueue("deploys", connection=client)
        queue.enqueue("os.getpid", job_id="first")
        client.hset("rq:job:first", "enqueued_at", "2020-01-01T00:00:00.000000Z")
        queue.enqueue("os.getpid", job_id="hasty", at_front=True)
        client.rpush("rq:queue:deploys", "expired-meanwhile")
    found = read_bell()
    assert found.problem == ""
    queues = {queue.name: queue for queue in found.queues}
    deploys, short = queues["deploys"], queues["short"]
    assert (deploys.name, deploys.length, short.length, short.oldest) == ("deploys", 3, 0, None)
    assert deploys.oldest is not None
    assert deploys.oldest > 86400


def test_redis_stopped(real_redis: str) -> None:
    with stopped(real_redis):
        began = time.monotonic()
        assert read_bell().problem == HANGS
        assert time.monotonic() - began < PROBE


def test_redis_gone(settings: Any) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    began = time.monotonic()
    assert read_bell().problem == GONE
    assert time.monotonic() - began < PROBE


@pytest.fixture
def in_time(client: Client) -> Callable[..., Any]:
    """`in_time("/", 1.0)`: the answer, which must come within that time."""

    def ask(address: str, seconds: float) -> Any:
        began = time.monotonic()
        answer = client.get(address)
        assert time.monotonic() - began < seconds, address
        return answer

    return ask


@pytest.mark.watched
@pytest.mark.django_db(transaction=True)
def test_pages_and_probes_while_redis_is_stopped(
    real_redis: str, client: Client, in_time: Callable[..., Any]
) -> None:
    client.force_login(make_user("ada", is_admin=True))
    client.get("/")  # what is read once
    assert in_time("/readyz", PROBE).json()["redis"]["ok"]
    with stopped(real_redis):
        for kept in (watch.RECORDS, watch.BELL):
            kept.forget()
        ready = in_time("/readyz", PROBE)
        assert (ready.status_code, ready.json()["redis"]["problem"]) == (200, HANGS)
        for address in ("/", "/status/", "/deploys/", "/secrets/", "/admin/"):
            page = in_time(address, PAGE).content.decode()
            assert "Redis hangs: it does not answer in time. Pages work" in page, address
        assert in_time("/healthz", PROBE).status_code == 200
    until_well(client)
    assert "Redis hangs" not in in_time("/", PAGE).content.decode()
    settle()


def until_well(client: Client) -> None:
    """Waits until the probe has noticed that Redis answers again."""
    deadline = time.monotonic() + 30
    while not client.get("/readyz").json()["redis"]["ok"]:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def settle() -> None:
    """No thread of these tests is left with a connection."""
    deadline = time.monotonic() + 30
    while any(kept._reading for kept in (watch.RECORDS, watch.BELL, telling.ROUNDS)):
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.watched
@pytest.mark.django_db(transaction=True)
def test_a_slow_database_delays_no_probe(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    answered, read = threading.Event(), threading.Event()

    def slow() -> Any:
        answered.wait(60)
        read.set()
        return pulse.read_records()

    monkeypatch.setattr(watch.RECORDS, "read", slow)
    ready = client.get("/readyz")
    assert not read.is_set(), "the probe waited for the database"
    answered.set()
    assert ready.status_code == 503
    assert ready.json()["database"]["problem"] == "does not answer in time"
    settle()


@pytest.mark.django_db
def test_readyz_and_the_page_agree(as_admin: Client, all_lives: None) -> None:
    ready = as_admin.get("/readyz").json()
    assert (ready["ready"], ready["redis"]["ok"], ready["database"]["ok"]) == (True, True, True)
    assert "All is well" in as_admin.get("/status/").content.decode()


@pytest.mark.django_db
def test_a_database_with_waiting_migrations_is_not_ready(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pulse, "_all_applied", False)
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE app = 'notify' AND name LIKE '0005%'")
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()["database"]["problem"]) == (503, "1 migrations are not applied")


@pytest.mark.django_db
class TestBanners:
    def test_none_while_all_is_well(self, as_admin: Client, all_lives: None, with_banners: None) -> None:
        page = as_admin.get("/deploys/").content.decode()
        assert 'class="banner ' not in page.partition("<main")[0]

    def test_a_dead_scheduler(
        self, as_admin: Client, as_viewer: Client, all_lives: None, with_banners: None
    ) -> None:
        Lease.objects.update(until=timezone.now() - timedelta(seconds=60))
        for client, advice in ((as_admin, "Start it (manage.py scheduler)"), (as_viewer, "Tell an admin")):
            page = client.get("/deploys/").content.decode()
            assert "The scheduler has not worked for 1 min" in page
            assert advice in page

    def test_no_worker_for_what_waits(
        self, as_admin: Client, all_lives: None, with_banners: None, redis_answers: Any
    ) -> None:
        redis_answers(pulse.Bell("", 0.0, (pulse.Queue("deploys", 1, 40.0),)))
        assert "No worker takes" not in as_admin.get("/deploys/").content.decode()
        old = timezone.now() - timedelta(seconds=SILENT_SECONDS + 1)
        Heartbeat.objects.filter(queues="deploys").update(beat_at=old)
        watch.RECORDS.forget()
        page = as_admin.get("/deploys/").content.decode()
        assert "No worker takes jobs of the queue “deploys” (1 job waiting for 40 s)" in page

    def test_strangers_see_none(self, client: Client, with_banners: None, db: None) -> None:
        assert 'class="banner ' not in client.get("/login/").content.decode().partition("<main")[0]

    def test_a_page_costs_no_query_while_the_answer_is_fresh(
        self, as_admin: Client, all_lives: None, with_banners: None, django_assert_num_queries: Any
    ) -> None:
        as_admin.get("/deploys/")
        from django.test.utils import CaptureQueriesContext

        with CaptureQueriesContext(connection) as asked:
            as_admin.get("/deploys/")
        assert not [one for one in asked.captured_queries if "core_" in one["sql"]]


@pytest.mark.django_db
class TestTelling:
    @pytest.fixture(autouse=True)
    def slack(self, settings: Any, monkeypatch: pytest.MonkeyPatch) -> FakeSlack:
        settings.OPERATIONS_CHANNEL, settings.SLACK_BOT_TOKEN = "#ops", "xoxb-test"
        fake = FakeSlack()
        monkeypatch.setattr(outbox, "Slack", fake)
        return fake

    def test_the_web_tells_of_a_dead_scheduler_by_itself_once(
        self, all_lives: None, slack: FakeSlack
    ) -> None:
        from notify.models import Alarm

        Lease.objects.update(until=timezone.now() - timedelta(seconds=60))
        telling.tell()
        assert slack.calls == []
        Alarm.objects.update(began_at=timezone.now() - timedelta(seconds=61))
        for _ in range(3):
            telling.tell()
        (call,) = slack.calls
        assert "The scheduler has not worked for 1 min" in call[2]
        assert "/status/|Look>" in call[2]
        Lease.objects.update(until=timezone.now() + timedelta(seconds=15))
        watch.RECORDS.forget()
        telling.tell()
        Alarm.objects.update(well_since=timezone.now() - timedelta(seconds=61))
        for _ in range(3):
            telling.tell()
        assert [call[3] for call in slack.calls] == ["", "ts1"]

    def test_it_notes_whether_redis_answers(self, all_lives: None, redis_answers: Any) -> None:
        telling.tell()
        assert Contact.objects.get(name="redis").error == ""
        redis_answers(pulse.Bell(HANGS, 0.3))
        telling.tell()
        assert Contact.objects.get(name="redis").error == f"Redis {HANGS}."

    def test_without_a_database_nothing_is_told(
        self, monkeypatch: pytest.MonkeyPatch, slack: FakeSlack, redis_answers: Any
    ) -> None:
        redis_answers(pulse.Bell(HANGS, 0.3))
        monkeypatch.setattr(watch.RECORDS, "read", lambda: pulse.Records(GONE, 0.1))
        assert telling.tell() is False
        assert slack.calls == []
