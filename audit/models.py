"""Audit events. The table is append-only; each event holds the hash of the event before it."""

from __future__ import annotations

from django.db import models
from django.utils import timezone


class AuditEvent(models.Model):
    """An action, or an attempt that was refused. `data` never holds values of secrets.

    `hash` covers this row and the previous hash. A tick fills both hashes (audit/chain.py), so that writing an event
    needs no global lock.
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
    """One verification of the chain. `broken`: ids of the first broken events; `broken_count`: number of all."""

    checked_at = models.DateTimeField(default=timezone.now)
    events = models.PositiveBigIntegerField()
    broken_count = models.PositiveBigIntegerField(default=0)
    broken = models.JSONField(default=list)
    seconds = models.FloatField(default=0)
