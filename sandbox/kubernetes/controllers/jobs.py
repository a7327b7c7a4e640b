"""Jobs: pods that run to their end, again after a pause when they fail (pkg/controller/job); and CronJobs."""

from __future__ import annotations

import datetime

from croniter import croniter  # type: ignore[import-untyped]

from engine.types import Json
from sandbox.kubernetes.clock import since, stamp
from sandbox.kubernetes.controllers.work import Work, condition, is_going, is_ready, merged_conditions
from sandbox.kubernetes.operations import made_up
from sandbox.kubernetes.store import Stored, clone

JOBS = ("batch", "jobs")
_SOURCE = "job-controller"
_FIRST_PAUSE, _LONGEST_PAUSE = 10.0, 600.0  # seconds before a failed pod is replaced


def reconcile(work: Work, stored: Stored) -> None:
    """One look at a Job."""
    job = stored.body
    if is_going(job):
        return
    if _verdict(job):
        _clean_up(work, stored)
        return
    pods = work.controlled(job)
    spec = job["spec"]
    if spec.get("suspend"):
        for pod in pods:
            if _phase(pod.body) not in ("Succeeded", "Failed"):
                work.delete(pod)
        _report(
            work,
            stored,
            [],
            {"type": "Suspended", "status": "True", "reason": "JobSuspended", "message": "Job suspended"},
        )
        return
    failure = _failure(job, pods)
    if failure:
        _end(work, stored, pods, failure)
    elif _is_complete(spec, pods):
        _end(work, stored, pods, None)
    else:
        _keep_running(work, stored, pods)
        _report(work, stored, work.controlled(job), None)
        _watch_deadline(work, stored)


def _phase(pod: Json) -> str:
    return str((pod.get("status") or {}).get("phase", ""))


def _verdict(job: Json) -> str:
    for kind in ("Complete", "Failed"):
        if condition(job, kind).get("status") == "True":
            return kind
    return ""


def _count(pods: list[Stored], phase: str) -> int:
    return sum(_phase(p.body) == phase for p in pods)


def _failures(job: Json, pods: list[Stored]) -> int:
    """Failed pods; for restartPolicy OnFailure also the restarts of those that still run."""
    failed = _count(pods, "Failed")
    if job["spec"]["template"]["spec"].get("restartPolicy") == "OnFailure":
        for pod in pods:
            if _phase(pod.body) in ("Running", "Pending"):
                found = (pod.body.get("status") or {}).get("containerStatuses") or []
                failed += sum(c.get("restartCount", 0) for c in found)
    return failed


def _failure(job: Json, pods: list[Stored]) -> tuple[str, str] | None:
    """The reason and message when the Job has failed for good."""
    spec = job["spec"]
    deadline = spec.get("activeDeadlineSeconds")
    begin = (job.get("status") or {}).get("startTime", "")
    if deadline is not None and begin and since(begin) >= deadline:
        return "DeadlineExceeded", "Job was active longer than specified deadline"
    if _failures(job, pods) > spec["backoffLimit"]:
        return "BackoffLimitExceeded", "Job has reached the specified backoff limit"
    return None


def _is_complete(spec: Json, pods: list[Stored]) -> bool:
    done = _count(pods, "Succeeded")
    if spec.get("completions") is None:
        return done > 0 and done == len([p for p in pods if not is_going(p.body)])
    return bool(done >= spec["completions"])


def _keep_running(work: Work, stored: Stored, pods: list[Stored]) -> None:
    """Makes pods as far as parallelism and completions allow, after the pause that failures cost."""
    job, spec = stored.body, stored.body["spec"]
    active = [p for p in pods if _phase(p.body) not in ("Succeeded", "Failed")]
    done = _count(pods, "Succeeded")
    wanted = spec["parallelism"]
    if spec.get("completions") is not None:
        wanted = min(wanted, spec["completions"] - done)
    elif done:
        wanted = len(active)
    for pod in active[max(0, wanted) :]:
        work.delete(pod)
    pause = _pause(pods)
    if wanted > len(active) and pause > 0:
        work.ask_in(stored.key, pause + 0.1)
        return
    taken = {_index(p.body) for p in pods if _phase(p.body) != "Failed"}
    free = [i for i in range(spec.get("completions") or wanted) if str(i) not in taken]
    for number in range(max(0, wanted - len(active))):
        _add(work, job, free[number] if spec.get("completionMode") == "Indexed" else None)


