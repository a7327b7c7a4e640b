"""Which Secrets a cluster is to have, by its policy, its environments and its namespaces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from engine.cluster.client import ApiError, Client
from projects.models import Environment
from registry.cluster import Home, Place, read_homes
from registry.models import Credential, Namespaces, PullPolicy
from registry.policies import archived_namespaces, environments_of


@dataclass(frozen=True)
class Plan:
    """The Secrets that are to be there, and the namespaces of the cluster; None where the account may not list them."""

    places: tuple[Place, ...]
    homes: Mapping[str, Home] | None


def plan(client: Client, policy: PullPolicy, *, namespace: str = "") -> Plan:
    """The plan for a cluster, or for one namespace of it. Raises ApiError: also when the account may not list namespaces and
    the policy needs that."""
    named = environments_of(policy.cluster)
    homes = _homes(client, needed=policy.namespaces != Namespaces.ENVIRONMENTS)
    if policy.namespaces == Namespaces.ENVIRONMENTS:
        places = _of_environments(named, homes)
    else:
        selector = policy.selector if policy.namespaces == Namespaces.SELECTOR else ""
        gone = archived_namespaces(policy.cluster)
        there = read_homes(client, selector) if selector else homes or {}
        chosen = {name: home for name, home in there.items() if name not in gone}
        places = _of_homes(chosen, named, policy.secret_name)
    wanted = dict.fromkeys(place for place in places if namespace in ("", place.namespace))
    return Plan(tuple(wanted), homes)


def plan_of_environment(environment: Environment) -> Plan:
    """The plan for the one Secret that an environment names, without a request."""
    return Plan((Place(environment.namespace, environment.pull_secret),), None)


def _homes(client: Client, *, needed: bool) -> dict[str, Home] | None:
    try:
        return read_homes(client)
    except ApiError as error:
        if error.status == 403 and not needed:
            return None
        raise


def _of_environments(named: Sequence[Environment], homes: Mapping[str, Home] | None) -> list[Place]:
    off = {name for name, home in (homes or {}).items() if home.is_off}
    return [Place(one.namespace, one.pull_secret) for one in named if one.namespace not in off]


def _of_homes(homes: Mapping[str, Home], named: Sequence[Environment], usual: str) -> list[Place]:
    """The usual Secret in each namespace, and there also those that environments name."""
    chosen = {name for name, home in homes.items() if not home.is_off and not home.is_system}
    own = [Place(one.namespace, one.pull_secret) for one in named if one.namespace in chosen]
    return [*(Place(name, usual) for name in sorted(chosen)), *own]


def rows_for(policy: PullPolicy, places: Sequence[Place], *, all_of_them: bool) -> dict[Place, Credential]:
    """The rows of these Secrets; makes missing ones. `all_of_them`: others of the cluster are not wanted any more, and go."""
    rows = Credential.objects.filter(cluster=policy.cluster)
    known = {Place(row.namespace, row.secret_name): row for row in rows}
    new = [place for place in places if place not in known]
    if new:
        Credential.objects.bulk_create(
            [Credential(cluster=policy.cluster, namespace=p.namespace, secret_name=p.name) for p in new],
            ignore_conflicts=True,
        )
        known = {Place(row.namespace, row.secret_name): row for row in rows.all()}
    gone = [row.pk for place, row in known.items() if place not in places] if all_of_them else []
    if gone:
        Credential.objects.filter(pk__in=gone).delete()
    return {place: known[place] for place in places}
