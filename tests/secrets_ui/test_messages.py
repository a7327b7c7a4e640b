"""Slack's message about a change that waits: one for each request, updated by its end; no key, no value, no free text."""

from __future__ import annotations

import json
import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from adapters.errors import Unavailable
from adapters.slack import Posted
from audit.actors import person
from notify import outbox
from notify.models import Outgoing
from people.models import User
from projects.models import Environment, Role
from secrets_ui.editing.drafts import Edit
from secrets_ui.editing.saving import save
from secrets_ui.editing.staging import stage
from secrets_ui.known.looking import look_again
from secrets_ui.models import ChangeRequest, SecretVersion
from secrets_ui.requests import tending
from secrets_ui.requests.deciding import approve, refuse, withdraw
from tests import factories as make
from tests.secrets_ui.conftest import CANARY, STORED, World
from tests.secrets_ui.test_requests import MINE, asked, fresh

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("secret_world")]


class FakeSlack:
    """Remembers what was sent."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.fails: list[Exception] = []

    def __call__(self, token: str, base_url: str = "", *, seconds: float = 0) -> FakeSlack:
        return self

    def find(self, channel: str, mark: str, *, since: float, thread_ts: str = "") -> Posted | None:
        return None

    def post(
        self, channel: str, text: str, blocks: Any = (), thread_ts: str = "", *, mark: str = ""
    ) -> Posted:
        if self.fails:
            raise self.fails.pop(0)
        self.calls.append(("post", channel, text, json.dumps(blocks), thread_ts))
        return Posted("C1", f"ts{len(self.calls)}")

    def update(self, channel: str, ts: str, text: str, blocks: Any = ()) -> None:
        self.calls.append(("update", channel, text, json.dumps(blocks), ts))


@pytest.fixture
def slack(monkeypatch: pytest.MonkeyPatch, settings: Any) -> FakeSlack:
    settings.SLACK_BOT_TOKEN, settings.BASE_URL = "xoxb-test", "https://deploy.example"
    fake = FakeSlack()
    monkeypatch.setattr(outbox, "Slack", fake)
    return fake


@pytest.fixture
def asking(world: World, slack: FakeSlack) -> World:
    world.environment.policies, world.environment.slack_channel = {"secret_requests": True}, "#shop"
    world.environment.save()
    look_again(world.file)
    return world


@pytest.fixture
def other(world: World) -> User:
    user = make.make_user("olga")
    make.grant(user, Role.MAINTAINER, world.environment.project)
    return user


def sent() -> None:
    Outgoing.objects.update(next_try_at=timezone.now() - timedelta(seconds=1))
    outbox.send_due()


def test_a_request_is_told_once_with_a_link_and_a_number(asking: World, slack: FakeSlack) -> None:
    request = asked(asking)
    sent()
    sent()
    ((_, channel, text, blocks, thread),) = slack.calls
    assert (channel, thread) == ("#shop", "")
    assert text == "A change of 1 secret key in Shop staging waits for approval"
    address = asking.url(f"requests/{request.pk}")
    assert f"<https://deploy.example{address}|Look>" in blocks
    assert f"asked for by {asking.maintainer.username}" in blocks


def end(asking: World, other: User, request: ChangeRequest, how: str) -> None:
    if how == "approved":
        approve(person(other), asking.file, request, note="TOKEN looks right")
    elif how == "refused":
        refuse(person(other), asking.file, request, note="TOKEN looks wrong")
    elif how == "withdrawn":
        withdraw(person(asking.maintainer), asking.file, request, note="TOKEN was wrong")
    else:
        asking.by_hand(f"{STORED}# theirs\n")
        look_again(asking.file)
        tending.tend(request.pk)


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("approved", "was approved by olga"),
        ("refused", "was refused by olga"),
        ("withdrawn", "was withdrawn"),
        ("stale", "is stale: another version became current"),
    ],
)
def test_its_end_updates_the_message_and_answers_it(
    asking: World, other: User, slack: FakeSlack, how: str, said: str
) -> None:
    request = asked(asking)
    sent()
    end(asking, other, request, how)
    sent()
    assert [call[0] for call in slack.calls] == ["post", "update", "post"]
    _, update, reply = slack.calls
    assert update[2] == f"A change of 1 secret key in Shop staging {said}"
    assert (update[4], reply[4], reply[2]) == ("ts1", "ts1", f"It {said}.")
    told = str(slack.calls) + str(list(Outgoing.objects.values_list("payload", flat=True)))
    for word in (CANARY, MINE, "TOKEN", "rotate it"):
        assert word not in told


def test_deciding_twice_tells_once(asking: World, other: User, slack: FakeSlack) -> None:
    request = asked(asking)
    approve(person(other), asking.file, request)
    approve(person(other), asking.file, fresh(request))
    tending.tend(request.pk)
    assert list(Outgoing.objects.values_list("key", flat=True)) == [
        f"secret-request-{request.pk}-waiting",
        f"secret-request-{request.pk}-approved",
    ]


def test_a_slack_that_is_gone_gets_both_later_in_order(asking: World, other: User, slack: FakeSlack) -> None:
    slack.fails = [Unavailable("no answer", system="Slack")]
    request = asked(asking)
    sent()
    approve(person(other), asking.file, request)
    assert (fresh(request).state, slack.calls) == ("approved", [])
    sent()
    assert [call[0] for call in slack.calls] == ["post", "update", "post"]
    assert set(Outgoing.objects.values_list("state", flat=True)) == {"sent"}


def test_nothing_is_told_of_what_never_waited(asking: World, slack: FakeSlack) -> None:
    Environment.objects.update(policies={})
    asking.environment.refresh_from_db()
    asking.file.environment = asking.environment
    who = person(asking.maintainer)
    stage(who, asking.file, Edit("app", "TOKEN", "set", MINE.encode()))
    row = save(who, asking.file, token=str(uuid.uuid4()), comment="at once")
    assert row is not None
    assert row.state == SecretVersion.State.STORED
    assert not Outgoing.objects.exists()
