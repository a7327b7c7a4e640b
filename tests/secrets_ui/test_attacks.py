"""Ways to learn or change more than one's rights allow, and texts that are meant to hurt the reader."""

from __future__ import annotations

import json
import time
import uuid
from typing import Any

import pytest
from django.test import Client

from audit.actors import person
from audit.models import AuditEvent
from core.errors import Refused
from projects.models import Environment, Role, SecretsFile
from secrets_ui.comparing.comparing import compare
from secrets_ui.comparing.copying import copy
from secrets_ui.editing.creating import create
from secrets_ui.files.model import open_text
from secrets_ui.known.looking import look_again
from secrets_ui.known.public import public_rows
from secrets_ui.known.reading import learn
from secrets_ui.values.bulk import read_pasted
from tests import factories as make
from tests.deployments.outside import Outside
from tests.secrets_ui.conftest import CANARY, World
from tests.secrets_ui.support import HEAD, b64

pytestmark = pytest.mark.django_db
FOR_ALL = {"names": "viewer", "reveal": "viewer", "edit": "maintainer", "approve": "maintainer"}


def another_environment(world: World, text: str, *, slug: str = "preview") -> SecretsFile:
    environment = make.make_environment(world.environment.project, slug=slug, order=50)
    file = make.make_secrets_file(environment, secret_id=f"slipway/{uuid.uuid4().hex}/other")
    world.aws.create_secret(Name=file.secret_id, SecretString=text)
    return file


def signed_in(user: Any) -> Client:
    client = Client()
    client.force_login(user)
    return client


def test_a_role_on_another_environment_is_no_right_to_test_guesses(world: World, secret_world: None) -> None:
    file = another_environment(world, f"{HEAD}data:\n  TOKEN: {b64(CANARY)}\n")
    Environment.objects.update(secret_rights=FOR_ALL)
    for known in (world.file, file):
        learn(known, look_again(known).current_version)
    person_there = make.make_user("only-there")
    make.grant(person_there, Role.MAINTAINER, world.environment.project, environment=file.environment)
    with pytest.raises(Refused):
        compare(person(person_there), file.environment)


def test_a_file_that_was_never_looked_at_is_no_way_to_another_teams_secret(
    world: World, secret_world: None
) -> None:
    elsewhere = make.make_environment(make.make_project(slug="other"), slug="live")
    theirs = make.make_secrets_file(elsewhere, secret_id=f"slipway/{uuid.uuid4().hex}/theirs")
    arn = world.aws.create_secret(Name=theirs.secret_id, SecretString=f"{HEAD}data: {{}}\n")["ARN"]
    for known in (world.file, theirs):
        learn(known, look_again(known).current_version)
    taken = make.make_environment(world.environment.project, slug="taken", order=60)
    make.make_secrets_file(taken, secret_id=arn)
    with pytest.raises(Refused):
        compare(person(world.maintainer), world.environment)


@pytest.mark.parametrize("how", ["reveal", "download", "copy"])
def test_a_reason_that_quotes_the_value_is_kept_without_it(world: World, tab: Client, how: str) -> None:
    reason = f"is it still {CANARY}?"
    if how == "copy":
        from core.redactor import redacting

        target = another_environment(world, f"{HEAD}data: {{TOKEN: eA==}}\n")
        with redacting():
            look_again(target)
        with redacting():
            copy(
                person(world.maintainer), world.file, target, ("app", "TOKEN"), reason=reason, secrets=["app"]
            )
    elif how == "download":
        Environment.objects.update(is_production=True)
        tab.post("/login/", {"login": world.maintainer.username, "password": make.PASSWORD})
        tab.post("/reauthenticate/", {"password": make.PASSWORD})
        assert tab.post(world.url("download"), {"form": "secret", "reason": reason}).status_code == 200
    else:
        assert tab.post(world.url("reveal"), {"place": "app/TOKEN", "reason": reason}).status_code == 200
    (event,) = AuditEvent.objects.filter(
        verb__in=["secrets.revealed", "secrets.copied", "secrets.downloaded"]
    )
    assert event.data["reason"].startswith("is it still ")
    assert CANARY not in str(event.data)


def test_a_branch_with_a_guess_as_sample_tells_a_viewer_nothing(
    tab: Client, world: World, git: Outside
) -> None:
    git.files["secret.yaml"] = git.files["secret.yaml"].replace(b'TOKEN: ""', f"TOKEN: {CANARY}".encode())
    address = f"{world.page}?at={'b' * 40}"
    assert "as in the reference file" in tab.get(address).content.decode()
    assert "as in the reference file" not in signed_in(world.viewer).get(address).content.decode()


def test_a_broken_reference_file_names_no_key_to_who_may_not_see_them(
    tab: Client, world: World, git: Outside
) -> None:
    git.files["secret.yaml"] = f"{HEAD}data:\n  PASSPHRASE: '%%'\n".encode()
    Environment.objects.filter(pk=world.environment.pk).update(secret_rights={"names": "deployer"})
    text = signed_in(world.viewer).get(world.page).content.decode()
    assert "Missing keys cannot be told" in text
    assert "PASSPHRASE" not in text


def test_making_a_secret_asks_for_the_right_wherever_it_is_named(world: World, git: Outside) -> None:
    name = f"slipway/{uuid.uuid4().hex}/new"
    elsewhere = make.make_environment(make.make_project(slug="other"), slug="live")
    make.make_secrets_file(elsewhere, secret_id=name)
    mine = make.make_secrets_file(world.environment, path="new.yaml", secret_id=name)
    with pytest.raises(Refused, match="Another environment"):
        create(person(world.maintainer), mine, comment="first")
    assert AuditEvent.objects.get(verb="secrets.refused").data == {"right": "edit"}


def test_a_key_of_odd_signs_breaks_no_header(tab: Client, world: World) -> None:
    key = 'a"; filename="x.html\r\nSet-Cookie: a=b'
    world.by_hand(json.dumps({key: CANARY}))
    tab.post(world.url("read"))
    for how in ("", "downloaded"):
        answer = tab.post(world.url("reveal"), {"place": key, "how": how})
        assert answer.status_code == 200
        assert CANARY in answer.content.decode()
        assert "\n" not in str(answer.headers)
    assert answer["Content-Disposition"] == 'attachment; filename="a\\"; filename=\\"x.html__Set-Cookie: a=b"'


@pytest.mark.parametrize(
    "text",
    [
        "{" + '"a":"b",' * 8000 + '"z":"q"}',
        "{" + ",".join(f'"{at}":""' for at in range(7000)) + "}",
        f"{HEAD}stringData:\n" + "  a: b\n" * 8000,
    ],
    ids=["twins", "many", "twins of a Secret"],
)
def test_thousands_of_keys_are_read_soon(text: str) -> None:
    began = time.process_time()
    rows = public_rows("arn", open_text(text))
    assert time.process_time() - began < 30
    assert max(len(row["locked"]) for row in rows) < 200


@pytest.mark.parametrize("line", ["a b", "K"])
def test_thousands_of_lines_are_read_soon(line: str) -> None:
    text = "\n".join(f"{line}{at}=v" for at in range(13_000))
    began = time.process_time()
    read_pasted(text)
    assert time.process_time() - began < 10
