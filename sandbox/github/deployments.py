"""Deployments as GitHub takes them: https://docs.github.com/rest/deployments"""

from __future__ import annotations

from pathlib import Path

from sandbox.github import statuses
from sandbox.github.kept import Kept
from sandbox.github.refusals import GitHubRefusal, Json, checked_choice, checked_text, checked_url
from sandbox.github.repositories import Repositories
from sandbox.github.times import now

STATES = ("error", "failure", "inactive", "in_progress", "queued", "pending", "success")


def create(kept: Kept, repositories: Repositories, place: Path, repository: str, given: Json) -> Json:
    """POST …/deployments. Raises GitHubRefusal."""
    ref = checked_text("Deployment", "ref", given.get("ref"), 255)
    if not ref:
        raise GitHubRefusal(422, 'Invalid request.\n\n"ref" wasn\'t supplied.')
    environment = checked_text("Deployment", "environment", given.get("environment"), 255) or "production"
    sha = repositories.commit(place, ref)
    if not sha:
        raise GitHubRefusal(422, f"No ref found for: {ref}")
    _check_contexts(kept, repository, sha, ref, given.get("required_contexts"))
    with kept.changing():
        entry: Json = {
            "id": kept.next_id(),
            "repository": repository,
            "sha": sha,
            "ref": ref,
            "task": given.get("task") or "deploy",
            "payload": given.get("payload") or {},
            "environment": environment,
            "original_environment": environment,
            "description": checked_text("Deployment", "description", given.get("description"), 140) or None,
            "production_environment": given.get("production_environment", environment == "production"),
            "transient_environment": bool(given.get("transient_environment", False)),
            "created_at": now(),
            "updated_at": now(),
        }
        kept.add("deployments", entry)
    return entry


def _check_contexts(kept: Kept, repository: str, sha: str, ref: str, wanted: object) -> None:
    """Without `required_contexts` each status of the commit must be a success. Raises GitHubRefusal."""
    failing = statuses.unfulfilled(kept, repository, sha)
    if isinstance(wanted, list):
        good = {one["context"] for one in statuses.of_commit(kept, repository, sha)} - set(failing)
        failing = [context for context in wanted if context not in good]
    if failing:
        raise GitHubRefusal(409, f"Conflict: Commit status checks failed for {ref}.")


def listed(kept: Kept, repository: str, query: dict[str, str]) -> list[Json]:
    """GET …/deployments, newest first. `query`: sha, ref, task, environment."""
    names = ("sha", "ref", "task", "environment")
    wanted = {name: query[name] for name in names if query.get(name)}
    return [
        one
        for one in kept.all("deployments")
        if one["repository"] == repository and all(one[name] == value for name, value in wanted.items())
    ]


def add_status(kept: Kept, repository: str, number: int, given: Json) -> Json:
    """POST …/deployments/{id}/statuses. Raises GitHubRefusal."""
    deployment = _known(kept, repository, number)
    state = checked_choice("DeploymentStatus", "state", given.get("state"), STATES)
    with kept.changing():
        if state == "success" and given.get("auto_inactive", True):
            _end_earlier(kept, deployment)
        return _add(kept, deployment, state, given)


def statuses_of(kept: Kept, repository: str, number: int) -> list[Json]:
    """GET …/deployments/{id}/statuses, newest first. Raises GitHubRefusal."""
    _known(kept, repository, number)
    return [one for one in kept.all("deployment_statuses") if one["deployment"] == number]


def state_of(kept: Kept, number: int) -> str:
    """The newest state of a deployment; empty when it has none yet."""
    newest = kept.find("deployment_statuses", lambda one: one["deployment"] == number)
    return str(newest["state"]) if newest else ""


def _known(kept: Kept, repository: str, number: int) -> Json:
    found = kept.find("deployments", lambda one: one["id"] == number and one["repository"] == repository)
    if found is None:
        raise GitHubRefusal(404, "Not Found")
    return found


def _end_earlier(kept: Kept, deployment: Json) -> None:
    """Earlier deployments of the environment become inactive, except transient ones and those of production."""
    for one in listed(kept, deployment["repository"], {"environment": deployment["environment"]}):
        spared = one["transient_environment"] or one["production_environment"]
        if one["id"] < deployment["id"] and not spared and state_of(kept, one["id"]) == "success":
            _add(kept, one, "inactive", {})


def _add(kept: Kept, deployment: Json, state: str, given: Json) -> Json:
    target = "log_url" if given.get("log_url") else "target_url"
    entry: Json = {
        "id": kept.next_id(),
        "deployment": deployment["id"],
        "repository": deployment["repository"],
        "state": state,
        "description": checked_text("DeploymentStatus", "description", given.get("description"), 140),
        "environment": checked_text("DeploymentStatus", "environment", given.get("environment"), 255)
        or deployment["environment"],
        "log_url": checked_url("DeploymentStatus", target, given.get(target)),
        "created_at": now(),
    }
    kept.add("deployment_statuses", entry)
    return entry
