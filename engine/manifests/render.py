"""Turns a config directory's documents into the objects that a deploy applies.

Secrets files replace their blank reference files, variables and images are filled in, namespaces and Slipway's label and
annotations are set. Documents are not changed: rewritten parts are copied, all other parts are shared.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from engine.errors import Cause
from engine.manifests.digests import with_marks
from engine.manifests.documents import MAX_PROBLEMS, Document, group_of, object_problem, refuse
from engine.manifests.fieldlines import line_of_field
from engine.manifests.images import ImagePin, Pins, is_moving
from engine.manifests.masking import LAST_APPLIED, Digests, is_secret
from engine.manifests.plan import defined_kinds, phase_of
from engine.manifests.references import (
    CONTAINER_LISTS,
    container_images,
    pod_template_of,
    with_pod_template,
)
from engine.manifests.secretfiles import normal_data, with_data
from engine.manifests.serverfields import without_server_fields
from engine.manifests.settling import USUAL, Settling, keeping_old_pods, probe_warnings
from engine.manifests.slips import problems_of
from engine.manifests.textslips import text_slips
from engine.manifests.variables import Filler, Room, Variable, built_in_variables
from engine.types import (
    ENVIRONMENT_LABEL,
    OBJECT_ANNOTATION,
    PHASE_ANNOTATION,
    Json,
    Manifest,
    ObjectRef,
    Source,
)

__all__ = ["ImagePin", "Kinds", "Rendered", "Variable", "built_in_variables", "render"]


class Kinds(Protocol):
    """The knowledge of the cluster's kinds that rendering needs."""

    def namespaced(self, group: str, version: str, kind: str) -> bool | None:
        """Whether objects of this kind live in namespaces; None when the cluster does not know the kind."""


@dataclass(frozen=True)
class Rendered:
    """`images`: every container image reference, each once. `warnings`: sentences to show before the deploy."""

    manifests: tuple[Manifest, ...]
    warnings: tuple[str, ...]
    images: tuple[str, ...]


@dataclass(frozen=True)
class _Settings:
    """The settings and results that all objects of one rendering share."""

    variables: Sequence[Variable]
    pins: Pins
    namespace: str
    environment_label: str
    settling: Settling  # what is done about containers without a readiness probe
    problems: list[str]
    warnings: list[str]
    room: Room = field(default_factory=Room)
    causes: dict[str, Cause] = field(default_factory=dict)  # by problem


def render(
    documents: Sequence[Document],
    *,
    variables: Sequence[Variable],
    images: Sequence[ImagePin],
    namespace: str,
    environment_label: str,
    secret_documents: Mapping[str, list[Document]],
    kinds: Kinds,
    digests: Digests | None = None,
    before: Sequence[Json] = (),
    settling: Settling = USUAL,
) -> Rendered:
    """Renders all documents. `environment_label`: `<project>.<environment>`; `secret_documents`: Secrets by the path of
    the reference file that they replace; with `digests`, workloads carry digests of the Secrets and ConfigMaps they read,
    `before` being the stored objects of what runs now (engine/manifests/digests.py).

    Raises ManifestError with every problem as `file:line: what is wrong`, without secret values.
    """
    settings = _Settings(variables, Pins(images), namespace, environment_label, settling, [], [])
    written = list(_with_secrets_files(documents, secret_documents, settings.warnings))
    filled = [(_filled(document, settings) if not path else document, path) for document, path in written]
    scopes = _Scopes(kinds, [document.body for document, _ in filled])
    manifests = [_manifest(doc, path, scopes, settings) for doc, path in filled]
    found = [manifest for manifest in manifests if manifest is not None]
    settings.problems.extend(same_twice(found))
    if settings.problems:
        refuse(list(dict.fromkeys(settings.problems)), why=settings.causes)
    if digests is not None:
        found = with_marks(found, digests, before=before)
    references = tuple(
        dict.fromkeys(image for manifest in found for image in container_images(manifest.body))
    )
    moving = [image for image in references if is_moving(image)]
    settings.warnings.extend(f"Image {image} may change without notice: its tag moves" for image in moving)
    return Rendered(tuple(found), tuple(settings.warnings), references)


