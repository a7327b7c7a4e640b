"""What people may change about pull credentials. Each function checks the right and writes the audit event."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone

from audit.actors import Actor
from audit.record import before_after, record
from core import changes
from core.errors import Refused
from core.jobs import enqueue, slot
from people.services import admins_text, require_admin
from projects import editing
from projects.access import maintainers_text, role_in, visible_projects
from projects.models import Cluster, Environment, Registry, Role
from registry.models import USUAL_NAME, Cause, Credential, PullPolicy, Refresh, State
from registry.policies import environments_of

QUEUE = "registry"
OPEN = (Refresh.Progress.QUEUED, Refresh.Progress.RUNNING)
POLICY_FIELDS = ("namespaces", "selector", "secret_name", "service_accounts", "enabled")


@transaction.atomic
def refresh(by: Actor, cluster: Cluster, *, namespace: str = "", cause: str = Cause.PERSON) -> Refresh:
    """Asks for a renewal of the cluster's credentials, or of one namespace's, whether they are due or not. Returns its row,
    which a job carries out; while such a one is open, that row. Raises Refused without the right (all need an admin, one
    namespace a deployer of an environment there), and where the portal keeps none."""
    require_refresh(by, cluster, namespace)
    if namespace:
        _require_kept(cluster, namespace)
    Cluster.objects.select_for_update().only("pk").get(pk=cluster.pk)
    open_one = Refresh.objects.filter(
        cluster=cluster, namespace=namespace, cause=cause, state__in=OPEN
    ).first()
    if open_one is not None:
        return open_one
    row = Refresh.objects.create(
        cluster=cluster, namespace=namespace, cause=cause, asked_by=by.user, asked_as=by.text[:150]
    )
    write_event(by, "pull_credential.asked", cluster, namespace)
    start(row)
    return row


def _require_kept(cluster: Cluster, namespace: str) -> None:
    known = Credential.objects.filter(cluster=cluster, namespace=namespace).exists()
    if not known and namespace not in {one.namespace for one in environments_of(cluster)}:
        raise Refused(
            f"The portal keeps no pull credential in the namespace {namespace[:63]} of {cluster.name}.",
            hint="Name a pull secret in the settings of an environment there, or choose the namespace in the cluster's settings.",
            code="unknown",
        )


def start(row: Refresh) -> None:
    """Enqueues the job of a renewal; a tick does so again when the job is lost."""
    job = f"pull-refresh-{row.pk}-{row.tries}-{slot(60)}"
    enqueue("registry.jobs.refresh_asked", row.pk, queue=QUEUE, job_id=job, at_front=True)


def require_refresh(by: Actor, cluster: Cluster, namespace: str) -> None:
    """Raises Refused unless the actor may renew the credentials of the namespace (empty: of the whole cluster)."""
    if by.kind == "system" or (by.user is not None and by.user.is_active and by.user.is_admin):
        return
    if not namespace:
        require_admin(by)
    here = (
        Environment.objects.current()
        .filter(cluster=cluster, namespace=namespace, project__in=visible_projects(by.user))
        .select_related("project")
    )
    for environment in here:
        role = role_in(by.user, environment.project, environment, elsewhere=False)
        if role is not None and role.rank >= Role.DEPLOYER.rank:
            return
    first = here.first()
    raise Refused(
        f"To renew the pull credential of {namespace} you need the role deployer on an environment there.",
        hint="Ask a maintainer of the project or an admin for the role.",
        code="role",
        ask=maintainers_text(first.project)
        if first is not None
        else admins_text(),  # of others nothing is told
    )


@transaction.atomic
def pause(by: Actor, cluster: Cluster, *, namespace: str = "", until: datetime) -> None:
    """Stops writing in the cluster, or in one namespace of it, until a moment. Credentials are still looked at. Raises
    Refused for others than admins, ValidationError for a moment that has passed."""
    require_admin(by)
    if until <= timezone.now():
        raise ValidationError({"until": ["Choose a moment that is still to come."]})
    _set_pause(by, cluster, namespace, until, "pull_credential.paused")


@transaction.atomic
def resume(by: Actor, cluster: Cluster, *, namespace: str = "") -> None:
    """Ends a pause. What is not paused stays as it is. Raises Refused for others than admins."""
    require_admin(by)
    _set_pause(by, cluster, namespace, None, "pull_credential.resumed")


def _set_pause(by: Actor, cluster: Cluster, namespace: str, until: datetime | None, verb: str) -> None:
    if namespace:
        rows = Credential.objects.filter(cluster=cluster, namespace=namespace).exclude(paused_until=until)
        changed = rows.update(paused_until=until)
    else:
        policy = stored_policy(cluster)
        changed = (
            PullPolicy.objects.filter(pk=policy.pk).exclude(paused_until=until).update(paused_until=until)
        )
    if changed:
        write_event(by, verb, cluster, namespace, until=until.isoformat() if until else None)


def stored_policy(cluster: Cluster) -> PullPolicy:
    """The cluster's policy as a row; makes one with the defaults."""
    return PullPolicy.objects.get_or_create(cluster=cluster)[0]


