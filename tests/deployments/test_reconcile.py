"""The reconciler cures what queues, workers and machines lose; it never does a thing twice."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from django.utils import timezone

from deployments.gate.life import LIFE
from deployments.models import Deploy
from runs.life import reconcile
from runs.life.claim import claim
from runs.models import State
from tests.factories import make_deploy, make_environment

pytestmark = pytest.mark.django_db
LONG_AGO = timedelta(minutes=10)


@pytest.fixture(autouse=True)
def empty_queue(monkeypatch):
    """Redis holds no jobs."""
    jobs: list[str] = []
    monkeypatch.setattr(
        "core.jobs.get_queue", lambda name: type("Queue", (), {"get_job_ids": lambda self: jobs})()
    )
    return jobs


def running(environment, *, silent_for=LONG_AGO, **fields):
    return make_deploy(
        environment, fields.pop("state", State.RUNNING), worker=fields.pop("worker", "host:1"),
        started_at=timezone.now(), heartbeat_at=timezone.now() - silent_for, **fields,
    )  # fmt: skip


def test_a_queued_deploy_that_the_queue_lost_is_enqueued_again(environment, pushed):
    deploy = make_deploy(environment, State.QUEUED)
    reconcile.reconcile([LIFE])
    assert pushed == [(str(deploy.run_id), 1)]


def test_one_that_is_in_the_queue_is_left_alone(environment, pushed, empty_queue):
    deploy = make_deploy(environment, State.QUEUED)
    empty_queue.append(f"{deploy.run_id}-1")
    reconcile.reconcile([LIFE])
    assert pushed == []


def test_only_the_first_in_line_is_enqueued_and_none_behind_a_running_one(environment, pushed):
    other = make_environment()
    first = make_deploy(environment, State.QUEUED)
    make_deploy(environment, State.QUEUED)
    running(other, silent_for=timedelta())
    make_deploy(other, State.QUEUED)
    reconcile.reconcile([LIFE])
    assert pushed == [(str(first.run_id), 1)]


def test_a_silent_worker_loses_its_deploy_to_the_next_attempt(environment, pushed):
    deploy = running(environment)
    reconcile.reconcile([LIFE])
    deploy.refresh_from_db()
    assert (deploy.state, deploy.attempt, deploy.worker) == (State.RUNNING, 2, "")
    assert pushed == [(str(deploy.run_id), 2)]
    assert claim(LIFE, deploy.run_id, 1) is None
    assert claim(LIFE, deploy.run_id, 2) is not None


def test_a_worker_with_a_heartbeat_keeps_its_deploy(environment, pushed):
    deploy = running(environment, silent_for=timedelta(seconds=3))
    reconcile.reconcile([LIFE])
    assert Deploy.objects.get(pk=deploy.pk).attempt == 1
    assert pushed == []


def test_waiting_for_a_free_worker_does_not_use_up_attempts(environment, pushed):
    deploy = running(environment, worker="", attempt=2)
    for _ in range(10):
        reconcile.reconcile([LIFE])
    assert Deploy.objects.get(pk=deploy.pk).attempt == 2
    assert set(pushed) == {(str(deploy.run_id), 2)}


def test_after_too_many_attempts_it_is_errored(environment, pushed):
    deploy = running(environment, attempt=reconcile.MOST_ATTEMPTS)
    reconcile.reconcile([LIFE])
    deploy.refresh_from_db()
    assert deploy.state == State.ERRORED
    assert "stopped 5 times" in deploy.result


def test_cancelling_without_a_worker_ends_as_cancelled(environment, pushed):
    deploy = running(
        environment, state=State.CANCELLING, cancel_requested_at=timezone.now(), cancelled_by="dev"
    )
    reconcile.reconcile([LIFE])
    deploy.refresh_from_db()
    assert deploy.state == State.CANCELLED
    assert deploy.result.startswith("dev cancelled it")


def test_cancelling_that_does_not_end_is_abandoned_and_its_worker_fenced_off(environment, pushed):
    deploy = running(
        environment,
        silent_for=timedelta(),
        state=State.CANCELLING,
        cancel_requested_at=timezone.now() - LONG_AGO,
    )
    reconcile.reconcile([LIFE])
    deploy.refresh_from_db()
    assert (deploy.state, deploy.attempt) == (State.ABANDONED, 2)
    assert "may still be going on" in deploy.hint


def test_one_that_cannot_be_repaired_keeps_no_other_waiting(environment, pushed):
    broken, other = (
        running(place, state=State.CANCELLING, cancelled_by="dev")
        for place in (environment, make_environment())
    )

    def what_stays(deploy):
        if deploy.pk == broken.pk:
            raise ValueError("unforeseen")
        return LIFE.what_stays(deploy)

    reconcile.reconcile([replace(LIFE, what_stays=what_stays)])
    assert Deploy.objects.get(pk=broken.pk).state == State.CANCELLING
    assert Deploy.objects.get(pk=other.pk).state == State.CANCELLED
