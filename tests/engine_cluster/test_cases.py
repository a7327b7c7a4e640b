"""Inputs from people's trouble, each once answered wrongly or unclearly: what the engine makes of them now."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace

import pytest
import yaml

from adapters.kubernetes.client import KubernetesClient
from engine.cluster.apply import ApplyError
from engine.cluster.client import ApiError
from engine.cluster.dryrun import dry_run
from engine.cluster.live import Workload, read_live
from engine.cluster.resources import ClusterKinds
from engine.errors import ManifestError
from engine.limits import Limits
from engine.manifests.fieldlines import line_of_field
from engine.types import Action, Json, Progress
from tests.engine_cluster.case_files import CASES, before, deploy, files_of, missing, preview, rendered
from tests.engine_cluster.conftest import PATIENT, QUICK, Cluster
from tests.engine_cluster.objects import ENVIRONMENT
from tests.observer import Watching

TAKE_OVERS = ("value-to-valuefrom", "takeover-volume", "takeover-strategy")


def live(cluster: Cluster, plural: str = "deployments", name: str = "web") -> Json:
    return cluster.get(f"{cluster.apps}/{plural}/{name}")


def running(cluster: Cluster, name: str) -> Workload:
    found = read_live(cluster.client, cluster.namespace, environment_label=ENVIRONMENT)
    return next(workload for workload in found if workload.ref.name == name)


# First deploys over what `kubectl apply` made


@pytest.mark.parametrize("case", TAKE_OVERS)
def test_the_dry_run_of_a_first_deploy_sees_what_the_take_over_removes(cluster: Cluster, case: str) -> None:
    before(cluster, case)
    change = preview(cluster, case)["Deployment"]
    assert (change.error, change.action) == ("", Action.CHANGE)
    assert change.takes_over == ("kubectl-client-side-apply",)
    result, _ = deploy(cluster, case)
    assert result.ok
    after = preview(cluster, case)
    assert {one.action for one in after.values()} == {Action.UNCHANGED}


def test_the_diff_of_such_a_take_over_is_what_the_deploy_does(cluster: Cluster) -> None:
    before(cluster, "takeover-volume")
    diff = preview(cluster, "takeover-volume")["Deployment"].diff
    assert any(line.startswith("-") and "emptyDir" in line for line in diff)
    assert any(line.startswith("+") and "configMap" in line for line in diff)
    assert not any("terminationMessagePath" in line and line[0] in "+-" for line in diff)
    deploy(cluster, "takeover-volume")
    (volume,) = live(cluster)["spec"]["template"]["spec"]["volumes"]
    assert volume == {"name": "data", "configMap": {"name": "settings", "defaultMode": 420}}


def test_a_value_becomes_a_reference_and_a_value_again(cluster: Cluster) -> None:
    before(cluster, "value-to-valuefrom")
    for revision, wanted in (
        ("kubernetes", {"valueFrom": {"configMapKeyRef": {"name": "settings", "key": "mode"}}}),
        ("kubernetes-2", {"value": "again"}),
    ):
        assert preview(cluster, "value-to-valuefrom", revision)["Deployment"].error == ""
        result, _ = deploy(cluster, "value-to-valuefrom", revision)
        assert result.ok
        (variable,) = live(cluster)["spec"]["template"]["spec"]["containers"][0]["env"]
        assert variable == {"name": "MODE", **wanted}


def test_what_is_wrong_with_a_take_over_itself_is_still_refused(cluster: Cluster) -> None:
    before(cluster, "takeover-volume")
    given = list(rendered(cluster, "takeover-volume").manifests)
    broken = json.loads(json.dumps(given[1].body))
    broken["spec"]["template"]["spec"]["containers"][0]["volumeMounts"][0]["name"] = "other"
    given[1] = replace(given[1], body=broken)
    changes = dry_run(
        cluster.client, given, kinds=ClusterKinds(cluster.client), digest=lambda b: "", with_diff=False
    )
    assert "volumeMounts[0].name" in changes[1].error
    assert "volume type" not in changes[1].error


# Defaults that nobody owns


def test_defaults_that_a_new_strategy_makes_obsolete_are_given_up(cluster: Cluster) -> None:
    deploy(cluster, "strategy-recreate")
    change = preview(cluster, "strategy-recreate", "kubernetes-2")["Deployment"]
    assert change.error == ""
    assert any(line.startswith("-") and "rollingUpdate" in line for line in change.diff)
    for revision in ("kubernetes-2", "kubernetes-3"):
        result, _ = deploy(cluster, "strategy-recreate", revision)
        assert result.ok
        assert live(cluster)["spec"]["strategy"] == {"type": "Recreate"}
    deploy(cluster, "strategy-recreate")
    assert live(cluster)["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": "25%", "maxUnavailable": "25%"}


def test_a_person_who_set_the_field_is_not_overruled(cluster: Cluster) -> None:
    deploy(cluster, "strategy-recreate")
    cluster.client.request(
        "PATCH",
        f"{cluster.apps}/deployments/web",
        query={"fieldManager": "kubectl-edit"},
        body={"spec": {"strategy": {"rollingUpdate": {"maxSurge": 2}}}},
        content_type="application/merge-patch+json",
    )
    change = preview(cluster, "strategy-recreate", "kubernetes-2")["Deployment"]
    assert "spec.strategy.rollingUpdate" in change.error
    with pytest.raises(ApplyError):
        deploy(cluster, "strategy-recreate", "kubernetes-2")


def test_a_stateful_set_that_becomes_on_delete(cluster: Cluster) -> None:
    deploy(cluster, "sts-to-ondelete")
    change = preview(cluster, "sts-to-ondelete", "kubernetes-2")["StatefulSet"]
    assert change.error == ""
    assert "replaces its pods only when they are deleted (OnDelete)" in change.notices[0].text
    result, _ = deploy(cluster, "sts-to-ondelete", "kubernetes-2")
    assert result.ok
    assert result.held == (
        "StatefulSet db replaces its pods only when they are deleted (OnDelete): 1 of 1 pods still runs what ran before.",
    )
    assert live(cluster, "statefulsets", "db")["spec"]["updateStrategy"] == {"type": "OnDelete"}


# What controllers make


@pytest.mark.parametrize("case", ["sa-token-key", "sts-claim-backup"])
def test_what_known_controllers_make_is_not_missing(cluster: Cluster, case: str) -> None:
    assert missing(cluster, case) == []
    with cluster.rollout(list(rendered(cluster, case).manifests), Watching()) as rollout:
        rollout.apply()
        if case == "sa-token-key":  # nothing gives out volumes here
            assert rollout.wait().ok
    assert missing(cluster, case) == []
    assert {change.action for change in preview(cluster, case).values()} == {Action.UNCHANGED}


def test_every_namespace_has_the_clusters_authority(cluster: Cluster) -> None:
    try:
        assert missing(cluster, "root-ca-new-namespace") == []
        result, _ = deploy(cluster, "root-ca-new-namespace")
        assert result.ok
    finally:
        cluster.delete("/api/v1/namespaces/lab-root-ca")


@contextmanager
def definition(cluster: Cluster, case: str) -> Iterator[None]:
    """The case's custom kind, served; removed afterwards."""
    before(cluster, case)
    try:
        kinds = ("lab.example.org", "v1", "Database")
        deadline = time.monotonic() + 60
        while ClusterKinds(cluster.client).find(*kinds) is None and time.monotonic() < deadline:
            time.sleep(0.2)
        yield
    finally:
        cluster.delete("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/databases.lab.example.org")


