"""Which Secrets a cluster is to have, and the registries that they open."""

from __future__ import annotations

from projects.allotting.using import lost_places
from projects.models import Cluster, Environment, Registry
from registry.models import PullPolicy


def policy_of(cluster: Cluster) -> PullPolicy:
    """The cluster's policy; one with the defaults, not stored, when there is no row."""
    return PullPolicy.objects.filter(cluster=cluster).first() or PullPolicy(cluster=cluster)


def registries_of(policy: PullPolicy) -> list[Registry]:
    """The registries that its Secrets open, ordered by host: those of the policy, else all."""
    chosen = list(policy.registries.current()) if policy.pk else []
    return sorted(chosen or Registry.objects.current(), key=lambda registry: registry.host)


def environments_of(cluster: Cluster) -> list[Environment]:
    """The environments of a cluster that name a pull secret and are not archived, except those whose namespace is not allotted
    to their project any more."""
    naming = Environment.objects.current().filter(cluster=cluster).exclude(pull_secret="")
    found = list(naming.select_related("cluster", "project").order_by("namespace"))
    lost = lost_places(found)
    return [one for one in found if one.pk not in lost]


def archived_namespaces(cluster: Cluster) -> set[str]:
    """The namespaces of a cluster in which only archived environments are: they get no Secret, whatever the policy says."""
    there = Environment.objects.filter(cluster=cluster)
    kept = set(there.current().values_list("namespace", flat=True))
    return set(there.values_list("namespace", flat=True)) - kept
