"""What is typed waits encrypted, for its person alone, and not for long."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import connection
from django.utils import timezone

from audit.actors import person
from core.errors import Refused
from core.redactor import redact_text
from projects.models import Role
from secrets_ui.editing.drafts import KEPT, Edit, draft_of, erase_ended
from secrets_ui.editing.staging import discard_draft, stage, undo
from secrets_ui.known.looking import look_again
from secrets_ui.known.reading import learn
from secrets_ui.known.secrets import secret_of
from secrets_ui.models import Draft, Secret
from tests import factories as make
from tests.secrets_ui.conftest import World
from tests.secrets_ui.support import b64

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("secret_world")]
TYPED = "canary-in-a-draft-1234"


@pytest.fixture
def secret(world: World) -> Secret:
    learn(world.file, look_again(world.file).current_version)
    found = secret_of(world.file)
    assert found is not None
    return found


@pytest.fixture
def put(world: World, secret: Secret) -> Callable[..., Any]:
    def stage_one(key: str, do: Any = "set", value: str | None = None, to: str = "") -> Any:
        given = None if value is None else value.encode()
        return stage(person(world.maintainer), world.file, Edit("app", key, do, given, to))

    return stage_one


def test_the_database_sees_it_encrypted_only(put: Callable[..., Any], secret: Secret, world: World) -> None:
    put("TOKEN", value=TYPED)
    with connection.cursor() as cursor:
        cursor.execute("SELECT edits FROM secrets_ui_draft")
        (raw,) = cursor.fetchone()
    assert "TOKEN" not in raw
    assert TYPED not in raw
    assert b64(TYPED) not in raw
    assert draft_of(world.maintainer, secret).edits[0].value == TYPED.encode()
    assert TYPED not in redact_text(f"log of {TYPED}")


def test_it_belongs_to_one_person(put: Callable[..., Any], secret: Secret, world: World) -> None:
    put("TOKEN", value=TYPED)
    other = make.make_user("tom")
    make.grant(other, Role.MAINTAINER, world.environment.project)
    assert draft_of(other, secret).edits == ()


def test_it_ends_after_half_an_hour(put: Callable[..., Any], secret: Secret, world: World) -> None:
    put("TOKEN", value=TYPED)
    row = Draft.objects.get()
    assert timezone.now() + KEPT - timedelta(minutes=1) < row.ends_at <= timezone.now() + KEPT
    Draft.objects.update(ends_at=timezone.now() - timedelta(seconds=1))
    assert draft_of(world.maintainer, secret).edits == ()
    put("URL", value="another")
    assert [edit.key for edit in draft_of(world.maintainer, secret).edits] == ["URL"]
    erase_ended()
    assert Draft.objects.count() == 1
    Draft.objects.update(ends_at=timezone.now() - timedelta(seconds=1))
    erase_ended()
    assert not Draft.objects.exists()


@pytest.mark.parametrize(
    ("steps", "left"),
    [
        ([("NEW", "add", "a", ""), ("NEW", "set", "b", "")], [("NEW", "add", b"b", "")]),
        ([("NEW", "add", "a", ""), ("NEW", "remove", None, "")], []),
        ([("NEW", "add", "a", ""), ("NEW", "rename", None, "NEWER")], [("NEWER", "add", b"a", "")]),
        ([("TOKEN", "set", "a", ""), ("TOKEN", "rename", None, "T")], [("TOKEN", "rename", b"a", "T")]),
        ([("TOKEN", "rename", None, "T"), ("TOKEN", "set", "a", "")], [("TOKEN", "rename", b"a", "T")]),
        ([("TOKEN", "set", "a", ""), ("TOKEN", "remove", None, "")], [("TOKEN", "remove", None, "")]),
        ([("TOKEN", "remove", None, ""), ("TOKEN", "set", "a", "")], [("TOKEN", "set", b"a", "")]),
    ],
)
def test_edits_of_one_key_are_one_edit(
    put: Callable[..., Any], secret: Secret, world: World, steps: list[Any], left: list[Any]
) -> None:
    for step in steps:
        put(*step)
    found = [(edit.key, edit.do, edit.value, edit.to) for edit in draft_of(world.maintainer, secret).edits]
    assert found == left


@pytest.mark.parametrize(
    ("step", "field", "kept"),
    [
        (("TOKEN", "add", TYPED), "key", TYPED.encode()),
        (("..", "add", TYPED), "key", TYPED.encode()),
        (("TOKEN", "rename", None, "URL"), "to", None),
        (("TOKEN", "rename", None, "a b"), "to", None),
        (("TOKEN", "set", "x" * 65_537), "value", None),
        (("NEW", "add", "x" * 65_537), "value", None),
    ],
)
def test_what_cannot_be_is_refused_by_its_field(
    put: Callable[..., Any], secret: Secret, world: World, step: Any, field: str, kept: bytes | None
) -> None:
    with pytest.raises(ValidationError) as caught:
        put(*step)
    assert list(caught.value.message_dict) == [field]
    assert TYPED not in str(caught.value)
    content = draft_of(world.maintainer, secret)
    assert content.edits == ()
    assert content.loose == kept  # only a value that the next try can take


def test_a_name_is_free_again_once_its_key_goes(put: Callable[..., Any], secret: Secret) -> None:
    put("URL", "remove")
    put("TOKEN", "rename", to="URL")
    with pytest.raises(ValidationError):
        put("OLD", "rename", to="URL")


def test_a_key_that_cannot_be_edited_in_place_says_why(put: Callable[..., Any], world: World) -> None:
    world.by_hand(
        "kind: Secret\napiVersion: v1\nmetadata: {name: app}\nstringData:\n  A: &a word\n  TOKEN: *a\n"
    )
    learn(world.file, look_again(world.file).current_version)
    with pytest.raises(ValidationError, match="alias"):
        put("TOKEN", value="x")


def test_undo_and_discard(put: Callable[..., Any], secret: Secret, world: World) -> None:
    put("TOKEN", value=TYPED)
    put("URL", value=TYPED)
    undo(person(world.maintainer), world.file, ("app", "URL"))
    assert len(draft_of(world.maintainer, secret).edits) == 1
    discard_draft(person(world.maintainer), world.file)
    assert not Draft.objects.exists()


def test_nothing_can_be_typed_for_a_secret_that_nobody_has_seen(world: World) -> None:
    with pytest.raises(Refused, match="Nothing is known"):
        stage(person(world.maintainer), world.file, Edit("app", "TOKEN", "set", b"x"))
