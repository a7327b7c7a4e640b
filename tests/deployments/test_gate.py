"""The gate: one place for role, idempotency, one running deploy per environment, and the queue behind it."""

from __future__ import annotations

import threading

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from audit.actors import SYSTEM_ACTOR, person
from audit.models import AuditEvent
from core.errors import Refused
from deployments.gate import cancelling, requests
from deployments.gate.life import LIFE
from deployments.models import STEPS, Deploy, Release
from projects.models import Role
from runs.fence import Fence, FenceLost
from runs.life.claim import claim
from runs.life.ending import end_fenced
from runs.life.hooks import End
from runs.models import State, Step
from tests.factories import grant, make_deploy, make_environment, make_release, make_user

pytestmark = pytest.mark.django_db


def ask(user, environment, revision="main", **more):
    return requests.request_deploy(person(user), environment=environment, revision=revision, **more)


def verbs():
    return list(AuditEvent.objects.order_by("id").values_list("verb", flat=True))


def test_a_request_makes_a_queued_deploy_with_steps_and_rings_after_the_commit(
    environment, deployer, commits, pushed, django_capture_on_commit_callbacks
):
    with django_capture_on_commit_callbacks(execute=True):
        answer = ask(deployer, environment, reason="because")
        assert pushed == []
    deploy = answer.deploy
    assert answer.created
    assert (deploy.state, deploy.revision, deploy.subject, deploy.requested) == (
        State.QUEUED, commits["main"].sha, "Show prices", "main",
    )  # fmt: skip
    assert [step.name for step in Step.objects.filter(run_id=deploy.run_id)] == list(STEPS)
    assert pushed == [(str(deploy.run_id), 1)]
    assert verbs() == ["deploy.requested"]


def test_numbers_go_up_by_one_over_all_environments(environment, deployer, commits, pushed):
    other = make_environment(environment.project)
    assert [ask(deployer, e).deploy.number for e in (environment, other)] == [1, 2]


def test_the_same_key_is_answered_with_the_same_deploy(environment, deployer, commits, pushed):
    first = ask(deployer, environment, idempotency_key="k")
    again = ask(deployer, environment, "older", idempotency_key="k")
    assert (again.created, again.deploy.pk) == (False, first.deploy.pk)


def test_the_key_of_somebody_else_is_another_key(environment, deployer, commits, pushed):
    other = make_user()
    grant(other, Role.DEPLOYER, environment.project)
    ask(deployer, environment, idempotency_key="k")
    assert ask(other, environment, "older", idempotency_key="k").created


def test_the_same_revision_while_it_waits_is_answered_with_that_deploy(
    environment, deployer, commits, pushed
):
    first = ask(deployer, environment, idempotency_key="a")
    again = ask(deployer, environment, commits["main"].sha[:8], idempotency_key="b")
    assert not again.created
    assert again.deploy.pk == first.deploy.pk
    assert verbs() == ["deploy.requested", "deploy.repeated"]


def test_after_its_end_the_same_revision_is_a_new_deploy(environment, deployer, commits, pushed):
    make_deploy(environment, State.FAILED, revision=commits["main"].sha)
    assert ask(deployer, environment).created


def test_an_unknown_revision_is_refused(environment, deployer, commits, pushed):
    with pytest.raises(Refused) as refusal:
        ask(deployer, environment, "nope")
    assert refusal.value.code == "unknown-revision"
    assert not Deploy.objects.exists()


def test_too_weak_a_role_is_refused_with_whom_to_ask_and_audited(environment, viewer, commits, pushed):
    lead = make_user("lead")
    grant(lead, Role.MAINTAINER, environment.project)
    with pytest.raises(Refused) as refusal:
        ask(viewer, environment)
    assert refusal.value.ask == "lead"
    assert "deployer" in refusal.value.message
    assert verbs() == ["deploy.refused"]


def test_the_portal_itself_may_deploy_everywhere(environment, commits, pushed):
    assert requests.request_deploy(SYSTEM_ACTOR, environment=environment, revision="main").created


def test_two_running_deploys_of_an_environment_are_refused_by_the_database(environment):
    make_deploy(environment, State.RUNNING)
    with pytest.raises(IntegrityError), transaction.atomic():
        make_deploy(environment, State.CANCELLING)


def test_only_the_first_in_line_is_claimed_and_the_next_one_after_its_end(
    environment, deployer, commits, pushed, django_capture_on_commit_callbacks
):
    first, second = ask(deployer, environment).deploy, ask(deployer, environment, "older").deploy
    assert claim(LIFE, second.run_id, 1) is None
    running = claim(LIFE, first.run_id, 1)
    assert running is not None
    assert running.state == State.RUNNING
    assert claim(LIFE, first.run_id, 1) is None
    pushed.clear()
    with django_capture_on_commit_callbacks(execute=True):
        end_fenced(LIFE, Fence(Deploy, first.run_id, 1), End(State.SUCCEEDED, "done"))
    assert pushed == [(str(second.run_id), 1)]
    assert claim(LIFE, second.run_id, 1) is not None


