"""The pods that cannot pull now, as the live state of the environments last told, and whether they heal by themselves."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Q, QuerySet

from projects.access import visible_projects
from projects.models import Environment
from registry.models import Credential
from registry.pages.looks import is_usable

MOST = 30
# Healths of the live state in which a pod may be unable to pull.
_NOT_WELL = ("failing", "degraded", "progressing")
_ABSENT = re.compile(r"not found|manifest unknown|name unknown|does not exist|no such (image|manifest)", re.I)


@dataclass(frozen=True)
class Pull:
    """One pod that cannot pull. `heals`: yes, no or later; `sentence`: why, and what to do."""

    environment: Environment
    pod: str
    image: str
    message: str
    read_at: datetime | None
    heals: str
    sentence: str


def failing_pulls(
    user: Any, credentials: dict[tuple[int, str, str], Credential], now: datetime
) -> list[Pull]:
    """The pods in environments that the person sees, at most MOST; one query. `credentials`: by cluster, namespace and name."""
    rows = (
        _not_well(user)
        .select_related("project", "live", "cluster")
        .defer("project__credential", "cluster__kubeconfig")
        .order_by("project__name", "order", "pk")
    )
    found = [pull for environment in rows for pull in _of_environment(environment, credentials, now)]
    return found[:MOST]


def places_of_pulls(user: Any) -> list[tuple[int, str]]:
    """The places, by cluster and namespace, in which something is not well; one query."""
    return list(_not_well(user).values_list("cluster_id", "namespace"))


def _not_well(user: Any) -> QuerySet[Environment]:
    """The environments that the person sees in which a pod may be unable to pull."""
    rows = Environment.objects.current().filter(project__in=visible_projects(user)).exclude(pull_secret="")
    return rows.filter(Q(live__health__in=_NOT_WELL) | Q(live__isnull=False) & ~Q(live__pulls=[]))


def _of_environment(
    environment: Environment, credentials: dict[tuple[int, str, str], Credential], now: datetime
) -> Iterator[Pull]:
    row = credentials.get((environment.cluster_id, environment.namespace, environment.pull_secret))
    live = environment.live
    of_workloads = (told for workload in live.workloads for told in workload.get("pulls", ()))
    for told in (*of_workloads, *live.pulls):
        heals, sentence = healing(told, environment.pull_secret, row, now)
        yield Pull(
            environment,
            told["pod"],
            told["image"],
            told["message"],
            live.read_at,
            heals,
            sentence,
        )


def healing(told: dict[str, Any], secret: str, row: Credential | None, now: datetime) -> tuple[str, str]:
    """Whether such a pod heals by itself, and why: by the pull secrets that it was made with."""
    if _ABSENT.search(told["message"]):
        return (
            "no",
            "The registry has no such image: no credential helps. Build and push it, or deploy another revision.",
        )
    names: Sequence[str] = told["secrets"]
    if secret not in names:
        other = (
            f"names {', '.join(names)} and not {secret}"
            if names
            else f"was made before anything named {secret} for it"
        )
        anew = (
            "the one that takes its place gets the Secret" if told.get("owner", "its own") else "make it anew"
        )
        return "no", f"It never heals: it {other}. Delete the pod; {anew}."
    if row is None or not is_usable(row, now):
        return "later", "It heals by itself within five minutes once the credential is valid."
    if row.written_at is not None and (now - row.written_at).total_seconds() < 600:
        return "yes", "It heals by itself: the node tries again within five minutes."
    return "no", "The credential is valid, so its cause lies elsewhere: read what the node says."
