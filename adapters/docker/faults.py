"""The errors of a Docker engine, in plain words. Its own texts are sorted by what they say, because it has no codes for them."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator

import docker.errors
import requests
import urllib3.exceptions

from adapters.errors import (
    Conflict,
    Denied,
    ExternalError,
    Invalid,
    NotFound,
    Throttled,
    TimedOut,
    Unavailable,
)

SYSTEM = "the Docker engine"
REGISTRY = "the registry"
_LONGEST = 400
_MOST_READ = 2000  # characters of an engine's message, from its beginning and from its end


class BuildFailed(ExternalError):
    """The Dockerfile, its context or its base image is at fault: the same build fails again."""

    permanent = True
    code = "build-failed"


class DiskFull(Unavailable):
    """The engine has no room left."""

    permanent = True


class EngineLost(Unavailable):
    """The engine does not answer, or ended while it worked."""


class ImmutableTag(Conflict):
    """The repository keeps its tags: one that exists cannot be given to another image."""


class QuotaExceeded(Denied):
    """The registry takes no more: a quota is used up."""


@contextlib.contextmanager
def engine_errors(
    host: str, doing: str, refusal: Callable[[str], ExternalError] | None = None
) -> Iterator[None]:
    """Turns the exceptions of the SDK and of the connection inside the block into ExternalErrors. `doing` completes “could not
    …”; `refusal`: makes the error for the text with which the engine refused the request."""
    try:
        yield
    except docker.errors.ImageNotFound:
        raise NotFound(f"The Docker engine has no such image; could not {doing}.", system=SYSTEM) from None
    except docker.errors.APIError as error:
        text = str(error.explanation or error)
        raise (refusal(text) if refusal else refused(text, doing)) from None
    except docker.errors.TLSParameterError:
        raise Invalid(
            "The settings for TLS of the Docker engine are wrong.", system=SYSTEM, hint=_HOST
        ) from None
    except (requests.ReadTimeout, urllib3.exceptions.ReadTimeoutError, TimeoutError):
        raise TimedOut(
            f"The Docker engine said nothing for too long; could not {doing}.", system=SYSTEM
        ) from None
    except docker.errors.DockerException:
        raise not_there(host) from None
    except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError, AttributeError):
        # Also what a connection raises that another thread has shut.
        raise EngineLost(
            f"The Docker engine broke off; could not {doing}.", system=SYSTEM, hint=_AGAIN
        ) from None


_HOST = "Check DOCKER_HOST, and DOCKER_CERT_PATH where it uses TLS."
_AGAIN = "Look whether it runs; then build again."


def not_there(host: str) -> EngineLost:
    """Nothing answers at its address."""
    return EngineLost(
        f"No Docker engine answers at {host}.", system=SYSTEM,
        hint=f"An admin starts one there, or sets DOCKER_HOST for the workers of builds. {_HOST} Images that are built elsewhere "
        "can be deployed meanwhile.",
    )  # fmt: skip


def refused(text: str, doing: str) -> ExternalError:
    """The error for a request that the engine refused before it began."""
    if _NO_SPACE.search(text):
        return disk_full()
    return Invalid(f"The Docker engine could not {doing}: {said(text)}", system=SYSTEM)


def disk_full() -> DiskFull:
    """The engine's disk is full."""
    return DiskFull(
        "The Docker engine's disk is full.", system=SYSTEM,
        hint="Free space there (docker system prune), or lower DOCKER_KEEP_GB and DOCKER_KEEP_DAYS.",
    )  # fmt: skip


def said(text: str) -> str:
    """The engine's own words on one line, not too long, with an end."""
    line = " ".join(text.split())
    line = line[: _LONGEST - 1] + "…" if len(line) > _LONGEST else line
    return line if line.endswith((".", "…")) else f"{line}."


