"""Works on a deploy, step by step (design.md §4.3): claimed once, fenced by its attempt, resumable after a crash.

What a step finds is either in the database (the release, object states) or can be found again; a worker that takes over
brings the stored release back and goes on at the first step that had not succeeded.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from uuid import UUID

import structlog
from django.db import IntegrityError, InterfaceError, OperationalError, transaction
from django.utils import timezone
from rq.timeouts import JobTimeoutException

from adapters.errors import ExternalError
from audit.actors import SYSTEM_ACTOR
from clusters.jobs import refresh_soon
from core.origin import origin
from core.redactor import Redactor, redacting
from deployments.gate import queue, requests, turns, undoing
from deployments.gate.announcements import tell_started
from deployments.gate.ending import End, end_fenced, evidence_of
from deployments.models import STEPS, Deploy, ObjectState
from deployments.pipeline import stages
from deployments.pipeline.stages import ReleaseIsBad
from deployments.pipeline.still_serving import what_still_serves
from deployments.pipeline.work import CancelRequested, Leaving, OutOfTime, Work
from deployments.preparation.prepare import NotDeployable
from deployments.queries import last_revision
from engine.cluster.apply import ApplyError
from engine.cluster.client import ApiError
from engine.errors import ManifestError, SlipwayError
from engine.types import ObjectStatus, Progress
from runs import steps
from runs.fence import Fence, FenceLost
from runs.journal import Journal
from runs.models import ACTIVE, State, Step, StepState
from ui.words import duration

log = structlog.get_logger(__name__)
StepFunction = Callable[[Work], str]

FRESH: dict[str, StepFunction] = {
    "checkout": stages.checkout, "secrets": stages.secrets, "render": stages.render, "preflight": stages.check,
}  # fmt: skip
STORED: dict[str, StepFunction] = {
    "checkout": stages.stored_checkout, "secrets": stages.stored_secrets, "render": stages.stored_render,
    "preflight": stages.stored_check,
}  # fmt: skip


class BrokenOff(SlipwayError):
    """An attempt could not even say how it ended. The reconciler gives the deploy to the next one."""


def run(run_id: str, attempt: int) -> None:
    """Claims the attempt and works on it to its end. Ends at once when it is not this attempt's turn. Raises BrokenOff,
    which quotes nothing: what broke it off may quote secret values."""
    deploy = claim(UUID(run_id), attempt)
    if deploy is None:
        return
    with redacting() as redactor:
        try:
            work_on(deploy, redactor)
        except Exception as error:  # the job's edge: RQ keeps a failed job's traceback in Redis
            log.exception("an attempt broke off", deploy=deploy.number, attempt=attempt)
            raise BrokenOff(
                f"Attempt {attempt} at deploy #{deploy.number} broke off ({type(error).__name__}); another one goes on."
            ) from None


def worker_name() -> str:
    """Host and process, for the page and the log."""
    return f"{socket.gethostname()}:{os.getpid()}"[:100]


def claim(run_id: UUID, attempt: int) -> Deploy | None:
    """Makes this process the one that works on the attempt: one conditional update, so only one can win.

    A queued deploy starts only as the first in line of an environment where nothing runs; the constraint
    `one_active_deploy_per_environment` has the last word.
    """
    now = timezone.now()
    mine: dict[str, object] = {"worker": worker_name(), "heartbeat_at": now}
    rows = Deploy.objects.filter(run_id=run_id, attempt=attempt)
    try:
        with transaction.atomic():
            deploy = rows.select_related("environment__project", "environment__cluster", "release").first()
            if deploy is None:
                return None
            if rows.filter(state__in=ACTIVE, worker="").update(**mine) == 1:  # given to us by the reconciler
                requests.audit(SYSTEM_ACTOR, "deploy.resumed", deploy, attempt=attempt)
            elif not first_in_line(deploy):
                return None
            elif rows.filter(state=State.QUEUED).update(**begun(deploy), **mine) == 1:
                # The row may have waited here for the end of the one before: it begins now, not when it was looked at.
                rows.update(started_at=timezone.now())
                deploy.refresh_from_db(fields=["state", "started_at", "previous_revision"])
                requests.audit(SYSTEM_ACTOR, "deploy.started", deploy)
                tell_started(deploy)
            else:
                return None
            deploy.state = rows.values_list("state", flat=True).get()
    except IntegrityError:  # another deploy of the environment is running; its end rings for this one
        return None
    return deploy


def begun(deploy: Deploy) -> dict[str, object]:
    """What changes when it begins. What runs now may have come while it waited for its turn."""
    return {
        "state": State.RUNNING,
        "previous_revision": last_revision(deploy.environment_id),
    }


def first_in_line(deploy: Deploy) -> bool:
    """Nothing runs in the environment and nothing that waits goes before."""
    others = Deploy.objects.filter(environment_id=deploy.environment_id).exclude(pk=deploy.pk)
    return not others.filter(state__in=ACTIVE).exists() and not turns.waiting_before(deploy).exists()


def work_on(deploy: Deploy, redactor: Redactor) -> None:
    """All steps, and the end. A lost fence ends it silently: somebody else tells the rest of the story."""
    fence = Fence(Deploy, deploy.run_id, deploy.attempt)
    used = (timezone.now() - deploy.started_at).total_seconds() if deploy.started_at else 0.0
    with ExitStack() as stack:
        journal = stack.enter_context(Journal(fence, redactor))
        journal.cancelling = deploy.state == State.CANCELLING
        deadline = time.monotonic() + max(30.0, deploy.environment.deploy_timeout - used)
        work = Work(
            deploy=deploy, fence=fence, journal=journal, deadline=deadline, warnings=list(deploy.warnings)
        )
        journal.changed()
        try:
            end = outcome(work)
            work.close()
            journal.line(end.result, level="info" if end.state == State.SUCCEEDED else "error")
            journal.flush()
            end_fenced(fence, end, warnings=work.warnings)
        except Leaving:
            hand_over(work)
            return
        except FenceLost:
            log.warning("gave up: the fence was lost", deploy=deploy.number, attempt=deploy.attempt)
            return
    refresh_soon(deploy.environment_id)


def hand_over(work: Work) -> None:
    """Gives the deploy to another worker at once: a rolling update of the portal neither waits for its end nor kills it."""
    deploy = work.deploy
    work.log("Its worker is being stopped; another one goes on.", level="warning")
    work.journal.flush()
    deploy.attempt += 1
    try:
        with work.fence.held(attempt=deploy.attempt, worker=""):
            queue.enqueue_deploy(deploy)
    except FenceLost:
        log.warning("nothing to hand over: the fence was lost", deploy=deploy.number, attempt=deploy.attempt)


def outcome(work: Work) -> End:
    """Runs the steps and says how it ended. Every error of the family becomes an end; nothing else is swallowed but at
    the job's edge, where an unforeseen error must still be told."""
    try:
        run_steps(work)
    except (FenceLost, Leaving, OperationalError, InterfaceError):
        raise  # no end: the next attempt goes on. Without its database nothing could be told, either
    except CancelRequested:
        return cancelled(work)
    except (OutOfTime, JobTimeoutException):
        return End(State.TIMED_OUT, timed_out_sentence(work), what_was_left(work))
    except ReleaseIsBad as error:
        state = State.TIMED_OUT if error.result.timed_out else State.FAILED
        evidence = tuple(evidence_of(status) for status in error.result.failures)
        return End(
            state, error.message, f"{error.hint} {still(work, error.result.failures)}".strip(), evidence
        )
    except ApplyError as error:
        bad = [s for s in error.statuses if s.progress in (Progress.FAILED, Progress.TIMED_OUT)]
        late = bool(bad) and all(s.progress == Progress.TIMED_OUT for s in bad)
        failures = tuple(evidence_of(status) for status in bad)
        hint = f"{error.hint} {still(work, error.statuses)}".strip()
        return End(State.TIMED_OUT if late else State.FAILED, error.message, hint, failures)
    except (ManifestError, NotDeployable) as error:
        for problem in error.problems:
            work.log(problem, level="error")
        shown = tuple({"sentence": problem, "ref": "", "hint": ""} for problem in error.problems)
        left = what_was_left(work)
        hint = error.hint if left in error.hint else f"{error.hint} {left}".strip()
        return End(State.FAILED, error.message, hint, shown)
    except (ExternalError, ApiError) as error:
        return End(State.ERRORED, error.message, f"{error.hint} {what_was_left(work)}".strip())
    except SlipwayError as error:
        return End(State.ERRORED, error.message, error.hint)
    except Exception:
        log.exception("a deploy ended by an error of the portal", deploy=work.deploy.number)
        return End(
            State.ERRORED,
            "An error of the portal itself ended this deploy.",
            f"{what_was_left(work)} The portal's log has the details under {origin().request_id}.",
        )
    return End(State.SUCCEEDED, succeeded_sentence(work))


