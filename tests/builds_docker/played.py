"""ECR's calls, answered from a plain registry: what ECR would say of its images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
import requests

from adapters.aws.ecr import MANIFEST_TYPES, ImageFacts, RegistryToken
from adapters.aws.ecr_repositories import RepositoryRules
from adapters.errors import NotFound

ACCEPT = {"Accept": ", ".join(MANIFEST_TYPES)}


@dataclass
class PlayedEcr:
    """`Ecr` and `EcrRepositories` for one registry with a user name and a password."""

    url: str
    password: str
    user: str = "AWS"
    repositories: set[str] = field(default_factory=set)

    def token(self) -> RegistryToken:
        return RegistryToken(self.user, self.password, datetime.now(UTC) + timedelta(hours=12), self.url)

    def digests(self, repository: str, tags: Sequence[str]) -> dict[str, ImageFacts]:
        if repository not in self.repositories:
            raise NotFound("There is no such repository.", system="ECR")
        found = {}
        for tag in tags:
            answer = self._ask("GET", f"{repository}/manifests/{tag}")
            if answer.status_code == 200:
                manifest = answer.json()
                size = sum(one["size"] for one in [manifest["config"], *manifest["layers"]])
                found[tag] = ImageFacts(answer.headers["Docker-Content-Digest"], None, size, "ACTIVE")
        return found

    def rules(self, repository: str) -> RepositoryRules:
        if repository not in self.repositories:
            raise NotFound("There is no such repository.", system="ECR")
        return RepositoryRules(keeps_tags=False)

    def create(self, repository: str, lifecycle_policy: str = "") -> bool:
        self.repositories.add(repository)
        return True

    def add_tag(self, repository: str, digest: str, tag: str) -> None:
        old = self._ask("GET", f"{repository}/manifests/{digest}")
        url = f"{self.url}/v2/{repository}/manifests/{tag}"
        kind = {"Content-Type": old.headers["Content-Type"]}
        requests.put(
            url, data=old.content, headers=kind, auth=(self.user, self.password), timeout=10
        ).raise_for_status()

    def _ask(self, method: str, path: str) -> requests.Response:
        return requests.request(
            method, f"{self.url}/v2/{path}", headers=ACCEPT, auth=(self.user, self.password), timeout=10
        )


def play(ecr: PlayedEcr, monkeypatch: pytest.MonkeyPatch) -> None:
    """The build asks this one instead of AWS."""
    for name in (
        "builds.pipeline.orders.ecr",
        "builds.pipeline.orders.ecr_repositories",
        "builds.pipeline.stages.ecr",
        "builds.pipeline.tagging.ecr",
        "builds.pipeline.tagging.ecr_repositories",
    ):
        monkeypatch.setattr(name, lambda registry: ecr)
