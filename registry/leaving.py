"""What pull credentials have against archiving: renewals under way, a policy that names a registry; and the Secrets that stay."""

from __future__ import annotations

from collections.abc import Iterator

from django.db import models
from django.urls import reverse

from core.leaving import Left, Reason
from projects.leaving.uses import current_environments_of
from projects.models import Cluster, Registry
from registry.models import OF_CURRENT, Credential, PullPolicy, Refresh
from registry.services import OPEN

NOTE = "The portal renews it no more and does not delete it: what it opens ends by itself within 12 hours."


def is_open(row: models.Model) -> Iterator[Reason]:
    """Renewals that wait or run in a cluster, and policies of clusters that name a registry."""
    if isinstance(row, Cluster):
        if Refresh.objects.filter(cluster=row, state__in=OPEN).exists():
            yield Reason("Its pull credentials are being renewed.", reverse("registry:overview"))
    elif isinstance(row, Registry):
        naming = PullPolicy.objects.filter(OF_CURRENT, registries=row).select_related("cluster")
        for policy in naming.defer("cluster__kubeconfig"):
            url = reverse("registry:settings", args=[policy.cluster.slug])
            yield Reason(f"The pull secrets of {policy.cluster.name} open it.", url)


def left_outside(row: models.Model) -> Iterator[Left]:
    """The pull secrets in the namespaces."""
    places = models.Q(pk__in=[])
    for one in current_environments_of(row):
        places |= models.Q(cluster=one.cluster_id, namespace=one.namespace)
    if isinstance(row, Cluster):
        places = models.Q(cluster=row)
    rows = Credential.objects.filter(places).select_related("cluster").defer("cluster__kubeconfig")
    names = tuple(
        f"{one.secret_name} in {one.namespace} on {one.cluster.name}" for one in rows.order_by("namespace")
    )
    if names:
        yield Left("Pull secrets", names, NOTE)
