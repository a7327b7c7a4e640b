"""What runs, with the secrets files as they are now: images, configuration and everything else stay as they are, and
exactly those workloads restart which read what changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from adapters.errors import ExternalError
from core.secret_values import digest, register_objects
from deployments.models import Release
from deployments.preparation.preflight import Preflight, check_secrets_files, plural
from deployments.preparation.preparation import FETCH_SECONDS, Means, Stored, images_of
from engine.manifests.secretsonly import with_other_secrets
from projects.connections import git_repository
from projects.models import Environment
from projects.reference_files import by_file


class SecretsOnly(Stored):
    """A release made from a kept one and other versions of its secrets files (`versions`: VersionId by path; those that it
    lacks are taken as they are now)."""

    def __init__(
        self,
        environment: Environment,
        release: Release,
        means: Means,
        versions: Mapping[str, str] | None = None,
    ) -> None:
        """Raises NotDeployable when the environment moved since the release was made."""
        super().__init__(environment, release, means)
        self.versions = versions or {}
        self.pins = images_of(release)

    def checkout(self) -> str:
        """The reference files, and the Secrets that live in Git, as they were at the release's revision. A repository that
        does not answer is no obstacle while the mirror has that revision."""
        self._read(self.release.revision)
        return f"the reference files of {self.release.revision[:7]}"

    def _refresh(self) -> None:
        repository = git_repository(self.environment.project)
        try:
            self.means.patiently(partial(repository.fetch, FETCH_SECONDS))
        except ExternalError as error:
            self.means.log(f"{error.message} The mirror is used as it is.", level="warning")

    def secrets(self) -> str:
        """The secrets files that the release was made with; the deploy is pinned to what is read here."""
        pinned = {path: self.versions.get(path, "") for path in self.release.secret_versions}
        summary = self._fetch(pinned, by_file(self.documents))
        self._note_newer(pinned)
        return summary

    def render(self) -> str:
        """The stored objects, with the Secrets of the secrets files replaced."""
        self.manifests = with_other_secrets(
            self.release.stored_objects,
            secrets={one.path: one.documents for one in self.fetched},
            git_documents=self.documents,
            namespace=self.environment.namespace,
            environment_label=self.environment.label,
            digest=digest,
        )
        register_objects([manifest.body for manifest in self.manifests])
        self.means.log(
            f"{plural(len(self.manifests), 'object')} of the release of {self.release.revision[:7]}, with other secrets"
        )
        return f"{plural(len(self.manifests), 'object')} of what runs"

    def preflight(self, *, with_diff: bool = False) -> Preflight:
        """As for a stored release, and that the secrets files have the keys of their reference files."""
        found = super().preflight(with_diff=with_diff)
        ours = check_secrets_files(self.environment, self.documents, self.fetched)
        return Preflight((*ours, *found.findings), found.changes)
