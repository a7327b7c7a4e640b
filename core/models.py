"""Tables of the running portal: the lease of the working scheduler, heartbeats of processes, contacts with outside systems,
changes that open pages follow, and secrets that were typed into a form with an error elsewhere."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now

from core.fields import EncryptedTextField


class Lease(models.Model):
    """A lock held by one process at a time. It expires when its holder stops renewing it."""

    name = models.CharField(max_length=50, primary_key=True)
    holder = models.CharField(max_length=100)
    until = models.DateTimeField()


class Heartbeat(models.Model):
    """A process of the portal that lives, by the database's clock. `core/heartbeats.py` writes it.

    `name`: kind, host and process id. `queues`: those of a worker, separated by commas. `doing`: the job of a worker, since
    `since`; empty while it waits.
    """

    name = models.CharField(max_length=150, primary_key=True)
    kind = models.CharField(max_length=20)
    host = models.CharField(max_length=100)
    pid = models.PositiveIntegerField()
    queues = models.CharField(max_length=200, blank=True)
    doing = models.CharField(max_length=200, blank=True)
    since = models.DateTimeField(null=True, blank=True)
    started_at = models.DateTimeField()
    beat_at = models.DateTimeField()

    class Meta:
        ordering = ["kind", "host", "pid"]


class Contact(models.Model):
    """What was last heard from an outside system. `projects/contacts.py` writes it.

    `name`: kind and address, e.g. `git github.com`. `answered_at`: the last answer. `failed_at`: the first failure since
    then, with `error` and `hint`; empty while it answers. `tried_at`: the last request that is noted here.
    """

    name = models.CharField(max_length=200, primary_key=True)
    tried_at = models.DateTimeField()
    answered_at = models.DateTimeField(null=True, blank=True)
    failed_at = models.DateTimeField(null=True, blank=True)
    error = models.CharField(max_length=500, blank=True)
    hint = models.CharField(max_length=500, blank=True)


class Change(models.Model):
    """Something that pages show has changed in a project (its slug), and no audit event tells of it: a deploy's step, what a
    cluster answers, the newest commits. Pages about no single project follow a topic, which stands in place of the slug.
    `core/changes.py` writes it; pages only need the newest ones.
    """

    project = models.CharField(max_length=40)
    at = models.DateTimeField(db_default=Now(), db_index=True)


class TypedSecret(models.Model):
    """A secret that was typed into a form which could not be saved for another reason. `core/typed.py` writes it.

    `name`: what the form carries in its place. `holder`: a keyed hash of the session in which it was typed. `form`: the address
    to which the form is sent.
    """

    name = models.CharField(max_length=40, primary_key=True)
    holder = models.CharField(max_length=64)
    form = models.CharField(max_length=300)
    field = models.CharField(max_length=60)
    value = EncryptedTextField()
    ends_at = models.DateTimeField(db_index=True)
