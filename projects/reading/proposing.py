"""What is proposed for a project, by what was read from its repository: first values for the fields of a form."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from engine.manifests.images import parse_reference
from projects.dockerfiles import Proposal, proposals
from projects.models import Cluster, Environment, Project, Registry, SecretsFile
from projects.reading.directories import is_named, is_production, place_of, slug_of
from projects.reading.manifests import Manifests
from projects.reading.scan import Scan


@dataclass(frozen=True)
class ProposedFile:
    """A secrets file: a file of blank Secrets, and the secret of AWS that would replace it."""

    path: str
    secrets: tuple[str, ...]
    keys: int
    secret_id: str


@dataclass(frozen=True)
class ProposedEnvironment:
    """An environment. `is_likely`: its folder has an environment's name, or is the only one."""

    folder: str
    slug: str
    name: str
    is_production: bool
    namespace: str
    pull_secret: str
    is_likely: bool
    manifests: Manifests
    files: tuple[ProposedFile, ...]


@dataclass(frozen=True)
class Proposed:
    """Everything that is new to the project."""

    environments: tuple[ProposedEnvironment, ...]
    images: tuple[Proposal, ...]
    region: str


def proposed(project: Project, scan: Scan) -> Proposed:
    """The proposals, without what the project has already. A few queries."""
    have = list(project.environments.all())
    used = {one.config_directory.strip("/") for one in have if one.archived_at is None}
    new = sorted((one for one in scan.folders if one.path not in used), key=lambda one: place_of(one.path))
    likely = {one.path for one in new if is_named(one.path)} or {one.path for one in new if len(new) == 1}
    taken = {one.slug for one in have}
    environments = []
    for folder in new:
        slug = slug_of(folder.path, taken)
        taken.add(slug)
        environments.append(_environment(project, folder.path, slug, folder.manifests, folder.path in likely))
    registries = list(Registry.objects.current())
    images = proposals(project.slug, scan.dockerfiles, list(project.images.all()))
    named = _named_repositories(scan, registries)
    return Proposed(
        tuple(environments), tuple(_with_repository(one, named, len(images)) for one in images),
        registries[0].region if registries else str(SecretsFile._meta.get_field("region").default),
    )  # fmt: skip


def _environment(
    project: Project, folder: str, slug: str, manifests: Manifests, is_likely: bool
) -> ProposedEnvironment:
    files = tuple(
        ProposedFile(file.path, file.secrets, file.keys, _secret_id(project, slug, file.path, manifests))
        for file in manifests.blank_files
    )
    [namespace] = manifests.namespaces if len(manifests.namespaces) == 1 else [f"{project.slug}-{slug}"]
    [pull_secret] = manifests.pull_secrets if len(manifests.pull_secrets) == 1 else [""]
    return ProposedEnvironment(
        folder, slug, slug.capitalize(), is_production(folder), namespace[:63], pull_secret, is_likely, manifests, files
    )  # fmt: skip


def _secret_id(project: Project, slug: str, path: str, manifests: Manifests) -> str:
    """`shop/staging`; with the file's name behind it where there are several. Fits what projects usually get allotted."""
    alone = len(manifests.blank_files) == 1
    return f"{project.slug}/{slug}" if alone else f"{project.slug}/{slug}/{PurePosixPath(path).stem}"


def _named_repositories(scan: Scan, registries: Sequence[Registry]) -> list[str]:
    """The repositories of our registries that manifests name, without repetitions."""
    hosts = {one.host for one in registries}
    found = (parse_reference(text).repository for folder in scan.folders for text in folder.manifests.images)
    split = (name.partition("/") for name in found)
    return [*dict.fromkeys(path for host, _, path in split if host in hosts)]


def _with_repository(proposal: Proposal, named: Iterable[str], count: int) -> Proposal:
    """The proposal with the repository that manifests name for it: of the same name, or the only one of the only image."""
    all_named = list(named)
    fitting = [one for one in all_named if one.rpartition("/")[2] == proposal.name]
    if not fitting and count == 1:
        fitting = all_named
    if len(fitting) != 1:
        return proposal
    return Proposal(proposal.name, proposal.dockerfile, proposal.context, fitting[0])


def missing_variables(environment: Environment, manifests: Manifests) -> list[str]:
    """Names that the manifests use and the environment has no value for."""
    known = {row["name"] for row in environment.variables}
    return [one.name for one in manifests.variables if one.name not in known]


def usual_cluster() -> Cluster | None:
    """The only cluster; None where there are several, or none."""
    rows = list(Cluster.objects.current()[:2])
    return rows[0] if len(rows) == 1 else None
