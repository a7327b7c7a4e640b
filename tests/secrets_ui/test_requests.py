"""Changes that wait for another person: asking, deciding, two at once, stale ones, and what AWS holds meanwhile."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from adapters.aws.secrets_writer import SecretsWriter
from adapters.errors import Denied, TimedOut
from audit.actors import person
from audit.models import AuditEvent
from core.errors import Refused, Stale
from people.models import User
from projects.models import Environment, Role
from secrets_ui.editing.asking import demands_request, label_of
from secrets_ui.editing.drafts import Edit, draft_of
from secrets_ui.editing.restoring import restore
from secrets_ui.editing.saving import review, save
from secrets_ui.editing.settling import settle
from secrets_ui.editing.staging import stage
from secrets_ui.editing.writing import NotKnown
from secrets_ui.known.looking import look_again
from secrets_ui.known.secrets import secret_of
from secrets_ui.models import ChangeRequest, Draft, SecretVersion
from secrets_ui.requests import tending
from secrets_ui.requests.deciding import approve, is_stale, refuse, withdraw
from secrets_ui.requests.lists import waiting_of
from secrets_ui.requests.redoing import redo
from tests import factories as make
from tests.secrets_ui.conftest import CANARY, STORED, World
from tests.secrets_ui.support import b64

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("secret_world")]
MINE = "canary-asked-for-value-1"
STATE = ChangeRequest.State


@pytest.fixture
def asking(world: World) -> World:
    """The environment demands another person's approval."""
    world.environment.policies = {"secret_requests": True}
    world.environment.save(update_fields=["policies"])
    look_again(world.file)
    return world


@pytest.fixture
def other(world: World) -> User:
    user = make.make_user("olga")
    make.grant(user, Role.MAINTAINER, world.environment.project)
    return user


def asked(world: World, value: str = MINE, user: User | None = None, key: str = "TOKEN") -> ChangeRequest:
    who = person(user or world.maintainer)
    stage(who, world.file, Edit("app", key, "set", value.encode()))
    row = save(who, world.file, token=str(uuid.uuid4()), comment="rotate it")
    assert row is not None
    return fresh(ChangeRequest.objects.get(version=row))


def fresh(request: ChangeRequest) -> ChangeRequest:
    return ChangeRequest.objects.select_related("version", "secret", "environment__project").get(
        pk=request.pk
    )


def labels(world: World, request: ChangeRequest) -> list[str]:
    facts = world.aws.describe_secret(SecretId=world.file.secret_id)
    return list(facts["VersionIdsToStages"].get(request.version.version_id, []))


def page(response: Any) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", response.content.decode()))


