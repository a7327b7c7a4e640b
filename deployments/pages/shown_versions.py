"""The versions of the secrets files that a preview showed, as a hidden field of its form.

The field is signed, so that only versions of a preview come back. Otherwise a deployer could name any VersionId: one that is
not approved yet, or one from long ago. For the same reason it ends after half a day.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from django.core import signing

from projects.models import Environment

KEPT = timedelta(hours=12)


def sealed(environment: Environment, versions: Iterable[tuple[str, str]]) -> str:
    """The signed value of the field for pairs of path and VersionId; empty without any."""
    shown = dict(versions)
    return signing.dumps(shown, salt=salt(environment)) if shown else ""


def opened(environment: Environment, text: str) -> dict[str, str]:
    """The VersionId by path. Raises ValueError when this portal did not sign the text for this environment, or not
    lately."""
    if not text:
        return {}
    try:
        found: dict[str, str] = signing.loads(text, salt=salt(environment), max_age=KEPT)
    except signing.BadSignature as error:
        raise ValueError("The value is not signed by this portal, or too old.") from error
    return found


def salt(environment: Environment) -> str:
    """Makes a value that is signed for one environment invalid for all others."""
    return f"deployments.shown-versions.{environment.pk}"