def test_what_an_operator_makes_is_missing_until_it_is_there(cluster: Cluster) -> None:
    """The check's words; that a person may override them is a matter of the deploy."""
    with definition(cluster, "operator-secret"):
        (reason,) = missing(cluster, "operator-secret")
        assert reason.startswith(
            "Deployment web needs Secret main-app, which is neither in the config directory"
        )
        operator = threading.Timer(1.0, lambda: make_secret(cluster, "main-app", uri="ZGI="))
        operator.start()
        result, _ = deploy(
            cluster,
            "operator-secret",
            awaited={("Secret", "main-app")},
        )
        operator.join()
        assert result.ok


def make_secret(cluster: Cluster, name: str, **data: str) -> None:
    cluster.client.request("POST", f"{cluster.core}/secrets", body={"metadata": {"name": name}, "data": data})


# What does not roll by itself


@pytest.mark.parametrize(
    ("case", "kind", "name", "why"),
    [
        ("paused-deployment", "Deployment", "web", "is paused"),
        ("ondelete-image", "StatefulSet", "db", "replaces its pods only when they are deleted (OnDelete)"),
    ],
)
def test_what_will_not_roll_by_itself_is_said_before_and_after(
    cluster: Cluster, case: str, kind: str, name: str, why: str
) -> None:
    deploy(cluster, case)
    image = running(cluster, name).images
    change = preview(cluster, case, "kubernetes-2")[kind]
    assert change.notices[0].text == (
        f"{kind} {name} {why}: its pods stay as they are, and nothing of this change runs."
    )
    result, observer = deploy(cluster, case, "kubernetes-2")
    assert result.ok
    assert result.held == (f"{kind} {name} {why}: 1 of 1 pods still runs what ran before.",)
    assert result.held[0] in observer.text
    now = running(cluster, name)
    assert (now.images, now.health) == (image, "suspended")
    assert now.sentence == f"{why}: 1 of 1 pods still runs what ran before"
    again = f"{kind} {name} is still held back: it {why}: 1 of 1 pods still runs what ran before."
    change = preview(cluster, case, "kubernetes-2")[kind]
    assert (change.action, change.notices[0].text) == (Action.UNCHANGED, again)
    result, observer = deploy(cluster, case, "kubernetes-2")
    assert (result.held, result.warnings) == ((again,), (again,))
    assert observer.text.count(again) == 1


