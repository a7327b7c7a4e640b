"""From a revision to the objects of a release: what the preview shows and the pipeline applies is made by the same
functions, so that both cannot differ."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from django.conf import settings

from adapters.aws.ecr import ImageFacts
from adapters.errors import Invalid, NotFound
from core.redactor import current
from engine.errors import ManifestError, SlipwayError
from engine.manifests.documents import Document, read_documents
from engine.manifests.render import ImagePin, Kinds, Rendered, Variable, built_in_variables, render
from engine.manifests.secretfiles import parse_secrets_file, secret_values
from engine.types import Json
from projects.connections import ecr, git_repository, secrets_manager
from projects.models import Environment, Image

Answer = TypeVar("Answer")
Patiently = Callable[[Callable[[], Any]], Any]  # how an outside system is asked
FILE_AND_LINE = re.compile(r"[\w./ -]+:\d+: ")


class NotDeployable(SlipwayError):
    """The revision, or what belongs to it, cannot be deployed as it is. `problems`: every finding, one line each."""

    def __init__(self, message: str, *, problems: tuple[str, ...] = (), hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.problems = problems


def digest(value: bytes) -> str:
    """The keyed hash of a secret value (DIGEST_KEY): equal for equal values, says nothing about them otherwise."""
    return hmac.new(settings.DIGEST_KEY.encode(), value, hashlib.sha256).hexdigest()[:16]


@dataclass(frozen=True)
class Fetched:
    """One secrets file as read from AWS: the version that this deploy is pinned to, and its documents."""

    path: str
    version_id: str
    documents: tuple[Document, ...]

    def __repr__(self) -> str:
        return f"Fetched(path={self.path!r}, version_id={self.version_id!r})"


@dataclass(frozen=True)
class Prepared:
    """Everything that a fresh release is made of. `files`: of the config directory, by name."""

    files: Mapping[str, bytes]
    documents: Sequence[Document]
    fetched: Sequence[Fetched]
    pins: Sequence[ImagePin]
    rendered: Rendered

    def __repr__(self) -> str:
        return f"Prepared({len(self.rendered.manifests)} objects)"


@contextmanager
def located(environment: Environment) -> Iterator[None]:
    """Puts the config directory before every `file:line` that the engine names: it knows files relative to it."""
    try:
        yield
    except ManifestError as error:
        place = f"{environment.config_directory}/"
        problems = tuple(place + text if FILE_AND_LINE.match(text) else text for text in error.problems)
        message = place + error.message if FILE_AND_LINE.match(error.message) else error.message
        raise ManifestError(message, problems=problems, hint=error.hint) from error


def register(bodies: Sequence[Json]) -> None:
    """Makes every secret value in these objects known to the redactor of the run or request."""
    redactor = current()
    if redactor is None:
        raise RuntimeError("Secrets are only read where a redactor is in force (core.redactor.redacting).")
    redactor.add(secret_values(bodies))


def files_at(environment: Environment, sha: str) -> dict[str, bytes]:
    """The files of the config directory at a commit. Raises NotDeployable when there is no such directory, or it holds
    what is not read (links, oversized files): that is the revision's fault, not Git's."""
    repository = git_repository(environment.project)
    try:
        return repository.files(sha, environment.config_directory, recursive=False)
    except (NotFound, Invalid) as error:
        if not error.permanent:
            raise
        raise NotDeployable(error.message, hint=error.hint) from error


def read(environment: Environment, files: Mapping[str, bytes]) -> list[Document]:
    """The objects in those files. Raises ManifestError.

    Secrets that live in Git count as secrets too; the samples in reference files do not.
    """
    with located(environment):
        documents = read_documents(files)
    references = set(environment.secrets_files.values_list("path", flat=True))
    register([document.body for document in documents if document.source.file not in references])
    return documents


def at_once(ask: Callable[[], Answer]) -> Answer:
    """Calls. The pipeline's own way can be stopped meanwhile (Work.patiently)."""
    return ask()