def client_of(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def address(world: World, request: ChangeRequest) -> str:
    return world.url(f"requests/{request.pk}")


# Asking


def test_a_save_waits_in_aws_and_what_is_current_stays(asking: World) -> None:
    request = asked(asking)
    assert asking.text == STORED
    assert labels(asking, request) == [label_of(1)]
    assert (request.state, request.version.state, request.version.source) == ("waiting", "waiting", "request")
    assert not Draft.objects.exists()
    (event,) = AuditEvent.objects.filter(verb="secrets.asked")
    assert event.data["changed"] == ["app/TOKEN"]
    assert MINE not in str(event.data)


def test_another_environment_s_demand_counts_for_a_shared_secret(world: World) -> None:
    assert not demands_request(world.file)
    project = world.environment.project
    live = make.make_environment(project, slug="live", policies={"secret_requests": True})
    make.make_secrets_file(live, secret_id=world.file.secret_id)
    look_again(world.file)
    assert demands_request(world.file)


def test_the_same_form_sent_twice_asks_once(asking: World) -> None:
    who, token = person(asking.maintainer), str(uuid.uuid4())
    stage(who, asking.file, Edit("app", "TOKEN", "set", MINE.encode()))
    first = save(who, asking.file, token=token, comment="x")
    assert save(who, asking.file, token=token, comment="x") == first
    assert ChangeRequest.objects.count() == 1


def test_restoring_an_old_version_is_asked_for_too(asking: World) -> None:
    old = asking.version
    asking.by_hand(STORED.replace(b64(CANARY), b64(MINE)))
    look_again(asking.file)
    row = restore(person(asking.maintainer), asking.file, version_id=old, over=asking.version,
                  token=str(uuid.uuid4()), comment="back")  # fmt: skip
    assert row is not None
    assert row.state == SecretVersion.State.WAITING
    assert b64(MINE) in asking.text


def test_ten_wait_and_not_one_more(asking: World) -> None:
    found = [asked(asking, f"{MINE}-{at}") for at in range(10)]
    assert [request.slot for request in found] == list(range(1, 11))
    with pytest.raises(Refused) as caught:
        asked(asking, "one-too-many-value")
    assert caught.value.code == "busy"
    assert draft_of(asking.maintainer, secret_of(asking.file)).edits  # what was typed is kept
    withdraw(person(asking.maintainer), asking.file, found[3])
    assert asked(asking, "fits-again-value").slot == 4


def test_aws_refuses_and_nothing_waits(asking: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*given: Any, **more: Any) -> str:
        raise Denied("no", system="AWS")

    monkeypatch.setattr(SecretsWriter, "put", denied)
    with pytest.raises(Denied):
        asked(asking)
    assert not ChangeRequest.objects.exists()
    assert Draft.objects.exists()


@pytest.mark.parametrize("arrived", [True, False])
def test_an_answer_that_was_lost_is_found_out(
    asking: World, monkeypatch: pytest.MonkeyPatch, arrived: bool
) -> None:
    put = SecretsWriter.put

    def lost(self: SecretsWriter, *given: Any, **more: Any) -> str:
        if arrived:
            put(self, *given, **more)
        raise TimedOut("no answer", system="AWS")

    monkeypatch.setattr(SecretsWriter, "put", lost)
    with pytest.raises(NotKnown):
        asked(asking)
    row = SecretVersion.objects.get(state=SecretVersion.State.OPEN)
    assert settle(row.pk)
    row.refresh_from_db()
    assert row.state == ("waiting" if arrived else "failed")
    assert ChangeRequest.objects.exists() is arrived


# Deciding


def test_an_approval_makes_exactly_that_version_current(asking: World, other: User) -> None:
    request = asked(asking)
    approve(person(other), asking.file, request, note="checked")
    assert asking.version == request.version.version_id
    assert asking.text == STORED.replace(b64(CANARY), b64(MINE))
    assert label_of(1) not in labels(asking, request)
    request = fresh(request)
    assert (request.state, request.decided_by, request.version.state) == ("approved", "olga", "stored")
    assert request.secret.current_version == asking.version
    (event,) = AuditEvent.objects.filter(verb="secrets.approved")
    assert (event.data["asked_by"], event.data["why"]) == (asking.maintainer.username, "checked")
    assert approve(person(other), asking.file, request).state == "approved"  # sent twice
    assert AuditEvent.objects.filter(verb="secrets.approved").count() == 1


def test_nobody_approves_or_refuses_their_own(asking: World) -> None:
    request = asked(asking)
    for decide in (approve, refuse):
        with pytest.raises(Refused) as caught:
            decide(person(asking.maintainer), asking.file, request, note="mine")
        assert caught.value.code == "secret-right"
    assert asking.text == STORED
    assert fresh(request).state == "waiting"


def test_the_right_to_approve_is_asked_for(asking: World) -> None:
    request = asked(asking)
    for user in (asking.viewer, asking.deployer):
        for decide in (approve, refuse):
            with pytest.raises(Refused):
                decide(person(user), asking.file, request, note="x")
    assert asking.text == STORED


def test_a_refusal_takes_the_label_off_and_says_why(asking: World, other: User) -> None:
    request = asked(asking)
    with pytest.raises(Refused) as caught:
        refuse(person(other), asking.file, request, note=" ")
    assert caught.value.code == "reason"
    refuse(person(other), asking.file, request, note="wrong host")
    assert labels(asking, request) == []
    assert asking.text == STORED
    text = page(client_of(asking.maintainer).get(address(asking, request)))
    assert "Refused by olga" in text
    assert "wrong host" in text
    with pytest.raises(Refused):
        approve(person(other), asking.file, fresh(request))
    assert asking.text == STORED


def test_only_who_asked_withdraws(asking: World, other: User) -> None:
    request = asked(asking)
    with pytest.raises(Refused):
        withdraw(person(other), asking.file, request)
    withdraw(person(asking.maintainer), asking.file, request)
    assert (fresh(request).state, labels(asking, request)) == ("withdrawn", [])
    withdraw(person(asking.maintainer), asking.file, fresh(request))
    assert AuditEvent.objects.filter(verb="secrets.withdrawn").count() == 1


def meanwhile(monkeypatch: pytest.MonkeyPatch, do: Callable[[], Any]) -> None:
    """Something happens in the very moment in which AWSCURRENT is moved."""
    move = SecretsWriter.move_current

    def moved(self: SecretsWriter, *given: Any, **more: Any) -> None:
        monkeypatch.setattr(SecretsWriter, "move_current", move)
        do()
        move(self, *given, **more)

    monkeypatch.setattr(SecretsWriter, "move_current", moved)


def test_two_approvers_at_once_are_one_approval(
    asking: World, other: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    request, third = asked(asking), make.make_user("tom")
    make.grant(third, Role.MAINTAINER, asking.environment.project)
    said: list[str] = []

    def second() -> None:
        for decide in (approve, refuse):
            with pytest.raises(Refused) as caught:
                decide(person(third), asking.file, fresh(request), note="no")
            said.append(caught.value.message)
        with pytest.raises(Refused):
            withdraw(person(asking.maintainer), asking.file, fresh(request))

    meanwhile(monkeypatch, second)
    approve(person(other), asking.file, request)
    assert said == ["olga is approving this at the moment."] * 2
    assert (fresh(request).state, fresh(request).decided_by) == ("approved", "olga")
    assert asking.version == request.version.version_id
    with pytest.raises(Refused, match="approved by olga already"):
        approve(person(third), asking.file, fresh(request))


def test_a_save_in_the_same_moment_makes_it_stale(
    asking: World, other: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = asked(asking)
    theirs = STORED.replace("change-me", "x")
    meanwhile(monkeypatch, lambda: asking.by_hand(f"{theirs}# theirs\n"))
    with pytest.raises(Stale):
        approve(person(other), asking.file, request)
    assert asking.text.endswith("# theirs\n")
    assert (fresh(request).state, labels(asking, request)) == ("stale", [])


def test_a_request_whose_base_is_gone_is_stale_and_says_so(asking: World, other: User) -> None:
    first, second = asked(asking), asked(asking, "another-value-2", key="OLD")
    approve(person(other), asking.file, first)
    assert is_stale(fresh(second))
    text = page(client_of(other).get(address(asking, second)))
    assert "This request is stale" in text
    assert "Approve the change" not in text
    with pytest.raises(Stale):
        approve(person(other), asking.file, fresh(second))
    assert asking.version == first.version.version_id
    assert (fresh(second).state, labels(asking, second)) == ("stale", [])


def test_a_denied_move_lets_it_wait_again(
    asking: World, other: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = asked(asking)

    def denied(*given: Any, **more: Any) -> None:
        raise Denied("no", system="AWS")

    monkeypatch.setattr(SecretsWriter, "move_current", denied)
    with pytest.raises(Denied):
        approve(person(other), asking.file, request)
    monkeypatch.undo()
    monkeypatch.setenv("AWS_ENDPOINT_URL", asking.aws.meta.endpoint_url)
    assert fresh(request).decided_at is None
    approve(person(other), asking.file, fresh(request))
    assert asking.version == request.version.version_id


# Tending


@pytest.mark.parametrize("arrived", [True, False])
def test_an_approval_whose_answer_was_lost_is_found_out(
    asking: World, other: User, monkeypatch: pytest.MonkeyPatch, arrived: bool
) -> None:
    request, move = asked(asking), SecretsWriter.move_current

    def lost(self: SecretsWriter, *given: Any, **more: Any) -> None:
        if arrived:
            move(self, *given, **more)
        raise TimedOut("no answer", system="AWS")

    monkeypatch.setattr(SecretsWriter, "move_current", lost)
    with pytest.raises(NotKnown):
        approve(person(other), asking.file, request)
    monkeypatch.setattr(SecretsWriter, "move_current", move)
    ChangeRequest.objects.update(decided_at=timezone.now() - timedelta(minutes=5))
    assert due(monkeypatch) == [request.pk]
    tending.tend(request.pk)
    after = fresh(request)
    if arrived:
        assert (after.state, after.decided_by, after.version.state) == ("approved", "olga", "stored")
    else:
        assert (after.state, after.decided_at) == ("waiting", None)


def due(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    found: list[int] = []
    monkeypatch.setattr(tending, "enqueue", lambda name, pk, **more: found.append(pk))
    tending.tend_due()
    return found


def test_the_tick_ends_stale_requests(asking: World, monkeypatch: pytest.MonkeyPatch) -> None:
    request = asked(asking)
    assert due(monkeypatch) == []
    asking.by_hand(STORED + "# theirs\n")
    look_again(asking.file)
    assert due(monkeypatch) == [request.pk]
    tending.tend(request.pk)
    assert (fresh(request).state, labels(asking, request)) == ("stale", [])


def test_a_version_made_current_in_aws_counts_as_approved_there(asking: World) -> None:
    request = asked(asking)
    asking.aws.update_secret_version_stage(
        SecretId=asking.file.secret_id, VersionStage="AWSCURRENT", MoveToVersionId=request.version.version_id,
        RemoveFromVersionId=request.version.base_version,
    )  # fmt: skip
    look_again(asking.file)
    tending.tend(request.pk)
    assert (fresh(request).state, fresh(request).decided_by) == ("approved", "system")


# Doing it again


def test_a_stale_request_is_done_again_over_what_is_current(asking: World, other: User) -> None:
    first, second = asked(asking), asked(asking, "another-value-2", key="OLD")
    approve(person(other), asking.file, first)
    me = person(asking.maintainer)
    with pytest.raises(Refused):
        redo(person(other), asking.file, fresh(second))
    redo(me, asking.file, fresh(second))
    merged = review(me, asking.file)
    assert not merged.clashes
    row = save(me, asking.file, token=str(uuid.uuid4()), comment="again")
    assert row is not None
    again = ChangeRequest.objects.get(version=row)
    approve(person(other), asking.file, fresh(again))
    assert b64(MINE) in asking.text
    assert b64("another-value-2") in asking.text


def test_the_same_key_clashes_when_it_is_done_again(asking: World, other: User) -> None:
    first, second = asked(asking), asked(asking, "another-value-2")
    approve(person(other), asking.file, first)
    redo(person(asking.maintainer), asking.file, fresh(second))
    assert review(person(asking.maintainer), asking.file).clashes == (("app", "TOKEN"),)


def test_other_typed_changes_are_not_overwritten_by_doing_again(asking: World) -> None:
    request, me = asked(asking), person(asking.maintainer)
    withdraw(me, asking.file, request)
    stage(me, asking.file, Edit("app", "URL", "set", b"typed-meanwhile"))
    with pytest.raises(Refused):
        redo(me, asking.file, fresh(request))
    (edit,) = draft_of(asking.maintainer, secret_of(asking.file)).edits
    assert edit.value == b"typed-meanwhile"


# Pages


def test_the_pages_ask_decide_and_count(asking: World, other: User) -> None:
    tab, theirs = client_of(asking.maintainer), client_of(other)
    tab.post(asking.url("read"))
    tab.post(asking.url("set"), {"place": "app/TOKEN", "value": MINE, "do": "set"})
    assert "Ask for approval" in page(tab.get(asking.url("review")))
    answer = tab.post(asking.url("review"), {"comment": "rotate", "save_id": str(uuid.uuid4())})
    assert answer["Location"] == asking.url("requests")
    request = ChangeRequest.objects.get()
    assert "1 change waits for approval" in page(theirs.get(asking.page))
    assert "1 change waits for approval" in page(theirs.get("/secrets/"))
    assert "Needs approval" in page(theirs.get(asking.url("requests")))
    own = page(tab.get(address(asking, request)))
    assert "Another person has to approve it" in own
    assert "Approve the change" not in own
    seen = theirs.get(address(asking, request))
    assert "Approve the change" in page(seen)
    for value in (MINE, CANARY, b64(MINE), b64(CANARY)):
        assert value not in seen.content.decode()
    assert theirs.post(address(asking, request), {"do": "refuse"}).status_code == 422
    assert theirs.post(address(asking, request), {"do": "approve"}).status_code == 302
    assert asking.version == request.version.version_id
    assert "wait" not in page(theirs.get(asking.page)).split("Keys")[0].replace("being", "")
    assert "Approved by olga" in page(tab.get(address(asking, request)))


def test_a_value_of_a_request_is_shown_by_right_and_audited(asking: World, other: User) -> None:
    request, theirs = asked(asking), client_of(other)
    url = f"{address(asking, request)}reveal/"
    answer = theirs.post(url, {"place": "app/TOKEN", "side": "after"})
    assert MINE in answer.content.decode()
    assert "no-store" in answer["Cache-Control"]
    assert CANARY in theirs.post(url, {"place": "app/TOKEN", "side": "before"}).content.decode()
    events = AuditEvent.objects.filter(verb="secrets.revealed").order_by("pk")
    assert [event.data["version"] for event in events] == [
        request.version.version_id, request.version.base_version,
    ]  # fmt: skip
    assert client_of(asking.viewer).post(url, {"place": "app/TOKEN", "side": "after"}).status_code == 403
    Environment.objects.filter(pk=asking.environment.pk).update(is_production=True)
    answer = theirs.post(url, {"place": "app/TOKEN", "side": "after"})
    assert MINE not in answer.content.decode()
    answer = theirs.post(url, {"place": "app/TOKEN", "side": "after", "reason": "approval"})
    assert "/reauthenticate/" in answer["Location"]


def test_a_request_of_another_secret_is_not_found(asking: World, other: User) -> None:
    request = asked(asking)
    elsewhere = make.make_environment(asking.environment.project, slug="live", order=90)
    file = make.make_secrets_file(elsewhere, secret_id=f"slipway/{uuid.uuid4().hex}/live")
    url = f"/projects/{asking.environment.project.slug}/live/secrets/{file.pk}/requests/{request.pk}/"
    assert client_of(other).get(url).status_code == 404
    assert client_of(other).post(url, {"do": "approve"}).status_code == 404


def test_queries_do_not_grow_with_requests(asking: World, other: User) -> None:
    tab = client_of(other)
    tab.post(asking.url("read"))

    def measured(url: str) -> int:
        tab.get(url)
        with CaptureQueriesContext(connection) as queries:
            tab.get(url)
        return len(queries)

    asked(asking)
    before = [measured(url) for url in (asking.page, asking.url("requests"), "/secrets/")]
    for at in range(4):
        asked(asking, f"{MINE}-{at}")
    assert len(waiting_of(secret_of(asking.file))) == 5
    assert [measured(url) for url in (asking.page, asking.url("requests"), "/secrets/")] == before


def test_a_value_that_aws_does_not_give_is_asked_for_again_on_the_request(
    asking: World, other: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = asked(asking)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    side = {"place": "app/TOKEN", "side": "after"}
    response = client_of(other).post(f"{address(asking, request)}reveal/", side, follow=True)
    assert response.redirect_chain == [(f"{address(asking, request)}?reveal=app%2FTOKEN", 302)]
    assert "Nothing was shown." in page(response)
    assert "Show the new value" in page(response)
