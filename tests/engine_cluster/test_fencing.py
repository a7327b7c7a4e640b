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
from engine.types import Action, Json
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


def test_nor_over_an_object_that_the_newer_one_found_as_it_wants_it(cluster: Cluster) -> None:
    """Nothing changes its version then, unless the newer deploy marks it: it does where a worker was given up."""
    where = cluster.namespace
    bodies = [config_map(where, KEY="same"), deployment(where)]
    cluster.deploy(*bodies)
    newer = Watching()
    older = Refusing()
    with pytest.raises(TakenOver):
        deploy(
            cluster,
            older,
            lambda: cluster.deploy(*bodies, observer=newer, mark="7.1"),
            config_map(where, KEY="older"),
            deployment(where, container={"env": [{"name": "A", "value": "older"}]}),
        )
    assert older.confirmed == 1
    assert {status.action for status in newer.statuses if status.action} == {Action.UNCHANGED}
    live = cluster.get(f"{cluster.core}/configmaps/settings")
    assert live["data"] == {"KEY": "same"}
    assert live["metadata"]["annotations"]["slipway.dev/fence"] == "7.1"
    container = cluster.get(f"{cluster.apps}/deployments/web")["spec"]["template"]["spec"]["containers"][0]
    assert "env" not in container
    cluster.deploy(*bodies, observer=(later := Watching()))
    assert {status.action for status in later.statuses if status.action} == {Action.UNCHANGED}


def test_marking_costs_one_request_for_each_object_that_exists(cluster: Cluster) -> None:
    where = cluster.namespace
    cluster.deploy(config_map(where, "old"))
    client: Any = Before(cluster.client, lambda: None)
    bodies = manifests(config_map(where, "old"), config_map(where, "new"))
    with replace(cluster, client=client).rollout(bodies, Watching(), mark="8.1") as rollout:
        rollout.apply()
    names = [body["metadata"].get("name") for body in client.writes]
    assert (names[0], sorted(names[1:])) == (None, ["new", "old"])


def test_a_worker_that_is_not_sure_asks_before_it_creates(cluster: Cluster) -> None:
    """A creation has no version to be refused by: a process that was stopped asks first whether it still has the deploy."""

    class Woken(Refusing):
        def is_sure(self) -> bool:
            return False

    observer = Woken()
    with pytest.raises(TakenOver):
        deploy(cluster, observer, lambda: None, config_map(cluster.namespace, KEY="late"))
    assert observer.confirmed == 1
    with pytest.raises(ApiError) as refused:
        cluster.get(f"{cluster.core}/configmaps/settings")
    assert refused.value.status == 404


def test_who_is_confirmed_goes_on(cluster: Cluster) -> None:
    class Unsure(Watching):
        def is_sure(self) -> bool:
            return self.confirmed > 0

    observer = Unsure()
    deploy(cluster, observer, lambda: None, config_map(cluster.namespace, KEY="mine"))
    assert cluster.get(f"{cluster.core}/configmaps/settings")["data"] == {"KEY": "mine"}
    assert observer.confirmed == 1


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


def test_so_does_a_caller_that_gives_up_after_an_error() -> None:
    """The cluster does not answer one request; the others may still land, and the deploy must not end before."""
    begun, ended = threading.Event(), []

    def work(item: int, talk: Talk) -> None:
        if item:
            begun.set()
            time.sleep(0.5)
            ended.append(item)
            return
        begun.wait(60)
        raise ApiError("no answer", status=0)

    def first() -> None:
        for _, outcome in Outcomes(range(2), work, Watching(), writes=True):
            if isinstance(outcome, ApiError):
                raise outcome

    with pytest.raises(ApiError):
        first()
    assert ended == [1]


def test_it_does_not_wait_longer_than_the_stop_allows() -> None:
    observer = Stopping(patience=0.2)
    released = threading.Event()

    def work(item: int, talk: Talk) -> None:
        observer.begun.set()
        released.wait(90)

    started = time.monotonic()
    with pytest.raises(Stop):
        list(Outcomes(range(2), work, observer, writes=True))
    assert time.monotonic() - started < 30
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