def run_steps(work: Work) -> None:
    """The first four steps, then apply and rollout inside the engine's watches. Telling others belongs to the end."""
    done = set(
        Step.objects.filter(run_id=work.deploy.run_id, state=StepState.SUCCEEDED).values_list(
            "name", flat=True
        )
    )
    if work.deploy.attempt > 1:
        following = next((name for name in STEPS if name not in done), STEPS[-1])
        work.log(
            f"Taken over by {worker_name()} (attempt {work.deploy.attempt}); going on at {following}.",
            level="warning",
        )
    else:  # the first line is there as soon as a worker is, before anything outside is asked
        work.journal.step = STEPS[0]
        work.log(
            f"{work.deploy.actor_text} deploys {work.deploy.short} to {work.environment.label}; worker {worker_name()}"
        )
        work.journal.flush()
    functions = STORED if work.deploy.release_id else FRESH
    for name, function in functions.items():
        if name in done and functions is STORED:
            if name != "preflight":
                with_step_name(
                    work, name, function
                )  # brings back what the next steps need; its row stays as it is
        else:
            run_step(work, name, function)
    rollout_steps(work)


def rollout_steps(work: Work) -> None:
    """Apply and rollout: watches are opened before the first write, and stay open for both (design.md §4.5)."""
    work.check()
    opened, observer = stages.open_rollout(work)
    with opened as rollout:
        try:
            run_step(work, "apply", lambda w: stages.apply(w, rollout, observer))
            run_step(work, "rollout", lambda w: stages.watch(w, rollout, observer))
        finally:
            observer.flush()


