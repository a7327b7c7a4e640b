"""How a deploy ends when its steps go wrong: the right state, an honest sentence, and no secret in any sink."""

from __future__ import annotations

import json
import logging
import time
import traceback

import pytest
from django.db import OperationalError
from rq.timeouts import JobTimeoutException

from adapters.errors import Invalid, NotFound, Unavailable
from core.redactor import current
from deployments.models import Deploy, ObjectState
from deployments.pipeline import outcomes, pipeline, stages, work
from deployments.preparation import preparation
from deployments.preparation.prepare import NotDeployable
from engine.cluster.apply import ApplyError
from engine.types import (
    Action,
    ClusterEvent,
    Evidence,
    ObjectRef,
    ObjectStatus,
    PodNote,
    PodsShown,
    Progress,
    RolloutResult,
)
from projects import connections
from runs.life.pipeline import BrokenOff
from runs.models import State, Step
from tests.factories import make_deploy, make_release

pytestmark = pytest.mark.django_db(transaction=True)
CANARY = "canary-5f2d9c-value"
WEB = ObjectRef("Deployment", "apps", "shop", "web")


@pytest.fixture
def deploy(environment, pushed, monkeypatch):
    """A queued deploy. Nothing is read from a cluster afterwards."""
    monkeypatch.setattr(pipeline, "refresh_soon", lambda pk: None)
    return make_deploy(environment, State.QUEUED)


def ended_by(deploy, monkeypatch, error) -> Deploy:
    """The deploy after its first step registered a secret and raised."""

    def step(work):
        current().add([CANARY])
        raise error

    monkeypatch.setitem(pipeline.FIRST_STEPS, "checkout", step)
    pipeline.run(str(deploy.run_id), deploy.attempt)
    deploy.refresh_from_db()
    return deploy


def test_problems_that_quote_a_value_are_kept_without_it(deploy, monkeypatch):
    error = NotDeployable(
        f"{CANARY} is no number.", problems=(f"web.yaml:3: {CANARY} is no number.",), hint=CANARY
    )
    ended = ended_by(deploy, monkeypatch, error)
    assert ended.state == State.FAILED
    assert CANARY not in json.dumps([ended.result, ended.hint, ended.evidence])
    assert "web.yaml:3" in json.dumps(ended.evidence)


@pytest.mark.parametrize(
    ("progress", "state"), [(Progress.FAILED, State.FAILED), (Progress.TIMED_OUT, State.TIMED_OUT)]
)
def test_a_predeploy_job_that_does_not_end_is_timed_out_not_failed(deploy, monkeypatch, progress, state):
    statuses = [ObjectStatus(WEB, Progress.READY), ObjectStatus(WEB, progress, None, "migrate: still runs")]
    ended = ended_by(deploy, monkeypatch, ApplyError("migrate: still runs", statuses=statuses))
    assert ended.state == state


@pytest.mark.parametrize(
    "error", [OperationalError("server closed the connection"), OperationalError("database is locked")]
)
def test_a_database_that_fails_leaves_the_deploy_to_the_next_attempt(deploy, monkeypatch, error):
    with pytest.raises(BrokenOff):
        ended_by(deploy, monkeypatch, error)
    deploy.refresh_from_db()
    assert deploy.state == State.RUNNING


def test_what_escapes_to_the_queue_holds_no_value(deploy, monkeypatch, caplog):
    """RQ keeps the traceback of a failed job in Redis, and prints it."""

    def late(work):
        raise JobTimeoutException("too late")

    monkeypatch.setattr(outcomes, "written", late)
    with caplog.at_level(logging.INFO), pytest.raises(BrokenOff) as caught:
        ended_by(deploy, monkeypatch, ValueError(f"invalid literal: {CANARY}"))
    shown = "".join(traceback.format_exception(caught.type, caught.value, caught.tb))
    assert CANARY not in shown


