"""Two portals, as processes of their own, write one secret at the same moment; and the network, or a process, ends in the
middle of a save. Nobody's change is lost, and the portal knows in the end what AWS holds."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from adapters.aws.secrets_writer import SAVING
from adapters.errors import ExternalError
from audit.actors import person
from audit.models import AuditEvent
from people.models import User
from projects.models import Role
from secrets_ui.editing import settling
from secrets_ui.editing.drafts import Edit, draft_of
from secrets_ui.editing.saving import resolve, review, save
from secrets_ui.editing.staging import stage
from secrets_ui.editing.writing import NotKnown
from secrets_ui.known.looking import look_again
from secrets_ui.known.secrets import secret_of
from secrets_ui.models import ChangeRequest, Secret, SecretVersion
from tests import factories as make
from tests.secrets_ui import portal_process
from tests.secrets_ui.conftest import CANARY, REFERENCE, STORED, World, made_world
from tests.secrets_ui.portal_process import Portal
from tests.secrets_ui.support import b64
from tests.secrets_ui.wire import PATIENCE, Wire

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("secret_world")]
MINE, THEIRS, OUTSIDE = "canary-value-of-mine", "canary-value-of-theirs", "canary-written-outside"
PUT, MOVE, CURRENT = "PutSecretValue", "UpdateSecretVersionStage", "AWSCURRENT"
STATE = SecretVersion.State


_started: list[Portal] = []


@pytest.fixture(scope="module", autouse=True)
def no_portal_is_left() -> Iterator[None]:
    yield
    while _started:
        _started.pop().close()


@pytest.fixture
def portals(world: World, wire: Wire) -> list[Portal]:
    """Two that run; one that a test has killed is replaced."""
    alive = [portal for portal in _started if portal.process.poll() is None]
    for gone in set(map(id, _started)) - set(map(id, alive)):
        next(portal for portal in _started if id(portal) == gone).close()
    _started[:] = alive + [portal_process.start(wire.url) for _ in range(2 - len(alive))]
    return list(_started)


@pytest.fixture
def world(transactional_db: None, aws: Any, git: Any, settings: Any) -> World:
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.dummy.DummyCache"}}
    found = made_world(aws)
    look_again(found.file)
    return found


@pytest.fixture
def other(world: World) -> User:
    user = make.make_user("tom")
    make.grant(user, Role.MAINTAINER, world.environment.project)
    return user


def token() -> str:
    return str(uuid.uuid4())


def typed(world: World, user: User, key: str, value: str) -> None:
    stage(person(user), world.file, Edit("app", key, "set", value.encode()))


def order(world: World, user: User, **more: Any) -> dict[str, Any]:
    return {"user": user.pk, "file": world.file.pk, "token": token(), **more}


def both(first: Any, second: Any) -> list[dict[str, Any]]:
    return [first.result(PATIENCE), second.result(PATIENCE)]


def one_came_first(answers: list[dict[str, Any]]) -> None:
    """One is done; the other was told so, in words that quote nothing."""
    (refused,) = [answer for answer in answers if "refused" in answer]
    assert refused["refused"] in ("CameFirst", "Stale"), refused
    assert not any(value in str(refused) for value in (CANARY, MINE, THEIRS, OUTSIDE))
    assert sum("done" in answer for answer in answers) == 1


def row_of(version: str) -> SecretVersion:
    return SecretVersion.objects.get(version_id=version)


def verbs() -> list[str]:
    return sorted(AuditEvent.objects.filter(verb__startswith="secrets.").values_list("verb", flat=True))


def labels(world: World) -> dict[str, list[str]]:
    facts = world.aws.describe_secret(SecretId=world.file.secret_id)
    return {version: found for version, found in facts["VersionIdsToStages"].items() if found}


def drafts_of(world: World, *users: User) -> list[int]:
    return [len(draft_of(user, secret_of(world.file)).edits) for user in users]


# Two portals at once


def test_two_saves_of_different_keys_both_land(
    world: World, other: User, wire: Wire, portals: list[Portal]
) -> None:
    typed(world, world.maintainer, "TOKEN", MINE)
    typed(world, other, "URL", THEIRS)
    wire.meet(PUT)
    people = [world.maintainer, other]
    asked = [portal.ask("save", **order(world, user)) for portal, user in zip(portals, people, strict=True)]
    answers = both(*asked)
    one_came_first(answers)
    wire.mend()
    late = people["refused" in answers[1]]
    assert drafts_of(world, late) == [1]
    again = portals[0].ask("save", **order(world, late)).result(PATIENCE)
    assert world.text == STORED.replace(b64(CANARY), b64(MINE)).replace(b64("change-me"), b64(THEIRS))
    assert world.version == again["done"]
    assert verbs() == ["secrets.not_saved", "secrets.saved", "secrets.saved"]
    assert SAVING not in str(labels(world))


def test_two_saves_of_the_same_key_are_one_conflict_and_both_values_are_there(
    world: World, other: User, wire: Wire, portals: list[Portal]
) -> None:
    people = [(world.maintainer, MINE), (other, THEIRS)]
    for user, value in people:
        typed(world, user, "TOKEN", value)
    wire.meet(PUT)
    answers = both(
        *(portal.ask("save", **order(world, user)) for portal, (user, _) in zip(portals, people, strict=True))
    )
    one_came_first(answers)
    wire.mend()
    (won, kept), (late, wanted) = people if "done" in answers[0] else reversed(people)
    assert world.text == STORED.replace(b64(CANARY), b64(kept))
    told = portals[0].ask("save", **order(world, late)).result(PATIENCE)
    assert "TOKEN" in told["message"]
    assert (drafts_of(world, won, late), world.text.count(b64(kept))) == ([0, 1], 1)
    current = review(person(late), world.file).current
    resolve(person(late), world.file, current=current, mine={("app", "TOKEN"): True})
    assert "done" in portals[1].ask("save", **order(world, late)).result(PATIENCE)
    assert world.text == STORED.replace(b64(CANARY), b64(wanted))


def test_a_save_against_a_restore(world: World, other: User, wire: Wire, portals: list[Portal]) -> None:
    first = world.version
    typed(world, other, "URL", OUTSIDE)
    second = save(person(other), world.file, token=token(), comment="x")
    assert second is not None
    between = world.text
    typed(world, world.maintainer, "TOKEN", MINE)
    wire.meet(PUT)
    answers = both(
        portals[0].ask("save", **order(world, world.maintainer)),
        portals[1].ask("restore", **order(world, other, version=first, over=second.version_id)),
    )
    one_came_first(answers)
    saved = between.replace(b64(CANARY), b64(MINE))
    assert world.text == (saved if "done" in answers[0] else STORED)
    assert drafts_of(world, world.maintainer) == [0 if "done" in answers[0] else 1]


def test_a_save_against_an_approval(world: World, other: User, wire: Wire, portals: list[Portal]) -> None:
    world.environment.policies = {"secret_requests": True}
    world.environment.save(update_fields=["policies"])
    typed(world, world.maintainer, "URL", THEIRS)
    save(person(world.maintainer), world.file, token=token(), comment="please")
    world.environment.policies = {}
    world.environment.save(update_fields=["policies"])
    request = ChangeRequest.objects.get()
    typed(world, world.maintainer, "TOKEN", MINE)
    wire.meet(MOVE, label=CURRENT)
    answers = both(
        portals[0].ask("save", **order(world, world.maintainer)),
        portals[1].ask("approve", user=other.pk, file=world.file.pk, request=request.pk),
    )
    one_came_first(answers)
    request.refresh_from_db()
    if "done" in answers[0]:
        assert request.state == ChangeRequest.State.STALE
        assert world.text == STORED.replace(b64(CANARY), b64(MINE))
    else:
        assert request.state == ChangeRequest.State.APPROVED
        assert world.text == STORED.replace(b64("change-me"), b64(THEIRS))
        assert drafts_of(world, world.maintainer) == [1]


def test_a_save_against_a_writer_who_does_not_ask(world: World, wire: Wire, portals: list[Portal]) -> None:
    typed(world, world.maintainer, "TOKEN", MINE)
    held = wire.hold(MOVE, label=CURRENT)
    asked = portals[0].ask("save", **order(world, world.maintainer))
    held.wait_until_one_is_here()
    theirs = STORED.replace(b64("change-me"), b64(OUTSIDE))
    world.by_hand(theirs)
    held.go.set()
    assert asked.result(PATIENCE)["refused"] == "CameFirst"
    assert world.text == theirs
    assert "done" in portals[1].ask("save", **order(world, world.maintainer)).result(PATIENCE)
    assert world.text == theirs.replace(b64(CANARY), b64(MINE))


def test_the_same_form_at_two_portals_is_one_version(world: World, wire: Wire, portals: list[Portal]) -> None:
    typed(world, world.maintainer, "TOKEN", MINE)
    told = order(world, world.maintainer)
    answers = both(*(portal.ask("save", **told) for portal in portals))
    assert {"done": told["token"]} in answers
    for answer in answers:  # who comes while the other is at it is told to look again
        assert answer == {"done": told["token"]} or answer["refused"] in ("NotKnown", "Refused"), answer
    assert world.version == told["token"]
    assert verbs() == ["secrets.saved"]
    assert len(labels(world)) == 2


def test_two_who_make_one_secret_make_it_once(
    world: World, other: User, wire: Wire, portals: list[Portal]
) -> None:
    file = make.make_secrets_file(
        world.environment, path="new.yaml", secret_id=f"slipway/{uuid.uuid4().hex}/new"
    )
    wire.meet("CreateSecret")
    given = {"file": file.pk, "reference": REFERENCE.decode()}
    answers = both(
        *(
            portal.ask("create", user=user.pk, **given)
            for portal, user in zip(portals, (world.maintainer, other), strict=True)
        )
    )
    assert answers[0] == answers[1]
    assert Secret.objects.filter(name=file.secret_id).count() == 1
    assert verbs() == ["secrets.created"]
    held = world.aws.get_secret_value(SecretId=file.secret_id, VersionStage=CURRENT)
    assert held["SecretString"].encode() == REFERENCE
    assert held["VersionId"] == answers[0]["done"]


# The end of a process, or of the network, in the middle


def settled(version: str, monkeypatch: pytest.MonkeyPatch) -> SecretVersion:
    """What the tick makes of it, four minutes later."""
    due: list[int] = []
    monkeypatch.setattr(settling, "enqueue", lambda name, pk, **_: due.append(pk))
    SecretVersion.objects.filter(version_id=version).update(created_at=timezone.now() - timedelta(minutes=4))
    settling.settle_due()
    assert due == [row_of(version).pk]
    assert settling.settle(due[0])
    return row_of(version)


@pytest.mark.parametrize(
    ("call", "phase", "state"),
    [
        (PUT, "before", STATE.FAILED),
        (PUT, "after", STATE.FAILED),
        (MOVE, "before", STATE.FAILED),
        (MOVE, "after", STATE.STORED),
    ],
)
def test_a_portal_that_is_killed_at_its_calls(
    world: World,
    wire: Wire,
    portals: list[Portal],
    monkeypatch: pytest.MonkeyPatch,
    call: str,
    phase: Any,
    state: str,
) -> None:
    typed(world, world.maintainer, "TOKEN", MINE)
    told = order(world, world.maintainer)
    rule = wire.hold(call, phase, CURRENT if call == MOVE else "")
    asked = portals[0].ask("save", **told)
    rule.wait_until_one_is_here()
    portals[0].kill()
    assert asked.result(PATIENCE) == {"died": True}
    rule.is_lost = True
    rule.go.set()
    assert row_of(told["token"]).state == STATE.OPEN
    assert settled(told["token"], monkeypatch).state == state
    assert SAVING not in str(labels(world)) or state == STATE.STORED
    if state == STATE.FAILED:
        assert (world.text, verbs()) == (STORED, ["secrets.not_saved"])
        assert drafts_of(world, world.maintainer) == [1]
    typed(world, world.maintainer, "TOKEN", MINE)
    again = portals[1].ask("save", **order(world, world.maintainer)).result(PATIENCE)
    assert (again["done"] is None) == (state == STATE.STORED)
    assert world.text == STORED.replace(b64(CANARY), b64(MINE))
    assert verbs().count("secrets.saved") == 1


@pytest.mark.parametrize("phase", ["before", "after"])
def test_the_network_ends_at_the_first_call(
    world: World, wire: Wire, monkeypatch: pytest.MonkeyPatch, phase: Any
) -> None:
    typed(world, world.maintainer, "TOKEN", MINE)
    wire.cut(PUT, phase)
    same = token()
    for _ in range(2):  # the form is sent twice
        with pytest.raises(NotKnown):
            save(person(world.maintainer), world.file, token=same, comment="x")
    wire.mend()
    assert settled(same, monkeypatch).state == STATE.FAILED
    assert world.text == STORED
    assert SAVING not in str(labels(world))
    save(person(world.maintainer), world.file, token=token(), comment="x")
    assert world.text == STORED.replace(b64(CANARY), b64(MINE))


def test_the_network_ends_between_the_calls(
    world: World, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    typed(world, world.maintainer, "TOKEN", MINE)
    for call in (MOVE, "DescribeSecret"):
        wire.cut(call, "before")
    wire.rules[-1].times, same = 0, token()

    def from_now_on(*_: Any) -> None:
        wire.rules[-1].times = 1_000

    monkeypatch.setattr("secrets_ui.editing.writing.opened_row", after(from_now_on))
    with pytest.raises(NotKnown):
        save(person(world.maintainer), world.file, token=same, comment="x")
    assert not settling.settle(row_of(same).pk)  # AWS is still away
    wire.mend()
    assert settled(same, monkeypatch).state == STATE.FAILED
    assert (world.text, drafts_of(world, world.maintainer)) == (STORED, [1])


def after(more: Any) -> Any:
    """`opened_row`, and then something else."""
    from secrets_ui.editing.writing import opened_row

    def both_of_them(*given: Any) -> Any:
        found = opened_row(*given)
        more()
        return found

    return both_of_them


@pytest.mark.parametrize("times", [1, 1_000])
def test_a_success_that_looked_like_an_error_is_a_success(world: World, wire: Wire, times: int) -> None:
    typed(world, world.maintainer, "TOKEN", MINE)
    wire.cut(PUT, "after", 1)
    wire.cut(MOVE, "after", times)
    row = save(person(world.maintainer), world.file, token=token(), comment="x")
    assert row is not None
    assert (row.state, world.version) == (STATE.STORED, row.version_id)
    assert world.text == STORED.replace(b64(CANARY), b64(MINE))
    assert verbs() == ["secrets.saved"]
    assert wire.calls.count(PUT) == 2


@pytest.mark.parametrize(
    ("call", "code", "words"),
    [
        (PUT, "EncryptionFailure", "kms:GenerateDataKey"),
        (PUT, "AccessDeniedException", "secretsmanager:PutSecretValue"),
        (PUT, "ThrottlingException", "Try again in a minute"),
        (PUT, "LimitExceededException", "about 100 versions"),
        (PUT, "InvalidRequestException", "scheduled for deletion"),
        (PUT, "ResourceNotFoundException", "Check its name and region"),
        (MOVE, "AccessDeniedException", "UpdateSecretVersionStage"),
        (MOVE, "LimitExceededException", "20 labels"),
    ],
)
def test_what_aws_refuses_is_told_in_words_that_quote_nothing(
    world: World, wire: Wire, call: str, code: str, words: str
) -> None:
    """AWS's own message quotes the whole request here."""
    typed(world, world.maintainer, "TOKEN", MINE)
    wire.refuse(call, code)
    same = token()
    with pytest.raises(ExternalError) as caught:
        save(person(world.maintainer), world.file, token=same, comment="x")
    row = row_of(same)
    for said in (f"{caught.value.message} {caught.value.hint}", row.error):
        assert words in said
        assert not any(form in said for value in (CANARY, MINE) for form in (value, b64(value)))
    assert row.state == STATE.FAILED
    assert (world.text, drafts_of(world, world.maintainer)) == (STORED, [1])
