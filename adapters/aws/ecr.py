"""Amazon ECR: digests of tags, whether an image can be pulled, and tokens for pulling."""

from __future__ import annotations

import base64
import contextlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from adapters.aws.session import PATIENT, Access, Limits, aws_errors, client, fresh_client
from adapters.errors import Invalid, NotFound, Unavailable

SYSTEM = "ECR"
_BATCH = 100  # images a call may name
REVISION = re.compile(r"[0-9a-f]{40}")

# The media types that the registry accepts, so that multi-platform and OCI images answer with their own digest.
MANIFEST_TYPES = (
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.oci.image.index.v1+json",
)


@dataclass(frozen=True)
class ImageFacts:
    """One image. `size` in bytes (compressed); `status`: ACTIVE, ARCHIVED or ACTIVATING; only ACTIVE can be pulled. `tags`: all
    that it has."""

    digest: str
    pushed_at: datetime | None
    size: int
    status: str
    tags: tuple[str, ...] = ()

    def may_be_of(self, sha: str) -> bool:
        """False for an image of another revision that begins with the same seven digits: such a revision can be made on purpose,
        so that the short tag alone does not tell whose an image is."""
        same = [tag for tag in self.tags if tag[:7] == sha[:7] and REVISION.fullmatch(tag)]
        return not same or sha in same

    @property
    def can_be_pulled(self) -> bool:
        """False for an archived image, which must be restored in ECR first."""
        return self.status == "ACTIVE"


@dataclass(frozen=True)
class RegistryToken:
    """Credentials for the registry, valid for twelve hours. `endpoint`: its address, with https://. `session_ends_at`: the end
    of the STS session in which it was made, which may end it earlier."""

    username: str
    password: str = field(repr=False)
    expires_at: datetime
    endpoint: str
    session_ends_at: datetime | None = None


class Ecr:
    """One account's registry in one region, as the portal's own identity or an assumed role."""

    def __init__(
        self, region: str, account: str, role_arn: str = "", endpoint_url: str | None = None, *,
        limits: Limits = PATIENT,
    ) -> None:  # fmt: skip
        self._access = Access(region, role_arn, endpoint_url, limits)
        self._registry = {"registryId": account} if account else {}

    def digests(self, repository: str, tags: Sequence[str]) -> dict[str, ImageFacts]:
        """The images behind the tags; a tag that does not exist is absent from the answer.

        Raises NotFound when the repository itself is missing, Invalid for a tag that cannot be one,
        Unavailable when ECR cannot tell (an upstream registry or a key of its own fails it).
        """
        wanted = list(dict.fromkeys(tags))
        found: dict[str, ImageFacts] = {}
        for start in range(0, len(wanted), _BATCH):
            existing = self._existing(repository, wanted[start : start + _BATCH])
            if existing:
                found |= self._described(repository, existing)
        return found

    def repository_exists(self, repository: str) -> bool:
        """Whether there is a repository of that name. Raises ExternalError for other failures than NotFound."""
        try:
            with self._errors(repository, "look up"):
                self._client().describe_repositories(repositoryNames=[repository], **self._registry)
        except NotFound:
            return False
        return True

    def token(self) -> RegistryToken:
        """A new token for pull and push. It is valid for every registry that the identity may use in the region."""
        made, session_ends_at = fresh_client("ecr", self._access)
        with aws_errors(SYSTEM, "issue a registry token"):
            data = made.get_authorization_token()["authorizationData"][0]
            username, _, password = base64.b64decode(data["authorizationToken"]).decode().partition(":")
            ends = data["expiresAt"].astimezone(UTC)
            return RegistryToken(username, password, ends, data["proxyEndpoint"], session_ends_at)

    def _existing(self, repository: str, tags: list[str]) -> list[str]:
        """The tags that exist. BatchGetImage reports missing tags as failures in its answer, without failing itself."""
        with self._errors(repository, "look up images in"):
            answer = self._client().batch_get_image(
                repositoryName=repository,
                imageIds=[{"imageTag": tag} for tag in tags],
                acceptedMediaTypes=list(MANIFEST_TYPES),
                **self._registry,
            )
            failed = {f["imageId"].get("imageTag", ""): f["failureCode"] for f in answer.get("failures", [])}
        for tag, code in failed.items():
            _check_failure(repository, tag, code)
        return [tag for tag in tags if failed.get(tag) != "ImageNotFound"]

    def _described(self, repository: str, tags: list[str]) -> dict[str, ImageFacts]:
        """Facts of the tags. DescribeImages fails as a whole if a tag was removed meanwhile; then it is called for each
        tag."""
        try:
            with self._errors(repository, "look up images in"):
                answer = self._client().describe_images(
                    repositoryName=repository, imageIds=[{"imageTag": tag} for tag in tags], **self._registry
                )
                images = [(detail.get("imageTags", []), _facts(detail)) for detail in answer["imageDetails"]]
        except _ImageNotFound:
            singles = [self._described(repository, [tag]) for tag in tags] if len(tags) > 1 else []
            return {tag: facts for single in singles for tag, facts in single.items()}
        return {tag: facts for names, facts in images for tag in names if tag in tags}

    @contextlib.contextmanager
    def _errors(self, repository: str, doing: str) -> Iterator[None]:
        try:
            with aws_errors(SYSTEM, f"{doing} the repository “{repository}”"):
                yield
        except NotFound as error:
            if "ImageNotFoundException" in error.message:
                raise _ImageNotFound(error.message, system=SYSTEM) from None
            hint = "Check the image's repository, the account and the region in the settings."
            message = f"There is no repository “{repository}” in {self._access.region}."
            raise NotFound(message, system=SYSTEM, hint=hint) from None

    def _client(self) -> Any:
        return client("ecr", self._access)


class _ImageNotFound(NotFound):
    """One of the requested images is missing."""


def _check_failure(repository: str, tag: str, code: str) -> None:
    """Raises ExternalError for a failure other than “image missing” and “image cannot be pulled now”."""
    if code in ("InvalidImageTag", "InvalidImageDigest", "MissingDigestAndTag"):
        raise Invalid(f"“{tag}” cannot be an image's tag.", system=SYSTEM)
    if code in ("UpstreamAccessDenied", "UpstreamTooManyRequests", "UpstreamUnavailable", "KmsError"):
        raise Unavailable(f"ECR cannot tell whether {repository}:{tag} exists ({code}).", system=SYSTEM)


def _facts(detail: dict[str, Any]) -> ImageFacts:
    pushed = detail.get("imagePushedAt")
    return ImageFacts(
        digest=detail["imageDigest"],
        pushed_at=pushed.astimezone(UTC) if pushed else None,
        size=detail.get("imageSizeInBytes", 0),
        status=detail.get("imageStatus", "ACTIVE"),
        tags=tuple(detail.get("imageTags", ())),
    )
