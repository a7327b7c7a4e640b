"""Environments side by side, and a value that goes from one to another unseen."""

from __future__ import annotations

import re
import uuid
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from audit.actors import person
from audit.models import AuditEvent
from core.errors import Refused
from projects.models import Environment, Role, SecretsFile
from secrets_ui.comparing.comparing import compare, letter_of
from secrets_ui.comparing.copying import copy
from secrets_ui.editing.drafts import draft_of
from secrets_ui.known.looking import look_again
from secrets_ui.known.reading import learn
from secrets_ui.known.secrets import secret_of
from secrets_ui.models import SecretVersion
from tests import factories as make
from tests.deployments.outside import Outside
from tests.secrets_ui.conftest import CANARY, World
from tests.secrets_ui.support import HEAD, b64

pytestmark = pytest.mark.django_db
RIGHTS = {"names": "viewer", "reveal": "deployer", "edit": "deployer"}
LIVE = "canary-only-in-production-77"


def other_file(
    world: World, text: str, *, slug: str = "production", is_production: bool = True
) -> SecretsFile:
    """The secrets file of another environment of the project, known to the portal."""
    project = world.environment.project
    environment = make.make_environment(project, slug=slug, is_production=is_production, order=50)
    file = make.make_secrets_file(environment, secret_id=f"slipway/{uuid.uuid4().hex}/live")
    world.aws.create_secret(Name=file.secret_id, SecretString=text)
    return file


@pytest.fixture
def production(world: World, secret_world: None) -> SecretsFile:
    Environment.objects.filter(pk=world.environment.pk).update(secret_rights=RIGHTS)
    text = HEAD.replace("name: app", "name: app-live")
    file = other_file(world, f"{text}data:\n  TOKEN: {b64(CANARY)}\n  URL: {b64(LIVE)}\n")
    for known in (world.file, file):
        learn(known, look_again(known).current_version)
    return file


def client_of(user: Any) -> Client:
    client = Client()
    client.force_login(user)
    return client


def page(response: Any) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", response.content.decode()))


def lines(world: World, user: Any) -> dict[str, Any]:
    (table,) = compare(person(user), world.environment)
    return {line.name: line for line in table.lines}


def test_equal_and_different_are_told_without_a_value(world: World, production: SecretsFile) -> None:
    found = lines(world, world.maintainer)
    assert {name: line.result for name, line in found.items()} == {
        "TOKEN": "same", "URL": "different", "OLD": "one", "PASSWORD": "nowhere",
    }  # fmt: skip
    assert found["TOKEN"].shared
    assert not found["URL"].shared
    assert [cell.letter for cell in found["URL"].cells] == ["A", "B"]
    assert CANARY not in repr(found)
    (event,) = AuditEvent.objects.filter(verb="secrets.compared")
    assert event.data == {"environments": ["production", "staging"], "files": ["secret.yaml"]}


def test_looking_at_the_page_reads_no_value(world: World, production: SecretsFile, monkeypatch: Any) -> None:
    def never(*given: Any, **more: Any) -> Any:
        raise AssertionError("a GET asked AWS")

    monkeypatch.setattr("adapters.aws.secrets_manager.SecretsManager.get", never)
    monkeypatch.setattr("adapters.aws.secrets_manager.SecretsManager.describe", never)
    answer = client_of(world.maintainer).get(f"{world.page}compare/")
    assert "not compared" in page(answer)
    assert "staging only" in page(answer).lower()
    assert not AuditEvent.objects.filter(verb="secrets.compared").exists()


def test_the_page_compares_by_a_form(world: World, production: SecretsFile) -> None:
    answer = client_of(world.maintainer).post(f"{world.page}compare/")
    text = page(answer)
    assert "1 value of production is the same elsewhere: TOKEN" in text
    assert "Different" in text
    assert f"?place=app/URL&amp;to={production.pk}" in answer.content.decode().replace("%2F", "/")
    assert "no-store" in answer["Cache-Control"]
    for value in (CANARY, LIVE, b64(CANARY), b64(LIVE)):
        assert value not in answer.content.decode()


