"""LimitRange: defaults for what the containers of new pods may use and ask for; and that no pod asks for more than it may use.

(k8s.io/kubernetes/plugin/pkg/admission/limitranger, pkg/apis/core/validation. Minimums, maximums and ratios are left out.)
"""

from __future__ import annotations

from decimal import Decimal

from engine.types import Json
from sandbox.kubernetes.names import Causes
from sandbox.kubernetes.refusals import invalid, invalid_value
from sandbox.kubernetes.store import Store

_UNITS = {"n": "1e-9", "u": "1e-6", "m": "1e-3", "k": "1e3", "M": "1e6", "G": "1e9", "T": "1e12"}
_UNITS |= {"Ki": "1024", "Mi": str(1024**2), "Gi": str(1024**3), "Ti": str(1024**4)}


def complete(store: Store, pod: Json) -> None:
    """Fills the defaults of its namespace into a new pod, in place."""
    ranges = store.bodies(("", "limitranges"), pod["metadata"].get("namespace", ""))
    limits = [limit for body in ranges for limit in (body.get("spec") or {}).get("limits") or []]
    for limit in (limit for limit in limits if limit.get("type") == "Container"):
        for container in _containers(pod):
            resources = container.setdefault("resources", {})
            own = resources.get("limits") or {}
            resources["limits"] = {**(limit.get("default") or {}), **own}
            wanted = {**(limit.get("defaultRequest") or {}), **own, **(resources.get("requests") or {})}
            resources["requests"] = wanted


def check(pod: Json) -> None:
    """Raises Refused (422) for a pod that asks for more than it may use."""
    if causes := [*_too_much(pod)]:
        raise invalid("Pod", "", pod["metadata"]["name"], causes)


def _too_much(pod: Json) -> Causes:
    for index, container in enumerate(pod["spec"].get("containers") or []):
        resources = container.get("resources") or {}
        for name, amount in (resources.get("requests") or {}).items():
            limit = (resources.get("limits") or {}).get(name)
            if limit is not None and _amount(amount) > _amount(limit):
                words = f"must be less than or equal to {name} limit of {limit}"
                yield invalid_value(f"spec.containers[{index}].resources.requests", str(amount), words)


def _containers(pod: Json) -> list[Json]:
    return [*(pod["spec"].get("initContainers") or []), *(pod["spec"].get("containers") or [])]


def _amount(quantity: object) -> Decimal:
    text = str(quantity)
    unit = next((unit for unit in sorted(_UNITS, key=len, reverse=True) if text.endswith(unit)), "")
    return Decimal(text.removesuffix(unit)) * Decimal(_UNITS.get(unit, "1"))
