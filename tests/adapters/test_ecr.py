"""Tags, digests and tokens of ECR, against moto's server and, for what moto lacks, scripted answers."""

from __future__ import annotations

import hashlib
import json
import uuid
from datetime import UTC, datetime, timedelta

import boto3
import pytest

from adapters.aws.ecr import Ecr, ImageFacts
from adapters.aws.session import ClockSkewed
from adapters.errors import Invalid, NotFound, Unavailable

ACCOUNT = "123456789012"


@pytest.fixture
def admin(moto_url: str):
    return boto3.client("ecr", region_name="eu-west-2", endpoint_url=moto_url)


@pytest.fixture
def ecr(moto_url: str) -> Ecr:
    return Ecr("eu-west-2", ACCOUNT, endpoint_url=moto_url)


@pytest.fixture
def repository(admin) -> str:
    name = f"shop/web-{uuid.uuid4()}"
    admin.create_repository(repositoryName=name)
    return name


def push(admin, repository: str, *tags: str) -> str:
    """Push an image of its own content under all tags; returns its digest."""
    media = "application/vnd.oci.image.manifest.v1+json"
    layers = [
        {"mediaType": "x", "digest": f"sha256:{hashlib.sha256(tags[0].encode()).hexdigest()}", "size": 5}
    ]
    config = {"mediaType": "x", "digest": "sha256:" + "0" * 64, "size": 1}
    manifest = json.dumps({"schemaVersion": 2, "mediaType": media, "config": config, "layers": layers})
    digest = "sha256:" + hashlib.sha256(manifest.encode()).hexdigest()
    for tag in tags:
        admin.put_image(
            repositoryName=repository,
            imageManifest=manifest,
            imageManifestMediaType=media,
            imageTag=tag,
            imageDigest=digest,
        )
    return digest


def test_missing_tags_hide_no_others(admin, ecr, repository) -> None:
    one, two = push(admin, repository, "63ec5c0", "branch-main"), push(admin, repository, "b1")
    found = ecr.digests(repository, ["nope", "63ec5c0", "b1", "nope-2", "branch-main", "b1"])
    assert {tag: facts.digest for tag, facts in found.items()} == {
        "63ec5c0": one,
        "branch-main": one,
        "b1": two,
    }
    assert all(facts.can_be_pulled and facts.pushed_at and facts.size > 0 for facts in found.values())
    assert ecr.digests(repository, ["nope"]) == {}
    assert ecr.digests(repository, []) == {}


def test_more_tags_than_a_call_may_name(admin, ecr, repository) -> None:
    digest = push(admin, repository, "t5", "t150")
    found = ecr.digests(repository, [f"t{n}" for n in range(230)])
    assert {tag: facts.digest for tag, facts in found.items()} == {"t5": digest, "t150": digest}


def test_missing_repository_is_named(ecr, repository) -> None:
    assert ecr.repository_exists(repository) is True
    assert ecr.repository_exists("shop/none") is False
    with pytest.raises(NotFound, match="no repository “shop/none” in eu-west-2"):
        ecr.digests("shop/none", ["a"])


def test_token(ecr) -> None:
    token = ecr.token()
    assert token.username == "AWS"
    assert token.password
    assert token.password not in repr(token)
    assert token.endpoint.startswith("https://")
    assert token.expires_at.tzinfo is not None


@pytest.fixture
def scripted(stub) -> Ecr:
    return Ecr("eu-west-2", ACCOUNT, endpoint_url=stub.url)


def failure(tag: str, code: str) -> dict:
    return {"images": [], "failures": [{"imageId": {"imageTag": tag}, "failureCode": code}]}


def detail(tag: str, **more) -> dict:
    return {"imageDetails": [{"imageDigest": "sha256:1", "imageTags": [tag, "other"], **more}]}


def test_archived_image_is_noticed(stub, scripted) -> None:
    """It cannot be handed out, yet it is there: whoever deploys must be told to restore it, not to build it."""
    stub.say(200, failure("old", "ImageInaccessible"))
    stub.say(200, detail("old", imageStatus="ARCHIVED", imageSizeInBytes=7))
    found = scripted.digests("shop/web", ["old"])
    assert (found["old"].status, found["old"].can_be_pulled, found["old"].size) == ("ARCHIVED", False, 7)


def test_image_removed_between_the_two_calls(stub, scripted) -> None:
    stub.say(200, {"images": [], "failures": []})
    stub.say(400, {"__type": "ImageNotFoundException", "message": "x"})
    stub.say(200, detail("a"))
    stub.say(400, {"__type": "ImageNotFoundException", "message": "x"})
    assert set(scripted.digests("shop/web", ["a", "b"])) == {"a"}
    assert len(stub.requests) == 4


@pytest.mark.parametrize(
    ("code", "error"),
    [("InvalidImageTag", Invalid), ("UpstreamUnavailable", Unavailable), ("KmsError", Unavailable)],
)
def test_other_failures_are_not_taken_for_missing(stub, scripted, code: str, error: type[Exception]) -> None:
    stub.say(200, failure("a", code))
    with pytest.raises(error):
        scripted.digests("shop/web", ["a"])


ROLE = "arn:aws:iam::123456789012:role/puller"


def test_a_token_of_a_role_is_made_in_a_session_that_has_just_begun(moto_url: str) -> None:
    """It may end with its session, so it must not be made in one that is about to end."""
    ecr = Ecr("eu-west-2", ACCOUNT, ROLE, moto_url)
    first, second = ecr.token(), ecr.token()
    assert first.session_ends_at is not None
    left = first.session_ends_at - datetime.now(UTC)
    assert timedelta(minutes=55) < left <= timedelta(minutes=60)
    assert second.session_ends_at >= first.session_ends_at


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (
            "InvalidSignatureException",
            "Signature expired: 20261127T101500Z is now earlier than 20261127T103000Z",
        ),
        ("InvalidSignatureException", "Signature not yet current: 20261127T104500Z is still later than"),
        (
            "RequestTimeTooSkewed",
            "The difference between the request time and the current time is too large.",
        ),
        ("RequestExpired", "Request has expired."),
    ],
)
def test_a_wrong_clock_is_told_as_such(stub, scripted, quick_retries, code: str, message: str) -> None:
    stub.say(400, {"__type": code, "message": message})
    with pytest.raises(ClockSkewed, match="does not accept the portal's clock") as told:
        scripted.token()
    assert "time server" in told.value.hint
    assert not told.value.permanent


def test_the_short_tag_alone_does_not_tell_whose_an_image_is(stub, scripted) -> None:
    ours, other = "63ec5c0" + "a" * 33, "63ec5c0" + "b" * 33
    stub.say(200, {"images": [], "failures": []})
    stub.say(200, {"imageDetails": [{"imageDigest": "sha256:1", "imageTags": ["63ec5c0", other]}]})
    found = scripted.digests("shop/web", ["63ec5c0"])["63ec5c0"]
    assert (found.may_be_of(ours), found.may_be_of(other)) == (False, True)


@pytest.mark.parametrize(
    "tags", [(), ("63ec5c0", "v1"), ("63ec5c0", "d" * 40), ("63ec5c0", "63ec5c0" + "a" * 33)]
)
def test_an_image_that_names_no_other_revision_of_the_tag_may_be_ours(tags: tuple[str, ...]) -> None:
    assert ImageFacts("sha256:1", None, 1, "ACTIVE", tags).may_be_of("63ec5c0" + "a" * 33)
