"""Compares the sandbox's simulated control plane with the real one, with the same work in the same run.

It measures the start, the apply of 400 Deployments (server-side, 16 connections), and the time until 200 watches have
received a change (95th percentile). `ratio` is peer_s / ours_s with the simulated one as ours. It also prints the memory
of the simulated one with 500 pods.
"""

from __future__ import annotations

import selectors
import socket
import ssl
import statistics
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from engine.types import Json
from sandbox import processes
from sandbox.bench import progress
from sandbox.cluster.api import Api, Credentials
from sandbox.cluster.control_plane import ControlPlane
from sandbox.kubernetes.simulated import SimulatedCluster
from sandbox.node import READY_LINE, command

APPLIES, CONNECTIONS, WATCHERS, PODS = 400, 16, 200, 500
MAPS = "/api/v1/namespaces/default/configmaps"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
Plane = ControlPlane | SimulatedCluster


def rows(*, rounds: int = 3) -> list[dict[str, Any]]:
    """The rows `cluster-start`, `cluster-apply` (per object) and `cluster-watch-200`: medians of the rounds."""
    ours: list[dict[str, float]] = []
    peer: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory(prefix="slipway-bench-") as folder:
        for number in progress.rounds(rounds, "both control planes"):
            ours.append(measure(SimulatedCluster(Path(folder) / f"simulated-{number}")))
            peer.append(measure(ControlPlane(Path(folder) / f"real-{number}")))
        progress.tell(f"memory with {PODS} pods")
        sys.stdout.write(
            f"{memory(Path(folder) / 'memory'):.0f} MB with {PODS} pods on the simulated control plane\n"
        )
    return [row(name, [o[name] for o in ours], [p[name] for p in peer]) for name in ours[0]]


def row(name: str, ours: list[float], peer: list[float]) -> dict[str, Any]:
    """One line of the table."""
    ours_s, peer_s = statistics.median(ours), statistics.median(peer)
    return {
        "name": name, "ours_s": round(ours_s, 5), "peer": "the real control plane", "peer_s": round(peer_s, 5),
        "ratio": round(peer_s / ours_s, 2),
    }  # fmt: skip


def measure(plane: Plane) -> dict[str, float]:
    """Seconds of each work on a new control plane."""
    began = time.perf_counter()
    with plane:
        started = time.perf_counter() - began
        api = Api.from_kubeconfig(plane.kubeconfig, user_agent="bench", connections=CONNECTIONS)
        ready(api)
        return {
            "cluster-start": started,
            "cluster-apply": applies(api),
            f"cluster-watch-{WATCHERS}": watch(api, plane.kubeconfig),
        }


def ready(api: Api) -> None:
    """Waits until the namespace has its account, which shows that the controllers work."""
    deadline = time.monotonic() + 30
    while api.find("/api/v1/namespaces/default/serviceaccounts/default") is None:
        if time.monotonic() > deadline:
            raise RuntimeError("The namespace default never got its account.")
        time.sleep(0.02)


def deployment(name: str, replicas: int) -> Json:
    """A Deployment as people write one."""
    container: Json = {"name": "main", "image": "registry.example/app:1", "ports": [{"containerPort": 8080}]}
    container["env"] = [{"name": "VALUE", "value": name}, {"name": "PORT", "value": "8080"}]
    container["resources"] = {"requests": {"cpu": "10m", "memory": "32Mi"}}
    template = {"metadata": {"labels": {"app": name}}, "spec": {"containers": [container]}}
    spec = {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec}


def applies(api: Api) -> float:
    """Seconds for each object."""
    bodies = [deployment(f"item-{number}", 0) for number in range(APPLIES)]

    def apply(body: Json) -> None:
        api.apply(f"{DEPLOYMENTS}/{body['metadata']['name']}", body, manager="bench")

    with ThreadPoolExecutor(CONNECTIONS) as pool:
        list(pool.map(apply, bodies[:CONNECTIONS]))  # warms up: opens connections, loads types
        began = time.perf_counter()
        list(pool.map(apply, bodies[CONNECTIONS:]))
    return (time.perf_counter() - began) / (APPLIES - CONNECTIONS)