def test_who_may_neither_reveal_nor_edit_cannot_test_a_guess(world: World, production: SecretsFile) -> None:
    with pytest.raises(Refused) as caught:
        lines(world, world.deployer)  # may edit in staging only
    assert caught.value.code == "secret-right"
    answer = client_of(world.deployer).post(f"{world.page}compare/")
    assert answer.status_code == 422
    assert "Compare now" not in page(answer)
    assert "Same" not in page(answer).replace("are the same", "")
    assert not AuditEvent.objects.filter(verb="secrets.compared").exists()


def test_a_third_environment_that_is_not_theirs_takes_no_part(world: World, production: SecretsFile) -> None:
    third = other_file(world, f"{HEAD}data:\n  TOKEN: {b64(CANARY)}\n", slug="preview", is_production=False)
    Environment.objects.filter(pk=third.environment_id).update(secret_rights=RIGHTS)
    learn(third, look_again(third).current_version)
    found = lines(world, world.deployer)["TOKEN"]
    assert {cell.column.environment.slug: cell.letter for cell in found.cells} == {
        "staging": "A", "preview": "A", "production": "",
    }  # fmt: skip
    assert (found.result, found.shared) == ("untold", False)


def test_names_that_are_not_theirs_are_no_column(world: World, production: SecretsFile) -> None:
    Environment.objects.filter(pk=production.environment_id).update(secret_rights={"names": "maintainer"})
    text = page(client_of(world.viewer).get(f"{world.page}compare/"))
    assert "You may not see the names of its keys" in text


def test_a_secret_of_another_team_asks_for_the_right_there(world: World, production: SecretsFile) -> None:
    elsewhere = make.make_environment(make.make_project(slug="other"), slug="live")
    make.make_secrets_file(elsewhere, secret_id=production.secret_id)
    with pytest.raises(Refused):
        lines(world, world.maintainer)


def test_aws_away_is_told_in_the_column(world: World, production: SecretsFile, no_aws: None) -> None:
    (table,) = compare(person(world.maintainer), world.environment)
    assert [bool(column.problem) for column in table.columns] == [True, True]


def test_queries_do_not_grow_with_keys(world: World, production: SecretsFile) -> None:
    tab = client_of(world.maintainer)
    tab.get(f"{world.page}compare/")
    with CaptureQueriesContext(connection) as few:
        tab.get(f"{world.page}compare/")
    row = SecretVersion.objects.get(version_id=world.version)
    row.keys += [{**row.keys[0], "key": f"K{at}"} for at in range(60)]
    row.save()
    with CaptureQueriesContext(connection) as many:
        assert "K59" in page(tab.get(f"{world.page}compare/"))
    assert len(many) == len(few)


# Copying


def test_a_copy_waits_in_the_draft_of_the_target_and_is_saved_as_a_copy(
    world: World, production: SecretsFile
) -> None:
    tab = client_of(world.maintainer)
    address = world.url("copy")
    assert "Copy into my changes" in page(tab.get(f"{address}?place=app/OLD&to={production.pk}"))
    answer = tab.post(address, {"place": "app/OLD", "to": production.pk})
    assert answer.status_code == 302, page(answer)
    assert "/production/secrets/" in answer["Location"]
    (edit,) = draft_of(world.maintainer, secret_of(production)).edits
    assert (edit.secret, edit.key, edit.do, edit.value) == ("app-live", "OLD", "add", b"of-old-times")
    tab.post(address, {"place": "app/OLD", "to": production.pk})
    assert len(draft_of(world.maintainer, secret_of(production)).edits) == 1
    review = f"/projects/{world.environment.project.slug}/production/secrets/{production.pk}/review/"
    assert "of-old-times" not in page(tab.get(review))
    tab.post(review, {"comment": "as in staging", "save_id": str(uuid.uuid4())})
    row = SecretVersion.objects.exclude(source="outside").get()
    assert (row.source, row.state, row.touched) == ("copy", "stored", {"added": ["app-live/OLD"]})
    event = AuditEvent.objects.filter(verb="secrets.copied").first()
    assert event is not None
    assert event.data["to"] == production.environment.label
    assert "of-old-times" not in str(list(AuditEvent.objects.values()))


