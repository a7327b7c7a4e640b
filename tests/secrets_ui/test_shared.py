"""One secret that two environments read: what a person learns here of the other environment, and whose names they see."""

from __future__ import annotations

import re
import uuid
from typing import Any

import pytest
from django.test import Client

from projects.models import Environment, Role, SecretsFile
from secrets_ui.known.looking import look_again
from secrets_ui.known.reading import learn
from secrets_ui.known.secrets import secret_of
from secrets_ui.models import VersionUse
from tests import factories as make
from tests.deployments.outside import Outside
from tests.secrets_ui.conftest import CANARY, World

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


def test_a_branch_with_a_guess_tells_nothing_of_a_value_that_is_also_elsewhere(
    world: World, theirs: SecretsFile, git: Outside
) -> None:
    """Who may see values here and not there sees none of them, and may not try guesses either."""
    git.files["secret.yaml"] = git.files["secret.yaml"].replace(b'TOKEN: ""', f"TOKEN: {CANARY}".encode())
    address = f"{world.page}?at={'b' * 40}"
    assert "as in the reference file" not in seen(world.maintainer, address)
    make.grant(world.maintainer, Role.MAINTAINER, theirs.environment.project)
    assert "as in the reference file" in seen(world.maintainer, address)


def test_another_file_of_the_page_tells_no_guess_by_its_count(
    world: World, theirs: SecretsFile, git: Outside
) -> None:
    own = make.make_secrets_file(world.environment, path="own.yaml", secret_id=f"slipway/{uuid.uuid4().hex}")
    world.aws.create_secret(Name=own.secret_id, SecretString="{}")
    address = f"{world.page}?file={own.pk}&at={'b' * 40}"
    before = seen(world.maintainer, address)
    git.files["secret.yaml"] = git.files["secret.yaml"].replace(b'TOKEN: ""', f"TOKEN: {CANARY}".encode())
    counts = re.compile(r'<span class="count">(\d+)</span><span class="hidden-label"> keys need attention')
    assert counts.findall(before)
    assert counts.findall(seen(world.maintainer, address)) == counts.findall(before)


def test_what_is_refused_elsewhere_is_not_offered_here(world: World, theirs: SecretsFile) -> None:
    offered = ("Reveal TOKEN", "Edit TOKEN", "Import…", "Download…")
    text = seen(world.maintainer, world.page)
    assert not [words for words in offered if words in text]
    assert "Its values are for people with the right in each of them" in text
    make.grant(world.maintainer, Role.MAINTAINER, theirs.environment.project)
    text = seen(world.maintainer, world.page)
    assert [words for words in offered if words in text] == list(offered)
    assert "Its values are for people" not in text


def test_a_secret_that_production_reads_too_asks_for_a_reason_everywhere(
    world: World, theirs: SecretsFile
) -> None:
    make.grant(world.maintainer, Role.MAINTAINER, theirs.environment.project)
    assert 'name="reason"' not in seen(world.maintainer, f"{world.page}?reveal=app/TOKEN")
    Environment.objects.filter(pk=theirs.environment_id).update(is_production=True)
    for opened in ("reveal", "edit"):
        assert 'name="reason"' in seen(world.maintainer, f"{world.page}?{opened}=app/TOKEN")


def test_removing_what_production_reads_too_is_confirmed(world: World, theirs: SecretsFile) -> None:
    make.grant(world.maintainer, Role.MAINTAINER, theirs.environment.project)
    Environment.objects.filter(pk=theirs.environment_id).update(is_production=True)
    client = Client()
    client.force_login(world.maintainer)
    client.post(world.url("remove"), {"place": "app/OLD"})
    form = {"comment": "old", "save_id": str(uuid.uuid4())}
    assert "to remove 1 key" in client.post(world.url("review"), form).content.decode()
    assert "OLD" in world.text
    assert client.post(world.url("review"), {**form, "confirm": "staging"}).status_code == 302
    assert "OLD" not in world.text
