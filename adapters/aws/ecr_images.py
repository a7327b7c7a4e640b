"""Amazon ECR: the images of a repository, newest first, and what a scan found in them. For pages, so with short time limits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from adapters.aws.session import Access, Limits, aws_errors, client
from adapters.errors import NotFound

SYSTEM = "ECR"
MOST = 2000  # images of a repository
SHORT = Limits(connect=2, read=4, tries=1)
_BATCH = 1000  # images a call may give
NOT_SCANNED = "NOT_SCANNED"
SEVERITIES = ("CRITICAL", "HIGH", "MEDIUM", "LOW", "INFORMATIONAL", "UNTRIAGED", "UNDEFINED")


@dataclass(frozen=True)
class Scan:
    """The last scan of an image. `status`: ECR's own word (COMPLETE, ACTIVE, IN_PROGRESS, UNSUPPORTED_IMAGE, …), or NOT_SCANNED.
    `counts`: findings by severity."""

    status: str
    counts: Mapping[str, int] = field(default_factory=dict)
    completed_at: datetime | None = None

    @property
    def is_done(self) -> bool:
        """Whether its findings count. ACTIVE: Amazon Inspector goes on scanning the image."""
        return self.status in ("COMPLETE", "ACTIVE")


@dataclass(frozen=True)
class ListedImage:
    """One image. `size` in bytes (compressed); `status`: ACTIVE, ARCHIVED or ACTIVATING. `scan`: None where the listing does
    not tell."""

    digest: str
    tags: tuple[str, ...]
    pushed_at: datetime | None
    size: int
    status: str
    scan: Scan | None = None

    @property
    def can_be_pulled(self) -> bool:
        """False for an archived image, which must be restored in ECR first."""
        return self.status == "ACTIVE"


@dataclass(frozen=True)
class Listing:
    """The images of a repository, the newest first. `is_cut`: there are more than the MOST that were read."""

    images: tuple[ListedImage, ...]
    is_cut: bool


class EcrImages:
    """The images of one account's registry in one region."""

    def __init__(
        self,
        region: str,
        account: str,
        role_arn: str = "",
        endpoint_url: str | None = None,
        *,
        limits: Limits = SHORT,
    ) -> None:
        self._access = Access(region, role_arn, endpoint_url, limits)
        self._registry = {"registryId": account} if account else {}

    def images(self, repository: str) -> Listing:
        """The images of a repository, archived ones too. Raises ExternalError; NotFound when there is no such repository."""
        found: list[ListedImage] = []
        more = False
        for page in self._pages(repository):
            found += [_listed(detail) for detail in page.get("imageDetails", [])]
            more = bool(page.get("nextToken"))
            if len(found) >= MOST:
                break
        oldest = datetime.min.replace(tzinfo=UTC)
        newest_first = sorted(found, key=lambda image: image.pushed_at or oldest, reverse=True)
        return Listing(tuple(newest_first), more)

    def _pages(self, repository: str) -> Iterator[dict[str, Any]]:
        token: dict[str, str] = {}
        while True:
            try:
                with aws_errors(SYSTEM, f"list the images of “{repository}”"):
                    page: dict[str, Any] = client("ecr", self._access).describe_images(
                        repositoryName=repository, maxResults=_BATCH, filter={"tagStatus": "ANY", "imageStatus": "ANY"},
                        **self._registry, **token,
                    )  # fmt: skip
            except NotFound:
                hint = "Check the image's repository, the account and the region in the settings."
                message = f"There is no repository “{repository}” in {self._access.region}."
                raise NotFound(message, system=SYSTEM, hint=hint) from None
            yield page
            if not page.get("nextToken"):
                return
            token = {"nextToken": page["nextToken"]}

    def scan(self, repository: str, digest: str) -> Scan:
        """What the last scan of an image found. Raises ExternalError."""
        try:
            with aws_errors(SYSTEM, f"read the scan of an image of “{repository}”"):
                answer = client("ecr", self._access).describe_image_scan_findings(
                    repositoryName=repository, imageId={"imageDigest": digest}, maxResults=1, **self._registry
                )
        except NotFound:
            return Scan(NOT_SCANNED)
        return _scan(answer.get("imageScanStatus"), answer.get("imageScanFindings")) or Scan(NOT_SCANNED)


def _listed(detail: dict[str, Any]) -> ListedImage:
    pushed = detail.get("imagePushedAt")
    return ListedImage(
        digest=detail["imageDigest"], tags=tuple(sorted(detail.get("imageTags") or ())),
        pushed_at=pushed.astimezone(UTC) if pushed else None, size=detail.get("imageSizeInBytes") or 0,
        status=detail.get("imageStatus") or "ACTIVE",
        scan=_scan(detail.get("imageScanStatus"), detail.get("imageScanFindingsSummary")),
    )  # fmt: skip


def _scan(status: dict[str, Any] | None, findings: dict[str, Any] | None) -> Scan | None:
    """A scan by ECR's words; None where they do not tell. Counts of severities that we do not know are kept."""
    word = (status or {}).get("status") or ("COMPLETE" if findings else "")
    if not word:
        return None
    ended = (findings or {}).get("imageScanCompletedAt")
    counts = dict((findings or {}).get("findingSeverityCounts") or {})
    return Scan(word, counts, ended.astimezone(UTC) if ended else None)
