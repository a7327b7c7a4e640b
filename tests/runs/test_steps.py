"""Steps: started and ended by the worker that holds the fence, closed with the run."""

from __future__ import annotations

import uuid

import pytest

from core.redactor import redacting
from deployments.models import Deploy
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


def test_after_a_take_over_the_first_start_stays(fence: Fence) -> None:
    steps.start(fence, "apply")
    first = Step.objects.get(run_id=fence.run_id, name="apply").started_at
    steps.end(fence, "apply", StepState.FAILED, "no")
    steps.start(fence, "apply")
    step = Step.objects.get(run_id=fence.run_id, name="apply")
    assert (step.started_at, step.ended_at, step.summary, step.state) == (first, None, "", StepState.RUNNING)
    assert step.seconds is None


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
