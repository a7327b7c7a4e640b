"""What stands against archiving and restoring the things of this app, in sentences with links, and what they leave outside."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from django.db import models
from django.urls import reverse

from core.leaving import Left, Reason
from projects.leaving.things import Thing
from projects.models import Cluster, Environment, Image, Project, Registry


def current_environments_of(row: models.Model) -> list[Environment]:
    """The environments that stop with the row: itself, or those of the project that are current."""
    if isinstance(row, Environment):
        return [row]
    if isinstance(row, Project):
        return list(
            row.environments.filter(archived_at=None)
            .select_related("cluster", "project")
            .prefetch_related("secrets_files")
        )
    return []


def is_open(row: models.Model) -> Iterator[Reason]:
    """Why the row cannot be archived: something current uses it, or a rule would act in it."""
    if isinstance(row, Cluster):
        for one in row.environments.current().select_related("project"):
            url = reverse("projects:environment", args=[one.project.slug, one.slug])
            yield Reason(f"{one.project.name} {one.name} is on it.", url)
    elif isinstance(row, Registry):
        for image in row.images.current().select_related("project"):
            url = reverse("projects:image", args=[image.project.slug, image.name])
            yield Reason(f"The image {image.name} of {image.project.name} is in it.", url)
    for one in current_environments_of(row):
        if one.auto_deploy:
            url = reverse("projects:environment", args=[one.project.slug, one.slug])
            yield Reason(f"Green builds of {one.auto_deploy} are deployed to {one.name} by themselves.", url)


def not_restorable(thing: Thing) -> Iterator[Reason]:
    """Why the thing cannot be restored: what it needs is archived."""
    if isinstance(thing, Environment | Image) and thing.project.archived_at:
        url = reverse("projects:project-archive", args=[thing.project.slug])
        yield Reason(f"The project {thing.project} is archived: restore it first.", url)
    for needed in needed_by(thing):
        if needed.archived_at:
            kind = type(needed).__name__.lower()
            url = reverse(f"projects:{kind}-archive", args=[needed.slug])
            yield Reason(f"The {kind} {needed.name} is archived: restore it first.", url)


def needed_by(thing: Thing) -> list[Cluster | Registry]:
    """The clusters and registries that the thing names, in the order in which they are locked."""
    clusters = models.Q(pk__in=[])
    registries = models.Q(pk__in=[])
    if isinstance(thing, Environment):
        clusters = models.Q(pk=thing.cluster_id)
    elif isinstance(thing, Image):
        registries = models.Q(pk=thing.registry_id)
    elif isinstance(thing, Project):
        clusters = models.Q(pk__in=thing.environments.filter(archived_at=None).values("cluster"))
        registries = models.Q(pk__in=thing.images.filter(archived_at=None).values("registry"))
    return [
        *Cluster.objects.filter(clusters).defer("kubeconfig").order_by("pk"),
        *Registry.objects.filter(registries).order_by("pk"),
    ]


def left_outside(row: models.Model) -> Iterator[Left]:
    """Namespaces, secrets of AWS and repositories of images that stay."""
    environments = current_environments_of(row)
    if environments:
        yield Left(
            "Namespaces", tuple(sorted({f"{one.namespace} on {one.cluster.name}" for one in environments}))
        )
        files = [file for one in environments for file in one.secrets_files.all()]
        if files:
            names = {f"{file.secret_id} ({file.region})" for file in files}
            yield Left("Secrets in AWS", tuple(sorted(names)), "AWS goes on charging for them.")
    images = _images_of(row)
    if images:
        names = {image.reference for image in images}
        yield Left("Images in the registry", tuple(sorted(names)), "Every pushed image stays.")


def _images_of(row: models.Model) -> Iterable[Image]:
    if isinstance(row, Image):
        return [row]
    if isinstance(row, Project):
        return list(row.images.filter(archived_at=None).select_related("registry"))
    return []
