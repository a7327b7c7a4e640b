"""What runs is read from the cluster by a job and kept; a cluster that is gone changes nothing but the note about it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.utils import timezone

from adapters.errors import Unavailable
from adapters.kubernetes.client import ClusterFacts
from clusters import jobs, services
from clusters.models import LiveState
from clusters.services import refresh_environment, stale_environments, worst
from core.redactor import MASK, redacting
from core.scheduler import take_lease
from engine.cluster.client import ApiError
from engine.cluster.live import Live, Workload
from engine.health.pulling import FailedPull
from engine.types import ObjectRef
from projects.models import Cluster, Environment
from tests.factories import make_cluster, make_environment

pytestmark = pytest.mark.django_db


def workload(
    name: str = "web", health: str = "healthy", sentence: str = "2 of 2 replicas ready", **more: Any
) -> Workload:
    given = {"images": ("r.example/web:1",), "desired": 2, "ready": 2, "updated": 2, "managed": True, **more}
    return Workload(ObjectRef("Deployment", "apps", "ns", name), health=health, sentence=sentence, **given)


class FakeClient:
    closed = 0

    def close(self) -> None:
        FakeClient.closed += 1

    def probe(self) -> ClusterFacts:
        return ClusterFacts("v1.37.2", "linux/amd64")


@pytest.fixture
def environment() -> Environment:
    return make_environment()


@pytest.fixture(autouse=True)
def answer(monkeypatch: pytest.MonkeyPatch) -> Any:
    """`answer(workloads)` or `answer(error)`: what the cluster says from now on."""
    FakeClient.closed = 0
    monkeypatch.setattr(services, "hasty_client", lambda cluster, purpose: FakeClient())

    def says(given: Any, beside: tuple[FailedPull, ...] = ()) -> None:
        def read(client: Any, namespace: str, *, environment_label: str) -> Live:
            if isinstance(given, Exception):
                raise given
            return Live(list(given), beside)

        monkeypatch.setattr(services, "read_all", read)

    return says


def test_the_answer_is_kept_with_its_time(environment: Environment, answer: Any) -> None:
    answer([workload(), workload("worker")])
    assert refresh_environment(environment)
    state = LiveState.objects.get()
    assert (state.health, state.sentence, state.error) == ("healthy", "4 of 4 replicas ready.", "")
    assert [row["name"] for row in state.workloads] == ["web", "worker"]
    assert state.read_at == state.tried_at
    assert environment.cluster.last_error == ""
    assert Cluster.objects.get().last_seen is not None
    assert FakeClient.closed == 1


@pytest.mark.parametrize("error", [Unavailable("It does not answer.", system="Kubernetes")])
def test_a_cluster_that_is_gone_leaves_the_old_answer(
    environment: Environment, answer: Any, error: Exception
) -> None:
    answer([workload()])
    refresh_environment(environment)
    before = LiveState.objects.get()
    answer(error)
    assert not refresh_environment(environment)
    state = LiveState.objects.get()
    assert (state.health, state.workloads, state.read_at) == (before.health, before.workloads, before.read_at)
    assert state.error == "It does not answer."
    assert state.tried_at > before.tried_at
    assert Cluster.objects.get().last_error == "It does not answer."
    assert FakeClient.closed == 2


def test_when_it_answers_again_the_note_goes(environment: Environment, answer: Any) -> None:
    answer(Unavailable("It does not answer.", system="Kubernetes"))
    refresh_environment(environment)
    assert LiveState.objects.get().health == "unknown"
    answer([])
    assert refresh_environment(environment)
    state = LiveState.objects.get()
    assert (state.health, state.sentence, state.error) == ("empty", "Nothing runs here.", "")
    assert Cluster.objects.get().last_error == ""


def test_no_right_on_one_namespace_says_nothing_against_the_cluster(
    environment: Environment, answer: Any
) -> None:
    answer(ApiError("pods is forbidden", status=403, reason="Forbidden"))
    assert not refresh_environment(environment)
    assert LiveState.objects.get().error == "pods is forbidden"
    assert Cluster.objects.get().last_error == ""


def test_a_kubeconfig_that_cannot_be_used_is_a_note_too(
    environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(cluster: Cluster, purpose: str) -> None:
        raise Unavailable("No such host.", system="Kubernetes")

    monkeypatch.setattr(services, "hasty_client", refuse)
    assert not refresh_environment(environment)
    assert LiveState.objects.get().error == "No such host."


def test_no_value_gets_into_what_is_kept(environment: Environment, answer: Any) -> None:
    answer([workload(health="degraded", sentence="exit: canary-value")])
    with redacting() as redactor:
        redactor.add(["canary-value"])
        refresh_environment(environment)
        answer(Unavailable("canary-value refused", system="Kubernetes"))
        refresh_environment(environment)
    state = LiveState.objects.get()
    assert state.workloads[0]["sentence"] == f"exit: {MASK}"
    assert "canary" not in state.sentence + state.error + Cluster.objects.get().last_error


@pytest.mark.parametrize(
    ("healths", "expected"),
    [
        (["healthy", "degraded", "progressing"], "degraded"),
        (["healthy", "progressing"], "progressing"),
        (["suspended", "healthy"], "suspended"),
        (["healthy", "unknown"], "unknown"),
        (["healthy"], "healthy"),
        ([], "empty"),
    ],
)
def test_an_environment_is_as_healthy_as_its_worst_workload(healths: list[str], expected: str) -> None:
    assert worst([workload(health=health) for health in healths])[0] == expected


def test_what_is_old_is_asked_for_the_oldest_first(environment: Environment) -> None:
    now = timezone.now()
    never, fresh = make_environment(), make_environment()
    for place, age in ((environment, 100), (fresh, 5)):
        LiveState.objects.create(environment=place, tried_at=now - timedelta(seconds=age))
    Environment.objects.update(cluster=environment.cluster)
    assert stale_environments(30, environment.cluster) == [never, environment]


def test_the_tick_asks_for_one_job_a_cluster(
    environment: Environment, monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Any
) -> None:
    """However many environments it has."""
    other = make_environment(cluster=make_cluster())
    for _ in range(3):
        make_environment(cluster=environment.cluster)
    pushed: list[tuple[Any, ...]] = []
    monkeypatch.setattr(
        "core.jobs.push", lambda func, ids, queue, job_id, **_: pushed.append((func, ids, queue, job_id))
    )
    with django_capture_on_commit_callbacks(execute=True):
        jobs.refresh_stale()
    assert {(func, queue) for func, _, queue, _ in pushed} == {("clusters.jobs.refresh_cluster", "live")}
    assert sorted(ids for _, ids, *_ in pushed) == sorted([(environment.cluster_id,), (other.cluster_id,)])


def test_an_environment_that_is_gone_is_nothing_to_do() -> None:
    jobs.refresh_live(4711)
    assert not LiveState.objects.exists()


def test_the_job_reads_its_environment(environment: Environment, answer: Any) -> None:
    make_environment(cluster=make_cluster())
    answer([workload()])
    jobs.refresh_live(environment.pk)
    assert LiveState.objects.get().environment == environment


def test_a_cluster_that_is_gone_is_asked_once_not_by_each_environment(
    environment: Environment, answer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others only get the reason."""
    others = [make_environment(cluster=environment.cluster) for _ in range(3)]
    asked: list[str] = []

    def connect(cluster: Cluster, purpose: str) -> FakeClient:
        asked.append(cluster.slug)
        return FakeClient()

    monkeypatch.setattr(services, "hasty_client", connect)
    answer(Unavailable("It does not answer.", system="Kubernetes"))
    jobs.refresh_cluster(environment.cluster_id)
    assert len(asked) == 1
    assert list(LiveState.objects.values_list("error", flat=True)) == ["It does not answer."] * (
        1 + len(others)
    )
    assert stale_environments(30, environment.cluster) == []


