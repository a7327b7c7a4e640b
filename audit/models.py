"""Audit events. The table is append-only; each event holds the hash of the event before it."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now
from django.utils import timezone


class AuditEvent(models.Model):
    """An action, or an attempt that was refused. `data` never holds values of secrets.

    `hash` covers this row and the previous hash, with a key. `link`: its place in the chain, from 1; none in events of
    before the key. A tick fills them (audit/chain.py), so that writing an event needs no global lock.
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
    link = models.PositiveBigIntegerField(null=True, blank=True, unique=True)

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["verb", "-id"], name="audit_verb"),
            models.Index(fields=["actor_text", "-id"], name="audit_actor"),
            models.Index(fields=["project_slug", "-id"], name="audit_project"),
            models.Index(fields=["target_kind", "target_id", "-id"], name="audit_target"),
            models.Index(fields=["request_id", "-id"], name="audit_request"),
            models.Index(fields=["id"], condition=models.Q(hash=""), name="audit_unchained"),
            models.Index(fields=["id"], condition=models.Q(link=None), name="audit_unlinked"),
        ]


class Anchor(models.Model):
    """The end of the chain, in one row: number and hash of its newest event, so that the newest cannot be removed
    without a trace. `old_count` and `old_hash`: the same for the events of before the key. `signature` is keyed
    (audit/anchor.py); `key`: a fingerprint of that key.
    """

    count = models.PositiveBigIntegerField(default=0)
    hash = models.CharField(max_length=64, blank=True)
    old_count = models.PositiveBigIntegerField(default=0)
    old_hash = models.CharField(max_length=64, blank=True)
    key = models.CharField(max_length=16, blank=True)
    signature = models.CharField(max_length=64, blank=True)
    moved_at = models.DateTimeField(auto_now=True)


class IntegrityCheck(models.Model):
    """One verification of the chain. `broken`: ids of the first broken events; `broken_count`: number of all; `trouble`:
    a sentence about the anchor, or empty.

    A verification goes on in pieces (audit/integrity.py). `seen`: events that it has read, of `events`; `old_at` and
    `link_at`: how far it is in the events of before the key, and in the chain; `previous`: the last hash it read.
    `until` and `until_hash`: the end of the chain as it began.
    """

    checked_at = models.DateTimeField(default=timezone.now)
    events = models.PositiveBigIntegerField()
    broken_count = models.PositiveBigIntegerField(default=0)
    broken = models.JSONField(default=list)
    seconds = models.FloatField(default=0)
    running = models.BooleanField(default=False, db_default=False)
    moved_at = models.DateTimeField(default=timezone.now, db_default=Now())
    seen = models.PositiveBigIntegerField(default=0, db_default=0)
    old_at = models.PositiveBigIntegerField(null=True, blank=True)
    link_at = models.PositiveBigIntegerField(default=0, db_default=0)
    previous = models.CharField(max_length=64, blank=True, default="", db_default="")
    until = models.PositiveBigIntegerField(default=0, db_default=0)
    until_hash = models.CharField(max_length=64, blank=True, default="", db_default="")
    trouble = models.CharField(max_length=300, blank=True, default="", db_default="")

    @property
    def is_broken(self) -> bool:
        """Whether an event or the anchor does not fit."""
        return bool(self.broken_count or self.trouble)
