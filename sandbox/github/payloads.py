"""Bodies of webhooks, as GitHub writes them (https://docs.github.com/webhooks/webhook-events-and-payloads)."""

from __future__ import annotations

import zlib
from pathlib import Path

from sandbox.github.refusals import Json
from sandbox.github.repositories import NOTHING, OWNER, Repositories, Update


def push(repositories: Repositories, place: Path, update: Update, *, git_url: str, pusher: str) -> Json:
    """The body of the event `push`. `git_url`: the address of the Git server."""
    name = place.name.removesuffix(".git")
    base = f"{git_url.rstrip('/')}/{OWNER}/{name}"
    tag = update.ref.startswith("refs/tags/")
    commits = [] if tag else repositories.new_commits(place, update)
    # Of an annotated tag `after` is the tag itself, and the head commit what it names.
    head = repositories.head_commit(place, repositories.commit(place, update.after) or NOTHING)
    return {
        "ref": update.ref,
        "before": update.before,
        "after": update.after,
        "repository": repository(name, base, repositories.default_branch(place)),
        "pusher": {"name": pusher, "email": f"{pusher}@example.com"},
        "sender": {"login": pusher, "id": _id(pusher), "type": "User", "site_admin": False},
        "created": update.before == NOTHING,
        "deleted": update.after == NOTHING,
        "forced": repositories.is_forced(place, update),
        "base_ref": None,
        "compare": f"{base}/compare/{update.before[:12]}...{update.after[:12]}",
        "commits": [_with_url(base, commit) for commit in commits],
        "head_commit": _with_url(base, head) if head else None,
    }


def repository(name: str, base: str, default_branch: str) -> Json:
    """The repository as bodies describe it. `base`: its address without `.git`."""
    full_name = f"{OWNER}/{name}"
    host = base.partition("://")[2].partition("/")[0]
    return {
        "id": _id(full_name),
        "name": name,
        "full_name": full_name,
        "private": True,
        "owner": {"name": OWNER, "login": OWNER, "id": _id(OWNER), "type": "Organization"},
        "html_url": base,
        "url": base,
        "clone_url": f"{base}.git",
        "git_url": f"git://{host}/{full_name}.git",
        "ssh_url": f"git@{host.partition(':')[0]}:{full_name}.git",
        "default_branch": default_branch,
        "master_branch": default_branch,
    }


def _with_url(base: str, commit: Json) -> Json:
    return {**commit, "url": f"{base}/commit/{commit['id']}"}


def _id(text: str) -> int:
    return zlib.crc32(text.encode())
