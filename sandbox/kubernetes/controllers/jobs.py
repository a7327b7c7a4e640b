"""Jobs: pods that run to their end, again after a pause when they fail (pkg/controller/job); and CronJobs."""

from __future__ import annotations

import datetime

from croniter import croniter  # type: ignore[import-untyped]

from engine.types import Json
from sandbox.kubernetes.clock import since, stamp
from sandbox.kubernetes.controllers import keys
from sandbox.kubernetes.controllers.bodies import condition, is_going, is_over, is_ready, pointer
from sandbox.kubernetes.controllers.work import Work
from sandbox.kubernetes.selectors import value_at
from sandbox.kubernetes.store import Stored

_FIRST_PAUSE, _LONGEST_PAUSE = 10.0, 600.0  # seconds before a failed pod is replaced
_BEFORE = {"Failed": "FailureTarget", "Complete": "SuccessCriteriaMet"}  # conditions that come first


def run(work: Work, stored: Stored) -> None:
    """One look at a Job."""
    job, spec = stored.body, stored.body["spec"]
    if verdict := _verdict(job):
        _delete_in_time(work, stored, verdict)
        return
    pods = work.claimed(stored)
    running = [p for p in pods if not is_over(p.body)]
    active = [p for p in running if not is_going(p.body)]
    outcome, reason, message = _outcome(job, pods)
    missing = _completions(spec) - len(_of_phase(pods, "Succeeded"))
    wanted = 0 if outcome else min(spec["parallelism"], missing)
    for pod in active[wanted:]:
        work.remove_pod(job, pod)
    status = _status(job, pods, outcome, len(active))
    if outcome:
        words = {"status": "True", "reason": reason, "message": message}
        kinds = filter(None, (_BEFORE.get(outcome), outcome))
        work.report(stored, status, *({"type": kind, **words} for kind in kinds))
        if outcome == "Failed":
            work.event(job, reason, message, "Warning")
        elif outcome == "Complete":
            work.event(job, "Completed", "Job completed")
        return
    counts = {"active": len(active), "ready": sum(is_ready(p.body) for p in active)}
    work.report(stored, {**status, **counts, "terminating": len(running) - len(active)})
    if (deadline := spec.get("activeDeadlineSeconds")) is not None:
        work.ask_in(stored.key, deadline - since(value_at(job, "status.startTime") or "") + 0.1)
    if wanted > len(running) and (pause := _pause(pods)) > 0:
        work.ask_in(stored.key, pause + 0.1)
        return
    for _ in range(wanted - len(running)):
        work.add_pod(job, {}, {})


def _status(job: Json, pods: list[Stored], outcome: str, active: int) -> Json:
    old, succeeded = job.get("status") or {}, len(_of_phase(pods, "Succeeded"))
    failed = len(_of_phase(pods, "Failed")) + (active if outcome == "Failed" else 0)
    status = {
        "succeeded": max(succeeded, old.get("succeeded", 0)),
        "failed": max(failed, old.get("failed", 0)),
    }
    status |= {"ready": 0, "terminating": 0, "uncountedTerminatedPods": {}}
    if outcome == "Complete":
        status["completionTime"] = stamp()
    if outcome != "Suspended":
        status["startTime"] = old.get("startTime") or stamp()
    return status


def _verdict(job: Json) -> str:
    return next((kind for kind in _BEFORE if condition(job, kind).get("status") == "True"), "")


def _completions(spec: Json) -> int:
    """The number of pods that must succeed; by default the number that runs at a time."""
    return max(1, spec["parallelism"]) if spec.get("completions") is None else spec["completions"]


def _of_phase(pods: list[Stored], *phases: str) -> list[Json]:
    return [p.body for p in pods if value_at(p.body, "status.phase") in phases]


def _outcome(job: Json, pods: list[Stored]) -> tuple[str, str, str]:
    """The condition that ends the Job, with reason and message; empty while it goes on."""
    spec, begun = job["spec"], value_at(job, "status.startTime")
    deadline = spec.get("activeDeadlineSeconds")
    if spec.get("suspend"):
        return "Suspended", "JobSuspended", "Job suspended"
    if deadline is not None and begun and since(begun) >= deadline:
        return "Failed", "DeadlineExceeded", "Job was active longer than specified deadline"
    if _failures(job, pods) > spec["backoffLimit"]:
        return "Failed", "BackoffLimitExceeded", "Job has reached the specified backoff limit"
    if len(_of_phase(pods, "Succeeded")) >= _completions(spec):
        return "Complete", "CompletionsReached", "Reached expected number of succeeded pods"
    return "", "", ""


