"""Audit events: append only; each one remembers the hash of the one before."""

from __future__ import annotations

from django.db import models
from django.utils import timezone


class AuditEvent(models.Model):
    """One thing that somebody did, or tried and was refused. Values of secrets never stand in `data`.

    `hash` covers this row and the previous hash. A tick fills both (audit/chain.py), so that writing an event needs no
    global lock.
    """

    at = models.DateTimeField(default=timezone.now, db_index=True)
    actor_kind = models.CharField(max_length=20)
    actor_id = models.CharField(max_length=64, blank=True)
    actor_text = models.CharField(max_length=150)
    address = models.CharField(max_length=64, blank=True)
    request_id = models.CharField(max_length=64, blank=True)
    verb = models.CharField(max_length=60)
    target_kind = models.CharField(max_length=40, blank=True)
    target_id = models.CharField(max_length=64, blank=True)
    target_text = models.CharField(max_length=200, blank=True)
    project_slug = models.CharField(max_length=40, blank=True)
    data = models.JSONField(default=dict, blank=True)
    previous_hash = models.CharField(max_length=64, blank=True)
    hash = models.CharField(max_length=64, blank=True)

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["verb", "-id"], name="audit_verb"),
            models.Index(fields=["actor_text", "-id"], name="audit_actor"),
            models.Index(fields=["project_slug", "-id"], name="audit_project"),
            models.Index(fields=["target_kind", "target_id", "-id"], name="audit_target"),
            models.Index(fields=["request_id", "-id"], name="audit_request"),
            models.Index(fields=["id"], condition=models.Q(hash=""), name="audit_unchained"),
        ]


class IntegrityCheck(models.Model):
    """One verification of the chain. `broken`: ids of the first events that do not fit; `broken_count`: of all."""

    checked_at = models.DateTimeField(default=timezone.now)
    events = models.PositiveBigIntegerField()
    broken_count = models.PositiveBigIntegerField(default=0)
    broken = models.JSONField(default=list)
    seconds = models.FloatField(default=0)
