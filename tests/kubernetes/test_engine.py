"""The deploy engine through its own client: the preview, a whole rollout, a bad one, a take-over."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from adapters.kubernetes.client import KubernetesClient, Right
from engine.cluster.dryrun import dry_run
from engine.cluster.resources import ClusterKinds
from engine.manifests.plan import stages
from engine.rollout.rollout import Rollout
from engine.types import Action, Manifest, ObjectRef, Progress, RolloutResult, Source
from tests.kubernetes.support import Home, Json, config_map, deployment, pod_template
from tests.observer import Watching

pytestmark = pytest.mark.usefixtures("nodes")


@pytest.fixture
def client(home: Home) -> Iterator[KubernetesClient]:
    with KubernetesClient.from_kubeconfig(home.kubeconfig.read_text(), user_agent="suite") as found:
        yield found


def manifest(home: Home, body: Json) -> Manifest:
    group = body["apiVersion"].rpartition("/")[0]
    body["metadata"]["namespace"] = home.name
    ref = ObjectRef(body["kind"], group, home.name, body["metadata"]["name"])
    return Manifest(ref, body["apiVersion"].rpartition("/")[2], body, Source("web.yaml", 1))


def preview(client: KubernetesClient, manifests: list[Manifest]) -> list[Action | None]:
    changes = dry_run(client, manifests, kinds=ClusterKinds(client), digest=lambda v: "x", with_diff=True)
    return [change.action for change in changes]


def roll_out(client: KubernetesClient, manifests: list[Manifest]) -> RolloutResult:
    kinds = ClusterKinds(client)
    with Rollout(
        client, stages(manifests, deploy_number=1), kinds=kinds, observer=Watching(), timeout=60
    ) as rollout:
        rollout.apply()
        return rollout.wait()


def test_a_deploy_from_preview_to_ready(home: Home, client: KubernetesClient) -> None:
    manifests = [manifest(home, config_map(a="1")), manifest(home, deployment(replicas=2))]
    assert preview(client, manifests) == [Action.CREATE, Action.CREATE]
    result = roll_out(client, manifests)
    assert result.ok
    assert preview(client, manifests) == [Action.UNCHANGED, Action.UNCHANGED]


def test_a_deploy_that_crashes_is_found_out(home: Home, client: KubernetesClient) -> None:
    body = deployment(replicas=1)
    body["spec"]["template"] = pod_template()
    body["spec"]["template"]["metadata"]["annotations"] = {"slipway.sandbox/behaviour": "crash"}
    result = roll_out(client, [manifest(home, body)])
    assert not result.ok
    [status] = result.statuses
    assert status.progress == Progress.FAILED


def test_a_job_before_the_rest(home: Home, client: KubernetesClient) -> None:
    pod = {"restartPolicy": "Never", "containers": [{"name": "a", "image": "registry.example/migrate:1"}]}
    body = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "migrate", "annotations": {"slipway.dev/phase": "predeploy"}},
        "spec": {"template": {"spec": pod}},
    }
    assert roll_out(client, [manifest(home, body), manifest(home, deployment(replicas=1))]).ok


def test_a_first_deploy_takes_over_from_kubectl(home: Home, client: KubernetesClient) -> None:
    made = home.raw.post(
        home.path("configmaps"), config_map(a="1", old="2"), fieldManager="kubectl-client-side-apply"
    )
    assert made.status == 201
    assert roll_out(client, [manifest(home, config_map(a="9"))]).ok
    assert home.live("configmaps", "settings")["data"] == {"a": "9"}


def test_what_an_account_lacks(client: KubernetesClient) -> None:
    assert client.can([Right("create", "apps", "deployments"), Right("list", "", "pods")]) == []


def test_the_cluster_says_what_it_is(client: KubernetesClient) -> None:
    assert client.probe().version.startswith("v1.37.")