def with_step_name(work: Work, name: str, function: StepFunction) -> str:
    """Runs a step's function with its lines in the step's part of the log."""
    work.journal.step = name
    return function(work)


def run_step(work: Work, name: str, function: StepFunction) -> None:
    """One step with its row. A step that raises stays `running`; the deploy's end closes it with the right state."""
    work.check()
    steps.start(work.fence, name)
    work.journal.changed()
    summary = with_step_name(work, name, function)
    steps.end(work.fence, name, StepState.SUCCEEDED, summary)
    work.journal.changed()


def written(work: Work) -> tuple[int, int]:
    """How many objects were created or changed by this deploy so far, and of how many in all."""
    rows = ObjectState.objects.filter(run_id=work.deploy.run_id)
    return undoing.written(work.deploy), len(work.manifests) or rows.count()


def what_was_left(work: Work) -> str:
    """What this deploy has changed on the cluster, in a sentence."""
    count, total = written(work)
    if not count:
        return "Nothing was changed on the cluster."
    return f"{count} of {total} objects had been written and stay as they are."


def cancelled(work: Work) -> End:
    """Who cancelled, what stays, and what follows."""
    who = Deploy.objects.values_list("cancelled_by", flat=True).get(pk=work.deploy.pk) or "Somebody"
    count, total = written(work)
    rollback = undoing.follower(work.deploy)
    if rollback is None:
        hint = "Roll back to undo what was applied." if count else ""
        return End(State.CANCELLED, f"{who} cancelled it. {what_was_left(work)}", hint)
    done = f"{count} of {total} objects had been written" if count else "Nothing was changed on the cluster"
    return End(State.CANCELLED, f"{who} cancelled it. {done}; {undoing.sentence(rollback)}.")


def timed_out_sentence(work: Work) -> str:
    """What it waited for."""
    waiting = ObjectState.objects.filter(run_id=work.deploy.run_id, progress=Progress.PROGRESSING).first()
    reason = f" {waiting.ref}: {waiting.sentence}" if waiting else ""
    return f"It was not done within {duration(work.environment.deploy_timeout)}.{reason}"


def succeeded_sentence(work: Work) -> str:
    """What runs now."""
    return f"{work.deploy.short} runs in {work.environment.name}; every object is ready."


def still(work: Work, statuses: Sequence[ObjectStatus]) -> str:
    """What still works, and what was changed. `statuses`: those of the objects that failed, others are left out."""
    if not written(work)[0]:
        return "Nothing was changed on the cluster."
    failed = {str(s.ref) for s in statuses if s.progress in (Progress.FAILED, Progress.TIMED_OUT)}
    return what_still_serves(work, failed) or what_was_left(work)
