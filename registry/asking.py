"""A renewal of everything, cluster by cluster."""

from __future__ import annotations

from audit.actors import Actor
from people.services import require_admin
from projects.models import Cluster
from registry.models import Refresh
from registry.running import due_clusters
from registry.services import refresh


def refresh_all(by: Actor) -> list[Refresh]:
    """Asks for a renewal in each cluster that has, or is to have, pull secrets; one that is under way counts. Raises Refused for
    others than admins."""
    require_admin(by)
    clusters = Cluster.objects.filter(pk__in=due_clusters(waiting=True)).defer("kubeconfig").order_by("name")
    return [refresh(by, cluster) for cluster in clusters]
