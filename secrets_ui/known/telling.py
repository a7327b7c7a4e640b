"""Messages about changes that wait: one for each request, in the channel of its environment, which its end updates.

A message has readers whose rights are not known. So it counts keys and names people, and holds no name of a key, no value,
and nothing that people wrote beside the change.
"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.urls import reverse

from notify.outbox import slack_request
from projects.models import Environment, SecretsFile
from secrets_ui.known.secrets import files_of
from secrets_ui.models import ChangeRequest, CreationRequest, Secret


def tell(request: ChangeRequest) -> None:
    """Queues the message about a request in its present state, in the caller's transaction. The same state is told once."""
    environment = request.environment
    thread = f"secret-request-{request.pk}"
    slack_request(
        environment.channel, key=f"{thread}-{request.state}", thread=thread,
        payload={
            **facts(environment, request.state, request.version.actor_text, request.decided_by),
            "keys": _count(request.version.touched), "makes": False, "url": _url(request),
        },
    )  # fmt: skip


def tell_creation(request: CreationRequest) -> None:
    """The same of a request to make a secret."""
    environment = request.environment
    thread, file = f"secret-making-{request.pk}", _file_at(environment, request.path)
    more = ("creation", file.pk, request.pk) if file is not None else ("environment",)
    slack_request(
        environment.channel, key=f"{thread}-{request.state}", thread=thread,
        payload={
            **facts(environment, request.state, request.actor_text, request.decided_by),
            "keys": 0, "makes": True, "url": page_of(environment, *more),
        },
    )  # fmt: skip


def facts(environment: Environment, state: str, asked_by: str, decided_by: str) -> dict[str, Any]:
    """What a message tells of every request. `decided_by` is left out where nobody decided."""
    decided = decided_by if state in ("approved", "refused") else ""
    return {
        "project": environment.project.name, "environment": environment.name, "state": str(state),
        "asked_by": asked_by, "decided_by": decided,
    }  # fmt: skip


def page_of(environment: Environment, name: object, *args: object) -> str:
    """The absolute address of a page of the environment's secrets."""
    address = reverse(f"secrets:{name}", args=[environment.project.slug, environment.slug, *args])
    return f"{settings.BASE_URL}{address}"


def _count(touched: dict[str, Any]) -> int:
    return sum(len(keys) for keys in touched.values())


def _url(request: ChangeRequest) -> str:
    """The request's page; the environment's secrets where its secrets file was taken out of the settings."""
    file = _file_of(request.environment, request.secret)
    if file is None:
        return page_of(request.environment, "environment")
    return page_of(request.environment, "request", file.pk, request.pk)


def _file_at(environment: Environment, path: str) -> SecretsFile | None:
    return SecretsFile.objects.filter(environment=environment, path=path).first()


def _file_of(environment: Environment, secret: Secret) -> SecretsFile | None:
    return next((file for file in files_of(secret) if file.environment_id == environment.pk), None)
