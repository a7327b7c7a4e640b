"""Which pods cannot pull, and the pull secrets that they were made with."""

from __future__ import annotations

from typing import Any

import pytest

from engine.health.pulling import FailedPull, failed_beside, failed_pulls


def pod(reason: str = "ImagePullBackOff", section: str = "containerStatuses", **more: Any) -> dict[str, Any]:
    status = {"name": "web", "image": "eu/web:1", "state": {"waiting": {"reason": reason, "message": "401"}}}
    return {
        "metadata": {"name": "web-1", "creationTimestamp": "2026-11-01T00:00:00Z", **more},
        "spec": {"imagePullSecrets": [{"name": "ecr-pull"}, {"name": "other"}]},
        "status": {section: [status]},
    }


@pytest.mark.parametrize("section", ["containerStatuses", "initContainerStatuses"])
@pytest.mark.parametrize("reason", ["ErrImagePull", "ImagePullBackOff"])
def test_a_pull_that_fails(reason: str, section: str) -> None:
    assert failed_pulls([pod(reason, section)]) == (
        FailedPull("web-1", "web", "eu/web:1", "401", ("ecr-pull", "other"), "2026-11-01T00:00:00Z"),
    )


def test_other_troubles_and_pods_that_go_do_not_count() -> None:
    running = pod()
    running["status"]["containerStatuses"][0]["state"] = {"running": {}}
    bare = {"metadata": {"name": "new"}, "status": {}}
    assert failed_pulls([pod("CrashLoopBackOff"), pod(deletionTimestamp="x"), running, bare]) == ()


def test_a_pod_without_pull_secrets() -> None:
    body = pod()
    del body["spec"]
    assert failed_pulls([body])[0].secrets == ()


def owned(kind: str, name: str) -> dict[str, Any]:
    return pod(name=name, ownerReferences=[{"kind": kind, "name": "x", "uid": "1", "controller": True}])


def test_pods_of_jobs_and_lone_ones_are_beside_the_workloads() -> None:
    kinds = ("ReplicaSet", "StatefulSet", "DaemonSet", "Job")
    found = failed_beside([*(owned(kind, kind.lower()) for kind in kinds), pod(name="lone")])
    assert [(one.pod, one.owner) for one in found] == [("job", "Job"), ("lone", "")]
