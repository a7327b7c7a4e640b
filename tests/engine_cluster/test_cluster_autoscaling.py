"""Workloads whose number of replicas an autoscaler decides, on both control planes. The autoscaler's writes are played
as its controller does them: through the scale subresource."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from adapters.kubernetes.client import KubernetesClient
from engine.cluster.apply import ApplyError
from engine.cluster.autoscaling import read_autoscalers
from engine.cluster.changes import ObjectChange
from engine.types import Action, Json, ObjectRef
from tests.engine_cluster.conftest import Cluster
from tests.engine_cluster.objects import deployment, manifests, stateful_set


def autoscaler(where: str, name: str = "web", *, kind: str = "Deployment", minimum: int = 1) -> Json:
    target = {"apiVersion": "apps/v1", "kind": kind, "name": name}
    return {
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": name, "namespace": where},
        "spec": {"scaleTargetRef": target, "minReplicas": minimum, "maxReplicas": 9},
    }  # fmt: skip


def dropped(body: Json) -> Json:
    """The same without `spec.replicas`."""
    return {**body, "spec": {key: value for key, value in body["spec"].items() if key != "replicas"}}


def web(where: str, number: int | None, **more: Any) -> Json:
    return (
        deployment(where, replicas=number, **more)
        if number is not None
        else dropped(deployment(where, **more))
    )


def scales(cluster: Cluster, number: int, manager: str = "kube-controller-manager") -> None:
    """The autoscaler, or who else, writes the number."""
    scale = {
        "apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": "web", "namespace": cluster.namespace},
        "spec": {"replicas": number},
    }  # fmt: skip
    path = f"{cluster.apps}/deployments/web/scale"
    cluster.client.request("PUT", path, query={"fieldManager": manager}, body=scale)


def live(cluster: Cluster, path: str = "deployments/web") -> Json:
    return cluster.get(f"{cluster.apps}/{path}")


def replicas(cluster: Cluster) -> int:
    return live(cluster)["spec"]["replicas"]


def owners(cluster: Cluster) -> set[str]:
    """Who owns `spec.replicas`."""
    managed = live(cluster)["metadata"]["managedFields"]
    return {e["manager"] for e in managed if "f:replicas" in e["fieldsV1"].get("f:spec", {})}


def change_of_web(cluster: Cluster, *bodies: Json, **options: Any) -> ObjectChange:
    return next(change for change in cluster.preview(*bodies, **options) if change.ref.name == "web")


def test_a_number_that_the_manifest_drops_is_handed_over_and_stays(cluster: Cluster) -> None:
    """A field that its only owner drops is removed: without the autoscaler's own write, three would become one."""
    where = cluster.namespace
    cluster.deploy(web(where, 3), autoscaler(where))
    wanted = (web(where, None), autoscaler(where))
    change = change_of_web(cluster, *wanted)
    assert (change.action, change.diff) == (Action.UNCHANGED, ())
    assert change.warning == (
        "Deployment web: the manifest no longer sets spec.replicas, and the autoscaler web has not set it yet. "
        "The deploy leaves it at 3 and hands it over."
    )
    assert owners(cluster) == {"slipway"}, "a preview writes nothing"
    generation = live(cluster)["metadata"]["generation"]

    result, observer = cluster.deploy(*wanted)
    assert result.ok
    assert (replicas(cluster), owners(cluster)) == (3, {"slipway-handover"})
    assert live(cluster)["metadata"]["generation"] == generation, "not for a moment was there another number"
    assert f"Deployment {where}/web: unchanged, its 3 replicas handed over to the autoscaler" in observer.text
    assert observer.last(change.ref).sentence == "3 of 3 replicas ready"

    again = change_of_web(cluster, *wanted)
    assert (again.action, again.warning) == (Action.UNCHANGED, "")
    scales(cluster, 5)
    managers = {e["manager"] for e in live(cluster)["metadata"]["managedFields"]}
    assert "slipway-handover" not in managers, "it goes by itself"
    result, observer = cluster.deploy(*wanted)
    assert result.ok
    assert (replicas(cluster), owners(cluster)) == (5, {"kube-controller-manager"})
    assert "handed over" not in observer.text


def test_an_autoscaler_comes_with_the_deploy_that_drops_the_number(cluster: Cluster) -> None:
    where = cluster.namespace
    cluster.deploy(web(where, 3))
    result, _ = cluster.deploy(web(where, None, image="registry.example/app:2"), autoscaler(where, minimum=3))
    assert result.ok
    assert (replicas(cluster), owners(cluster)) == (3, {"slipway-handover"})
    assert live(cluster)["spec"]["template"]["spec"]["containers"][0]["image"] == "registry.example/app:2"


def test_a_manifest_that_sets_the_number_does_not_reset_the_autoscaler(cluster: Cluster) -> None:
    where = cluster.namespace
    first = change_of_web(cluster, web(where, 2), autoscaler(where))
    assert first.action == Action.CREATE
    assert first.warning.endswith("decides it. It starts with 2; later deploys leave it alone.")
    cluster.deploy(web(where, 2), autoscaler(where))
    scales(cluster, 4)
    wanted = (web(where, 2, image="registry.example/app:2"), autoscaler(where))
    change = change_of_web(cluster, *wanted)
    assert (change.action, change.error, change.conflicts) == (Action.CHANGE, "", ())
    assert not any("replicas" in line for line in change.diff if line[0] in "+-")
    assert change.warning == (
        "Deployment web: the manifest sets spec.replicas to 2, but the autoscaler web decides it. "
        "The deploy leaves it at 4."
    )
    assert change.warning_hint == "Remove spec.replicas from the manifest."
    result, _ = cluster.deploy(*wanted)
    assert result.ok
    assert (replicas(cluster), owners(cluster)) == (4, {"kube-controller-manager"})


