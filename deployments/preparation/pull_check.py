"""Checks that the pods of a deploy can pull their images with the namespace's pull secret.

A pull secret that the portal keeps is renewed by the deploy itself, so one that is missing or has ended is only said.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from adapters.errors import Denied, ExternalError, NotFound
from adapters.registry import Expired
from core.findings import FAILED, PASSED, WARNING, Finding
from engine.cluster.client import Client
from engine.errors import Cause
from engine.manifests.render import ImagePin
from projects.models import Environment, Image
from registry.cluster import Place
from registry.deploys import Keeping
from registry.pull_secrets import prove, pull_secret
from registry.secrets import PullCredential

RENEW = "Renew the pull secret in this namespace; pods that start without it cannot fetch their image."
KEPT = "The portal keeps it: the deploy renews it before the first pull."
NOT_KEPT = Keeping()


def check_pull_secret(
    client: Client,
    environment: Environment,
    pins: Sequence[ImagePin],
    images: Mapping[str, Image],
    keeping: Keeping = NOT_KEPT,
) -> list[Finding]:
    """Checks that the pull secret exists and that its credential can read the deploy's images in the registry. `keeping`: whether
    the portal keeps it; what stands in the cluster now decides whether it leaves it to others. Raises ApiError; an ExternalError
    of the registry becomes a finding."""
    name = environment.pull_secret
    if not name or not pins:
        return []
    subject = f"Secret/{environment.namespace}/{name}"
    cause = Cause("pull-secret", name, environment.namespace)
    found = pull_secret(client, environment.namespace, name)
    if found is None:
        text = f"The pull secret {name} is missing in the namespace {environment.namespace}."
        return [replace(_renewable(text, _renewer(keeping.is_managed)), subject=subject, cause=cause)]
    others = keeping.leaves(Place(environment.namespace, name), found)
    renewer = Renewer(False, f"{others.sentence} {others.hint}") if others else _renewer(keeping.is_managed)
    told: dict[Finding, None] = {}
    silent: set[str] = set()  # hosts: each request to one takes some seconds, and a page may wait
    for pin in pins:
        host = pin.repository.partition("/")[0]
        finding = (
            _tried(found.credentials, pin, images[pin.name], name, renewer) if host not in silent else None
        )
        if finding is not None:
            told[replace(finding, subject=subject, cause=cause)] = None
            if finding.state == WARNING:
                silent.add(host)
    return list(told)


@dataclass(frozen=True)
class Renewer:
    """Says that the deploy itself renews the Secret, or what others have to do."""

    is_deploy: bool
    hint: str


def _renewer(is_deploy: bool) -> Renewer:
    return Renewer(is_deploy, KEPT if is_deploy else RENEW)


def _renewable(text: str, by: Renewer) -> Finding:
    return Finding(PASSED if by.is_deploy else FAILED, text, by.hint)


def _tried(
    credentials: Mapping[str, PullCredential], pin: ImagePin, image: Image, name: str, by: Renewer
) -> Finding | None:
    """Asks the registry for one image with the cluster's credential. Returns a finding, or None when the image can be read."""
    credential = credentials.get(pin.repository.partition("/")[0])
    if credential is None:
        return _renewable(f"The pull secret {name} holds no credential for {pin.repository}.", by)
    try:
        prove(credential, image, pin.digest or pin.tag)
    except Expired:
        return _renewable(
            f"Credential expired: the pull secret {name} does not open {pin.repository} any more.", by
        )
    except Denied as error:
        text = f"No right to pull: the pull secret {name} does not open {pin.repository}: {error.message}"
        return Finding(FAILED, text, error.hint or RENEW)
    except NotFound:
        text = f"Image missing: the registry no longer holds {pin.reference}."
        return Finding(FAILED, text, "Build this revision again.")
    except ExternalError as error:
        return Finding(WARNING, f"The pull secret {name} could not be tried: {error.message}", error.hint)
    return None
