"""Container image references: reading them, and pinning a project's own to a release's tag and digest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

MOVING_TAGS = frozenset({"", "latest", "main", "master", "stable", "edge", "nightly", "dev", "develop"})


@dataclass(frozen=True)
class ImagePin:
    """An image of the project as the release has it.

    `repository`: host and path without tag. `digest`: `sha256:…` or empty.
    """

    name: str
    repository: str
    tag: str
    digest: str = ""

    @property
    def reference(self) -> str:
        """`host/path:tag@sha256:…`: the digest decides what is pulled, the tag is for people."""
        tag = f":{self.tag}" if self.tag else ""
        return f"{self.repository}{tag}{'@' if self.digest else ''}{self.digest}"


@dataclass(frozen=True)
class ImageReference:
    """A container image as manifests write it, in its parts: `host/path:tag@sha256:…`; tag and digest may be empty."""

    repository: str
    tag: str
    digest: str


def parse_reference(reference: str) -> ImageReference:
    """The parts of an image reference; a colon before a slash belongs to the host's port."""
    rest, _, digest = reference.partition("@")
    head, slash, last = rest.rpartition("/")
    last, _, tag = last.partition(":")
    return ImageReference(f"{head}{slash}{last}", tag, digest)


def normal_repository(repository: str) -> str:
    """The repository with its registry: `nginx` → `docker.io/library/nginx`, as container runtimes complete it."""
    host, slash, path = repository.partition("/")
    if slash and ("." in host or ":" in host or host == "localhost"):
        host = "docker.io" if host.lower() == "index.docker.io" else host.lower()
    else:
        host, path = "docker.io", repository
    return f"{host}/{path}" if host != "docker.io" or "/" in path else f"docker.io/library/{path}"


class Pins:
    """The pins of a release, looked up by the repository of a reference."""

    def __init__(self, images: Sequence[ImagePin]) -> None:
        self._references = {normal_repository(pin.repository): pin.reference for pin in images}

    def has(self, reference: str) -> bool:
        """Whether the reference is of an image of the project."""
        return normal_repository(parse_reference(reference).repository) in self._references

    def pinned(self, reference: str) -> str:
        """The reference with this release's tag and digest if the repository is the project's, else as written."""
        return self._references.get(normal_repository(parse_reference(reference).repository), reference)


def is_moving(reference: str) -> bool:
    """Whether tomorrow's pull may give other content: no digest, and no tag or a tag that is known to move."""
    image = parse_reference(reference)
    return not image.digest and image.tag in MOVING_TAGS