def _index(pod: Json) -> str:
    return str((pod["metadata"].get("annotations") or {}).get("batch.kubernetes.io/job-completion-index", ""))


def _pause(pods: list[Stored]) -> float:
    """Seconds until the next pod may be made: 10 s after the first failure, doubled with each further one."""
    failed = [p.body for p in pods if _phase(p.body) == "Failed"]
    if not failed:
        return 0.0
    latest = min(since(_ended(p)) for p in failed)
    return min(_FIRST_PAUSE * 2.0 ** (len(failed) - 1), _LONGEST_PAUSE) - latest


def _ended(pod: Json) -> str:
    found = (pod.get("status") or {}).get("containerStatuses") or []
    ends = [((c.get("state") or {}).get("terminated") or {}).get("finishedAt", "") for c in found]
    return max((end for end in ends if end), default=pod["metadata"]["creationTimestamp"])


def _add(work: Work, job: Json, index: int | None) -> None:
    name = job["metadata"]["name"]
    metadata: Json = {"generateName": f"{name}-", "name": f"{name[:57]}-{made_up(5)}"}
    template = job["spec"]["template"]
    if index is not None:
        label = {"batch.kubernetes.io/job-completion-index": str(index)}
        metadata |= {
            "labels": dict(label),
            "annotations": dict(label),
            "name": f"{name[:50]}-{index}-{made_up(5)}",
        }
    pod = work.create_pod(job, template, metadata)
    work.event(job, "Normal", "SuccessfulCreate", f"Created pod: {pod.key[2]}", _SOURCE)


def _end(work: Work, stored: Stored, pods: list[Stored], failure: tuple[str, str] | None) -> None:
    """Ends the Job: what still runs is stopped, conditions say how it went."""
    job = stored.body
    for pod in pods:
        if _phase(pod.body) not in ("Succeeded", "Failed"):
            work.delete(pod)
    if failure:
        reason, message = failure
        words = {"status": "True", "reason": reason, "message": message}
        conditions = [{"type": "FailureTarget", **words}, {"type": "Failed", **words}]
        work.event(job, "Warning", reason, message, _SOURCE)
    else:
        message = "Reached expected number of succeeded pods"
        words = {"status": "True", "reason": "CompletionsReached", "message": message}
        conditions = [{"type": "SuccessCriteriaMet", **words}, {"type": "Complete", **words}]
        work.event(job, "Normal", "Completed", "Job completed", _SOURCE)
    _report(work, stored, pods, *conditions)


def _report(work: Work, stored: Stored, pods: list[Stored], *conditions: Json | None) -> None:
    current = work.store.get(*stored.key)
    if current is None:
        return
    old = current.body.get("status") or {}
    ended = any(c and c["type"] in ("Complete", "Failed") for c in conditions)
    active = [p.body for p in pods if _phase(p.body) not in ("Succeeded", "Failed") and not is_going(p.body)]
    suspended = any(c and c["type"] == "Suspended" for c in conditions)
    status: Json = {
        "startTime": None if suspended else old.get("startTime") or stamp(),
        "active": 0 if ended else len(active),
        "ready": 0 if ended else sum(is_ready(p) for p in active),
        "succeeded": _count(pods, "Succeeded") or old.get("succeeded"),
        "failed": _count(pods, "Failed") + (len(active) if ended else 0) or old.get("failed"),
        "terminating": 0 if ended else sum(is_going(p.body) for p in pods),
        "uncountedTerminatedPods": {},
        "conditions": merged_conditions(old.get("conditions") or [], [c for c in conditions if c]),
    }
    for entry in status["conditions"]:
        entry["lastProbeTime"] = entry["lastTransitionTime"]
    if any(c and c["type"] == "Complete" for c in conditions):
        status["completionTime"] = stamp()
    kept = {k: v for k, v in status.items() if v or k in ("ready", "terminating", "uncountedTerminatedPods")}
    work.operations.set_status(work.kinds.get(*JOBS), current, kept)


