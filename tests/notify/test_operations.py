"""Warnings to operations: one message for each trouble, one answer when it is over, none for what comes and goes."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.models.functions import Now
from django.utils import timezone

from adapters.errors import Unavailable
from notify import operations, outbox, pruning
from notify.models import Alarm, Outgoing
from notify.operations import Alert, compare, send_own, tell_due, warn, well
from tests.notify.conftest import FakeSlack

pytestmark = pytest.mark.django_db
LINK = "https://deploy.example/status/"


@pytest.fixture(autouse=True)
def channel(settings: Any) -> None:
    settings.OPERATIONS_CHANNEL = "#ops"


def later(seconds: float = 61) -> None:
    """That much time passes for all alarms."""
    shift = timedelta(seconds=seconds)
    for row in Alarm.objects.all():
        times = {
            name: getattr(row, name) - shift
            for name in ("began_at", "well_since")
            if getattr(row, name) is not None
        }
        Alarm.objects.filter(pk=row.pk).update(**times)


def told(slack: FakeSlack) -> list[tuple[Any, ...]]:
    tell_due()
    outbox.send_due()
    return slack.calls


def test_one_message_and_one_answer(slack: FakeSlack) -> None:
    warn("portal.redis", "failed", "Redis is gone since a moment ago.", LINK)
    for _ in range(3):
        warn("portal.redis", "failed", "Redis <is> gone.", LINK)
    later()
    (begun,) = told(slack)
    warn("portal.redis", "failed", "Redis is gone, for longer.", LINK)
    assert begun == ("post", "#ops", f":rotating_light: Redis &lt;is&gt; gone. <{LINK}|Look>", "")
    later()
    assert len(told(slack)) == 1
    well("portal.redis")
    assert len(told(slack)) == 1
    later()
    over = told(slack)[1]
    assert over == ("post", "C1", f":white_check_mark: *All well again.* <{LINK}|Look>", "ts1")
    well("portal.redis")
    later()
    assert len(told(slack)) == 2


def test_what_comes_and_goes_is_not_told(slack: FakeSlack) -> None:
    for _ in range(4):
        warn("portal.redis", "failed", "Gone.")
        later(30)
        assert told(slack) == []
        well("portal.redis")
    assert not Alarm.objects.exists()


def test_a_short_recovery_is_none(slack: FakeSlack) -> None:
    warn("portal.redis", "warning", "Slow.")
    later()
    assert told(slack)[0][2].startswith(":warning: Slow.")
    well("portal.redis")
    later(30)
    warn("portal.redis", "warning", "Slow.")
    later(40)
    assert len(told(slack)) == 1
    assert Alarm.objects.get().well_since is None


def come_and_go(key: str, text: str = "Ends.") -> None:
    warn(key, "failed", text)
    later()
    tell_due()
    well(key)
    later()
    tell_due()


def test_what_comes_again_and_again_is_two_messages(slack: FakeSlack) -> None:
    for _ in range(20):
        warn("registry.lon1", "failed", "Ends.")
        later()
        told(slack)
        well("registry.lon1")
        later()
        told(slack)
    first, over, again, *updates = slack.calls
    assert [call[:2] for call in (first, over, again)] == [("post", "#ops"), ("post", "C1"), ("post", "#ops")]
    assert (first[3], over[3], again[3]) == ("", "ts1", "")
    assert again[2].startswith(":rotating_light: Ends.\n2 times since <!date^")
    assert {call[:3] for call in updates} == {("update", "C1", "ts3")}
    assert updates[-1][3].startswith(
        ":white_check_mark: *All well again.* It was: Ends.\n20 times since <!date^"
    )


def test_however_often_it_comes_again_it_stays_one_message() -> None:
    """A bound of the count would begin a new message each time."""
    now = timezone.now()
    times = [now - timedelta(hours=hours) for hours in range(300, 0, -1)]
    first, *_ = Alarm.objects.bulk_create(
        Alarm(key="registry.lon1", level="failed", text="x", began_at=at, told_at=at, ended_at=at)
        for at in times
    )
    for _ in range(2):
        come_and_go("registry.lon1")
    assert set(Outgoing.objects.values_list("thread", flat=True)) == {f"alarm-{first.pk}-again"}
    assert Outgoing.objects.latest("pk").payload["times"] == 302


def test_another_trouble_and_one_long_after_are_messages_of_their_own(slack: FakeSlack) -> None:
    come_and_go("registry.lon1")
    come_and_go("registry.par1")
    rows = Alarm.objects.all()
    rows.update(ended_at=Now() - operations.AGAIN_WITHIN * 2, began_at=Now() - operations.AGAIN_WITHIN * 3)
    come_and_go("registry.lon1")
    outbox.send_due()
    assert [call[3] for call in slack.calls] == ["", "ts1", "", "ts3", "", "ts5"]


def test_what_waits_is_told_as_it_is_at_last(slack: FakeSlack) -> None:
    """Slack was away: of twenty states one is told."""
    for _ in range(20):
        come_and_go("registry.lon1")
    outbox.send_due()
    assert [call[0] for call in slack.calls] == ["post", "post", "post"]
    assert "20 times since" in slack.calls[2][2]
    assert Outgoing.objects.filter(state="skipped").count() == 37


def test_all_troubles_of_a_kind_at_once(slack: FakeSlack) -> None:
    warn("registry.lon1", "failed", "Somebody else's.")
    compare("portal.", {"portal.a": Alert("failed", "A."), "portal.b": Alert("failed", "B.")})
    later()
    compare("portal.", {"portal.b": Alert("failed", "B.")})
    assert sorted(call[2].split()[1] for call in told(slack)) == ["B.", "Somebody"]


@pytest.mark.parametrize(("channel", "token"), [("", "xoxb-test"), ("#ops", "")])
def test_without_channel_or_token_nothing_is_kept(settings: Any, channel: str, token: str) -> None:
    settings.OPERATIONS_CHANNEL, settings.SLACK_BOT_TOKEN = channel, token
    warn("portal.redis", "failed", "Gone.")
    compare("portal.", {"portal.a": Alert("failed", "A.")})
    tell_due()
    assert not Alarm.objects.exists()
    assert not Outgoing.objects.exists()


def test_it_is_sent_without_a_worker_and_by_one_process(slack: FakeSlack) -> None:
    warn("portal.redis", "failed", "Gone.")
    warn("registry.lon1", "failed", "Not of the portal itself.")
    later()
    tell_due()
    send_own("portal.")
    send_own("portal.")
    assert [call[2] for call in slack.calls] == [":rotating_light: Gone."]


def test_slack_that_fails_is_tried_again_later(slack: FakeSlack) -> None:
    slack.errors = [Unavailable("Slack is not reachable.", system="Slack")]
    warn("portal.redis", "failed", "Gone.")
    later()
    tell_due()
    send_own("portal.")
    assert slack.calls == []
    Outgoing.objects.update(next_try_at=Now())
    send_own("portal.")
    assert len(slack.calls) == 1


@pytest.mark.django_db(transaction=True)
def test_several_processes_at_once_tell_it_once(slack: FakeSlack) -> None:
    barrier, errors = threading.Barrier(4), []

    def process() -> None:
        try:
            barrier.wait(60)
            operations.warn("portal.redis", "failed", "Gone.")
            barrier.wait(60)
            if threading.current_thread().name == "first":
                later()
            barrier.wait(60)
            tell_due()
            send_own("portal.")
        except Exception as error:  # noqa: BLE001
            errors.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=process, name="first" if n == 0 else "other") for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert Alarm.objects.count() == 1
    assert len(slack.calls) == 1


def test_troubles_that_ended_long_ago_are_forgotten() -> None:
    """Except those of a kind that still comes again, whose message counts them."""

    def ended(key: str, days: int) -> Alarm:
        at = timezone.now() - timedelta(days=days)
        return Alarm.objects.create(key=key, level="failed", text="x", began_at=at, told_at=at, ended_at=at)

    kept = [ended("young", 29), ended("again", 60), ended("lasts", 60)]
    kept.append(Alarm.objects.create(key="lasts", level="failed", text="x", began_at=timezone.now()))
    kept.append(ended("again", 1))
    for key, days in (("old", 31), ("old", 60), ("again", 91)):
        ended(key, days)
    pruning.forget_old()
    assert list(Alarm.objects.all()) == kept
