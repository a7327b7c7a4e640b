"""The sequence before a deploy's first write: checkout, secrets, render, preflight. The pipeline runs it step by step, the
preview runs it as a whole, so both do the same.

`Fresh` makes a release from a revision; `Stored` loads the objects of a stored release (for a rollback, or a take-over after
the release was stored). Every step keeps its results in the preparation and returns a summary; each is idempotent.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Protocol

from core.findings import WARNING, Finding
from core.secret_values import digests_of, register_objects
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
from deployments.preparation.reference_check import joined
from deployments.preparation.scope import check_allotted, check_objects_are_ours
from deployments.queries import last_release
from engine.cluster.client import Client
from engine.cluster.resources import ClusterKinds
from engine.manifests.documents import Document
from engine.manifests.render import ImagePin
from engine.manifests.stored import from_stored, secrets_of_files
from engine.types import Manifest, Observer
from projects.connections import git_repository
from projects.image_availability import images_by_tag
from projects.models import Environment, Image
from projects.reference_files import by_file, files_at
from projects.secret_files import Fetched, Patiently, References, fetch_secrets, moved

FETCH_SECONDS = 300.0


class Means(Protocol):
    """How a preparation reaches outside systems, and where it reports.

    `hasty`: a person waits for a page, so timeouts are short and Git's mirror is used without a fetch.
    """

    @property
    def hasty(self) -> bool:
        """Whether a person waits for a page."""

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


class Preparation(ABC):
    """The results of the steps so far. `files`: those of the config directory, by name; `notes`: warnings for the deploy's
    page."""

    def __init__(self, environment: Environment, means: Means) -> None:
        self.environment = environment
        self.notes: list[str] = []
        self.means = means
        self.files: Mapping[str, bytes] = {}
        self.documents: Sequence[Document] = ()
        self.fetched: Sequence[Fetched] = ()
        self.pins: Sequence[ImagePin] = ()
        self.manifests: Sequence[Manifest] = ()

    @abstractmethod
    def checkout(self) -> str:
        """Reads the needed files of the revision. Raises ManifestError, ExternalError."""

    @abstractmethod
    def secrets(self) -> str:
        """Fetches the secrets files. Raises ManifestError, ExternalError."""

    @abstractmethod
    def render(self) -> str:
        """Makes the objects to apply (`manifests`). Raises ManifestError, NotDeployable, ExternalError, ApiError."""

    @abstractmethod
    def preflight(self, *, with_diff: bool = False) -> Preflight:
        """Runs every check, without a write. Raises ApiError when the cluster does not answer."""

    def _read(self, revision: str) -> None:
        if not self.means.hasty:
            self._refresh()
        self.files = files_at(self.environment, revision)
        self.documents = prepare.read(self.environment, self.files)

    def _refresh(self) -> None:
        """Brings the mirror up to date. Raises ExternalError."""
        repository = git_repository(self.environment.project)
        self.means.patiently(partial(repository.fetch, FETCH_SECONDS))

    def _fetch(self, versions: Mapping[str, str], references: References) -> str:
        means = self.means
        self.fetched = fetch_secrets(
            self.environment, versions, references=references, patiently=means.patiently, hasty=means.hasty
        )
        for one in self.fetched:
            keys = sum(len(document.body.get("data") or {}) for document in one.documents)
            means.log(f"{one.path}: version {one.version_id[:8]}, {plural(keys, 'key')}")
        return plural(len(self.fetched), "secrets file") if self.fetched else "no secrets files"

    def _note_newer(self, pinned: Mapping[str, str]) -> None:
        """Says of which pinned files AWS has a newer version by now."""
        means = self.means
        for path in moved(self.environment, pinned, patiently=means.patiently):
            note = (
                f"AWS has a newer version of {path} by now; this deploy uses the one that was current when it was previewed "
                f"or asked for ({pinned[path][:8]})."
            )
            means.log(note, level="warning")
            self.notes.append(note)

    def _check(
        self, pins: Sequence[ImagePin], images: Mapping[str, Image], *, with_diff: bool
    ) -> tuple[list[Finding], list[Any]]:
        return check_objects(
            self.means.client, self.means.kinds, self.environment, self.manifests, pins, images,
            with_diff=with_diff, observer=self.means.observer(self.manifests),
        )  # fmt: skip

    def _images(self) -> dict[str, Image]:
        return {
            image.name: image
            for image in self.environment.project.images.current().select_related("registry")
        }


class Fresh(Preparation):
    """Makes a release from a revision, with the secrets files in their pinned versions (`versions`: VersionId by path), and
    the other ones in their current versions."""

    def __init__(
        self, environment: Environment, revision: str, means: Means, versions: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(environment, means)
        self.revision = revision
        self.versions = versions or {}
        self._warnings: Sequence[str] = ()

    def checkout(self) -> str:
        """Reads the objects of the config directory."""
        check_allotted(self.environment)
        self._read(self.revision)
        return f"{plural(len(self.documents), 'object')} in {self.environment.config_directory}"

    def secrets(self) -> str:
        """Fetches every secrets file of the environment; the deploy is pinned to their versions."""
        paths = self.environment.secrets_files.values_list("path", flat=True)
        pinned = {path: self.versions.get(path, "") for path in paths}
        summary = self._fetch(pinned, by_file(self.documents))
        self._note_newer(pinned)
        return summary

    def render(self) -> str:
        """Resolves images to digests, replaces variables, and fills in the secrets."""
        means = self.means
        self.pins = prepare.resolve_images(
            self.environment, self.revision, patiently=means.patiently, hasty=means.hasty
        )
        for pin in self.pins:
            means.log(f"image {pin.name}: {pin.tag} is {pin.digest}")
        release = last_release(self.environment)
        rendered = prepare.render_release(
            self.environment, self.revision, self.documents, self.fetched, self.pins, means.kinds,
            before=release.stored_objects if release else (),
        )  # fmt: skip
        check_objects_are_ours(self.environment, rendered.manifests, self.documents)
        self.manifests, self._warnings = rendered.manifests, rendered.warnings
        return f"{plural(len(self.manifests), 'object')}, {plural(len(self.pins), 'image')}"

    def preflight(self, *, with_diff: bool = False) -> Preflight:
        """Runs all checks; none depends on another."""
        found, changes = self._check(self.pins, self._images(), with_diff=with_diff)
        sources = places(self.environment, changes, self.manifests, self.files)
        of_files = check_secrets_files(self.environment, self.documents, self.fetched)
        findings = [
            *of_files,
            *joined(found, of_files),
            *change_findings(changes, sources),
            *(Finding(WARNING, warning) for warning in self._warnings),
        ]
        return Preflight(tuple(findings), tuple(changes))


def images_of(release: Release) -> list[ImagePin]:
    """The images that a release pins."""
    return [ImagePin(name=name, **image) for name, image in release.images.items()]


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
        check_allotted(self.environment)
        if not any("git" in entry.get("from", {}) for entry in self.release.stored_objects):
            return "not needed: the release is stored"
        self._read(self.release.revision)
        return "Secrets of the repository"

    def secrets(self) -> str:
        """Fetches the versions of the secrets files that the release names."""
        return self._fetch(self.release.secret_versions, secrets_of_files(self.release.stored_objects))

    def render(self) -> str:
        """Loads the stored objects and fills in their secret values."""
        self.manifests = from_stored(
            self.release.stored_objects,
            secrets={one.path: one.documents for one in self.fetched},
            git_documents=self.documents,
            digests=digests_of(self.environment.label),
        )
        register_objects([manifest.body for manifest in self.manifests])
        check_objects_are_ours(self.environment, self.manifests)
        self.means.log(
            f"{plural(len(self.manifests), 'object')} of the release of {self.release.revision[:7]}"
        )
        return f"{plural(len(self.manifests), 'object')} of the stored release"

    def preflight(self, *, with_diff: bool = False) -> Preflight:
        """Checks that the images still exist, the pull secret, the references and a dry run; the rest was checked when the
        release was made. Raises NotDeployable for images that no longer exist."""
        pins = images_of(self.release)
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
            partial(images_by_tag, image, [pin.tag], hasty=self.means.hasty)
        )
