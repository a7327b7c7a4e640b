"""Previews, take-overs and conflicts on a real control plane."""

from __future__ import annotations

import json

import pytest
import yaml

from adapters.kubernetes.client import KubernetesClient
from engine.cluster.apply import ApplyError
from engine.cluster.dryrun import dry_run
from engine.cluster.resources import ClusterKinds
from engine.types import Action, Json, ObjectRef
from tests.engine_cluster.conftest import Cluster, Watching
from tests.engine_cluster.objects import config_map, deployment, job, manifests, secret

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


def applied_by_kubectl(cluster: Cluster, *bodies: Json) -> None:
    cluster.kubectl(
        "apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": list(bodies)})
    )


def old_app(where: str) -> tuple[Json, Json, Json]:
    """An application as a team without Slipway has it on the cluster."""
    env = [{"name": "KEEP", "value": "1"}, {"name": "OLD", "value": "1"}]
    web = deployment(where, container={"env": env})
    web["metadata"]["labels"] = {"old": "label"}
    return web, config_map(where, a="1", old="2"), secret(where)


def new_app(where: str) -> tuple[Json, Json, Json]:
    env = [{"name": "KEEP", "value": "2"}]
    return deployment(where, container={"env": env}), config_map(where, a="1", new="3"), secret(where)


def test_a_preview_shows_what_a_deploy_does_and_writes_nothing(cluster: Cluster) -> None:
    where = cluster.namespace
    cluster.deploy(config_map(where), secret(where), deployment(where))
    before = cluster.get(f"{cluster.core}/configmaps/settings")["metadata"]["resourceVersion"]
    changed = secret(where, KEY="b3RoZXI=")
    found = {
        c.ref.name: c
        for c in cluster.preview(
            config_map(where, KEY="new"), changed, deployment(where), config_map(where, "extra")
        )
    }
    assert {name: change.action for name, change in found.items()} == {
        "settings": Action.CHANGE,
        "keys": Action.CHANGE,
        "web": Action.UNCHANGED,
        "extra": Action.CREATE,
    }
    assert "-  KEY: value" in found["settings"].diff
    assert "+  KEY: new" in found["settings"].diff
    assert found["web"].diff == ()
    assert all(line.startswith("+") for line in found["extra"].diff[1:])
    shown = "\n".join(found["keys"].diff)
    assert "KEY: '#" in shown or "KEY: #" in shown
    for value in ("aHVzaA", "hush", "b3RoZXI", "other"):
        assert value not in shown
    assert "managedFields" not in "\n".join(line for change in found.values() for line in change.diff)
    assert cluster.get(f"{cluster.core}/configmaps/settings")["metadata"]["resourceVersion"] == before


def test_the_first_deploy_takes_over_what_kubectl_applied(cluster: Cluster) -> None:
    where = cluster.namespace
    applied_by_kubectl(cluster, *old_app(where))
    preview = {change.ref.kind: change for change in cluster.preview(*new_app(where))}
    assert all(change.takes_over == ("kubectl-client-side-apply",) for change in preview.values())
    diff = preview["Deployment"].diff
    assert "-        - name: OLD" in diff
    assert "-    old: label" in diff
    assert not any("terminationMessagePath" in line and line[0] in "+-" for line in diff), (
        "defaults come back"
    )
    assert "-  old: '2'" in preview["ConfigMap"].diff

    result, observer = cluster.deploy(*new_app(where))
    assert result.ok
    assert "taken over from kubectl-client-side-apply" in observer.text
    live = cluster.get(f"{cluster.apps}/deployments/web")
    assert live["spec"]["template"]["spec"]["containers"][0]["env"] == [{"name": "KEEP", "value": "2"}]
    assert "old" not in live["metadata"]["labels"]
    for path in (f"{cluster.core}/secrets/keys", f"{cluster.core}/configmaps/settings"):
        body = cluster.get(path)
        assert LAST_APPLIED not in body["metadata"]["annotations"]
        assert {entry["manager"] for entry in body["metadata"]["managedFields"]} == {"slipway"}
    assert cluster.get(f"{cluster.core}/configmaps/settings")["data"] == {"a": "1", "new": "3"}
    assert {change.action for change in cluster.preview(*new_app(where))} == {Action.UNCHANGED}