_NO_SPACE = re.compile(r"no space left on device|disk quota exceeded", re.I)
_AWAY = re.compile(
    r"i/o timeout|connection refused|no such host|network is unreachable|TLS handshake|server misbehaving|temporary failure"
    r"|connection reset|unexpected EOF|: EOF|Service Unavailable|Bad Gateway|Gateway Time-?out|status:? 5\d\d"
    r"|Internal Server Error|Client\.Timeout|deadline exceeded",
    re.I,
)
_DENIED = re.compile(
    r"unauthorized|authentication required|no basic auth|authorization token has expired|\b401\b|denied|\b403\b|forbidden",
    re.I,
)
_MISSING = re.compile(r"manifest unknown|not found|name unknown|does not exist|no such image|\b404\b", re.I)
_BUSY = re.compile(r"toomanyrequests|too many requests|rate limit|rate exceeded|\b429\b", re.I)
_QUOTA = re.compile(
    r"quota|limit ?exceeded|limit has been reached|exceed the configured|maximum (allowed )?number of|Entity Too Large|HTTP 413",
    re.I,
)
_IMMUTABLE = re.compile(r"immutable|ImageTagAlreadyExists|tag invalid", re.I)
_PULLING = re.compile(
    r"pull access denied|failed to resolve source metadata|error pulling image|failed to load metadata|failed to do request"
    r"|failed to create LLB definition: (?!.*dockerfile parse)|Get \"?https?://|error from registry|manifest for .* not found"
    r"|failed to authorize|failed to fetch (oauth|anonymous) token|no matching manifest|no match for platform|failed to copy: "
    r"|httpReadSeeker|unexpected status (code|from)",
    re.I,
)
_STOPPED = re.compile(
    r"context canceled|operation was canceled|code = Unavailable|error reading from server", re.I
)
_NO_FILE = re.compile(
    r'"/?([^"\s]{1,300})"(?: not found)?: not found|excluded by \.dockerignore: stat ([^:\s]{1,300}):', re.I
)
_NEEDS_BUILDKIT = re.compile(r"requires BuildKit", re.I)


def build_fault(text: str) -> ExternalError:
    """The error for the message with which a build ended."""
    text = _bounded(text)
    command = _COMMAND.search(text)
    if _STOPPED.search(text[command.end() :] if command else text):
        return EngineLost("The Docker engine stopped the build.", system=SYSTEM, hint=_AGAIN)
    if command:  # its own words, which may be any, say nothing of the engine
        return BuildFailed(said(_plain(text)), system=SYSTEM)
    if _NO_SPACE.search(text):
        return disk_full()
    if _NEEDS_BUILDKIT.search(text):
        hint = "Use an engine with BuildKit, or a Dockerfile without RUN --mount."
        return BuildFailed(
            "The Dockerfile needs BuildKit, which this engine does not have.", system=SYSTEM, hint=hint
        )
    if _PULLING.search(text):
        return base_image(text)
    if found := _NO_FILE.search(text):
        return _no_file(found[1] or found[2])
    return BuildFailed(said(_plain(text)), system=SYSTEM)


def _no_file(name: str) -> BuildFailed:
    """A file of the Dockerfile's COPY or ADD is not in the context."""
    hint = "Paths count from the context, not from the Dockerfile's folder; .dockerignore may leave the file out."
    return BuildFailed(
        f"COPY or ADD names “{name}”, which the build context does not have.", system=SYSTEM, hint=hint
    )


def _bounded(text: str) -> str:
    """Beginning and end of a text that is very long: it can hold a command of any length, and patterns take time."""
    return text if len(text) <= 2 * _MOST_READ else f"{text[:_MOST_READ]} … {text[-_MOST_READ:]}"


def base_image(text: str) -> ExternalError:
    """A base image could not be pulled: because it is not there or hidden, or because its registry is away."""
    words = said(_plain(text))
    if _BUSY.search(text):
        return Throttled(f"The registry of a base image asks us to slow down: {words}", system=REGISTRY)
    if _AWAY.search(text):
        return Unavailable(f"A base image cannot be pulled now: {words}", system=REGISTRY)
    hint = "Check its name and tag in the Dockerfile; a private one must be in a registry of this project."
    return BuildFailed(f"A base image cannot be pulled: {words}", system=REGISTRY, hint=hint)


_COMMAND = re.compile(
    r"(?:executor failed running \[(.*?)\]|The command '(.*?)' returned a non-zero code"
    r"|process \"(.*?)\" did not complete successfully)(?:: exit code)?: (\d+)",
    re.S,
)
_WRAPPINGS = re.compile(
    r"failed to solve(?: with frontend [^:]+)?: |rpc error: code = \w+ desc = |failed to create LLB definition: "
    r"|failed to compute cache key: |failed to calculate checksum of ref \S+: "
)


def _plain(text: str) -> str:
    """The engine's message in plain words, or at least without wrappings that say nothing to people."""
    if match := _COMMAND.search(text):
        command = next(part for part in match.groups()[:3] if part is not None)
        return f"The command “{command}” ended with code {match[4]}"
    return _WRAPPINGS.sub("", text.strip())


def push_fault(text: str, repository: str) -> ExternalError:
    """The error for the message with which a push ended."""
    text = _bounded(text)
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
    (_NO_SPACE, lambda text, repository: disk_full()),
    (_BUSY, _slow_down),
    (_IMMUTABLE, _immutable),
    (_QUOTA, _no_room),
    (_MANIFEST_REFUSED, _no_manifest),
    (_AWAY, _registry_away),
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
    "unknown": ((_NO_SPACE, _no_disk), *_PUSH),
}
