"""Shared queries: light rows of deploys, succeeded deploys, possible targets of a rollback."""

from __future__ import annotations

from django.db.models import OuterRef, QuerySet, Subquery

from deployments.models import Deploy, Release
from projects.models import Environment, Project
from registry.in_use import Deployed
from runs.models import State


def light(deploys: QuerySet[Deploy]) -> QuerySet[Deploy]:
    """Deploys with their environment, project and release, without big columns."""
    return deploys.select_related("environment__project", "release").defer(
        "evidence", "warnings", "release__objects_compressed"
    )


def succeeded(environment: Environment | int | OuterRef) -> QuerySet[Deploy]:
    """The deploys of an environment that succeeded, the newest first."""
    return Deploy.objects.filter(environment=environment, state=State.SUCCEEDED).order_by("-number")


def last_succeeded(environment: Environment | int) -> Deploy | None:
    """The newest succeeded deploy, as a light row; None before the first one."""
    return light(succeeded(environment)).first()


def last_revision(environment_id: int) -> str:
    """The revision of the newest succeeded deploy; empty before the first one."""
    return succeeded(environment_id).values_list("revision", flat=True).first() or ""


def last_release(environment: Environment) -> Release | None:
    """The release of the newest succeeded deploy, with its stored objects; None before the first one."""
    deploy = succeeded(environment).select_related("release").first()
    return deploy.release if deploy else None


def last_good(environment: Environment, *, unlike: Deploy | None = None) -> Deploy | None:
    """The newest deploy that a rollback can choose: its release is verified, not marked bad, and made for the environment's
    cluster and namespace. `unlike`: only deploys with another release than this one's. None when there is none."""
    good = succeeded(environment).filter(
        release__verified_at__isnull=False,
        release__marked_bad_by="",
        release__place__in=("", environment.place),
    )
    if unlike is not None and unlike.release_id:
        good = good.exclude(release=unlike.release_id)
    return light(good).first()


def released_images(project: Project) -> dict[int, list[Deployed]]:
    """The images of the newest succeeded deploy of each environment of a project, by its primary key. One query."""
    newest = succeeded(OuterRef("pk")).values("release__images")[:1]
    rows = Environment.objects.current().filter(project=project).annotate(newest_images=Subquery(newest))
    return {
        pk: [Deployed(one["repository"], one["tag"], one["digest"]) for one in (images or {}).values()]
        for pk, images in rows.values_list("pk", "newest_images")
    }
