"""One secret that two environments read: what a person learns here of the other environment, and whose names they see."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.test import Client

from audit.actors import person
from audit.models import AuditEvent
from core.errors import Refused
from projects import services
from projects.models import Environment, Role, SecretsFile
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


# Naming the secret of another environment in one's own settings


@pytest.fixture
def outsider(world: World) -> tuple[Any, Environment]:
    """A maintainer of another project, who has no role on the world's."""
    project = make.make_project(slug=f"curious-{uuid.uuid4().hex[:6]}", name="Curious")
    user = make.make_user("carl")
    make.grant(user, Role.MAINTAINER, project)
    return user, make.make_environment(project, slug="dev")


def arn_of(world: World) -> str:
    return str(world.aws.describe_secret(SecretId=world.file.secret_id)["ARN"])


@pytest.mark.parametrize("how", ["name", "arn", "arn without its end"])
def test_naming_it_needs_the_right_to_reveal_there(world: World, outsider: Any, how: str) -> None:
    user, place = outsider
    named = {"name": world.file.secret_id, "arn": arn_of(world), "arn without its end": arn_of(world)[:-7]}[
        how
    ]
    with pytest.raises(Refused, match="Another environment reads this secret"):
        services.create_secrets_file(person(user), environment=place, path="a.yaml", secret_id=named)
    assert not SecretsFile.objects.filter(environment=place).exists()
    (event,) = AuditEvent.objects.filter(verb="secrets.refused")
    assert event.actor_text == "carl"
    own = services.create_secrets_file(person(user), environment=place, path="a.yaml", secret_id="own")
    with pytest.raises(Refused):
        services.change_secrets_file(
            person(user), secrets_file=own, edited=own.edited, path="a.yaml", secret_id=named,
            region=own.region,
        )  # fmt: skip
    make.grant(user, Role.MAINTAINER, world.environment.project)
    services.create_secrets_file(person(user), environment=place, path="b.yaml", secret_id=named)


def test_named_by_arn_there_and_by_name_here_is_the_same(world: World, outsider: Any) -> None:
    user, place = outsider
    name = world.file.secret_id
    SecretsFile.objects.filter(pk=world.file.pk).update(secret_id=arn_of(world))
    with pytest.raises(Refused):
        services.create_secrets_file(person(user), environment=place, path="a.yaml", secret_id=name)
    services.create_secrets_file(person(user), environment=place, path="a.yaml", secret_id=name[:-1])


def test_the_form_reads_nothing_of_it_either(world: World, outsider: Any) -> None:
    user, place = outsider
    client = Client()
    client.force_login(user)
    form = {
        "environment": place.pk, "path": "secret.yaml", "secret_id": world.file.secret_id, "region": "eu-west-2",
        "role_arn": "",
    }  # fmt: skip
    for button in ({}, {"check": "1"}, {"try": "1"}, {"override": "on"}):
        text = client.post(f"/projects/{place.project.slug}/settings/secrets-files/new/", {**form, **button})
        assert "Another environment reads this secret" in text.content.decode()
        for name in ("TOKEN", "PASSWORD", "OLD", "URL"):
            assert f"{name}." not in text.content.decode()
            assert f"/{name}" not in text.content.decode()
    assert not SecretsFile.objects.filter(environment=place).exists()


def test_a_file_that_shares_already_can_still_be_changed_otherwise(world: World, theirs: SecretsFile) -> None:
    changed = services.change_secrets_file(
        person(world.maintainer), secrets_file=world.file, edited=world.file.edited, path="other.yaml",
        secret_id=world.file.secret_id, region=world.file.region,
    )  # fmt: skip
    assert changed.path == "other.yaml"
