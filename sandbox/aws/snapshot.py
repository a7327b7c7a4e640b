"""Stores moto's state in memory (secrets with their versions, repositories with their images) in one file.

The whole file is written after each change, before the answer is sent, so that no answered change is lost by a kill -9.
Only its owner can read the file. It is replaced atomically, so it is always complete.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from moto.ecr.models import ECRBackend, Image, Repository, ecr_backends
from moto.secretsmanager.models import FakeSecret, SecretsManagerBackend, secretsmanager_backends

from sandbox.aws import ACCOUNT

# Attributes of moto's objects that loading rebuilds or does not need.
_SECRET_LEAVES_OUT = {"replicas"}
_IMAGE_LEAVES_OUT = {"last_scan", "scan_finding_results", "scan_finding_results_queue"}
_REPOSITORY_KEEPS = (
    "registry_id",
    "arn",
    "uri",
    "image_tag_mutability",
    "image_scanning_configuration",
    "policy",
    "lifecycle_policy",
)


class Snapshot:
    """The file. Call `load` once at start, and make every change inside `change`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()

    @contextmanager
    def change(self) -> Iterator[None]:
        """Runs one change at a time, because moto's backends have no locks, and writes the file before the next change."""
        with self._lock:
            yield
            self._save()

    def load(self) -> None:
        """Fills moto's backends from the file, if there is one."""
        if not self.path.exists():
            return
        for region, state in json.loads(self.path.read_text()).items():
            _fill_secrets(secretsmanager_backends[ACCOUNT][region], state["secrets"])
            _fill_repositories(ecr_backends[ACCOUNT][region], state["repositories"])

    def _save(self) -> None:
        text = json.dumps({region: _state(region) for region in _regions()})
        new = self.path.with_suffix(".new")
        with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(text)
        new.replace(self.path)


def _regions() -> list[str]:
    return sorted({*secretsmanager_backends[ACCOUNT], *ecr_backends[ACCOUNT]})


def _state(region: str) -> dict[str, Any]:
    secrets = secretsmanager_backends[ACCOUNT][region].secrets
    repositories = ecr_backends[ACCOUNT][region].repositories
    return {
        "secrets": [
            _without(vars(s), _SECRET_LEAVES_OUT) for s in secrets.values() if isinstance(s, FakeSecret)
        ],
        "repositories": [_repository(r) for r in repositories.values()],
    }


def _without(attributes: dict[str, Any], names: set[str]) -> dict[str, Any]:
    return {name: value for name, value in attributes.items() if name not in names}


def _repository(repository: Repository) -> dict[str, Any]:
    kept = {name: getattr(repository, name) for name in _REPOSITORY_KEEPS}
    images = [_without(vars(image), _IMAGE_LEAVES_OUT) for image in repository.images]
    return {
        "name": repository.name,
        "created": repository.created_at.timestamp(),
        "kept": kept,
        "images": images,
    }


def _fill_secrets(backend: SecretsManagerBackend, entries: list[dict[str, Any]]) -> None:
    for entry in entries:
        secret: Any = FakeSecret.__new__(FakeSecret)
        vars(secret).update(entry, replicas=[])
        backend.secrets[secret.name] = secret


def _fill_repositories(backend: ECRBackend, entries: list[dict[str, Any]]) -> None:
    for entry in entries:
        make: Any = Repository  # a class that is abstract by its annotations only
        repository = make(ACCOUNT, backend.region_name, entry["name"], None, None, "", "")
        vars(repository).update(entry["kept"])
        repository.created_at = datetime.fromtimestamp(entry["created"], UTC).replace(tzinfo=None)
        repository.images = [_image(attributes) for attributes in entry["images"]]
        backend.repositories[repository.name] = repository


def _image(attributes: dict[str, Any]) -> Image:
    image: Any = Image.__new__(Image)
    vars(image).update(attributes, last_scan=None, scan_finding_results={}, scan_finding_results_queue=[])
    return image
