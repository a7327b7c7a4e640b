"""Nobody waits long for an AWS that is silent or slow: pages show what is known, and a request asks no more than it may."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
from django.test import Client

from adapters.aws.waiting import waiting_at_most
from secrets_ui.jobs import look_at
from secrets_ui.known import looking
from secrets_ui.known.looking import WAIT_SECONDS
from secrets_ui.models import Secret, SecretVersion
from tests.secrets_ui.conftest import World
from tests.secrets_ui.wire import Wire

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def patient_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """As pages really wait."""
    monkeypatch.setattr(looking, "WAIT_SECONDS", WAIT_SECONDS)


def html(response: Any) -> str:
    return " ".join(response.content.decode().split())


@pytest.mark.parametrize("name", ["", "versions"])
def test_pages_answer_soon_while_aws_is_silent(tab: Client, world: World, wire: Wire, name: str) -> None:
    """With what was known last, and how old that is."""
    address = world.url(name) if name else world.page
    tab.get(address)  # the first time takes longer, and does not ask AWS
    Secret.objects.update(tried_at=None)
    rule = wire.hold("DescribeSecret")
    started = time.monotonic()
    text = html(tab.get(address))
    seconds = time.monotonic() - started
    rule.go.set()
    assert WAIT_SECONDS < seconds < WAIT_SECONDS + 3
    assert "gave no answer within 2 seconds" in text
    assert "was true" in text
    assert str(SecretVersion.objects.get().version_id)[:8] in text


def test_a_job_waits_longer_than_a_page(tab: Client, world: World, wire: Wire) -> None:
    """Where AWS answers slowly, pages show what jobs have seen."""
    Secret.objects.update(tried_at=None, described_at=None)
    rule = wire.hold("DescribeSecret")
    threading.Timer(WAIT_SECONDS + 0.5, rule.go.set).start()
    look_at(world.file.pk)
    secret = Secret.objects.get()
    assert secret.error == ""
    assert secret.described_at is not None


def test_the_next_page_does_not_wait_again(tab: Client, world: World, wire: Wire) -> None:
    Secret.objects.update(tried_at=None)
    rule = wire.hold("DescribeSecret")
    tab.get(world.url("versions"))
    rule.go.set()
    wire.calls.clear()
    assert "gave no answer within 2 seconds" in html(tab.get(world.url("versions")))
    assert wire.calls == []


def test_a_request_whose_time_is_used_up_asks_no_more_and_says_so(
    tab: Client, world: World, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    tab.post(world.url("set"), {"place": "app/TOKEN", "value": "new", "do": "set"})
    monkeypatch.setattr("portal.patience.waiting_at_most", lambda: waiting_at_most(0))
    wire.calls.clear()
    text = html(tab.get(world.url("review"), follow=True))
    assert "answers too slowly" in text
    assert wire.calls == []
