"""Which pods cannot pull, and the pull secrets that they were made with."""

from __future__ import annotations

from typing import Any

import pytest

from engine.health.pulling import FailedPull, failed_pulls


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
