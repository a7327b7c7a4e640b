"""Texts that people type are shown to others: no control character and no change of direction is kept of them."""

from __future__ import annotations

from typing import Any

import pytest

from audit.actors import person
from audit.models import AuditEvent
from core.redactor import redacting
from deployments.gate.marking import mark_bad
from deployments.gate.requests import open_rollback
from deployments.models import Deploy, Release
from people import services
from people.models import User
from projects import services as settings_of_projects
from projects.models import Project
from secrets_ui.known.said import said
from tests import factories as make

pytestmark = pytest.mark.django_db
TYPED = "Shop \x1b[31m\u202eexe.gnp\u2066\x07"
SHOWN = "Shop ␛[31m�exe.gnp�␇"


@pytest.fixture
def ada() -> User:
    return make.make_user("ada", is_admin=True)


def test_names_of_people(ada: User) -> None:
    made = services.create_user(person(ada), username="eve", password="a-long-password-1", name=TYPED)
    assert User.objects.get(pk=made.pk).name == SHOWN
    services.change_own(person(made), name=f"{TYPED}!", email="")
    assert User.objects.get(pk=made.pk).name == f"{SHOWN}!"
    flags: Any = {"is_admin": False, "is_auditor": False}
    services.change_user(person(ada), user=made, name=f"{TYPED}?", email="", **flags)
    assert User.objects.get(pk=made.pk).name == f"{SHOWN}?"


def test_names_of_projects_but_not_their_credentials(ada: User) -> None:
    token = "token-with-\x1b-in-it"
    made = settings_of_projects.create_project(
        person(ada), slug="shop", name=TYPED, repository_url="https://git.example/shop.git",
        credential_kind="token", credential=token,
    )  # fmt: skip
    row = Project.objects.get(pk=made.pk)
    assert (row.name, row.credential.open()) == (SHOWN, token)
    assert "\u202e" not in str(list(AuditEvent.objects.values()))


def test_reasons_of_deploys_and_marks(ada: User) -> None:
    environment = make.make_environment()
    good = make.make_deploy(environment, release=make.make_release(environment))
    opened = open_rollback(person(ada), good.environment, good, reason=TYPED)
    assert Deploy.objects.get(pk=opened.deploy.pk).reason == SHOWN
    Release.objects.update(verified_at="2026-01-01T00:00:00Z")
    mark_bad(person(ada), deploy=Deploy.objects.get(pk=good.pk), reason=TYPED)
    assert Release.objects.get(pk=good.release_id).bad_reason == SHOWN


def test_comments_of_secrets_are_redacted_first() -> None:
    with redacting() as redactor:
        redactor.add(["value\x1bwith-escape"])
        assert said(f"{TYPED} value\x1bwith-escape") == f"{SHOWN} •••••"