def test_texts_that_a_database_refuses_do_not_end_a_deploy(deploy, monkeypatch):
    """Programs write NUL and halves of surrogate pairs into their logs; PostgreSQL takes neither."""
    evidence = Evidence(
        pod="web-1",
        container="web",
        reason="Error",
        message="a\x00b \ud800",
        logs=("x\x00y \udfff",),
        events=(ClusterEvent("Warning", "Bad", "nul \x00 in it"),),
    )

    def step(work_):
        work_.log("half \ud800 and nul \x00")
        observer = work.RowObserver(work_, ())
        observer.status(ObjectStatus(WEB, Progress.FAILED, None, "it said \x00 \ud800", "", evidence))
        observer.flush()
        raise NotDeployable("it said \x00 \ud800", problems=("\x00 \udfff",))

    monkeypatch.setitem(pipeline.FIRST_STEPS, "checkout", step)
    pipeline.run(str(deploy.run_id), deploy.attempt)
    deploy.refresh_from_db()
    assert deploy.state == State.FAILED
    assert ObjectState.objects.get(run_id=deploy.run_id).evidence["pod"] == "web-1"
    (event,) = ObjectState.objects.get(run_id=deploy.run_id).evidence["events"]
    assert event == {"type": "Warning", "reason": "Bad", "text": "nul  in it", "count": 1, "object": ""}


def test_the_evidence_of_all_pods_is_kept_without_values(deploy, monkeypatch):
    beside = Evidence(pod="web-2", container="proxy", logs=(f"token {CANARY}",), message=CANARY)
    evidence = Evidence(pod="web-1", container="web", exit_code=3, others=(beside,))
    status = ObjectStatus(WEB, Progress.FAILED, None, "web: crashed", "", evidence)

    def step(work_):
        current().add([CANARY])
        observer = work.RowObserver(work_, ())
        observer.status(status)
        observer.flush()
        raise stages.ReleaseIsBad(RolloutResult(False, False, (status,)))

    monkeypatch.setitem(pipeline.FIRST_STEPS, "checkout", step)
    pipeline.run(str(deploy.run_id), deploy.attempt)
    deploy.refresh_from_db()
    for kept in (deploy.evidence[0], ObjectState.objects.get(run_id=deploy.run_id).evidence):
        assert (kept["pod"], kept["exit_code"]) == ("web-1", 3)
        (other,) = kept["others"]
        assert (other["pod"], other["message"], other["logs"]) == ("web-2", "•••••", ["token •••••"])


def test_warnings_of_every_step_are_kept_once_and_without_values(deploy, monkeypatch):
    """Also those of the rollout, of a rollback, and of the attempt before."""
    Deploy.objects.filter(pk=deploy.pk).update(warnings=["seen before"])

    def step(work_):
        current().add([CANARY])
        work_.warnings += ["seen before", f"no endpoint for {CANARY}"]
        raise NotDeployable("no")

    monkeypatch.setitem(pipeline.FIRST_STEPS, "checkout", step)
    pipeline.run(str(deploy.run_id), deploy.attempt)
    deploy.refresh_from_db()
    assert deploy.warnings == ["seen before", "no endpoint for •••••"]


def test_the_engine_has_time_to_say_what_was_late(deploy, monkeypatch):
    """The deadline is the engine's own as well: the sign to stop comes after its evidence."""
    seen = []

    def step(work_):
        observer = work.RowObserver(work_, ())
        work_.deadline = time.monotonic() - 1
        observer.check()
        seen.append("the engine may go on")
        work_.check()

    monkeypatch.setitem(pipeline.FIRST_STEPS, "checkout", step)
    pipeline.run(str(deploy.run_id), deploy.attempt)
    deploy.refresh_from_db()
    assert seen
    assert deploy.state == State.TIMED_OUT
    assert "within 20 min" in deploy.result


def test_an_environment_that_moved_meanwhile_gets_nothing_of_the_old_place(deploy, monkeypatch):
    """A worker that takes over finds the release of the attempt before, made for another namespace."""
    release = make_release(deploy.environment, place="old-cluster/old-namespace")
    Deploy.objects.filter(pk=deploy.pk).update(release=release)
    pipeline.run(str(deploy.run_id), deploy.attempt)
    deploy.refresh_from_db()
    assert deploy.state == State.FAILED
    assert "made for old-cluster/old-namespace" in deploy.result


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (NotFound("There is no directory kubernetes/staging at 63ec5c0.", system="Git"), State.FAILED),
        (Invalid("web.yaml is a symbolic link.", system="Git"), State.FAILED),
        (NotFound("It has not been fetched yet.", system="Git", permanent=False), State.ERRORED),
        (Unavailable("git.example does not answer.", system="Git"), State.ERRORED),
    ],
)
def test_what_the_revision_lacks_is_its_fault_not_gits(deploy, monkeypatch, error, state):
    class Repository:
        def fetch(self, max_age):
            return False

        def files(self, sha, directory, *, recursive, wanted):
            raise error

    monkeypatch.setattr(preparation, "git_repository", lambda project: Repository())
    monkeypatch.setattr(connections, "git_repository", lambda project: Repository())
    pipeline.run(str(deploy.run_id), deploy.attempt)
    deploy.refresh_from_db()
    assert (deploy.state, deploy.result) == (state, error.message)
    assert "Nothing was changed on the cluster." in deploy.hint
    assert ("Deploy again when it answers." in deploy.hint) is isinstance(error, Unavailable)


