"""The outbox: who notifies writes a row in the transaction of what happened; a job sends it (design.md §3)."""

from __future__ import annotations

from django.db import models
from django.utils import timezone


class Outgoing(models.Model):
    """One message to the outside. `key` de-duplicates: the same thing is told once, whoever is taken over.

    `thread`: messages of one thread are sent in order, details below the first (Slack: one message per deploy, which is
    updated). `payload`: what to say, without secret values.
    """

    class Kind(models.TextChoices):
        SLACK = "slack"

    class State(models.TextChoices):
        WAITING = "waiting"
        SENT = "sent"
        FAILED = "failed"
        SKIPPED = "skipped"

    kind = models.CharField(max_length=20, choices=Kind)
    recipient = models.CharField(max_length=200)
    key = models.CharField(max_length=150, unique=True)
    thread = models.CharField(max_length=100, blank=True)
    payload = models.JSONField(default=dict)
    state = models.CharField(max_length=20, choices=State, default=State.WAITING)
    tries = models.PositiveSmallIntegerField(default=0)
    next_try_at = models.DateTimeField(default=timezone.now)
    created_at = models.DateTimeField(auto_now_add=True)
    sent_at = models.DateTimeField(null=True, blank=True)
    result = models.CharField(max_length=500, blank=True)
    external_id = models.CharField(max_length=100, blank=True, help_text="Channel and ts of Slack's message.")

    class Meta:
        ordering = ["id"]
        indexes = [
            models.Index(fields=["next_try_at"], condition=models.Q(state="waiting"), name="outgoing_due"),
            models.Index(fields=["thread", "id"], name="outgoing_thread"),
        ]
