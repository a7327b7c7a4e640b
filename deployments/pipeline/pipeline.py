"""Works on a deploy, step by step; claiming, fencing, ending and handing over are those of every run (`runs/life/pipeline.py`).

What a step finds is either in the database (the release, object states) or can be found again; a worker that takes over
brings the stored release back and goes on at the first step that had not succeeded.
"""

from __future__ import annotations

from collections.abc import Callable

from clusters.jobs import refresh_soon
from deployments.gate.life import LIFE
from deployments.models import Deploy
from deployments.pipeline import outcomes, stages
from deployments.pipeline.work import Work
from runs.life import pipeline
from runs.life.pipeline import Pipeline
from runs.life.steps import finished, run_step, under

StepFunction = Callable[[Work], str]

FRESH: dict[str, StepFunction] = {
    "checkout": stages.checkout, "secrets": stages.secrets, "render": stages.render, "preflight": stages.check,
}  # fmt: skip
STORED: dict[str, StepFunction] = {
    "checkout": stages.stored_checkout, "secrets": stages.stored_secrets, "render": stages.stored_render,
    "preflight": stages.stored_check,
}  # fmt: skip


def run(run_id: str, attempt: int) -> None:
    """Works on one attempt of a deploy to its end. Raises BrokenOff (`runs/life/pipeline.py`)."""
    pipeline.run(PIPELINE, run_id, attempt)


def opening(deploy: Deploy) -> str:
    """The first line of the log."""
    return f"{deploy.actor_text} deploys {deploy.short} to {deploy.environment.label}"


def seconds(deploy: Deploy) -> float:
    """How long a deploy may take."""
    return deploy.environment.deploy_timeout


def run_steps(work: Work) -> None:
    """The first four steps, then apply and rollout inside the engine's watches. Telling others belongs to the end."""
    done = finished(work.deploy.run_id)
    functions = STORED if work.deploy.release_id else FRESH
    for name, function in functions.items():
        if name not in done or functions is FRESH:
            run_step(work, name, function)
        elif name != "preflight":
            under(work, name, function)  # brings back what the next steps need; its row stays as it is
    rollout_steps(work)


def rollout_steps(work: Work) -> None:
    """Apply and rollout: watches are opened before the first write, and stay open for both."""
    work.check()
    opened, observer = stages.open_rollout(work)
    with opened as rollout:
        try:
            run_step(work, "apply", lambda w: stages.apply(w, rollout, observer))
            run_step(work, "rollout", lambda w: stages.watch(w, rollout, observer))
        finally:
            observer.flush()


def afterwards(deploy: Deploy) -> None:
    """What runs in the environment has changed."""
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
