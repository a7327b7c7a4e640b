"""The token stands in the Secret and, encrypted, in the database. Nowhere else: not in logs, rows, errors, output, queue."""

from __future__ import annotations

import base64
import logging
from datetime import timedelta
from io import StringIO

import pytest
import structlog
from django.core.management import call_command
from django.db import connection

from adapters.errors import Denied
from audit.actors import person
from registry import jobs, services
from registry.faults import of_cluster
from registry.models import Refresh
from tests.factories import make_user
from tests.registry.outside import FakeRegistry


def forms(token: str) -> list[str]:
    """The token as it may appear: plain, and with its user in Base64."""
    return [token, base64.b64encode(f"AWS:{token}".encode()).decode().rstrip("=")]


def everything_stored() -> str:
    """All rows of all tables, as they stand in the database."""
    found = []
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f'SELECT * FROM "{table}"')
            found += [str(row) for row in cursor.fetchall()]
    return "\n".join(found)


@pytest.fixture
def talkative(monkeypatch) -> None:
    """A registry whose refusals quote what they were given, as a bad proxy's page may."""

    def refuse(self) -> None:
        pair = base64.b64encode(f"AWS:{self.password}".encode()).decode()
        raise Denied(
            f"Basic {pair} ({self.password}) is not welcome.",
            system="the registry",
            hint=f"Not {self.password}.",
        )

    monkeypatch.setattr(FakeRegistry, "sign_in", refuse)


def scene(place, clock, monkeypatch) -> tuple[str, list[str]]:
    """Renewals that succeed and fail, by tick, person and command. Returns all output, and what was enqueued."""
    out, pushed = StringIO(), []
    monkeypatch.setattr(
        "core.jobs.push", lambda name, ids, queue, job_id, **_: pushed.append(str((name, ids, job_id)))
    )
    first, second = place.home(), place.home()
    place.put(second)
    for hours in (0, 7, 7):
        clock.shift(timedelta(hours=hours))
        jobs.look()
        jobs.look_at(place.cluster.pk)
        if place.secret(first):
            place.tamper(first)
    services.refresh(person(make_user("ada", is_admin=True)), place.cluster)
    jobs.refresh_asked(Refresh.objects.filter(cause="person").get().pk)
    for more in ([], ["--json"]):
        try:
            call_command("refresh_pull_credentials", *more, stdout=out, stderr=out)
        except SystemExit:
            out.write("failed")
    return out.getvalue(), pushed


@pytest.mark.parametrize("quoting", [False, True], ids=["opens", "quotes"])
def test_a_token_is_nowhere(place, clock, monkeypatch, caplog, request, quoting) -> None:
    if quoting:
        request.getfixturevalue("talkative")
    caplog.set_level(logging.DEBUG)
    with structlog.testing.capture_logs() as logs:
        out, pushed = scene(place, clock, monkeypatch)
    sinks = {
        "database": everything_stored(), "output": out, "queue": "\n".join(pushed), "logs": caplog.text + str(logs),
    }  # fmt: skip
    assert len(place.world.issued) >= 2
    assert "pull_credential." in sinks["database"] or quoting
    for token in place.world.issued:
        for form in forms(token):
            assert [name for name, text in sinks.items() if form in text] == []


def test_what_a_cluster_quotes_of_a_secret_is_not_repeated() -> None:
    from engine.cluster.client import ApiError, Cause

    quoted = 'Secret "ecr-pull" is invalid: data[.dockerconfigjson]: Invalid value: "canary-value": bad'
    cause = Cause("data[.dockerconfigjson]", "FieldValueInvalid", 'Invalid value: "canary-value": bad')
    fault = of_cluster(ApiError(quoted, status=422, reason="Invalid", causes=(cause,)), "shop", "ecr-pull")
    assert "canary-value" not in f"{fault.sentence} {fault.hint}"
    assert "data[.dockerconfigjson]" in fault.sentence
