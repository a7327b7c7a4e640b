"""Functions that turn the files of a revision into the objects of a release. `preparation.py` calls them in order."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial

from core.secret_values import digests_of, register_objects
from engine.errors import Cause, ManifestError, SlipwayError
from engine.manifests.documents import Document, read_documents
from engine.manifests.render import ImagePin, Kinds, Rendered, Variable, built_in_variables, render
from engine.types import Json
from projects.image_availability import images_by_tag, images_of_revision
from projects.models import Environment, Image
from projects.secret_files import Fetched, Patiently, at_once

FILE_AND_LINE = re.compile(r"[\w./ -]+:\d+: ")


class NotDeployable(SlipwayError):
    """The revision, its images, its secrets files or its release cannot be deployed. `problems`: every finding, one line
    each; `in_log`: the log has them already."""

    code = "not-deployable"

    def __init__(
        self, message: str, *, problems: tuple[str, ...] = (), hint: str = "", in_log: bool = False,
        key_names: Mapping[str, tuple[str, ...]] | None = None, why: Mapping[str, Cause] | None = None,
    ) -> None:  # fmt: skip
        super().__init__(message, hint=hint, key_names=key_names, why=why)
        self.problems = problems
        self.in_log = in_log


@contextmanager
def located(environment: Environment) -> Iterator[None]:
    """Puts the config directory before every `file:line` in a ManifestError: the engine names files relative to it."""
    try:
        yield
    except ManifestError as error:
        place = f"{environment.config_directory}/"
        problems = tuple(place + text if FILE_AND_LINE.match(text) else text for text in error.problems)
        message = place + error.message if FILE_AND_LINE.match(error.message) else error.message
        causes = dict(zip(problems, map(error.why.get, error.problems), strict=True))
        known = {text: cause for text, cause in causes.items() if cause is not None}
        raise ManifestError(message, problems=problems, hint=error.hint, why=known) from error


def read(environment: Environment, files: Mapping[str, bytes]) -> list[Document]:
    """Parses the objects in `files`, and registers secret values with the redactor. Raises ManifestError.

    Values of Secrets that live in Git are secret, too; the samples in reference files are not.
    """
    with located(environment):
        documents = read_documents(files)
    references = set(environment.secrets_files.values_list("path", flat=True))
    register_objects([document.body for document in documents if document.source.file not in references])
    return documents


def resolve_images(
    environment: Environment, commit_sha: str, *, patiently: Patiently = at_once, hasty: bool = False
) -> list[ImagePin]:
    """The tag and digest of each image of the project at this revision. Raises NotDeployable with every missing image, and
    ExternalError.

    Builds tag images with the short and the full revision; the short one is preferred. `hasty`: use short timeouts, because
    a person waits for a page.
    """
    pins: list[ImagePin] = []
    missing: dict[str, Cause] = {}
    for image in environment.project.images.current().select_related("registry"):
        try:
            pins.append(patiently(partial(pin_of, image, commit_sha, hasty=hasty)))
        except NotDeployable as error:
            missing[error.message] = Cause("image")
    if missing:
        first, *others = missing
        raise NotDeployable(
            f"{len(missing)} images of this revision cannot be pulled. {first}" if others else first,
            problems=tuple(missing),
            why=missing,
            hint="Build this revision first, or choose one whose images were built.",
        )
    return pins


def pin_of(image: Image, sha: str, *, hasty: bool = False) -> ImagePin:
    """One image's tag and digest. Raises NotDeployable when neither tag of the revision exists or the image is archived,
    and ExternalError."""
    found = images_of_revision(images_by_tag(image, [sha[:7], sha], hasty=hasty), sha)
    for tag, facts in found.items():
        if facts.can_be_pulled:
            return ImagePin(name=image.name, repository=image.reference, tag=tag, digest=facts.digest)
    why = "is archived; restore it in the registry" if found else "is not in the registry"
    raise NotDeployable(f"Image {image.name}: {image.reference}:{sha[:7]} {why}.")


def variables(environment: Environment, commit_sha: str, pins: Sequence[ImagePin]) -> list[Variable]:
    """The variables for a render: built-in ones first, then the environment's."""
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
    kinds: Kinds, *, before: Sequence[Json] = (),
) -> Rendered:  # fmt: skip
    """Renders the objects to apply. `before`: the stored objects of the release that runs. Raises ManifestError with every
    problem (file, line, sentence)."""
    with located(environment):
        rendered = render(
            documents,
            variables=variables(environment, sha, pins),
            images=pins,
            namespace=environment.namespace,
            environment_label=environment.label,
            secret_documents={one.path: list(one.documents) for one in fetched},
            kinds=kinds,
            digests=digests_of(environment.label),
            before=before,
            settling=environment.settling,
        )
    # Again: replacing variables can have made new values.
    register_objects([manifest.body for manifest in rendered.manifests])
    return rendered
