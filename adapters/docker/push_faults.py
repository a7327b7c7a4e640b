"""The errors of a push, in plain words: by the registry's code where the engine tells it, else by what the text says."""

from __future__ import annotations

import re

from adapters.docker.faults import (
    AWAY,
    BUSY,
    NO_SPACE,
    REGISTRY,
    ImmutableTag,
    QuotaExceeded,
    bounded,
    disk_full,
    said,
)
from adapters.errors import Denied, ExternalError, NotFound, Throttled, Unavailable

_DENIED = re.compile(
    r"unauthorized|authentication required|no basic auth|authorization token has expired|\b401\b|denied|\b403\b|forbidden",
    re.I,
)
_MISSING = re.compile(r"manifest unknown|not found|name unknown|does not exist|no such image|\b404\b", re.I)
_QUOTA = re.compile(
    r"quota|limit ?exceeded|limit has been reached|exceed the configured|maximum (allowed )?number of|Entity Too Large|HTTP 413",
    re.I,
)
_IMMUTABLE = re.compile(r"immutable|ImageTagAlreadyExists|tag invalid", re.I)


def push_fault(text: str, repository: str) -> ExternalError:
    """The error for the message with which a push ended."""
    text = bounded(text)
    code = _CODE.match(text)
    # The name of the repository says nothing of what happened.
    words = re.sub(rf"(?<![\w-]){re.escape(repository.partition('/')[2])}(?![\w-])", "…", text)
    for pattern, make in _BY_CODE.get(code[1].lower(), _PUSH) if code else _PUSH:
        if pattern.search(words):
            return make(text, repository)
    return Unavailable(f"The push to {repository} failed: {said(text)}", system=REGISTRY)


# The code of a registry's answer (distribution's `errcode`), as the engine writes it before the registry's own words.
_CODE = re.compile(
    r"(?:errors:\s*)?(toomanyrequests|name unknown|tag invalid|unauthorized|denied|unknown): ", re.I
)


def _immutable(text: str, repository: str) -> ExternalError:
    return ImmutableTag(
        f"{repository} keeps its tags, and this one belongs to another image already.", system=REGISTRY,
        hint="Remove the tag in the registry first, or build another revision.",
    )  # fmt: skip


def _no_repository(text: str, repository: str) -> ExternalError:
    hint = "Create the repository, or allow that in the project's build settings."
    return NotFound(f"The registry has no repository {repository}.", system=REGISTRY, hint=hint)


def _no_right(text: str, repository: str) -> ExternalError:
    hint = "Give the portal's identity the right to push, such as ecr:PutImage and ecr:InitiateLayerUpload."
    return Denied(f"The registry refuses the push to {repository}: {said(text)}", system=REGISTRY, hint=hint)


def _slow_down(text: str, repository: str) -> ExternalError:
    return Throttled(f"The registry of {repository} asks us to slow down.", system=REGISTRY)


def _no_room(text: str, repository: str) -> ExternalError:
    hint = "Raise the quota, or give the repository a lifecycle policy that removes old images."
    return QuotaExceeded(
        f"The registry takes no more for {repository}: {said(text)}", system=REGISTRY, hint=hint
    )


def _no_disk(text: str, repository: str) -> ExternalError:
    return QuotaExceeded(
        f"The disk of the registry of {repository} is full.", system=REGISTRY, hint="Make room there."
    )


def _no_manifest(text: str, repository: str) -> ExternalError:
    hint = (
        "Either the repository keeps its tags and this one belongs to another image, or a quota (images of a repository) is used"
        " up, or the portal's identity lacks the right ecr:PutImage."
    )
    return Denied(
        f"The registry refuses the image for {repository}: {said(text)}", system=REGISTRY, hint=hint
    )


def _registry_away(text: str, repository: str) -> ExternalError:
    return Unavailable(f"The registry of {repository} is not reachable: {said(text)}", system=REGISTRY)


_ANY = re.compile("")
# Newer engines tell only the status of the answer to a manifest, not why.
_MANIFEST_REFUSED = re.compile(r"PUT request to \S+/manifests/\S+: 40[03]\b", re.I)
_PUSH = (
    (NO_SPACE, lambda text, repository: disk_full()),
    (BUSY, _slow_down),
    (_IMMUTABLE, _immutable),
    (_QUOTA, _no_room),
    (_MANIFEST_REFUSED, _no_manifest),
    (AWAY, _registry_away),
    (
        re.compile(r"name unknown|name_unknown|repository .*does not exist|RepositoryNotFound", re.I),
        _no_repository,
    ),
    (_DENIED, _no_right),
    (_MISSING, _no_repository),
)
_BY_CODE = {
    "toomanyrequests": ((_ANY, _slow_down),),
    "name unknown": ((_ANY, _no_repository),),
    "tag invalid": ((_ANY, _immutable),),
    "unauthorized": ((_ANY, _no_right),),
    "denied": ((_QUOTA, _no_room), (_ANY, _no_right)),
    "unknown": ((NO_SPACE, _no_disk), *_PUSH),
}
