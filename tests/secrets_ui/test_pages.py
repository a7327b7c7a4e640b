"""The pages of secrets: what they show to whom, how a value is edited, reviewed and saved."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.test import Client

from secrets_ui.models import Draft, SecretVersion
from tests.secrets_ui.conftest import CANARY, STORED, World
from tests.secrets_ui.support import b64

pytestmark = pytest.mark.django_db
TYPED = "canary-typed-by-hand-1"


def html(response: Any) -> str:
    return response.content.decode()


def saved(browser: Client, world: World, **more: str) -> Any:
    data = {"comment": "new token", "token": str(uuid.uuid4()), **more}
    return browser.post(world.url("review"), data)


def test_the_page_shows_states_and_no_value(browser: Client, world: World) -> None:
    text = html(browser.get(world.page))
    for word in ("Missing", "Placeholder", "Extra", "Set", "read by Deployment/web"):
        assert word in text
    assert CANARY not in text
    assert b64(CANARY) not in text


def test_a_version_that_is_not_known_is_read_by_a_job(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    pushed: list[Any] = []
    monkeypatch.setattr(
        "core.jobs.push", lambda name, ids, queue, job_id, **_: pushed.append((name, ids, queue))
    )
    client = Client()
    client.force_login(world.viewer)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("django.db.transaction.on_commit", lambda call: call())
        assert "being read" in html(client.get(world.page))
    assert pushed == [("secrets_ui.jobs.learn_version", (world.file.pk, world.version), "short")]


def test_a_value_is_typed_reviewed_and_saved(browser: Client, world: World) -> None:
    answer = browser.post(world.url("set"), {"place": "app/TOKEN", "value": TYPED, "do": "set"})
    assert answer.status_code == 302
    page = html(browser.get(world.page))
    assert "you change it" in page
    assert TYPED not in page
    review = html(browser.get(world.url("review")))
    assert "27 → 22" in review
    assert TYPED not in review
    assert saved(browser, world).status_code == 302
    assert world.text == STORED.replace(b64(CANARY), b64(TYPED))
    assert not Draft.objects.exists()
    assert SecretVersion.objects.get(version_id=world.version).touched == {"changed": ["app/TOKEN"]}