def test_a_field_dropped_after_the_take_over_goes(cluster: Cluster) -> None:
    """The reason for taking over at all: a field that both had would otherwise stay kubectl's."""
    where = cluster.namespace
    applied_by_kubectl(cluster, config_map(where, a="1", b="2"))
    cluster.deploy(config_map(where, a="1", b="2"))
    cluster.deploy(config_map(where, a="1"))
    assert cluster.get(f"{cluster.core}/configmaps/settings")["data"] == {"a": "1"}


@pytest.mark.parametrize("arguments", [("--server-side",), ("--server-side", "--field-manager=helm")])
def test_server_side_predecessors_are_taken_over_too(cluster: Cluster, arguments: tuple[str, ...]) -> None:
    where = cluster.namespace
    cluster.kubectl("apply", "-f", "-", *arguments, stdin=json.dumps(config_map(where, a="1", old="2")))
    (change,) = cluster.preview(config_map(where, a="5"))
    assert change.takes_over
    assert "-  old: '2'" in change.diff
    cluster.deploy(config_map(where, a="5"))
    assert cluster.get(f"{cluster.core}/configmaps/settings")["data"] == {"a": "5"}


def test_a_take_over_happens_once(cluster: Cluster) -> None:
    """Somebody who runs `kubectl apply` over our object later is not overruled in silence."""
    where = cluster.namespace
    cluster.deploy(config_map(where, a="1"))
    cluster.kubectl(
        "apply", "--force-conflicts", "--server-side", "-f", "-", stdin=json.dumps(config_map(where, a="2"))
    )
    (change,) = cluster.preview(config_map(where, a="3"))
    assert change.takes_over == ()
    assert change.conflicts == ("data.a (set by kubectl)",)
    with pytest.raises(ApplyError, match=r"data\.a \(set by kubectl\)"):
        cluster.deploy(config_map(where, a="3"))
    assert cluster.get(f"{cluster.core}/configmaps/settings")["data"] == {"a": "2"}


def test_what_a_person_changed_is_explained_and_overwritten_only_by_agreement(cluster: Cluster) -> None:
    where = cluster.namespace
    cluster.deploy(deployment(where))
    cluster.kubectl("-n", where, "set", "image", "deploy/web", "web=registry.example/app:hotfix")
    wanted = deployment(where, image="registry.example/app:2")
    (change,) = cluster.preview(wanted)
    assert change.action is None
    assert change.conflicts == ('spec.template.spec.containers[name="web"].image (set by kubectl set)',)
    assert "agree to overwrite it" in change.hint
    with pytest.raises(ApplyError):
        cluster.deploy(wanted)
    agreed = {ObjectRef("Deployment", "apps", where, "web")}
    (change,) = cluster.preview(wanted, overwrite=agreed)
    assert change.action == Action.CHANGE
    result, _ = cluster.deploy(wanted, overwrite=agreed)
    assert result.ok
    live = cluster.get(f"{cluster.apps}/deployments/web")
    assert live["spec"]["template"]["spec"]["containers"][0]["image"] == "registry.example/app:2"


def test_replicas_of_an_autoscaler_are_never_forced(cluster: Cluster) -> None:
    where = cluster.namespace
    cluster.deploy(deployment(where, replicas=1))
    scale = {
        "apiVersion": "autoscaling/v1",
        "kind": "Scale",
        "metadata": {"name": "web"},
        "spec": {"replicas": 3},
    }
    cluster.client.request(
        "PUT",
        f"{cluster.apps}/deployments/web/scale",
        query={"fieldManager": "kube-controller-manager"},
        body={**scale, "metadata": {"name": "web", "namespace": where}},
    )
    agreed = {ObjectRef("Deployment", "apps", where, "web")}
    for change in cluster.preview(deployment(where, replicas=2), overwrite=agreed):
        assert change.conflicts == ("spec.replicas (set by an autoscaler)",)
        assert "Remove spec.replicas from the manifest" in change.hint
    with pytest.raises(ApplyError, match="set by an autoscaler"):
        cluster.deploy(deployment(where, replicas=2), overwrite=agreed)
    assert cluster.get(f"{cluster.apps}/deployments/web")["spec"]["replicas"] == 3
    without = deployment(where)
    del without["spec"]["replicas"]
    result, observer = cluster.deploy(without)
    assert result.ok
    assert "3 of 3 replicas ready" in observer.last(ObjectRef("Deployment", "apps", where, "web")).sentence