def test_an_autoscaler_that_is_only_on_the_cluster_counts_too(cluster: Cluster) -> None:
    where = cluster.namespace
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps(autoscaler(where)))
    cluster.deploy(web(where, 2))
    change = change_of_web(cluster, web(where, 6))
    assert change.warning.endswith("The deploy leaves it at 2.")
    assert "delete the autoscaler from the cluster" in change.warning_hint
    result, _ = cluster.deploy(web(where, 6))
    assert result.ok
    assert replicas(cluster) == 2
    cluster.delete(f"/apis/autoscaling/v2/namespaces/{where}/horizontalpodautoscalers/web")
    result, _ = cluster.deploy(web(where, 6))
    assert result.ok, "what was handed over to an autoscaler that never wrote is taken back"
    assert (replicas(cluster), owners(cluster)) == (6, {"slipway"})


def test_the_first_deploy_over_kubectls_objects_keeps_the_number(cluster: Cluster) -> None:
    where = cluster.namespace
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps(web(where, 3)))
    wanted = (web(where, None), autoscaler(where))
    change = change_of_web(cluster, *wanted)
    assert change.takes_over == ("kubectl-client-side-apply",)
    assert not any("replicas" in line for line in change.diff if line[0] in "+-")
    assert "leaves it at 3 and hands it over" in change.warning
    result, observer = cluster.deploy(*wanted)
    assert result.ok
    assert "taken over from kubectl-client-side-apply, its 3 replicas handed over" in observer.text
    assert (replicas(cluster), owners(cluster)) == (3, {"slipway-handover"})


def test_zero_stops_it_and_what_is_stopped_starts_again(cluster: Cluster) -> None:
    """At zero replicas an autoscaler rests: keeping that number would keep it stopped for good."""
    where = cluster.namespace
    cluster.deploy(web(where, 2), autoscaler(where))
    change = change_of_web(cluster, web(where, 0), autoscaler(where))
    assert (change.action, "the autoscaler web rests" in change.warning) == (Action.CHANGE, True)
    cluster.deploy(web(where, 0), autoscaler(where))
    assert replicas(cluster) == 0
    assert change_of_web(cluster, web(where, 2), autoscaler(where)).warning.endswith(
        "It is stopped now and starts with 2."
    )
    cluster.deploy(web(where, None), autoscaler(where))
    assert replicas(cluster) == 1


def test_a_stateful_set_is_left_to_its_autoscaler_as_well(cluster: Cluster) -> None:
    where = cluster.namespace
    scaler = autoscaler(where, "db", kind="StatefulSet")
    cluster.deploy(stateful_set(where, replicas=2), scaler)
    result, _ = cluster.deploy(dropped(stateful_set(where)), scaler)
    assert result.ok
    assert live(cluster, "statefulsets/db")["spec"]["replicas"] == 2


def test_a_number_that_falls_to_one_without_an_autoscaler_is_told(cluster: Cluster) -> None:
    where = cluster.namespace
    cluster.deploy(web(where, 3))
    change = change_of_web(cluster, web(where, None), autoscaler(where, "other"), with_diff=False)
    assert change.warning == (
        "Deployment web: the manifest no longer sets spec.replicas: it falls from 3 replicas to 1."
    )
    assert change_of_web(cluster, web(where, 1)).warning == "", "that is what its manifest says"
    cluster.deploy(web(where, None))
    assert replicas(cluster) == 1


def test_a_person_who_scaled_is_not_overruled(cluster: Cluster) -> None:
    """Without an autoscaler the number of a person is a conflict, as any other field."""
    where = cluster.namespace
    cluster.deploy(web(where, 1))
    cluster.kubectl("-n", where, "scale", "deploy/web", "--replicas=3")
    with pytest.raises(ApplyError, match=r"spec\.replicas \(set by kubectl scale\)"):
        cluster.deploy(web(where, 2))
    assert replicas(cluster) == 3


def test_nonsense_is_left_to_the_server(cluster: Cluster) -> None:
    where = cluster.namespace
    cluster.deploy(web(where, 2), autoscaler(where))
    body = web(where, 2)
    body["spec"]["replicas"] = "many"
    assert change_of_web(cluster, body, autoscaler(where)).error
    strange = autoscaler(where, "strange")
    strange["spec"]["scaleTargetRef"] = ["web"]
    assert ObjectRef("Deployment", "apps", where, "web") in read_autoscalers(
        cluster.client, manifests(web(where, 1), strange)
    )


def test_an_account_that_may_not_read_autoscalers_knows_those_of_the_deploy(cluster: Cluster) -> None:
    where = cluster.namespace
    accounts = f"{cluster.core}/serviceaccounts"
    cluster.client.request("POST", accounts, body={"metadata": {"name": "weak"}})
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    token = cluster.client.request("POST", f"{accounts}/weak/token", body=review)["status"]["token"]
    config = yaml.safe_load(cluster.kubeconfig.read_text())
    config["users"][0]["user"] = {"token": token}
    with KubernetesClient.from_kubeconfig(yaml.safe_dump(config), user_agent="slipway/tests") as weak:
        assert read_autoscalers(weak, manifests(web(where, 1))) == {}
        found = read_autoscalers(weak, manifests(web(where, 1), autoscaler(where)))
    assert found[ObjectRef("Deployment", "apps", where, "web")].in_deploy
