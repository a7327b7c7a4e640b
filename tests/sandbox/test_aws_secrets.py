"""Secrets Manager as the sandbox serves it: where moto differs from AWS, it was mended; and it remembers."""

from __future__ import annotations

import json
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


def put(secrets: Any, name: str, **more: Any) -> str:
    return secrets.put_secret_value(SecretId=name, SecretString=uuid.uuid4().hex, **more)["VersionId"]


def test_twenty_labels_over_all_versions(secrets: Any, name: str) -> None:
    first = secrets.create_secret(Name=name, SecretString="one")["VersionId"]
    for number in range(18):
        put(secrets, name, VersionStages=[f"L{number}"])
    put(secrets, name, VersionStages=["L0"])  # takes the label over
    second = put(secrets, name)  # AWSPREVIOUS is the twentieth
    with pytest.raises(ClientError) as error:
        put(secrets, name, VersionStages=["one too many"])
    assert code_of(error) == "LimitExceededException"
    with pytest.raises(ClientError) as error:
        secrets.update_secret_version_stage(SecretId=name, VersionStage="more", MoveToVersionId=first)
    assert code_of(error) == "LimitExceededException"
    secrets.update_secret_version_stage(
        SecretId=name, VersionStage="AWSCURRENT", MoveToVersionId=first, RemoveFromVersionId=second
    )
    with pytest.raises(ClientError) as error:
        put(secrets, name, VersionStages=["x" * 257])
    assert code_of(error) == "InvalidParameterException"


def test_both_kinds_of_value_at_once_are_refused(secrets: Any, name: str) -> None:
    with pytest.raises(ClientError) as error:
        secrets.create_secret(Name=name, SecretString="one", SecretBinary=b"two")
    assert code_of(error) == "InvalidParameterException"


@pytest.mark.parametrize("bad", ["with space", "x" * 513, "ü", "a:b"])
def test_names_have_rules(secrets: Any, bad: str) -> None:
    with pytest.raises(ClientError) as error:
        secrets.create_secret(Name=bad, SecretString="one")
    assert code_of(error) == "ValidationException"


def test_a_name_that_waits_for_its_deletion_is_not_free(secrets: Any, name: str) -> None:
    secrets.create_secret(Name=name, SecretString="one")
    secrets.delete_secret(SecretId=name, RecoveryWindowInDays=7)
    with pytest.raises(ClientError) as error:
        secrets.create_secret(Name=name, SecretString="two")
    assert code_of(error) == "InvalidRequestException"


def test_old_versions_are_cleaned_up_and_young_ones_are_not(tmp_path: Path) -> None:
    """A hundred versions within a day are the most; the day after, the oldest without a label make room."""
    with running_aws(tmp_path / "state") as end:
        secrets = end.client("secretsmanager")
        first = secrets.create_secret(Name="busy", SecretString="0")["VersionId"]
        labelled = put(secrets, "busy", VersionStages=["kept"])
        for _ in range(98):
            put(secrets, "busy")
        with pytest.raises(ClientError) as error:
            put(secrets, "busy")
        assert code_of(error) == "LimitExceededException"
        with pytest.raises(ClientError) as error:
            secrets.update_secret(SecretId="busy", SecretString="x")
        assert code_of(error) == "LimitExceededException"
    a_day_later(tmp_path / "state" / "state.json")
    with running_aws(tmp_path / "state") as end:
        secrets = end.client("secretsmanager")
        put(secrets, "busy")
        with pytest.raises(ClientError) as error:
            secrets.get_secret_value(SecretId="busy", VersionId=first)
        assert code_of(error) == "InvalidRequestException"
        assert "because it was deleted" in str(error.value)
        assert secrets.get_secret_value(SecretId="busy", VersionId=labelled)["SecretString"]
    with running_aws(tmp_path / "state") as end:
        secrets = end.client("secretsmanager")
        with pytest.raises(ClientError) as error:
            secrets.get_secret_value(SecretId="busy", VersionId=first)
        assert code_of(error) == "InvalidRequestException"
        listed = secrets.list_secret_version_ids(SecretId="busy", IncludeDeprecated=True)["Versions"]
        assert first not in [version["VersionId"] for version in listed]
        assert len(listed) == 100


def a_day_later(state: Path) -> None:
    """Makes every version a day older."""
    kept = json.loads(state.read_text())
    for region in kept.values():
        for secret in region["secrets"]:
            for version in secret["versions"].values():
                version["createdate"] -= 86_500
    state.write_text(json.dumps(kept))