def test_a_new_deployment_that_is_paused_runs_nothing(cluster: Cluster) -> None:
    change = preview(cluster, "paused-deployment", "kubernetes-2")["Deployment"]
    assert change.notices[0].text == "Deployment web is paused: no pod of it is made."
    result, _ = deploy(cluster, "paused-deployment", "kubernetes-2")
    assert result.held == ("Deployment web is paused: none of its pods is made.",)


# Objects that are being deleted


def hold(cluster: Cluster, finalizers: list[str]) -> None:
    cluster.client.request(
        "PATCH",
        f"{cluster.core}/configmaps/settings",
        body={"metadata": {"finalizers": finalizers}},
        content_type="application/merge-patch+json",
    )


def test_an_object_that_is_being_deleted_is_waited_for_or_refused(cluster: Cluster) -> None:
    deploy(cluster, "apply-terminating")
    old = cluster.get(f"{cluster.core}/configmaps/settings")["metadata"]["uid"]
    hold(cluster, ["example.org/hold"])
    cluster.client.request("DELETE", f"{cluster.core}/configmaps/settings")
    try:
        (notice,) = preview(cluster, "apply-terminating")["ConfigMap"].notices
        assert notice.text.startswith(
            "ConfigMap settings is being deleted, and the finalizer example.org/hold keeps it."
        )
        with pytest.raises(ApplyError) as refused:
            deploy(cluster, "apply-terminating", patience=replace(PATIENT, deletion=1.0))
        assert refused.value.message == (
            "ConfigMap settings is being deleted, and the finalizer example.org/hold keeps it."
        )
        assert "Nothing was changed on the cluster." in refused.value.hint
        controller = threading.Timer(1.0, lambda: hold(cluster, []))
        controller.start()
        result, observer = deploy(cluster, "apply-terminating")
        controller.join()
    finally:
        with suppress(ApiError):
            hold(cluster, [])
    assert result.ok
    assert "Waiting for its end" in observer.text
    assert cluster.get(f"{cluster.core}/configmaps/settings")["metadata"]["uid"] != old
    actions = {status.ref.kind: status.action for status in observer.statuses if status.action}
    assert actions["ConfigMap"] == Action.CREATE


# Files as kubectl reads them