def test_a_waiting_deploy_is_cancelled_at_once(environment, deployer, commits, pushed):
    deploy = ask(deployer, environment).deploy
    assert cancelling.cancel_deploy(person(deployer), deploy=deploy) == State.CANCELLED
    deploy.refresh_from_db()
    assert deploy.result == "dev cancelled it before it started."
    assert claim(LIFE, deploy.run_id, 1) is None


def test_a_running_deploy_is_asked_to_stop_once(environment, deployer):
    deploy = make_deploy(environment, State.RUNNING)
    for _ in range(2):
        assert cancelling.cancel_deploy(person(deployer), deploy=deploy) == State.CANCELLING
    assert verbs().count("deploy.cancel_requested") == 1


def test_an_ended_deploy_cannot_be_cancelled(environment, deployer):
    with pytest.raises(Refused, match="has ended"):
        cancelling.cancel_deploy(person(deployer), deploy=make_deploy(environment))


def test_a_viewer_cannot_cancel(environment, viewer):
    with pytest.raises(Refused):
        cancelling.cancel_deploy(person(viewer), deploy=make_deploy(environment, State.RUNNING))


def test_a_rollback_goes_only_to_a_verified_release(environment, deployer, pushed):
    actor = person(deployer)
    unverified = make_deploy(environment, release=make_release(environment))
    with pytest.raises(Refused, match="verified"):
        requests.request_rollback(actor, environment=environment, target=unverified)
    release = make_release(environment, verified_at="2026-11-01T00:00:00Z")
    good = make_deploy(environment, release=release)
    answer = requests.request_rollback(actor, environment=environment, target=good)
    assert (answer.deploy.kind, answer.deploy.release, answer.deploy.rolls_back_to) == (
        "rollback",
        release,
        good,
    )
    assert not requests.request_rollback(actor, environment=environment, target=good).created


def test_a_rollback_to_another_environment_or_a_bad_release_is_refused(environment, deployer, pushed):
    actor = person(deployer)
    other = make_environment(environment.project)
    there = make_deploy(other, release=make_release(other, verified_at="2026-11-01T00:00:00Z"))
    bad = make_deploy(
        environment,
        release=make_release(environment, verified_at="2026-11-01T00:00:00Z", marked_bad_by="lead"),
    )
    for target, words in ((there, "another environment"), (bad, "marked bad by lead")):
        with pytest.raises(Refused, match=words):
            requests.request_rollback(actor, environment=environment, target=target)


def test_a_worker_that_was_given_up_can_write_nothing(environment):
    deploy = make_deploy(environment, State.RUNNING, attempt=2)
    with pytest.raises(FenceLost):
        end_fenced(LIFE, Fence(Deploy, deploy.run_id, 1), End(State.SUCCEEDED, "late"))
    deploy.refresh_from_db()
    assert deploy.state == State.RUNNING


@pytest.mark.django_db(transaction=True)
def test_two_real_requests_at_once_make_one_deploy(environment, deployer, commits, pushed):
    barrier, answers = threading.Barrier(2), []

    def click(key):
        try:
            barrier.wait()
            answers.append(ask(deployer, environment, idempotency_key=key))
        finally:
            connection.close()

    threads = [threading.Thread(target=click, args=(key,)) for key in ("a", "b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answer.created for answer in answers) == [False, True]
    assert Deploy.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_two_workers_at_once_claim_a_deploy_once(environment, deployer, commits, pushed):
    deploy = ask(deployer, environment).deploy
    barrier, claims = threading.Barrier(2), []

    def work():
        try:
            barrier.wait()
            claims.append(claim(LIFE, deploy.run_id, 1))
        finally:
            connection.close()

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [claim is None for claim in claims].count(False) == 1


def test_a_release_fits_only_where_it_was_made_for(environment, deployer, pushed):
    """Its objects name their namespace: put back after the environment moved, they would land in the old one."""
    release = make_release(environment, verified_at=timezone.now(), place=environment.place)
    good = make_deploy(environment, State.SUCCEEDED, release=release)
    environment.namespace = "elsewhere"
    environment.save()
    with pytest.raises(Refused, match=r"was made for .* is in .*/elsewhere now"):
        requests.request_rollback(person(deployer), environment=environment, target=good)
    Release.objects.update(place="")
    good.refresh_from_db()
    assert requests.request_rollback(person(deployer), environment=environment, target=good).created
