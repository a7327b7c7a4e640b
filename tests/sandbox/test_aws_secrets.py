"""Secrets Manager as the sandbox serves it: where moto differs from AWS, it was mended; and it remembers."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.sandbox.ends import Aws, running_aws


@pytest.fixture
def secrets(aws: Aws) -> Any:
    return aws.client("secretsmanager")


@pytest.fixture
def name() -> str:
    return f"test/{uuid.uuid4().hex}"


def stages(secrets: Any, name: str) -> dict[str, list[str]]:
    return secrets.describe_secret(SecretId=name)["VersionIdsToStages"]


def code_of(error: pytest.ExceptionInfo[ClientError]) -> str:
    return error.value.response["Error"]["Code"]


def test_reading_without_a_label_follows_a_moved_label(secrets: Any, name: str) -> None:
    first = secrets.create_secret(Name=name, SecretString="one")["VersionId"]
    second = secrets.put_secret_value(SecretId=name, SecretString="two")["VersionId"]
    secrets.update_secret_version_stage(
        SecretId=name, VersionStage="AWSCURRENT", MoveToVersionId=first, RemoveFromVersionId=second
    )
    assert secrets.get_secret_value(SecretId=name)["SecretString"] == "one"
    assert stages(secrets, name) == {first: ["AWSCURRENT"], second: ["AWSPREVIOUS"]}
    batch = secrets.batch_get_secret_value(SecretIdList=[name])["SecretValues"]
    assert [value["SecretString"] for value in batch] == ["one"]


def test_a_put_after_a_moved_label_leaves_one_current_version(secrets: Any, name: str) -> None:
    first = secrets.create_secret(Name=name, SecretString="one")["VersionId"]
    second = secrets.put_secret_value(SecretId=name, SecretString="two")["VersionId"]
    secrets.update_secret_version_stage(
        SecretId=name, VersionStage="AWSCURRENT", MoveToVersionId=first, RemoveFromVersionId=second
    )
    third = secrets.put_secret_value(SecretId=name, SecretString="three")["VersionId"]
    assert stages(secrets, name) == {third: ["AWSCURRENT"], first: ["AWSPREVIOUS"]}


def test_only_who_started_from_the_current_version_may_move_its_label(secrets: Any, name: str) -> None:
    base = secrets.create_secret(Name=name, SecretString="base")["VersionId"]
    mine = secrets.put_secret_value(SecretId=name, SecretString="mine", VersionStages=["PENDING"])[
        "VersionId"
    ]
    secrets.put_secret_value(SecretId=name, SecretString="theirs")
    with pytest.raises(ClientError) as error:
        secrets.update_secret_version_stage(
            SecretId=name, VersionStage="AWSCURRENT", MoveToVersionId=mine, RemoveFromVersionId=base
        )
    assert code_of(error) == "InvalidParameterException"
    assert secrets.get_secret_value(SecretId=name)["SecretString"] == "theirs"


def test_a_label_of_ones_own_sits_on_one_version_only(secrets: Any, name: str) -> None:
    secrets.create_secret(Name=name, SecretString="base")
    first = secrets.put_secret_value(SecretId=name, SecretString="1", VersionStages=["PENDING"])["VersionId"]
    second = secrets.put_secret_value(SecretId=name, SecretString="2", VersionStages=["PENDING"])["VersionId"]
    assert stages(secrets, name)[second] == ["PENDING"]
    assert first not in stages(secrets, name)
    with pytest.raises(ClientError) as error:
        secrets.update_secret_version_stage(SecretId=name, VersionStage="PENDING", MoveToVersionId=first)
    assert code_of(error) == "InvalidParameterException"


def test_versions_without_a_label_are_listed_only_when_asked_for(secrets: Any, name: str) -> None:
    arn = secrets.create_secret(Name=name, SecretString="0")["ARN"]
    for number in range(1, 6):
        secrets.put_secret_value(SecretId=name, SecretString=str(number))
    labelled = secrets.list_secret_version_ids(SecretId=name)
    assert labelled["ARN"] == arn
    assert len(labelled["Versions"]) == 2
    page = secrets.list_secret_version_ids(SecretId=name, IncludeDeprecated=True, MaxResults=4)
    rest = secrets.list_secret_version_ids(
        SecretId=name, IncludeDeprecated=True, MaxResults=4, NextToken=page["NextToken"]
    )
    assert (len(page["Versions"]), len(rest["Versions"])) == (4, 2)
    assert "NextToken" not in rest


@pytest.mark.parametrize(("size", "accepted"), [(65_536, True), (65_537, False)])
def test_a_value_has_at_most_64_kib(secrets: Any, name: str, size: int, accepted: bool) -> None:
    secrets.create_secret(Name=name, SecretString="small")
    if accepted:
        secrets.put_secret_value(SecretId=name, SecretString="x" * size)
        return
    with pytest.raises(ClientError) as error:
        secrets.put_secret_value(SecretId=name, SecretString="x" * size)
    assert code_of(error) == "ValidationException"


def test_a_secret_marked_deleted_takes_no_new_value(secrets: Any, name: str) -> None:
    secrets.create_secret(Name=name, SecretString="one")
    secrets.delete_secret(SecretId=name, RecoveryWindowInDays=7)
    with pytest.raises(ClientError) as error:
        secrets.put_secret_value(SecretId=name, SecretString="two")
    assert code_of(error) == "InvalidRequestException"


def test_what_does_not_exist_is_answered_as_aws_does(secrets: Any) -> None:
    with pytest.raises(ClientError) as error:
        secrets.get_secret_value(SecretId="absent")
    assert code_of(error) == "ResourceNotFoundException"
    assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400


def test_a_killed_end_comes_back_with_the_same_versions(tmp_path: Path) -> None:
    with running_aws(tmp_path / "state") as end:
        secrets = end.client("secretsmanager")
        secrets.create_secret(Name="kept", SecretString="one", Tags=[{"Key": "team", "Value": "shop"}])
        secrets.put_secret_value(SecretId="kept", SecretString="two")
        before = secrets.describe_secret(SecretId="kept")
    with running_aws(tmp_path / "state") as end:
        secrets = end.client("secretsmanager")
        after = secrets.describe_secret(SecretId="kept")
        assert after["VersionIdsToStages"] == before["VersionIdsToStages"]
        assert (after["ARN"], after["CreatedDate"], after["Tags"]) == (
            before["ARN"],
            before["CreatedDate"],
            before["Tags"],
        )
        old = next(v for v, labels in before["VersionIdsToStages"].items() if labels == ["AWSPREVIOUS"])
        assert secrets.get_secret_value(SecretId="kept", VersionId=old)["SecretString"] == "one"
    assert (tmp_path / "state" / "state.json").stat().st_mode & 0o077 == 0
