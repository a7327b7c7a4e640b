"""Which keys of the secrets files differ from the release that runs, without their values.

Each look asks AWS for the current VersionId of each secrets file. Values are read only when AWS has another version than the
release, and only once: versions and releases never change, so the cache keeps the answer.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from django.core.cache import cache

from core.redactor import redact_text, redactor_in_force
from deployments.models import Release
from engine.errors import SlipwayError
from engine.manifests.stored import secrets_of_files
from projects.models import Environment
from projects.secret_files import SecretChange, current_versions, fetch_secrets, secret_changes

KEPT_SECONDS = 86_400


@dataclass(frozen=True)
class SecretState:
    """`changes`: the keys that differ from the release that runs. `unknown`: why the comparison failed, or empty.
    `versions`: the current VersionId by path, where they were compared."""

    changes: tuple[SecretChange, ...] = ()
    unknown: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)

    @property
    def keys(self) -> list[str]:
        """The names of the keys, for people with the right to see them."""
        return [change.name for change in self.changes]


def secret_state(environment: Environment, release: Release) -> SecretState:
    """Compares the secrets files of the release with their current versions. Errors of AWS become `unknown`."""
    pinned = release.secret_versions
    removed = sorted(pinned.keys() - set(environment.secrets_files.values_list("path", flat=True)))
    if removed:
        return SecretState(unknown=f"the environment no longer has the secrets file {', '.join(removed)}.")
    versions = {path: version for path, version in current_versions(environment).items() if path in pinned}
    silent = sorted(pinned.keys() - versions.keys())
    if silent:
        return SecretState(unknown=f"AWS did not say which version of {', '.join(silent)} is current.")
    if versions == pinned:
        return SecretState()
    key = key_of(environment, release, versions)
    kept = cache.get(key)
    if kept is not None:
        return SecretState(kept, versions=versions)
    try:
        changes = compare(environment, release, versions)
    except SlipwayError as error:
        return SecretState(unknown=redact_text(error.message))
    cache.set(key, changes, KEPT_SECONDS)
    return SecretState(changes, versions=versions)


def compare(environment: Environment, release: Release, versions: dict[str, str]) -> tuple[SecretChange, ...]:
    """Reads these versions and compares them. Raises as `fetch_secrets`."""
    stored = release.stored_objects
    with redactor_in_force():
        fetched = fetch_secrets(environment, versions, references=secrets_of_files(stored), hasty=True)
        return tuple(secret_changes(stored, fetched, environment))


def key_of(environment: Environment, release: Release, versions: dict[str, str]) -> str:
    """The cache key of a comparison."""
    text = json.dumps([environment.edited, versions], sort_keys=True)
    return f"secret-state-{environment.pk}-{release.pk}-{hashlib.sha256(text.encode()).hexdigest()[:24]}"
