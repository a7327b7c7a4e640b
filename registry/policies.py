"""Which Secrets a cluster is to have, and the registries that they open."""

from __future__ import annotations

from projects.allotting.rules import allotted_places
from projects.models import Cluster, Environment, Registry
from registry.models import PullPolicy


def policy_of(cluster: Cluster) -> PullPolicy:
    """The cluster's policy; one with the defaults, not stored, when there is no row."""
    return PullPolicy.objects.filter(cluster=cluster).first() or PullPolicy(cluster=cluster)


def registries_of(policy: PullPolicy) -> list[Registry]:
    """The registries that its Secrets open, ordered by host: those of the policy, else all."""
    chosen = list(policy.registries.all()) if policy.pk else []
    return sorted(chosen or Registry.objects.all(), key=lambda registry: registry.host)


def environments_of(cluster: Cluster) -> list[Environment]:
    """The environments of a cluster that name a pull secret, and whose namespace is allotted to their project."""
    rows = Environment.objects.filter(cluster=cluster).exclude(pull_secret="").order_by("namespace")
    allotted = allotted_places(cluster, {(row.project_id, row.namespace) for row in rows})
    return [row for row in rows if (row.project_id, row.namespace) in allotted]
