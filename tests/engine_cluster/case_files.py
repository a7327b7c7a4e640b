"""Inputs as people have them, one folder each under `cases/`: `kubernetes/` (and `kubernetes-2/` … for later revisions) is a
config directory, `cluster/` was put on the cluster by `kubectl apply` before. They go through the whole engine: read, render,
dry run, apply, watch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from engine.cluster.changes import ObjectChange
from engine.cluster.dryrun import dry_run
from engine.cluster.resources import ClusterKinds
from engine.manifests.documents import read_documents
from engine.manifests.makers import keys_of
from engine.manifests.missing import missing_references
from engine.manifests.render import Rendered, render
from engine.manifests.settling import Settling
from engine.types import Json, RolloutResult
from sandbox.cluster.kubectl import apply_as_kubectl
from tests.engine.support import DIGESTS
from tests.engine_cluster.conftest import Cluster
from tests.engine_cluster.objects import ENVIRONMENT
from tests.observer import Watching

CASES = Path(__file__).parent / "cases"
SOON = Settling(1.0)  # seconds of `minReadySeconds`: its length is not the matter of these tests


def files_of(case: str, revision: str = "kubernetes") -> dict[str, bytes]:
    """The files of a config directory."""
    return {path.name: path.read_bytes() for path in sorted((CASES / case / revision).iterdir())}


def before(cluster: Cluster, case: str) -> None:
    """What is on the cluster before, as `kubectl apply` leaves it."""
    bodies = [
        body
        for path in sorted((CASES / case / "cluster").iterdir())
        for body in yaml.safe_load_all(path.read_text())
    ]
    for body in bodies:
        if body["kind"] not in ("CustomResourceDefinition", "APIService"):
            body["metadata"]["namespace"] = cluster.namespace
    apply_as_kubectl(cluster.kubeconfig, bodies)


def rendered(cluster: Cluster, case: str, revision: str = "kubernetes") -> Rendered:
    """The objects of a revision. Raises ManifestError."""
    return render(
        read_documents(files_of(case, revision)),
        variables=[],
        images=[],
        namespace=cluster.namespace,
        environment_label=ENVIRONMENT,
        secret_documents={},
        kinds=ClusterKinds(cluster.client),
        digests=DIGESTS,
        settling=SOON,
    )


def preview(cluster: Cluster, case: str, revision: str = "kubernetes") -> dict[str, ObjectChange]:
    """What applying would do, by kind."""
    changes = dry_run(
        cluster.client,
        rendered(cluster, case, revision).manifests,
        kinds=ClusterKinds(cluster.client),
        digest=lambda value: f"{sum(value):x}",
        with_diff=True,
    )
    return {change.ref.kind: change for change in changes}


def missing(cluster: Cluster, case: str) -> list[str]:
    """What nothing provides."""

    def live(kind: str, namespace: str, name: str) -> set[str] | None:
        plural = {"PersistentVolumeClaim": "persistentvolumeclaims"}.get(kind, f"{kind.lower()}s")
        path = f"/api/v1/namespaces/{namespace}/{plural}"
        found: list[Json] = cluster.get(path)["items"]
        return next((keys_of(body) for body in found if body["metadata"]["name"] == name), None)

    return [reason for _, reason in missing_references(rendered(cluster, case).manifests, live)]


def deploy(
    cluster: Cluster, case: str, revision: str = "kubernetes", **options: Any
) -> tuple[RolloutResult, Watching]:
    """A whole deploy; raises as the rollout does."""
    observer = Watching()
    given = list(rendered(cluster, case, revision).manifests)
    with cluster.rollout(given, observer, **options) as rollout:
        rollout.apply()
        return rollout.wait(), observer
