"""The recorded behaviours on a real node, judged: what the verdict says, and that it comes by what was seen and not by the
deploy's deadline. How soon it comes is measured by `make soak`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from tests.kubelet.conftest import PATIENT, Json, Place, beside, workload
from tests.planes import RealNode

PROBE = {"readinessProbe": {"exec": {"command": ["cat", "/tmp/ready"]}, "periodSeconds": 1}}


@dataclass(frozen=True)
class Case:
    """A deploy. `words`: in the verdict's sentence, none for success; `least`: seconds that it takes at least; `timeout`: of a
    deploy whose deadline ends it."""

    words: str
    body: Callable[[RealNode, str], Json]
    least: float = 0.0
    timeout: float | None = None


def crash(*command: str, **more: Any) -> Callable[[RealNode, str], Json]:
    """A Deployment of an image with that command."""

    def made(node: RealNode, good: str) -> Json:
        name = f"tests/verdict-{abs(hash(command)) % 10**8}:1"
        return workload(node.image(name, "sh", "-c", *command), **more)

    return made


def good(**more: Any) -> Callable[[RealNode, str], Json]:
    return lambda node, image: workload(image, **more)


def job(policy: str, **spec: Any) -> Callable[[RealNode, str], Json]:
    def made(node: RealNode, image: str) -> Json:
        main = {"name": "app", "image": image, "command": ["sh", "-c", "echo 'relation is missing'; exit 3"]}
        pod = {"restartPolicy": policy, "imagePullSecrets": [{"name": "pull"}], "containers": [main]}
        marks = {"slipway.dev/phase": "predeploy", "slipway.dev/timeout": "25s"}
        return {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": "migrate", "annotations": marks},
            "spec": {"template": {"spec": pod}, **spec},
        }

    return made


def sidecar(node: RealNode, image: str) -> Json:
    proxy = {"name": "proxy", "image": image, "restartPolicy": "Always", "command": ["sh", "-c", "exit 3"]}
    return workload(image, pod={"initContainers": [proxy]})


MISSING_KEY = {"env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "pull", "key": "missing"}}}]}
INIT = {"name": "setup", "command": ["sh", "-c", "echo 'no such table'; exit 3"]}
LIVENESS = {
    "exec": {"command": ["false"]},
    "initialDelaySeconds": 2,
    "periodSeconds": 2,
    "failureThreshold": 2,
}
CASES = {
    "ready-no-probe": Case("", good(), least=10),
    "ready-probe": Case("", crash("touch /tmp/ready; sleep 1000", **PROBE)),
    "crash-at-once": Case(
        "crashed twice at start (exit code 3): boom failed", crash("echo boom failed; exit 3")
    ),
    "crash-after-2s": Case("crashed twice at start (exit code 3)", crash("sleep 2; exit 3")),
    "crash-after-8s": Case("at start (exit code 3)", crash("sleep 8; exit 3"), least=8),
    "exit-0": Case("ended twice without an error (exit code 0)", crash("exit 0")),
    "crash-at-once-readiness": Case("crashed twice at start (exit code 3)", crash("exit 3", **PROBE)),
    "oom": Case(
        "for using more memory than its limit of 20Mi (OOMKilled, exit code 137)",
        crash("exec tail /dev/zero", resources={"limits": {"memory": "20Mi"}}),
    ),
    "wrong-tag": Case(
        "was not found in the registry",
        lambda node, image: workload(f"{node.registry}/tests/good:missing"),
    ),
    "no-pull-secret": Case("the registry denies it", good(pod={"imagePullSecrets": []})),
    "registry-down": Case(
        "connect: connection refused", lambda node, image: workload("127.0.0.1:1/team/app:1"), least=8
    ),
    "command-not-found": Case(
        'exec: "/no/such": stat /no/such: no such file or directory (exit code 128)',
        good(command=["/no/such"]),
    ),
    "missing-key": Case("couldn't find key missing in Secret", good(**MISSING_KEY), least=10),
    "missing-volume": Case(
        'configmap "nowhere" not found',
        good(
            volumeMounts=[{"name": "v", "mountPath": "/v"}],
            pod={"volumes": [{"name": "v", "configMap": {"name": "nowhere"}}]},
        ),
        least=10,
    ),
    "init-fails": Case(
        "init container setup crashed twice at start (exit code 3): no such table",
        lambda node, image: workload(image, pod={"initContainers": [{**INIT, "image": image}]}),
    ),
    "sidecar-crashes": Case("init container proxy crashed", sidecar),
    "liveness-fails": Case(
        "because its liveness probe failed",
        good(livenessProbe=LIVENESS, pod={"terminationGracePeriodSeconds": 1}),
    ),
    "does-not-fit": Case(
        "no node can take the pod yet: 0/1 nodes are available: 1 Insufficient memory (it asks for memory 900Gi)",
        good(resources={"requests": {"memory": "900Gi"}}),
        least=5,
        timeout=5,
    ),
    "job-keeps-failing": Case("its pod failed twice (exit code 3)", job("Never")),
    "job-onfailure": Case("its pod failed 3 times (exit code 3)", job("OnFailure")),
}


@beside
@pytest.mark.parametrize("name", CASES)
def test_a_recorded_behaviour_is_judged_rightly_and_before_the_deadline(
    place: Place, node: RealNode, good_image: str, name: str
) -> None:
    case = CASES[name]
    ended = place.deploy(case.body(node, good_image), timeout=case.timeout or PATIENT)
    assert ended.timed_out is (case.timeout is not None)
    assert ended.ok is not bool(case.words), ended.sentence
    assert case.words in ended.sentence
    assert ended.seconds >= case.least