def _failures(job: Json, pods: list[Stored]) -> int:
    """Failed pods; for restartPolicy OnFailure also the restarts of those that still run."""
    failed = len(_of_phase(pods, "Failed"))
    if value_at(job, "spec.template.spec.restartPolicy") != "OnFailure":
        return failed
    running = _of_phase(pods, "Running", "Pending")
    return failed + sum(c.get("restartCount", 0) for pod in running for c in _containers(pod))


def _containers(pod: Json) -> list[Json]:
    return value_at(pod, "status.containerStatuses") or []


def _pause(pods: list[Stored]) -> float:
    """Seconds until the next pod may be made: 10 after the first failure, doubled with each further one."""
    failed = _of_phase(pods, "Failed")
    waited = min((since(_ended(pod)) for pod in failed), default=_LONGEST_PAUSE)
    return min(_FIRST_PAUSE * 2.0 ** (len(failed) - 1), _LONGEST_PAUSE) - waited


def _ended(pod: Json) -> str:
    ends = [value_at(c, "state.terminated.finishedAt") for c in _containers(pod)]
    return max(filter(None, ends), default=pod["metadata"]["creationTimestamp"])


def _delete_in_time(work: Work, stored: Stored, verdict: str) -> None:
    """Deletes an ended Job when its time to live is over."""
    ttl = stored.body["spec"].get("ttlSecondsAfterFinished")
    if ttl is None:
        return
    left = ttl - since(condition(stored.body, verdict).get("lastTransitionTime", ""))
    if left <= 0:
        work.delete(stored, "Foreground")
    else:
        work.ask_in(stored.key, left + 0.1)


# --- CronJobs --------------------------------------------------------------------------------------------------------


def start_on_time(work: Work, stored: Stored) -> None:
    """One look at a CronJob: starts the Job that is due, deletes old ones."""
    cron, spec, status = stored.body, stored.body["spec"], stored.body.get("status") or {}
    jobs = work.controlled(cron, keys.JOBS)
    active = [j for j in jobs if not _verdict(j.body)]
    now, policy = datetime.datetime.now(datetime.UTC), spec.get("concurrencyPolicy")
    last = status.get("lastScheduleTime") or cron["metadata"]["creationTimestamp"]
    if not spec.get("suspend") and _next(spec, datetime.datetime.fromisoformat(last)) <= now:
        due = croniter(spec["schedule"], now).get_prev(datetime.datetime)
        for job in active if policy == "Replace" else []:
            work.delete(job)
        if not active or policy != "Forbid":
            active.append(_start(work, cron, due))
            status = {**status, "lastScheduleTime": due.strftime("%Y-%m-%dT%H:%M:%SZ")}
    for verdict, limit in (("Complete", "successfulJobsHistoryLimit"), ("Failed", "failedJobsHistoryLimit")):
        ended = [j for j in jobs if _verdict(j.body) == verdict]
        for job in ended[: max(0, len(ended) - spec.get(limit, 1))]:
            work.delete(job)
    work.report(stored, {**status, "active": [pointer(j.body) for j in active]})
    work.ask_in(stored.key, max(0.5, (_next(spec, now) - now).total_seconds() + 0.1))


def _next(spec: Json, after: datetime.datetime) -> datetime.datetime:
    found: datetime.datetime = croniter(spec["schedule"], after).get_next(datetime.datetime)
    return found


def _start(work: Work, cron: Json, due: datetime.datetime) -> Stored:
    template = cron["spec"]["jobTemplate"]
    about = {k: v for k, v in (template.get("metadata") or {}).items() if k in ("labels", "annotations")}
    name = {"name": f"{cron['metadata']['name']}-{int(due.timestamp()) // 60}"}
    job = work.create(keys.JOBS, cron, {**about, **name}, spec=template["spec"])
    work.event(cron, "SuccessfulCreate", f"Created job {job.key[2]}")
    return job
