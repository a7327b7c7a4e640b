"""Saves against the sandbox's AWS: nobody's change is lost, and every end of a save is known."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

import pytest
from botocore.client import BaseClient
from django.utils import timezone

from adapters.aws.secrets_writer import SecretsWriter
from adapters.errors import Denied, TimedOut
from audit.actors import person
from audit.models import AuditEvent
from core.errors import Refused, Stale
from people.models import User
from projects.models import Role
from secrets_ui.editing.drafts import Edit, draft_of
from secrets_ui.editing.restoring import restore
from secrets_ui.editing.revealing import reveal
from secrets_ui.editing.saving import resolve, review, save
from secrets_ui.editing.settling import settle, settle_due
from secrets_ui.editing.staging import mend, stage
from secrets_ui.editing.writing import CameFirst, NotKnown
from secrets_ui.files import model
from secrets_ui.known.looking import look_again
from secrets_ui.known.secrets import secret_of
from secrets_ui.models import Draft, SecretVersion
from tests import factories as make
from tests.secrets_ui.conftest import CANARY, STORED, World
from tests.secrets_ui.support import b64

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("secret_world")]
MINE, THEIRS = "canary-value-of-mine", "canary-value-of-theirs"
STATE = SecretVersion.State


def token() -> str:
    return str(uuid.uuid4())


@pytest.fixture
def other(world: World) -> User:
    user = make.make_user("tom")
    make.grant(user, Role.MAINTAINER, world.environment.project)
    return user


def typed(world: World, key: str, value: str, user: User | None = None, do: Any = "set") -> None:
    if secret_of(world.file) is None:
        look_again(world.file)
    stage(person(user or world.maintainer), world.file, Edit("app", key, do, value.encode()))


def stored(world: World, user: User | None = None, why: str = "because") -> SecretVersion:
    row = save(person(user or world.maintainer), world.file, token=token(), comment=why)
    assert row is not None
    return row


def events(verb: str) -> list[AuditEvent]:
    return list(AuditEvent.objects.filter(verb=verb))


def test_only_the_key_changes_and_the_audit_names_it(world: World) -> None:
    typed(world, "TOKEN", MINE)
    row = stored(world, why="rotated")
    assert world.text == STORED.replace(b64(CANARY), b64(MINE))
    assert (row.state, row.comment, row.actor_text) == (STATE.STORED, "rotated", world.maintainer.username)
    (event,) = events("secrets.saved")
    assert event.data["changed"] == ["app/TOKEN"]
    assert MINE not in str(event.data)
    assert not Draft.objects.exists()


def test_a_save_asks_aws_no_more_than_it_must_and_parses_no_text_twice(
    world: World, monkeypatch: pytest.MonkeyPatch, django_assert_max_num_queries: Any
) -> None:
    asked: list[str] = []
    parsed: list[str] = []
    send, parse = BaseClient._make_api_call, model.yaml_tree
    monkeypatch.setattr(
        BaseClient, "_make_api_call", lambda self, name, given: asked.append(name) or send(self, name, given)
    )
    monkeypatch.setattr(model, "yaml_tree", lambda text: parsed.append(text) or parse(text))
    typed(world, "TOKEN", MINE)
    before = world.text
    del asked[:]
    with django_assert_max_num_queries(30):
        stored(world)
    assert asked == [
        "DescribeSecret", "GetSecretValue", "PutSecretValue", "UpdateSecretVersionStage", "UpdateSecretVersionStage",
    ]  # fmt: skip
    assert parsed == [before, world.text]


def test_the_same_form_sent_twice_is_one_version(world: World) -> None:
    typed(world, "TOKEN", MINE)
    same = token()
    first = save(person(world.maintainer), world.file, token=same, comment="x")
    typed(world, "URL", MINE)
    again = save(person(world.maintainer), world.file, token=same, comment="x")
    assert first == again
    assert len(events("secrets.saved")) == 1


def test_what_is_stored_already_makes_no_version(world: World) -> None:
    typed(world, "TOKEN", CANARY)
    assert save(person(world.maintainer), world.file, token=token(), comment="x") is None
    assert not Draft.objects.exists()


def test_a_reason_is_needed_and_what_was_typed_is_kept(world: World) -> None:
    typed(world, "TOKEN", MINE)
    with pytest.raises(Refused, match="why"):
        save(person(world.maintainer), world.file, token=token(), comment=" ")
    assert Draft.objects.count() == 1


@pytest.mark.parametrize("who", ["viewer", "deployer"])
def test_who_may_not_edit_changes_nothing_and_is_audited(world: World, who: str) -> None:
    look_again(world.file)
    actor = person(getattr(world, who))
    for attempt in (
        lambda: stage(actor, world.file, Edit("app", "TOKEN", "set", b"x")),
        lambda: mend(actor, world.file, ("app", "TOKEN"), "crlf"),
        lambda: save(actor, world.file, token=token(), comment="x"),
        lambda: restore(actor, world.file, version_id="x", over="x", token=token(), comment="x"),
        lambda: reveal(actor, world.file, ("app", "TOKEN")),
    ):
        with pytest.raises(Refused) as caught:
            attempt()
        assert caught.value.code == "secret-right"
    assert len(events("secrets.refused")) == 5
    assert world.text == STORED


def test_different_keys_of_two_people_fit_together(world: World, other: User) -> None:
    typed(world, "TOKEN", MINE)
    typed(world, "URL", THEIRS, other)
    stored(world, other)
    merged = review(person(world.maintainer), world.file)
    assert merged.clashes == ()
    assert merged.theirs == {("app", "URL"): "changed"}
    stored(world)
    assert world.text == STORED.replace(b64(CANARY), b64(MINE)).replace(b64("change-me"), b64(THEIRS))


def test_the_same_key_of_two_people_is_for_a_person_to_decide(world: World, other: User) -> None:
    typed(world, "TOKEN", MINE)
    typed(world, "URL", MINE)
    typed(world, "TOKEN", THEIRS, other)
    theirs = stored(world, other)
    with pytest.raises(Refused) as caught:
        save(person(world.maintainer), world.file, token=token(), comment="x")
    assert "TOKEN" in caught.value.message
    assert not {MINE, THEIRS} & {caught.value.message, caught.value.hint}
    assert draft_of(world.maintainer, secret_of(world.file)).find(("app", "TOKEN")) is not None
    place = ("app", "TOKEN")
    with pytest.raises(Refused, match="undecided"):
        resolve(person(world.maintainer), world.file, current=theirs.version_id, mine={})
    resolve(person(world.maintainer), world.file, current=theirs.version_id, mine={place: False})
    stored(world)
    assert world.text == STORED.replace(b64(CANARY), b64(THEIRS)).replace(b64("change-me"), b64(MINE))


def test_a_decision_for_one_s_own_value_stands(world: World) -> None:
    typed(world, "TOKEN", MINE)
    world.by_hand(STORED.replace(b64(CANARY), b64(THEIRS)))
    merged = review(person(world.maintainer), world.file)
    assert merged.clashes == (("app", "TOKEN"),)
    resolve(person(world.maintainer), world.file, current=merged.current, mine={("app", "TOKEN"): True})
    stored(world)
    assert world.text == STORED.replace(b64(CANARY), b64(MINE))
    outside = SecretVersion.objects.get(version_id=merged.current)
    assert (outside.source, outside.touched) == ("outside", {"changed": ["app/TOKEN"]})


def test_both_removed_or_both_set_the_same_is_no_clash(world: World) -> None:
    typed(world, "TOKEN", MINE)
    typed(world, "OLD", "", do="remove")
    world.by_hand(STORED.replace(b64(CANARY), b64(MINE)).replace(f"  OLD: {b64('of-old-times')}\n", ""))
    merged = review(person(world.maintainer), world.file)
    assert merged.clashes == ()
    assert merged.changes_nothing


def test_whoever_comes_second_in_the_very_moment_overwrites_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    typed(world, "TOKEN", MINE)
    put = SecretsWriter.put

    def late(self: Any, *args: Any, **more: Any) -> str:
        world.by_hand(STORED.replace(b64("change-me"), b64(THEIRS)))
        return put(self, *args, **more)

    monkeypatch.setattr(SecretsWriter, "put", late)
    with pytest.raises(CameFirst):
        stored(world)
    monkeypatch.undo()
    assert b64(THEIRS) in world.text
    assert SecretVersion.objects.get(state=STATE.REFUSED).actor_text == world.maintainer.username
    assert len(events("secrets.not_saved")) == 1
    monkeypatch.setenv("AWS_ENDPOINT_URL", world.aws.meta.endpoint_url)
    stored(world)
    assert world.text == STORED.replace(b64(CANARY), b64(MINE)).replace(b64("change-me"), b64(THEIRS))


def test_aws_refuses_and_the_draft_stays(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    typed(world, "TOKEN", MINE)

    def refuse(*_: Any, **__: Any) -> str:
        raise Denied("Not allowed.", system="Secrets Manager", hint="Allow it.")

    monkeypatch.setattr(SecretsWriter, "put", refuse)
    with pytest.raises(Denied):
        stored(world)
    assert SecretVersion.objects.get(state=STATE.FAILED).error == "Not allowed. Allow it."
    assert Draft.objects.count() == 1


def lost_answer(monkeypatch: pytest.MonkeyPatch, *, before: bool) -> None:
    """AWS's answer gets lost: before or after it has done what was asked."""
    swap = SecretsWriter.swap

    def silent(self: Any, *args: Any, **more: Any) -> str:
        if not before:
            swap(self, *args, **more)
        raise TimedOut("AWS did not answer.", system="Secrets Manager")

    monkeypatch.setattr(SecretsWriter, "swap", silent)


