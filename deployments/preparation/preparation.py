"""The sequence before a deploy's first write: checkout, secrets, render, preflight. The pipeline runs it step by step, the
preview runs it as a whole, so both do the same.

`Fresh` makes a release from a revision; `Stored` loads the objects of a stored release (for a rollback, or a take-over after
the release was stored). Every step keeps its results in the preparation and returns a summary; each is idempotent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Protocol

from core.findings import WARNING, Finding
from core.secret_values import digest, register_objects
from deployments.models import Release
from deployments.preparation import prepare
from deployments.preparation.preflight import (
    Preflight,
    change_findings,
    check_objects,
    check_secrets_files,
    places,
    plural,
)
from deployments.preparation.prepare import NotDeployable
from engine.cluster.client import Client
from engine.cluster.resources import ClusterKinds
from engine.errors import ManifestError, SlipwayError
from engine.manifests.documents import Document
from engine.manifests.render import ImagePin
from engine.manifests.stored import from_stored
from engine.types import Manifest, Observer
from projects.connections import git_repository
from projects.models import Environment, Image
from projects.reference_files import files_at
from projects.secret_files import Fetched, Patiently, fetch_secrets

FETCH_SECONDS = 300.0


class Means(Protocol):
    """How a preparation reaches outside systems, and where it reports.

    `hasty`: a person waits for a page, so timeouts are short and Git's mirror is used without a fetch.
    """

    @property
    def hasty(self) -> bool:
        """Whether a person waits for a page."""

    @property
    def names(self) -> bool:
        """Whether whoever reads what is found may see names of secret keys."""

    @property
    def client(self) -> Client:
        """The client of the environment's cluster, made on first use."""

    @property
    def kinds(self) -> ClusterKinds:
        """The kinds of object that the cluster knows."""

    @property
    def patiently(self) -> Patiently:
        """Runs a call to an outside system that may take minutes."""

    def log(self, text: str, *, level: str = "info") -> None:
        """Writes a line to the log."""

    def observer(self, manifests: Sequence[Manifest]) -> Observer | None:
        """The observer of the dry run, or None."""


def without_names(error: ManifestError) -> ManifestError:
    """What is wrong with a secrets file, for those who may not see names of its keys."""
    count = plural(len(error.problems) or 1, "problem")
    return ManifestError(f"The secrets files cannot be used as they are: {count}.", hint=error.hint)


def cannot_restore(error: SlipwayError) -> NotDeployable:
    """The same of a stored release whose secrets do not fit any more."""
    return NotDeployable("The secrets of that release cannot be restored as they were.", hint=error.hint)


class Preparation:
    """The results of the steps so far. `files`: those of the config directory, by name."""

    def __init__(self, environment: Environment, means: Means) -> None:
        self.environment = environment
        self.means = means
        self.files: Mapping[str, bytes] = {}
        self.documents: Sequence[Document] = ()
        self.fetched: Sequence[Fetched] = ()
        self.pins: Sequence[ImagePin] = ()
        self.manifests: Sequence[Manifest] = ()

    def checkout(self) -> str:
        """Reads the needed files of the revision. Raises ManifestError, ExternalError."""
        raise NotImplementedError

    def secrets(self) -> str:
        """Fetches the secrets files. Raises ManifestError, ExternalError."""
        raise NotImplementedError

    def render(self) -> str:
        """Makes the objects to apply (`manifests`). Raises ManifestError, NotDeployable, ExternalError, ApiError."""
        raise NotImplementedError

    def preflight(self, *, with_diff: bool = False) -> Preflight:
        """Runs every check, without a write. Raises ApiError when the cluster does not answer."""
        raise NotImplementedError

    def _read(self, revision: str) -> None:
        if not self.means.hasty:
            repository = git_repository(self.environment.project)
            self.means.patiently(partial(repository.fetch, FETCH_SECONDS))
        self.files = files_at(self.environment, revision)
        self.documents = prepare.read(self.environment, self.files)

    def _fetch(self, versions: Mapping[str, str] | None) -> str:
        means = self.means
        try:
            self.fetched = fetch_secrets(
                self.environment, versions, patiently=means.patiently, hasty=means.hasty
            )
        except ManifestError as error:
            raise error if means.names else without_names(error) from None
        for one in self.fetched:
            keys = sum(len(document.body.get("data") or {}) for document in one.documents)
            means.log(f"{one.path}: version {one.version_id[:8]}, {plural(keys, 'key')}")
        return plural(len(self.fetched), "secrets file") if self.fetched else "no secrets files"

    def _check(
        self, pins: Sequence[ImagePin], images: Mapping[str, Image], *, with_diff: bool
    ) -> tuple[list[Finding], list[Any]]:
        return check_objects(
            self.means.client, self.means.kinds, self.environment, self.manifests, pins, images,
            with_diff=with_diff, observer=self.means.observer(self.manifests),
        )  # fmt: skip

    def _images(self) -> dict[str, Image]:
        return {image.name: image for image in self.environment.project.images.select_related("registry")}


