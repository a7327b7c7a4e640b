"""Comments, reasons and notes quote no value: neither the new one nor the one that it replaces, in any form."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest

from adapters.aws.secrets_writer import SecretsWriter
from adapters.errors import Unavailable
from audit.actors import Actor, person
from audit.models import AuditEvent
from core.redactor import redacting
from projects.models import Environment, Role
from secrets_ui.bulk.downloading import download
from secrets_ui.comparing.copying import copy
from secrets_ui.editing.drafts import Edit
from secrets_ui.editing.restoring import restore
from secrets_ui.editing.revealing import reveal
from secrets_ui.editing.saving import save
from secrets_ui.editing.staging import stage
from secrets_ui.known.looking import look_again
from secrets_ui.models import ChangeRequest, SecretVersion
from secrets_ui.requests.deciding import approve, refuse, withdraw
from tests import factories as make
from tests.secrets_ui.conftest import CANARY, World
from tests.secrets_ui.support import HEAD, b64

pytestmark = pytest.mark.django_db
NEW = "canary new/value&1 of today"
PLACE = ("app", "TOKEN")


def quoting(value: str) -> str:
    return f"was {value}, in base64 {b64(value)}, in an address {quote(value, safe='')}"


def kept() -> str:
    """Everything that the portal stores of what was written."""
    rows = [
        *AuditEvent.objects.values_list("data", flat=True),
        *SecretVersion.objects.values_list("comment", "error"),
        *ChangeRequest.objects.values_list("decision", flat=True),
    ]
    return str(rows)


def holds(text: str, value: str) -> bool:
    return any(form in text for form in (value, b64(value)[:-2], quote(value, safe="")))


def afresh(do: Callable[..., Any], *given: Any, **more: Any) -> Any:
    """As one request: it knows the values only that it has read itself."""
    with redacting():
        return do(*given, **more)


def stored(world: World, comment: str, value: str = NEW) -> SecretVersion | None:
    who = person(world.maintainer)
    afresh(stage, who, world.file, Edit(*PLACE, "set", value.encode()))
    return afresh(save, who, world.file, token=str(uuid.uuid4()), comment=comment)


def decider(world: World) -> Actor:
    user = make.make_user(f"olga-{uuid.uuid4().hex[:5]}")
    make.grant(user, Role.MAINTAINER, world.environment.project)
    return person(user)


@pytest.fixture
def looked(world: World) -> World:
    afresh(look_again, world.file)
    return world


def asked(world: World) -> ChangeRequest:
    Environment.objects.filter(pk=world.environment.pk).update(policies={"secret_requests": True})
    world.file.refresh_from_db()
    row = stored(world, "rotate")
    assert row is not None
    found = ChangeRequest.objects.select_related("version", "secret", "environment__project")
    return found.get(version=row)


def saved_with(world: World, text: str) -> None:
    stored(world, text)


def restored_with(world: World, text: str) -> None:
    first = world.version
    stored(world, "first")
    more = {"version_id": first, "over": world.version, "token": str(uuid.uuid4()), "comment": text}
    assert afresh(restore, person(world.maintainer), world.file, **more) is not None


def revealed_with(world: World, text: str) -> None:
    """An old version is looked at, whose reason may quote the current one, too."""
    first = world.version
    stored(world, "first")
    afresh(look_again, world.file)
    afresh(reveal, person(world.maintainer), world.file, PLACE, reason=text, version_id=first)


def downloaded_with(world: World, text: str) -> None:
    afresh(download, person(world.maintainer), world.file, form="secret", reason=text)


def copied_with(world: World, text: str) -> None:
    other = make.make_environment(world.environment.project, slug="live", order=50)
    target = make.make_secrets_file(other, secret_id=f"slipway/{uuid.uuid4().hex}/other")
    world.aws.create_secret(Name=target.secret_id, SecretString=f"{HEAD}data:\n  TOKEN: {b64(NEW)}\n")
    afresh(look_again, target)
    more = {"reason": text, "secrets": ["app"]}
    afresh(copy, person(world.maintainer), world.file, target, PLACE, **more)


def approved_with(world: World, text: str) -> None:
    afresh(approve, decider(world), world.file, asked(world), note=text)


def refused_with(world: World, text: str) -> None:
    afresh(refuse, decider(world), world.file, asked(world), note=text)


def withdrawn_with(world: World, text: str) -> None:
    afresh(withdraw, person(world.maintainer), world.file, asked(world), note=text)


WAYS = (saved_with, restored_with, revealed_with, copied_with, approved_with, refused_with, withdrawn_with)


@pytest.mark.parametrize("value", [CANARY, NEW], ids=["old", "new"])
@pytest.mark.parametrize("way", WAYS)
def test_no_text_keeps_the_old_value_or_the_new_one(looked: World, way: Any, value: str) -> None:
    way(looked, quoting(value))
    assert "was •••••, in base64 " in kept()
    assert not holds(kept(), value)


def test_nor_does_the_reason_of_a_download(looked: World) -> None:
    downloaded_with(looked, quoting(CANARY))
    assert "was •••••, in base64 " in kept()
    assert not holds(kept(), CANARY)


def test_what_a_person_saw_before_another_one_saved_is_known_too(looked: World) -> None:
    who = person(looked.maintainer)
    afresh(stage, who, looked.file, Edit("app", "OLD", "set", b"something-else"))
    looked.by_hand(looked.text.replace(b64(CANARY), b64("put-there-by-hand")))
    afresh(look_again, looked.file)
    afresh(save, who, looked.file, token=str(uuid.uuid4()), comment=quoting(CANARY))
    assert "was •••••" in kept()
    assert not holds(kept(), CANARY)


@pytest.mark.parametrize("how", [revealed_with, downloaded_with, copied_with])
def test_a_reason_that_nothing_could_be_held_against_is_not_kept(
    looked: World, how: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def silent(*given: Any, **more: Any) -> Any:
        raise Unavailable("no answer", system="AWS")

    def broken(do: Any, *given: Any, **more: Any) -> Any:
        if do in (reveal, download, copy):
            monkeypatch.setattr(SecretsWriter, "get", silent)
        with redacting():
            return do(*given, **more)

    monkeypatch.setitem(globals(), "afresh", broken)
    with pytest.raises(Unavailable):
        how(looked, quoting(CANARY))
    assert "not kept: AWS did not give the values" in kept()
    assert not holds(kept(), CANARY)
