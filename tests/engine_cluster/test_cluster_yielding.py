"""The `minReadySeconds` that the portal adds yields to a person's; the manifest's own fields do not."""

from __future__ import annotations

import json

import pytest

from engine.cluster.apply import ApplyError
from engine.manifests.settling import Settling, keeping_old_pods
from engine.types import ADDED_ANNOTATION, Action, Json, ObjectRef
from tests.engine_cluster.conftest import Cluster
from tests.engine_cluster.objects import deployment

WORDS = "minReadySeconds stays as kubectl edit set it: Slipway leaves out its own"


def with_addition(where: str, **given: object) -> Json:
    made = keeping_old_pods(deployment(where, **given), Settling(seconds=2))  # type: ignore[arg-type]
    assert made["spec"]["minReadySeconds"] == 2
    return made


def edited(cluster: Cluster, spec: Json) -> None:
    """A person changes the object, as `kubectl edit` does."""
    cluster.kubectl(
        "-n", cluster.namespace, "patch", "deploy/web", "--type=merge", "--field-manager=kubectl-edit",
        "-p", json.dumps({"spec": spec}),
    )  # fmt: skip


def live(cluster: Cluster) -> Json:
    return cluster.get(f"{cluster.apps}/deployments/web")


def test_a_persons_value_stays_and_the_deploy_goes_on(cluster: Cluster) -> None:
    where = cluster.namespace
    cluster.deploy(with_addition(where))
    assert live(cluster)["spec"]["minReadySeconds"] == 2
    edited(cluster, {"minReadySeconds": 1})

    wanted = with_addition(where, image="registry.example/app:2")
    (change,) = cluster.preview(wanted)
    assert (change.action, change.error, change.yielded) == (Action.CHANGE, "", WORDS)
    assert not any("minReadySeconds: 2" in line for line in change.diff)
    result, observer = cluster.deploy(wanted)
    assert result.ok
    assert WORDS in observer.text
    assert live(cluster)["spec"]["minReadySeconds"] == 1
    assert ADDED_ANNOTATION not in live(cluster)["metadata"]["annotations"]
    assert live(cluster)["spec"]["template"]["spec"]["containers"][0]["image"] == "registry.example/app:2"


def test_agreement_to_overwrite_is_about_the_manifests_fields_only(cluster: Cluster) -> None:
    where = cluster.namespace
    cluster.deploy(with_addition(where))
    edited(cluster, {"minReadySeconds": 1, "replicas": 2})
    wanted = with_addition(where)
    (change,) = cluster.preview(wanted)
    assert change.conflicts == ("spec.replicas (set by kubectl edit)",)
    with pytest.raises(ApplyError, match=r"spec\.replicas \(set by kubectl edit\)"):
        cluster.deploy(wanted)
    agreed = {ObjectRef("Deployment", "apps", where, "web")}
    (change,) = cluster.preview(wanted, overwrite=agreed)
    assert (change.action, change.yielded) == (Action.CHANGE, WORDS)
    result, _ = cluster.deploy(wanted, overwrite=agreed)
    assert result.ok
    assert (live(cluster)["spec"]["minReadySeconds"], live(cluster)["spec"]["replicas"]) == (1, 1)


def test_a_value_that_the_manifest_sets_conflicts_as_before(cluster: Cluster) -> None:
    where = cluster.namespace
    cluster.deploy(deployment(where, minReadySeconds=2))
    edited(cluster, {"minReadySeconds": 1})
    (change,) = cluster.preview(deployment(where, minReadySeconds=2))
    assert change.conflicts == ("spec.minReadySeconds (set by kubectl edit)",)
