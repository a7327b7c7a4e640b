"""ECR and its registry as the sandbox serves them: tokens live and expire, digests are those of the manifests."""

from __future__ import annotations

import base64
import hashlib
import json
import time
import urllib.error
import urllib.request
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from sandbox.aws.images import Published, connect, publish_image
from sandbox.aws.orders import ECR, give_order
from sandbox.aws.tokens import Tokens, TokenState
from tests.sandbox.ends import Aws, running_aws

LABELS = {"slipway.sandbox/behaviour": "crash", "slipway.sandbox/log": "one\ntwo"}


def ask(url: str, authorization: str = "", method: str = "GET") -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of an answer of the registry."""
    headers = {"Authorization": f"Basic {authorization}"} if authorization else {}
    try:
        with urllib.request.urlopen(
            urllib.request.Request(url, headers=headers, method=method), timeout=5
        ) as answer:
            return answer.status, dict(answer.headers), answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, dict(error.headers), error.read()


def token_of(aws: Aws) -> dict[str, Any]:
    return aws.client("ecr").get_authorization_token()["authorizationData"][0]


@pytest.fixture
def repository(aws: Aws) -> str:
    name = f"team/{uuid.uuid4().hex[:8]}"
    aws.client("ecr").create_repository(repositoryName=name)
    return name


@pytest.fixture
def image(aws: Aws, repository: str) -> Published:
    return publish_image(connect(aws.url), repository, ("abc1234", "latest"), LABELS)


def test_a_token_lives_twelve_hours_and_names_the_registry(aws: Aws) -> None:
    token = token_of(aws)
    left = token["expiresAt"] - datetime.now(UTC)
    assert timedelta(hours=11, minutes=59) < left <= timedelta(hours=12)
    assert token["proxyEndpoint"] == aws.url
    assert base64.b64decode(token["authorizationToken"]).startswith(b"AWS:")
    assert token_of(aws)["authorizationToken"] != token["authorizationToken"]


def test_the_registry_opens_to_a_token_only(aws: Aws, image: Published) -> None:
    url = f"{aws.url}/v2/{image.repository}/manifests/abc1234"
    status, headers, _ = ask(url)
    assert status == 401
    assert headers["WWW-Authenticate"].startswith("Basic realm=")
    assert ask(url, base64.b64encode(b"AWS:guessed").decode())[0] == 401
    assert ask(url, base64.b64encode(b"me:" + b"x" * 40).decode())[0] == 401
    assert ask(url, token_of(aws)["authorizationToken"])[0] == 200


def test_an_expired_token_is_told_so(tmp_path: Path) -> None:
    with running_aws(tmp_path / "state", token_lifetime=4) as end:
        token = token_of(end)["authorizationToken"]
        assert ask(f"{end.url}/v2/", token)[0] == 200
        time.sleep(4.1)
        status, _, body = ask(f"{end.url}/v2/", token)
    assert status == 403
    assert body.startswith(b"Your Authorization Token has expired")


def test_a_token_survives_a_restart(tmp_path: Path) -> None:
    with running_aws(tmp_path / "state") as end:
        token = token_of(end)["authorizationToken"]
    with running_aws(tmp_path / "state") as end:
        assert ask(f"{end.url}/v2/", token)[0] == 200


def test_tokens_end_by_the_clock() -> None:
    now = 1000.0
    tokens = Tokens(b"key", lifetime=60, clock=lambda: now)
    token = tokens.issue()
    assert token.expires_at == 1060
    assert tokens.check(token.password) is TokenState.VALID
    now = 1060.0
    assert tokens.check(token.password) is TokenState.EXPIRED
    assert Tokens(b"other", clock=lambda: 0.0).check(token.password) is TokenState.INVALID
    assert tokens.check("") is TokenState.INVALID


def test_a_published_image_is_known_to_both_sides(aws: Aws, image: Published) -> None:
    token = token_of(aws)["authorizationToken"]
    status, headers, body = ask(f"{aws.url}/v2/{image.repository}/manifests/latest", token)
    assert status == 200
    assert headers["Docker-Content-Digest"] == image.digest == "sha256:" + hashlib.sha256(body).hexdigest()
    assert headers["Content-Type"] == "application/vnd.oci.image.manifest.v1+json"
    assert ask(f"{aws.url}/v2/{image.repository}/manifests/{image.digest}", token)[2] == body
    head = ask(f"{aws.url}/v2/{image.repository}/manifests/latest", token, "HEAD")
    assert (head[0], head[2], head[1]["Content-Length"]) == (200, b"", str(len(body)))
    manifest = json.loads(body)
    config = json.loads(
        ask(f"{aws.url}/v2/{image.repository}/blobs/{manifest['config']['digest']}", token)[2]
    )
    assert config["config"]["Labels"] == LABELS
    known = aws.client("ecr").describe_images(
        repositoryName=image.repository, imageIds=[{"imageTag": "latest"}]
    )
    details = known["imageDetails"][0]
    assert details["imageDigest"] == image.digest
    assert sorted(details["imageTags"]) == ["abc1234", "latest"]
    assert details["imageStatus"] == "ACTIVE"
    assert details["imageSizeInBytes"] == manifest["config"]["size"] + manifest["layers"][0]["size"]


def test_publishing_again_changes_nothing_and_a_tag_can_move(aws: Aws, image: Published) -> None:
    registry = connect(aws.url)
    assert publish_image(registry, image.repository, ("abc1234",), LABELS).digest == image.digest
    other = publish_image(registry, image.repository, ("latest",), {"slipway.sandbox/behaviour": "ready"})
    tags = aws.client("ecr").describe_images(repositoryName=image.repository)["imageDetails"]
    assert {d["imageDigest"]: d["imageTags"] for d in tags} == {
        image.digest: ["abc1234"],
        other.digest: ["latest"],
    }


def test_what_is_missing_is_named(aws: Aws, image: Published) -> None:
    token = token_of(aws)["authorizationToken"]

    def code(path: str) -> tuple[int, str]:
        status, _, body = ask(f"{aws.url}/v2/{path}", token)
        return status, json.loads(body)["errors"][0]["code"]

    assert code(f"{image.repository}/manifests/absent") == (404, "MANIFEST_UNKNOWN")
    assert code(f"{image.repository}/manifests/sha256:{'0' * 64}") == (404, "MANIFEST_UNKNOWN")
    assert code(f"{image.repository}/blobs/sha256:{'0' * 64}") == (404, "BLOB_UNKNOWN")
    assert code("team/absent/manifests/latest") == (404, "NAME_UNKNOWN")


@pytest.mark.parametrize("path", ["../token.key", "sha256:../../token.key", "..%2Ftoken.key"])
def test_no_path_leads_out_of_the_blobs(aws: Aws, image: Published, path: str) -> None:
    status, _, body = ask(
        f"{aws.url}/v2/{image.repository}/blobs/{path}", token_of(aws)["authorizationToken"]
    )
    assert status == 404
    assert (aws.directory / "token.key").read_bytes() not in body


def test_images_survive_a_kill(tmp_path: Path) -> None:
    with running_aws(tmp_path / "state") as end:
        end.client("ecr").create_repository(repositoryName="kept")
        image = publish_image(connect(end.url), "kept", ("v1",), LABELS)
        before = end.client("ecr").describe_images(repositoryName="kept")["imageDetails"]
        port = int(end.url.rpartition(":")[2])
    with running_aws(tmp_path / "state", port=port) as end:
        assert end.client("ecr").describe_images(repositoryName="kept")["imageDetails"] == before
        assert publish_image(connect(end.url), "kept", ("v2",), LABELS).digest == image.digest
        address = end.client("ecr").describe_repositories()["repositories"][0]["repositoryUri"]
        assert address == f"127.0.0.1:{port}/kept"


def test_a_manifest_keeps_the_digest_that_was_promised(aws: Aws, repository: str) -> None:
    manifest = json.dumps({"schemaVersion": 2, "config": {"size": 1}, "layers": []})
    given: dict[str, Any] = {
        "repositoryName": repository,
        "imageManifest": manifest,
        "imageManifestMediaType": "application/vnd.oci.image.manifest.v1+json",
        "imageTag": "v1",
    }
    with pytest.raises(ClientError) as error:
        aws.client("ecr").put_image(**given, imageDigest=f"sha256:{'0' * 64}")
    assert error.value.response["Error"]["Code"] == "ImageDigestDoesNotMatchException"
    put = aws.client("ecr").put_image(**given)
    assert put["image"]["imageId"]["imageDigest"] == "sha256:" + hashlib.sha256(manifest.encode()).hexdigest()


def test_an_immutable_tag_stays_where_it_is(aws: Aws, repository: str) -> None:
    aws.client("ecr").put_image_tag_mutability(repositoryName=repository, imageTagMutability="IMMUTABLE")
    registry = connect(aws.url)
    first = publish_image(registry, repository, ("v1",), LABELS)
    with pytest.raises(urllib.error.HTTPError) as refused:
        publish_image(registry, repository, ("v1",), {})
    with refused.value:
        assert refused.value.code == 400
        assert json.loads(refused.value.read())["errors"][0]["code"] == "TAG_INVALID"
    found = aws.client("ecr").describe_images(repositoryName=repository, imageIds=[{"imageTag": "v1"}])
    assert found["imageDetails"][0]["imageDigest"] == first.digest


def refusal(aws: Aws, **settings: Any) -> str:
    """The code with which ECR refuses a token; `silent` when it does not answer within half a second; empty: it gives one."""
    client = aws.client("ecr")
    client.meta.config.read_timeout = 0.5
    try:
        client.get_authorization_token()
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    except ReadTimeoutError:
        return "silent"
    return ""


def test_orders_end_and_shorten_tokens(tmp_path: Path) -> None:
    with running_aws(tmp_path / "state") as end:
        first = token_of(end)["authorizationToken"]
        assert "ended" in give_order(end.url, end.directory, "end-tokens")
        status, _, body = ask(f"{end.url}/v2/", first)
        assert (status, body[:35]) == (403, b"Your Authorization Token has expire")
        give_order(end.url, end.directory, "token-life", 90)
    with running_aws(tmp_path / "state") as end:  # a restart forgets neither
        assert ask(f"{end.url}/v2/", first)[0] == 403
        second = token_of(end)
        assert second["expiresAt"] - datetime.now(UTC) <= timedelta(seconds=90)
        assert ask(f"{end.url}/v2/", second["authorizationToken"])[0] == 200
        give_order(end.url, end.directory, "heal")
        assert token_of(end)["expiresAt"] - datetime.now(UTC) > timedelta(hours=11)


def test_orders_deny_throttle_and_silence(tmp_path: Path) -> None:
    with running_aws(tmp_path / "state") as end:
        expected = {"deny": "AccessDeniedException", "throttle": "ThrottlingException"}
        for order, code in expected.items():
            give_order(end.url, end.directory, order)
            assert refusal(end) == code
            give_order(end.url, end.directory, "heal")
            assert refusal(end) == ""
        give_order(end.url, end.directory, "deny")
        assert end.client("ecr").describe_repositories()["repositories"] == []  # only tokens are denied
        give_order(end.url, end.directory, "registry-silent", 1)
        began = time.monotonic()
        assert ask(f"{end.url}/v2/")[0] == 401
        assert time.monotonic() - began > 0.7
        for order in ("nonsense", "deny"):
            with pytest.raises(urllib.error.HTTPError, match="422"):
                give_order(end.url, end.directory, order, -1)


def test_a_silent_ecr_answers_again(tmp_path: Path) -> None:
    with running_aws(tmp_path / "state") as end:
        give_order(end.url, end.directory, "silent", 1.5)
        with pytest.raises(TimeoutError):
            urllib.request.urlopen(
                urllib.request.Request(f"{end.url}/", b"{}", {"X-Amz-Target": f"{ECR}_V20150921.DescribeRepositories"}),
                timeout=0.3,
            )  # fmt: skip
        assert ask(f"{end.url}/v2/")[0] == 401  # the registry is another system
        assert refusal(end) == ""


def test_only_the_owner_of_the_folder_orders(tmp_path: Path, aws: Aws) -> None:
    (tmp_path / "token.key").write_text("00" * 32)
    with pytest.raises(urllib.error.HTTPError, match="403"):
        give_order(aws.url, tmp_path, "end-tokens")


def test_scans_take_a_while_and_find_what_labels_say(tmp_path: Path) -> None:
    with running_aws(tmp_path / "state") as end:
        ecr = end.client("ecr")
        ecr.create_repository(repositoryName="team/app")
        for tag, labels in {
            "bad": {"slipway.sandbox/findings": "CRITICAL=1 LOW=2"},
            "slow": {"slipway.sandbox/scan": "slow"},
            "none": {},
        }.items():
            publish_image(connect(end.url), "team/app", (tag,), {"tag": tag, **labels})
            if tag != "none":
                ecr.start_image_scan(repositoryName="team/app", imageId={"imageTag": tag})

        def scan(tag: str) -> dict[str, Any]:
            return ecr.describe_image_scan_findings(repositoryName="team/app", imageId={"imageTag": tag})

        assert scan("bad")["imageScanStatus"]["status"] == "IN_PROGRESS"
        with pytest.raises(ecr.exceptions.ScanNotFoundException):
            scan("none")
    note = tmp_path / "state" / "state.json"
    state = json.loads(note.read_text())
    for image in state["eu-west-2"]["repositories"][0]["images"]:
        if "scan_began" in image:
            image["scan_began"] -= 3600  # the scans began an hour ago
    note.write_text(json.dumps(state))
    with running_aws(tmp_path / "state") as end:
        ecr = end.client("ecr")
        assert scan("bad")["imageScanStatus"]["status"] == "COMPLETE"
        found = scan("bad")["imageScanFindings"]
        assert found["findingSeverityCounts"] == {"CRITICAL": 1, "LOW": 2}
        assert [one["severity"] for one in found["findings"]] == ["CRITICAL", "LOW", "LOW"]
        assert scan("slow")["imageScanStatus"]["status"] == "IN_PROGRESS"


def test_an_archived_image_cannot_be_pulled(aws: Aws, image: Published) -> None:
    ecr, given = aws.client("ecr"), {"imageDigest": image.digest}
    url = f"{aws.url}/v2/{image.repository}/manifests/{image.digest}"
    token = token_of(aws)["authorizationToken"]
    for storage, status, answer in (("ARCHIVE", "ARCHIVED", 404), ("STANDARD", "ACTIVE", 200)):
        ecr.update_image_storage_class(
            repositoryName=image.repository, imageId=given, targetStorageClass=storage
        )
        [details] = ecr.describe_images(repositoryName=image.repository, imageIds=[given])["imageDetails"]
        assert (details["imageStatus"], ask(url, token)[0]) == (status, answer)
