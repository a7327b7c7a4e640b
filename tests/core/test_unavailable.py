"""A database that is busy or away is answered by 503: what was not changed, and when to try again. On both databases."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import psycopg_pool
import pytest
from django.core.management import CommandError, call_command
from django.db import InterfaceError, OperationalError, connection
from django.test import Client

from core import committed
from core.unavailable import DatabaseAway, DatabaseBusy, trouble_of
from deployments.models import Deploy
from deployments.pages import history_views
from portal.database import LOCK_SECONDS, POOL_SECONDS
from portal.database import database as database_settings
from projects.models import Role
from runs.models import State
from tests.e2e.database import locked
from tests.factories import grant, make_deploy, make_environment, make_user
from tests.runs.test_live_processes import database_url

NOTHING = "Nothing was changed. Try again in some seconds."


def raised(cause: Exception) -> OperationalError:
    """As Django raises it."""
    error = OperationalError(str(cause))
    error.__cause__ = cause
    return error


@pytest.fixture(autouse=True)
def a_request_begins() -> None:
    """Tests share one context, requests do not."""
    committed.begin()


@pytest.mark.parametrize(
    "cause",
    [
        psycopg.errors.LockNotAvailable("canceling statement due to lock timeout"),
        psycopg.errors.DeadlockDetected("deadlock detected"),
        psycopg.errors.TooManyConnections("sorry, too many clients already"),
        psycopg_pool.PoolTimeout("couldn't get a connection after 30.00 sec"),
        sqlite3.OperationalError("database is locked"),
    ],
    ids=lambda cause: type(cause).__name__,
)
def test_waits_that_ended_are_told_from_mistakes(cause: Exception) -> None:
    for method in ("GET", "POST"):
        found = trouble_of(raised(cause), method)
        assert isinstance(found, DatabaseBusy)
        assert found.hint.startswith(NOTHING)


@pytest.mark.parametrize("error", [raised(psycopg.OperationalError("refused")), InterfaceError("closed")])
def test_a_database_that_is_away(error: Exception) -> None:
    reading, writing = trouble_of(error, "GET"), trouble_of(error, "POST")
    assert isinstance(reading, DatabaseAway)
    assert isinstance(writing, DatabaseAway)
    assert reading.hint.startswith(NOTHING)
    assert "Look before you send it again" in writing.hint, "it may have broken right after the commit"


@pytest.mark.parametrize(
    "error", [ValueError("x"), raised(sqlite3.OperationalError("no such table: x")), None]
)
def test_mistakes_stay_mistakes(error: Exception | None) -> None:
    assert trouble_of(error) is None


@pytest.fixture
def deploy(transactional_db: None) -> Deploy:
    """One that waits."""
    return make_deploy(make_environment(), State.QUEUED)


@pytest.fixture
def person(deploy: Deploy) -> Client:
    """Signed in, with the right to cancel it. Errors of the server come as pages."""
    user = make_user("dina")
    grant(user, Role.MAINTAINER, deploy.environment.project)
    client = Client(raise_request_exception=False, headers={"accept": "text/html"})
    client.force_login(user)
    return client


@contextmanager
def impatient() -> Iterator[None]:
    """Waits for locks are short, so that the test is."""
    short = "PRAGMA busy_timeout = 300" if connection.vendor == "sqlite" else "SET lock_timeout = '300ms'"
    with connection.cursor() as cursor:
        cursor.execute(short)
    yield
    connection.close()


def state_of(deploy: Deploy) -> str:
    return str(Deploy.objects.values_list("state", flat=True).get(pk=deploy.pk))


def cancel(client: Client, deploy: Deploy, **headers: str) -> Any:
    return client.post(f"/deploys/{deploy.number}/cancel/", headers=headers)


def test_a_click_while_the_database_is_locked(person: Client, deploy: Deploy) -> None:
    with impatient(), locked(database_url()):
        answer = cancel(person, deploy)
        assert (answer.status_code, answer["Retry-After"]) == (503, "10")
        page = answer.content.decode()
        assert "busy for too long" in page
        assert NOTHING in page
        assert answer["X-Request-ID"] in page
        document = cancel(person, deploy, accept="application/json")
        assert (document.status_code, document["Retry-After"]) == (503, "10")
        assert document["Content-Type"] == "application/problem+json"
        assert document.json()["code"] == "database-busy"
        assert NOTHING in document.json()["hint"]
        assert state_of(deploy) == "queued"
        assert person.get(f"/deploys/{deploy.number}/").status_code == 200, "who only reads does not wait"
    assert cancel(person, deploy).status_code == 302
    assert state_of(deploy) == "cancelled"


def test_the_command_line_says_so_too(deploy: Deploy, monkeypatch: pytest.MonkeyPatch) -> None:
    def busy(*_: object, **__: object) -> Any:
        raise raised(sqlite3.OperationalError("database is locked"))

    monkeypatch.setattr("deployments.gate.requests.request_deploy", busy)
    environment = deploy.environment
    with pytest.raises(CommandError, match=r"busy for too long.* Nothing was changed") as refused:
        call_command("deploy", environment.project.slug, environment.slug, revision="main")
    assert refused.value.returncode == 1


def test_what_was_saved_before_is_not_denied(
    person: Client, deploy: Deploy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The change is committed, and then the database locks out its page."""

    def broken(*_: object, **__: object) -> Any:
        raise raised(sqlite3.OperationalError("database is locked"))

    monkeypatch.setattr("django.contrib.messages.success", broken)
    monkeypatch.setattr("django.contrib.messages.info", broken)
    monkeypatch.setattr("deployments.pages.deploy_views.redirect", broken)
    answer = cancel(person, deploy)
    assert state_of(deploy) == "cancelled"
    assert answer.status_code == 503
    page = answer.content.decode()
    assert "was saved" in page
    assert "Nothing was changed" not in page


