"""The user model, and the one-time links by which the first admin makes their account and others choose a password."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import timedelta

from django.contrib.auth.models import AbstractUser
from django.db import models
from django.utils import timezone

SETUP_HOURS = 24


class User(AbstractUser):
    """A person who signs in.

    `is_admin`: may do everything on the site; Django's own flags follow it, so that the Django admin opens.
    `is_auditor`: may read the audit. Rights in projects are rows of projects.models.Membership. `sessions_ended`: how often all
    sessions were ended at once; a session belongs to one count. `second_step_taken_at`, `second_step_taken_by`: when an admin
    took the second step away, and who; empty once there is a new one.
    """

    name = models.CharField("shown name", max_length=100, blank=True)
    is_admin = models.BooleanField("admin", default=False)
    is_auditor = models.BooleanField("auditor", default=False)
    sessions_ended = models.PositiveIntegerField(default=0, db_default=0)
    second_step_taken_at = models.DateTimeField(null=True, blank=True)
    second_step_taken_by = models.CharField(max_length=150, blank=True, default="", db_default="")

    class Meta:
        ordering = ["username"]

    def save(self, *args: object, **kwargs: object) -> None:
        """Sets Django's flags to `is_admin`, so that there is one kind of admin, ends links that must not outlive the change,
        then saves."""
        self.is_staff = self.is_superuser = self.is_admin
        if self.pk is not None:
            self._end_links()
        super().save(*args, **kwargs)  # type: ignore[arg-type]

    def _end_links(self) -> None:
        """Deletes the person's unused links when they get another password or are archived, by whatever way, and those that they
        made for others when they are no admin (any more)."""
        ended = models.Q() if self.is_admin and self.is_active else models.Q(made_by=self.pk)
        # Django keeps a new password there until it is saved.
        has_new: bool = self._password is not None  # type: ignore[attr-defined]
        if has_new or not self.is_active:
            ended |= models.Q(user=self.pk)
        if ended:
            SetupLink.objects.filter(ended, used_at=None).delete()

    def __str__(self) -> str:
        return self.name or self.username

    def get_session_auth_hash(self) -> str:
        """Django's hash of the password, by which a session knows that it still counts, and the count of ended sessions."""
        return super().get_session_auth_hash() + self._count_of_sessions()

    def get_session_auth_fallback_hash(self) -> Iterator[str]:
        """The same by earlier values of SECRET_KEY."""
        for earlier in super().get_session_auth_fallback_hash():
            yield earlier + self._count_of_sessions()

    def _count_of_sessions(self) -> str:
        """Empty at first, so that sessions from before there was a count go on."""
        return f".{self.sessions_ended}" if self.sessions_ended else ""


class SetupLink(models.Model):
    """A one-time link: with a `user`, they choose their password by it; without one, the first admin makes their account. Only a
    hash of its token is stored. `made_by`: the admin who made it for another; it ends with their right."""

    user = models.ForeignKey(
        User, on_delete=models.CASCADE, null=True, blank=True, related_name="setup_links"
    )
    made_by = models.ForeignKey(
        User, on_delete=models.CASCADE, null=True, blank=True, related_name="links_made"
    )
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
