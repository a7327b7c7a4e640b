"""One secret that two environments read: what a person learns here of the other environment, and whose names they see."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.test import Client

from projects.models import Role, SecretsFile
from secrets_ui.known.looking import look_again
from secrets_ui.known.reading import learn
from secrets_ui.known.secrets import secret_of
from secrets_ui.models import VersionUse
from tests import factories as make
from tests.secrets_ui.conftest import World

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("secret_world")]


@pytest.fixture
def theirs(world: World) -> SecretsFile:
    """A secrets file of another team's environment, with a secret of its own that was looked at."""
    project = make.make_project(slug=f"bank-{uuid.uuid4().hex[:6]}", name="The Bank")
    environment = make.make_environment(
        project, slug="vault", name="Vault", secret_rights={"names": "maintainer"}
    )
    file = make.make_secrets_file(environment, secret_id=world.file.secret_id)
    for one in (world.file, file):
        learn(one, look_again(one).current_version)
    return file


def seen(user: Any, address: str) -> str:
    client = Client()
    client.force_login(user)
    return client.get(address).content.decode()


def test_the_other_environment_is_named_only_to_those_who_may_see_it(
    world: World, theirs: SecretsFile
) -> None:
    text = seen(world.maintainer, world.page)
    assert "1 other environment reads this secret, too" in text
    for address in (world.page, world.url("versions"), world.url("requests"), "/secrets/"):
        assert "Vault" not in seen(world.maintainer, address)
        assert "The Bank" not in seen(world.maintainer, address)
    make.grant(world.maintainer, Role.VIEWER, theirs.environment.project)
    assert "too (The Bank Vault)" in seen(world.maintainer, world.page)


def test_names_follow_the_environment_by_which_a_person_came(world: World, theirs: SecretsFile) -> None:
    make.grant(world.viewer, Role.VIEWER, theirs.environment.project)
    there = f"/projects/{theirs.environment.project.slug}/vault/secrets/"
    assert "PASSWORD" in seen(world.viewer, world.page)
    for address in (there, f"{there}{theirs.pk}/versions/", f"{there}{theirs.pk}/requests/"):
        assert "PASSWORD" not in seen(world.viewer, address)
        assert "TOKEN" not in seen(world.viewer, address)


def test_deploys_of_an_environment_that_a_person_may_not_see_are_not_listed(
    world: World, theirs: SecretsFile
) -> None:
    secret = secret_of(world.file)
    assert secret is not None
    row = VersionUse.objects.create(
        secret=secret, version_id=secret.current_version, deploy_number=40_321,
        environment=theirs.environment, environment_text=theirs.environment.label,
    )  # fmt: skip
    for address in (world.page, world.url("versions")):
        assert "40321" not in seen(world.maintainer, address)
    make.grant(world.maintainer, Role.VIEWER, theirs.environment.project)
    for address in (world.page, world.url("versions")):
        assert str(row.deploy_number) in seen(world.maintainer, address)
