"""Patches moto's ECR where it differs from AWS in a way that affects the portal: expiring tokens, digests, sizes, addresses."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from moto.core.exceptions import ServiceException
from moto.core.responses import ActionResult
from moto.ecr.exceptions import ImageNotFoundException, RepositoryNotFoundException
from moto.ecr.models import ECRBackend, Image, Repository
from moto.ecr.responses import ECRResponse

from sandbox.aws.mending import Method, mend, replace
from sandbox.aws.tokens import Tokens


class ImageDigestDoesNotMatchException(ServiceException):
    """The given digest is not that of the manifest."""

    code = "ImageDigestDoesNotMatchException"


class ImageTagAlreadyExistsException(ServiceException):
    """The tag stands on another image and the repository's tags are immutable."""

    code = "ImageTagAlreadyExistsException"


def install(tokens: Tokens, endpoint: str) -> None:
    """Applies all patches. `endpoint`: URL of the registry, which also begins the repositories' addresses."""
    replace(ECRResponse, "get_authorization_token", _get_authorization_token(tokens, endpoint))
    mend(ECRBackend, "put_image", _put_image)
    mend(ECRBackend, "create_repository", _create_repository(endpoint))
    replace(Image, "get_image_size_in_bytes", _size)
    replace(Image, "image_status", "ACTIVE")


def _get_authorization_token(tokens: Tokens, endpoint: str) -> Method:
    """Gives a new token at each call, with its true time of expiry (moto: always 2015-01-01)."""

    def get_authorization_token(self: ECRResponse) -> ActionResult:
        token = tokens.issue()
        entry = {
            "authorizationToken": base64.b64encode(f"AWS:{token.password}".encode()).decode(),
            "expiresAt": datetime.fromtimestamp(token.expires_at, UTC),
            "proxyEndpoint": endpoint,
        }
        return ActionResult({"authorizationData": [entry for _ in self._get_param("registryIds") or [""]]})

    return get_authorization_token


def digest_of(manifest: str) -> str:
    """The digest of a manifest: of its bytes, as a registry computes it (moto: of its layers' digests)."""
    return "sha256:" + hashlib.sha256(manifest.encode()).hexdigest()


def _put_image(original: Method) -> Method:
    def put_image(
        self: ECRBackend,
        repository_name: str,
        image_manifest: str,
        image_tag: str | None = None,
        image_manifest_mediatype: str | None = None,
        digest: str | None = None,
    ) -> Image:
        if repository_name not in self.repositories:
            raise RepositoryNotFoundException(repository_name, self.account_id)
        repository, actual = self.repositories[repository_name], digest_of(image_manifest)
        if digest and digest != actual:
            raise ImageDigestDoesNotMatchException(
                f"Image digest {digest} does not match the manifest's, {actual}"
            )
        _refuse_moving_an_immutable_tag(repository, image_tag, actual)
        return original(self, repository_name, image_manifest, image_tag, image_manifest_mediatype, actual)

    return put_image


def _refuse_moving_an_immutable_tag(repository: Repository, tag: str | None, digest: str) -> None:
    holder = find_image(repository, tag) if tag else None
    if holder is not None and repository.is_tag_immutable() and holder.get_image_digest() != digest:
        raise ImageTagAlreadyExistsException(
            f"The image tag '{tag}' already exists in the '{repository.name}' repository and cannot be "
            "overwritten because the tag is immutable."
        )


def find_image(repository: Repository, reference: str) -> Image | None:
    """The image that a tag or digest names, or None."""
    is_digest = reference.startswith("sha256:")
    try:
        return repository._get_image(None if is_digest else reference, reference if is_digest else None)
    except ImageNotFoundException:
        return None


def _create_repository(endpoint: str) -> Callable[[Method], Method]:
    """Gives a repository an address in this registry."""
    host = endpoint.partition("://")[2]

    def wrap(original: Method) -> Method:
        def create_repository(self: ECRBackend, *args: Any, **given: Any) -> Repository:
            repository = original(self, *args, **given)
            repository.uri = f"{host}/{repository.name}"
            return repository

        return create_repository

    return wrap


def _size(self: Image) -> int:
    """Bytes of the configuration and all layers together, as ECR counts a single-platform image."""
    manifest = json.loads(self.image_manifest)
    parts = [manifest.get("config", {}), *manifest.get("layers", [])]
    return sum(int(part.get("size", 0)) for part in parts)
