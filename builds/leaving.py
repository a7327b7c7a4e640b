"""What builds have against archiving and removing: open builds, pushes that are built, and people in the history."""

from __future__ import annotations

from collections.abc import Iterator

from django.db import models
from django.urls import reverse

from audit.actors import PERSON
from builds.models import Build, BuildSettings
from core.leaving import Reason
from people.models import User
from projects.models import Image, Project
from runs.models import OPEN


def is_open(row: models.Model) -> Iterator[Reason]:
    """The builds that wait or run, and the rule that builds pushes."""
    if isinstance(row, Project):
        builds = Build.objects.filter(project=row)
    elif isinstance(row, Image):
        builds = Build.objects.filter(project=row.project_id, images__image=row)
    else:
        return
    for number in builds.filter(state__in=OPEN).order_by("number").values_list("number", flat=True):
        yield Reason(f"Build #{number} has not ended.", reverse("builds:build", args=[number]))
    if isinstance(row, Project) and BuildSettings.objects.filter(project=row, on_push=True).exists():
        yield Reason("Pushes are built by themselves.", reverse("pushes:settings", args=[row.slug]))


def refers(row: models.Model) -> Iterator[Reason]:
    """The builds that a person asked for."""
    if isinstance(row, User):
        number = Build.objects.filter(actor_kind=PERSON, actor_id=str(row.pk)).count()
        if number:
            yield Reason(
                f"{number} build{' of theirs is' if number == 1 else 's of theirs are'} in the history."
            )
