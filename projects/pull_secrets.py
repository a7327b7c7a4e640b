"""Reads pull secrets of a cluster, and tries their credentials at a registry. Their passwords are registered with the
current redactor before use.
"""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass, field
from typing import Any

from adapters.registry import Registry
from core.secret_values import register, register_objects
from engine.cluster.client import Client, find
from engine.cluster.resources import built_in
from engine.types import Json
from projects.models import Image

TYPE = "kubernetes.io/dockerconfigjson"
KEY = ".dockerconfigjson"


@dataclass(frozen=True)
class PullCredential:
    """User and password for one registry's host."""

    host: str
    username: str
    password: str = field(repr=False)


def pull_credentials(client: Client, namespace: str, name: str) -> dict[str, PullCredential] | None:
    """The credentials of a namespace's pull secret by host; None when it does not exist. Raises ApiError."""
    register(())
    body = find(client, built_in("Secret").path(namespace, name))
    return None if body is None else credentials_of(body)


def credentials_of(secret: Json) -> dict[str, PullCredential]:
    """The credentials by host of a Secret of the type `kubernetes.io/dockerconfigjson`. Leaves out entries that it cannot
    read; a Secret of another type has none. Raises RuntimeError without a redactor."""
    register_objects([secret])
    if secret.get("type") != TYPE:
        return {}
    found = [_credential(host, entry) for host, entry in _auths(secret).items()]
    known = [credential for credential in found if credential is not None]
    register([text for one in known for text in (one.password, f"{one.username}:{one.password}")])
    return {credential.host: credential for credential in known}


def _auths(secret: Json) -> dict[str, Any]:
    try:
        config = json.loads(base64.b64decode((secret.get("data") or {}).get(KEY, ""), validate=True))
        return dict(config["auths"])
    except (binascii.Error, ValueError, KeyError, TypeError):
        return {}


def _credential(host: str, entry: Any) -> PullCredential | None:
    try:
        user, _, password = base64.b64decode(entry["auth"], validate=True).decode().partition(":")
    except (binascii.Error, ValueError, KeyError, TypeError):
        return None
    return PullCredential(host, user, password)


def prove(credential: PullCredential, image: Image, reference: str) -> None:
    """Asks the image's registry for a manifest (`reference`: digest or tag) with the credential. Raises ExternalError:
    Denied when the registry refuses the credential, NotFound when there is no such image."""
    registry = Registry(image.registry.endpoint, credential.username, credential.password)
    registry.digest(image.repository, reference)
