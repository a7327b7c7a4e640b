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
