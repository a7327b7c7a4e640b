"""Both forms of a secrets file, in an AWS as moto plays it: in the preview, a deploy, the secrets alone, a rollback."""

from __future__ import annotations

import json
import uuid
from typing import Any

import boto3
import pytest
from django.core.cache import cache

from adapters.aws.secrets_manager import SecretsManager
from audit.actors import person
from deployments.gate import requests, secrets_alone
from deployments.models import Deploy
from deployments.preparation.preview import preview
from projects import connections
from runs.models import State
from tests.adapters.conftest import moto_url  # noqa: F401  (a fixture)
from tests.deployments.driven import FLAT, OTHER, OTHER_FLAT, drive, reader, said, without_cluster  # noqa: F401
from tests.deployments.outside import POPULATED, REFERENCE, Outside, commit
from tests.factories import make_secrets_file

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("without_cluster", "pushed")]
REGION = "eu-west-2"
FORMS = {"file": (POPULATED, OTHER), "flat": (FLAT, OTHER_FLAT)}


class Aws:
    """A secret, written as another program would."""

    def __init__(self, url: str) -> None:
        self.api = boto3.client("secretsmanager", region_name=REGION, endpoint_url=url)
        self.name = f"shop/{uuid.uuid4()}"

    def store(self, text: str) -> str:
        try:
            return self.api.put_secret_value(SecretId=self.name, SecretString=text)["VersionId"]
        except self.api.exceptions.ResourceNotFoundException:
            return self.api.create_secret(Name=self.name, SecretString=text)["VersionId"]


@pytest.fixture
def aws(moto_url: str, outside: Outside, monkeypatch: pytest.MonkeyPatch) -> Aws:  # noqa: F811
    cache.clear()
    monkeypatch.setattr(
        connections, "SecretsManager", lambda *_, **__: SecretsManager(REGION, endpoint_url=moto_url)
    )
    return Aws(moto_url)


@pytest.fixture
def place(environment: Any, outside: Outside, aws: Aws) -> Any:
    make_secrets_file(environment, path="secret.yaml", secret_id=aws.name)
    outside.files |= {"secret.yaml": REFERENCE, "web.yaml": reader("web")}
    return environment


def deployed(deployer: Any, place: Any) -> Deploy:
    answer = requests.request_deploy(person(deployer), environment=place, revision="main")
    return ended(answer.deploy)


def ended(deploy: Deploy) -> Deploy:
    done = drive(deploy)
    assert done.state == State.SUCCEEDED, done.result
    assert "canary" not in said(done)
    return done


def keys(deploy: Deploy) -> dict[str, str]:
    """The digests of the Secret's values in a release."""
    assert deploy.release is not None
    (found,) = [entry["secret"] for entry in deploy.release.stored_objects if "secret" in entry]
    assert found["ref"].endswith("/app")
    return dict(found["keys"])


@pytest.mark.parametrize("form", FORMS)
def test_from_the_preview_to_the_rollback(place: Any, deployer: Any, aws: Aws, form: str) -> None:
    text, other = FORMS[form]
    first = aws.store(text)
    shown = preview(place, commit("c"))
    assert (shown.errors, dict(shown.secret_versions)) == ((), {"secret.yaml": first})
    assert "canary" not in repr(shown)
    one = deployed(deployer, place)
    assert one.secret_versions == {"secret.yaml": first}
    second = aws.store(other)
    assert [(c.key, c.kind) for c in preview(place, commit("c")).secret_changes] == [("TOKEN", "changed")]
    alone = secrets_alone.request_secrets_deploy(person(deployer), environment=place)
    two = ended(alone.deploy)
    assert (two.secret_versions, list(keys(two)), keys(two) == keys(one)) == (
        {"secret.yaml": second}, ["TOKEN"], False,
    )  # fmt: skip
    back = ended(requests.request_rollback(person(deployer), environment=place, target=one).deploy)
    assert (back.release, back.secret_versions) == (one.release, {"secret.yaml": first})


def test_the_form_may_change_and_the_values_count(place: Any, deployer: Any, aws: Aws) -> None:
    aws.store(POPULATED)
    one = deployed(deployer, place)
    aws.store(FLAT)
    assert preview(place, commit("c")).secret_changes == ()
    two = deployed(deployer, place)
    assert keys(two) == keys(one)
    ended(requests.request_rollback(person(deployer), environment=place, target=one).deploy)


def test_a_flat_file_lacks_keys_like_any_other(place: Any, deployer: Any, aws: Aws) -> None:
    aws.store(json.dumps({"OTHER": "canary-value"}))
    answer = requests.request_deploy(person(deployer), environment=place, revision="main")
    done = drive(answer.deploy)
    assert done.state == State.FAILED
    assert done.result.startswith("The secrets file secret.yaml lacks 1 key of its reference file.")


def test_two_secrets_in_the_reference_file_are_refused(
    place: Any, deployer: Any, aws: Aws, outside: Outside
) -> None:
    outside.files["secret.yaml"] = REFERENCE + b"---\n" + REFERENCE.replace(b"name: app", b"name: more")
    aws.store(FLAT)
    (found,) = preview(place, commit("c")).errors
    assert "stands for one Secret, but the reference file holds 2 Secrets" in found.text