def test_out_of_production_only_with_a_reason_and_a_fresh_sign_in(
    world: World, production: SecretsFile, settings: Any
) -> None:
    tab = client_of(world.maintainer)
    address = f"/projects/{world.environment.project.slug}/production/secrets/{production.pk}/copy/"
    asked = {"place": "app-live/URL", "to": world.file.pk}
    assert tab.post(address, asked).status_code == 422
    answer = tab.post(address, {**asked, "reason": "same host"})
    assert "/reauthenticate/" in answer["Location"]
    assert not AuditEvent.objects.filter(verb="secrets.copied").exists()
    with pytest.raises(Refused):
        copy(person(world.maintainer), production, world.file, ("app-live", "URL"), secrets=[])
    copy(
        person(world.maintainer), production, world.file, ("app-live", "URL"), reason="same host", secrets=[]
    )
    (edit,) = draft_of(world.maintainer, secret_of(world.file)).edits
    assert (edit.place, edit.do, edit.value) == (("app", "URL"), "set", LIVE.encode())


def test_reveal_here_and_edit_there_are_needed(world: World, production: SecretsFile) -> None:
    with pytest.raises(Refused):  # may not edit production
        copy(person(world.deployer), world.file, production, ("app", "OLD"), secrets=[])
    with pytest.raises(Refused):  # may not reveal production
        copy(person(world.deployer), production, world.file, ("app-live", "URL"), reason="x", secrets=[])
    tab = client_of(world.deployer)
    assert "no other secrets file" in page(tab.get(f"{world.url('copy')}?place=app/OLD"))
    assert tab.post(world.url("copy"), {"place": "app/OLD", "to": production.pk}).status_code == 422
    assert not draft_of(world.deployer, secret_of(production)).edits


def test_another_project_is_no_target(world: World, production: SecretsFile) -> None:
    elsewhere = make.make_environment(make.make_project(slug="other"), slug="live")
    file = make.make_secrets_file(elsewhere, secret_id=f"slipway/{uuid.uuid4().hex}/live")
    make.grant(world.maintainer, Role.MAINTAINER, elsewhere.project)
    assert (
        client_of(world.maintainer).post(world.url("copy"), {"place": "app/OLD", "to": file.pk}).status_code
        == 422
    )
    with pytest.raises(Refused):
        copy(person(world.maintainer), world.file, file, ("app", "OLD"), secrets=[])


def test_the_page_offers_a_copy_where_a_key_is_missing(
    world: World, production: SecretsFile, git: Outside
) -> None:
    text = client_of(world.maintainer).get(f"{world.page}compare/").content.decode()
    assert f"?place=app/OLD&amp;to={production.pk}" in text.replace("%2F", "/")


def test_the_marks_of_equal_values_go_on_behind_z() -> None:
    """With two groups of one mark, different values would be told to be the same."""
    marks = [letter_of(number) for number in range(800)]
    assert [marks[at] for at in (0, 25, 26, 27, 51, 52, 701, 702)] == [
        "A",
        "Z",
        "AA",
        "AB",
        "AZ",
        "BA",
        "ZZ",
        "AAA",
    ]
    assert len(set(marks)) == 800


def test_what_aws_does_not_give_is_not_called_somebody_else_s(
    world: World, production: SecretsFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = client_of(world.maintainer)
    assert client.post(f"{world.page}compare/").status_code == 200
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    text = client.post(f"{world.page}compare/").content.decode()
    assert "not compared" in text
    assert "not yours to compare" not in text
