"""One table: the lease that only the working scheduler holds."""

from __future__ import annotations

from django.db import models


class Lease(models.Model):
    """A lock held by one process at a time. It expires when its holder stops renewing it."""

    name = models.CharField(max_length=50, primary_key=True)
    holder = models.CharField(max_length=100)
    until = models.DateTimeField()
