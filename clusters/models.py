"""The live state of each environment and its time, and the troubles of its workloads. Pages read these rows, never the
cluster."""

from __future__ import annotations

from django.db import models

from projects.models import Environment


class LiveState(models.Model):
    """The cluster's last answer about one environment.

    `workloads`: list of {kind, name, images, desired, ready, updated, health, sentence, managed}; where pods cannot pull also
    `pulls`: list of {pod, container, image, message, secrets, born, owner}; where the ready pods have other images than the
    template, `serves`: these images. `pulls`: those of pods of none of the workloads. `health` is the worst of them. `read_at`:
    time of the last answer. `error`: why the newest read (`tried_at`) failed, else empty; the old answer stays then.
    """

    class Health(models.TextChoices):
        HEALTHY = "healthy"
        PROGRESSING = "progressing"
        DEGRADED = "degraded"
        FAILING = "failing"
        SUSPENDED = "suspended"
        EMPTY = "empty"
        UNKNOWN = "unknown"

    environment = models.OneToOneField(Environment, on_delete=models.CASCADE, related_name="live")
    workloads = models.JSONField(default=list)
    pulls = models.JSONField(default=list, db_default=models.Value([], models.JSONField()))
    health = models.CharField(max_length=20, choices=Health, default=Health.UNKNOWN)
    sentence = models.CharField(max_length=300, blank=True)
    read_at = models.DateTimeField(null=True, blank=True)
    tried_at = models.DateTimeField(null=True, blank=True)
    error = models.CharField(max_length=500, blank=True)


class Trouble(models.Model):
    """One workload that failed between deploys, from the read that showed it first to the recovery.

    `seen_at`: the last read that showed it. `well_since`: the first read since then that did not. `ended_at`: that time, once
    the recovery has lasted. `told_at`: when people were told, None for never; `batch`: the trouble that began the message,
    for all that were told in it. `run_id`: the deploy after which it came, if people were told so; then the message is in
    that deploy's thread. `over_told_at`: when people were told that it is over.
    """

    environment = models.ForeignKey(Environment, on_delete=models.CASCADE, related_name="troubles")
    ref = models.CharField(max_length=400)
    name = models.CharField(max_length=253)
    sentence = models.CharField(max_length=300)
    began_at = models.DateTimeField()
    seen_at = models.DateTimeField()
    well_since = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    run_id = models.UUIDField(null=True, blank=True)
    batch = models.BigIntegerField(null=True, blank=True)
    told_at = models.DateTimeField(null=True, blank=True)
    over_told_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(
                fields=["environment", "ref"],
                condition=models.Q(ended_at=None),
                name="one_open_trouble_per_workload",
            )
        ]
        indexes = [
            models.Index(
                fields=["environment"],
                condition=models.Q(told_at=None, ended_at=None)
                | models.Q(told_at__isnull=False, over_told_at=None),
                name="trouble_to_tell",
            ),
            models.Index(fields=["run_id"], name="trouble_run"),
            models.Index(fields=["environment", "-id"], name="trouble_newest"),
        ]

    def __str__(self) -> str:
        return f"{self.name}: {self.sentence}"
