"""Namespaces of the samples, and their pull credentials, which the portal itself keeps valid.

One namespace's credential is paused, and nearly over, so that the page of the pull credentials has something to warn of. The
pause ends before the token does.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from django.db.models import F
from django.utils import timezone

from audit.actors import Actor
from projects.models import Cluster
from registry import running, services
from registry.models import Credential, State
from registry.reconcile import Ask
from sandbox.aws.orders import give_order
from sandbox.cluster.api import Api
from sandbox.layout import Layout
from sandbox.samples.names import namespaces

_EARLIER = "slipway-sandbox"  # wrote the pull secrets before the portal kept them
PAUSED = "catalog-production"
_LEFT, _PAUSE = timedelta(hours=5), timedelta(hours=6)
_PAST = timedelta(hours=7)  # with _LEFT: a token of twelve hours


def ensure_namespaces(kubeconfig: Path) -> list[str]:
    """Makes the missing namespaces of the samples, as somebody does who sets a cluster up. Returns them. Raises ApiFailed."""
    api = Api.from_kubeconfig(kubeconfig, user_agent=_EARLIER)
    missing = [name for name in namespaces() if api.find(f"/api/v1/namespaces/{name}") is None]
    for name in missing:
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        api.apply(f"/api/v1/namespaces/{name}", body, manager=_EARLIER)
    return missing


def keep(by: Actor, cluster: Cluster, layout: Layout) -> None:
    """Makes the pull secrets of all sample namespaces valid, before the first deploys. What an earlier sandbox wrote there is
    taken over by the portal, as an admin would let it. A cluster that does not answer is left to the portal's own looks."""
    is_new = not Credential.objects.filter(cluster=cluster).exists()
    if is_new:
        _pause_one(by, cluster, layout)
    report = running.look_at(cluster, Ask(newest=timezone.now() if is_new else None), wait=20.0)
    if report.fault is not None:
        print(f"pull credentials: {report.fault.sentence}")
    rows = Credential.objects.filter(cluster=cluster, state=State.FOREIGN, last_writer__startswith=_EARLIER)
    for row in rows:
        services.adopt(by, row)
        print(f"{row.place}: the portal takes the pull secret over")


def _pause_one(by: Actor, cluster: Cluster, layout: Layout) -> None:
    """Gives one namespace a token that ends in a few hours, and pauses its renewal for longer: pages warn, and after the
    pause it is renewed."""
    aws = layout.directory / "aws"
    give_order(layout.aws_url, aws, "token-life", _LEFT.total_seconds())
    running.look_at(cluster, Ask(namespace=PAUSED), wait=20.0)
    give_order(layout.aws_url, aws, "token-life")
    here = Credential.objects.filter(cluster=cluster, namespace=PAUSED, state=State.VALID)
    if not here.exists():
        return  # an earlier sandbox' Secret, or a cluster that does not answer
    services.pause(by, cluster, namespace=PAUSED, until=timezone.now() + _PAUSE)
    here.update(  # its past: it was made long ago, and half of its life is over
        state=State.PAUSED, half_life_at=F("expires_at") - (_LEFT + _PAST) / 2,
        written_at=timezone.now() - _PAST, proven_at=timezone.now() - _PAST,
    )  # fmt: skip
