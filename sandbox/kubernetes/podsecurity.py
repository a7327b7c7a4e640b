"""Pod security: what a namespace's labels `pod-security.kubernetes.io/…` forbid. Pods are refused; of a workload whose pods
would be, the answer only warns.

(k8s.io/pod-security-admission: admission/admission.go, policy/check_*.go; the checks that a deploy usually meets.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from engine.types import Json
from sandbox.kubernetes.kinds import Kind
from sandbox.kubernetes.refusals import Refused, about
from sandbox.kubernetes.selectors import value_at
from sandbox.kubernetes.store import Store

_LABEL = "pod-security.kubernetes.io/"
_SPECS = {"Pod": "spec", "CronJob": "spec.jobTemplate.spec.template.spec"}
_HOST = ("hostNetwork", "hostPID", "hostIPC")


def refuse(store: Store, kind: Kind, body: Json) -> None:
    """Raises Refused (403) for a pod that its namespace does not allow."""
    level = _level(store, body, "enforce")
    if kind.key == ("", "pods") and (found := _violations(body, "spec", level)):
        name = body["metadata"]["name"]
        message = f'pods "{name}" is forbidden: violates PodSecurity "{level}:latest": {found}'
        raise Refused(403, "Forbidden", message, about(kind, name))


def warnings(store: Store, kind: Kind, body: Json) -> Iterator[str]:
    """What the answer about a workload warns of."""
    level = _level(store, body, "warn") or _level(store, body, "enforce")
    path = _SPECS.get(kind.kind, "spec.template.spec")
    if (
        kind.key != ("", "pods")
        and kind.group in ("", "apps", "batch")
        and (found := _violations(body, path, level))
    ):
        yield f'would violate PodSecurity "{level}:latest": {found}'


def _level(store: Store, body: Json, mode: str) -> str:
    home = store.get(("", "namespaces"), "", body["metadata"].get("namespace", ""))
    return str(((home.body["metadata"].get("labels") or {}) if home else {}).get(_LABEL + mode, ""))


def _violations(body: Json, path: str, level: str) -> str:
    """All violations in words; empty for none."""
    spec = value_at(body, path)
    if not isinstance(spec, dict):
        return ""
    return ", ".join(found for check in _CHECKS.get(level, ()) if (found := check(spec)))


def _host_namespaces(spec: Json) -> str:
    found = [f"{name}=true" for name in _HOST if spec.get(name)]
    return f"host namespaces ({', '.join(found)})" if found else ""


def _host_paths(spec: Json) -> str:
    found = [f'"{v["name"]}"' for v in spec.get("volumes") or [] if "hostPath" in v]
    return f"hostPath volumes ({_number('volume', found)})" if found else ""


def _restricted_volumes(spec: Json) -> str:
    found = [f'"{v["name"]}"' for v in spec.get("volumes") or [] if "hostPath" in v]
    words = (
        f'{_number("volume", found)} use{"s" if len(found) == 1 else ""} restricted volume type "hostPath"'
    )
    return f"restricted volume types ({words})" if found else ""


def _privileged(spec: Json) -> str:
    found = _containers(spec, lambda own, _: bool(own.get("privileged")))
    return f"privileged ({found} must not set securityContext.privileged=true)" if found else ""


def _escalation(spec: Json) -> str:
    found = _containers(spec, lambda own, _: own.get("allowPrivilegeEscalation") is not False)
    words = f"{found} must set securityContext.allowPrivilegeEscalation=false"
    return f"allowPrivilegeEscalation != false ({words})" if found else ""


def _capabilities(spec: Json) -> str:
    found = _containers(spec, lambda own, _: "ALL" not in ((own.get("capabilities") or {}).get("drop") or []))
    words = f'{found} must set securityContext.capabilities.drop=["ALL"]'
    return f"unrestricted capabilities ({words})" if found else ""


def _not_root(spec: Json) -> str:
    found = _containers(spec, lambda own, pod: not own.get("runAsNonRoot", pod.get("runAsNonRoot")))
    words = f"pod or {found} must set securityContext.runAsNonRoot=true"
    return f"runAsNonRoot != true ({words})" if found else ""


def _seccomp(spec: Json) -> str:
    found = _containers(
        spec, lambda own, pod: not (own.get("seccompProfile") or pod.get("seccompProfile") or {}).get("type")
    )
    words = f'pod or {found} must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost"'
    return f"seccompProfile ({words})" if found else ""


def _containers(spec: Json, is_bad: Callable[[Json, Json], bool]) -> str:
    """The containers at fault, as the server lists them. `is_bad` is given a container's security context and the pod's."""
    pod = spec.get("securityContext") or {}
    every = [*(spec.get("initContainers") or []), *(spec.get("containers") or [])]
    found = [f'"{c["name"]}"' for c in every if is_bad(c.get("securityContext") or {}, pod)]
    return _number("container", found) if found else ""


def _number(word: str, names: Sequence[str]) -> str:
    return f"{word}{'s' if len(names) > 1 else ''} {', '.join(names)}"


_CHECKS = {
    "baseline": (_host_namespaces, _host_paths, _privileged),
    "restricted": (
        _host_namespaces,
        _privileged,
        _escalation,
        _capabilities,
        _restricted_volumes,
        _not_root,
        _seccomp,
    ),
}
