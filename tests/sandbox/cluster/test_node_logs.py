"""Logs of played pods, read through the API server as `kubectl logs` reads them."""

from __future__ import annotations

import subprocess
import threading
import time

import pytest

from sandbox.cluster.api import ApiFailed
from tests.planes import Plane, kubectl_program
from tests.sandbox.fake_registry import FakeRegistry
from tests.sandbox.played import Shop, until

LINES = "one\ntwo\nthree"


@pytest.fixture
def running(shop: Shop, registry: FakeRegistry) -> Shop:
    shop.run(registry.push("web:1", log=LINES))
    shop.ready()
    return shop


def test_all_lines(running: Shop) -> None:
    assert running.log() == "one\ntwo\nthree\n"


def test_the_last_lines(running: Shop) -> None:
    assert running.log(tailLines="2") == "two\nthree\n"
    assert running.log(tailLines="0") == ""
    assert running.log(tailLines="9") == "one\ntwo\nthree\n"


def test_with_times_in_order(running: Shop) -> None:
    times = [line.split(" ")[0] for line in running.log(timestamps="true").splitlines()]
    assert times == sorted(set(times))
    assert all(t.endswith("Z") and "T" in t for t in times)


def test_since(running: Shop) -> None:
    assert running.log(sinceSeconds="3600") == "one\ntwo\nthree\n"
    time.sleep(1.1)
    assert running.log(sinceSeconds="1") == ""
    assert running.log(sinceTime="2020-01-01T00:00:00Z") == "one\ntwo\nthree\n"


def test_limited_bytes(running: Shop) -> None:
    assert running.log(limitBytes="5") == "one\nt"


def test_no_previous_run(running: Shop) -> None:
    with pytest.raises(
        ApiFailed, match=r'previous terminated container \\?"main\\?" in pod \\?"web\\?" not found'
    ) as refused:
        running.log(previous="true")
    assert refused.value.status == 400


def test_waiting_containers_have_no_log(shop: Shop, registry: FakeRegistry) -> None:
    shop.run(f"{registry.host}/web:missing")
    shop.waits_for("ImagePullBackOff")
    with pytest.raises(ApiFailed, match="is waiting to start: trying and failing to pull image") as refused:
        shop.log()
    assert refused.value.status == 400


def test_previous_and_current_run_after_a_restart(shop: Shop, registry: FakeRegistry) -> None:
    registry_image = registry.push("web:1", "crash-later:6", "first")
    shop.run(registry_image, container={"imagePullPolicy": "Always"})
    shop.ready()
    registry.push("web:1", "ready", "second")
    until(lambda: shop.container()["restartCount"] == 1 and shop.container()["ready"], what="the second run")
    assert shop.log() == "second\n"
    assert shop.log(previous="true") == "first\n"


def test_following_ends_with_the_container(shop: Shop, registry: FakeRegistry, cluster: Plane) -> None:
    shop.run(registry.push("web:1", "crash-later:8", LINES))
    shop.ready()
    began = time.monotonic()
    done = _kubectl(cluster, "logs", "-f", "web", "-n", shop.name)
    assert done.stdout == "one\ntwo\nthree\n"
    assert time.monotonic() - began > 0.5, "it did not follow"


def test_kubectl_logs(running: Shop, cluster: Plane) -> None:
    done = _kubectl(cluster, "logs", "web", "-c", "main", "--tail=1", "--prefix", "-n", running.name)
    assert done.stdout == "[pod/web/main] three\n"


def test_following_costs_little_when_readers_leave(running: Shop, cluster: Plane) -> None:
    """Readers that go away in the middle leave nothing that fails."""
    line = [
        kubectl_program(),
        f"--kubeconfig={cluster.kubeconfig}",
        "logs",
        "-f",
        "web",
        "-n",
        running.name,
    ]
    readers = [subprocess.Popen(line, stdout=subprocess.PIPE) for _ in range(3)]
    for reader in readers:
        assert reader.stdout is not None
        assert reader.stdout.readline() == b"one\n"
        reader.kill()
        reader.wait()
        reader.stdout.close()
    assert running.log() == "one\ntwo\nthree\n"


def test_many_readers_at_once(running: Shop) -> None:
    texts: list[str] = []
    threads = [threading.Thread(target=lambda: texts.append(running.log())) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert texts == ["one\ntwo\nthree\n"] * 10


def _kubectl(cluster: Plane, *words: str) -> subprocess.CompletedProcess[str]:
    line = [str(kubectl_program()), f"--kubeconfig={cluster.kubeconfig}", *words]
    return subprocess.run(line, capture_output=True, text=True, timeout=30, check=True)
