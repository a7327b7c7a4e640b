"""Which requests there are, for pages: a fixed number of queries."""

from __future__ import annotations

from collections.abc import Iterable

from django.db.models import Count, QuerySet

from secrets_ui.models import ChangeRequest, Secret, SecretVersion

KEPT = 50  # decided ones that a list shows


def requests_of(secret: Secret) -> QuerySet[ChangeRequest]:
    """Every request that reached AWS, the newest first."""
    found = ChangeRequest.objects.filter(secret=secret).exclude(version__state=SecretVersion.State.OPEN)
    return found.select_related("version", "secret", "environment__project").order_by("-id")


def waiting_of(secret: Secret | None) -> list[ChangeRequest]:
    """Those that wait, the oldest first; one query."""
    if secret is None:
        return []
    return list(requests_of(secret).filter(state=ChangeRequest.State.WAITING).order_by("id"))


def waiting_counts(secrets: Iterable[Secret]) -> dict[int, int]:
    """How many wait, by the secret's pk; one query."""
    found = ChangeRequest.objects.filter(
        secret__in=[secret.pk for secret in secrets],
        state=ChangeRequest.State.WAITING,
        version__state=SecretVersion.State.WAITING,
    )
    return dict(found.values_list("secret").annotate(number=Count("pk")))
