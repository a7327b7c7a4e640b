"""A run: something the portal does in the background, step by step, with a log.

`Run` is abstract: a deploy (and later a build) has its own table. Steps and log chunks are concrete and hang on the
run's UUID, so that they need not know which kind of run they belong to.
"""

from __future__ import annotations

import uuid

from django.db import models


class State(models.TextChoices):
    """States of a run. `failed`: the release is bad; `errored`: the portal or an outside system is."""

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
    """What every kind of run has.

    `attempt` is the fencing token: every write of a worker filters on it, so that a worker which was given up and wakes
    can write nothing. `heartbeat_at` (by the database's clock) tells the reconciler that somebody works on it. `number` is
    the public id, given out by the counter of its kind. `result`: one sentence why it ended so, `hint` what to do;
    `evidence`: what was seen that explains it.
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
        """Not ended yet."""
        return self.state in OPEN

    @property
    def is_active(self) -> bool:
        """A worker is, or should be, at it."""
        return self.state in ACTIVE

    @property
    def can_be_cancelled(self) -> bool:
        """Somebody may still ask for a cancel."""
        return self.state in (State.QUEUED, State.WAITING, State.RUNNING)


class Counter(models.Model):
    """Gives out the numbers of a kind of run: gaps are no problem, two equal ones would be. One row, named after the kind."""

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
    """One step of a run."""

    run_id = models.UUIDField()
    name = models.CharField(max_length=20)
    position = models.PositiveSmallIntegerField()
    state = models.CharField(max_length=20, choices=StepState, default=StepState.PENDING)
    started_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    summary = models.CharField(max_length=300, blank=True)

    class Meta:
        ordering = ["position"]
        constraints = [models.UniqueConstraint(fields=["run_id", "name"], name="step_once_per_run")]

    @property
    def seconds(self) -> float | None:
        """How long it took; None while it has not ended."""
        if self.started_at is None or self.ended_at is None:
            return None
        return (self.ended_at - self.started_at).total_seconds()


class LogChunk(models.Model):
    """Some lines of a run's log, written together. Never changed after that.

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