@pytest.mark.parametrize(("before", "state"), [(False, STATE.STORED), (True, STATE.FAILED)])
def test_a_tick_finds_out_what_became_of_a_lost_answer(
    world: World, monkeypatch: pytest.MonkeyPatch, before: bool, state: str
) -> None:
    typed(world, "TOKEN", MINE)
    lost_answer(monkeypatch, before=before)
    with pytest.raises(NotKnown):
        stored(world)
    row = SecretVersion.objects.get(state=STATE.OPEN)
    assert Draft.objects.count() == 1
    pushed: list[Any] = []
    monkeypatch.setattr("secrets_ui.editing.settling.enqueue", lambda name, pk, **_: pushed.append(pk))
    settle_due()
    assert pushed == []  # it may still be going on
    SecretVersion.objects.filter(pk=row.pk).update(created_at=timezone.now() - timedelta(minutes=4))
    settle_due()
    assert pushed == [row.pk]
    assert settle(row.pk)
    assert not settle(row.pk)
    row.refresh_from_db()
    assert row.state == state
    assert len(events("secrets.saved" if state == STATE.STORED else "secrets.not_saved")) == 1


def test_a_version_that_never_became_current_is_not_told_as_saved(
    world: World, other: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next save takes the label from it: AWS still has the version, without any label."""
    typed(world, "TOKEN", MINE)
    with monkeypatch.context() as patched:
        patched.setattr(SecretsWriter, "move_current", unanswered)
        with pytest.raises(NotKnown):
            stored(world)
    row = SecretVersion.objects.get(state=STATE.OPEN)
    typed(world, "TOKEN", THEIRS, other)
    stored(world, other)
    assert settle(row.pk)
    row.refresh_from_db()
    assert row.state == STATE.FAILED
    assert b64(THEIRS) in world.text


def test_a_version_that_others_saved_over_twice_is_told_as_saved(
    world: World, other: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has no label any more, but the version that came after it was saved over it."""
    typed(world, "TOKEN", MINE)
    with monkeypatch.context() as patched:
        lost_answer(patched, before=False)
        with pytest.raises(NotKnown):
            stored(world)
    row = SecretVersion.objects.get(state=STATE.OPEN)
    for value in ("canary-value-second", "canary-value-third"):
        look_again(world.file)
        typed(world, "TOKEN", value, other)
        stored(world, other)
    assert settle(row.pk)
    row.refresh_from_db()
    assert row.state == STATE.STORED


def unanswered(self: Any, *args: Any, **more: Any) -> None:
    """A call that AWS neither does nor answers."""
    raise TimedOut("AWS did not answer.", system="Secrets Manager")


def test_a_save_that_stays_open_for_want_of_an_answer_is_asked_for_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    typed(world, "TOKEN", MINE)
    lost_answer(monkeypatch, before=True)
    with pytest.raises(NotKnown):
        stored(world)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    assert not settle(SecretVersion.objects.get(state=STATE.OPEN).pk)
    assert SecretVersion.objects.filter(state=STATE.OPEN).exists()


def test_a_text_that_is_too_long_is_refused_before_anything_is_written(world: World) -> None:
    typed(world, "TOKEN", "x" * 60_000)
    with pytest.raises(Exception, match="65,536"):
        stored(world)
    assert world.text == STORED
    assert not SecretVersion.objects.filter(state=STATE.OPEN).exists()


def test_restoring_is_a_new_version_with_the_old_content(world: World) -> None:
    first = look_again(world.file).current_version
    typed(world, "TOKEN", MINE)
    second = stored(world)
    actor = person(world.maintainer)
    with pytest.raises(Stale):
        restore(actor, world.file, version_id=first, over=first, token=token(), comment="back")
    row = restore(actor, world.file, version_id=first, over=second.version_id, token=token(), comment="back")
    assert row is not None
    assert (row.source, row.touched) == ("restore", {"changed": ["app/TOKEN"]})
    assert world.text == STORED
    assert world.version not in (first, second.version_id)
    assert (
        restore(actor, world.file, version_id=first, over=row.version_id, token=token(), comment="x") is None
    )


def test_two_files_of_one_secret_share_history_and_rights(world: World, other: User) -> None:
    elsewhere = make.make_environment(make.make_project(slug="elsewhere"))
    make.make_secrets_file(elsewhere, secret_id=world.file.secret_id)
    look_again(world.file)
    with pytest.raises(Refused, match="Another environment"):
        typed(world, "TOKEN", MINE)
    make.grant(world.maintainer, Role.MAINTAINER, elsewhere.project)
    typed(world, "TOKEN", MINE)
    stored(world)
    assert b64(MINE) in world.text


def test_mends_of_stored_values_go_through_the_draft(world: World) -> None:
    world.by_hand(STORED.replace(b64(CANARY), b64("with-an-end-of-line\n")))
    look_again(world.file)
    mend(person(world.maintainer), world.file, ("app", "TOKEN"), "trailing-newline")
    stored(world)
    assert b64("with-an-end-of-line") in world.text
    with pytest.raises(Refused, match="no such way"):
        mend(person(world.maintainer), world.file, ("app", "TOKEN"), "magic")