def test_refusals_of_a_preview_are_told_one_by_one(cluster: Cluster) -> None:
    where = cluster.namespace
    unknown = deployment(where, "unknown")
    unknown["spec"]["replicaz"] = 1
    nowhere = config_map("no-such-namespace", "nowhere")
    strange = config_map(where, "strange")
    strange["apiVersion"], strange["kind"] = "example.org/v1", "Strange"
    bad_secret = secret(where, "bad", **{"not a key": "aHVzaA=="})
    found = {c.ref.name: c for c in cluster.preview(unknown, nowhere, strange, bad_secret, config_map(where))}
    assert found["unknown"].error == "Deployment unknown: unknown field spec.replicaz (app.yaml:1)."
    assert found["unknown"].field_errors == ("spec.replicaz",)
    assert found["nowhere"].error == "ConfigMap nowhere: the namespace no-such-namespace does not exist."
    assert "does not know the kind Strange (example.org/v1)" in found["strange"].error
    assert "data[not a key]" in found["bad"].error
    assert "aHVzaA" not in repr(found["bad"])
    assert found["settings"].action == Action.CREATE


def test_what_cannot_be_changed_says_what_to_do(cluster: Cluster) -> None:
    where = cluster.namespace
    cluster.deploy(deployment(where), job(where, "once"))
    other = deployment(where)
    other["spec"]["selector"] = {"matchLabels": {"app": "web", "tier": "front"}}
    other["spec"]["template"]["metadata"]["labels"] = {"app": "web", "tier": "front"}
    found = {
        change.ref.kind: change for change in cluster.preview(other, job(where, "once", behaviour="job-slow"))
    }
    assert (
        found["Deployment"].error == "Deployment web: spec.selector cannot be changed on an existing object."
    )
    assert "new name" in found["Deployment"].hint
    assert "spec.template cannot be changed" in found["Job"].error
    assert "slipway.dev/phase: predeploy" in found["Job"].hint


def test_a_right_that_is_missing_is_named(cluster: Cluster) -> None:
    where = cluster.namespace
    accounts = f"{cluster.core}/serviceaccounts"
    cluster.client.request("POST", accounts, body={"metadata": {"name": "weak"}})
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    token = cluster.client.request("POST", f"{accounts}/weak/token", body=review)["status"]["token"]
    config = yaml.safe_load(cluster.kubeconfig.read_text())
    config["users"][0]["user"] = {"token": token}
    with KubernetesClient.from_kubeconfig(yaml.safe_dump(config), user_agent="slipway/tests") as weak:
        given = manifests(config_map(where))
        (change,) = dry_run(weak, given, kinds=ClusterKinds(weak), digest=lambda b: "", with_diff=False)
    assert "the cluster's account may not do this" in change.error
    assert "cannot patch resource" in change.error


def test_what_another_environment_applied_is_neither_shown_nor_taken(cluster: Cluster) -> None:
    where = cluster.namespace
    (theirs,) = manifests(config_map(where, KEY="canary-of-others"))
    theirs.body["metadata"]["labels"]["slipway.dev/environment"] = "catalog.production"
    with cluster.rollout([theirs], Watching()) as rollout:
        rollout.apply()
    (change,) = cluster.preview(config_map(where, KEY="ours"))
    assert change.action is None
    assert change.error == "ConfigMap settings belongs to another environment of this cluster."
    assert "canary" not in repr(change)
