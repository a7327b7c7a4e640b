"""Requests under attack: roles that change between page and form, people at once, a secret on its way to be deleted."""

from __future__ import annotations

import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connections
from django.test import Client

from audit.actors import person
from audit.models import AuditEvent
from core.errors import Refused
from core.redactor import redacting
from notify.models import Outgoing
from people.models import User
from projects.models import Environment, Membership, Role
from secrets_ui.editing.asking import SLOTS
from secrets_ui.known.looking import look, look_again
from secrets_ui.models import ChangeRequest, CreationRequest, Secret
from secrets_ui.requests import creation, tending
from secrets_ui.requests.deciding import approve, refuse, withdraw
from tests import factories as make
from tests.deployments.outside import Outside
from tests.secrets_ui.conftest import CANARY, STORED, World, made_world
from tests.secrets_ui.test_requests import MINE, address, asked, client_of, fresh, labels

DECISIONS = ("approve", "refuse", "withdraw")


def maintainer(world: World, name: str) -> User:
    user = make.make_user(f"{name}-{uuid.uuid4().hex[:5]}")
    make.grant(user, Role.MAINTAINER, world.environment.project)
    return user


@pytest.fixture
def asking(world: World, secret_world: None) -> World:
    world.environment.policies = {"secret_requests": True}
    world.environment.save(update_fields=["policies"])
    look_again(world.file)
    return world


def nothing_happened(world: World, request: ChangeRequest) -> bool:
    return world.text == STORED and fresh(request).state == "waiting" and fresh(request).decided_at is None


@pytest.mark.django_db
@pytest.mark.parametrize("now", ["nothing", "viewer", "deployer", "elsewhere", "not active"])
def test_a_role_that_was_taken_away_between_page_and_form_decides_nothing(asking: World, now: str) -> None:
    request, olga = asked(asking), maintainer(asking, "olga")
    tab = client_of(olga)
    assert "Approve the change" in tab.get(address(asking, request)).content.decode()
    Membership.objects.filter(user=olga).delete()
    if now == "elsewhere":
        place = make.make_environment(asking.environment.project, slug="live", order=70)
        make.grant(olga, Role.MAINTAINER, asking.environment.project, environment=place)
    elif now == "not active":
        User.objects.filter(pk=olga.pk).update(is_active=False)
    elif now != "nothing":
        make.grant(olga, Role(now), asking.environment.project)
    statuses = {tab.post(address(asking, request), {"do": do, "note": "now"}).status_code for do in DECISIONS}
    assert statuses <= {401, 403, 404, 422}
    assert nothing_happened(asking, request)


@pytest.mark.django_db
def test_nobody_but_an_approver_decides_by_any_address(asking: World) -> None:
    request = asked(asking)
    auditor, stranger = make.make_user("otto", is_auditor=True), make.make_user("sue")
    for user in (None, stranger, auditor, asking.viewer, asking.deployer):
        tab = client_of(user) if user is not None else Client()
        for do in DECISIONS:
            answer = tab.post(address(asking, request), {"do": do, "note": "please"})
            assert answer.status_code in (401, 403, 404, 422), (user, do)
            assert 'class="button primary" form="decide"' not in answer.content.decode()
        for more in ("redo/", "reveal/"):
            answer = tab.post(f"{address(asking, request)}{more}", {"place": "app/TOKEN", "side": "after"})
            assert answer.status_code in (401, 403, 404)
            assert MINE not in answer.content.decode()
    own = client_of(asking.maintainer)
    for do in ("approve", "refuse"):
        assert own.post(address(asking, request), {"do": do, "note": "mine"}).status_code in (403, 422)
    assert nothing_happened(asking, request)


@pytest.mark.django_db
def test_an_admin_who_asked_does_not_approve_it_either(asking: World) -> None:
    ada = make.make_user("ada", is_admin=True)
    request = asked(asking, user=ada)
    with pytest.raises(Refused) as caught:
        approve(person(ada), asking.file, request)
    assert caught.value.code == "secret-right"
    assert nothing_happened(asking, request)


@pytest.mark.django_db
def test_the_eleventh_request_finds_a_label_when_one_is_decided(asking: World) -> None:
    olga = person(maintainer(asking, "olga"))
    found = [asked(asking, f"value-{at}-of-many") for at in SLOTS]
    tab = client_of(asking.maintainer)
    tab.post(asking.url("set"), {"place": "app/TOKEN", "value": "eleventh-value", "do": "set"})
    form = {"comment": "one more", "save_id": str(uuid.uuid4())}
    answer = tab.post(asking.url("review"), form)
    assert "Ten changes of this secret wait" in answer.content.decode()
    assert ChangeRequest.objects.count() == 10
    refuse(olga, asking.file, found[4], note="no")
    assert tab.post(asking.url("review"), form).status_code == 302
    newest = ChangeRequest.objects.latest("pk")
    assert newest.slot == found[4].slot
    approve(olga, asking.file, fresh(newest))
    assert asking.version == fresh(newest).version.version_id


# A secret that is deleted while a request for it waits


@pytest.fixture
def doomed(asking: World) -> ChangeRequest:
    request = asked(asking)
    asking.aws.delete_secret(SecretId=asking.file.secret_id, RecoveryWindowInDays=7)
    look([asking.file])
    return request


