"""Who may write, and what remains of a worker that was killed."""

from __future__ import annotations

import threading
from collections import Counter
from contextlib import closing
from datetime import timedelta

import pytest
from django.db import connection

from audit.models import AuditEvent
from core.redactor import redacting
from projects.connections import hasty_client
from projects.models import Cluster
from registry import deploys, leases, running
from registry import writing as writing_module
from registry.models import Cause, Credential, Refresh, State
from registry.policies import policy_of
from registry.reconcile import Ask, Look, lease_of

HOUR = timedelta(hours=1)


@pytest.mark.django_db
def test_a_lease_has_one_holder_and_a_growing_fence():
    first = leases.take("cluster-1")
    assert leases.take("cluster-1") is None
    leases.release(first)
    second = leases.take("cluster-1")
    assert second.fence == first.fence + 1
    with pytest.raises(leases.LeaseLost):
        leases.renew(first)
    leases.renew(second)


@pytest.mark.django_db
def test_a_lease_that_is_not_renewed_ends():
    first = leases.take("token-x", seconds=0)
    second = leases.take("token-x")
    assert second is not None
    with pytest.raises(leases.LeaseLost), leases.fenced(first):
        raise AssertionError("it must not be entered")


def in_threads(count: int, work) -> list:
    """Runs `work` at once in so many threads, each with its own connection; their results."""
    found, gate = [], threading.Barrier(count)

    def run(number: int) -> None:
        gate.wait()
        try:
            found.append(work(number))
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return found


@pytest.mark.django_db(transaction=True)
def test_two_schedulers_make_one_token_and_one_write(place, transactional_db):
    environment = place.home()
    place.world.slow = 0.3
    reports = in_threads(2, lambda _: place.look())
    assert len(place.world.asked) == 1
    assert sorted(report.fault is running.BUSY for report in reports) == [False, True]
    assert place.pulls(environment)


@pytest.mark.django_db(transaction=True)
def test_many_deploys_at_once_make_one_token_and_no_conflict(place, transactional_db):
    environments = [place.home() for _ in range(4)]
    place.world.slow = 0.2

    def deploy(number: int):
        environment = environments[number % 4]
        with closing(hasty_client(environment.cluster)) as client:
            return deploys.ensure(environment, client, asked_as=f"deploy {number}")

    found = in_threads(12, deploy)
    assert [one.sentence for one in found if not one.is_usable] == []
    assert len(place.world.asked) == 1
    assert sum(one.is_written for one in found) == 4
    assert all(place.pulls(environment) for environment in environments)


@pytest.mark.django_db(transaction=True)
def test_two_clusters_share_the_token(place, plane, transactional_db):
    """Jobs of two clusters at the same moment: one asks AWS, the other waits for it."""
    from tests.factories import make_cluster, make_environment

    first = place.home()
    other = make_cluster(kubeconfig=plane.kubeconfig.read_text())
    second = place.home(secret="")
    make_environment(cluster=other, namespace=second.namespace, pull_secret="ecr-pull")
    place.world.slow = 0.3
    clusters = [place.cluster, other]
    in_threads(2, lambda number: running.look_at(Cluster.objects.get(pk=clusters[number].pk), Ask()))
    assert len(place.world.asked) == 1
    second.pull_secret = "ecr-pull"
    assert place.pulls(first)
    assert place.pulls(second)


class Killed(BaseException):
    """As a worker's process ends: no handler runs, no lease is given back."""


KILLS = {
    "list": ("registry.reconcile.read_secrets", True),
    "token": ("registry.tokens.ecr", True),
    "proof": ("registry.tokens._proofs", True),
    "before the write": ("registry.cluster.write", True),
    "after the write": ("registry.writing.Writer.read_back", True),
    "before the end": ("registry.history.close", True),
}


@pytest.mark.parametrize("where", list(KILLS))
@pytest.mark.parametrize("asked", [False, True], ids=["by itself", "asked for"])
def test_killed_at_any_step_the_next_one_does_it(place, clock, monkeypatch, where, asked) -> None:
    environment = place.home()
    name, _ = KILLS[where]

    def die(*_, **__):
        raise Killed

    row = None
    if asked:
        row = Refresh.objects.create(cluster=place.cluster, cause=Cause.PERSON, asked_at=clock_now())
    released = leases.release
    with monkeypatch.context() as patch:
        patch.setattr(name, die)
        patch.setattr(leases, "release", lambda held: None)
        with pytest.raises(Killed):
            running.carry_out(row.pk) if asked else place.look()
    assert leases.release is released
    assert place.look().fault is running.BUSY  # its leases are still on
    expire_leases()
    running.carry_out(row.pk) if asked else None
    place.look()
    if asked:
        running.carry_out(row.pk)
        row.refresh_from_db()
        assert row.state in ("succeeded", "abandoned")
    assert place.pulls(environment)
    assert place.row(environment).state == State.VALID
    assert not Refresh.objects.filter(state="running").exists()
    assert not Credential.objects.filter(state=State.REFRESHING).exists()
    # Whatever was written is in the audit: by the end of a renewal, or as one that was broken off.
    told = Counter(AuditEvent.objects.values_list("verb", flat=True))
    assert (
        told["pull_credential.renewed"]
        == Refresh.objects.filter(state="succeeded", fingerprint__gt="").count()
    )
    assert told["pull_credential.broken_off"] == Refresh.objects.filter(state="abandoned").count()
    assert told["pull_credential.renewed"] + told["pull_credential.broken_off"] >= 1


def clock_now():
    from django.utils import timezone

    return timezone.now()


def expire_leases() -> None:
    from django.db.models.functions import Now

    from registry.models import WriterLease

    WriterLease.objects.update(until=Now())


def test_a_worker_that_slept_writes_nothing(place, clock, monkeypatch) -> None:
    """It wakes between reading and writing, after another one has renewed."""
    environment = place.home()
    place.look()
    clock.shift(7 * HOUR)
    read = writing_module.Writer.write_all
    held = leases.take(lease_of(place.cluster))

    def slept(self, *given):
        expire_leases()
        monkeypatch.setattr(writing_module.Writer, "write_all", read)
        assert place.look().is_good
        return read(self, *given)

    monkeypatch.setattr(writing_module.Writer, "write_all", slept)
    with redacting(), closing(hasty_client(place.cluster)) as client, pytest.raises(leases.LeaseLost):
        Look(held, client, policy_of(place.cluster), Ask()).run()
    version = place.secret(environment)["metadata"]["resourceVersion"]
    assert place.password(environment) == place.world.last
    place.look()
    assert place.secret(environment)["metadata"]["resourceVersion"] == version


def test_a_conflict_is_judged_again(place, clock, monkeypatch) -> None:
    """Another worker's write between our list and our write: what stands there then is right already."""
    environment = place.home()
    place.look()
    clock.shift(7 * HOUR)
    once = writing_module.Writer._once
    first = []

    def late(self, where, verdict, live):
        if not first:
            first.append(1)
            place.api.merge(place.path(environment), {"metadata": {"labels": {"changed": "meanwhile"}}})
        return once(self, where, verdict, live)

    monkeypatch.setattr(writing_module.Writer, "_once", late)
    place.look()
    assert place.password(environment) == place.world.last
    assert place.secret(environment)["metadata"]["labels"]["changed"] == "meanwhile"
    assert place.row(environment).state == State.VALID