def test_a_session_that_cannot_be_read(person: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before any view is reached: Django's own handler of errors."""

    def broken(*_: object) -> Any:
        raise raised(psycopg_pool.PoolTimeout("couldn't get a connection after 30.00 sec"))

    monkeypatch.setattr("django.contrib.sessions.backends.db.SessionStore._get_session_from_db", broken)
    monkeypatch.setattr("django.contrib.sessions.backends.cached_db.SessionStore.load", broken)
    answer = person.get("/")
    assert (answer.status_code, answer["Retry-After"]) == (503, "10")
    assert NOTHING in answer.content.decode()


def test_another_error_of_a_view_is_still_a_mistake(person: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> Any:
        raise ValueError("x")

    monkeypatch.setattr(history_views.history, "page", broken)
    assert person.get("/deploys/").status_code == 500


def test_waits_have_an_end() -> None:
    """Longer than a busy moment, shorter than a proxy waits."""
    options = database_settings("sqlite:////tmp/x.sqlite3")["OPTIONS"]
    assert (options["timeout"], LOCK_SECONDS, POOL_SECONDS) == (20, 30, 30.0)


HOLD = """
import os, sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("holds", flush=True)
sys.stdin.readline()
connection.execute("COMMIT")
"""


@pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL ends such a transaction after 30 s")
def test_a_process_that_is_stopped_in_a_transaction_of_sqlite(person: Client, deploy: Deploy) -> None:
    """It keeps the others from writing until it is woken or killed. They wait for a bounded time, and say so; they read."""
    file = str(connection.settings_dict["NAME"])
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, file], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "holds\n"
        os.kill(holder.pid, signal.SIGSTOP)
        with impatient():
            assert cancel(person, deploy).status_code == 503
            assert person.get(f"/deploys/{deploy.number}/").status_code == 200
    finally:
        holder.kill()
        holder.communicate(timeout=10)
    assert cancel(person, deploy).status_code == 302
    assert state_of(deploy) == "cancelled"
