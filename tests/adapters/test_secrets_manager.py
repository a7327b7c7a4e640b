"""Versions and texts of secrets, against moto's server."""

from __future__ import annotations

import uuid
from datetime import UTC

import boto3
import pytest

from adapters.aws.secrets_manager import SecretsManager
from adapters.errors import Denied, Invalid, NotFound


@pytest.fixture
def admin(moto_url: str):
    """The other side: boto3 itself, which writes what the adapter reads."""
    return boto3.client("secretsmanager", region_name="eu-west-2", endpoint_url=moto_url)


@pytest.fixture
def secrets(moto_url: str) -> SecretsManager:
    return SecretsManager("eu-west-2", endpoint_url=moto_url)


@pytest.fixture
def name() -> str:
    return f"shop/staging/{uuid.uuid4()}"


def test_current_and_pinned_versions(admin, secrets, name) -> None:
    first = admin.create_secret(Name=name, SecretString="one")["VersionId"]
    assert secrets.current_version(name) == first
    second = admin.put_secret_value(SecretId=name, SecretString="two\r\nüber")["VersionId"]
    assert secrets.current_version(name) == second
    current = secrets.get(name)
    assert (current.version_id, current.text) == (second, "two\r\nüber")
    assert current.created_at.tzinfo is UTC
    assert secrets.get(name, first).text == "one"


def test_moved_label_is_followed(admin, secrets, name) -> None:
    """A rollback in AWS moves AWSCURRENT; a read that names neither version nor label may return the old one."""
    first = admin.create_secret(Name=name, SecretString="one")["VersionId"]
    second = admin.put_secret_value(SecretId=name, SecretString="two")["VersionId"]
    admin.update_secret_version_stage(
        SecretId=name, VersionStage="AWSCURRENT", MoveToVersionId=first, RemoveFromVersionId=second
    )
    assert secrets.current_version(name) == first
    assert secrets.get(name).text == "one"


def test_facts_without_the_value(admin, secrets, name) -> None:
    arn = admin.create_secret(Name=name, SecretString="one")["ARN"]
    facts = secrets.describe(name)
    assert (facts.name, facts.arn, facts.deleted_at) == (name, arn, None)
    assert facts.versions == {facts.current_version: ("AWSCURRENT",)}
    assert secrets.describe(arn) == facts
    assert secrets.exists(name) is True
    assert secrets.exists(name + "-no") is False


def test_secret_without_a_value_yet(admin, secrets, name) -> None:
    admin.create_secret(Name=name)
    assert secrets.describe(name).current_version == ""
    with pytest.raises(NotFound, match="holds no value yet"):
        secrets.current_version(name)
    with pytest.raises(NotFound):
        secrets.get(name)


def test_missing_ones_are_named_with_the_region(admin, secrets, name) -> None:
    with pytest.raises(NotFound, match=f"no secret “{name}”.*eu-west-2"):
        secrets.get(name)
    with pytest.raises(NotFound, match="eu-west-2"):
        secrets.current_version(name)
    admin.create_secret(Name=name, SecretString="one")
    unknown = str(uuid.uuid4())
    with pytest.raises(NotFound, match=unknown):
        secrets.get(name, unknown)


def test_deleted_secret(admin, secrets, name) -> None:
    admin.create_secret(Name=name, SecretString="one")
    admin.delete_secret(SecretId=name)
    assert secrets.exists(name) is False
    assert secrets.describe(name).deleted_at is not None
    for call in (secrets.get, secrets.current_version):
        with pytest.raises(NotFound, match="scheduled for deletion") as caught:
            call(name)
        assert "Restore" in caught.value.hint


def test_binary_is_explained(admin, secrets, name) -> None:
    admin.create_secret(Name=name, SecretBinary=b"\x00\x01")
    with pytest.raises(Invalid, match="binary") as caught:
        secrets.get(name)
    assert "SecretString" in caught.value.hint


def test_refusal_names_the_rights(stub) -> None:
    stub.say(400, {"__type": "AccessDeniedException", "Message": "User x is not authorized to perform: y"})
    with pytest.raises(Denied, match="AWS refused to read the secret “x/y”") as caught:
        SecretsManager("eu-west-2", endpoint_url=stub.url).get("x/y")
    assert "GetSecretValue" in caught.value.hint
    assert "User x is not authorized" in caught.value.hint
