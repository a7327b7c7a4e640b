"""What a page says of an environment's namespace."""

from __future__ import annotations

from adapters.errors import Denied, NotFound
from adapters.kubernetes.client import KubernetesClient
from core.findings import PASSED, WARNING, Finding
from engine.types import Json


def namespace_facts(client: KubernetesClient, name: str, *, timeout: float) -> list[Finding]:
    """Whether the namespace exists, and whether its pods are limited. Raises ExternalError for other failures."""
    try:
        body = client.request("GET", f"/api/v1/namespaces/{name}", timeout=timeout)
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
    level = (body["metadata"].get("labels") or {}).get("pod-security.kubernetes.io/enforce", "privileged")
    if level != "privileged":
        return []
    return [
        Finding(
            WARNING,
            f"The cluster enforces no pod security in {name}: who deploys here may run privileged pods.",
            "Label the namespace pod-security.kubernetes.io/enforce=baseline, unless the cluster has another policy.",
        )
    ]
