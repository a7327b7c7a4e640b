"""How many requests wait for a person's approval, for every page: a few queries, whatever waits."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models import F, Q

from audit.actors import PERSON
from projects import secret_rights
from projects.access import roles_by_environment
from projects.current import current_environments
from projects.models import Environment, SecretsFile
from secrets_ui.models import ChangeRequest, CreationRequest, SecretAddress, SecretVersion

Named = tuple[str, str, str]  # region, role, and the name or ARN in the settings
STATE = ChangeRequest.State


@dataclass(frozen=True)
class Waits:
    """A request that waits: in which environment, by whom (kind and id), and what names its secret in the settings."""

    environment_id: int
    asked_by: tuple[str, str]
    named: frozenset[Named]


def to_approve(user: Any) -> int:
    """How many requests wait that this person may approve: not their own, and with the right in every environment that reads
    the secret. One query where nothing waits, which is the rule."""
    if not _anything_waits():
        return 0
    waiting = [one for one in (*_changes(), *_creations()) if one.asked_by != (PERSON, str(user.pk))]
    if not waiting:
        return 0
    places = _environments(waiting)
    may = _may_approve(user, {pk: place for found in places.values() for pk, place in found.items()})
    return sum(1 for one in waiting if _readers(one, places) <= may)


def _anything_waits() -> bool:
    changes, creations = (
        model.objects.filter(state=STATE.WAITING).values_list("pk")
        for model in (ChangeRequest, CreationRequest)
    )
    return bool(list(changes.union(creations, all=True)[:1]))


def _changes() -> list[Waits]:
    """Changes that wait and are not known to be stale."""
    fresh = Q(secret__current_version="") | Q(secret__current_version=F("version__base_version"))
    rows = ChangeRequest.objects.filter(
        fresh, state=STATE.WAITING, decided_at=None, version__state=SecretVersion.State.WAITING
    ).values_list("environment_id", "version__actor_kind", "version__actor_id", "secret_id")
    found = list(rows)
    named: dict[int, set[Named]] = {}
    if found:
        addresses = SecretAddress.objects.filter(secret__in={row[3] for row in found})
        for secret, *name in addresses.values_list("secret_id", "region", "role_arn", "named"):
            named.setdefault(secret, set()).add((name[0], name[1], name[2]))
    return [Waits(row[0], (row[1], row[2]), frozenset(named.get(row[3], ()))) for row in found]


def _creations() -> list[Waits]:
    rows = CreationRequest.objects.filter(state=STATE.WAITING, decided_at=None).values_list(
        "environment_id", "actor_kind", "actor_id", "region", "role_arn", "named"
    )
    return [Waits(row[0], (row[1], row[2]), frozenset([(row[3], row[4], row[5])])) for row in rows]


def _environments(waiting: Collection[Waits]) -> dict[Named, dict[int, Environment]]:
    """The environments that read each of these secrets, by their pk."""
    names = {named[2] for one in waiting for named in one.named}
    files = SecretsFile.objects.filter(current_environments(), secret_id__in=names)
    files = files.select_related("environment__project")
    found: dict[Named, dict[int, Environment]] = {}
    for file in files:
        place = file.environment
        found.setdefault((file.region, file.role_arn, file.secret_id), {})[place.pk] = place
    return found


def _readers(one: Waits, places: Mapping[Named, Mapping[int, Environment]]) -> set[int]:
    return {one.environment_id, *(pk for named in one.named for pk in places.get(named, ()))}


def _may_approve(user: Any, places: Mapping[int, Environment]) -> set[int]:
    roles = roles_by_environment(user, list(places.values()), elsewhere=False)
    return {pk for pk, place in places.items() if secret_rights.covers(roles[pk], place, "approve")}
