"""Objects of a rollout that the cluster does not show: not yet, or no longer."""

from __future__ import annotations

from engine.health.objects import Judgement, failed, judge, ready, waiting
from engine.health.pods import condition
from engine.rollout.targets import Target
from engine.types import Json, Progress


def is_same(body: Json, target: Target) -> bool:
    """Whether it is the object that was applied, and not another one of its name."""
    return not target.applied.uid or body["metadata"].get("uid") == target.applied.uid


def judge_vanished(target: Target, last: Json | None, *, now: float) -> Judgement:
    """What is to be said of an object that is not there. `last`: as it was before it was deleted, None when nobody saw it.

    A Job may be collected as soon as it is complete; anything else should stay.
    """
    if last is None or not is_same(last, target):
        if now - target.started < target.timeout:
            return waiting("waiting for the cluster to show it")
        words = f"the cluster did not show it within {target.timeout:.0f} seconds"
        return Judgement(Progress.TIMED_OUT, words, "Is something deleting it at once?")
    if target.ref.kind == "Job" and (judgement := _of_job(target, last)):
        return judgement
    return failed(
        "was deleted by somebody else during the deploy", "Find out who deletes it, then deploy again."
    )


def _of_job(target: Target, last: Json) -> Judgement | None:
    """How a Job ended that is gone; None when it had not ended."""
    metadata = {key: value for key, value in last["metadata"].items() if key != "deletionTimestamp"}
    judgement = judge("Job", {**last, "metadata": metadata}, target.applied.generation)
    if judgement.progress == Progress.FAILED:
        return judgement
    succeeds = condition(last, "SuccessCriteriaMet").get("status") == "True"
    return ready("completed, and collected") if succeeds or judgement.progress == Progress.READY else None
