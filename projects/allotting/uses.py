"""What uses an allotment: the settings, in sentences, that would lack it."""

from __future__ import annotations

from collections.abc import Iterator

from projects.allotting.rules import fits
from projects.allotting.wishes import Wish, of_place, of_project, of_repository, of_secret
from projects.models import Allotment, Project


def users_of(project: Project) -> Iterator[tuple[str, Wish]]:
    """Every setting of the project that names something outside, as text, with its wish."""
    for environment in project.environments.select_related("cluster"):
        for wish in of_place(environment.cluster, environment.namespace):
            yield f"the environment {environment.name}", wish
        for file in environment.secrets_files.all():
            for wish in of_secret(file.secret_id, file.role_arn):
                yield f"the secrets file {file.path} of {environment.name}", wish
    for image in project.images.select_related("registry"):
        for wish in of_repository(image.registry, image.repository):
            yield f"the image {image.name}", wish
    for wish in of_project(project):
        yield "the repository of the project", wish


def left_without(allotment: Allotment) -> list[str]:
    """The settings of its project that only this allotment covers. Objects beyond the namespace are judged by each deploy, so
    allotments for them can always be withdrawn."""
    if allotment.environment_id is not None:
        return []
    others = list(Allotment.objects.filter(project=allotment.project_id).exclude(pk=allotment.pk))
    return [
        text
        for text, wish in users_of(allotment.project)
        if fits(allotment, wish) and not any(fits(other, wish) for other in others)
    ]


def proposals(project_slug: str) -> list[tuple[str, str]]:
    """What a new project usually gets, by its short name: kinds and patterns."""
    kind = Allotment.Kind
    return [
        (kind.NAMESPACE, f"{project_slug}-*"),
        (kind.SECRET, f"{project_slug}/*"),
        (kind.SECRET, f"*/{project_slug}/*"),
        (kind.REPOSITORY, f"{project_slug}/*"),
    ]
