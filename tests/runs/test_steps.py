"""Steps: started and ended by the worker that holds the fence, closed with the run."""

from __future__ import annotations

import uuid
from dataclasses import replace

import pytest
import time_machine

from core.redactor import redacting
from deployments.models import Deploy
from deployments.pages.deploy_parts import earlier_attempts
from runs.fence import Fence, FenceLost
from runs.life import steps
from runs.models import Step, StepState

pytestmark = pytest.mark.django_db


def states(run_id: uuid.UUID) -> dict[str, str]:
    return dict(Step.objects.filter(run_id=run_id).values_list("name", "state"))


def test_they_are_made_once_in_their_order() -> None:
    run_id = uuid.uuid4()
    steps.create(run_id, ["b", "a"])
    steps.create(run_id, ["b", "a"])
    assert [step.name for step in Step.objects.filter(run_id=run_id)] == ["b", "a"]


def test_a_step_from_start_to_end(fence: Fence) -> None:
    steps.start(fence, "checkout")
    assert states(fence.run_id)["checkout"] == StepState.RUNNING
    steps.end(fence, "checkout", StepState.SUCCEEDED, "x" * 400)
    step = Step.objects.get(run_id=fence.run_id, name="checkout")
    assert step.state == StepState.SUCCEEDED
    assert step.seconds is not None
    assert step.seconds >= 0
    assert len(step.summary) == 300


def test_after_a_take_over_each_attempt_has_its_own_times(fence: Fence) -> None:
    """Apply is done again and rollout was broken off: neither reaches into the times of the other."""
    with time_machine.travel("2026-07-01T12:00:00Z", tick=False) as clock:
        steps.start(fence, "apply")
        clock.shift(14)
        steps.end(fence, "apply", StepState.SUCCEEDED, "3 created")
        steps.start(fence, "rollout")
        clock.shift(30)
        Deploy.objects.update(attempt=2)
        fence = replace(fence, attempt=2)
        steps.leave_open(fence)
        rollout = Step.objects.get(run_id=fence.run_id, name="rollout")
        assert (rollout.state, rollout.started_at) == (StepState.PENDING, None)
        assert rollout.earlier == [{"attempt": 1, "seconds": 30.0, "finished": False}]
        steps.start(fence, "apply")
        apply = Step.objects.get(run_id=fence.run_id, name="apply")
        assert (apply.ended_at, apply.summary, apply.state, apply.attempt) == (None, "", StepState.RUNNING, 2)
        assert apply.earlier == [{"attempt": 1, "seconds": 14.0, "finished": True}]
        clock.shift(5)
        steps.end(fence, "apply", StepState.SUCCEEDED)
        steps.start(fence, "rollout")
        clock.shift(7)
        steps.end(fence, "rollout", StepState.SUCCEEDED)
    apply, rollout = (Step.objects.get(run_id=fence.run_id, name=name) for name in ("apply", "rollout"))
    assert (apply.seconds, rollout.seconds) == (5, 7)
    assert apply.ended_at <= rollout.started_at
    rows = list(Step.objects.filter(run_id=fence.run_id))
    assert earlier_attempts(rows, 2) == ["Attempt 1: apply 14 s, rollout 30 s (its worker stopped)."]


def test_a_run_with_one_attempt_tells_of_no_other(fence: Fence) -> None:
    steps.start(fence, "checkout")
    steps.end(fence, "checkout", StepState.SUCCEEDED)
    assert earlier_attempts(list(Step.objects.filter(run_id=fence.run_id)), 1) == []


def test_without_the_fence_no_step_moves(fence: Fence) -> None:
    Deploy.objects.update(attempt=2)
    with pytest.raises(FenceLost):
        steps.start(fence, "apply")
    with pytest.raises(FenceLost):
        steps.end(fence, "apply", StepState.SUCCEEDED)
    assert set(states(fence.run_id).values()) == {StepState.PENDING}


def test_the_end_of_a_run_closes_what_is_open(fence: Fence) -> None:
    steps.start(fence, "checkout")
    steps.end(fence, "checkout", StepState.SUCCEEDED)
    steps.start(fence, "secrets")
    steps.close(fence.run_id, StepState.ERRORED)
    found = states(fence.run_id)
    assert (found.pop("checkout"), found.pop("secrets")) == (StepState.SUCCEEDED, StepState.ERRORED)
    assert set(found.values()) == {StepState.SKIPPED}


def test_a_summary_holds_no_value_that_was_read(fence: Fence) -> None:
    steps.start(fence, "checkout")
    with redacting() as redactor:
        redactor.add(["canary-value"])
        steps.end(fence, "checkout", StepState.SUCCEEDED, "x" * 290 + " canary-value and a c\x00anary-value")
    assert "canary" not in Step.objects.get(run_id=fence.run_id, name="checkout").summary
