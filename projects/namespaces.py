"""An environment's namespace: what a page says of it, and making it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NoReturn

from adapters.errors import Conflict, Denied, ExternalError, NotFound
from adapters.kubernetes.client import KubernetesClient, Right
from adapters.kubernetes.limits import RetryPolicy
from audit.actors import Actor
from audit.record import record
from core.fields import CannotDecrypt
from core.findings import FAILED, PASSED, WARNING, Finding
from engine.types import FIELD_MANAGER, Json
from projects import connections
from projects.access import require_current, require_project
from projects.allotting.using import require_still
from projects.allotting.wishes import of_place
from projects.cluster_rights import deploy_finding, rules_for
from projects.models import Cluster, Environment, Role

_NAMESPACES = "/api/v1/namespaces"
_SECURITY = "pod-security.kubernetes.io/enforce"
LOOK_SECONDS = 5.0
_MAKE = Right("create", "", "namespaces")


@dataclass(frozen=True)
class Made:
    """What became of a wish for a namespace. `is_new`: false when it existed before."""

    name: str
    is_new: bool


def create_namespace(actor: Actor, environment: Environment) -> Made:
    """Makes the environment's namespace on its cluster; one that exists is left as it is. A new one holds its pods to the level
    baseline of Pod Security.

    Raises Refused (role too weak, archived), NotAllotted, CannotDecrypt and ExternalError: the cluster is away, the account
    lacks the right, or the namespace is being deleted."""
    require_project(actor, environment.project, Role.MAINTAINER)
    require_current(environment.project, environment)
    require_still(environment.project, of_place(environment.cluster, environment.namespace))
    # Before the call, so that nothing is made that the audit does not tell of.
    record(actor, "namespace.asked", **_audited(environment))
    with connections.hasty_client(environment.cluster, purpose="namespace") as client:
        is_new = _made(client, environment.namespace, environment.cluster.name)
    if is_new:
        record(actor, "namespace.created", **_audited(environment))
    return Made(environment.namespace, is_new)


def _made(client: KubernetesClient, name: str, cluster: str) -> bool:
    """Whether it was made just now."""
    body = {
        "apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {_SECURITY: "baseline"}},
    }  # fmt: skip
    try:
        client.request("POST", _NAMESPACES, query={"fieldManager": FIELD_MANAGER}, body=body)
    except Conflict:
        _refuse_one_that_goes(client, name, cluster)
        return False
    except Denied as error:
        _say_what_is_missing(client, name, cluster, error)
    return True


def _refuse_one_that_goes(client: KubernetesClient, name: str, cluster: str) -> None:
    """Raises Conflict when the namespace that exists is about to be gone."""
    try:
        phase = client.request("GET", f"{_NAMESPACES}/{name}").get("status", {}).get("phase")
    except (Denied, NotFound):
        return  # an account that may not read it deploys into it nevertheless
    if phase == "Terminating":
        raise Conflict(
            f"The namespace {name} on {cluster} is being deleted.",
            system="Kubernetes",
            hint="Wait until it is gone, then create it again.",
        )


def _say_what_is_missing(client: KubernetesClient, name: str, cluster: str, error: Denied) -> NoReturn:
    """Raises Denied with the right that the account lacks, or with the cluster's own words when it has that right."""
    if getattr(error, "status", 0) == 401 or not client.can([_MAKE]):
        raise error
    hint = (
        f"Give its ClusterRole these rules, or create the namespace yourself: kubectl create namespace {name}."
        f" {rules_for([_MAKE])}"
    )
    text = f"The portal's account on {cluster} lacks the right to create namespaces. Nothing was changed."
    raise Denied(text, system="Kubernetes", hint=hint) from error


def _audited(environment: Environment) -> dict[str, Any]:
    """What events of a namespace tell."""
    return {
        "target_kind": "environment", "target_id": environment.pk, "target_text": environment.label,
        "project": environment.project.slug,
        "data": {"namespace": environment.namespace, "cluster": environment.cluster.name},
    }  # fmt: skip


@dataclass(frozen=True)
class Place:
    """What a cluster says of an environment's namespace now. `exists`: None where the account may not read it. `lacks`: why the
    account's rights do not suffice there. `error`: why nothing is known, with `hint`."""

    exists: bool | None = None
    lacks: str = ""
    error: str = ""
    hint: str = ""


def look_at(cluster: Cluster, name: str) -> Place:
    """Asks the cluster about a namespace, once and with short timeouts. Uses no database and raises nothing of the cluster's."""
    try:
        with KubernetesClient.from_kubeconfig(
            cluster.kubeconfig.open(), user_agent=connections.user_agent("check"),
            retry=RetryPolicy(attempts=1), timeout=LOOK_SECONDS,
        ) as client:  # fmt: skip
            rights = deploy_finding(client, name, "", FAILED)
            lacks = "" if rights.state == PASSED else f"{rights.text} {rights.detail}"
            return Place(_exists(client, name), lacks)
    except (ExternalError, CannotDecrypt) as error:
        return Place(error=error.message, hint=error.hint)


def _exists(client: KubernetesClient, name: str) -> bool | None:
    try:
        client.request("GET", f"{_NAMESPACES}/{name}")
    except NotFound:
        return False
    except Denied:
        return None
    return True


def namespace_facts(client: KubernetesClient, name: str, *, timeout: float) -> list[Finding]:
    """Whether the namespace exists, and whether its pods are limited. Raises ExternalError for other failures."""
    try:
        body = client.request("GET", f"{_NAMESPACES}/{name}", timeout=timeout)
    except NotFound:
        hint = (
            "Create it before the first deploy, or let an admin allot it to the environment as Namespace/"
            + name
        )
        return [
            Finding(
                WARNING, f"The namespace {name} does not exist yet.", f"{hint} and put it into the manifests."
            )
        ]
    except Denied:
        return [Finding(WARNING, f"Whether the namespace {name} exists may not be read by this account.")]
    return [Finding(PASSED, f"The namespace {name} is there."), *_pod_security(name, body)]


def _pod_security(name: str, body: Json) -> list[Finding]:
    """A finding where the cluster lets pods of the namespace do anything (Pod Security Admission; its default is privileged)."""
    level = (body["metadata"].get("labels") or {}).get(_SECURITY, "privileged")
    if level != "privileged":
        return []
    return [
        Finding(
            WARNING,
            f"The cluster enforces no pod security in {name}: every deployer here may run privileged pods.",
            f"Label the namespace {_SECURITY}=baseline, unless the cluster has another policy.",
        )
    ]
