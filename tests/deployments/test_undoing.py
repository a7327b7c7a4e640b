"""Stop and roll back, and rollbacks that follow a failure by themselves: whatever ends the deploy, and only once."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db.models import Q
from django.utils import timezone

from audit.actors import person
from audit.models import AuditEvent
from core.errors import Refused
from deployments import queries
from deployments.gate import turns, undoing
from deployments.gate.cancelling import cancel_deploy
from deployments.gate.life import LIFE
from deployments.models import Deploy, ObjectState, Release
from deployments.pipeline import pipeline
from notify.models import Outgoing
from runs.fence import Fence
from runs.life import reconcile
from runs.life.attempt import CancelRequested
from runs.life.claim import claim
from runs.life.ending import end_fenced, end_given_up
from runs.life.hooks import End
from runs.models import ENDS, State
from tests.factories import make_deploy, make_environment, make_release

pytestmark = pytest.mark.django_db
NOW = timezone.now


@pytest.fixture(autouse=True)
def quiet(monkeypatch, pushed):
    """Redis holds nothing, no cluster is read."""
    queue = type("Queue", (), {"get_job_ids": lambda self: []})
    monkeypatch.setattr("core.jobs.get_queue", lambda name: queue())
    monkeypatch.setattr(pipeline, "refresh_soon", lambda pk: None)


def good(environment, **release):
    """A deploy that succeeded, with a verified release."""
    made = make_release(environment, **{"verified_at": NOW(), "place": environment.place, **release})
    return make_deploy(environment, started_at=NOW(), ended_at=NOW(), release=made, revision=made.revision)


def running(environment, *, wrote=2, **fields):
    """A deploy under way that has changed `wrote` objects."""
    given = {"started_at": NOW(), "heartbeat_at": NOW(), "worker": "host:1", **fields}
    deploy = make_deploy(
        environment, given.pop("state", State.RUNNING), release=make_release(environment), **given
    )
    for n in range(wrote):
        ObjectState.objects.create(
            run_id=deploy.run_id, ref=f"ConfigMap/ns/c{n}", action="change", progress="applied"
        )
    ObjectState.objects.create(
        run_id=deploy.run_id, ref="Secret/ns/s", action="unchanged", progress="applied"
    )
    return deploy


def stop_and_roll_back(deployer, deploy, **options):
    return cancel_deploy(person(deployer), deploy=deploy, then_roll_back=True, **options)


def the_rollback():
    return Deploy.objects.get(kind="rollback")


def fail(deploy, state=State.FAILED):
    """Its worker ends it."""
    end_fenced(
        LIFE, Fence(Deploy, deploy.run_id, deploy.attempt), End(state, "web: it crashed.", "Look at its log.")
    )
    deploy.refresh_from_db()


class TestStopAndRollBack:
    def test_the_rollback_is_there_before_the_deploy_has_ended(self, environment, deployer):
        target, deploy = good(environment), running(environment)
        assert stop_and_roll_back(deployer, deploy) == State.CANCELLING
        made = the_rollback()
        assert (made.state, made.undoes, made.rolls_back_to, made.release) == (
            State.QUEUED, deploy, target, target.release,
        )  # fmt: skip
        assert (made.actor_text, made.reason) == (
            "dev",
            f"dev stopped deploy #{deploy.number} and asked to roll back.",
        )
        verbs = list(AuditEvent.objects.order_by("id").values_list("verb", flat=True))
        assert verbs == ["deploy.cancel_requested", "deploy.requested"]
        assert AuditEvent.objects.get(verb="deploy.requested").data["undoes"] == f"#{deploy.number}"
        assert claim(LIFE, made.run_id, 1) is None, "the other one still runs"

    def test_it_goes_before_what_waits(
        self, environment, deployer, pushed, django_capture_on_commit_callbacks
    ):
        good(environment)
        deploy, waiting = running(environment), make_deploy(environment, State.QUEUED)
        stop_and_roll_back(deployer, deploy)
        with django_capture_on_commit_callbacks(execute=True):
            fail(deploy, State.CANCELLED)
        assert pushed[-1] == (str(the_rollback().run_id), 1)
        assert claim(LIFE, waiting.run_id, 1) is None
        assert claim(LIFE, the_rollback().run_id, 1) is not None

    def test_twice_is_once(self, environment, deployer):
        good(environment)
        deploy = running(environment)
        for _ in range(2):
            stop_and_roll_back(deployer, deploy, idempotency_key="k")
        fail(deploy, State.CANCELLED)
        assert stop_and_roll_back(deployer, deploy, idempotency_key="k") == State.CANCELLED
        assert Deploy.objects.filter(kind="rollback").count() == 1

    def test_stopped_here_first_and_rolled_back_on_second_thoughts(self, environment, deployer):
        good(environment)
        deploy = running(environment)
        cancel_deploy(person(deployer), deploy=deploy)
        assert not Deploy.objects.filter(kind="rollback").exists()
        stop_and_roll_back(deployer, deploy)
        assert the_rollback().undoes == deploy

    def test_too_late_says_so_instead_of_doing_half(self, environment, deployer):
        good(environment)
        deploy = running(environment)
        cancel_deploy(person(deployer), deploy=deploy)
        fail(deploy, State.CANCELLED)
        with pytest.raises(Refused, match="has ended"):
            stop_and_roll_back(deployer, deploy)

    def test_what_has_not_begun_is_just_cancelled(self, environment, deployer):
        good(environment)
        assert stop_and_roll_back(deployer, make_deploy(environment, State.QUEUED)) == State.CANCELLED
        assert not Deploy.objects.filter(kind="rollback").exists()

    def test_without_a_good_release_nothing_is_stopped(self, environment, deployer):
        deploy = running(environment)
        with pytest.raises(
            Refused, match=r"No deploy of this environment has succeeded yet\. Nothing was stopped"
        ):
            stop_and_roll_back(deployer, deploy)
        assert Deploy.objects.get(pk=deploy.pk).state == State.RUNNING
        assert not AuditEvent.objects.exists()

    def test_a_viewer_can_do_neither(self, environment, viewer):
        good(environment)
        with pytest.raises(Refused, match="deployer"):
            stop_and_roll_back(viewer, running(environment))
        assert not Deploy.objects.filter(kind="rollback").exists()

    def test_a_rollback_that_waits_already_becomes_this_one(self, environment, deployer):
        target, deploy = good(environment), running(environment)
        waiting = make_deploy(environment, State.QUEUED)
        asked = make_deploy(
            environment, State.QUEUED, kind="rollback", rolls_back_to=target, release=target.release,
            revision=target.revision,
        )  # fmt: skip
        stop_and_roll_back(deployer, deploy)
        assert the_rollback() == asked
        assert the_rollback().undoes == deploy
        assert turns.may_start(waiting) is False

    @pytest.mark.parametrize("ends", ["by its worker", "after its worker was lost", "abandoned"])
    def test_it_follows_whatever_ends_the_deploy(self, environment, deployer, ends):
        good(environment)
        deploy = running(environment)
        stop_and_roll_back(deployer, deploy)
        rows = Deploy.objects.filter(pk=deploy.pk)
        if ends == "by its worker":
            fail(deploy, State.CANCELLED)
        elif ends == "abandoned":
            rows.update(cancel_requested_at=NOW() - timedelta(minutes=10))
            reconcile.reconcile([LIFE])
        else:
            rows.update(heartbeat_at=NOW() - timedelta(minutes=10))
            reconcile.reconcile([LIFE])
            assert f"deploy #{the_rollback().number} rolls back to aaaaaaa." in rows.get().result
        assert rows.get().state == (State.ABANDONED if ends == "abandoned" else State.CANCELLED)
        assert claim(LIFE, the_rollback().run_id, 1) is not None

    def test_the_cancelled_one_says_what_follows(self, environment, deployer, monkeypatch):
        good(environment)
        deploy = make_deploy(environment, State.QUEUED)

        def step(work):
            ObjectState.objects.create(
                run_id=deploy.run_id, ref="ConfigMap/ns/c", action="create", progress="applied"
            )
            stop_and_roll_back(deployer, Deploy.objects.get(pk=deploy.pk))
            raise CancelRequested("Cancelled.")

        monkeypatch.setitem(pipeline.FIRST_STEPS, "checkout", step)
        pipeline.run(str(deploy.run_id), 1)
        deploy.refresh_from_db()
        assert deploy.result == (
            f"dev cancelled it. 1 of 1 objects had been written; deploy #{the_rollback().number} rolls back to aaaaaaa."
        )
        assert deploy.hint == ""


class TestWhereItLeads:
    def test_the_newest_good_one_of_this_place(self, environment):
        target = good(environment)
        good(environment, marked_bad_by="lead")
        good(environment, place="elsewhere/shop")
        good(environment, verified_at=None)
        good(make_environment(environment.project))
        assert queries.last_good(environment) == target

    def test_what_was_kept_before_places_were_is_good(self, environment):
        target = good(environment, place="")
        assert queries.last_good(environment) == target

    def test_a_rollback_is_not_rolled_back_to_itself(self, environment):
        target = good(environment)
        deploy = make_deploy(
            environment, State.RUNNING, kind="rollback", release=target.release, started_at=NOW()
        )
        assert undoing.after_cancel(deploy) == (
            None,
            "This deploy itself puts the last good release in place.",
        )

    @pytest.mark.parametrize(
        ("release", "why"),
        [({"marked_bad_by": "lead"}, "marked bad by lead"), ({"place": "a/b"}, "was made for a/b")],
    )
    def test_why_there_is_none(self, environment, release, why):
        good(environment, **release)
        target, reason = undoing.after_cancel(running(environment))
        assert target is None
        assert why in reason


class TestByItself:
    @pytest.fixture(autouse=True)
    def switched_on(self, environment):
        environment.policies = {"automatic_rollback": True}
        environment.save()

    def test_a_failed_rollout_is_rolled_back(self, environment, pushed, django_capture_on_commit_callbacks):
        target, deploy = good(environment), running(environment)
        waiting = make_deploy(environment, State.QUEUED)
        with django_capture_on_commit_callbacks(execute=True):
            fail(deploy)
        made = the_rollback()
        assert (made.undoes, made.rolls_back_to, made.actor_text) == (deploy, target, "system")
        assert made.reason == f"Deploy #{deploy.number} failed; this environment rolls back by itself."
        assert set(pushed) == {(str(made.run_id), 1)}, "before what waits"
        assert claim(LIFE, waiting.run_id, 1) is None
        assert AuditEvent.objects.get(verb="deploy.requested").data["undoes"] == f"#{deploy.number}"

    def test_off_is_off(self, environment):
        type(environment).objects.update(policies={})
        good(environment)
        fail(running(environment))
        assert not Deploy.objects.filter(kind="rollback").exists()

    @pytest.mark.parametrize("state", [s for s in ENDS if s != State.FAILED])
    def test_only_what_failed(self, environment, state):
        good(environment)
        fail(running(environment), state)
        assert not Deploy.objects.filter(kind="rollback").exists()

    def test_what_failed_before_its_first_write_has_changed_nothing(self, environment):
        good(environment)
        fail(running(environment, wrote=0))
        assert not Deploy.objects.filter(kind="rollback").exists()

    def test_it_never_loops(self, environment):
        target = good(environment)
        fail(running(environment))
        rollback = the_rollback()
        assert claim(LIFE, rollback.run_id, 1) is not None
        ObjectState.objects.create(
            run_id=rollback.run_id, ref="ConfigMap/ns/c", action="change", progress="applied"
        )
        fail(rollback)
        assert rollback.state == State.FAILED
        assert the_rollback() == rollback
        assert target.release == rollback.release

    def test_what_somebody_stopped_is_left_where_he_stopped_it(self, environment, deployer):
        good(environment)
        deploy = running(environment)
        cancel_deploy(person(deployer), deploy=deploy)
        fail(deploy)
        assert not Deploy.objects.filter(kind="rollback").exists()

    def test_stopped_with_a_rollback_and_failed_at_once_is_one_rollback(self, environment, deployer):
        good(environment)
        deploy = running(environment)
        stop_and_roll_back(deployer, deploy)
        fail(deploy)
        assert the_rollback().actor_text == "dev"

    def test_never_to_a_bad_one_or_to_nothing(self, environment):
        good(environment, marked_bad_by="lead")
        fail(running(environment))
        assert not Deploy.objects.filter(kind="rollback").exists()

    def test_a_lost_end_loses_no_rollback_and_makes_no_second(self, environment):
        """The end and its rollback are one transaction; who comes too late writes neither."""
        good(environment)
        deploy = running(environment)
        assert end_given_up(LIFE, deploy, End(State.FAILED, "web: it crashed."), still=Q())
        assert not end_given_up(LIFE, deploy, End(State.FAILED, "late"), still=Q())
        assert the_rollback().undoes == deploy

    def test_slack_is_told_what_follows(self, environment, settings):
        settings.SLACK_BOT_TOKEN = "xoxb-test"
        type(environment).objects.update(slack_channel="#deploys")
        environment.refresh_from_db()
        good(environment)
        deploy = running(environment)
        fail(deploy)
        payload = Outgoing.objects.get(key=f"deploy-{deploy.number}-ended").payload
        made = the_rollback()
        assert payload["rollback_number"] == made.number
        assert payload["rollback_url"].endswith(f"/deploys/{made.number}/")
        assert payload["rollback_revision"] == "aaaaaaa"


def test_releases_that_nobody_marked_have_no_reason(environment):
    release = good(environment).release
    assert (release.is_bad, release.bad_reason, release.marked_bad_at) == (False, "", None)
    assert Release.objects.filter(marked_bad_by="").count() == 1