def _with_secrets_files(
    documents: Sequence[Document], populated: Mapping[str, list[Document]], warnings: list[str]
) -> Iterable[tuple[Document, str]]:
    """All documents, the Secrets of a reference file replaced where the first stands, with the file's path."""
    placed: set[str] = set()
    for document in documents:
        path = document.source.file
        if path not in populated or not is_secret(document.body):
            yield document, ""
        elif path not in placed:
            placed.add(path)
            yield from ((secret, path) for secret in populated[path])
    for path in populated.keys() - placed:
        warnings.append(f"{path} holds no Secret at this revision; the secrets file is applied all the same")
        yield from ((secret, path) for secret in populated[path])


def _filled(document: Document, settings: _Settings) -> Document:
    """The document with its variables filled in."""
    if not document.marks:
        return document
    filler = Filler(settings.variables, settings.room)
    body = filler.fill(document.body)
    secret = is_secret(document.body)
    # No more than are shown: each costs a look through all strings of the file.
    few = max(0, MAX_PROBLEMS + 1 - len(settings.problems))
    for text, name in list(dict.fromkeys(filler.unknown))[:few]:
        problem = _HIDDEN if secret else _unknown(name, filler.known)
        settings.problems.append(f"{document.source.file}:{document.line_of(text)}: {problem}")
        if name and not secret:
            settings.causes[settings.problems[-1]] = Cause("variable", name)
    for text in filler.clashes:
        line = document.line_of(text)
        settings.problems.append(
            f"{document.source.file}:{line}: a key stands twice once its variable is filled in"
        )
    if not filler.unknown and (problem := object_problem(body)):
        typed = (
            ", or make its variable a string" if any(v.type != "string" for v in filler.used.values()) else ""
        )
        settings.problems.append(f"{document.source}: {problem}{typed}")
    return replace(document, body=body)


_HIDDEN = "a value of a Secret holds ${…} that is no variable of this environment; write $${ for a literal ${"


def _unknown(name: str, known: Mapping[str, Variable]) -> str:
    if not name:
        return "${ begins a variable but no name and } follow; write $${ for a literal ${"
    close = difflib.get_close_matches(name, known, n=1)
    guess = f"; did you mean ${{{close[0]}}}?" if close else ""
    names = ", ".join(sorted(known)) or "none"
    return f"${{{name}}} is not a variable of this environment{guess} (known are {names}; write $${{ for a literal ${{)"


class _Scopes:
    """Whether a kind lives in namespaces: by definitions of the same deploy, else by the cluster."""

    def __init__(self, kinds: Kinds, bodies: Sequence[Json]) -> None:
        self._kinds = kinds
        self._defined = defined_kinds(bodies)
        self._known: dict[tuple[str, str], bool | None] = {}

    def namespaced(self, api_version: str, kind: str) -> bool | None:
        key = (api_version, kind)
        if key not in self._known:
            group, _, version = api_version.rpartition("/")
            definition = self._defined.get((group, kind))
            if definition is not None:
                self._known[key] = definition.get("scope") == "Namespaced"
            else:
                self._known[key] = self._kinds.namespaced(group, version, kind)
        return self._known[key]


def _manifest(document: Document, path: str, scopes: _Scopes, settings: _Settings) -> Manifest | None:
    """The finished object, or None with its problem noted."""
    body, source = document.body, document.source
    kind, api_version = body["kind"], body["apiVersion"]
    namespaced = scopes.namespaced(api_version, kind)
    if namespaced is None:
        settings.problems.append(
            f"{source}: the cluster knows no {kind} in {api_version}, and no definition here makes it known"
        )
        return None
    settings.problems.extend(f"{source}: {problem}" for problem in problems_of(body))
    settings.problems.extend(f"{place_of(document, path)}: {text}" for path, text in text_slips(body))
    body = _clean(document, namespaced, settings)
    metadata = body["metadata"]
    namespace = (metadata.get("namespace") or settings.namespace) if namespaced else ""
    ref = ObjectRef(kind, group_of(api_version), namespace, metadata["name"])
    if is_secret(body):
        where = f"{source}: Secret {ref.name}"
        body = with_data(body, normal_data(body, where=where, problems=settings.problems))
    body = _pinned(marked(body, ref, settings.environment_label), settings.pins)
    body = keeping_old_pods(body, settings.settling)
    settings.warnings.extend(f"{source}: {warning}" for warning in probe_warnings(body, settings.settling))
    if _changes_with_each_release(body, settings.pins):
        settings.warnings.append(f"{source}: {_JOB_WARNING.format(name=ref.name)}")
    filled = _used_variables(document, settings) if is_secret(body) and not path else ()
    return Manifest(ref, api_version.rpartition("/")[2], body, source, path, filled)


