"""Names of secret keys: in no log, no result and no message; on pages for people with the right."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client

from audit.actors import person
from audit.models import AuditEvent
from deployments.gate import requests
from notify.models import Outgoing
from projects.models import Role
from runs.models import State
from tests.deployments.driven import OTHER, drive, reader, said, with_secrets, without_cluster  # noqa: F401
from tests.deployments.outside import CANARY, REFERENCE, Outside
from tests.factories import grant, make_user

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("without_cluster", "pushed")]
NAMES = ("HIDDEN_KEY", "OTHER_HIDDEN")


@pytest.fixture(autouse=True)
def nothing_kept() -> None:
    cache.clear()


@pytest.fixture
def place(environment: Any, outside: Outside) -> Any:
    """The names are for maintainers."""
    environment.secret_rights = {"names": "maintainer"}
    environment.slack_channel = "#shop"
    environment.save()
    with_secrets(environment, outside)
    return environment


@pytest.fixture
def maintainer(environment: Any) -> Any:
    user = make_user("mira")
    grant(user, Role.MAINTAINER, environment.project)
    return user


def deployed(deployer: Any, place: Any) -> Any:
    answer = requests.request_deploy(person(deployer), environment=place, revision="main")
    return drive(answer.deploy)


def bad_text(outside: Outside) -> None:
    outside.secrets["app"] = "".join(
        [
            "apiVersion: v1\nkind: Secret\nmetadata: {name: app}\ndata:\n",
            *(f"  {name}: '%%%'\n" for name in NAMES),
        ]
    )


def lacking(outside: Outside) -> None:
    outside.files["secret.yaml"] = REFERENCE + b"".join(f'  {name}: ""\n'.encode() for name in NAMES)


def needed(outside: Outside) -> None:
    outside.files |= {"a.yaml": reader("a", NAMES[0]), "b.yaml": reader("b", NAMES[1])}


def extra(outside: Outside) -> None:
    outside.secrets["app"] += "".join(f"  {name}: {'Y2FuYXJ5LXZhbHVl'}\n" for name in NAMES)


def placeholders(outside: Outside) -> None:
    lacking(outside)
    outside.secrets["app"] += "".join(f"  {name}: Y2hhbmdlbWU=\n" for name in NAMES)


@pytest.mark.parametrize("wrong", [bad_text, lacking, needed, extra, placeholders])
def test_a_deploy_tells_them_to_nobody_else(
    place: Any, deployer: Any, maintainer: Any, outside: Outside, client: Client, wrong: Any
) -> None:
    wrong(outside)
    deploy = deployed(deployer, place)
    assert deploy.state == (State.SUCCEEDED if wrong in (extra, placeholders) else State.FAILED)
    kept = json.dumps(
        [deploy.result, deploy.hint, deploy.evidence, deploy.warnings, said(deploy)]
        + [[event.target_text, event.data] for event in AuditEvent.objects.all()]
        + [message.payload for message in Outgoing.objects.all()]
    )
    pages = {}
    for user in (deployer, maintainer):
        client.force_login(user)
        pages[user] = client.get(f"/deploys/{deploy.number}/").content.decode()
    for name in NAMES:
        assert name not in kept
        assert name not in pages[deployer]
        assert name in pages[maintainer]


@pytest.mark.parametrize("wrong", [bad_text, lacking, needed, extra, placeholders])
def test_nor_does_a_preview(
    place: Any, deployer: Any, maintainer: Any, outside: Outside, client: Client, wrong: Any
) -> None:
    wrong(outside)
    address = f"/projects/{place.project.slug}/staging/deploy/?see=1"
    client.force_login(maintainer)
    shown = client.get(address).content.decode()
    client.force_login(deployer)
    hidden = client.get(address).content.decode()
    diffs = wrong is needed  # a Deployment's own difference says what stands in the repository
    for name in NAMES:
        assert name in shown
        assert diffs or name not in hidden


def test_the_difference_of_a_secret_is_not_shown(
    place: Any, deployer: Any, maintainer: Any, client: Client
) -> None:
    address = f"/projects/{place.project.slug}/staging/deploy/?see=1"
    client.force_login(deployer)
    assert "Its difference names secret keys" in client.get(address).content.decode()
    client.force_login(maintainer)
    assert "Its difference names secret keys" not in client.get(address).content.decode()


def test_changed_keys_are_counted_for_everybody(
    place: Any, deployer: Any, maintainer: Any, outside: Outside, client: Client
) -> None:
    deployed(deployer, place)
    outside.store("app", OTHER.replace("TOKEN", "NEW_HIDDEN"), "v2")
    outside.files["secret.yaml"] = outside.files["secret.yaml"].replace(b"TOKEN", b"NEW_HIDDEN")
    outside.files["web.yaml"] = b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: web}\n"
    address = f"/projects/{place.project.slug}/staging/deploy/?see=1"
    client.force_login(deployer)
    hidden = client.get(address).content.decode()
    assert "2 changed since what runs" in hidden
    assert "NEW_HIDDEN" not in hidden
    client.force_login(maintainer)
    assert "NEW_HIDDEN" in client.get(address).content.decode()


@pytest.mark.parametrize("by", ["preview", "deploy"])
def test_a_guess_in_a_branch_is_not_told_to_be_the_value(
    place: Any, deployer: Any, outside: Outside, client: Client, by: str
) -> None:
    guess = REFERENCE.replace(b'""', CANARY.encode())
    outside.others["b" * 40] = {"secret.yaml": guess}

    def said_of(letter: str) -> str:
        if by == "deploy":
            answer = requests.request_deploy(person(deployer), environment=place, revision=letter * 40)
            return str(drive(answer.deploy).warnings)
        client.force_login(deployer)
        address = f"/projects/{place.project.slug}/staging/deploy/?see=1&revision={letter * 40}"
        return client.get(address).content.decode()

    assert "still is a placeholder" not in said_of("b")
    outside.others["c" * 40] = {
        "secret.yaml": guess
    }  # the default branch has it: nobody's guess, but what is wrong
    cache.clear()
    assert "still is a placeholder" in said_of("c")
