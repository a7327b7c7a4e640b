"""What secrets have against archiving and removing: drafts, saves and requests that are open, and people in the history."""

from __future__ import annotations

from collections.abc import Iterator

from django.db import models
from django.urls import reverse
from django.utils import timezone

from audit.actors import PERSON
from core.leaving import Reason
from people.models import User
from projects.leaving.uses import current_environments_of
from projects.models import SecretsFile
from secrets_ui.known.secrets import secrets_by_file
from secrets_ui.models import ChangeRequest, CreationRequest, Draft, SecretVersion

WAITING = ChangeRequest.State.WAITING


def is_open(row: models.Model) -> Iterator[Reason]:
    """Requests that wait for another person, saves that are under way, and drafts."""
    environments = current_environments_of(row)
    if not environments:
        return
    for request in ChangeRequest.objects.filter(environment__in=environments, state=WAITING).select_related(
        "environment__project"
    ):
        yield _reason(request, "A change of secrets of {} waits for approval.")
    for creation in CreationRequest.objects.filter(
        environment__in=environments, state=WAITING
    ).select_related("environment__project"):
        yield _reason(creation, "A request to make a secret of {} waits for approval.")
    for version in SecretVersion.objects.filter(
        environment__in=environments, state=SecretVersion.State.OPEN
    ).select_related("environment__project"):
        yield _reason(version, "Secrets of {} are being saved.")
    files = list(
        SecretsFile.objects.filter(environment__in=environments).select_related("environment__project")
    )
    yield from _drafts(files)


def _reason(row: ChangeRequest | CreationRequest | SecretVersion, words: str) -> Reason:
    place = row.environment
    assert place is not None  # noqa: S101  the rows were found by it
    return Reason(
        words.format(place.name), reverse("secrets:environment", args=[place.project.slug, place.slug])
    )


def _drafts(files: list[SecretsFile]) -> Iterator[Reason]:
    """Drafts belong to a secret; each is told once, with the first file that names it."""
    found = secrets_by_file(files)
    by_secret = {secret.pk: file for file in reversed(files) if (secret := found.get(file.pk))}
    drafts = Draft.objects.filter(secret__in=by_secret, ends_at__gt=timezone.now()).exclude(edits="")
    for draft in drafts.select_related("user"):
        file = by_secret[draft.secret_id]
        place = file.environment
        url = reverse("secrets:environment", args=[place.project.slug, place.slug])
        text = f"{draft.user.username} has unsaved changes of the secrets file {file.path} of {place.name}."
        yield Reason(text, url)


def refers(row: models.Model) -> Iterator[Reason]:
    """The secrets that a person saved or asked for."""
    if isinstance(row, User):
        theirs = {"actor_kind": PERSON, "actor_id": str(row.pk)}
        number = (
            SecretVersion.objects.filter(**theirs).count() + CreationRequest.objects.filter(**theirs).count()
        )
        if number:
            words = "change of secrets by them is" if number == 1 else "changes of secrets by them are"
            yield Reason(f"{number} {words} in the history.")
