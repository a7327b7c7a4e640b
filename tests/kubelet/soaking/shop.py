"""The shop that the soak deploys: several workloads of each kind, as files of a config directory.

One image plays everything; the environment variable MODE says what goes wrong.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import yaml

from tests.kubelet.conftest import PORT
from tests.planes import RealNode

Json = dict[str, Any]
SAYS = "Error: DATABASE_URL is missing"
_SERVE = f'mkdir /tmp/w; echo "$VERSION $TOKEN" >/tmp/w/index.html; httpd -p {PORT} -h /tmp/w; echo serving'
PROGRAM = (
    "sh",
    "-c",
    # It serves on after it was asked to end, as long as the news takes to those who send requests.
    "trap 'sleep ${LINGER:-0}; exit 0' TERM; "
    f'case "$MODE" in crash-*) sleep ${{MODE#crash-}}; echo "{SAYS}"; exit 3;; '
    f"oom) exec tail /dev/zero;; hang) :;; *) {_SERVE};; esac; "
    "while :; do sleep 1 & wait $!; done",
)
PROBE: Json = {"httpGet": {"port": PORT}, "periodSeconds": 1}
KINDS = {
    "web": "Deployment",
    "api": "Deployment",
    "worker": "Deployment",
    "db": "StatefulSet",
    "agent": "DaemonSet",
}
PROBED = ("api", "db")
SERVING = ("web", "api")  # behind a Service
READS_SECRET = ("api",)
READS_CONFIG = ("web",)
LINGERS = 3  # seconds for which a pod behind a Service serves on after it was asked to end
LATE = 25  # seconds after which a rollout without progress is over


@dataclass(frozen=True)
class Part:
    """One workload. `version` names its release; `mode` what goes wrong (empty: nothing)."""

    version: int = 1
    replicas: int = 2
    mode: str = ""


@dataclass(frozen=True)
class Shop:
    """All of it. `jobs`: mode by name of a Job that runs before (`migrate`) or after (`smoke`) the rest."""

    parts: Mapping[str, Part]
    jobs: Mapping[str, str] = field(default_factory=dict)
    config: int = 1

    def with_part(self, name: str, **changes: Any) -> Shop:
        return replace(self, parts={**self.parts, name: replace(self.parts[name], **changes)})

    def without(self, name: str) -> Shop:
        return replace(self, parts={n: part for n, part in self.parts.items() if n != name})


def first_shop() -> Shop:
    parts = {name: Part(replicas=1 if name == "agent" else 2) for name in KINDS if name != "worker"}
    return Shop(parts, {"migrate": ""})


@dataclass(frozen=True)
class Images:
    """What the manifests name."""

    good: str
    missing: str


def images(node: RealNode) -> Images:
    return Images(node.image("tests/soak:1", *PROGRAM), f"{node.registry}/tests/soak:missing")


def files(shop: Shop, made: Images) -> dict[str, bytes]:
    """The config directory of a commit."""
    bodies = [
        *[_service(name) for name in SERVING],
        _config_map(shop.config),
        *[_workload(name, part, made) for name, part in shop.parts.items()],
        *[_job(name, mode, made) for name, mode in shop.jobs.items()],
        _cron_job(made),
    ]
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "app"}, "stringData": {"TOKEN": ""}}
    return {
        "app.yaml": yaml.safe_dump_all(bodies, sort_keys=False).encode(),
        "secret.yaml": yaml.safe_dump(secret).encode(),
    }


def _workload(name: str, part: Part, made: Images) -> Json:
    labels = {"app": name}
    spec: Json = {
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": _pod(name, part, made)},
    }
    kind = KINDS[name]
    if kind != "DaemonSet":
        spec["replicas"] = part.replicas
    if kind == "Deployment":
        spec |= {"progressDeadlineSeconds": LATE}
        spec |= {"strategy": {"rollingUpdate": {"maxSurge": "100%", "maxUnavailable": 0}}}
    if kind == "StatefulSet":
        spec |= {"serviceName": name}
    metadata: Json = {"name": name}
    if kind != "Deployment":
        metadata["annotations"] = {"slipway.dev/timeout": f"{LATE + 35}s"}
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": metadata, "spec": spec}


def _pod(name: str, part: Part, made: Images) -> Json:
    env: list[Json] = [{"name": "VERSION", "value": str(part.version)}]
    if name in SERVING:
        env.append({"name": "LINGER", "value": str(LINGERS)})
    if part.mode:
        env.append({"name": "MODE", "value": part.mode})
    if name in READS_SECRET:
        env.append(_of_key("TOKEN", "secretKeyRef", "app", "TOKEN"))
    if name in READS_CONFIG:
        env.append(_of_key("LEVEL", "configMapKeyRef", "settings", "LEVEL"))
    if part.mode == "missing-key":
        env.append(_of_key("GONE", "secretKeyRef", "pull", "gone"))
    image = made.missing if part.mode == "wrong-tag" else made.good
    main: Json = {"name": name, "image": image, "env": env}
    if part.mode == "oom":
        main["resources"] = {"limits": {"memory": "20Mi"}}
    if name in PROBED or part.mode == "hang":
        main["readinessProbe"] = PROBE
    pod: Json = {
        "terminationGracePeriodSeconds": 6,
        "imagePullSecrets": [{"name": "pull"}],
        "containers": [main],
    }
    if name == "worker" or part.mode == "init":
        code = 3 if part.mode == "init" else 0
        command = ["sh", "-c", f"echo 'no such table'; exit {code}"]
        pod["initContainers"] = [{"name": "setup", "image": made.good, "command": command}]
    return pod


def _of_key(name: str, kind: str, source: str, key: str) -> Json:
    return {"name": name, "valueFrom": {kind: {"name": source, "key": key}}}


def _service(name: str) -> Json:
    spec = {"selector": {"app": name}, "ports": [{"port": 80, "targetPort": PORT}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}


def _config_map(number: int) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "settings"},
        "data": {"LEVEL": str(number)},
    }


def _job(name: str, mode: str, made: Images) -> Json:
    end = "echo 'relation is missing'; exit 3" if mode else "echo done"
    phase = "predeploy" if name == "migrate" else "postdeploy"
    metadata = {"name": name, "annotations": {"slipway.dev/phase": phase}}
    return {
        "apiVersion": "batch/v1", "kind": "Job", "metadata": metadata,
        "spec": {"backoffLimit": 1 if mode == "retry" else 0, "template": {"spec": _job_pod(made, end)}},
    }  # fmt: skip


def _job_pod(made: Images, command: str) -> Json:
    main = {"name": "app", "image": made.good, "command": ["sh", "-c", command]}
    return {"restartPolicy": "Never", "imagePullSecrets": [{"name": "pull"}], "containers": [main]}


def _cron_job(made: Images) -> Json:
    """Its pods come and go beside all deploys; every second one fails."""
    command = "sleep 2; exit $(( $(date +%M) % 2 ))"
    spec = {
        "schedule": "* * * * *",
        "jobTemplate": {"spec": {"backoffLimit": 0, "template": {"spec": _job_pod(made, command)}}},
    }
    return {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "tick"}, "spec": spec}