def test_json_is_read_as_json(cluster: Cluster) -> None:
    deploy(cluster, "json-line-breaks")
    written = json.loads(files_of("json-line-breaks")["settings.json"])
    assert cluster.get(f"{cluster.core}/configmaps/settings")["data"] == written["data"]


def test_documents_come_before_byte_order_marks(cluster: Cluster) -> None:
    deploy(cluster, "bom-inside")
    for name in ("a", "b"):
        assert cluster.get(f"{cluster.core}/configmaps/{name}")["metadata"]["name"] == name


# What the server would say in words of its own


@pytest.mark.parametrize(
    ("case", "sentence", "line"),
    [
        ("dup-env", 'containers[name="web"].env has more than one entry with name="MODE"', 18),
        (
            "dup-container-port",
            'containers[name="web"].ports has more than one entry with containerPort=8080,protocol="TCP"',
            17,
        ),
    ],
)
def test_doubled_entries_are_refused_with_their_place(
    cluster: Cluster, case: str, sentence: str, line: int
) -> None:
    change = preview(cluster, case)["Deployment"]
    assert change.error == f"Deployment web: spec.template.spec.{sentence} (web.yaml:1)."
    assert change.hint == "Keep one of these entries."
    (manifest,) = rendered(cluster, case).manifests
    content = files_of(case)["web.yaml"]
    assert line_of_field(content, manifest.source, change.field_errors[0]).line == line


def test_all_values_that_must_be_text_are_told_at_once(cluster: Cluster) -> None:
    with pytest.raises(ManifestError) as refused:
        rendered(cluster, "pod-annotation-number")
    assert [problem.partition(" must be text")[0] for problem in refused.value.problems] == [
        "web.yaml:9: spec.template.metadata.labels.canary of the pods",
        "web.yaml:11: spec.template.metadata.annotations.prometheus.io/port of the pods",
        "web.yaml:13: spec.template.spec.nodeSelector.ssd",
        "web.yaml:17: args[1] of web",
    ]
    assert all("write it in quotes" in problem for problem in refused.value.problems)


def test_fields_of_the_server_are_left_out_with_a_warning(cluster: Cluster) -> None:
    (warning,) = rendered(cluster, "managed-fields-in-git").warnings
    assert warning.startswith("settings.yaml:5: metadata.managedFields of ConfigMap settings is left out")
    result, _ = deploy(cluster, "managed-fields-in-git")
    assert result.ok

    cluster.delete(f"{cluster.core}/configmaps/settings")
    told = [text for text in rendered(cluster, "exported-object").warnings if "left out" in text]
    for_map, for_web = told
    assert "web.yaml:7: metadata.uid, metadata.resourceVersion, metadata.creationTimestamp" in for_map
    assert "metadata.annotations[deployment.kubernetes.io/revision], status of Deployment web" in for_web
    for revision in ("kubernetes", "kubernetes-2"):
        result, _ = deploy(cluster, "exported-object", revision)
        assert result.ok
    assert cluster.get(f"{cluster.core}/configmaps/settings")["data"] == {"mode": "slow"}


@contextmanager
def weak_client(cluster: Cluster, *rules: Json) -> Iterator[KubernetesClient]:
    """A client of an account that has these rights in the namespace, and no others."""
    rbac = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{cluster.namespace}"
    cluster.client.request("POST", f"{cluster.core}/serviceaccounts", body={"metadata": {"name": "weak"}})
    cluster.client.request("POST", f"{rbac}/roles", body={"metadata": {"name": "weak"}, "rules": list(rules)})
    subject = {"kind": "ServiceAccount", "name": "weak", "namespace": cluster.namespace}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "weak"}
    binding = {"metadata": {"name": "weak"}, "roleRef": role, "subjects": [subject]}
    cluster.client.request("POST", f"{rbac}/rolebindings", body=binding)
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    path = f"{cluster.core}/serviceaccounts/weak/token"
    token = cluster.client.request("POST", path, body=review)["status"]["token"]
    config = yaml.safe_load(cluster.kubeconfig.read_text())
    config["users"][0]["user"] = {"token": token}
    with KubernetesClient.from_kubeconfig(yaml.safe_dump(config), user_agent="slipway/tests") as client:
        yield client


