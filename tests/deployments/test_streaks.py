"""Twenty tries of what fails are two messages in Slack; a rollback that follows stands in the message of its deploy."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from deployments.gate.announcements import tell_ended, tell_started
from deployments.gate.streaks import WITHIN, Ended, streak
from deployments.models import Deploy
from notify import outbox
from notify.models import Outgoing
from projects.models import Environment
from tests.factories import make_deploy, make_environment
from tests.notify.conftest import FakeSlack

T = datetime(2026, 11, 28, 10, 4, tzinfo=UTC)
BAD, GOOD = "b" * 40, "a" * 40


def ended(*states: str, kind: str = "deploy", revision: str = BAD, follows: bool = False) -> list[Ended]:
    """Deploys that ended a minute apart, given as they ran; the newest first."""
    found = [
        Ended(n, kind, revision, follows, state, T + timedelta(minutes=n))
        for n, state in enumerate(states, 1)
    ]
    return found[::-1]


def count(rows: list[Ended], *, follows: bool = False, kind: str = "deploy", at: float = 30) -> int:
    found = streak(kind, BAD, follows, T + timedelta(minutes=at), rows)
    return found.count if found else 0


def test_failures_of_the_same_thing_are_counted() -> None:
    found = streak(
        "deploy", BAD, False, T + timedelta(minutes=9), ended("succeeded", "failed", "errored", "timed_out")
    )
    assert found is not None
    assert (found.count, found.first.number, found.last.number) == (3, 2, 4)


def test_what_ends_a_streak_and_what_does_not() -> None:
    assert count(ended("failed", "succeeded")) == 0
    assert count(ended("failed", "cancelled")) == 1
    assert count(ended("failed", revision=GOOD) + ended("failed")) == 1
    assert count(ended("succeeded", revision=GOOD) + ended("failed")) == 0
    assert count(ended("succeeded", revision=GOOD, kind="rollback", follows=True) + ended("failed")) == 1
    assert count(ended("failed"), kind="rollback") == 0
    assert count(ended("failed"), at=1 + WITHIN.total_seconds() / 60 + 1) == 0
    assert count(ended("failed", kind="rollback", follows=True), kind="rollback", follows=True) == 1


@pytest.fixture
def slack(monkeypatch: pytest.MonkeyPatch, settings: Any) -> FakeSlack:
    settings.SLACK_BOT_TOKEN = "xoxb-test"
    fake = FakeSlack()
    monkeypatch.setattr(outbox, "Slack", fake)
    return fake


@pytest.fixture
def environment(db: None) -> Environment:
    return make_environment(slack_channel="#shop")


def run(environment: Environment, state: str, *, send: bool = True, **fields: Any) -> Deploy:
    """A deploy from its start to its end, as the hooks tell it."""
    fields = {"revision": BAD, "result": "It crashed.", **fields}
    deploy = make_deploy(environment, state="running", started_at=timezone.now(), **fields)
    tell_started(deploy)
    if send:
        outbox.send_due()
    Deploy.objects.filter(pk=deploy.pk).update(state=state, ended_at=timezone.now())
    deploy.refresh_from_db()
    tell_ended(deploy)
    if send:
        outbox.send_due()
    return deploy


def tops(slack: FakeSlack) -> list[tuple[Any, ...]]:
    return [call for call in slack.calls if call[0] == "post" and not call[3]]


def test_twenty_failing_retries_are_two_messages(environment: Environment, slack: FakeSlack) -> None:
    for _ in range(21):
        run(environment, "failed")
    assert len(tops(slack)) == 2
    replies = [call for call in slack.calls if call[0] == "post" and call[3]]
    assert [call[3] for call in replies] == ["ts1"]
    assert Outgoing.objects.order_by("pk").last().payload["failures"] == 21
    run(environment, "succeeded")
    assert len(tops(slack)) == 2
    assert slack.calls[-2][0] == "update"
    assert slack.calls[-1][2].startswith("Well again after 21 failures since")
    run(environment, "failed")
    assert len(tops(slack)) == 3


def test_so_they_are_where_slack_was_away_and_calls_are_few(
    environment: Environment, slack: FakeSlack
) -> None:
    for _ in range(20):
        run(environment, "failed", send=False)
    outbox.send_due()
    assert len(tops(slack)) == 2
    assert len(slack.calls) == 3
    assert not Outgoing.objects.filter(state="waiting").exists()


def test_another_revision_is_another_message(environment: Environment, slack: FakeSlack) -> None:
    run(environment, "failed")
    run(environment, "failed", revision=GOOD)
    assert len(tops(slack)) == 2


def test_a_rollback_that_follows_stands_in_the_message_of_its_deploy(
    environment: Environment, slack: FakeSlack
) -> None:
    for _ in range(3):
        failed = run(environment, "failed")
        run(environment, "succeeded", kind="rollback", revision=GOOD, undoes=failed, result="It runs again.")
    assert len(tops(slack)) == 2
    payload = Outgoing.objects.order_by("pk").last().payload
    assert (payload["number"], payload["rollback_state"], payload["failures"]) == (
        failed.number,
        "succeeded",
        3,
    )


def test_a_rollback_that_fails_is_told_by_itself(environment: Environment, slack: FakeSlack) -> None:
    failed = run(environment, "failed")
    run(environment, "failed", kind="rollback", revision=GOOD, undoes=failed)
    assert len(tops(slack)) == 2
    assert "(roll back to aaaaaaa) failed" in tops(slack)[1][2]


def test_a_rollback_that_never_started_is_told_there_too(environment: Environment, slack: FakeSlack) -> None:
    failed = run(environment, "failed")
    rollback = make_deploy(
        environment, state="cancelled", kind="rollback", revision=GOOD, undoes=failed, started_at=None,
        ended_at=timezone.now(),
    )  # fmt: skip
    tell_ended(rollback)
    outbox.send_due()
    assert "did not succeed (cancelled)" in slack.calls[-1][2]
    assert len(tops(slack)) == 1


def test_logs_stay_on_the_page(environment: Environment, slack: FakeSlack) -> None:
    evidence = [{"ref": "Deployment shop/web", "sentence": "web exits with 1", "logs": ["password=hunter2"]}]
    run(environment, "failed", evidence=evidence)
    assert "• web exits with 1" in slack.calls[-1][2]
    assert not Outgoing.objects.filter(payload__icontains="hunter2").exists()
