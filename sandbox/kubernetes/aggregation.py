"""APIs that a service is to serve (APIService). Nothing that a played pod serves can be reached, so none of them answers.

(k8s.io/kube-aggregator/pkg/apiserver, pkg/controllers/status/remote.)
"""

from __future__ import annotations

from engine.types import Json
from sandbox.kubernetes.requests import Answer, text_answer
from sandbox.kubernetes.store import Store

GROUP = "apiregistration.k8s.io"
_KIND = (GROUP, "apiservices")


def answer(store: Store, parts: list[str]) -> Answer | None:
    """The answer to a request below `/apis/GROUP/VERSION` that a service would have to give; None for all others."""
    if len(parts) < 3 or parts[0] != "apis":
        return None
    found = store.get(_KIND, "", f"{parts[2]}.{parts[1]}")
    if found is None or not (found.body.get("spec") or {}).get("service"):
        return None
    return text_answer("service unavailable\n", 503)


def condition_of(store: Store, spec: Json) -> Json:
    """Whether an APIService is available, and why not."""
    service = spec.get("service") or {}
    name, namespace = service.get("name", ""), service.get("namespace", "")
    if not service:
        state = ("True", "Local", "Local APIServices are always available")
    elif store.get(("", "services"), namespace, name) is None:
        state = ("False", "ServiceNotFound", f'service/{name} in "{namespace}" is not present')
    else:
        words = f'endpoints for service/{name} in "{namespace}" have no addresses with port name ""'
        state = ("False", "MissingEndpoints", words)
    return {"type": "Available", **dict(zip(("status", "reason", "message"), state, strict=True))}
