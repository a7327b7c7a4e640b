"""The reference files of an environment at a revision: which keys are wanted, and which workload reads them.

Read from the mirror as it is: a page does not wait for the Git host. Kept in the cache by commit, without any value; of
samples only keyed digests.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from django.core.cache import cache

from adapters.errors import ExternalError
from core.redactor import redact_text
from engine.errors import ManifestError, SlipwayError
from engine.manifests.documents import Document, group_of, read_documents
from engine.manifests.masking import is_secret, values_of
from engine.manifests.references import references_of
from engine.manifests.secretfiles import parse_secrets_file
from engine.types import Manifest, ObjectRef
from projects.connections import quick_repository as git_repository
from projects.models import Environment, Project
from projects.reference_files import files_at
from projects.secret_names import without_names
from secrets_ui.known.public import Place, value_digest

KEPT_SECONDS = 3600


@dataclass(frozen=True)
class Reference:
    """`wanted`: by path of the secrets file, the places of its reference file with a digest of the sample there, as a key of
    the file's secret would have it. `readers`: names of workloads by place; those with an empty key read the whole Secret.
    `problem`: why it could not be read."""

    sha: str = ""
    wanted: Mapping[str, Mapping[Place, str]] = field(default_factory=dict)
    readers: Mapping[Place, Sequence[str]] = field(default_factory=dict)
    problem: str = ""

    def read_by(self, place: Place) -> list[str]:
        """The workloads that read a key, each once."""
        found = [*self.readers.get(place, ()), *self.readers.get((place[0], ""), ())]
        return list(dict.fromkeys(found))

    def without_samples(self) -> Reference:
        """The same keys, but no sample is known: none is told to be equal to a stored value."""
        wanted = {path: dict.fromkeys(places, "") for path, places in self.wanted.items()}
        return replace(self, wanted=wanted)


def newest_sha(project: Project) -> str:
    """The newest commit of the default branch that the mirror has. Raises ExternalError."""
    return git_repository(project).resolve(f"refs/heads/{project.default_branch}").sha


def reference_at(environment: Environment, arns: Mapping[str, str], revision: str = "") -> Reference:
    """The reference files at a revision, else at the newest one. `arns`: of the secrets files, by path. Never raises: what
    went wrong is its `problem`."""
    try:
        project = environment.project
        sha = git_repository(project).resolve(revision).sha if revision else newest_sha(project)
    except ExternalError as error:
        return Reference(problem=_said(error))
    return _kept([(environment, arns, sha)])[environment.pk]


def newest_references(wanted: Sequence[tuple[Environment, Mapping[str, str]]]) -> dict[int, Reference]:
    """The same at the newest revision for many environments, by their pk. Each project's mirror is asked once."""
    newest: dict[int, str | Reference] = {}
    for environment, _ in wanted:
        if environment.project_id not in newest:
            newest[environment.project_id] = _newest(environment.project)
    heads = [(environment, arns, newest[environment.project_id]) for environment, arns in wanted]
    found = _kept([(environment, arns, head) for environment, arns, head in heads if isinstance(head, str)])
    return found | {environment.pk: head for environment, _, head in heads if isinstance(head, Reference)}


def _newest(project: Project) -> str | Reference:
    try:
        return newest_sha(project)
    except ExternalError as error:
        return Reference(problem=_said(error))


def _kept(wanted: Sequence[tuple[Environment, Mapping[str, str], str]]) -> dict[int, Reference]:
    """From the cache, else from the mirror."""
    keys = {environment.pk: _cache_key(environment, arns, sha) for environment, arns, sha in wanted}
    found: dict[str, Reference] = cache.get_many(keys.values())
    for environment, arns, sha in wanted:
        key = keys[environment.pk]
        if key not in found:
            found[key] = _read(environment, arns, sha)
            if not found[key].problem:
                cache.set(key, found[key], KEPT_SECONDS)
    return {pk: found[key] for pk, key in keys.items()}


def _cache_key(environment: Environment, arns: Mapping[str, str], sha: str) -> str:
    of = hashlib.sha256(repr(sorted(arns.items())).encode()).hexdigest()[:16]
    return f"secret-reference-{environment.pk}-{environment.edited}-{of}-{sha}"


def _read(environment: Environment, arns: Mapping[str, str], sha: str) -> Reference:
    paths = [file.path for file in environment.secrets_files.all()]
    try:
        files = files_at(environment, sha)
        wanted = {path: _wanted(files[path], path, arns.get(path, "")) for path in paths if path in files}
    except ExternalError as error:
        return Reference(sha, problem=_said(error))
    except ManifestError as error:  # read also by people who may not see names of keys
        return Reference(sha, problem=_said(without_names(error)))
    lacking = [path for path in paths if path not in files]
    problem = (
        f"There is no {', '.join(lacking)} in {environment.config_directory} at {sha[:7]}." if lacking else ""
    )
    return Reference(sha, wanted, _readers(files), problem)


def _wanted(content: bytes, path: str, arn: str) -> dict[Place, str]:
    documents = parse_secrets_file(content.decode("utf-8", "replace"), path=path)
    return {
        (place := (str(document.body["metadata"]["name"]), key)): value_digest(arn, place, value)
        for document in documents
        for key, value in values_of(document.body)
    }


def _readers(files: Mapping[str, bytes]) -> dict[Place, list[str]]:
    """The workloads that read each key; none where the manifests are invalid, which a deploy reports."""
    try:
        documents = read_documents(files)
    except ManifestError:
        return {}
    found: dict[Place, list[str]] = {}
    for document in documents:
        if not is_secret(document.body):
            for place, workload in _references(document):
                found.setdefault(place, []).append(workload)
    return found


def _references(document: Document) -> Iterator[tuple[Place, str]]:
    body = document.body
    kind, name, version = body["kind"], str(body["metadata"].get("name", "")), str(body["apiVersion"])
    ref = ObjectRef(kind=kind, group=group_of(version), namespace="", name=name)
    for reference in references_of(Manifest(ref, version.rpartition("/")[2], body, document.source)):
        if reference.kind == "Secret":
            yield (reference.name, reference.key), f"{kind}/{name}"


def _said(error: SlipwayError) -> str:
    return redact_text(f"{error.message} {error.hint}".strip())
