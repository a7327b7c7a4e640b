"""Whose secret signed a delivery: the site's, or a project's own, which speaks only for that project's repository."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.conf import settings

from builds.addresses import key_of, keys_of
from builds.incoming import signatures
from builds.models import BuildSettings
from core.fields import CannotDecrypt
from core.secret_values import register
from projects.models import Project

MOST_TRIED = 20  # secrets of projects that share one repository


@dataclass(frozen=True)
class Signer:
    """`project`: None for the site's secret."""

    project: Project | None = None

    @property
    def name(self) -> str:
        """For counting."""
        return str(self.project.pk) if self.project else "site"


def site(body: bytes, signature: str) -> Signer | None:
    """The site, if its secret signs the body. Asks nobody."""
    return Signer() if signatures.fits(settings.GITHUB_WEBHOOK_SECRET, body, signature) else None


def of_project(addresses: Sequence[str], body: bytes, signature: str) -> Signer | None:
    """The project of this repository whose own secret signs the body."""
    keys = keys_of(addresses)
    if not keys:
        return None
    own = BuildSettings.objects.exclude(webhook_secret="").select_related("project")
    candidates = [row for row in own if key_of(row.project.repository_url) in keys]
    for row in candidates[:MOST_TRIED]:
        if signatures.fits(_secret(row), body, signature):
            return Signer(row.project)
    return None


def has_any_secret() -> bool:
    """Whether a delivery can be signed rightly at all."""
    if settings.GITHUB_WEBHOOK_SECRET:
        return True
    return BuildSettings.objects.exclude(webhook_secret="").exists()


def _secret(row: BuildSettings) -> str:
    """The secret in clear text; empty when no key decrypts it, so that it signs nothing."""
    try:
        secret = row.webhook_secret.open()
    except CannotDecrypt:
        return ""
    register([secret])
    return secret
