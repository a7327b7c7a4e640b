"""The steps of a deploy. `runs/life/pipeline.py` claims, fences, ends and hands over, as for every run.

The result of a step is either in the database (release, object states) or can be computed again. A worker that takes over
loads the stored release and goes on at the first step that had not succeeded.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial

from clusters.jobs import refresh_soon
from deployments.gate.life import LIFE
from deployments.models import Deploy
from deployments.pipeline import outcomes, stages
from deployments.pipeline.patience import patient, until_it_answers
from deployments.pipeline.work import RowObserver, Work
from engine.rollout.rollout import Rollout
from runs.life import pipeline
from runs.life.pipeline import Pipeline
from runs.life.steps import call_in_step, finished, run_step

# The steps before the first write; apply and rollout share the engine's watches (`rollout_steps`).
FIRST_STEPS: dict[str, Callable[[Work], str]] = {
    "checkout": stages.checkout, "secrets": stages.secrets, "render": patient(stages.render),
    "preflight": patient(stages.check),
}  # fmt: skip


def run(run_id: str, attempt: int) -> None:
    """Works on one attempt of a deploy to its end. Raises BrokenOff (`runs/life/pipeline.py`)."""
    pipeline.run(PIPELINE, run_id, attempt)


def opening(deploy: Deploy) -> str:
    """The first line of the log."""
    what = f"the secrets of {deploy.short}" if deploy.kind == Deploy.Kind.SECRETS else deploy.short
    return f"{deploy.actor_text} deploys {what} to {deploy.environment.label}"


def seconds(deploy: Deploy) -> float:
    """The deploy's time limit in seconds."""
    return deploy.environment.deploy_timeout


def run_steps(work: Work) -> None:
    """Runs the first four steps, then apply and rollout inside the engine's watches. The step `notify` belongs to the end.

    While no release is stored, a worker that takes over runs all four again. Afterwards it runs only those that have not
    succeeded, and computes the results of the others again."""
    done = finished(work.deploy.run_id) if work.deploy.release_id else set()
    for name, function in FIRST_STEPS.items():
        if name not in done:
            run_step(work, name, function)
        elif name != "preflight":  # it has no results for the next steps
            call_in_step(work, name, function)
    rollout_steps(work)


def rollout_steps(work: Work) -> None:
    """Runs apply and rollout. Watches are opened before the first write and stay open for both."""
    work.check()
    with ExitStack() as stack:
        rollout, observer = until_it_answers(work, partial(_enter, work, stack))
        try:
            run_step(work, "apply", lambda w: stages.apply(w, rollout, observer))
            run_step(work, "rollout", lambda w: stages.watch(w, rollout, observer))
        finally:
            observer.flush()


def _enter(work: Work, stack: ExitStack) -> tuple[Rollout, RowObserver]:
    opened, observer = stages.open_rollout(work)
    return stack.enter_context(opened), observer


def afterwards(deploy: Deploy) -> None:
    """Asks for a fresh live state of the environment."""
    refresh_soon(deploy.environment_id)


PIPELINE = Pipeline(
    life=LIFE,
    attempt=Work,
    seconds=seconds,
    opening=opening,
    work=run_steps,
    succeeded=outcomes.succeeded,
    cancelled=outcomes.cancelled,
    timed_out=outcomes.timed_out,
    failed=outcomes.failed,
    left=outcomes.what_was_left,
    afterwards=afterwards,
)