@pytest.mark.django_db
def test_a_secret_that_is_scheduled_for_deletion(asking: World, doomed: ChangeRequest) -> None:
    olga = person(maintainer(asking, "olga"))
    tab = client_of(asking.maintainer)
    assert tab.get(address(asking, doomed)).status_code == 200
    refuse(olga, asking.file, doomed, note=f"it is gone, and was {CANARY}")
    row = fresh(doomed)
    assert (row.state, CANARY in row.decision) == ("refused", False)
    assert row.decision


@pytest.mark.django_db
def test_its_own_person_withdraws_it_and_another_one_does_not_make_it_current(
    asking: World, doomed: ChangeRequest
) -> None:
    olga = person(maintainer(asking, "olga"))
    with pytest.raises(Refused, match="scheduled for deletion"):
        approve(olga, asking.file, fresh(doomed))
    assert (fresh(doomed).state, fresh(doomed).decided_at) == ("waiting", None)
    withdraw(person(asking.maintainer), asking.file, fresh(doomed))
    assert fresh(doomed).state == "withdrawn"


@pytest.mark.django_db
def test_a_secret_that_is_gone_ends_its_requests(asking: World, monkeypatch: pytest.MonkeyPatch) -> None:
    request = asked(asking)
    asking.aws.delete_secret(SecretId=asking.file.secret_id, ForceDeleteWithoutRecovery=True)
    Secret.objects.update(tried_at=None)
    look([asking.file])
    found: list[int] = []
    monkeypatch.setattr(tending, "enqueue", lambda name, pk, **more: found.append(pk))
    tending.tend_due()
    assert found == [request.pk]
    tending.tend(request.pk)
    assert (fresh(request).state, fresh(request).decision) == ("stale", "The secret is deleted in AWS.")
    text = client_of(asking.maintainer).get(address(asking, request)).content.decode()
    assert "The secret is deleted in AWS." in text


# Really at once


def at_once(*do: Any) -> list[str]:
    """Each in a thread of its own; the names of the errors, empty for who succeeded."""
    barrier = threading.Barrier(len(do))

    def run(one: Any) -> str:
        barrier.wait()
        try:
            with redacting():
                one()
        except Refused as error:
            return error.code
        finally:
            connections.close_all()
        return ""

    with ThreadPoolExecutor(len(do)) as pool:
        return list(pool.map(run, do))


@pytest.fixture
def together(transactional_db: None, aws: Any, git: Outside, settings: Any) -> World:
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.dummy.DummyCache"}}
    settings.SLACK_BOT_TOKEN = "xoxb-test"
    world = made_world(aws)
    Environment.objects.update(policies={"secret_requests": True}, slack_channel="#shop")
    world.file.refresh_from_db()
    with redacting():
        look_again(world.file)
    return world


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("against", ["approve", "refuse", "withdraw"])
def test_two_people_at_once_are_one_decision(together: World, against: str) -> None:
    with redacting():
        request = asked(together)
    olga, tom = (person(maintainer(together, name)) for name in ("olga", "tom"))
    other = {
        "approve": lambda: approve(tom, together.file, fresh(request)),
        "refuse": lambda: refuse(tom, together.file, fresh(request), note="no"),
        "withdraw": lambda: withdraw(person(together.maintainer), together.file, fresh(request)),
    }[against]
    outcome = at_once(lambda: approve(olga, together.file, fresh(request)), other)
    assert sorted(outcome, key=bool)[0] == ""
    assert outcome.count("") == 1
    ends = ("secrets.approved", "secrets.not_approved", "secrets.withdrawn", "secrets.lapsed")
    (event,) = AuditEvent.objects.filter(verb__in=ends)
    is_approved = event.verb == "secrets.approved"
    assert (together.version == request.version.version_id) is is_approved
    assert labels(together, request) == (["AWSCURRENT"] if is_approved else [])
    assert Outgoing.objects.count() == 2  # that it waits, and how it ended


@pytest.mark.django_db(transaction=True)
def test_two_approvals_of_two_requests_at_once_undo_nothing(together: World) -> None:
    with redacting():
        first, second = asked(together), asked(together, "another-value-2", key="OLD")
    olga, tom = (person(maintainer(together, name)) for name in ("olga", "tom"))
    at_once(
        lambda: approve(olga, together.file, fresh(first)), lambda: approve(tom, together.file, fresh(second))
    )
    states = sorted([fresh(first).state, fresh(second).state])
    assert states in (["approved", "stale"], ["approved", "waiting"])
    winner = first if fresh(first).state == "approved" else second
    assert together.version == winner.version.version_id


@pytest.mark.django_db(transaction=True)
def test_two_who_ask_to_make_a_secret_at_once_are_one_request(together: World) -> None:
    together.file.secret_id = f"slipway/{uuid.uuid4().hex}/new"
    together.file.save()
    make.allotted(together.file)
    olga, tom = (person(maintainer(together, name)) for name in ("olga", "tom"))
    outcome = at_once(
        lambda: creation.ask(olga, together.file, comment="a"),
        lambda: creation.ask(tom, together.file, comment="b"),
    )
    assert sorted(outcome) == ["", "busy"]
    request = CreationRequest.objects.get()
    ann, ben = (person(maintainer(together, name)) for name in ("ann", "ben"))

    def again() -> CreationRequest:
        return CreationRequest.objects.select_related("environment__project").get(pk=request.pk)

    outcome = at_once(
        lambda: creation.approve(ann, together.file, again()),
        lambda: creation.approve(ben, together.file, again()),
    )
    assert outcome.count("") == 1
    assert AuditEvent.objects.filter(verb="secrets.approved").count() == 1
