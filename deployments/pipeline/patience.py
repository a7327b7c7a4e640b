"""Waits for a cluster that does not answer before the first write, as apply and rollout wait for it afterwards.

Such a cluster is mostly back within seconds: its API server restarts, or its address moves. Nothing is lost by the wait: the
deploy can be cancelled meanwhile, and its time limit goes on.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from deployments.pipeline.work import Work
from engine.cluster.client import ApiError
from engine.cluster.refusals import is_no_answer
from runs.life.attempt import LOOK_SECONDS

WAIT_SECONDS = 60.0  # since the first request without an answer
PAUSE_SECONDS = 2.0
Answer = TypeVar("Answer")


def until_it_answers(work: Work, ask: Callable[[], Answer]) -> Answer:
    """The result of `ask`, which is repeated while the cluster does not answer, for WAIT_SECONDS. `ask` must be idempotent.
    Raises its errors, and those of `Attempt.check` when the run must stop meanwhile."""
    since: float | None = None
    while True:
        began = time.monotonic()
        try:
            found = ask()
        except ApiError as error:
            if error.status == 401 or not is_no_answer(error):
                raise
            since = since or began
            if time.monotonic() - since > WAIT_SECONDS:
                raise
            if since == began:
                text = f"{error.message} Trying again for up to {WAIT_SECONDS:.0f} s."
                work.log(text, level="warning")
                work.doing("waits for the cluster, which does not answer")
            _pause(work)
        else:
            if since is not None:
                work.log("The cluster answers again.")
            return found


def patient(step: Callable[[Work], str]) -> Callable[[Work], str]:
    """The step, as it waits for the cluster."""
    return lambda work: until_it_answers(work, lambda: step(work))


def _pause(work: Work) -> None:
    until = time.monotonic() + PAUSE_SECONDS
    while time.monotonic() < until:
        work.check()
        time.sleep(LOOK_SECONDS)
