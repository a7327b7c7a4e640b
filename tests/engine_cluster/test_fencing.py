"""No write of work that another worker has taken over takes effect, and none lands after the work was called off."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from engine.cluster.client import Answer, ApiError, called_off
from engine.cluster.parallel import Outcomes, Talk
from engine.errors import Stop
from engine.types import Json
from tests.engine_cluster.conftest import Cluster, Watching
from tests.engine_cluster.objects import config_map, deployment, manifests


class TakenOver(Stop):
    """What an observer raises whose deploy another worker has."""

    patience = 0.0


@dataclass
class Before:
    """A client that calls `happens` before its first write."""

    client: Any
    happens: Callable[[], object]
    writes: list[Json] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.client, name)

    def send(self, method: str, path: str, **options: Any) -> Answer:
        if method == "PATCH" and "dryRun" not in (options.get("query") or {}):
            with self.lock:
                if not self.writes:
                    self.happens()
                self.writes.append(options["body"])
        return self.client.send(method, path, **options)

    def request(self, method: str, path: str, **options: Any) -> Json:
        return self.send(method, path, **options).body


@dataclass
class Refusing(Watching):
    """Knows that another worker has the deploy only when it is asked to confirm."""

    def confirm(self) -> None:
        self.confirmed += 1
        raise TakenOver("Another worker has the run.")


def deploy(cluster: Cluster, observer: Watching, happens: Callable[[], object], *bodies: Json) -> Before:
    """A whole deploy during which something happens between the plan and the first write."""
    client = Before(cluster.client, happens)
    at_work = replace(cluster, client=client)  # type: ignore[arg-type]
    with at_work.rollout(manifests(*bodies), observer) as rollout:
        rollout.apply()
        rollout.wait()
    return client


def test_an_older_write_over_a_newer_one_takes_no_effect(cluster: Cluster) -> None:
    where = cluster.namespace
    cluster.deploy(config_map(where, KEY="first"))
    observer = Refusing()
    newer = lambda: cluster.deploy(config_map(where, KEY="newer"))  # noqa: E731
    with pytest.raises(TakenOver):
        deploy(cluster, observer, newer, config_map(where, KEY="older"))
    assert cluster.get(f"{cluster.core}/configmaps/settings")["data"] == {"KEY": "newer"}
    assert observer.confirmed == 1


def test_nor_does_a_creation(cluster: Cluster) -> None:
    where = cluster.namespace
    newer = lambda: cluster.deploy(config_map(where, KEY="newer"))  # noqa: E731
    with pytest.raises(TakenOver):
        deploy(cluster, Refusing(), newer, config_map(where, KEY="older"))
    assert cluster.get(f"{cluster.core}/configmaps/settings")["data"] == {"KEY": "newer"}


def test_who_still_has_the_deploy_reads_again_and_goes_on(cluster: Cluster) -> None:
    """A label by another program, or a status by a controller, is no reason to fail."""
    where = cluster.namespace
    cluster.deploy(config_map(where, KEY="first"), deployment(where))
    path = f"{cluster.apps}/deployments/web"

    def label() -> None:
        body = {"metadata": {"labels": {"by": "somebody"}}}
        cluster.client.request("PATCH", path, body=body, content_type="application/merge-patch+json")

    observer = Watching()
    changed = deployment(where, container={"env": [{"name": "A", "value": "1"}]})
    deploy(cluster, observer, label, changed)
    live = cluster.get(path)
    assert live["spec"]["template"]["spec"]["containers"][0]["env"] == [{"name": "A", "value": "1"}]
    assert live["metadata"]["labels"]["by"] == "somebody"
    assert observer.confirmed >= 1


def test_an_object_costs_one_request_where_nobody_interferes(cluster: Cluster) -> None:
    where = cluster.namespace
    bodies = [config_map(where, f"settings-{number}") for number in range(5)]
    for _ in ("created", "changed"):
        client = deploy(cluster, Watching(), lambda: None, *bodies)
        assert len(client.writes) == 5
        for body in bodies:
            body["data"] = {"KEY": "changed"}


def test_who_may_not_list_reads_each_object_before_it_writes(cluster: Cluster) -> None:
    where = cluster.namespace
    cluster.deploy(config_map(where, KEY="first"))

    class NoLists(Before):
        def send(self, method: str, path: str, **options: Any) -> Answer:
            if method == "GET" and path.endswith("/configmaps"):
                raise ApiError("forbidden", status=403, reason="Forbidden")
            return super().send(method, path, **options)

    client: Any = NoLists(cluster.client, lambda: None)
    with replace(cluster, client=client).rollout(
        manifests(config_map(where, KEY="next")), Watching()
    ) as rollout:
        rollout.apply()
    (written,) = client.writes
    assert int(written["metadata"]["resourceVersion"]) > 1


@dataclass
class Stopping(Watching):
    """Stops the work as soon as it has begun."""

    begun: threading.Event = field(default_factory=threading.Event)
    patience: float = 35.0

    def check(self) -> None:
        if self.begun.is_set():
            stop = Stop("Cancelled.")
            stop.patience = self.patience
            raise stop


def test_a_stop_waits_for_requests_under_way() -> None:
    observer, ended = Stopping(), []

    def work(item: int, talk: Talk) -> None:
        observer.begun.set()
        time.sleep(0.8)
        ended.append(item)

    with pytest.raises(Stop):
        list(Outcomes(range(40), work, observer, threads=2, writes=True))
    assert sorted(ended) == [0, 1], "what was under way has ended, the rest has not begun"
    time.sleep(0.3)
    assert sorted(ended) == [0, 1]


def test_it_does_not_wait_longer_than_the_stop_allows() -> None:
    observer = Stopping(patience=0.2)
    released = threading.Event()

    def work(item: int, talk: Talk) -> None:
        observer.begun.set()
        released.wait(10)

    started = time.monotonic()
    with pytest.raises(Stop):
        list(Outcomes(range(2), work, observer, writes=True))
    assert time.monotonic() - started < 5
    released.set()


def test_nothing_is_repeated_once_the_work_is_called_off() -> None:
    from adapters.kubernetes.errors import KubernetesError
    from adapters.kubernetes.limits import RetryPolicy

    observer, tries = Stopping(), []

    def work(item: int, talk: Talk) -> None:
        def once() -> None:
            tries.append(item)
            observer.begun.set()
            raise KubernetesError("busy", status=503)

        assert called_off.get() is talk.stopping
        RetryPolicy(base=5.0, cap=5.0, budget=60.0).repeated(once)

    with pytest.raises(Stop):
        list(Outcomes(range(1), work, observer, writes=True))
    assert tries == [0]


def test_a_question_is_answered_by_the_thread_that_called_the_engine() -> None:
    asked: list[str] = []

    class Asked(Watching):
        def confirm(self) -> None:
            asked.append(threading.current_thread().name)

    def work(item: int, talk: Talk) -> int:
        talk.confirm()
        return item

    assert sorted(found for _, found in Outcomes(range(3), work, Asked())) == [0, 1, 2]
    assert set(asked) == {threading.current_thread().name}
