"""A renewal of the pull secrets of 200 namespaces in each of 10 clusters, against the same requests by plain HTTP.

Ours: one look at each cluster, one after the other, as one worker does it: lists, a new token of the sandbox's ECR and its proof,
one write for each namespace, the reading back, all rows and the audit. The floor: one token call, and for each cluster the two
lists of Secrets and the same writes over 16 connections. The clusters are one API server, whose namespaces hold ten Secrets each.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ops.bench.whole_deploy import environment
from sandbox import processes
from sandbox.aws.images import docker_config, ecr_call
from sandbox.bench import progress
from sandbox.cluster.api import Api
from sandbox.cluster.control_plane import ControlPlane
from sandbox.supervision.programs import http_answers

NAMESPACES, CLUSTERS, CONNECTIONS = 200, 10, 16
ROOT = Path(__file__).resolve().parents[2]


def rows(*, rounds: int = 3) -> list[dict[str, Any]]:
    """The row `registry-2000`, in seconds. Measured in a child process, because Django reads its settings once."""
    with tempfile.TemporaryDirectory(prefix="slipway-bench-") as name:
        folder = Path(name)
        with ControlPlane(folder / "cluster") as plane, aws_end(folder) as url:
            command = [sys.executable, "-m", "ops.bench.registry", str(plane.kubeconfig), str(rounds)]
            given = {**environment(folder), "AWS_ENDPOINT_URL": url}
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=given, cwd=ROOT)
    found: list[dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
    return found


@contextmanager
def aws_end(folder: Path) -> Iterator[str]:
    """The sandbox's AWS as a program; its URL."""
    port = processes.free_port()
    command = [sys.executable, "-m", "sandbox.aws", "--directory", str(folder / "aws"), "--port", str(port)]
    child = processes.spawn(
        command, log=folder / "aws.log", env={"PATH": os.environ["PATH"]}, cwd=ROOT, name="aws"
    )
    try:
        processes.wait_until(lambda: http_answers(port, "/v2/", 401), [child], seconds=30, what="the AWS end")
        yield f"http://127.0.0.1:{port}"
    finally:
        child.process.kill()
        child.process.wait()


def measure(kubeconfig: Path, rounds: int) -> list[dict[str, Any]]:
    """Both in turns; the best of each, as other load only adds."""
    import django

    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    api = Api.from_kubeconfig(kubeconfig, user_agent="bench", connections=CONNECTIONS)
    names = [f"bench-{number}" for number in range(NAMESPACES)]
    _in_threads(lambda name: api.create("/api/v1/namespaces", {"metadata": {"name": name}}), names)
    clusters = _register(kubeconfig.read_text(), names)
    _look(clusters)  # makes the Secrets
    ours, peer = [], []
    for _ in progress.rounds(rounds, "renewals"):
        ours.append(_look(clusters))
        peer.append(floor(api, names))
    took, least = min(ours), min(peer)
    return [
        {
            "name": f"registry-{NAMESPACES * CLUSTERS}", "ours_s": round(took, 3), "peer": "the same requests by plain HTTP",
            "peer_s": round(least, 3), "ratio": round(least / took, 2),
        }
    ]  # fmt: skip


def _register(kubeconfig: str, names: list[str]) -> list[Any]:
    from projects.models import Allotment, Cluster, Environment, Project, Registry

    url = os.environ["AWS_ENDPOINT_URL"]
    Registry.objects.create(
        slug="bench", name="Bench", endpoint=url, account="123456789012", region="eu-west-2"
    )
    project = Project.objects.create(slug="bench", name="Bench", repository_url="file:///none")
    clusters = [
        Cluster.objects.create(slug=f"c{n}", name=f"Cluster {n}", kubeconfig=kubeconfig)
        for n in range(CLUSTERS)
    ]
    Allotment.objects.bulk_create(
        Allotment(project=project, kind=Allotment.Kind.NAMESPACE, cluster=cluster, pattern="bench-*")
        for cluster in clusters
    )
    Environment.objects.bulk_create(
        Environment(
            project=project, slug=f"e{n}-{name}", name=name, order=1, cluster=cluster, namespace=name,
            config_directory="k8s", pull_secret=f"pull-{n}",
        )
        for n, cluster in enumerate(clusters) for name in names
    )  # fmt: skip
    return clusters


def _look(clusters: list[Any]) -> float:
    """Renews everything, with a new token. Seconds."""
    from django.utils import timezone

    from registry import running
    from registry.models import RegistryToken
    from registry.reconcile import Ask

    moment = timezone.now()
    began = time.perf_counter()
    for cluster in clusters:
        report = running.look_at(cluster, Ask(newest=moment))
        written = sum(done.result == "written" for done in report.done)
        if not report.is_good or written != NAMESPACES:
            raise RuntimeError(f"{written} were written: {report.fault or report.credentials[0].last_error}")
    took = time.perf_counter() - began
    if RegistryToken.objects.filter(minted_at__gt=moment).count() != 1:
        raise RuntimeError("There is not one new token.")
    return took


def floor(api: Api, names: list[str]) -> float:
    """The same requests without the portal. Seconds."""
    url = os.environ["AWS_ENDPOINT_URL"]
    began = time.perf_counter()
    entry = ecr_call(url, "GetAuthorizationToken", {})["authorizationData"][0]
    data = {
        ".dockerconfigjson": base64.b64encode(
            docker_config(url, entry["authorizationToken"]).encode()
        ).decode()
    }
    for number in range(CLUSTERS):
        secret = f"pull-{number}"
        listed = {"fieldSelector": f"metadata.name={secret}"}
        api.get("/api/v1/secrets", listed)

        def write(name: str, secret: str = secret) -> None:
            body = {
                "apiVersion": "v1", "kind": "Secret", "metadata": {"name": secret, "namespace": name},
                "type": "kubernetes.io/dockerconfigjson", "data": data,
            }  # fmt: skip
            api.apply(f"/api/v1/namespaces/{name}/secrets/{secret}", body, manager="slipway-registry")

        _in_threads(write, names)
        api.get("/api/v1/secrets", listed)
    return time.perf_counter() - began


def _in_threads(work: Any, names: list[str]) -> None:
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        list(pool.map(work, names))


if __name__ == "__main__":
    sys.stdout.write(json.dumps(measure(Path(sys.argv[1]), int(sys.argv[2]))) + "\n")
