"""The user model, and the one-time link by which the first admin makes their account."""

from __future__ import annotations

import hashlib
from datetime import timedelta

from django.contrib.auth.models import AbstractUser
from django.db import models
from django.utils import timezone

SETUP_HOURS = 24


class User(AbstractUser):
    """A person who signs in.

    `is_admin`: may do everything on the site; Django's own flags follow it, so that the Django admin opens.
    `is_auditor`: may read the audit. Rights in projects are rows of projects.models.Membership.
    """

    name = models.CharField("shown name", max_length=100, blank=True)
    is_admin = models.BooleanField("admin", default=False)
    is_auditor = models.BooleanField("auditor", default=False)

    class Meta:
        ordering = ["username"]

    def save(self, *args: object, **kwargs: object) -> None:
        """Sets Django's flags to `is_admin`, so that there is one kind of admin, then saves."""
        self.is_staff = self.is_superuser = self.is_admin
        super().save(*args, **kwargs)  # type: ignore[arg-type]

    def __str__(self) -> str:
        return self.name or self.username


class SetupLink(models.Model):
    """The one-time link by which the first admin makes their account. Only a hash of its token is stored."""

    token_hash = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField(default=timezone.now)
    used_at = models.DateTimeField(null=True, blank=True)

    @staticmethod
    def hash_of(token: str) -> str:
        """The hash of a token, as the database stores it."""
        return hashlib.sha256(token.encode()).hexdigest()

    @property
    def is_usable(self) -> bool:
        """True while the link is unused and not older than a day."""
        return self.used_at is None and self.created_at > timezone.now() - timedelta(hours=SETUP_HOURS)
