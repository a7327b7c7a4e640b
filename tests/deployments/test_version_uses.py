"""Deploys store which versions of the secrets files they used."""

from __future__ import annotations

import pytest

from core.redactor import redacting
from engine.manifests.secretfiles import parse_secrets_file
from projects.models import Environment
from projects.secret_files import Fetched
from secrets_ui.known.uses import note_served, note_use, serving
from secrets_ui.models import Secret, SecretVersion, VersionUse
from tests.factories import make_secrets_file

pytestmark = pytest.mark.django_db
ODD = "apiVersion: v1\nkind: Secret\nmetadata:\n  name: app\nstringData:\n  EXTRA_ONE: v\n  EXTRA_TWO: changeme\n"
ARN = "arn:aws:secretsmanager:eu-west-2:123456789012:secret:app-AbCdEf"


@pytest.fixture
def with_file(environment: Environment) -> Environment:
    make_secrets_file(environment, path="secret.yaml", secret_id="app")
    return environment


def fetched(version: str, value: str = "a-value-of-it") -> Fetched:
    text = ODD.replace(": v\n", f": {value}\n")
    return Fetched("secret.yaml", version, tuple(parse_secrets_file(text, path="secret.yaml")), ARN)


def test_a_deploy_keeps_which_version_it_used_and_what_may_be_shown_of_it(with_file: Environment) -> None:
    with redacting():
        for _ in range(2):  # a worker that takes over does it again
            note_use(with_file, 7, [fetched("v1")], pinned=False)
        note_use(with_file, 8, [fetched("v2", "another")], pinned=False)
        note_use(with_file, 9, [fetched("v0")], pinned=True)
    secret = Secret.objects.get(arn=ARN)
    assert [use.version_id for use in VersionUse.objects.order_by("pk")] == ["v1", "v2", "v0"]
    assert serving(with_file, [secret]) == {}
    note_served(7)
    note_served(8)
    assert serving(with_file, [secret])[secret.pk].deploy_number == 8
    rows = {row.version_id: row for row in SecretVersion.objects.all()}
    assert [key["key"] for key in rows["v1"].keys] == ["EXTRA_ONE", "EXTRA_TWO"]
    assert "another" not in str([row.keys for row in rows.values()])
    assert rows["v2"].touched == {"changed": ["app/EXTRA_ONE"]}
    assert (rows["v0"].base_version, rows["v0"].touched) == ("", {})
    assert Secret.objects.get().current_version == ""  # AWS was not asked which one is


def test_a_file_that_was_taken_out_of_the_settings_is_passed_over(with_file: Environment) -> None:
    with_file.secrets_files.all().delete()
    note_use(with_file, 7, [fetched("v1")], pinned=True)
    assert not VersionUse.objects.exists()


def test_keys_of_a_flat_object_stand_in_no_secret(with_file: Environment) -> None:
    document = parse_secrets_file(ODD, path="secret.yaml")
    with redacting():
        note_use(with_file, 7, [Fetched("secret.yaml", "v1", tuple(document), ARN, flat=True)], pinned=False)
    assert {key["secret"] for key in SecretVersion.objects.get().keys} == {""}