def test_a_later_attempt_tells_what_the_first_one_wrote(deploy, monkeypatch):
    """It may fail before it has read anything; what is on the cluster is on the cluster."""
    refs = [f"ConfigMap/shop/c{n}" for n in range(3)]
    ObjectState.objects.bulk_create(
        ObjectState(run_id=deploy.run_id, ref=ref, action=action, progress="applied")
        for ref, action in zip(refs, ("create", "change", "unchanged"), strict=True)
    )
    ended = ended_by(deploy, monkeypatch, NotDeployable("The secrets file is gone.", hint="Add it again."))
    assert ended.hint == "Add it again. 2 of 3 objects had been written and stay as they are."


def test_what_the_first_attempt_wrote_counts_although_the_second_finds_it_unchanged(deploy, monkeypatch):
    ObjectState.objects.create(run_id=deploy.run_id, ref=str(WEB), action="change", progress="progressing")

    def step(work_):
        observer = work.RowObserver(work_, ())
        observer.status(ObjectStatus(WEB, Progress.APPLIED, Action.UNCHANGED, "", "", None))
        observer.flush()
        raise NotDeployable("The secrets file is gone.")

    monkeypatch.setitem(pipeline.FIRST_STEPS, "checkout", step)
    pipeline.run(str(deploy.run_id), deploy.attempt)
    row = ObjectState.objects.get(run_id=deploy.run_id)
    assert (row.action, row.progress) == ("change", "applied")
    deploy.refresh_from_db()
    assert deploy.hint == "1 of 1 objects had been written and stay as they are."


def test_what_pods_wait_for_is_kept_without_values(deploy, monkeypatch):
    note = PodNote(
        "web-1", "runs, not ready", waits="readiness probe", allowed=60.0, said=f"token {CANARY} \x00"
    )

    def step(work_):
        current().add([CANARY])
        observer = work.RowObserver(work_, ())
        observer.status(ObjectStatus(WEB, Progress.PROGRESSING, pods=PodsShown(1, 2, (note,), more=3)))
        observer.flush()
        raise NotDeployable("The secrets file is gone.")

    monkeypatch.setitem(pipeline.FIRST_STEPS, "checkout", step)
    pipeline.run(str(deploy.run_id), deploy.attempt)
    kept = ObjectState.objects.get(run_id=deploy.run_id).pods
    assert (kept["ready"], kept["wanted"], kept["more"]) == (1, 2, 3)
    assert (kept["waiting"][0]["waits"], kept["waiting"][0]["said"]) == ("readiness probe", "token ••••• ")


def test_what_still_serves_is_kept_apart_too(deploy, monkeypatch):
    serving = "web goes on serving: 2 of 2 replicas are ready."
    monkeypatch.setattr(outcomes, "what_still_serves", lambda work_, failed: serving)
    ObjectState.objects.create(run_id=deploy.run_id, ref=str(WEB), action="change", progress="progressing")
    status = ObjectStatus(WEB, Progress.FAILED, None, "web: crashed", "Look at its log.")
    ended = ended_by(deploy, monkeypatch, stages.ReleaseIsBad(RolloutResult(False, False, (status,))))
    assert ended.still_serving == serving
    assert ended.hint == f"Look at its log. {serving}"


def test_a_running_step_says_what_it_asks_for_until_its_summary(deploy, monkeypatch):
    seen = []

    def step(work_):
        work_.doing("asks the registry for the images")
        seen.append(Step.objects.get(run_id=deploy.run_id, name="checkout").summary)
        raise NotDeployable("The secrets file is gone.")

    monkeypatch.setitem(pipeline.FIRST_STEPS, "checkout", step)
    pipeline.run(str(deploy.run_id), deploy.attempt)
    assert seen == ["asks the registry for the images"]
    assert Step.objects.get(run_id=deploy.run_id, name="checkout").summary == ""  # it asks no longer
