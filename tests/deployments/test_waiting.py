"""What happens to a deploy while something outside takes its time, or while it waits for its turn."""

from __future__ import annotations

import threading

import pytest
from django.db import connections
from django.utils import timezone

from audit.actors import person
from core.redactor import current
from deployments.gate import cancelling
from deployments.gate.life import LIFE
from deployments.models import Deploy
from deployments.pipeline import pipeline
from runs.life import reconcile
from runs.life.claim import claim
from runs.log import chunks_after, lines
from runs.models import State
from tests.factories import make_deploy

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def hanging(monkeypatch):
    """The first step asks something outside that answers only when the test is over; an event tells that it asks."""
    asks, over = threading.Event(), threading.Event()

    def outside():
        asks.set()
        over.wait(120)

    monkeypatch.setattr(pipeline, "refresh_soon", lambda pk: None)
    monkeypatch.setitem(pipeline.FIRST_STEPS, "checkout", lambda work: work.patiently(outside))
    yield asks
    over.set()


def test_a_deploy_can_be_cancelled_while_something_outside_hangs(environment, deployer, pushed, hanging):
    deploy = make_deploy(environment, State.QUEUED)

    def work():
        pipeline.run(str(deploy.run_id), 1)
        connections.close_all()

    worker = threading.Thread(target=work)
    worker.start()
    assert hanging.wait(60)
    cancelling.cancel_deploy(person(deployer), deploy=Deploy.objects.get(pk=deploy.pk))
    worker.join(60)
    assert not worker.is_alive(), "it waits for what hangs"
    deploy.refresh_from_db()
    assert deploy.state == State.CANCELLED
    assert deploy.result == "dev cancelled it. Nothing was changed on the cluster."
    assert deploy.hint == ""


def test_what_is_asked_outside_belongs_to_the_same_run(environment, pushed, monkeypatch):
    """Its secrets are known to the redactor, its errors are the step's."""
    seen = []

    def step(work):
        seen.append(work.patiently(current) is current())
        work.patiently(lambda: 1 // 0)

    monkeypatch.setattr(pipeline, "refresh_soon", lambda pk: None)
    monkeypatch.setitem(pipeline.FIRST_STEPS, "checkout", step)
    deploy = make_deploy(environment, State.QUEUED)
    pipeline.run(str(deploy.run_id), 1)
    deploy.refresh_from_db()
    assert seen == [True]
    assert deploy.state == State.ERRORED


def test_what_ran_before_is_what_ran_when_it_began(environment, pushed):
    """Another deploy may have succeeded while it waited: the page says which release goes on serving."""
    before = make_deploy(environment, State.RUNNING, revision="b" * 40)
    waiting = make_deploy(environment, State.QUEUED, previous_revision="a" * 40)
    Deploy.objects.filter(pk=before.pk).update(state=State.SUCCEEDED)
    claimed = claim(LIFE, waiting.run_id, 1)
    assert claimed is not None
    assert claimed.previous_revision == "b" * 40


def test_a_worker_that_is_stopped_hands_its_deploy_over(environment, pushed, hanging, monkeypatch):
    """TERM of a rolling update: another worker goes on at once, nothing waits until the silence is noticed."""
    deploy = make_deploy(environment, State.QUEUED)
    monkeypatch.setattr("runs.life.attempt.is_leaving", hanging.is_set)
    pipeline.run(str(deploy.run_id), 1)
    deploy.refresh_from_db()
    assert (deploy.state, deploy.attempt, deploy.worker) == (State.RUNNING, 2, "")
    assert pushed == [(str(deploy.run_id), 2)]
    assert claim(LIFE, deploy.run_id, 1) is None
    assert "another one goes on" in lines(chunks_after(deploy.run_id, 0))[-1].text
    assert claim(LIFE, deploy.run_id, 2) is not None


def test_cancelled_while_its_worker_is_stopped_is_cancelled(environment, pushed, hanging, monkeypatch):
    deploy = make_deploy(environment, State.QUEUED)
    monkeypatch.setattr("runs.life.attempt.is_leaving", hanging.is_set)
    pipeline.run(str(deploy.run_id), 1)
    asked = {"state": State.CANCELLING, "cancelled_by": "dev", "cancel_requested_at": timezone.now()}
    Deploy.objects.filter(pk=deploy.pk).update(**asked)
    reconcile.reconcile([LIFE])
    deploy.refresh_from_db()
    assert deploy.state == State.CANCELLED
