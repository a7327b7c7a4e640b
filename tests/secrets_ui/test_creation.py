"""Making a secret where another person has to approve it: AWS holds nothing of it before."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from adapters.aws.secrets_writer import SecretsWriter
from adapters.errors import Denied, TimedOut
from audit.actors import person
from audit.models import AuditEvent
from core.errors import Refused, Stale
from notify.models import Outgoing
from people.models import User
from projects.models import Role
from secrets_ui.editing.creating import create
from secrets_ui.editing.writing import NotKnown
from secrets_ui.known.looking import look
from secrets_ui.models import CreationRequest, Secret, SecretVersion
from secrets_ui.requests import creation, tending
from secrets_ui.requests.creation import approve, ask, refuse, withdraw
from secrets_ui.requests.creation import make as make_secret
from tests import factories as make
from tests.deployments.outside import Outside
from tests.secrets_ui.conftest import REFERENCE, World
from tests.secrets_ui.test_requests import client_of, page

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("secret_world")]


@pytest.fixture
def new(world: World, settings: Any) -> World:
    """A secrets file whose secret AWS does not have, where another person has to approve changes."""
    settings.SLACK_BOT_TOKEN = "xoxb-test"
    world.environment.policies, world.environment.slack_channel = {"secret_requests": True}, "#shop"
    world.environment.save()
    world.file.secret_id = f"slipway/{uuid.uuid4().hex}/new"
    world.file.save()
    make.allotted(world.file)
    return world


@pytest.fixture
def other(world: World) -> User:
    user = make.make_user("olga")
    make.grant(user, Role.MAINTAINER, world.environment.project)
    return user


def in_aws(world: World) -> bool:
    try:
        world.aws.describe_secret(SecretId=world.file.secret_id)
    except world.aws.exceptions.ResourceNotFoundException:
        return False
    return True


def asked(world: World) -> CreationRequest:
    found = make_secret(person(world.maintainer), world.file, comment="the first one")
    assert found is not None
    return found


def fresh(request: CreationRequest) -> CreationRequest:
    return CreationRequest.objects.select_related("environment__project").get(pk=request.pk)


def test_it_waits_and_aws_has_nothing_of_it(new: World) -> None:
    request = asked(new)
    assert request.state == "waiting"
    assert not in_aws(new)
    assert not Secret.objects.filter(name=new.file.secret_id).exists()
    assert asked(new).pk == request.pk  # sent twice
    assert AuditEvent.objects.filter(verb="secrets.asked").count() == 1
    with pytest.raises(Refused):
        create(person(new.maintainer), new.file, comment="all the same")
    assert not in_aws(new)


def test_where_nobody_has_to_approve_it_is_made_at_once(new: World) -> None:
    new.environment.policies = {}
    new.environment.save()
    assert make_secret(person(new.maintainer), new.file, comment="first") is None
    assert new.text == REFERENCE.decode()
    assert not CreationRequest.objects.exists()


def test_an_approval_makes_it_as_it_was_asked_for(new: World, other: User, git: Outside) -> None:
    request = asked(new)
    approve(person(other), new.file, request, note="fine")
    assert new.text == REFERENCE.decode()
    row = SecretVersion.objects.get(version_id=new.version)
    assert (row.state, row.source, row.actor_text) == ("stored", "create", new.maintainer.username)
    assert row.secret.current_version == new.version
    request = fresh(request)
    assert (request.state, request.decided_by, request.decision) == ("approved", "olga", "fine")
    (event,) = AuditEvent.objects.filter(verb="secrets.approved")
    assert event.data["asked_by"] == new.maintainer.username
    assert event.data["version"] == new.version
    approve(person(other), new.file, fresh(request))
    assert AuditEvent.objects.filter(verb="secrets.approved").count() == 1
    assert [row.payload["state"] for row in Outgoing.objects.order_by("pk")] == ["waiting", "approved"]


@pytest.mark.parametrize("how", ["refuse", "withdraw"])
def test_a_refusal_leaves_nothing_behind(new: World, other: User, how: str) -> None:
    request = asked(new)
    if how == "refuse":
        refuse(person(other), new.file, request, note="not here")
    else:
        withdraw(person(new.maintainer), new.file, request)
    assert not in_aws(new)
    assert not Secret.objects.filter(name=new.file.secret_id).exists()
    with pytest.raises(Refused):
        approve(person(other), new.file, fresh(request))
    assert not in_aws(new)
    assert asked(new).pk != request.pk  # and can be asked for again


def test_who_may_decide(new: World, other: User) -> None:
    request = asked(new)
    for user in (new.maintainer, new.deployer, new.viewer):
        for decide in (approve, refuse):
            with pytest.raises(Refused) as caught:
                decide(person(user), new.file, request, note="x")
            assert caught.value.code == "secret-right"
    with pytest.raises(Refused):
        withdraw(person(other), new.file, request)
    with pytest.raises(Refused) as caught:
        refuse(person(other), new.file, request, note=" ")
    assert caught.value.code == "reason"
    with pytest.raises(Refused, match="Another person has asked"):
        ask(person(other), new.file, comment="me, too")
    assert (fresh(request).state, in_aws(new)) == ("waiting", False)


def test_another_environment_that_names_it_has_a_say(new: World, other: User) -> None:
    request = asked(new)
    elsewhere = make.make_environment(make.make_project(slug="elsewhere"), slug="live")
    make.make_secrets_file(elsewhere, secret_id=new.file.secret_id)
    with pytest.raises(Refused, match="Another environment"):
        approve(person(other), new.file, request)
    assert not in_aws(new)


def test_a_secret_that_came_meanwhile_makes_it_stale(new: World, other: User) -> None:
    request = asked(new)
    new.aws.create_secret(Name=new.file.secret_id, SecretString="{}")
    with pytest.raises(Stale):
        approve(person(other), new.file, request)
    assert (fresh(request).state, new.text) == ("stale", "{}")
    with pytest.raises(Refused, match="already"):
        ask(person(new.maintainer), new.file, comment="again")


def test_what_aws_refuses_lets_it_wait(new: World, other: User, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*given: Any, **more: Any) -> Any:
        raise Denied("no", system="AWS")

    request, before = asked(new), SecretsWriter.create
    monkeypatch.setattr(SecretsWriter, "create", denied)
    with pytest.raises(Denied):
        approve(person(other), new.file, request)
    assert (fresh(request).state, fresh(request).decided_at) == ("waiting", None)
    monkeypatch.setattr(SecretsWriter, "create", before)
    approve(person(other), new.file, fresh(request))
    assert in_aws(new)


@pytest.mark.parametrize("arrived", [True, False])
def test_a_lost_answer_is_found_out_and_nobody_refuses_meanwhile(
    new: World, other: User, monkeypatch: pytest.MonkeyPatch, arrived: bool
) -> None:
    before: Callable[..., Any] = SecretsWriter.create

    def lost(self: SecretsWriter, *given: Any, **more: Any) -> Any:
        if arrived:
            before(self, *given, **more)
        raise TimedOut("no answer", system="AWS")

    request = asked(new)
    monkeypatch.setattr(SecretsWriter, "create", lost)
    with pytest.raises(NotKnown):
        approve(person(other), new.file, request, note="go")
    third = make.make_user("tom")
    make.grant(third, Role.MAINTAINER, new.environment.project)
    with pytest.raises(Refused, match="olga is approving"):
        refuse(person(third), new.file, fresh(request), note="no")
    CreationRequest.objects.update(decided_at=timezone.now() - timedelta(minutes=5))
    assert due(monkeypatch) == [request.pk]
    creation.tend(request.pk)
    if arrived:
        assert (fresh(request).state, fresh(request).decided_by) == ("approved", "olga")
        assert SecretVersion.objects.get(version_id=new.version).source == "create"
    else:
        assert (fresh(request).state, fresh(request).decided_at, in_aws(new)) == ("waiting", None, False)


def due(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    found: list[int] = []
    with monkeypatch.context() as patch:
        patch.setattr(tending, "enqueue", lambda name, pk, **more: found.append(pk))
        tending.tend_creations_due()
    return found


def test_the_tick_ends_what_there_is_by_now_or_what_nobody_names(
    new: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = asked(new)
    assert due(monkeypatch) == []
    new.aws.create_secret(Name=new.file.secret_id, SecretString="{}")
    look([new.file])
    assert due(monkeypatch) == [request.pk]
    creation.tend(request.pk)
    assert fresh(request).state == "stale"


def test_a_file_that_names_another_secret_now_ends_it(new: World) -> None:
    request = asked(new)
    new.file.secret_id = f"slipway/{uuid.uuid4().hex}/other"
    new.file.save()
    assert creation.waiting_for(new.file) is None
    creation.tend(request.pk)
    assert fresh(request).state == "stale"


def test_the_pages_ask_and_decide(new: World, other: User) -> None:
    tab, theirs = client_of(new.maintainer), client_of(other)
    assert "Ask for approval" in page(tab.get(new.url("create")))
    answer = tab.post(new.url("create"), {"comment": "the first one"})
    request = CreationRequest.objects.get()
    url = new.url(f"create/{request.pk}")
    assert answer["Location"] == url
    assert tab.get(new.url("create"))["Location"] == url
    own = page(tab.get(url))
    assert "Another person has to approve it" in own
    assert "PASSWORD" in own
    assert "Making this secret waits for approval" in page(theirs.get(new.page))
    assert theirs.post(url, {"do": "refuse"}).status_code == 422
    assert theirs.post(url, {"do": "approve"}).status_code == 302
    assert new.text == REFERENCE.decode()
    assert "Approved by olga" in page(tab.get(url))


def test_names_are_for_those_who_may_see_them(new: World) -> None:
    request = asked(new)
    new.environment.secret_rights = {"names": "deployer"}
    new.environment.save()
    viewer = client_of(new.viewer)
    assert viewer.get(new.url(f"create/{request.pk}")).status_code == 403
    text = viewer.get(new.page).content.decode()
    assert "waits for approval" in text
    assert "PASSWORD" not in text
