"""How long a deploy usually takes, by the last ones of its environment: the whole, and each step."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median

from django.utils import timezone

from deployments.models import Deploy
from deployments.pages.deploy_parts import StepView
from runs.models import State, Step, StepState
from ui.words import about_left

MOST = 10  # deploys that are looked at
FEWEST = 2  # one says nothing about the next


@dataclass(frozen=True)
class Usual:
    """Medians of earlier deploys in seconds: of the whole, and by step."""

    whole: float
    steps: Mapping[str, float]


@dataclass(frozen=True)
class Expected:
    """When a running deploy should be done. `text`: `about 40 s left, usually 1 min 10 s`."""

    usual: float
    ends_at: datetime

    @property
    def seconds(self) -> int:
        """What it usually takes, in whole seconds as the text has them."""
        return int(self.usual)

    @property
    def text(self) -> str:
        """In words, as of now."""
        return about_left((self.ends_at - timezone.now()).total_seconds(), self.usual)


def usual_of(deploy: Deploy) -> Usual | None:
    """What the last deploys of the same environment took that succeeded in one attempt; None with fewer than two. Two queries."""
    rows = Deploy.objects.filter(
        environment=deploy.environment_id,
        state=State.SUCCEEDED,
        attempt=1,
        started_at__isnull=False,
        ended_at__isnull=False,
    )
    known = list(rows.order_by("-number").values_list("run_id", "started_at", "ended_at")[:MOST])
    if len(known) < FEWEST:
        return None
    steps: dict[str, list[float]] = defaultdict(list)
    for step in Step.objects.filter(run_id__in=[run_id for run_id, *_ in known]):
        if step.state == StepState.SUCCEEDED and step.seconds is not None:
            steps[step.name].append(step.seconds)
    whole = median((ended - started).total_seconds() for _, started, ended in known if started and ended)
    return Usual(whole, {name: median(found) for name, found in steps.items() if len(found) >= FEWEST})


def expected(deploy: Deploy, steps: Sequence[StepView], usual: Usual, now: datetime) -> Expected | None:
    """When the deploy should be done: what is left of the running step, and the usual time of those after it; now, once it takes
    longer than usual. None before it began, and where the steps of earlier deploys were not recorded."""
    if deploy.started_at is None or not usual.steps:
        return None
    if (now - deploy.started_at).total_seconds() >= usual.whole:
        return Expected(usual.whole, now)  # longer than usual: nobody knows for how long
    left = 0.0
    for step in steps:
        mine = usual.steps.get(step.name, 0.0)
        if step.state == StepState.RUNNING and step.started_at:
            left += max(0.0, mine - (now - step.started_at).total_seconds())
        elif step.state == StepState.PENDING:
            left += mine
    return Expected(usual.whole, now + timedelta(seconds=left))
