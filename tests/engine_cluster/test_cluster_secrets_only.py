"""The secrets alone on a control plane: exactly the readers of what changed get another pod template."""

from __future__ import annotations

import base64
from typing import Any

from engine.cluster.resources import ClusterKinds
from engine.manifests.documents import read_documents
from engine.manifests.render import render
from engine.manifests.secretfiles import parse_secrets_file
from engine.manifests.secretsonly import with_other_secrets
from engine.manifests.stored import to_stored
from engine.types import Json, Manifest
from tests.engine.support import DIGESTS
from tests.engine_cluster.case_files import SOON
from tests.engine_cluster.conftest import Cluster
from tests.engine_cluster.objects import IMAGE
from tests.observer import Watching

LABEL = "shop.staging"
REFERENCE = "apiVersion: v1\nkind: Secret\nmetadata: {name: app}\nstringData: {TOKEN: '', PIN: ''}\n"
CONFIG = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {LEVEL: info}\n"
CRON_JOB = f"""apiVersion: batch/v1
kind: CronJob
metadata: {{name: nightly}}
spec:
  schedule: "0 3 * * *"
  jobTemplate:
    spec:
      template:
        spec:
          restartPolicy: Never
          containers: [{{name: nightly, image: "{IMAGE}", envFrom: [{{secretRef: {{name: app}}}}]}}]
"""


def reader(name: str, env: str) -> str:
    return f"""apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}}}
spec:
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec:
      terminationGracePeriodSeconds: 1
      containers: [{{name: {name}, image: "{IMAGE}", env: [{{name: A, valueFrom: {env}}}]}}]
"""


WORKLOADS = "---\n".join(
    [
        CONFIG,
        reader("token", "{secretKeyRef: {name: app, key: TOKEN}}"),
        reader("pin", "{secretKeyRef: {name: app, key: PIN}}"),
        reader("level", "{configMapKeyRef: {name: settings, key: LEVEL}}"),
        CRON_JOB,
    ]
)


def populated(**values: str) -> list[Any]:
    rows = "".join(f"  {key}: {base64.b64encode(value.encode()).decode()}\n" for key, value in values.items())
    return parse_secrets_file(
        f"apiVersion: v1\nkind: Secret\nmetadata: {{name: app}}\ndata:\n{rows}", path="secret.yaml"
    )


def whole(cluster: Cluster, secrets: list[Any]) -> list[Manifest]:
    """The objects of a deploy of the revision."""
    documents = read_documents({"secret.yaml": REFERENCE.encode(), "web.yaml": WORKLOADS.encode()})
    rendered = render(
        documents, variables=(), images=(), namespace=cluster.namespace, environment_label=LABEL,
        secret_documents={"secret.yaml": secrets}, kinds=ClusterKinds(cluster.client), digests=DIGESTS, settling=SOON,
    )  # fmt: skip
    return list(rendered.manifests)


def put_in_place(cluster: Cluster, manifests: list[Manifest]) -> None:
    with cluster.rollout(manifests, Watching()) as rollout:
        rollout.apply()
        assert rollout.wait().ok


def templates(cluster: Cluster) -> dict[str, Json]:
    """The pod templates as the cluster has them, and how often it saw another one."""
    deployments = cluster.get(f"{cluster.apps}/deployments")["items"]
    job = cluster.get(f"/apis/batch/v1/namespaces/{cluster.namespace}/cronjobs/nightly")
    return {
        **{one["metadata"]["name"]: one["spec"]["template"] for one in deployments},
        "nightly": job["spec"]["jobTemplate"]["spec"]["template"],
    }


def revisions(cluster: Cluster) -> dict[str, str]:
    """How many pod templates each Deployment has had."""
    deployments = cluster.get(f"{cluster.apps}/deployments")["items"]
    return {
        one["metadata"]["name"]: one["metadata"]["annotations"]["deployment.kubernetes.io/revision"]
        for one in deployments
    }


def test_exactly_the_readers_of_a_changed_key_roll(cluster: Cluster) -> None:
    manifests = whole(cluster, populated(TOKEN="canary-one", PIN="canary-two"))
    put_in_place(cluster, manifests)
    before = templates(cluster)
    kept = to_stored(manifests, digests=DIGESTS, version_ids={})
    alone = with_other_secrets(
        kept, secrets={"secret.yaml": populated(TOKEN="canary-new", PIN="canary-two")}, git_documents=(),
        namespace=cluster.namespace, environment_label=LABEL, digests=DIGESTS,
    )  # fmt: skip
    put_in_place(cluster, alone)
    after = templates(cluster)
    assert [name for name in sorted(before) if before[name] != after[name]] == ["nightly", "token"]
    assert revisions(cluster) == {"token": "2", "pin": "1", "level": "1"}
    stored = cluster.get(f"{cluster.core}/secrets/app")["data"]
    assert base64.b64decode(stored["TOKEN"]) == b"canary-new"
