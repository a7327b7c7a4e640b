"""Rows for tests, each with sensible defaults: `make_project(slug="shop")`."""

from __future__ import annotations

import itertools
import json
import uuid
from collections.abc import Sequence
from typing import Any, TypeVar

from builds.kind import BUILD, steps_of
from builds.models import Build, BuiltImage
from deployments.gate.kind import DEPLOY
from deployments.models import STEPS, Deploy, Release, compress
from people.models import User
from projects.allotting.wishes import of_git, of_place, of_project, of_repository, of_secret
from projects.models import (
    Allotment,
    Cluster,
    Environment,
    Image,
    Membership,
    Project,
    Registry,
    Role,
    SecretsFile,
)
from runs.life.opening import next_number
from runs.models import State, Step

PASSWORD = "correct horse battery staple"
_count = itertools.count(1)

KUBECONFIG = json.dumps(
    {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "c",
        "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:1"}}],
        "users": [{"name": "u", "user": {"token": "canary-kubeconfig-token"}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
    }
)


def make_user(username: str = "", **fields: Any) -> User:
    """A person who can sign in with PASSWORD."""
    user = User(username=username or f"person{next(_count)}", **fields)
    user.set_password(PASSWORD)
    user.save()
    return user


def make_cluster(**fields: Any) -> Cluster:
    """A cluster at an address without a server."""
    n = next(_count)
    return Cluster.objects.create(
        **{"slug": f"cluster{n}", "name": f"Cluster {n}", "kubeconfig": KUBECONFIG, **fields}
    )


def make_registry(**fields: Any) -> Registry:
    """An ECR registry."""
    n = next(_count)
    defaults = {
        "slug": f"registry{n}",
        "name": f"Registry {n}",
        "endpoint": f"https://registry{n}.example",
        "account": "123456789012",
    }
    return Registry.objects.create(**{**defaults, **fields})


Row = TypeVar("Row", Project, Environment, Image, SecretsFile)


def with_address(project: Project) -> Project:
    """The project, with the address of its repository allotted to it, as for a stored credential or the site's token."""
    for wish in of_git(project.repository_url):
        Allotment.objects.get_or_create(project=project, environment=None, kind=wish.kind, pattern=wish.value)
    return project


def allotted(row: Row) -> Row:
    """The row, with everything that it names allotted to its project, as after a change by an admin."""
    if isinstance(row, Project):
        project, wishes = row, of_project(row)
    elif isinstance(row, Environment):
        project, wishes = row.project, of_place(row.cluster, row.namespace)
    elif isinstance(row, Image):
        project, wishes = row.project, of_repository(row.registry, row.repository)
    else:
        project, wishes = row.environment.project, of_secret(row.secret_id, row.role_arn)
    for wish in wishes:
        Allotment.objects.get_or_create(
            project=project, environment=None, kind=wish.kind, pattern=wish.value, cluster_id=wish.cluster,
            registry_id=wish.registry,
        )  # fmt: skip
    return row


def make_project(**fields: Any) -> Project:
    """A project without environments."""
    n = next(_count)
    defaults = {
        "slug": f"project{n}",
        "name": f"Project {n}",
        "repository_url": f"https://git.example/project{n}.git",
    }
    return allotted(Project.objects.create(**{**defaults, **fields}))


def make_environment(project: Project | None = None, **fields: Any) -> Environment:
    """An environment with a cluster of its own unless one is given."""
    n = next(_count)
    slug = fields.get("slug", f"env{n}")
    defaults = {
        "project": project or make_project(), "slug": slug, "name": slug, "namespace": f"ns{n}",
        "config_directory": f"kubernetes/{slug}",
    }  # fmt: skip
    if "cluster" not in fields:
        fields["cluster"] = make_cluster()
    return allotted(Environment.objects.create(**{**defaults, **fields}))


def make_image(project: Project, **fields: Any) -> Image:
    """An image of the project in a registry of its own unless one is given."""
    if "registry" not in fields:
        fields["registry"] = make_registry()
    return allotted(
        Image.objects.create(
            **{"project": project, "name": "web", "repository": f"{project.slug}/web", **fields}
        )
    )


def make_secrets_file(environment: Environment, **fields: Any) -> SecretsFile:
    """A secrets file of the environment."""
    return allotted(
        SecretsFile.objects.create(
            **{
                "environment": environment,
                "path": "secret.yaml",
                "secret_id": f"slipway/{environment.label}",
                **fields,
            }
        )
    )


def grant(user: User, role: Role, project: Project, environment: Environment | None = None) -> Membership:
    """Gives a role."""
    return Membership.objects.create(user=user, project=project, environment=environment, role=role)


def make_release(environment: Environment, **fields: Any) -> Release:
    """A stored release with one ConfigMap."""
    body = {
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "namespace": environment.namespace}, "data": {},
    }  # fmt: skip
    objects = [{"object": body, "source": "c.yaml:1"}]
    defaults = {
        "revision": "a" * 40,
        "objects_compressed": compress(objects),
        "object_count": 1,
        "content_hash": uuid.uuid4().hex * 2,
    }
    return Release.objects.create(**{"environment": environment, **defaults, **fields})


def make_deploy(environment: Environment, state: str = State.SUCCEEDED, **fields: Any) -> Deploy:
    """A deploy with its steps."""
    n = next_number(DEPLOY)
    defaults = {
        "number": n, "state": state, "revision": f"{n:040x}", "subject": f"Change {n}", "author": "Ana",
        "actor_kind": "person", "actor_id": "1", "actor_text": "ana",
    }  # fmt: skip
    deploy = Deploy.objects.create(**{"environment": environment, **defaults, **fields})
    Step.objects.bulk_create(
        Step(run_id=deploy.run_id, name=name, position=i) for i, name in enumerate(STEPS)
    )
    return deploy


def make_build(
    project: Project, state: str = State.SUCCEEDED, *, images: Sequence[str] = ("web",), **fields: Any
) -> Build:
    """A build with its steps, and rows of its images, which stand as a build in that state leaves them."""
    n = next_number(BUILD)
    defaults = {
        "number": n, "state": state, "revision": f"{n:040x}", "subject": f"Change {n}", "author": "Ana", "branch": "main",
        "actor_kind": "person", "actor_id": "1", "actor_text": "ana",
    }  # fmt: skip
    build = Build.objects.create(**{"project": project, **defaults, **fields})
    names = steps_of(images)
    Step.objects.bulk_create(Step(run_id=build.run_id, name=name, position=i) for i, name in enumerate(names))
    done = "succeeded" if build.state == State.SUCCEEDED else "pending"
    rows = {image.name: image for image in project.images.select_related("registry")}
    for position, name in enumerate(images):
        row = rows.get(name)
        BuiltImage.objects.create(
            build=build, name=name, position=position, state=done, image=row,
            reference=row.reference if row else f"r.example/{project.slug}/{name}",
        )  # fmt: skip
    return build
