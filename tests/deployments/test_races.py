"""Several gates, workers and a reconciler at once: one deploy at a time, in order, each worked on once."""

from __future__ import annotations

import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from django.db import connections
from django.db.models.functions import Now
from django.utils import timezone

from adapters.git.repository import Commit
from audit.actors import person
from audit.models import AuditEvent
from core.errors import Refused
from deployments.gate import requests
from deployments.gate.cancelling import cancel_deploy
from deployments.gate.life import LIFE
from deployments.models import Deploy, ObjectState
from runs.fence import Fence, FenceLost
from runs.life import reconcile
from runs.life.claim import claim
from runs.life.ending import end_fenced
from runs.life.hooks import End
from runs.models import ACTIVE, State
from tests.factories import make_deploy, make_release

pytestmark = pytest.mark.django_db(transaction=True)


def all_at_once(count, func):
    """`func(n)` in so many threads that begin together; their results in order."""
    barrier = threading.Barrier(count)

    def run(n):
        barrier.wait()
        try:
            return func(n)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(run, range(count)))


def commit(n):
    return Commit(f"{n:040x}", f"Change {n}", "Ana", datetime(2026, 1, 1, tzinfo=UTC))


def ask(deployer, environment, n, key=""):
    return requests.open_deploy(person(deployer), environment, requests.Order(commit(n), str(n), key=key))


def test_the_same_form_sent_by_many_is_one_deploy(environment, deployer, pushed):
    key = uuid.uuid4().hex
    answers = all_at_once(6, lambda n: ask(deployer, environment, 1, key))
    assert len({answer.deploy.pk for answer in answers}) == 1
    assert sum(answer.created for answer in answers) == 1


def test_many_gates_give_each_its_own_number(environment, deployer, pushed):
    answers = all_at_once(6, lambda n: ask(deployer, environment, n))
    assert len({answer.deploy.number for answer in answers}) == 6


def test_many_workers_claim_one_deploy_and_it_is_the_first(environment, deployer, pushed):
    waiting = [make_deploy(environment, State.QUEUED) for _ in range(3)]
    claims = all_at_once(9, lambda n: claim(LIFE, waiting[n % 3].run_id, 1))
    won = [deploy for deploy in claims if deploy is not None]
    assert [deploy.pk for deploy in won] == [waiting[0].pk]
    assert Deploy.objects.filter(state__in=ACTIVE).count() == 1


def test_everything_at_once_ends_each_deploy_once(environment, deployer, pushed, monkeypatch):
    """Gates, workers that claim and end, and the reconciler, until the queue is empty."""
    monkeypatch.setattr("core.jobs.get_queue", lambda name: type("Q", (), {"get_job_ids": lambda self: []})())
    worked: list[int] = []

    def work():
        for run_id, attempt in (
            Deploy.objects.filter(state=State.QUEUED).order_by("-number").values_list("run_id", "attempt")
        ):
            deploy = claim(LIFE, run_id, attempt)
            if deploy is not None:
                worked.append(deploy.number)
                try:
                    end_fenced(LIFE, Fence(Deploy, run_id, attempt), End(State.SUCCEEDED, "It runs."))
                except FenceLost:
                    worked.remove(deploy.number)

    def somebody(n):
        if n % 4 == 0:
            for step in range(4):
                ask(deployer, environment, n * 10 + step)
        elif n % 4 == 3:
            for _ in range(6):
                reconcile.reconcile([LIFE])
        else:
            for _ in range(12):
                work()

    all_at_once(8, somebody)
    while Deploy.objects.filter(state__in=(State.QUEUED, *ACTIVE)).exists():
        work()
    assert sorted(worked) == sorted(
        Deploy.objects.filter(state=State.SUCCEEDED).values_list("number", flat=True)
    )
    assert len(worked) == 8
    starts = list(Deploy.objects.order_by("number").values_list("started_at", "ended_at"))
    assert all(earlier[1] <= later[0] for earlier, later in pairwise(starts))


