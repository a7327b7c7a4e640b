"""What of the secrets files has changed since what runs: keys and kinds of changes, never values.

Asking costs one call without values per secrets file. Values are read only when AWS has another version than the one that
runs, and once: versions and releases never change, so that the answer is kept.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

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
    """`changes`: keys that differ from those of what runs. `unknown`: why that cannot be said of all files, or empty."""

    changes: tuple[SecretChange, ...] = ()
    unknown: str = ""

    @property
    def keys(self) -> list[str]:
        """The names of the keys, for people with the right."""
        return [change.key for change in self.changes]


def secret_state(environment: Environment, release: Release) -> SecretState:
    """Compares the secrets files that the release was made with. Never raises for what is wrong outside."""
    pinned = release.secret_versions
    versions = {path: version for path, version in current_versions(environment).items() if path in pinned}
    silent = sorted(pinned.keys() - versions.keys())
    if silent:
        return SecretState(
            unknown=f"AWS did not say soon enough which version of {', '.join(silent)} is current."
        )
    if versions == pinned:
        return SecretState()
    key = key_of(environment, release, versions)
    kept = cache.get(key)
    if kept is not None:
        return SecretState(kept)
    try:
        changes = compare(environment, release, versions)
    except SlipwayError as error:
        return SecretState(unknown=redact_text(error.message))
    cache.set(key, changes, KEPT_SECONDS)
    return SecretState(changes)


def compare(environment: Environment, release: Release, versions: dict[str, str]) -> tuple[SecretChange, ...]:
    """Reads these versions. Raises as `fetch_secrets` does."""
    stored = release.stored_objects
    with redactor_in_force():
        fetched = fetch_secrets(environment, versions, references=secrets_of_files(stored), hasty=True)
        return tuple(secret_changes(stored, fetched, environment.namespace))


def key_of(environment: Environment, release: Release, versions: dict[str, str]) -> str:
    """Of the cache."""
    text = json.dumps([environment.edited, versions], sort_keys=True)
    return f"secret-state-{environment.pk}-{release.pk}-{hashlib.sha256(text.encode()).hexdigest()[:24]}"
