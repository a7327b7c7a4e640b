"""All changes of clusters and registries. Only admins may make them; each is audited, without credentials."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import transaction

from adapters.errors import ExternalError
from adapters.kubernetes.client import check_kubeconfig
from audit.actors import Actor
from people.services import require_admin
from projects import editing
from projects.leaving.locking import lock_used
from projects.models import Cluster, Registry


@transaction.atomic
def create_cluster(actor: Actor, *, slug: str, name: str, kubeconfig: str, notice: str = "") -> Cluster:
    """Registers a cluster. Raises Refused, ValidationError (also for a kubeconfig that would run programs or read files
    of this machine)."""
    require_admin(actor)
    _check_kubeconfig(kubeconfig)
    cluster = Cluster(slug=slug, name=name, kubeconfig=kubeconfig, notice=notice)
    return editing.create(actor, cluster, verb="cluster.created", text=name)


@transaction.atomic
def change_cluster(
    actor: Actor, *, cluster: Cluster, edited: int, name: str, notice: str = "", kubeconfig: str = ""
) -> Cluster:
    """Changes a cluster; an empty `kubeconfig` keeps the stored one. Raises Refused, Stale, ValidationError."""
    require_admin(actor)
    lock_used(cluster)
    values: dict[str, Any] = {"name": name, "notice": notice}
    if kubeconfig:
        _check_kubeconfig(kubeconfig)
        values["kubeconfig"] = kubeconfig
    return editing.change(actor, cluster, values, edited=edited, verb="cluster.changed", text=cluster.name)


def _check_kubeconfig(text: str) -> None:
    try:
        check_kubeconfig(text)
    except ExternalError as error:
        raise editing.refuse_field(kubeconfig=f"{error.message} {error.hint}".strip()) from error


def note_answer(cluster: Cluster, *, version: str = "", error: str = "", at: datetime) -> None:
    """Stores the result of a check: `version` or `error`. It is no edit, so it is not audited and leaves `edited` alone."""
    found = (
        {"last_error": error[:500]} if error else {"last_error": "", "last_seen": at, "version": version[:50]}
    )
    Cluster.objects.filter(pk=cluster.pk).update(**found)


@transaction.atomic
def create_registry(
    actor: Actor, *, slug: str, name: str, endpoint: str, account: str,
    region: str = "eu-west-2", role_arn: str = "", kind: str = Registry.Kind.ECR,
) -> Registry:  # fmt: skip
    """Registers a registry. Raises Refused, ValidationError."""
    require_admin(actor)
    registry = Registry(
        slug=slug, name=name, endpoint=endpoint.rstrip("/"), account=account, region=region, role_arn=role_arn, kind=kind,
    )  # fmt: skip
    return editing.create(actor, registry, verb="registry.created", text=name)


@transaction.atomic
def change_registry(
    actor: Actor, *, registry: Registry, edited: int, name: str, endpoint: str, account: str, region: str, role_arn: str = ""
) -> Registry:  # fmt: skip
    """Changes a registry. Raises Refused, Stale, ValidationError."""
    require_admin(actor)
    lock_used(registry)
    values = {
        "name": name, "endpoint": endpoint.rstrip("/"), "account": account, "region": region, "role_arn": role_arn,
    }  # fmt: skip
    return editing.change(actor, registry, values, edited=edited, verb="registry.changed", text=registry.name)
