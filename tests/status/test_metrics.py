"""/metrics: closed to everybody but its readers, and its values come from rows."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families

from audit.actors import SYSTEM_ACTOR
from audit.models import AuditEvent
from audit.record import record
from core import status
from core.status import Sample
from notify.models import Outgoing
from portal.status import watch
from portal.status.pulse import Bell, Queue, Records
from tests.factories import make_cluster, make_deploy, make_environment, make_user

pytestmark = pytest.mark.django_db
TOKEN = "a-token-of-the-scraper"


@pytest.fixture
def scrape(client: Client, settings: Any, all_lives: None) -> Callable[[], dict[str, float]]:
    """The values by name and labels, whose names are in order."""
    settings.METRICS_TOKEN = TOKEN

    def values() -> dict[str, float]:
        answer = client.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
        assert answer.status_code == 200
        assert answer["Content-Type"].startswith("text/plain; version=")
        return {
            sample.name + "".join(f",{value}" for _, value in sorted(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(answer.content.decode())
            for sample in family.samples
        }

    return values


@pytest.mark.parametrize(
    ("token", "networks", "given", "address", "expected"),
    [
        ("", [], "", "127.0.0.1", 404),
        ("", [], "Bearer ", "127.0.0.1", 404),  # switched off: an empty token opens nothing
        (TOKEN, [], "", "127.0.0.1", 404),
        (TOKEN, [], f"Bearer {TOKEN}", "192.0.2.1", 200),
        (TOKEN, [], f"bearer {TOKEN}", "192.0.2.1", 200),
        (TOKEN, [], f"Basic {TOKEN}", "192.0.2.1", 404),
        (TOKEN, [], f"Bearer {TOKEN}x", "192.0.2.1", 404),
        (TOKEN, [], "Bearer \u00fc", "192.0.2.1", 404),
        ("", ["10.0.0.0/8"], "", "10.1.2.3", 200),
        ("", ["10.0.0.0/8"], "", "192.0.2.1", 404),
        ("", ["10.0.0.0/8"], "", "not an address", 404),
    ],
)
def test_who_may_read_it(
    client: Client, settings: Any, all_lives: None, token: str, networks: list[str], given: str, address: str, expected: int,
) -> None:  # fmt: skip
    settings.METRICS_TOKEN, settings.METRICS_NETWORKS = token, networks
    headers = {"Authorization": given} if given else {}
    assert client.get("/metrics", headers=headers, REMOTE_ADDR=address).status_code == expected


def test_a_signed_in_admin_may_not(as_admin: Client) -> None:
    assert as_admin.get("/metrics").status_code == 404


def test_an_outsider_behind_the_proxy_is_not_in_its_network(client: Client, settings: Any) -> None:
    settings.METRICS_NETWORKS = settings.TRUSTED_PROXIES = ["10.0.0.0/8"]
    answer = client.get("/metrics", headers={"X-Forwarded-For": "192.0.2.1"}, REMOTE_ADDR="10.0.0.1")
    assert answer.status_code == 404


def test_the_portals_own_parts(scrape: Any, redis_answers: Callable[[Bell], None]) -> None:
    redis_answers(Bell("", 0.002, (Queue("deploys", 3, 12.5), Queue("short", 0, None))))
    values = scrape()
    assert values["slipway_redis_up"] == values["slipway_scheduler_up"] == 1
    assert values["slipway_queue_jobs,deploys"] == 3
    assert values["slipway_queue_oldest_seconds,deploys"] == 12.5
    assert values["slipway_queue_workers,short"] == 1
    assert values["slipway_heartbeat_age_seconds,inner-host,worker,100,deploys"] < 5


def test_without_redis_and_scheduler(scrape: Any, redis_answers: Callable[[Bell], None]) -> None:
    from core.models import Lease

    Lease.objects.all().delete()
    redis_answers(Bell("does not answer", 0.0))
    values = scrape()
    assert values["slipway_redis_up"] == values["slipway_scheduler_up"] == 0
    assert "slipway_queue_jobs,deploys" not in values


def test_runs_and_how_long_they_took(scrape: Any) -> None:
    environment, now = make_environment(), timezone.now()
    for seconds in (5, 45, 5000):
        make_deploy(environment, "succeeded", started_at=now - timedelta(seconds=seconds), ended_at=now)
    make_deploy(environment, "failed", started_at=now - timedelta(seconds=70), ended_at=now)
    make_deploy(environment, "running", started_at=now)
    values = scrape()
    assert values["slipway_runs,deploy,succeeded"] == 3
    assert values["slipway_runs,deploy,running"] == 1
    name = "slipway_run_duration_seconds"
    assert values[f"{name}_bucket,deploy,10.0,succeeded"] == 1
    assert values[f"{name}_bucket,deploy,60.0,succeeded"] == 2
    assert values[f"{name}_bucket,deploy,+Inf,succeeded"] == values[f"{name}_count,deploy,succeeded"] == 3
    assert values[f"{name}_sum,deploy,succeeded"] == pytest.approx(5050)
    assert values[f"{name}_bucket,deploy,120.0,failed"] == 1


def test_outbox_clusters_and_audit(scrape: Any) -> None:
    old = Outgoing.objects.create(kind="slack", recipient="#x", key="k")
    Outgoing.objects.filter(pk=old.pk).update(created_at=timezone.now() - timedelta(seconds=100))
    make_cluster(name="London", last_seen=timezone.now())
    make_cluster(name="Paris", last_error="Nobody is there.")
    record(SYSTEM_ACTOR, "cluster.created", target_kind="cluster", target_id=1, target_text="x")
    AuditEvent.objects.update(at=timezone.now() - timedelta(seconds=90))
    values = scrape()
    assert values["slipway_outbox_waiting"] == 1
    assert values["slipway_outbox_oldest_seconds"] >= 100
    assert values["slipway_cluster_up,London"] == 1
    assert values["slipway_cluster_up,Paris"] == values["slipway_dependency_up,Clusters,Paris"] == 0
    assert values["slipway_audit_unchained"] == 1
    assert 60 <= values["slipway_audit_lag_seconds"] < 80


def test_apps_add_values(scrape: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status, "_samples", [])
    one = Sample("slipway_credential_hours", "Hours left.", 2.5, {"cluster": "London"})
    status.register(samples=lambda: [one])
    assert scrape()["slipway_credential_hours,London"] == 2.5


def test_without_a_database_it_says_so(
    client: Client, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.METRICS_TOKEN = TOKEN
    monkeypatch.setattr(watch.RECORDS, "read", lambda: Records("does not answer", 0.1))
    assert client.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 503


def test_the_number_of_queries_does_not_grow(scrape: Any, django_assert_max_num_queries: Any) -> None:
    make_user()
    environment = make_environment()
    for _ in range(20):
        make_deploy(environment)
        make_cluster()
    with django_assert_max_num_queries(19):
        scrape()
