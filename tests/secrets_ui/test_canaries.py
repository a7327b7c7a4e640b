"""No value leaves by any door but the one that was asked for: database, log at DEBUG, audit, session, cache, pages, errors."""

from __future__ import annotations

import logging
import re
import sys
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from django.core.signals import got_request_exception
from django.db import connection
from django.test import Client
from django.views.debug import ExceptionReporter

from sandbox.layout import ROOT
from secrets_ui.pages import edit_views, review_views
from tests.secrets_ui.conftest import CANARY, World
from tests.secrets_ui.support import b64

pytestmark = pytest.mark.django_db
TYPED, LOOSE = "canary-of-the-form-5678", "canary-loose-91011-value"
PLANTED = (CANARY, TYPED, LOOSE)


def everywhere(text: str) -> list[str]:
    """Which planted values a text holds, plain or in base64."""
    return [value for value in PLANTED if value in text or b64(value)[:-2] in text]


def tables() -> Iterator[str]:
    """Every row of every table, as the database has it."""
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f'SELECT * FROM "{table}"')
            yield from (str(row) for row in cursor.fetchall())


@pytest.fixture
def loud(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.DEBUG)
    return caplog


def quiet_pages(tab: Client, world: World) -> list[Any]:
    """Everything but reveals: typing, failing, reviewing, clashing, saving, restoring."""
    first = world.version

    def post(name: str, **data: Any) -> Any:
        return tab.post(world.url(name), data)

    return [
        tab.get(world.page),
        tab.get(f"{world.page}?edit=app/TOKEN"),
        post("set", place="app/TOKEN", value=TYPED, do="set"),
        post("add", key="not a key", value=LOOSE, do="set"),
        post("add", key="", value=LOOSE, do="set"),
        post("set", place="app/TOKEN", value=f"{TYPED}\0", do="set"),
        post("set", place="app/TOKEN", value=f"{TYPED} no base64", encoding="base64", do="set"),
        tab.get(world.url("review")),
        post("review", comment="", save_id=str(uuid.uuid4())),
        post("review", comment=f"I put {TYPED} here", save_id=str(uuid.uuid4())),
        tab.get(world.page),
        tab.get(world.url("versions")),
        post("versions", version=first, over=world.version, comment="back", save_id=str(uuid.uuid4())),
        tab.get("/secrets/"),
    ]


def test_values_stay_where_they_belong(tab: Client, world: World, loud: pytest.LogCaptureFixture) -> None:
    with structlog.testing.capture_logs() as lines:
        answers = quiet_pages(tab, world)
    assert b64(CANARY) in world.text  # it was restored at the end
    for answer in answers:
        assert everywhere(answer.content.decode() + str(answer.headers) + str(answer.cookies)) == []
    ours = [record for record in loud.records if not record.name.startswith("django.db")]
    assert everywhere(str([record.getMessage() for record in ours]) + str(lines)) == []
    assert [found for row in tables() if (found := everywhere(row))] == []


@pytest.mark.parametrize("accept", ["text/html", "application/json"])
def test_an_error_of_ours_quotes_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch, loud: pytest.LogCaptureFixture, accept: str
) -> None:
    tab = Client(raise_request_exception=False)
    tab.force_login(world.maintainer)
    tab.post(world.url("read"))

    def broken(*given: Any, **more: Any) -> Any:
        raise RuntimeError(f"a mistake of ours with {given} {more} {TYPED}")

    monkeypatch.setattr(edit_views, "stage", broken)
    answer = tab.post(
        world.url("set"), {"place": "app/TOKEN", "value": TYPED, "do": "set"}, headers={"accept": accept}
    )
    assert answer.status_code == 500
    assert everywhere(answer.content.decode()) == []
    monkeypatch.undo()
    monkeypatch.setenv("AWS_ENDPOINT_URL", world.aws.meta.endpoint_url)
    tab.post(world.url("set"), {"place": "app/TOKEN", "value": TYPED, "do": "set"})
    monkeypatch.setattr(review_views, "save", broken)
    answer = tab.post(
        world.url("review"), {"comment": "x", "save_id": str(uuid.uuid4())}, headers={"accept": accept}
    )
    assert answer.status_code == 500
    assert everywhere(answer.content.decode()) == []


def test_a_form_after_the_session_has_ended_brings_nothing_back(world: World) -> None:
    for name in ("set", "add"):
        answer = Client().post(world.url(name), {"place": "app/TOKEN", "key": "K", "value": TYPED})
        assert answer.status_code == 401
        assert TYPED not in answer.content.decode()


def test_browsers_are_told_to_keep_nothing(tab: Client, world: World) -> None:
    """No cache, no copy of a page in htmx's history, no completion, and no spelling service that gets what is typed."""
    fields = 0
    for address in (world.page, f"{world.page}?edit=app/TOKEN", world.url("import"), world.url("review")):
        answer = tab.get(address, follow=True)
        text = answer.content.decode()
        assert "no-store" in answer["Cache-Control"], address
        assert '"historyCacheSize":0' in text
        for field in re.findall(r"<textarea[^>]*name=\"(?:value|text)\"[^>]*>", text):
            fields += 1
            assert 'autocomplete="off"' in field
            assert 'spellcheck="false"' in field
    assert fields >= 4


def test_django_s_own_report_hides_what_was_typed(
    world: World, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    """The report that Django would mail, with the variables of each frame. The page of that kind cannot be switched on."""
    assert settings.DEBUG is False
    assert "\nDEBUG = False\n" in (ROOT / "portal" / "settings.py").read_text()
    tab = Client(raise_request_exception=False)
    tab.force_login(world.maintainer)
    tab.post(world.url("read"))
    reports: list[str] = []

    def broken(*given: Any, **more: Any) -> Any:
        raise RuntimeError("a mistake of ours")

    def told(sender: Any, request: Any, **more: Any) -> None:
        reporter = ExceptionReporter(request, *sys.exc_info())
        reports.extend((reporter.get_traceback_html(), reporter.get_traceback_text()))

    monkeypatch.setattr(edit_views, "stage", broken)
    got_request_exception.connect(told)
    try:
        answer = tab.post(world.url("set"), {"place": "app/TOKEN", "value": TYPED, "do": "set"})
    finally:
        got_request_exception.disconnect(told)
    assert answer.status_code == 500
    assert "a mistake of ours" in "".join(reports)
    assert everywhere("".join(reports) + answer.content.decode()) == []
