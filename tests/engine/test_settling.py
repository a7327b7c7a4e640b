"""How long workloads are watched, and the `minReadySeconds` that they get at rendering."""

from __future__ import annotations

from typing import Any

import pytest

from engine.cluster.diff import diff_lines
from engine.limits import parse_settle
from engine.manifests.settling import Settling, settle_time, unprobed
from engine.manifests.stored import from_stored, to_stored
from engine.types import Json
from tests.engine.support import DIGESTS, digest, read, rendered
from tests.engine.test_render import refused

WHY = "minReadySeconds, because container web has no readiness probe"


def workload(kind: str = "Deployment", spec: str = "", *, annotations: str = "", container: str = "") -> str:
    return f"""apiVersion: apps/v1
kind: {kind}
metadata: {{name: web, annotations: {{{annotations}}}}}
spec:
  {spec or "replicas: 1"}
  selector: {{matchLabels: {{app: web}}}}
  template:
    metadata: {{labels: {{app: web}}}}
    spec:
      containers:
      - {{name: web, image: "registry.example.com/other:1"{container}}}
"""


PROBE = ", readinessProbe: {httpGet: {port: 80}}"


def body_of(text: str, **more: Any) -> Json:
    (manifest,) = rendered(read(text), **more).manifests
    return manifest.body


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet", "DaemonSet"])
def test_a_workload_without_a_probe_gets_the_settle_time(kind: str) -> None:
    body = body_of(workload(kind))
    assert body["spec"]["minReadySeconds"] == 10
    assert body["metadata"]["annotations"]["slipway.dev/added"] == WHY
    assert "minReadySeconds" not in str(body["spec"]["template"])  # it replaces no pod


@pytest.mark.parametrize(
    "text",
    [
        workload(container=PROBE),
        workload(spec="minReadySeconds: 0"),
        workload(annotations='slipway.dev/settle: "0"'),
        workload(annotations="slipway.dev/min-ready: never"),
        workload(spec="strategy: {type: Recreate}"),
        workload("StatefulSet", spec="updateStrategy: {type: OnDelete}"),
        workload(spec="progressDeadlineSeconds: 10"),  # the API server wants it to be more
    ],
)
def test_where_nothing_is_added(text: str) -> None:
    body = body_of(text)
    assert body["spec"].get("minReadySeconds") in (None, 0)
    assert "slipway.dev/added" not in body["metadata"]["annotations"]


def test_the_environments_setting() -> None:
    assert body_of(workload(), settling=Settling(25))["spec"]["minReadySeconds"] == 25
    assert "minReadySeconds" not in body_of(workload(), settling=Settling(0))["spec"]
    assert "minReadySeconds" not in body_of(workload(), settling=Settling(keeps_old_pods=False))["spec"]
    own = workload(annotations='slipway.dev/settle: "30"')
    assert body_of(own, settling=Settling(25))["spec"]["minReadySeconds"] == 30


def test_a_mark_that_was_copied_from_a_cluster_is_not_kept() -> None:
    text = workload(spec="minReadySeconds: 10", annotations='slipway.dev/added: "minReadySeconds, because"')
    assert "slipway.dev/added" not in body_of(text)["metadata"]["annotations"]


def test_sidecars_count_and_init_containers_do_not() -> None:
    template = {
        "spec": {
            "initContainers": [{"name": "setup"}, {"name": "proxy", "restartPolicy": "Always"}],
            "containers": [{"name": "web", "readinessProbe": {"exec": {}}}, {"name": "worker"}],
        }
    }
    body = {"apiVersion": "apps/v1", "kind": "Deployment", "spec": {"template": template}}
    assert unprobed(body) == ["worker", "proxy"]


def test_the_warning_says_what_it_means() -> None:
    (warning,) = rendered(read(workload())).warnings
    assert warning == (
        "web.yaml:1: Deployment web: container web has no readiness probe. Kubernetes takes such a container for ready as "
        "soon as it runs, even if it crashes a moment later; the rollout is watched for 10 s more, and minReadySeconds: 10 "
        "was added so that old pods stay as long"
    )
    off = rendered(read(workload()), settling=Settling(0)).warnings
    assert "the rollout is not watched after that" in off[0]
    assert rendered(read(workload(container=PROBE))).warnings == ()
    assert rendered(read(workload(annotations='slipway.dev/settle: "5"'))).warnings == ()


def test_settle_times_of_other_objects() -> None:
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {},
        "spec": {"template": {"spec": {"containers": [{}]}}},
    }
    assert settle_time(job, 10) == 0
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {}, "spec": {"containers": [{"name": "a"}]}}
    assert settle_time(pod, 10) == 10


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0", 0), ("30", 30), ("45s", 45), ("2m", 120), ("11m", None), ("soon", None), ("", None)],
)
def test_settle_durations(text: str, seconds: float | None) -> None:
    assert parse_settle(text) == seconds


@pytest.mark.parametrize(
    ("annotation", "problem"),
    [
        ("slipway.dev/settle: soon", "slipway.dev/settle must be seconds or a duration of at most 10m"),
        ('slipway.dev/settle: ""', "slipway.dev/settle must be seconds"),
        ("slipway.dev/min-ready: always", "slipway.dev/min-ready can only be never"),
    ],
)
def test_annotations_are_checked(annotation: str, problem: str) -> None:
    assert refused(read(workload(annotations=annotation)))[0].startswith(f"web.yaml:1: {problem}")


def test_only_workloads_settle() -> None:
    text = 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, annotations: {slipway.dev/settle: "5"}}\n'
    words = "web.yaml:1: slipway.dev/settle is for workloads whose pods run for ever; this is a ConfigMap"
    assert refused(read(text)) == (words,)


def test_the_diff_names_the_reason() -> None:
    body = body_of(workload())
    before = {**body, "spec": {k: v for k, v in body["spec"].items() if k != "minReadySeconds"}}
    before["metadata"] = {**body["metadata"], "annotations": {}}
    lines = diff_lines(before, body, digest=digest)
    line = "+  minReadySeconds: 10  # added by Slipway because container web has no readiness probe"
    assert line in lines
    assert diff_lines(body, body, digest=digest) == ()


def test_a_stored_release_keeps_it() -> None:
    made = rendered(read(workload())).manifests
    stored = to_stored(made, digests=DIGESTS, version_ids={})
    (again,) = from_stored(stored, secrets={}, git_documents=(), digests=DIGESTS)
    assert again.body == made[0].body