@pytest.mark.parametrize("turn", range(3))
def test_many_who_stop_it_and_the_failure_itself_make_one_rollback(environment, deployer, pushed, turn):
    """Whoever comes first; the others find it, or are told that they come too late."""
    environment.policies = {"automatic_rollback": True}
    environment.save()
    release = make_release(environment, verified_at=timezone.now(), place=environment.place)
    make_deploy(environment, release=release)
    deploy = make_deploy(environment, State.RUNNING, started_at=timezone.now(), worker="host:1")
    ObjectState.objects.create(
        run_id=deploy.run_id, ref="ConfigMap/ns/c", action="change", progress="applied"
    )

    def act(n):
        if n == turn:
            end_fenced(LIFE, Fence(Deploy, deploy.run_id, 1), End(State.FAILED, "web: it crashed."))
            return "ended"
        try:
            found = Deploy.objects.select_related("environment__project").get(pk=deploy.pk)
            return cancel_deploy(person(deployer), deploy=found, then_roll_back=True)
        except Refused as refusal:
            return refusal.code

    answers = all_at_once(4, act)
    rollback = Deploy.objects.get(kind="rollback")
    assert (rollback.undoes_id, rollback.state) == (deploy.pk, State.QUEUED)
    assert set(answers) <= {"ended", "cancelling", "failed"}
    assert Deploy.objects.get(pk=deploy.pk).state == State.FAILED
    assert claim(LIFE, rollback.run_id, 1) is not None


@pytest.mark.parametrize("turn", range(4))
def test_a_hand_over_a_cancel_and_reconcilers_at_once_end_it_once(
    environment, deployer, pushed, monkeypatch, turn
):
    """A worker leaves in the moment of a cancel, while two reconcilers look and two workers take the next attempt."""
    deploy = make_deploy(environment, State.RUNNING, worker="host:1")
    Deploy.objects.filter(pk=deploy.pk).update(heartbeat_at=Now())

    def hand_over():
        with suppress(FenceLost), Fence(Deploy, deploy.run_id, 1).held(attempt=2, worker=""):
            pass

    def take():
        for _ in range(3):
            if claim(LIFE, deploy.run_id, 2) is not None:
                while Deploy.objects.get(pk=deploy.pk).state == State.RUNNING:  # until it hears of the cancel
                    time.sleep(0.01)
                with suppress(FenceLost):
                    end_fenced(LIFE, Fence(Deploy, deploy.run_id, 2), End(State.CANCELLED, "Cancelled."))

    def somebody(n):
        if n == 0:
            hand_over()
        elif n == 1:
            cancel_deploy(person(deployer), deploy=deploy)
        elif n in (2, 3):
            for _ in range(4):
                reconcile.repair(LIFE)
        else:
            take()

    all_at_once(6, somebody)
    take()
    reconcile.repair(LIFE)
    assert Deploy.objects.get(pk=deploy.pk).state == State.CANCELLED
    assert AuditEvent.objects.filter(verb="deploy.ended", target_id=str(deploy.number)).count() == 1
    with pytest.raises(FenceLost), Fence(Deploy, deploy.run_id, 1).held(worker="late"):
        pytest.fail("the worker that was given up wrote")


def test_many_reconcilers_take_a_silent_run_over_once(environment, pushed):
    deploy = make_deploy(environment, State.RUNNING, worker="host:1")
    Deploy.objects.filter(pk=deploy.pk).update(heartbeat_at=Now() - timedelta(minutes=5))
    all_at_once(6, lambda n: reconcile.repair(LIFE))
    row = Deploy.objects.get(pk=deploy.pk)
    assert (row.attempt, row.worker, row.state) == (2, "", State.RUNNING)
    won = all_at_once(6, lambda n: claim(LIFE, deploy.run_id, 2))
    assert len([one for one in won if one is not None]) == 1
    with pytest.raises(FenceLost), Fence(Deploy, deploy.run_id, 1).held():
        pytest.fail("the worker that was given up wrote")
