"""Both control planes with played nodes, once per session, and what tests need to deploy on them."""

from __future__ import annotations

import subprocess
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from adapters.kubernetes.client import KubernetesClient
from engine.cluster.apply import Patience
from engine.cluster.changes import ObjectChange
from engine.cluster.client import ApiError
from engine.cluster.dryrun import dry_run
from engine.cluster.resources import ClusterKinds
from engine.limits import Limits
from engine.manifests.plan import stages
from engine.rollout.rollout import Rollout
from engine.types import Json, Manifest, RolloutResult
from tests.engine_cluster.objects import manifests
from tests.observer import Watching
from tests.planes import PLANES, Plane, kubectl_program, running_plane
from tests.sandbox.played import start_nodes

PATIENT = Patience(webhook=1.0, kind=60.0, pause=0.2)
QUICK = replace(
    Limits(),
    settle=1.0,
    image_other=2.0,
    first_exit=20.0,
    cannot_start=2.0,
    config_missing=1.0,
    pod_refused=2.0,
)


@dataclass
class Cluster:
    """A namespace of the control plane, and short words for what tests do there."""

    client: KubernetesClient
    kubeconfig: Path
    namespace: str
    number: int = 0

    def kubectl(self, *arguments: str, stdin: str = "") -> str:
        """Run kubectl, as a person would; its output."""
        command = [str(kubectl_program()), "--kubeconfig", str(self.kubeconfig), *arguments]
        done = subprocess.run(command, input=stdin, check=True, capture_output=True, text=True)
        return done.stdout

    def get(self, path: str) -> Json:
        return self.client.request("GET", path)

    def delete(self, path: str) -> None:
        """Deletes an object that may be gone already; does not wait."""
        try:
            self.client.request("DELETE", path)
        except ApiError as error:
            if error.status != 404:
                raise

    @property
    def core(self) -> str:
        return f"/api/v1/namespaces/{self.namespace}"

    @property
    def apps(self) -> str:
        return f"/apis/apps/v1/namespaces/{self.namespace}"

    def rollout(self, given: list[Manifest], observer: Watching, **options: object) -> Rollout:
        self.number += 1
        defaults: dict[str, object] = {"timeout": 240.0, "limits": QUICK, "patience": PATIENT}
        planned = stages(given, deploy_number=self.number)
        return Rollout(
            self.client,
            planned,
            kinds=ClusterKinds(self.client),
            observer=observer,
            **{**defaults, **options},
        )  # type: ignore[arg-type]

    def deploy(
        self, *bodies: Json, observer: Watching | None = None, **options: object
    ) -> tuple[RolloutResult, Watching]:
        """A whole deploy; raises as the rollout does."""
        observer = observer or Watching()
        with self.rollout(manifests(*bodies), observer, **options) as rollout:
            rollout.apply()
            return rollout.wait(), observer

    def preview(self, *bodies: Json, with_diff: bool = True, **options: object) -> list[ObjectChange]:
        return dry_run(
            self.client,
            manifests(*bodies),
            kinds=ClusterKinds(self.client),
            digest=lambda value: f"{sum(value):x}",
            with_diff=with_diff,
            **options,  # type: ignore[arg-type]
        )


@pytest.fixture(scope="session", params=PLANES)
def plane(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    with running_plane(request.param, tmp_path_factory.mktemp("engine-plane")) as plane:
        child = start_nodes(plane.kubeconfig, plane.directory / "nodes.log", speed=6.0)
        try:
            yield plane
        finally:
            child.process.terminate()
            child.process.wait(10)


@pytest.fixture
def cluster(plane: Plane) -> Iterator[Cluster]:
    """A new namespace, removed afterwards."""
    text = plane.kubeconfig.read_text()
    with KubernetesClient.from_kubeconfig(text, user_agent="slipway/tests") as client:
        made = Cluster(client, plane.kubeconfig, f"shop-{uuid.uuid4().hex[:8]}")
        client.request("POST", "/api/v1/namespaces", body={"metadata": {"name": made.namespace}})
        yield made
        made.delete(f"/api/v1/namespaces/{made.namespace}")
