"""The live state of each environment and its time. Pages read these rows, never the cluster."""

from __future__ import annotations

from django.db import models

from projects.models import Environment


class LiveState(models.Model):
    """The cluster's last answer about one environment.

    `workloads`: list of {kind, name, images, desired, ready, updated, health, sentence, managed}. `health` is the worst of
    them. `read_at`: time of the last answer. `error`: why the newest read (`tried_at`) failed, else empty; the old answer
    stays then.
    """

    class Health(models.TextChoices):
        HEALTHY = "healthy"
        PROGRESSING = "progressing"
        DEGRADED = "degraded"
        SUSPENDED = "suspended"
        EMPTY = "empty"
        UNKNOWN = "unknown"

    environment = models.OneToOneField(Environment, on_delete=models.CASCADE, related_name="live")
    workloads = models.JSONField(default=list)
    health = models.CharField(max_length=20, choices=Health, default=Health.UNKNOWN)
    sentence = models.CharField(max_length=300, blank=True)
    read_at = models.DateTimeField(null=True, blank=True)
    tried_at = models.DateTimeField(null=True, blank=True)
    error = models.CharField(max_length=500, blank=True)
