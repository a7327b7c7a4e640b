"""A run: work that the portal does in the background, step by step, with a log.

`Run` is abstract: each kind of run (such as a deploy) has its own table. Steps and log chunks refer to a run by its UUID, so
they work for every kind.
"""

from __future__ import annotations

import uuid

from django.db import models
from django.utils import timezone


class State(models.TextChoices):
    """States of a run. `failed`: the release is at fault; `errored`: the portal or an outside system is."""

    QUEUED = "queued"
    WAITING = "waiting"
    RUNNING = "running"
    CANCELLING = "cancelling"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    ERRORED = "errored"
    CANCELLED = "cancelled"
    TIMED_OUT = "timed_out"
    SUPERSEDED = "superseded"
    ABANDONED = "abandoned"


ACTIVE = (State.RUNNING, State.CANCELLING)
OPEN = (State.QUEUED, State.WAITING, *ACTIVE)
ENDS = tuple(state for state in State if state not in OPEN)


class Run(models.Model):
    """The columns of every kind of run.

    `attempt` is the fencing token: every write of a worker filters on it, so that a worker which lost the run cannot write.
    `heartbeat_at` (by the database's clock) shows the reconciler that a worker is alive. `number` is the public id, from the
    counter of the kind. `result`: one sentence about the end; `hint`: the next action for a person; `evidence`: observations
    that explain the result, as JSON.
    """

    number = models.PositiveIntegerField(unique=True)
    run_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    state = models.CharField(max_length=20, choices=State, default=State.QUEUED)
    attempt = models.PositiveIntegerField(default=1)
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    heartbeat_at = models.DateTimeField(null=True, blank=True)
    cancel_requested_at = models.DateTimeField(null=True, blank=True)
    cancelled_by = models.CharField(max_length=150, blank=True)
    actor_kind = models.CharField(max_length=20)
    actor_id = models.CharField(max_length=64, blank=True)
    actor_text = models.CharField(max_length=150)
    worker = models.CharField(max_length=100, blank=True)
    log_lines = models.PositiveIntegerField(default=0)
    result = models.CharField(max_length=500, blank=True)
    hint = models.CharField(max_length=500, blank=True)
    evidence = models.JSONField(default=list, blank=True)
    warnings = models.JSONField(default=list, blank=True)

    class Meta:
        abstract = True

    @property
    def is_open(self) -> bool:
        """Whether the run has not ended."""
        return self.state in OPEN

    @property
    def is_active(self) -> bool:
        """Whether the run is running or cancelling, so that a worker should work on it."""
        return self.state in ACTIVE

    @property
    def can_be_cancelled(self) -> bool:
        """Whether a cancel can still be requested."""
        return self.state in (State.QUEUED, State.WAITING, State.RUNNING)

    @property
    def seconds(self) -> float | None:
        """Seconds from start to end, or to now while it runs; None before it starts."""
        if self.started_at is None:
            return None
        return ((self.ended_at or timezone.now()) - self.started_at).total_seconds()


class Counter(models.Model):
    """The counter for the numbers of a kind of run, one row named after the kind. Numbers are unique but may have gaps."""

    name = models.CharField(max_length=20, primary_key=True)
    last = models.PositiveIntegerField(default=0)

    class Meta:
        abstract = True


class StepState(models.TextChoices):
    """States of a step."""

    PENDING = "pending"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    ERRORED = "errored"
    CANCELLED = "cancelled"
    TIMED_OUT = "timed_out"
    SKIPPED = "skipped"


class Step(models.Model):
    """One step of a run, as the newest attempt at it did it. `attempt`: that one's number. `earlier`: how long attempts before it
    took: `{"attempt": 1, "seconds": 12.5, "finished": false}`; one that was not finished lost its worker there."""

    run_id = models.UUIDField()
    name = models.CharField(max_length=60)
    position = models.PositiveSmallIntegerField()
    state = models.CharField(max_length=20, choices=StepState, default=StepState.PENDING)
    started_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    summary = models.CharField(max_length=300, blank=True)
    attempt = models.PositiveSmallIntegerField(default=1, db_default=1)
    earlier = models.JSONField(default=list, db_default=[], blank=True)

    class Meta:
        ordering = ["position"]
        constraints = [models.UniqueConstraint(fields=["run_id", "name"], name="step_once_per_run")]

    @property
    def seconds(self) -> float | None:
        """Seconds from start to end; None before the end."""
        if self.started_at is None or self.ended_at is None:
            return None
        return (self.ended_at - self.started_at).total_seconds()


class LogChunk(models.Model):
    """Lines of a run's log that were written together. Never changed afterwards.

    `text`: lines `<seconds since epoch>\\t<level>\\t<step>\\t<text>`; `first_line` numbers the first one from 1. Lists
    never load this table.
    """

    run_id = models.UUIDField()
    sequence = models.PositiveIntegerField()
    first_line = models.PositiveIntegerField()
    line_count = models.PositiveIntegerField()
    text = models.TextField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["sequence"]
        constraints = [models.UniqueConstraint(fields=["run_id", "sequence"], name="log_chunk_once_per_run")]
