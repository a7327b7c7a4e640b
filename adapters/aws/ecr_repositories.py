"""Repositories of Amazon ECR: what holds for one, creating it, and giving its images more tags."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from adapters.aws.ecr import MANIFEST_TYPES, SYSTEM
from adapters.aws.session import PATIENT, Access, Limits, aws_errors, client
from adapters.errors import Conflict, NotFound


@dataclass(frozen=True)
class RepositoryRules:
    """`keeps_tags`: a tag that exists cannot be given to another image."""

    keeps_tags: bool


class EcrRepositories:
    """The repositories of one account in one region, as the portal's own identity or an assumed role."""

    def __init__(
        self, region: str, account: str, role_arn: str = "", endpoint_url: str | None = None, *,
        limits: Limits = PATIENT,
    ) -> None:  # fmt: skip
        self._access = Access(region, role_arn, endpoint_url, limits)
        self._registry = {"registryId": account} if account else {}

    def rules(self, repository: str) -> RepositoryRules:
        """What holds for a repository. Raises NotFound without one, ExternalError."""
        with aws_errors(SYSTEM, f"look up the repository “{repository}”"):
            answer = self._client().describe_repositories(repositoryNames=[repository], **self._registry)
            found = answer["repositories"][0]
            return RepositoryRules(str(found.get("imageTagMutability", "")).startswith("IMMUTABLE"))

    def create(self, repository: str, lifecycle_policy: str = "") -> bool:
        """Creates a repository with mutable tags, and gives it the policy (JSON of ECR; empty: none). Returns False when it was
        there already, and then changes nothing. Raises ExternalError."""
        try:
            with aws_errors(SYSTEM, f"create the repository “{repository}”"):
                self._client().create_repository(repositoryName=repository, **self._registry)
        except Conflict:
            return False
        if lifecycle_policy.strip():
            with aws_errors(SYSTEM, f"set the lifecycle policy of “{repository}”"):
                self._client().put_lifecycle_policy(
                    repositoryName=repository, lifecyclePolicyText=lifecycle_policy, **self._registry
                )
        return True

    def add_tag(self, repository: str, digest: str, tag: str) -> None:
        """Gives an image one more tag; takes it from another image, unless the repository keeps its tags. Raises NotFound,
        Conflict (the repository keeps its tags), ExternalError."""
        manifest, media_type = self._manifest(repository, digest)
        with aws_errors(SYSTEM, f"give an image of “{repository}” the tag {tag}"):
            self._client().put_image(
                repositoryName=repository, imageManifest=manifest, imageManifestMediaType=media_type, imageTag=tag,
                **self._registry,
            )  # fmt: skip

    def _manifest(self, repository: str, digest: str) -> tuple[str, str]:
        with aws_errors(SYSTEM, f"read an image of “{repository}”"):
            answer = self._client().batch_get_image(
                repositoryName=repository, imageIds=[{"imageDigest": digest}], acceptedMediaTypes=list(MANIFEST_TYPES),
                **self._registry,
            )  # fmt: skip
            images: Sequence[dict[str, Any]] = answer.get("images") or []
            if not images:
                raise NotFound(f"“{repository}” has no image {digest[:19]} any more.", system=SYSTEM)
            return images[0]["imageManifest"], images[0].get("imageManifestMediaType") or MANIFEST_TYPES[0]

    def _client(self) -> Any:
        return client("ecr", self._access)