def watch(api: Api, kubeconfig: Path) -> float:
    """Seconds from the request of a change until 95 of 100 watches have received it; the median of five changes."""
    version = api.get(MAPS)["metadata"]["resourceVersion"]
    credentials = Credentials.from_kubeconfig(kubeconfig.read_text())
    context = credentials.ssl_context()
    with ExitStack() as stack, selectors.DefaultSelector() as selector:
        for _ in range(WATCHERS):
            connection = stack.enter_context(reader(credentials, context, version))
            selector.register(connection, selectors.EVENT_READ)
        time.sleep(1.0)
        drain(selector)
        return statistics.median(one_change(api, selector, number) for number in range(5))


def one_change(api: Api, selector: selectors.BaseSelector, number: int) -> float:
    """Makes a change, and returns when each watch receives it."""
    with ThreadPoolExecutor(1) as pool:
        began = time.perf_counter()
        made = pool.submit(api.create, MAPS, {"metadata": {"name": f"news-{number}"}, "data": {"a": "1"}})
        heard: dict[int, float] = {}
        while len(heard) < WATCHERS:
            found = selector.select(5.0)
            if not found:
                raise RuntimeError(f"Only {len(heard)} of {WATCHERS} watches heard of a change.")
            for key, _ in found:
                if b"news" in read(key.fileobj):
                    heard.setdefault(key.fd, time.perf_counter() - began)
        made.result()
    return sorted(heard.values())[int(WATCHERS * 0.95) - 1]


def reader(credentials: Credentials, context: ssl.SSLContext, version: str) -> ssl.SSLSocket:
    """A connection with a requested watch."""
    address = urlsplit(credentials.server)
    plain = socket.create_connection((str(address.hostname), int(address.port or 443)), timeout=10)
    connection = context.wrap_socket(plain, server_hostname=str(address.hostname))
    token = f"Authorization: Bearer {credentials.token}\r\n" if credentials.token else ""
    head = f"GET {MAPS}?watch=true&resourceVersion={version} HTTP/1.1\r\nHost: cluster\r\n{token}\r\n"
    connection.sendall(head.encode())
    connection.setblocking(False)
    return connection


def read(connection: Any) -> bytes:
    """The bytes that have arrived on a connection."""
    found = b""
    while True:
        try:
            data: bytes = connection.recv(65536)
        except (ssl.SSLWantReadError, BlockingIOError):
            return found
        if not data:
            return found
        found += data


def drain(selector: selectors.BaseSelector) -> None:
    """Reads the headers of the answers."""
    while found := selector.select(0.2):
        for key, _ in found:
            read(key.fileobj)


def memory(directory: Path) -> float:
    """The memory of the simulated control plane with 500 running pods, in megabytes."""
    with SimulatedCluster(directory) as plane:
        line = command(plane.kubeconfig, nodes=5, speed=20)
        nodes = processes.spawn(
            line, log=directory / "nodes.log", env={"PATH": "/usr/bin:/bin"}, cwd=Path.cwd()
        )
        try:
            processes.wait_until(
                lambda: any(READY_LINE in text for text in nodes.last_lines()),
                [nodes],
                seconds=30,
                what="nodes",
            )
            api = Api.from_kubeconfig(plane.kubeconfig, user_agent="bench")
            ready(api)
            for number in range(10):
                api.create(DEPLOYMENTS, deployment(f"item-{number}", PODS // 10))
            wait_for_pods(api)
            status = Path(f"/proc/{plane.children[0].process.pid}/status").read_text()
            return int(status.partition("VmRSS:")[2].split()[0]) / 1024
        finally:
            processes.stop([nodes])


def wait_for_pods(api: Api) -> None:
    """Waits until all pods are ready."""
    deadline = time.monotonic() + 180
    while True:
        found = [d["status"].get("readyReplicas", 0) for d in api.get(DEPLOYMENTS)["items"]]
        if sum(found) >= PODS:
            return
        if time.monotonic() > deadline:
            raise RuntimeError(f"Only {sum(found)} of {PODS} pods are ready.")
        time.sleep(0.5)
