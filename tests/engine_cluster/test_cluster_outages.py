"""Cancelling, and clusters that go away in the middle."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from urllib.parse import urlsplit

import pytest
import yaml

import adapters.kubernetes.http as transport
from adapters.kubernetes.client import KubernetesClient
from adapters.kubernetes.limits import RetryPolicy
from engine.cluster.client import ApiError
from engine.types import ObjectRef, Progress
from tests.engine_cluster.conftest import QUICK, Cluster
from tests.engine_cluster.objects import PROBE, config_map, deployment, job, manifests
from tests.engine_cluster.proxy import Proxy
from tests.observer import Watching


class Cancelled(Exception):
    """What an observer raises to stop the engine."""


@pytest.fixture
def proxy(cluster: Cluster) -> Iterator[Proxy]:
    """The cluster's client goes through a proxy in this test; its own stays direct until then."""
    parts = urlsplit(cluster.client.server)
    made = Proxy(parts.hostname or "", parts.port or 0)
    yield made
    made.close()


@pytest.fixture
def behind(cluster: Cluster, proxy: Proxy) -> Iterator[Cluster]:
    """The same cluster by way of the proxy."""
    config = yaml.safe_load(cluster.kubeconfig.read_text())
    config["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{proxy.port}"
    retry = RetryPolicy(attempts=3, budget=3.0, base=0.05)
    with KubernetesClient.from_kubeconfig(
        yaml.safe_dump(config), user_agent="slipway/tests", retry=retry
    ) as client:
        yield replace(cluster, client=client)


def cancel_when(observer: Watching, question: Callable[[], bool]) -> None:
    def stop() -> None:
        if question():
            raise Cancelled

    observer.stop = stop


def threads_of_ours() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("slipway")]


def test_cancel_during_the_rollout_is_prompt_and_leaves_no_thread(cluster: Cluster) -> None:
    observer = Watching()
    asked: list[float] = []

    def now() -> bool:
        started = any(s.progress == Progress.PROGRESSING and s.action for s in observer.statuses)
        if started and not asked:
            asked.append(time.monotonic())
            return False
        return bool(asked) and time.monotonic() - asked[0] > 1.5

    cancel_when(observer, now)
    with pytest.raises(Cancelled):
        cluster.deploy(
            deployment(cluster.namespace, behaviour="never-ready", container=PROBE), observer=observer
        )
    gaps = [b - a for a, b in zip(observer.checks, observer.checks[1:], strict=False)]
    assert statistics.median(gaps) < 1.0, "checked at least once a second"
    deadline = time.monotonic() + 30
    while threads_of_ours():
        assert time.monotonic() < deadline, threads_of_ours()
        time.sleep(0.05)


def test_cancel_between_stages_writes_nothing_more(cluster: Cluster) -> None:
    observer = Watching()
    cancel_when(observer, lambda: any(status.ref.kind == "ConfigMap" for status in observer.statuses))
    with pytest.raises(Cancelled):
        cluster.deploy(config_map(cluster.namespace), deployment(cluster.namespace), observer=observer)
    assert cluster.get(f"{cluster.core}/configmaps/settings")
    assert cluster.get(f"{cluster.apps}/deployments")["items"] == []


def test_cancel_while_a_predeploy_job_runs(cluster: Cluster) -> None:
    observer = Watching()
    cancel_when(observer, lambda: "migrate: started" in observer.text)
    with pytest.raises(Cancelled):
        cluster.deploy(
            job(cluster.namespace, phase="predeploy", behaviour="job-hangs"),
            deployment(cluster.namespace),
            observer=observer,
        )
    assert cluster.get(f"{cluster.apps}/deployments")["items"] == []


def test_watches_that_break_are_mended_without_a_word(behind: Cluster, proxy: Proxy) -> None:
    observer = Watching()
    broken: list[float] = []

    def break_once() -> None:
        if not broken and any(status.progress == Progress.PROGRESSING for status in observer.statuses):
            broken.append(time.monotonic())
            proxy._break_all()

    observer.stop = break_once
    result, _ = behind.deploy(
        deployment(behind.namespace, behaviour="slow:6", container=PROBE), observer=observer
    )
    assert broken
    assert result.ok


def test_half_open_watches_are_noticed(
    behind: Cluster, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connections stay open, but nothing comes through them any more."""
    monkeypatch.setattr(transport, "STREAM_TIMEOUT", 1.0)
    observer = Watching()
    with behind.rollout(
        manifests(deployment(behind.namespace, behaviour="slow:3", container=PROBE)), observer
    ) as rollout:
        rollout.apply()
        proxy.freeze()
        threading.Timer(2.0, proxy.mend).start()
        result = rollout.wait()
    assert result.ok


def test_a_cluster_that_comes_back_is_waited_for(behind: Cluster, proxy: Proxy) -> None:
    observer = Watching()
    with behind.rollout(
        manifests(deployment(behind.namespace, behaviour="slow:6", container=PROBE)), observer
    ) as rollout:
        rollout.apply()
        proxy.cut()
        threading.Timer(3.0, proxy.mend).start()
        result = rollout.wait()
    assert result.ok
    assert "Trying again." in observer.text
    assert "The cluster answers again." in observer.text


def test_a_cluster_that_stays_away_is_given_up_and_is_not_the_releases_fault(
    behind: Cluster, proxy: Proxy
) -> None:
    limits = replace(QUICK, silence=2.0)
    given = manifests(deployment(behind.namespace, behaviour="never-ready", container=PROBE))
    with behind.rollout(given, Watching(), limits=limits) as rollout:
        rollout.apply()
        proxy.cut()
        with pytest.raises(ApiError) as caught:  # not the end of the deploy's time
            rollout.wait()
    assert caught.value.status == 0


def test_a_cluster_that_goes_away_between_stages(behind: Cluster, proxy: Proxy) -> None:
    observer = Watching()

    def cut_once() -> None:
        if any(status.ref.kind == "ConfigMap" for status in observer.statuses):
            proxy.cut()

    observer.stop = cut_once
    with pytest.raises(ApiError) as caught:
        behind.deploy(config_map(behind.namespace), deployment(behind.namespace), observer=observer)
    assert caught.value.status == 0
    assert (
        observer.last(ObjectRef("ConfigMap", "", behind.namespace, "settings")).progress == Progress.APPLIED
    )


def test_a_cluster_that_is_away_from_the_start(behind: Cluster, proxy: Proxy) -> None:
    proxy.cut()
    with pytest.raises(ApiError, match="does not answer"):
        behind.deploy(config_map(behind.namespace))
    with pytest.raises(ApiError, match="does not answer"):
        behind.preview(config_map(behind.namespace))
