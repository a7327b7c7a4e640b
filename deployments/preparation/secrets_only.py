"""The preparation of a deploy of the secrets alone: a kept release with other versions of its secrets files. Images,
configuration and all other objects stay; only workloads that read a changed key restart.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from adapters.errors import ExternalError
from core.secret_values import digests_of, register_objects
from deployments.models import Release
from deployments.preparation.preflight import Preflight, check_secrets_files, plural
from deployments.preparation.preparation import FETCH_SECONDS, Means, Stored, images_of
from deployments.preparation.scope import check_allotted, check_objects_are_ours
from engine.manifests.secretsonly import with_other_secrets
from projects.connections import git_repository
from projects.models import Environment
from projects.reference_files import by_file


class SecretsOnly(Stored):
    """Makes a release from a kept one and the pinned versions of its secrets files (`versions`: VersionId by path); files that
    are not pinned are taken in their current versions."""

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
        """Reads the reference files, and the Secrets that live in Git, at the release's revision. When the repository does not
        answer, the mirror is enough if it has that revision."""
        check_allotted(self.environment)
        self._read(self.release.revision)
        return f"the reference files of {self.release.revision[:7]}"

    def _refresh(self) -> None:
        repository = git_repository(self.environment.project)
        try:
            self.means.patiently(partial(repository.fetch, FETCH_SECONDS))
        except ExternalError as error:
            self.means.log(f"{error.message} The mirror is used as it is.", level="warning")

    def secrets(self) -> str:
        """Fetches the secrets files that the release names; the deploy is pinned to their versions."""
        pinned = {path: self.versions.get(path, "") for path in self.release.secret_versions}
        summary = self._fetch(pinned, by_file(self.documents))
        self._note_newer(pinned)
        return summary

    def render(self) -> str:
        """The stored objects, with new Secrets from the secrets files."""
        self.manifests = with_other_secrets(
            self.release.stored_objects,
            secrets={one.path: one.documents for one in self.fetched},
            git_documents=self.documents,
            namespace=self.environment.namespace,
            environment_label=self.environment.label,
            digests=digests_of(self.environment.label),
        )
        register_objects([manifest.body for manifest in self.manifests])
        check_objects_are_ours(self.environment, self.manifests)
        self.means.log(
            f"{plural(len(self.manifests), 'object')} of the release of {self.release.revision[:7]}, with new secrets"
        )
        return f"{plural(len(self.manifests), 'object')} of the release that runs"

    def preflight(self, *, with_diff: bool = False) -> Preflight:
        """The checks of a stored release, and the comparison of the secrets files with their reference files."""
        found = super().preflight(with_diff=with_diff)
        ours = check_secrets_files(self.environment, self.documents, self.fetched)
        return Preflight((*ours, *found.findings), found.changes)