@transaction.atomic
def save_policy(
    by: Actor, cluster: Cluster, *, edited: int, namespaces: str, selector: str = "", secret_name: str = USUAL_NAME,
    registries: Sequence[Registry] = (), service_accounts: Sequence[str] = (), enabled: bool = True,
) -> PullPolicy:  # fmt: skip
    """Stores which namespaces get which credential. `edited`: the policy's counter when the form was opened (0 without a row).
    Raises Refused for others than admins, Stale, ValidationError by field."""
    require_admin(by)
    policy = PullPolicy.objects.select_for_update().get(pk=stored_policy(cluster).pk)
    if policy.edited != edited:
        raise editing.stale(f"The pull credentials of {cluster.name}")
    values: dict[str, Any] = {
        "namespaces": namespaces, "selector": selector.strip(), "secret_name": secret_name.strip(),
        "service_accounts": list(dict.fromkeys(name.strip() for name in service_accounts if name.strip())),
        "enabled": enabled,
    }  # fmt: skip
    before = {name: getattr(policy, name) for name in POLICY_FIELDS}
    before["registries"] = sorted(policy.registries.values_list("slug", flat=True))
    after = {**values, "registries": sorted(registry.slug for registry in registries)}
    changed = {name: before_after(before[name], after[name]) for name in after if after[name] != before[name]}
    if not changed:
        return policy
    for name, value in values.items():
        setattr(policy, name, value)
    policy.edited += 1
    check_policy(policy)
    policy.save()
    policy.registries.set(registries)
    write_event(by, "pull_credential.policy", cluster, "", **changed)
    return policy


def check_policy(policy: PullPolicy) -> None:
    """Raises ValidationError by field for a policy that cannot be carried out."""
    policy.full_clean()
    if policy.namespaces == "selector" and not policy.selector:
        raise ValidationError({"selector": ["Write a label selector, such as team=shop."]})


@transaction.atomic
def adopt(by: Actor, credential: Credential) -> Refresh:
    """Lets the portal replace a Secret that somebody else wrote, and renews it. One of a wrong type, or an immutable one, can
    only be deleted and created anew. Returns the renewal. Raises Refused for others than admins, and for a Secret that is not
    left to others: it would be taken from the next one who writes it, without a question."""
    require_admin(by)
    if credential.state != State.FOREIGN and not credential.adopt:
        raise Refused(
            f"The Secret {credential} is not left to others: there is nothing to take over.",
            hint="Refresh it instead.",
            code="ended",
        )
    if Credential.objects.filter(pk=credential.pk, adopt=False).update(adopt=True, next_try_at=None):
        write_event(
            by, "pull_credential.adopted", credential.cluster, credential.namespace,
            secret=credential.secret_name, last_writer=credential.last_writer,
        )  # fmt: skip
    return refresh(by, credential.cluster, namespace=credential.namespace, cause=Cause.ADOPTED)


def write_event(by: Actor, verb: str, cluster: Cluster, namespace: str, **data: Any) -> None:
    """Writes one audit event about a cluster's credentials, or about those of one namespace, and tells open pages."""
    changes.note_topic(changes.REGISTRY)
    place = f"{cluster.slug}/{namespace}" if namespace else cluster.slug
    record(by, verb, target_kind="pull_credential", target_id=cluster.pk, target_text=place, data=data)
