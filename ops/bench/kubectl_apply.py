"""The apply step of the engine against the same work by `kubectl`, on the same real control plane, in the same
run.

The objects: ConfigMaps and Deployments of 0 replicas, half each, in a new namespace for each peer and round. They are
created, applied again, and applied with a change in every object. Ours is the work of a warm worker: it opens the
watches, reads the live objects and applies in stages; modules are loaded and connections open. kubectl runs as a
program, as people run it. Results are medians of several rounds.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from adapters.kubernetes.client import KubernetesClient
from engine.cluster.resources import ClusterKinds, ref_of
from engine.manifests.plan import stages
from engine.rollout.rollout import Rollout
from engine.types import ENVIRONMENT_LABEL, OBJECT_ANNOTATION, Json, Manifest, ObjectStatus, Source
from sandbox.bench import progress
from sandbox.cluster.control_plane import ControlPlane, assets

PEERS = {
    "kubectl apply -f": (),
    "kubectl apply --server-side --validate=false": ("--server-side", "--validate=false"),
}
STEPS = ("create", "same", "changed")
QUIET_SECONDS = 1.0  # between two measurements, so that the controllers finish


@dataclass(frozen=True)
class Row:
    """One line of the results. `ratio` = peer_s / ours_s; times in seconds."""

    name: str
    ours_s: float
    peer: str
    peer_s: float
    ratio: float


def objects(count: int, namespace: str, value: str) -> list[Json]:
    """`count` objects, half ConfigMaps and half Deployments of 0 replicas; `value` is in each of them."""
    found: list[Json] = []
    for number in range(count // 2):
        name = f"item-{number}"
        found.append(_config_map(name, namespace, value))
        found.append(_deployment(name, namespace, value))
    return found


def _config_map(name: str, namespace: str, value: str) -> Json:
    data = {"value": value, **{f"KEY_{number}": f"{name} {number}" for number in range(10)}}
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": _metadata("ConfigMap", namespace, name),
        "data": data,
    }


def _deployment(name: str, namespace: str, value: str) -> Json:
    env = [{"name": "VALUE", "value": value}, {"name": "PORT", "value": "8080"}]
    container = {
        "name": "main",
        "image": "registry.example/app:1",
        "env": env,
        "ports": [{"containerPort": 8080}],
        "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}},
    }
    template = {"metadata": {"labels": {"app": name}}, "spec": {"containers": [container]}}
    spec = {"replicas": 0, "selector": {"matchLabels": {"app": name}}, "template": template}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": _metadata("Deployment.apps", namespace, name),
        "spec": spec,
    }


def _metadata(kind: str, namespace: str, name: str) -> Json:
    return {
        "name": name,
        "namespace": namespace,
        "labels": {ENVIRONMENT_LABEL: "bench.one"},
        "annotations": {OBJECT_ANNOTATION: f"{kind}/{namespace}/{name}"},
    }


def manifests(bodies: list[Json]) -> list[Manifest]:
    """The bodies as Manifests of the engine."""
    return [
        Manifest(ref_of(body), body["apiVersion"].rpartition("/")[2], body, Source("bench.yaml", 1))
        for body in bodies
    ]


class Silent:
    """An observer that ignores all reports and never stops the engine."""

    def line(self, text: str, *, level: str = "info") -> None:
        return

    def status(self, status: ObjectStatus) -> None:
        return

    def check(self) -> None:
        return

    def confirm(self) -> None:
        return

    def is_sure(self) -> bool:
        return True


@dataclass(frozen=True)
class Bench:
    """A control plane to measure on."""

    client: KubernetesClient
    kubeconfig: Path
    kubectl: Path
    folder: Path

    def run_kubectl(self, *arguments: str) -> None:
        """Run kubectl; raises CalledProcessError when it fails."""
        command = [str(self.kubectl), "--kubeconfig", str(self.kubeconfig), *arguments]
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.folder)}  # its discovery cache is in HOME
        subprocess.run(command, check=True, capture_output=True, env=environment)

    def by_kubectl(self, bodies: list[Json], arguments: tuple[str, ...]) -> float:
        """Seconds that kubectl takes to apply these."""
        file = self.folder / "objects.json"
        file.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": bodies}))
        started = time.perf_counter()
        self.run_kubectl("apply", "-f", str(file), *arguments)
        return time.perf_counter() - started

    def by_engine(self, bodies: list[Json]) -> float:
        """Seconds that the engine's apply step takes, watches included."""
        planned = stages(manifests(bodies), deploy_number=1)
        kinds = ClusterKinds(self.client)
        started = time.perf_counter()
        with Rollout(self.client, planned, kinds=kinds, observer=Silent(), timeout=120) as rollout:
            rollout.apply()
            seconds = time.perf_counter() - started
            if not rollout.wait().ok:
                raise RuntimeError("The objects of the benchmark did not become ready.")
        return seconds

    def steps(self, count: int, namespace: str, measure: Callable[[list[Json]], float]) -> dict[str, float]:
        """Seconds of each step, in a fresh namespace that is deleted afterwards."""
        self.run_kubectl("create", "namespace", namespace)
        taken = {}
        for step in STEPS:
            time.sleep(QUIET_SECONDS)
            taken[step] = measure(objects(count, namespace, "changed" if step == "changed" else "first"))
        self.run_kubectl("delete", "namespace", namespace, "--wait")
        return taken


@contextmanager
def bench() -> Iterator[Bench]:
    """A fresh control plane, its client and its kubectl; needs KUBEBUILDER_ASSETS."""
    with (
        tempfile.TemporaryDirectory(prefix="slipway-bench-") as folder,
        ControlPlane(Path(folder) / "plane") as plane,
    ):
        text = plane.kubeconfig.read_text()
        with KubernetesClient.from_kubeconfig(text, user_agent="slipway/bench") as client:
            yield Bench(client, plane.kubeconfig, assets() / "kubectl", Path(folder))


def apply_rows(*, rounds: int = 5, counts: tuple[int, ...] = (200, 20)) -> list[Row]:
    """The rows `apply-<count>-<step>`, one for each peer: medians over the rounds."""
    rows: list[Row] = []
    with bench() as on:
        on.steps(20, "warm-up", on.by_engine)
        on.steps(20, "warm-up-kubectl", partial(on.by_kubectl, arguments=()))
        for count in counts:
            rows += _rows_of(on, count, rounds)
    return rows


def _rows_of(on: Bench, count: int, rounds: int) -> list[Row]:
    ours: list[dict[str, float]] = []
    peers: dict[str, list[dict[str, float]]] = {peer: [] for peer in PEERS}
    for number in progress.rounds(rounds, f"{count} objects"):
        ours.append(on.steps(count, f"ours-{count}-{number}", on.by_engine))
        for place, (peer, arguments) in enumerate(PEERS.items()):
            measure = partial(on.by_kubectl, arguments=arguments)
            peers[peer].append(on.steps(count, f"peer{place}-{count}-{number}", measure))
    return [_row(count, step, ours, peer, taken) for peer, taken in peers.items() for step in STEPS]


def _row(
    count: int, step: str, ours: list[dict[str, float]], peer: str, taken: list[dict[str, float]]
) -> Row:
    our_median = statistics.median(times[step] for times in ours)
    peer_median = statistics.median(times[step] for times in taken)
    ratio = round(peer_median / our_median, 2)
    return Row(f"apply-{count}-{step}", round(our_median, 4), peer, round(peer_median, 4), ratio)


def as_json(rows: list[Row]) -> list[dict[str, object]]:
    """The rows in the form of `.bench/results.json`."""
    return [asdict(row) for row in rows]
