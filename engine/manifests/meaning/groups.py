"""What each value of an object belongs to: a container's image, its memory, a variable, a probe, a host."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from engine.manifests.digests import CONFIG_ANNOTATION, SECRETS_ANNOTATION
from engine.manifests.meaning.leaves import Differences, Path
from engine.manifests.meaning.words import What, plain_words
from engine.types import ADDED_ANNOTATION, ENVIRONMENT_LABEL, FENCE_ANNOTATION, OBJECT_ANNOTATION

OWN_MARKS = frozenset({ENVIRONMENT_LABEL, OBJECT_ANNOTATION, FENCE_ANNOTATION, ADDED_ANNOTATION})
_READS = {SECRETS_ANNOTATION: "secrets", CONFIG_ANNOTATION: "configuration"}
WORKLOADS = frozenset({"Deployment", "StatefulSet", "DaemonSet"})
TEMPLATE: Path = ("spec", "template")
TEMPLATES: Mapping[str, Path] = {
    **dict.fromkeys((*WORKLOADS, "ReplicaSet", "Job"), TEMPLATE),
    "CronJob": ("spec", "jobTemplate", "spec", "template"),
    "Pod": (),
}
_PROBES = {"readinessProbe": "readiness", "livenessProbe": "liveness", "startupProbe": "startup"}
_FIELDS: Mapping[tuple[str, Path], tuple[What, str]] = {
    ("CronJob", ("spec", "schedule")): ("schedule", ""),
    ("CronJob", ("spec", "suspend")): ("suspended", ""),
    ("PersistentVolumeClaim", ("spec", "resources", "requests", "storage")): ("storage", ""),
    ("HorizontalPodAutoscaler", ("spec", "minReplicas")): ("replicas", "at least"),
    ("HorizontalPodAutoscaler", ("spec", "maxReplicas")): ("replicas", "at most"),
}
_KEYS = frozenset({"data", "stringData", "binaryData"})


@dataclass(frozen=True)
class Group:
    """Values that differ and mean one change together. `prefix`: the path of the part that they belong to."""

    what: What
    name: str
    prefix: Path
    containers: tuple[str, ...] = ()


def is_mark(path: Path) -> bool:
    return (
        len(path) == 3
        and path[:2] in (("metadata", "labels"), ("metadata", "annotations"))
        and path[2] in OWN_MARKS
    )


def group_of(kind: str, path: Path, found: Differences) -> Group | None:
    """What a value belongs to; None for what is told otherwise."""
    if path[0] == "metadata":
        return _of_metadata(path, 0)
    if known := _FIELDS.get((kind, path)):
        return Group(*known, prefix=path)
    if path[0] in _KEYS and kind in ("Secret", "ConfigMap"):
        return Group("key", path[1] if path[1:] else path[0], ("", *path[1:2]))
    if kind in WORKLOADS and path == ("spec", "replicas"):
        return Group("replicas", "", path)
    if kind == "Ingress" and path[:2] == ("spec", "rules"):
        return None  # its hosts
    if kind == "Service" and path[:2] == ("spec", "ports") and path[2:]:
        return Group("port", path[2], path[:3])
    template = TEMPLATES.get(kind)
    if template is not None and path[: len(template)] == template:
        return _of_pods(path, len(template), found)
    return _of_field(path, 1 if path[0] == "spec" else 0)


def _of_metadata(path: Path, start: int) -> Group | None:
    """A label or annotation at `path[start + 1]`."""
    part = path[start + 1 : start + 3]
    if part[1:] and part[1] in _READS:
        return Group("reads", _READS[part[1]], path)
    words = {"labels": "label", "annotations": "annotation"}
    if part and part[0] in words:
        return Group("field", " ".join((words[part[0]], *part[1:])), path)
    return Group("field", plain_words(part[0]) if part else "metadata", path[: start + 2])


def _of_pods(path: Path, start: int, found: Differences) -> Group | None:
    """A value of a pod template, which begins at `path[start]`."""
    rest = path[start:]
    if rest[:1] == ("metadata",):
        return _of_metadata(path, start)
    if len(rest) < 4 or rest[1] not in ("containers", "initContainers"):
        return _of_field(path, start + 1)
    name, container = rest[2], start + 3
    if path[:container] not in found.had or path[:container] not in found.has:
        return Group("container", name, path[:container])
    return replace(_of_container(path, container), containers=(name,))


def _of_container(path: Path, start: int) -> Group:
    """A value of a container, which begins at `path[start]`."""
    field, rest = path[start], path[start + 1 :]
    if field == "image":
        return Group("image", "", path)
    if (
        field == "resources"
        and rest[:1] in (("limits",), ("requests",))
        and rest[1:] in (("memory",), ("cpu",))
    ):
        return Group("memory" if rest[1] == "memory" else "cpu", rest[0].rstrip("s"), path)
    if field == "env" and rest:
        return Group("env", rest[0], path[: start + 2])
    if field in _PROBES:
        return Group("probe", f"{_PROBES[field]} probe", path[: start + 1])
    if field == "ports" and rest:
        return Group("port", rest[0], path[: start + 2])
    return _of_field(path, start)


def _of_field(path: Path, start: int) -> Group:
    return Group("field", plain_words(path[min(start, len(path) - 1)]), path[: start + 1])
