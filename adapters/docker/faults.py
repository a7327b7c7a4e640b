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
    if NO_SPACE.search(text):
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


NO_SPACE = re.compile(r"no space left on device|disk quota exceeded", re.I)
AWAY = re.compile(
    r"i/o timeout|connection refused|no such host|network is unreachable|TLS handshake|server misbehaving|temporary failure"
    r"|connection reset|unexpected EOF|: EOF|Service Unavailable|Bad Gateway|Gateway Time-?out|status:? 5\d\d"
    r"|Internal Server Error|Client\.Timeout|deadline exceeded",
    re.I,
)
BUSY = re.compile(r"toomanyrequests|too many requests|rate limit|rate exceeded|\b429\b", re.I)
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
    text = bounded(text)
    command = _COMMAND.search(text)
    if _STOPPED.search(text[command.end() :] if command else text):
        return EngineLost("The Docker engine stopped the build.", system=SYSTEM, hint=_AGAIN)
    if command:  # its own words, which may be any, say nothing of the engine
        return BuildFailed(said(_plain(text)), system=SYSTEM)
    if NO_SPACE.search(text):
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


def bounded(text: str) -> str:
    """Beginning and end of a text that is very long: it can hold a command of any length, and patterns take time."""
    return text if len(text) <= 2 * _MOST_READ else f"{text[:_MOST_READ]} … {text[-_MOST_READ:]}"


def base_image(text: str) -> ExternalError:
    """A base image could not be pulled: because it is not there or hidden, or because its registry is away."""
    words = said(_plain(text))
    if BUSY.search(text):
        return Throttled(f"The registry of a base image asks us to slow down: {words}", system=REGISTRY)
    if AWAY.search(text):
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
