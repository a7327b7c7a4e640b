"""The tries of a Job: how often its pod failed, and whether another one can come in time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from engine.health.crashes import exits_of, statuses_of
from engine.health.objects import Judgement, failed, failed_pods
from engine.health.trouble import Trouble, ended_state, times
from engine.limits import JOB_BACK_OFF, JOB_BACK_OFF_MAX, pause_after
from engine.rollout.targets import Target
from engine.types import Json, Progress


@dataclass(frozen=True)
class Tries:
    """`count`: failed ones. `pause`: seconds from the last one's end to the next one's start. `ended`: when the last one
    ended, as the node wrote it. `trouble`: what is to be said of it."""

    count: int
    pause: float
    ended: str
    runs: bool
    trouble: Trouble


def tries_of(body: Json, pods: Sequence[Json]) -> Tries | None:
    """The failed tries of a Job that has not failed for good; None when there is none.

    Pods that are not restarted (`Never`) are counted by the Job, starts of one pod's containers (`OnFailure`) by it.
    """
    template = ((body.get("spec") or {}).get("template") or {}).get("spec") or {}
    if template.get("restartPolicy") == "OnFailure":
        return _of_restarts(pods)
    count = failed_pods(body)
    failed = sorted((pod for pod in pods if _phase(pod) == "Failed"), key=_created)
    if not count or not failed:
        return None
    pause = min(JOB_BACK_OFF_MAX, JOB_BACK_OFF * 2 ** (count - 1))
    runs = any(_phase(pod) in ("Pending", "Running") for pod in pods)
    return _tries(failed[-1], count, pause, runs)


def _of_restarts(pods: Sequence[Json]) -> Tries | None:
    """Of the newest pod: the container that ended most often."""
    for pod in sorted(pods, key=_created, reverse=True):
        counts = [exits_of(c) for c, _ in statuses_of(pod) if ended_state(c).get("exitCode")]
        if counts:
            count = max(counts)
            runs = any("running" in (c.get("state") or {}) for c, _ in statuses_of(pod))
            return _tries(pod, count, pause_after(count), runs)
    return None


def _tries(pod: Json, count: int, pause: float, runs: bool) -> Tries:
    """The tries, with the container that failed last."""
    ends = [
        (str(ended.get("finishedAt") or ""), c, ended)
        for c, _ in statuses_of(pod)
        if (ended := ended_state(c))
    ]
    failed = sorted((e for e in ends if e[2].get("exitCode")), key=lambda e: e[0])
    when, container, ended = failed[-1] if failed else ("", {}, {})
    code = ended.get("exitCode")
    words = f" (exit code {code})" if code is not None else ""
    if ended.get("reason") == "OOMKilled":
        words = f" (OOMKilled, exit code {code})"
    metadata = pod["metadata"]
    trouble = Trouble(
        metadata["name"],
        metadata.get("uid", ""),
        "failed",
        str(ended.get("reason") or "Failed"),
        0.0,
        f"its pod failed {times(count)} so far{words}",
        "Look at the last lines of its log.",
        str(container.get("name", "")),
        exit_code=code,
        restarts=int(container.get("restartCount") or 0),
        exits=count,
    )
    return Tries(count, pause, when, runs, trouble)


def judge_tries(
    target: Target, body: Json, judgement: Judgement, *, now: float, age: Callable[[str], float]
) -> Judgement | None:
    """What the failed tries of a Job mean: it has failed as soon as it is sure that no other comes in time. None when
    there is none. `age`: seconds since a time that the cluster wrote."""
    tries = tries_of(body, target.pods)
    if tries is None:
        return None
    if tries.count > target.tries:
        before_us = target.last is None  # another worker saw it
        target.tries, target.tried_at = tries.count, now - (age(tries.ended) if before_us else 0.0)
    trouble = tries.trouble
    if not tries.runs and target.tried_at + tries.pause >= target.ends:
        counted = trouble.sentence.replace(" so far", "")
        words = f"{counted}, and its next try would come when its time is over"
        return failed(words, trouble.hint, trouble)
    return Judgement(Progress.PROGRESSING, f"{judgement.sentence}; {trouble.sentence}", "", trouble)


def _phase(pod: Json) -> str:
    return str((pod.get("status") or {}).get("phase") or "")


def _created(pod: Json) -> str:
    return str(pod["metadata"].get("creationTimestamp") or "")
