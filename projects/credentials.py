"""When the credential of a repository must be entered: a stored one is sent only to addresses that are allotted to its
project. The whole address counts, because one host keeps repositories of many owners.
"""

from __future__ import annotations

from projects.allotting.rules import not_allotted
from projects.allotting.wishes import of_git
from projects.models import Project


def missing_credential(project: Project, *, url: str, kind: str, entered: str) -> str:
    """Why a token or key must be entered, as a sentence for its field; empty if none is needed.

    `project`: as stored, or an empty new one. `kind`: the chosen kind of credential. `entered`: what was typed.
    """
    if not kind or entered:
        return ""
    if kind != project.credential_kind:
        return "Enter the token or key, or choose “None (public)”."
    if url != project.repository_url and not_allotted(project, of_git(url)):
        return "This is another address: enter its credential. The stored one is sent only where an admin allots it."
    return ""


def unfit_credential(*, url: str, kind: str, entered: str) -> str:
    """Why this kind of credential cannot open this address, or the text is none of its kind, as a sentence for its field; empty
    if it may fit."""
    web = url.startswith(("https://", "http://"))
    if kind == Project.Credential.SSH_KEY and web:
        return "A deploy key opens an SSH address, e.g. git@host:path. Choose “Access token”, or enter that address."
    if kind == Project.Credential.TOKEN and not web and not url.startswith("file://"):
        return "An access token opens an HTTPS address. Choose “Deploy key”, or enter that address."
    if kind == Project.Credential.TOKEN and entered.lstrip().startswith("-----BEGIN "):
        return "This is a private key. Choose “Deploy key”, with an SSH address, or paste a token."
    return ""