def test_many_environments_are_read_over_one_connection_and_only_those_that_are_due(
    environment: Environment, answer: Any
) -> None:
    answer([workload()])
    for _ in range(3):
        make_environment(cluster=environment.cluster)
    jobs.refresh_cluster(environment.cluster_id)
    jobs.refresh_cluster(environment.cluster_id)
    assert FakeClient.closed == 2
    assert LiveState.objects.filter(health="healthy").count() == 4


def test_a_slow_cluster_gives_way_after_its_time(
    environment: Environment, answer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rest is read by the next job: other clusters wait in the same queue."""
    others = [make_environment(cluster=environment.cluster) for _ in range(3)]
    clock = iter(range(0, 1000, 8))  # each look at the clock is 8 s later
    monkeypatch.setattr(jobs.time, "monotonic", lambda: float(next(clock)))
    answer([workload()])
    jobs.refresh_cluster(environment.cluster_id)
    assert LiveState.objects.count() == 2
    jobs.refresh_cluster(environment.cluster_id)
    assert LiveState.objects.count() == 1 + len(others)


def test_of_two_jobs_for_one_cluster_one_reads(environment: Environment, answer: Any) -> None:
    answer([workload()])
    assert take_lease(f"live-{environment.cluster_id}", "another worker", 40)
    jobs.refresh_cluster(environment.cluster_id)
    assert not LiveState.objects.exists()


def test_without_a_key_for_the_kubeconfig_each_environment_says_so(
    environment: Environment, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    monkeypatch.undo()
    settings.ENCRYPTION_KEYS = [Fernet.generate_key().decode()]
    jobs.refresh_cluster(environment.cluster_id)
    assert "cannot be decrypted" in LiveState.objects.get().error


def test_what_pods_cannot_pull_is_kept_without_values(environment: Environment, answer: Any) -> None:
    born, message = "2026-11-01T00:00:00Z", "401 for canary-registry-password"
    pull = FailedPull("web-1", "web", "r.example/web:1", message, ("ecr-pull",), born)
    answer([workload(health="failing", pulls=(pull,) * 30), workload("calm")])
    with redacting() as redactor:
        redactor.add(["canary-registry-password"])
        assert refresh_environment(environment)
    failing, calm = LiveState.objects.get().workloads
    assert len(failing["pulls"]) == services.MOST_PULLS
    assert failing["pulls"][0] == {
        "pod": "web-1", "container": "web", "image": "r.example/web:1", "message": f"401 for {MASK}", "secrets": ["ecr-pull"],
        "born": "2026-11-01T00:00:00Z", "owner": "",
    }  # fmt: skip
    assert "pulls" not in calm


def test_what_pods_of_jobs_cannot_pull_is_kept_and_goes_with_the_next_answer(
    environment: Environment, answer: Any
) -> None:
    pull = FailedPull("backup-1", "backup", "r.example/backup:1", "401", (), "2026-11-01T00:00:00Z", "Job")
    answer([workload()], beside=(pull,) * 30)
    assert refresh_environment(environment)
    state = LiveState.objects.get()
    assert (state.health, len(state.pulls)) == ("healthy", services.MOST_PULLS)
    assert (state.pulls[0]["pod"], state.pulls[0]["owner"]) == ("backup-1", "Job")
    answer([workload()])
    assert refresh_environment(environment)
    assert LiveState.objects.get().pulls == []


def test_the_version_of_a_cluster_that_was_never_tried_is_learnt_by_its_first_look(
    environment: Environment, answer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer([workload()])
    Cluster.objects.update(version="")
    jobs.refresh_cluster(environment.cluster.pk)
    assert Cluster.objects.get().version == "v1.37.2"
    monkeypatch.setattr(FakeClient, "probe", lambda self: ClusterFacts("v9", ""))
    jobs.refresh_cluster(environment.cluster.pk)
    assert Cluster.objects.get().version == "v1.37.2"
