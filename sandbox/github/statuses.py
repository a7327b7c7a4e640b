"""Commit statuses as GitHub takes them: https://docs.github.com/rest/commits/statuses"""

from __future__ import annotations

import re
from pathlib import Path

from sandbox.github.kept import Kept
from sandbox.github.refusals import (
    GitHubRefusal,
    Json,
    checked_choice,
    checked_text,
    checked_url,
    invalid,
)
from sandbox.github.repositories import Repositories
from sandbox.github.times import now

STATES = ("error", "failure", "pending", "success")
_MOST = 1000  # of one commit and context


def create(
    kept: Kept, repositories: Repositories, place: Path, repository: str, sha: str, given: Json
) -> Json:
    """POST …/statuses/{sha}. Raises GitHubRefusal."""
    state = checked_choice("Status", "state", given.get("state"), STATES)
    context = checked_text("Status", "context", given.get("context"), 255) or "default"
    description = checked_text("Status", "description", given.get("description"), 140)
    target = checked_url("Status", "target_url", given.get("target_url"))
    if not re.fullmatch(r"[0-9a-f]{40}", sha):
        raise invalid("Status", "sha", "sha must be a 40 character SHA1")
    if repositories.commit(place, sha) != sha:
        raise GitHubRefusal(422, f"No commit found for SHA: {sha}")
    with kept.changing():
        known = [one for one in of_commit(kept, repository, sha) if one["context"] == context]
        if len(known) >= _MOST:
            message = "This SHA and context has reached the maximum number of statuses."
            raise GitHubRefusal(
                422, "Validation Failed", [{"resource": "Status", "code": "custom", "message": message}]
            )
        entry: Json = {
            "id": kept.next_id(),
            "repository": repository,
            "sha": sha,
            "state": state,
            "context": context,
            "description": description or None,
            "target_url": target or None,
            "created_at": now(),
            "updated_at": now(),
        }
        kept.add("statuses", entry)
    return entry


def of_commit(kept: Kept, repository: str, sha: str) -> list[Json]:
    """The statuses of a commit, newest first."""
    return [one for one in kept.all("statuses") if one["repository"] == repository and one["sha"] == sha]


def unfulfilled(kept: Kept, repository: str, sha: str) -> list[str]:
    """The contexts of a commit whose newest status is no success."""
    newest: dict[str, str] = {}
    for one in of_commit(kept, repository, sha):
        newest.setdefault(one["context"], one["state"])
    return [context for context, state in newest.items() if state != "success"]
