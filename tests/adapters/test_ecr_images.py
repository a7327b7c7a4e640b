"""The listing of ECR's images and their scans, against moto's server and, for what moto lacks, scripted answers."""

from __future__ import annotations

import boto3
import pytest

from adapters.aws.ecr_images import NOT_SCANNED, EcrImages
from adapters.errors import ExternalError, NotFound, Unavailable
from tests.adapters.test_ecr import ACCOUNT, push, repository

__all__ = ["repository"]


@pytest.fixture
def admin(moto_url: str):
    return boto3.client("ecr", region_name="eu-west-2", endpoint_url=moto_url)


@pytest.fixture
def ecr(moto_url: str) -> EcrImages:
    return EcrImages("eu-west-2", ACCOUNT, endpoint_url=moto_url)


@pytest.fixture
def scripted(stub) -> EcrImages:
    return EcrImages("eu-west-2", ACCOUNT, endpoint_url=stub.url)


def test_images_with_tags_and_facts(admin, ecr, repository) -> None:
    one = push(admin, repository, "63ec5c0", "branch-main")
    push(admin, repository, "b1")
    found = {image.digest: image for image in ecr.images(repository).images}
    assert found[one].tags == ("63ec5c0", "branch-main")
    assert (found[one].size > 0, found[one].pushed_at is not None, found[one].can_be_pulled) == (
        True,
        True,
        True,
    )
    assert len(found) == 2


def test_a_repository_that_is_not_there(ecr) -> None:
    with pytest.raises(NotFound, match="no repository “shop/none” in eu-west-2"):
        ecr.images("shop/none")


def test_findings_by_severity(admin, ecr, repository) -> None:
    digest = push(admin, repository, "a")
    assert ecr.scan(repository, digest).status == NOT_SCANNED
    admin.start_image_scan(repositoryName=repository, imageId={"imageDigest": digest})
    scan = ecr.scan(repository, digest)
    assert (scan.status, dict(scan.counts), scan.is_done) == ("COMPLETE", {"HIGH": 1}, True)
    assert scan.completed_at is not None


def detail(digest: str, at: float, **more) -> dict:
    return {"imageDigest": digest, "imagePushedAt": at, **more}


def test_pages_are_joined_newest_first_with_archived_ones(stub, scripted) -> None:
    stub.say(
        200,
        {
            "imageDetails": [detail("d1", 100.0, imageStatus="ARCHIVED", imageTags=["old"])],
            "nextToken": "more",
        },
    )
    counts = {"findingSeverityCounts": {"LOW": 2}, "imageScanCompletedAt": 150.0}
    done = detail("d2", 200.0, imageScanStatus={"status": "COMPLETE"}, imageScanFindingsSummary=counts)
    stub.say(200, {"imageDetails": [done, {"imageDigest": "d3"}]})
    listing = scripted.images("shop/web")
    assert [image.digest for image in listing.images] == ["d2", "d1", "d3"]
    assert (listing.images[1].can_be_pulled, listing.images[1].scan, listing.is_cut) == (False, None, False)
    assert dict(listing.images[0].scan.counts) == {"LOW": 2}
    assert len(stub.requests) == 2


@pytest.mark.parametrize("status", ["IN_PROGRESS", "UNSUPPORTED_IMAGE", "PENDING"])
def test_a_scan_that_has_no_findings_yet(stub, scripted, status: str) -> None:
    stub.say(200, {"imageScanStatus": {"status": status}})
    scan = scripted.scan("shop/web", "sha256:1")
    assert (scan.status, scan.is_done) == (status, False)


def test_outages_and_refusals_are_told(stub, scripted) -> None:
    stub.say(503, {"__type": "ServiceUnavailable", "message": "x"})
    with pytest.raises(Unavailable):
        scripted.images("shop/web")
    stub.say(400, {"__type": "AccessDeniedException", "message": "x"})
    with pytest.raises(ExternalError):
        scripted.scan("shop/web", "sha256:1")
