"""Measures the portal at the size that is promised: 1,500 environments in three clusters, 500 viewers of one log.

`live-round-1500`: one round of reading all environments, one job for each cluster, one after the other, from a server that
answers like a cluster with one Deployment per namespace. Its peer is the time in which each must be read. `line-to-500`: from a
worker's line to the last of 500 viewers of one process, in the event loop of the streams.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from ops.bench.live import KUBECONFIG
from ops.bench.secrets import environment

ENVIRONMENTS, CLUSTERS, VIEWERS, ROUNDS = 1500, 3, 500, 7
LIMITS = {"live-round-1500": 30.0, "line-to-500": 0.3}


def rows() -> list[dict[str, Any]]:
    """Both rows. Measured in a child process, because Django reads its settings once."""
    with tempfile.TemporaryDirectory(prefix="slipway-bench-") as folder:
        command = [sys.executable, "-m", "ops.bench.size"]
        done = subprocess.run(
            command, check=True, stdout=subprocess.PIPE, text=True, env=environment(Path(folder))
        )
    taken: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return [
        {
            "name": name, "ours_s": round(seconds, 4), "peer": "the project's target", "peer_s": LIMITS[name],
            "ratio": round(LIMITS[name] / seconds, 2),
        }
        for name, seconds in taken.items()
    ]  # fmt: skip


def cluster_server() -> str:
    """Starts, in a thread, a server whose every list of Deployments has one, and every other list none. Returns its address."""
    from sandbox.web import Handler, Server

    deployment = {
        "metadata": {"name": "web", "generation": 1, "labels": {}},
        "spec": {"replicas": 2, "template": {"spec": {"containers": [{"name": "web", "image": "r.example/web:1"}]}}},
        "status": {"replicas": 2, "readyReplicas": 2, "updatedReplicas": 2, "availableReplicas": 2, "observedGeneration": 1},
    }  # fmt: skip

    class Cluster(Handler):
        def do_GET(self) -> None:
            items = [deployment] if self.path.partition("?")[0].endswith("/deployments") else []
            self.answer_json({"kind": "List", "items": items, "metadata": {"resourceVersion": "1"}})

    server = Server(0, Cluster)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_address[1]}"


def prepare() -> list[int]:
    """Makes the environments. Returns the ids of their clusters."""
    from projects.models import Allotment, Cluster, Environment, Project

    config = json.loads(json.dumps(KUBECONFIG))
    config["clusters"][0]["cluster"]["server"] = cluster_server()
    clusters = [
        Cluster.objects.create(slug=f"c{n}", name=f"C{n}", kubeconfig=json.dumps(config))
        for n in range(CLUSTERS)
    ]
    project = Project.objects.create(slug="bench", name="Bench", repository_url="https://git.example.com/b")
    Environment.objects.bulk_create(
        Environment(
            project=project, slug=f"e{n}", name=f"E{n}", cluster=clusters[n % CLUSTERS], namespace=f"n{n}",
            config_directory="kubernetes",
        )
        for n in range(ENVIRONMENTS)
    )  # fmt: skip
    Allotment.objects.bulk_create(
        Allotment(project=project, kind=Allotment.Kind.NAMESPACE, pattern="n*", cluster=cluster)
        for cluster in clusters
    )
    return [cluster.pk for cluster in clusters]


def live_round(clusters: list[int]) -> float:
    """Seconds until every environment was read once."""
    from clusters.jobs import refresh_cluster
    from clusters.models import LiveState

    started = time.perf_counter()
    while LiveState.objects.filter(health="healthy").count() < ENVIRONMENTS:
        for pk in clusters:
            refresh_cluster(pk)
    return time.perf_counter() - started


async def viewer(run_id: Any, person: int, arrived: asyncio.Queue[float]) -> None:
    """Reads the stream; notes when a line came."""
    from runs.live_log import rendered
    from runs.stream import Viewer, events

    async for text in events(run_id, 0, lambda: True, rendered, Viewer(str(person), lambda: True)):
        if text.startswith("id: "):
            await arrived.put(time.perf_counter())


async def line_rounds(deploy: Any) -> list[float]:
    """Seconds from each line to the last viewer that got it."""
    from asgiref.sync import sync_to_async

    from runs.bell import LOG
    from runs.stream import hub

    arrived: asyncio.Queue[float] = asyncio.Queue()
    viewers = [asyncio.create_task(viewer(deploy.run_id, number, arrived)) for number in range(VIEWERS)]
    taken = []
    for number in range(ROUNDS + 1):
        await asyncio.sleep(1.0)
        started = time.perf_counter()
        await sync_to_async(write)(deploy, f"line {number}")
        hub().feeds[deploy.run_id].rung(LOG)
        times = [await arrived.get() for _ in range(VIEWERS)]
        taken.append(max(times) - started)
    for one in viewers:
        one.cancel()
    return taken[1:]


def write(deploy: Any, text: str) -> None:
    """One line of a worker. Its bell is rung by the caller: there is no Redis here."""
    from core.redactor import Redactor
    from deployments.models import Deploy
    from runs.fence import Fence
    from runs.journal import Journal

    journal = Journal(Fence(Deploy, deploy.run_id, deploy.attempt), Redactor())
    journal.line(text)
    journal.flush()


def main() -> None:
    """The child: prints the seconds as one line of JSON."""
    import django

    django.setup()
    from django.core.management import call_command

    from ops.bench.live import running_deploy
    from projects.models import Environment

    call_command("migrate", verbosity=0)
    taken = {"live-round-1500": live_round(prepare())}
    deploy = running_deploy(Environment.objects.select_related("project", "cluster").first())
    taken["line-to-500"] = statistics.median(asyncio.run(line_rounds(deploy)))
    sys.stdout.write(json.dumps(taken) + "\n")


if __name__ == "__main__":
    main()
