"""What a project's settings use of the outside, as wishes that allotments must cover."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from projects.models import Allotment, Cluster, Environment, Project, Registry

Kind = Allotment.Kind


@dataclass(frozen=True)
class Wish:
    """One value that must be allotted. `field`: of the form that asks for it; `what`: for sentences, such as
    `the namespace shop`."""

    kind: str
    value: str
    what: str
    field: str
    cluster: int | None = None
    registry: int | None = None


def of_place(cluster: Cluster, namespace: str) -> list[Wish]:
    """The wish of an environment: a namespace of a cluster."""
    what = f"the namespace {namespace} of {cluster.name}"
    return [Wish(Kind.NAMESPACE, namespace, what, "namespace", cluster=cluster.pk)]


def of_secret(secret_id: str, role_arn: str) -> list[Wish]:
    """The wishes of a secrets file: a secret of AWS, and a role where one is named."""
    found = [Wish(Kind.SECRET, secret_id, f"the AWS secret {secret_id}", "secret_id")]
    if role_arn:
        found.append(Wish(Kind.ROLE, role_arn, f"the role {role_arn}", "role_arn"))
    return found


def of_repository(registry: Registry, repository: str) -> list[Wish]:
    """The wish of an image: a repository of a registry."""
    what = f"the repository {repository} of {registry.name}"
    return [Wish(Kind.REPOSITORY, repository, what, "repository", registry=registry.pk)]


def of_git(url: str) -> list[Wish]:
    """The wish of a project with a stored credential: its repository's whole address."""
    return [Wish(Kind.GIT, url, f"the address {url} for the stored credential", "repository_url")]


def of_environment(environment: Environment) -> list[Wish]:
    """Everything that a deploy of the environment uses: place, secrets files, images, and the repository's address."""
    found = of_place(environment.cluster, environment.namespace)
    for file in environment.secrets_files.all():
        found += of_secret(file.secret_id, file.role_arn)
    for image in environment.project.images.current().select_related("registry"):
        found += of_repository(image.registry, image.repository)
    return found + of_project(environment.project)


def of_project(project: Project) -> list[Wish]:
    """What a project itself uses: the address to which its stored credential is sent."""
    return of_git(project.repository_url) if project.credential_kind else []


def once(wishes: Iterable[Wish]) -> list[Wish]:
    """The wishes without repetitions, in their order."""
    return list(dict.fromkeys(wishes))
