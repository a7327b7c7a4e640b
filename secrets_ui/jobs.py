"""RQ's entry points for secrets, and what asks for them."""

from __future__ import annotations

from core.jobs import enqueue, slot
from projects.models import SecretsFile
from secrets_ui.editing import settling
from secrets_ui.known.looking import begin_look, due_files, look
from secrets_ui.known.reading import learn
from secrets_ui.requests import creation, tending


def learn_version(file_id: int, version_id: str) -> None:
    """Reads a version that a page does not know yet."""
    file = SecretsFile.objects.select_related("environment__project").filter(pk=file_id).first()
    if file is not None:
        learn(file, version_id)


def look_at(file_id: int) -> None:
    """Looks which version of a secret is current, and reads one that is not known: so that lists are true, and what was
    changed outside of the portal is seen. Does nothing when another job has just done so."""
    if not begin_look(file_id):
        return
    file = SecretsFile.objects.select_related("environment__project").filter(pk=file_id).first()
    secret = look([file], patiently=True)[file.pk].secret if file is not None else None
    if file is not None and secret is not None and secret.current_version:
        learn(file, secret.current_version)


def look_at_due() -> None:
    """The tick: one job for each secret that nobody has looked at for a while. Asked for again each minute until a job
    has begun."""
    for pk in due_files():
        enqueue("secrets_ui.jobs.look_at", pk, queue="short", job_id=f"secret-look-{pk}-{slot(60)}")


def settle_version(version_pk: int) -> None:
    """Finds out what became of a save whose end nobody saw."""
    settling.settle(version_pk)


def tend_request(request_pk: int) -> None:
    """Ends a request for a change that is stale or was left half approved."""
    tending.tend(request_pk)


def tend_creation(request_pk: int) -> None:
    """Ends a request to make a secret that was left half approved, or whose secret is there."""
    creation.tend(request_pk)


def learn_soon(file: SecretsFile, version_id: str) -> None:
    """Asks for it; the same version is not asked for twice while it waits."""
    enqueue(
        "secrets_ui.jobs.learn_version", file.pk, version_id,
        queue="short", job_id=f"secret-{file.pk}-{version_id}-{slot(60)}", at_front=True,
    )  # fmt: skip