def test_rights_that_are_missing_to_grant_them_are_all_named(cluster: Cluster) -> None:
    edit = {
        "apiGroups": ["rbac.authorization.k8s.io"],
        "resources": ["roles", "rolebindings"],
        "verbs": ["get", "list", "create", "patch"],
    }
    given = rendered(cluster, "rbac-escalation").manifests
    with weak_client(cluster, edit) as weak:
        deadline = time.monotonic() + 60  # the server learns of a new binding a moment later
        while time.monotonic() < deadline:
            changes = dry_run(weak, given, kinds=ClusterKinds(weak), digest=lambda b: "", with_diff=False)
            found = {change.ref.kind: change for change in changes}
            if "grant" in found["Role"].error:
                break
            time.sleep(0.3)
    may_not = "the cluster's account may not grant rights that it does not have itself:"
    assert found["Role"].error == f"Role reader: {may_not} get, list of things in metrics.example.org."
    assert found["RoleBinding"].error == (
        f"RoleBinding root: {may_not} every verb of every resource in every API group; every verb on the addresses *."
    )
    assert "escalate" in found["Role"].hint


# APIs whose service is down


def test_an_api_whose_service_is_down_matters_only_to_who_uses_it(cluster: Cluster) -> None:
    before(cluster, "apiservice-down")
    service = "/apis/apiregistration.k8s.io/v1/apiservices/v1beta1.gone.example.org"
    try:
        deadline = time.monotonic() + 60
        while (
            not (cluster.get(service).get("status") or {}).get("conditions") and time.monotonic() < deadline
        ):
            time.sleep(0.2)
        result, observer = deploy(cluster, "apiservice-down")
        assert result.ok
        assert "gone.example.org" not in observer.text
        with pytest.raises(ApiError) as refused:
            rendered(cluster, "apiservice-down", "kubernetes-2")
    finally:
        cluster.delete(service)
        cluster.delete("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/queues.lab.example.org")
    assert refused.value.message == (
        "The cluster cannot serve gone.example.org/v1beta1 now, of which this deploy has objects: its service "
        'default/nowhere is not available (service/nowhere in "default" is not present).'
    )
    assert "v1beta1.gone.example.org" in refused.value.hint


# Warnings of the server


def test_warnings_of_the_server_are_kept(cluster: Cluster) -> None:
    path = f"/api/v1/namespaces/{cluster.namespace}"
    labels = {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}}
    cluster.client.request("PATCH", path, body=labels, content_type="application/merge-patch+json")
    (told,) = preview(cluster, "ds-podsecurity")["DaemonSet"].told
    assert told.startswith(
        'would violate PodSecurity "restricted:latest": host namespaces (hostNetwork=true)'
    )
    assert '(container "agent" must set securityContext.allowPrivilegeEscalation=false)' in told


# Pods that cannot be made, Jobs that keep failing: the reason is in the verdict, soon


@pytest.mark.parametrize(
    ("case", "words"),
    [
        ("sts-quota", "exceeded quota: few"),
        ("ds-podsecurity", 'violates PodSecurity "restricted:latest"'),
        ("limitrange-request", "must be less than or equal to cpu limit of 500m"),
        ("sts-long-name", "metadata.labels: Invalid value"),
    ],
)
def test_why_pods_cannot_be_made_is_in_the_verdict(cluster: Cluster, case: str, words: str) -> None:
    if case == "ds-podsecurity":
        labels = {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}}
        path = f"/api/v1/namespaces/{cluster.namespace}"
        cluster.client.request("PATCH", path, body=labels, content_type="application/merge-patch+json")
    elif (CASES / case / "cluster").exists():
        before(cluster, case)
    result, _ = deploy(cluster, case, limits=replace(QUICK, pod_refused=3.0))
    (failure,) = result.failures
    assert not result.timed_out
    assert "its pods cannot be created" in failure.sentence
    assert words in failure.sentence


