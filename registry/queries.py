"""Reads for pages: which credentials a person may see, and what they may do."""

from __future__ import annotations

from typing import Any

from django.db.models import Exists, OuterRef, QuerySet

from projects.access import role_in, visible_projects
from projects.models import Environment, Role
from registry.models import OF_CURRENT, Credential, Refresh, RefreshResult


def credentials_for(user: Any) -> QuerySet[Credential]:
    """The credentials of current clusters that a user may see: admins all, others those in namespaces of environments of their
    projects. With the cluster, but its kubeconfig."""
    rows = Credential.objects.filter(OF_CURRENT).select_related("cluster").defer("cluster__kubeconfig")
    if user.is_admin:
        return rows
    return rows.filter(Exists(_environments_at(user).filter(namespace=OuterRef("namespace"))))


def refreshes_for(user: Any) -> QuerySet[Refresh]:
    """The renewals that a user may see, the newest first: admins all, others those that touched a credential that they see."""
    rows = Refresh.objects.select_related("cluster", "asked_by").defer("cluster__kubeconfig")
    if user.is_admin:
        return rows
    theirs = RefreshResult.objects.filter(refresh=OuterRef("pk"), credential__in=credentials_for(user))
    return rows.filter(Exists(theirs))


def environments_at(credential: Credential) -> list[Environment]:
    """The environments whose namespace the credential stands in, with their projects."""
    found = Environment.objects.current().filter(
        cluster=credential.cluster_id, namespace=credential.namespace
    )
    return list(found.select_related("project"))


def may_refresh(user: Any, credential: Credential) -> bool:
    """Whether a user may renew it: an admin, or a deployer of an environment there."""
    if user.is_admin:
        return True
    roles = (role_in(user, one.project, one, elsewhere=False) for one in environments_at(credential))
    return any(role is not None and role.rank >= Role.DEPLOYER.rank for role in roles)


def _environments_at(user: Any) -> QuerySet[Environment]:
    """The visible environments in the cluster of an outer credential."""
    return Environment.objects.current().filter(
        project__in=visible_projects(user), cluster=OuterRef("cluster")
    )
