"""What deploys have against archiving and removing: open deploys, people in the history, and the objects left on the cluster."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.db import models
from django.urls import reverse

from audit.actors import PERSON
from core.leaving import Left, Reason
from deployments.models import Deploy, Release
from deployments.queries import light
from engine.types import ENVIRONMENT_LABEL, ObjectRef
from people.models import User
from projects.leaving.uses import current_environments_of
from projects.models import Environment
from runs.models import OPEN


def is_open(row: models.Model) -> Iterator[Reason]:
    """The deploys that wait or run."""
    environments = current_environments_of(row)
    if not environments:
        return
    for deploy in light(Deploy.objects.filter(environment__in=environments, state__in=OPEN)).order_by(
        "number"
    ):
        text = f"Deploy #{deploy.number} to {deploy.environment.name} has not ended."
        yield Reason(text, reverse("deployments:deploy", args=[deploy.number]))


def refers(row: models.Model) -> Iterator[Reason]:
    """The deploys that a person asked for."""
    if isinstance(row, User):
        number = Deploy.objects.filter(actor_kind=PERSON, actor_id=str(row.pk)).count()
        if number:
            yield Reason(
                f"{number} deploy{' of theirs is' if number == 1 else 's of theirs are'} in the history."
            )


def left_outside(row: models.Model) -> Iterator[Left]:
    """The objects that the portal applied last, by environment, and the command that deletes them."""
    for environment in current_environments_of(row):
        refs = applied(environment)
        if refs:
            yield Left(
                f"Objects of {environment.name} on {environment.cluster.name}",
                tuple(str(ref) for ref in refs),
                f"{len(refs)} object{'' if len(refs) == 1 else 's'}; what runs there goes on running.",
                tuple(commands(environment, refs)),
            )


def applied(environment: Environment) -> list[ObjectRef]:
    """The objects of the releases of the newest deploy that succeeded and of the newest one with a release."""
    with_release = Deploy.objects.filter(environment=environment, release__isnull=False).order_by("-number")
    newest = with_release.values_list("release", flat=True)[:1]
    good = with_release.filter(state="succeeded").values_list("release", flat=True)[:1]
    releases = Release.objects.filter(pk__in={*newest, *good})
    return sorted({_ref(one) for release in releases for one in release.stored_objects})


def _ref(stored: dict[str, Any]) -> ObjectRef:
    if "secret" in stored:
        return ObjectRef.parse(stored["secret"]["ref"])
    body = stored["object"]
    group = body["apiVersion"].rpartition("/")[0]
    metadata = body["metadata"]
    return ObjectRef(body["kind"], group, metadata.get("namespace", ""), metadata["name"])


def commands(environment: Environment, refs: list[ObjectRef]) -> Iterator[str]:
    """For each namespace the kubectl command that deletes what bears the environment's label there."""
    for namespace in sorted({ref.namespace for ref in refs}):
        kinds = {
            f"{ref.kind}.{ref.group}" if ref.group else ref.kind for ref in refs if ref.namespace == namespace
        }
        where = f" -n {namespace}" if namespace else ""
        names = ",".join(sorted(kinds)).lower()
        yield f"kubectl delete {names}{where} -l {ENVIRONMENT_LABEL}={environment.label}"
