"""One table: the lease that says which scheduler is the one at work."""

from __future__ import annotations

from django.db import models


class Lease(models.Model):
    """Held by one process at a time; it lapses when its holder stops renewing it."""

    name = models.CharField(max_length=50, primary_key=True)
    holder = models.CharField(max_length=100)
    until = models.DateTimeField()