class Fresh(Preparation):
    """Makes a release from a revision, with the current versions of the secrets files."""

    def __init__(self, environment: Environment, revision: str, means: Means) -> None:
        super().__init__(environment, means)
        self.revision = revision
        self._warnings: Sequence[str] = ()

    def checkout(self) -> str:
        """Reads the objects of the config directory."""
        self._read(self.revision)
        return f"{plural(len(self.documents), 'object')} in {self.environment.config_directory}"

    def secrets(self) -> str:
        """Fetches the current version of every secrets file; the release keeps its VersionId."""
        return self._fetch(None)

    def render(self) -> str:
        """Resolves images to digests, replaces variables, and fills in the secrets."""
        means = self.means
        self.pins = prepare.resolve_images(
            self.environment, self.revision, patiently=means.patiently, hasty=means.hasty
        )
        for pin in self.pins:
            means.log(f"image {pin.name}: {pin.tag} is {pin.digest}")
        rendered = prepare.render_release(
            self.environment, self.revision, self.documents, self.fetched, self.pins, means.kinds
        )
        self.manifests, self._warnings = rendered.manifests, rendered.warnings
        return f"{plural(len(self.manifests), 'object')}, {plural(len(self.pins), 'image')}"

    def preflight(self, *, with_diff: bool = False) -> Preflight:
        """Runs all checks; none depends on another."""
        found, changes = self._check(self.pins, self._images(), with_diff=with_diff)
        sources = places(self.environment, changes, self.manifests, self.files)
        findings = [
            *check_secrets_files(self.environment, self.documents, self.fetched, names=self.means.names),
            *found,
            *change_findings(changes, sources),
            *(Finding(WARNING, warning) for warning in self._warnings),
        ]
        return Preflight(tuple(findings), tuple(changes))


class Stored(Preparation):
    """Loads a stored release, with the same versions of the secrets files that it was made with."""

    def __init__(self, environment: Environment, release: Release, means: Means) -> None:
        """Raises NotDeployable when the environment has another cluster or namespace than the release was made for."""
        super().__init__(environment, means)
        self.release = release
        if not release.fits(environment):
            raise NotDeployable(
                f"The release was made for {release.place}, but the environment is in {environment.place} now.",
                hint="Deploy a revision: its objects are made for where the environment is.",
            )

    def checkout(self) -> str:
        """Reads the Secrets that live in Git from the revision again; nothing else of it is needed."""
        if not any("git" in entry.get("from", {}) for entry in self.release.stored_objects):
            return "not needed: the release is stored"
        self._read(self.release.revision)
        return "Secrets of the repository"

    def secrets(self) -> str:
        """Fetches the versions of the secrets files that the release names."""
        return self._fetch(self.release.secret_versions)

    def render(self) -> str:
        """Loads the stored objects and fills in their secret values."""
        try:
            self.manifests = self._from_stored()
        except SlipwayError as error:
            raise error if self.means.names else cannot_restore(error) from None
        register_objects([manifest.body for manifest in self.manifests])
        self.means.log(
            f"{plural(len(self.manifests), 'object')} of the release of {self.release.revision[:7]}"
        )
        return f"{plural(len(self.manifests), 'object')} of the stored release"

    def _from_stored(self) -> Sequence[Manifest]:
        return from_stored(
            self.release.stored_objects,
            secrets={one.path: one.documents for one in self.fetched},
            git_documents=self.documents,
            digest=digest,
        )

    def preflight(self, *, with_diff: bool = False) -> Preflight:
        """Checks that the images still exist, the pull secret, the references and a dry run; the rest was checked when the
        release was made. Raises NotDeployable for images that no longer exist."""
        pins = [ImagePin(name=name, **image) for name, image in self.release.images.items()]
        images = self._images()
        self._refuse_missing(pins, images)
        known = [pin for pin in pins if pin.name in images]
        found, changes = self._check(known, images, with_diff=with_diff)
        return Preflight((*found, *change_findings(changes)), tuple(changes))

    def _refuse_missing(self, pins: Sequence[ImagePin], images: Mapping[str, Image]) -> None:
        missing = [
            f"{pin.repository}:{pin.tag}" for pin in pins if self._is_missing(pin, images.get(pin.name))
        ]
        if missing:
            raise NotDeployable(
                f"The registry no longer holds {', '.join(missing)}; the release cannot be put in place again.",
                problems=tuple(missing),
                hint="Nothing was changed on the cluster. Deploy a revision whose images exist.",
            )

    def _is_missing(self, pin: ImagePin, image: Image | None) -> bool:
        """Whether the registry no longer holds the image: a lifecycle policy may have removed it."""
        if image is None or image.reference != pin.repository:
            return False  # no longer an image of the project; the cluster pulls it by the release's reference
        return pin.tag not in self.means.patiently(
            partial(prepare.images_by_tag, image, [pin.tag], hasty=self.means.hasty)
        )
