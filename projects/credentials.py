"""When the credential of a repository must be entered: a stored one is sent only to the host for which it was stored."""

from __future__ import annotations

from urllib.parse import urlsplit

from projects.models import Project


def missing_credential(project: Project, *, url: str, kind: str, entered: str) -> str:
    """Why a token or key must be entered, as a sentence for its field; empty if none is needed.

    `project`: as stored, or an empty new one. `kind`: the chosen kind of credential. `entered`: what was typed.
    """
    if not kind or entered:
        return ""
    if kind != project.credential_kind:
        return "Enter the token or key, or choose “None (public)”."
    if place_of(url) != place_of(project.repository_url):
        return "The address leads to another host: enter its credential. The stored one is not sent there."
    return ""


def place_of(url: str) -> tuple[str, str]:
    """Protocol and host of a repository's address. A stored credential may be sent only there."""
    if "://" not in url:
        return "ssh", url.partition(":")[0].rpartition("@")[2].lower()
    parts = urlsplit(url)
    return parts.scheme, parts.netloc.rpartition("@")[2].lower()
