"""Reads a namespace's pull secret, and tries its credentials at a registry, as a node would use them."""

from __future__ import annotations

from adapters.registry import Registry
from core.secret_values import register
from engine.cluster.client import Client, find
from engine.cluster.resources import built_in
from projects.models import Image
from registry.secrets import PullCredential, Seen, seen


def pull_secret(client: Client, namespace: str, name: str) -> Seen | None:
    """A namespace's pull secret, with its credentials by host; None when it does not exist. Raises ApiError."""
    register(())
    body = find(client, built_in("Secret").path(namespace, name))
    return None if body is None else seen(body)


def prove(credential: PullCredential, image: Image, reference: str) -> None:
    """Asks the image's registry for a manifest (`reference`: digest or tag) with the credential. Raises ExternalError:
    Denied when the registry refuses the credential, NotFound when there is no such image."""
    at(credential, image.registry.endpoint).digest(image.repository, reference)


def at(credential: PullCredential, endpoint: str) -> Registry:
    """The registry at an endpoint, asked with the credential. Raises Invalid for an address that is not one."""
    return Registry(endpoint, credential.username, credential.password)
