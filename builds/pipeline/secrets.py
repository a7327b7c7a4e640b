"""The values of a project's build secrets, from AWS. Each is registered with the redactor before any other use."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

from adapters.aws.secret_errors import Gone
from adapters.aws.secrets_manager import SecretText
from adapters.errors import NotFound
from builds.models import BuildSecret
from builds.pipeline.work import NotBuildable
from core.secret_values import register
from engine.errors import ManifestError
from engine.manifests.secretfiles import FLAT, parse_secrets_file, storage_form
from projects.connections import secrets_manager_at
from projects.secret_files import read_text

Answer = TypeVar("Answer")
Patiently = Callable[[Callable[[], Any]], Any]


def read(secrets: Sequence[BuildSecret], patiently: Patiently) -> dict[str, bytes]:
    """The values by the id of the mount. Each secret of AWS is read once.

    Raises ExternalError, and NotBuildable for a key that a secret does not have; no message holds a value.
    """
    texts: dict[tuple[str, str, str], str] = {}
    found: dict[str, bytes] = {}
    for secret in secrets:
        place = (secret.region, secret.role_arn, secret.secret_id)
        if place not in texts:
            manager = secrets_manager_at(secret.region, secret.role_arn)
            texts[place] = _text(partial(patiently, partial(read_text, manager, secret.secret_id)), secret)
        found[secret.name] = value_of(texts[place], secret)
    register(found.values())
    return found


def _text(ask: Callable[[], SecretText], secret: BuildSecret) -> str:
    """The text of the AWS secret. Raises ExternalError; for a secret that is not there it says which build secret names it."""
    try:
        return ask().text
    except Gone:
        raise
    except NotFound as error:
        hint = (
            f"Check the name and region of the build secret {secret.name} in the project's build rules,"
            " or make the secret in AWS."
        )
        raise NotFound(error.message, system=error.system, hint=hint) from None


def value_of(text: str, secret: BuildSecret) -> bytes:
    """The value that the secret names in the text of a secret of AWS. Raises NotBuildable."""
    if not secret.key:
        return text.encode()
    value = _flat(text, secret.key) if storage_form(text) == FLAT else _of_file(text, secret.key)
    if value is None:
        raise NotBuildable(
            f"The AWS secret {secret.secret_id} has no key {secret.key}, which the build secret {secret.name} names.",
            hint="Correct the build secret in the project's build rules, or add the key in AWS.",
        )
    return value


def _flat(text: str, key: str) -> bytes | None:
    value = json.loads(text.removeprefix("\ufeff")).get(key)
    return None if value is None else str(value).encode()


def _of_file(text: str, key: str) -> bytes | None:
    """`<secret name>/<key>` of a file of Kubernetes Secrets."""
    name, _, wanted = key.rpartition("/")
    try:
        documents = parse_secrets_file(text, path="")
    except ManifestError:  # its problems name a path; the caller says what is missing
        return None
    for document in documents:
        if not name or document.body["metadata"].get("name") == name:
            value = (document.body.get("data") or {}).get(wanted)
            if value is not None:
                return base64.b64decode(value)
    return None