def _watch_deadline(work: Work, stored: Stored) -> None:
    deadline = stored.body["spec"].get("activeDeadlineSeconds")
    current = work.store.get(*stored.key)
    if deadline is not None and current is not None:
        begun = (current.body.get("status") or {}).get("startTime", "")
        work.ask_in(stored.key, max(0.2, deadline - since(begun) + 0.1))


def _clean_up(work: Work, stored: Stored) -> None:
    """Deletes an ended Job when its time to live is over."""
    job = stored.body
    ttl = job["spec"].get("ttlSecondsAfterFinished")
    if ttl is None:
        return
    ended = condition(job, _verdict(job)).get("lastTransitionTime", "")
    left = ttl - since(ended)
    if left <= 0:
        work.delete(stored, "Foreground")
    else:
        work.ask_in(stored.key, left + 0.1)


# --- CronJobs --------------------------------------------------------------------------------------------------------


def reconcile_cron(work: Work, stored: Stored) -> None:
    """One look at a CronJob: starts the Job whose time has come, forgets old ones."""
    cron = stored.body
    spec, status = cron["spec"], cron.get("status") or {}
    if is_going(cron):
        return
    jobs = work.controlled(cron, JOBS)
    active = [j for j in jobs if not _verdict(j.body)]
    now = datetime.datetime.now(datetime.UTC)
    last = status.get("lastScheduleTime") or cron["metadata"]["creationTimestamp"]
    due: datetime.datetime = croniter(spec["schedule"], _moment(last)).get_next(datetime.datetime)
    if due <= now and not spec.get("suspend"):
        due = croniter(spec["schedule"], now).get_prev(datetime.datetime)
        if spec.get("concurrencyPolicy") == "Replace":
            for job in active:
                work.delete(job)
        if not active or spec.get("concurrencyPolicy") != "Forbid":
            active = [*active, _start(work, cron, due)]
            status = {**status, "lastScheduleTime": due.strftime("%Y-%m-%dT%H:%M:%SZ")}
    for verdict, limit in (("Complete", "successfulJobsHistoryLimit"), ("Failed", "failedJobsHistoryLimit")):
        ended = [j for j in jobs if _verdict(j.body) == verdict]
        for job in ended[: max(0, len(ended) - spec.get(limit, 1))]:
            work.delete(job)
    done = [j.body["status"]["completionTime"] for j in jobs if _verdict(j.body) == "Complete"]
    if done:
        status = {**status, "lastSuccessfulTime": max(done)}
    references = [
        {"kind": "Job", "apiVersion": "batch/v1", "name": j.key[2], "namespace": j.key[1]} for j in active
    ]
    work.set_status(stored, {**status, "active": references})
    coming: datetime.datetime = croniter(spec["schedule"], now).get_next(datetime.datetime)
    work.ask_in(stored.key, max(0.5, (coming - now).total_seconds() + 0.1))


def _moment(text: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))


def _start(work: Work, cron: Json, due: datetime.datetime) -> Stored:
    template = clone(cron["spec"]["jobTemplate"])
    about = template.get("metadata") or {}
    metadata = {"name": f"{cron['metadata']['name']}-{int(due.timestamp()) // 60}"}
    metadata |= {k: about[k] for k in ("labels", "annotations") if about.get(k)}
    job = work.create(work.kinds.get(*JOBS), cron, {"metadata": metadata, "spec": template["spec"]})
    work.event(cron, "Normal", "SuccessfulCreate", f"Created job {job.key[2]}", "cronjob-controller")
    return job
