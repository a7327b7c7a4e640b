"""The versions of the secrets files that a preview showed, on their way through the page's form and back.

They are sealed: only a version that was current when the portal made a preview can come back. Otherwise somebody who may
deploy could have a version deployed that nobody approved, or one from long ago, by its VersionId.
"""

from __future__ import annotations

from collections.abc import Iterable

from django.core import signing

from projects.models import Environment


def sealed(environment: Environment, versions: Iterable[tuple[str, str]]) -> str:
    """Path and VersionId of each secrets file as the value of a hidden field; empty without any."""
    shown = dict(versions)
    return signing.dumps(shown, salt=salt(environment)) if shown else ""


def opened(environment: Environment, text: str) -> dict[str, str]:
    """The versions by path. Raises ValueError for what this portal has not sealed for this environment."""
    if not text:
        return {}
    try:
        found: dict[str, str] = signing.loads(text, salt=salt(environment))
    except signing.BadSignature as error:
        raise ValueError("It was not sealed here.") from error
    return found


def salt(environment: Environment) -> str:
    """What is sealed for one environment opens for no other."""
    return f"deployments.shown-versions.{environment.pk}"