@pytest.mark.parametrize("case", ["job-keeps-failing", "job-onfailure"])
def test_the_tries_of_a_job_are_counted_and_end_the_deploy_before_its_time(
    cluster: Cluster, case: str
) -> None:
    observer = Watching()
    given = list(rendered(cluster, case).manifests)
    with cluster.rollout(given, observer) as rollout, pytest.raises(ApplyError) as failed:
        rollout.apply()
    message = failed.value.message
    assert message.startswith("migrate-1: its pod failed ")
    assert "its next try would come when its time is over" in message
    assert any("so far" in status.sentence for status in observer.statuses)
    (last,) = [status for status in failed.value.statuses if status.ref.kind == "Job"]
    assert last.progress == Progress.FAILED


def test_the_edge_of_a_quota_holds_up_a_rolling_update_for_a_moment_only(cluster: Cluster) -> None:
    """A pod beyond the quota is refused until an old one has gone: that is no failure."""
    before(cluster, "quota-rolling")
    for revision in ("kubernetes", "kubernetes-2"):
        limits = replace(QUICK, pod_refused=Limits().pod_refused)  # controllers try again after seconds
        result, _ = deploy(cluster, "quota-rolling", revision, limits=limits)
        assert result.ok, result.failures[0].sentence
    assert running(cluster, "web").images == ("registry.example/app:2",)
    assert (running(cluster, "web").ready, running(cluster, "web").health) == (2, "healthy")


# Pods that end


EVICTION = "Pod ephemeral local storage usage exceeds the total limit of containers 1Gi."


@contextmanager
def evicting(cluster: Cluster) -> Iterator[list[str]]:
    """A kubelet that evicts every pod of the namespace, again and again; their names."""
    ended, names = threading.Event(), list[str]()
    status = {"phase": "Failed", "reason": "Evicted", "message": EVICTION}

    def evict() -> None:
        while not ended.wait(0.5):
            for pod in cluster.get(f"{cluster.core}/pods")["items"]:
                if pod["status"].get("phase") == "Running" and not pod["metadata"].get("deletionTimestamp"):
                    with suppress(ApiError):
                        cluster.client.request(
                            "PATCH",
                            f"{cluster.core}/pods/{pod['metadata']['name']}/status",
                            body={"status": status},
                            content_type="application/merge-patch+json",
                        )
                        names.append(pod["metadata"]["name"])

    thread = threading.Thread(target=evict)
    thread.start()
    try:
        yield names
    finally:
        ended.set()
        thread.join()


def test_evictions_again_and_again_are_the_reason_when_the_time_is_over(cluster: Cluster) -> None:
    with evicting(cluster) as names:
        result, _ = deploy(cluster, "evicted-again", timeout=20.0)
    assert len(set(names)) > 1, "its controller made another one"
    (failure,) = result.failures
    assert re.search(r"pod web-\S+ was evicted: Pod ephemeral local storage usage exceeds", failure.sentence)
    assert "log" not in failure.hint


def test_a_program_that_is_not_there_is_named_in_the_verdict(cluster: Cluster) -> None:
    result, _ = deploy(cluster, "start-error")
    assert not result.timed_out
    (failure,) = result.failures
    assert failure.sentence.startswith("web: container web cannot start: ")
    assert "no such file or directory" in failure.sentence
    assert "(exit code 128)" in failure.sentence
    assert failure.hint == "Check its command, and that the image holds that program."
    assert failure.evidence
    assert failure.evidence.reason in (
        "StartError",
        "RunContainerError",
    )  # the kubelet says one, then the other
    assert failure.evidence.exit_code == 128


def test_a_native_sidecar_is_no_init_container_that_hangs_and_is_named_when_it_cannot_start(
    cluster: Cluster,
) -> None:
    result, observer = deploy(cluster, "native-sidecar")
    assert result.ok, result.failures
    assert any(s.ref.kind == "Job" and s.progress == Progress.READY for s in observer.statuses)
    result, _ = deploy(cluster, "native-sidecar", "kubernetes-2")
    (failure,) = result.failures
    assert failure.sentence.startswith("web: init container proxy cannot start: ")
    assert failure.evidence
    assert (failure.evidence.container, failure.evidence.is_init) == ("proxy", True)