_JOB_WARNING = (
    "Job {name} runs this release's image, but a Job cannot be changed once it is there; "
    f"annotate it with {PHASE_ANNOTATION}: predeploy (or postdeploy) to get one per deploy"
)


def _changes_with_each_release(body: Json, pins: Pins) -> bool:
    return body["kind"] == "Job" and not phase_of(body) and any(map(pins.has, container_images(body)))


def place_of(document: Document, field: str) -> Source:
    """Where a field of the object stands: its line, or the nearest above it that can be told."""
    if not document.content:
        return document.source
    return line_of_field(document.content, document.source, field)


def _clean(document: Document, namespaced: bool, settings: _Settings) -> Json:
    """The object without fields that must not be applied: those of the server, kubectl's copy of the object, and the namespace of
    an object that lives in none."""
    body, source = document.body, document.source
    cleaned, left_out = without_server_fields(body)
    if left_out:
        names = ", ".join(path.replace(LAST_APPLIED, "last-applied-configuration") for path in left_out)
        settings.warnings.append(
            f"{place_of(document, left_out[0])}: {names} of {body['kind']} {body['metadata']['name']} "
            f"{'is' if len(left_out) == 1 else 'are'} left out: only the cluster writes that; remove it from the file"
        )
    if not namespaced and cleaned["metadata"].get("namespace"):
        settings.warnings.append(f"{source}: {body['kind']} lives in no namespace; the one given is left out")
    return cleaned


def marked(body: Json, ref: ObjectRef, environment_label: str) -> Json:
    """The object with its namespace and the marks by which the portal knows it again."""
    metadata = {key: value for key, value in body["metadata"].items() if key != "namespace"}
    if ref.namespace:
        metadata["namespace"] = ref.namespace
    metadata["labels"] = {**(metadata.get("labels") or {}), ENVIRONMENT_LABEL: environment_label}
    metadata["annotations"] = {**(metadata.get("annotations") or {}), OBJECT_ANNOTATION: str(ref)}
    return {**body, "metadata": metadata}


def _pinned(body: Json, pins: Pins) -> Json:
    template = pod_template_of(body)
    if template is None:
        return body
    spec = dict(template["spec"])
    for name in CONTAINER_LISTS:
        if isinstance(spec.get(name), list):
            spec[name] = [_pinned_container(container, pins) for container in spec[name]]
    return with_pod_template(body, {**template, "spec": spec})


def _pinned_container(container: Any, pins: Pins) -> Any:
    image = container.get("image") if isinstance(container, dict) else None
    return {**container, "image": pins.pinned(image)} if isinstance(image, str) else container


def _used_variables(document: Document, settings: _Settings) -> tuple[tuple[str, str, str], ...]:
    """The variables that strings of the YAML document name; kept with a Secret from Git for its rollback."""
    return tuple(
        (v.name, v.value, v.type)
        for v in settings.variables
        if any(f"${{{v.name}}}" in text for text in document.marks)
    )


def same_twice(manifests: Iterable[Manifest]) -> Iterable[str]:
    """A problem for each object that variables, namespaces or secrets files have made equal to another one."""
    first: dict[ObjectRef, Manifest] = {}
    for manifest in manifests:
        known = first.setdefault(manifest.ref, manifest)
        if known is not manifest:
            what = f"{manifest.ref.kind} {manifest.ref.name}"
            where = f" of namespace {manifest.ref.namespace}" if manifest.ref.namespace else ""
            yield f"{manifest.source}: {what}{where} is already defined at {known.source}"
