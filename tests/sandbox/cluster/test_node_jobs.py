"""Jobs on played nodes."""

from __future__ import annotations

from typing import Any

from tests.sandbox.fake_registry import FakeRegistry
from tests.sandbox.played import Shop, until


def _job(shop: Shop, image: str, *, policy: str = "Never", **spec: Any) -> None:
    pod = {
        "restartPolicy": policy,
        "containers": [{"name": "migrate", "image": image, "command": ["migrate"]}],
    }
    body = {"metadata": {"name": "migrate"}, "spec": {"template": {"spec": pod}, **spec}}
    shop.api.create(f"{shop.batch}/jobs", body)


def _conditions(shop: Shop) -> dict[str, str]:
    found = shop.api.get(f"{shop.batch}/jobs/migrate").get("status", {}).get("conditions", [])
    return {c["type"]: c.get("reason", "") for c in found}


def _pods(shop: Shop) -> list[dict[str, Any]]:
    return list(shop.api.get(f"{shop.core}/pods")["items"])


def test_a_job_completes(shop: Shop, registry: FakeRegistry) -> None:
    # What makes a service crash is no word for a Job.
    _job(shop, registry.push("web:1", "crash", log="web", log__migrate="migrating\\nall done"))
    until(lambda: "Complete" in _conditions(shop), what="the end of the Job")
    (pod,) = _pods(shop)
    assert pod["status"]["phase"] == "Succeeded"
    assert {c["type"]: c.get("reason") for c in pod["status"]["conditions"]}["Ready"] == "PodCompleted"
    assert shop.log(pod["metadata"]["name"]) == "migrating\nall done\n"


def test_a_job_fails(shop: Shop, registry: FakeRegistry) -> None:
    _job(shop, registry.push("web:1", "job-fails:4"), backoffLimit=0)
    until(lambda: "Failed" in _conditions(shop), what="the Job's failure")
    assert _conditions(shop)["Failed"] == "BackoffLimitExceeded"
    (pod,) = _pods(shop)
    assert pod["status"]["phase"] == "Failed"
    assert pod["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 4


def test_on_failure_restarts_in_place(shop: Shop, registry: FakeRegistry) -> None:
    _job(shop, registry.push("web:1", "job-fails"), policy="OnFailure", backoffLimit=5)
    until(lambda: _pods(shop) and _pods(shop)[0]["status"].get("containerStatuses"), what="the pod")
    name = _pods(shop)[0]["metadata"]["name"]
    until(lambda: shop.container(name).get("restartCount") == 1, what="a restart")
    shop.has_event("Warning BackOff: Back-off restarting failed container", name)


def test_a_deadline_ends_a_job_that_hangs(shop: Shop, registry: FakeRegistry) -> None:
    _job(shop, registry.push("web:1", "job-hangs"), activeDeadlineSeconds=2)
    until(lambda: _conditions(shop).get("Failed") == "DeadlineExceeded", what="the deadline")


def test_a_slow_job_completes_later(shop: Shop, registry: FakeRegistry) -> None:
    _job(shop, registry.push("web:1", "job-slow:6"))
    until(lambda: _pods(shop) and _pods(shop)[0]["status"]["phase"] == "Running", what="running")
    assert "Complete" not in _conditions(shop)
    until(lambda: "Complete" in _conditions(shop), what="the end of the Job")
