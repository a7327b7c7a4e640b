"""Names of secret keys in previews and logs: for those who may see them; others are told how many. And which deploy used
which version."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from core.redactor import redacting
from core.secret_values import digest
from deployments.models import compress
from deployments.pipeline.stages import WorkMeans
from deployments.preparation.preflight import check_secrets_files
from deployments.preparation.preparation import Fresh, Stored
from deployments.preparation.preview import PageMeans, preview
from engine.errors import SlipwayError
from engine.manifests.secretfiles import parse_secrets_file
from engine.manifests.stored import to_stored
from projects.models import Environment
from projects.secret_files import Fetched
from secrets_ui.known.uses import note_served, note_use, serving
from secrets_ui.models import Secret, SecretVersion, VersionUse
from tests.deployments.outside import POPULATED, REFERENCE, VERSION, Outside, commit
from tests.factories import make_release, make_secrets_file

pytestmark = pytest.mark.django_db
ODD = "apiVersion: v1\nkind: Secret\nmetadata:\n  name: app\nstringData:\n  EXTRA_ONE: v\n  EXTRA_TWO: changeme\n"
BROKEN = "apiVersion: v1\nkind: Secret\nmetadata:\n  name: app\ndata:\n  EXTRA_ONE: '%'\n"
NAMES = ("TOKEN", "EXTRA_ONE", "EXTRA_TWO")
ARN = "arn:aws:secretsmanager:eu-west-2:123456789012:secret:app-AbCdEf"


@pytest.fixture
def secretive(environment: Environment, outside: Outside) -> Environment:
    """Only deployers may see names there."""
    make_secrets_file(environment, path="secret.yaml", secret_id="app")
    outside.files["secret.yaml"] = REFERENCE
    outside.secrets["app"] = ODD
    environment.secret_rights = {"names": "deployer"}
    environment.save()
    return environment


def everything(made: Any) -> str:
    return str([made.findings, made.changes, made.secret_changes])


@pytest.mark.parametrize("text", [ODD, BROKEN])
def test_a_preview_names_no_keys_for_those_who_may_not_see_them(
    secretive: Environment, outside: Outside, text: str
) -> None:
    outside.secrets["app"] = text
    shown = everything(preview(secretive, commit("c"), names=True))
    hidden = everything(preview(secretive, commit("c"), names=False))
    assert "EXTRA_ONE" in shown
    assert [name for name in NAMES if name in hidden] == []


def test_counts_stand_in_for_names(secretive: Environment) -> None:
    documents = [parse_secrets_file(text, path="secret.yaml") for text in (REFERENCE.decode(), ODD)]
    fetched = Fetched("secret.yaml", "v", tuple(documents[1]))
    found = check_secrets_files(secretive, documents[0], [fetched], names=False)
    assert [finding.text for finding in found] == [
        "The secrets file lacks 1 key.",
        "The secrets file has 2 keys that the reference file lacks.",
        "A placeholder still stands in 1 key.",
    ]


def test_a_log_is_for_everybody_so_that_its_names_are_the_viewers_right(secretive: Environment) -> None:
    class Work:
        environment = secretive

    assert WorkMeans(Work()).names is False  # type: ignore[arg-type]
    secretive.secret_rights = {"names": "viewer"}
    assert WorkMeans(Work()).names is True  # type: ignore[arg-type]


@pytest.mark.parametrize("names", [True, False])
def test_a_rollback_whose_values_changed_names_keys_only_for_those(
    secretive: Environment, outside: Outside, names: bool
) -> None:
    made = Fresh(secretive, "c" * 40, PageMeans(secretive))
    outside.secrets["app"] = POPULATED
    with redacting():
        for step in (made.checkout, made.secrets, made.render):
            step()
    objects = to_stored(made.manifests, digest=digest, version_ids={"secret.yaml": VERSION})
    release = make_release(
        secretive, objects_compressed=compress(objects), secret_versions={"secret.yaml": VERSION}
    )
    outside.secrets["app"] = POPULATED.replace("Y2FuYXJ5", "Y2FuYXJ6")
    stored = Stored(secretive, release, PageMeans(secretive, names=names))
    with redacting(), pytest.raises(SlipwayError) as caught:
        for step in (stored.checkout, stored.secrets, stored.render):
            step()
    assert ("TOKEN" in caught.value.message) is names


def test_the_preview_page_asks_for_the_viewer_s_right(
    secretive: Environment, outside: Outside, deployer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = Client()
    client.force_login(deployer)
    address = f"/projects/{secretive.project.slug}/staging/deploy/preview/?revision={'c' * 40}"
    assert "EXTRA_ONE" in client.get(address).content.decode()
    Environment.objects.update(secret_rights={"names": "maintainer", "reveal": "maintainer"})
    text = client.get(address).content.decode()
    assert [name for name in NAMES if name in text] == []
    assert "lacks 1 key" in text


def fetched(version: str, value: str = "a-value-of-it") -> Fetched:
    text = ODD.replace(": v\n", f": {value}\n")
    return Fetched("secret.yaml", version, tuple(parse_secrets_file(text, path="secret.yaml")), ARN)


def test_a_deploy_keeps_which_version_it_used_and_what_may_be_shown_of_it(secretive: Environment) -> None:
    with redacting():
        for _ in range(2):  # a worker that takes over does it again
            note_use(secretive, 7, [fetched("v1")], pinned=False)
        note_use(secretive, 8, [fetched("v2", "another")], pinned=False)
        note_use(secretive, 9, [fetched("v0")], pinned=True)
    secret = Secret.objects.get(arn=ARN)
    assert [use.version_id for use in VersionUse.objects.order_by("pk")] == ["v1", "v2", "v0"]
    assert serving(secretive, [secret]) == {}
    note_served(7)
    note_served(8)
    assert serving(secretive, [secret])[secret.pk].deploy_number == 8
    rows = {row.version_id: row for row in SecretVersion.objects.all()}
    assert [key["key"] for key in rows["v1"].keys] == ["EXTRA_ONE", "EXTRA_TWO"]
    assert "another" not in str([row.keys for row in rows.values()])
    assert rows["v2"].touched == {"changed": ["app/EXTRA_ONE"]}
    assert (rows["v0"].base_version, rows["v0"].touched) == ("", {})
    assert Secret.objects.get().current_version == ""  # AWS was not asked which one is


def test_a_file_that_was_taken_out_of_the_settings_is_passed_over(secretive: Environment) -> None:
    secretive.secrets_files.all().delete()
    note_use(secretive, 7, [fetched("v1")], pinned=True)
    assert not VersionUse.objects.exists()