def fetch_secrets(
    environment: Environment, versions: Mapping[str, str] | None = None, *, patiently: Patiently = at_once
) -> list[Fetched]:
    """Every secrets file of the environment, at the given versions (path → VersionId) or the current ones.

    Raises ExternalError (missing, denied, throttled), ManifestError (no Kubernetes Secret), without values.
    """
    found = []
    for file in environment.secrets_files.all():
        if versions is not None and file.path not in versions:
            continue
        version = (versions or {}).get(file.path, "")
        secret = patiently(partial(secrets_manager(file).get, file.secret_id, version))
        documents = parse_secrets_file(secret.text, path=file.path)
        register([document.body for document in documents])
        found.append(Fetched(file.path, secret.version_id, tuple(documents)))
    missing = set(versions or {}) - {fetched.path for fetched in found}
    if missing:
        raise NotDeployable(
            f"The release was made with the secrets file {', '.join(sorted(missing))}, which the environment no longer has.",
            hint="Add it again in the environment's settings, or deploy a revision instead of rolling back.",
        )
    return found


def resolve_images(
    environment: Environment, commit_sha: str, *, patiently: Patiently = at_once
) -> list[ImagePin]:
    """Each image of the project at this revision, by tag and digest. Raises NotDeployable naming every missing tag.

    Builds tag images with the short and the full revision (design.md §1.2); the short one is preferred.
    """
    pins: list[ImagePin] = []
    missing: list[str] = []
    for image in environment.project.images.select_related("registry"):
        try:
            pins.append(patiently(partial(pin_of, image, commit_sha)))
        except NotDeployable as error:
            missing.append(error.message)
    if missing:
        raise NotDeployable(
            missing[0]
            if len(missing) == 1
            else f"{len(missing)} images of this revision cannot be pulled. {missing[0]}",
            problems=tuple(missing),
            hint="Build this revision first, or choose one whose images were built.",
        )
    return pins


def images_by_tag(image: Image, tags: Sequence[str]) -> dict[str, ImageFacts]:
    """Those of the tags that the image's repository has. Raises ExternalError."""
    return ecr(image.registry).digests(image.repository, tags)


def pin_of(image: Image, sha: str) -> ImagePin:
    """One image's tag and digest. Raises NotDeployable when neither tag of the revision exists, or it is archived."""
    found = images_by_tag(image, [sha[:7], sha])
    for tag in (sha[:7], sha):
        if tag in found and found[tag].can_be_pulled:
            return ImagePin(name=image.name, repository=image.reference, tag=tag, digest=found[tag].digest)
    why = "is archived; restore it in the registry" if found else "is not in the registry"
    raise NotDeployable(f"Image {image.name}: {image.reference}:{sha[:7]} {why}.")


def variables(environment: Environment, commit_sha: str, pins: Sequence[ImagePin]) -> list[Variable]:
    """Built-in variables and the environment's own."""
    own = [
        Variable(row["name"], str(row["value"]), row.get("type", "string")) for row in environment.variables
    ]
    return [
        *built_in_variables(
            project=environment.project.slug,
            environment=environment.slug,
            namespace=environment.namespace,
            revision=commit_sha,
            image_tag=pins[0].tag if pins else commit_sha[:7],
            images=pins,
        ),
        *own,
    ]


def render_release(
    environment: Environment, sha: str, documents: Sequence[Document], fetched: Sequence[Fetched], pins: Sequence[ImagePin],
    kinds: Kinds,
) -> Rendered:  # fmt: skip
    """The objects to apply. Raises ManifestError with every finding (file, line, what is wrong)."""
    with located(environment):
        rendered = render(
            documents,
            variables=variables(environment, sha, pins),
            images=pins,
            namespace=environment.namespace,
            environment_label=environment.label,
            secret_documents={one.path: list(one.documents) for one in fetched},
            kinds=kinds,
            digest=digest,
            settling=environment.settling,
        )
    register([manifest.body for manifest in rendered.manifests])  # of the repository, now with variables
    return rendered


def reference_documents(documents: Sequence[Document], path: str) -> list[Document]:
    """The blank Secret file at a path of the config directory. Raises ManifestError when it is not there."""
    found = [document for document in documents if document.source.file == path]
    if not found:
        raise ManifestError(
            f"The reference file {path} is not in the config directory of this revision.",
            hint="Commit the blank Secret file, or correct the path of the secrets file in the environment's settings.",
        )
    return found
