"""Whose secret signed a delivery: the site's, or a project's own, which decides only in that project, about its repository."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.conf import settings

from builds.addresses import key_of, keys_of
from builds.incoming import signatures
from builds.incoming.naming import addresses_in
from builds.models import BuildSettings
from core.fields import CannotDecrypt
from core.secret_values import register
from projects.models import Project

MOST_TRIED = 20  # secrets of projects that share one repository


@dataclass(frozen=True)
class Signer:
    """`projects`: those whose own secret signed it (two projects of one repository may have the same one); none for the site's
    secret."""

    projects: tuple[Project, ...] = ()

    @property
    def ids(self) -> list[int]:
        """Primary keys of the projects."""
        return [project.pk for project in self.projects]

    @property
    def name(self) -> str:
        """For counting."""
        return str(self.projects[0].pk) if self.projects else "site"


def site(body: bytes, signature: str) -> Signer | None:
    """The site, if its secret signs the body. Asks nobody."""
    return Signer() if signatures.fits(settings.GITHUB_WEBHOOK_SECRET, body, signature) else None


def own(body: bytes, content_type: str, signature: str) -> Signer | None:
    """The projects whose own secret signs the body, of those whose address the body names. One query; nothing is parsed."""
    keys = keys_of(addresses_in(body, content_type))
    if not keys:
        return None
    rows = BuildSettings.objects.exclude(webhook_secret="").select_related("project").order_by("pk")
    candidates = [row for row in rows if key_of(row.project.repository_url) in keys][:MOST_TRIED]
    signing = [row.project for row in candidates if signatures.fits(_secret(row), body, signature)]
    return Signer(tuple(signing)) if signing else None


def of_repository(signer: Signer, addresses: Sequence[str]) -> Signer | None:
    """The signer, as far as it speaks for the repository that the delivery is really about: the site for each one, a project for
    its own."""
    if not signer.projects:
        return signer
    keys = keys_of(addresses)
    projects = tuple(one for one in signer.projects if key_of(one.repository_url) in keys)
    return Signer(projects) if projects else None


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
