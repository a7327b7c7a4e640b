"""How far active deploys are: done steps of all."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from deployments.models import Deploy
from runs.models import Step, StepState


@dataclass(frozen=True)
class Progress:
    """Progress of an active deploy: the current step, the number of done steps and of all, the start of the current step."""

    step: str
    done: int
    total: int
    since: datetime | None

    @property
    def percent(self) -> int:
        """Percentage of done steps; the running one counts half."""
        return round(100 * min(self.done + 0.5, self.total) / self.total) if self.total else 0


def progress_of(deploys: Iterable[Deploy]) -> dict[UUID, Progress]:
    """Progress of deploys by `run_id`, in one query."""
    steps: dict[UUID, list[Step]] = defaultdict(list)
    for step in Step.objects.filter(run_id__in=[deploy.run_id for deploy in deploys]).order_by("position"):
        steps[step.run_id].append(step)
    return {run_id: progress(rows) for run_id, rows in steps.items()}


def progress(steps: Sequence[Step]) -> Progress:
    """Progress of a run from its steps (in order, at least one)."""
    done = sum(step.state not in (StepState.PENDING, StepState.RUNNING) for step in steps)
    at = next((step for step in steps if step.state == StepState.RUNNING), None)
    at = at or next((step for step in steps if step.state == StepState.PENDING), steps[-1])
    return Progress(at.name, done, len(steps), at.started_at)
