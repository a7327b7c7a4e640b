"""Changes of how a project builds: rules, keys, recipes of images, and build secrets.

Each function checks the right and writes the audit event in one transaction. All raise Refused (role), Stale (a concurrent edit)
and ValidationError (by field).
"""

from __future__ import annotations

import json
import re
from typing import Any

from django.db import transaction

from audit.actors import Actor
from builds.missed import forget_heads
from builds.models import BuildSecret, BuildSettings, Recipe
from builds.patterns import problem_of
from builds.pipeline.bases import foreign_frontends
from projects import editing
from projects.access import require_project
from projects.allotting.services import require
from projects.allotting.wishes import of_secret
from projects.models import Image, Project, Role

PATTERNS = ("branches", "tags", "watch", "ignore")
# With other ones, refs may be built that were not looked at before.
DECIDE_REFS = ("on_push", "branches", "tags")
LONGEST_POLICY = 30_720  # ECR's own limit
SHORTEST_SECRET = 16
MOST_ARGUMENTS, LONGEST_VALUE = 50, 2000
ARGUMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")
TARGET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
PLATFORM = re.compile(r"[a-z0-9]+/[a-z0-9_]+(/[a-z0-9]+)?")
MOUNT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")


@transaction.atomic
def change_rules(actor: Actor, project: Project, *, edited: int, **values: Any) -> BuildSettings:
    """Changes when the project builds. `values`: fields of BuildSettings other than the keys."""
    require_project(actor, project, Role.MAINTAINER)
    problems = {name: problem_of(values[name]) for name in PATTERNS if name in values}
    if problem := policy_problem(values.get("lifecycle_policy", "")):
        problems["lifecycle_policy"] = problem
    _refuse(problems)
    before = _stored(project)
    changed = _change(actor, before, values, edited)
    if any(getattr(changed, name) != getattr(before, name) for name in DECIDE_REFS):
        forget_heads([project])
    return changed


@transaction.atomic
def change_keys(
    actor: Actor, project: Project, *, edited: int, webhook_secret: str = "", github_token: str = "",
    forget_webhook_secret: bool = False, forget_github_token: bool = False,
) -> BuildSettings:  # fmt: skip
    """Changes the project's own webhook secret and GitHub token. An empty one keeps the stored one, unless it is to be
    forgotten: then the site's counts."""
    require_project(actor, project, Role.MAINTAINER)
    problems = {"github_token": _token_problem(github_token)}
    if 0 < len(webhook_secret) < SHORTEST_SECRET:
        problems["webhook_secret"] = (
            f"Write {SHORTEST_SECRET} characters at least: a person who guesses it can start builds."
        )
    _refuse(problems)
    values: dict[str, Any] = {}
    if webhook_secret or forget_webhook_secret:
        values["webhook_secret"] = webhook_secret
    if github_token or forget_github_token:
        values["github_token"] = github_token
    return _change(actor, _stored(project), values, edited)


def _stored(project: Project) -> BuildSettings:
    return BuildSettings.objects.get_or_create(project=project)[0]


def _change(actor: Actor, row: BuildSettings, values: dict[str, Any], edited: int) -> BuildSettings:
    project = row.project
    return editing.change(
        actor,
        row,
        values,
        edited=edited,
        verb="build_settings.changed",
        text=project.name,
        project=project.slug,
    )


@transaction.atomic
def change_recipe(
    actor: Actor, image: Image, *, edited: int, target: str, platform: str, arguments: list[dict[str, str]],
    is_built: bool,
) -> Recipe:  # fmt: skip
    """Changes how an image is built."""
    project = image.project
    require_project(actor, project, Role.MAINTAINER)
    _refuse(
        {
            "target": target_problem(target),
            "platform": platform_problem(platform),
            "arguments": arguments_problem(arguments),
        }
    )
    row, _ = Recipe.objects.get_or_create(image=image)
    values = {"target": target, "platform": platform, "arguments": arguments, "is_built": is_built}
    return editing.change(
        actor, row, values, edited=edited, verb="build_recipe.changed", text=f"{project.name} {image.name}",
        project=project.slug,
    )  # fmt: skip


@transaction.atomic
def create_secret(
    actor: Actor, project: Project, *, name: str, secret_id: str, key: str = "", region: str = "eu-west-2",
    role_arn: str = "",
) -> BuildSecret:  # fmt: skip
    """Adds a value of AWS that Dockerfiles mount."""
    require_project(actor, project, Role.MAINTAINER)
    _refuse({"name": mount_problem(name)})
    row = BuildSecret(
        project=project, name=name, secret_id=secret_id, key=key, region=region, role_arn=role_arn
    )
    text = f"{project.name} {name}"
    editing.create(actor, row, verb="build_secret.created", text=text, project=project.slug)
    require(actor, project, of_secret(secret_id, role_arn))
    return row


@transaction.atomic
def change_secret(
    actor: Actor, secret: BuildSecret, *, edited: int, name: str, secret_id: str, key: str, region: str, role_arn: str
) -> BuildSecret:  # fmt: skip
    """Changes a build secret."""
    project = secret.project
    require_project(actor, project, Role.MAINTAINER)
    _refuse({"name": mount_problem(name)})
    values = {"name": name, "secret_id": secret_id, "key": key, "region": region, "role_arn": role_arn}
    changed = editing.change(
        actor, secret, values, edited=edited, verb="build_secret.changed", text=f"{project.name} {name}",
        project=project.slug,
    )  # fmt: skip
    if (secret_id, role_arn) != (secret.secret_id, secret.role_arn):
        require(actor, project, of_secret(secret_id, role_arn))
    return changed


@transaction.atomic
def remove_secret(actor: Actor, secret: BuildSecret) -> None:
    """Removes a build secret. The secret in AWS stays."""
    project = secret.project
    require_project(actor, project, Role.MAINTAINER)
    editing.remove(
        actor, secret, verb="build_secret.removed", text=f"{project.name} {secret.name}", project=project.slug
    )


def _refuse(problems: dict[str, str]) -> None:
    """Raises ValidationError when a field has a problem."""
    found = {name: text for name, text in problems.items() if text}
    if found:
        raise editing.refuse_field(**found)


def policy_problem(text: str) -> str:
    """Why a text is no lifecycle policy of ECR; empty when it may be one, or is empty."""
    if not text.strip():
        return ""
    if len(text) > LONGEST_POLICY:
        return f"ECR takes {LONGEST_POLICY} characters at most."
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return "This is not JSON."
    is_policy = isinstance(content, dict) and isinstance(content.get("rules"), list) and content["rules"]
    return "" if is_policy else 'Write a lifecycle policy of ECR: {"rules": […]}.'


def target_problem(target: str) -> str:
    """Why a text is no name of a stage; empty when it may be one, or is empty."""
    return "" if not target or TARGET.fullmatch(target) else "Write the name of a stage."


def platform_problem(platform: str) -> str:
    """Why a text is no platform; empty when it may be one, or is empty."""
    return "" if not platform or PLATFORM.fullmatch(platform) else "Write it as linux/amd64."


def arguments_problem(arguments: list[dict[str, str]]) -> str:
    """Why a list of build arguments cannot be used; empty when it can."""
    names = [one["name"] for one in arguments]
    if len(arguments) > MOST_ARGUMENTS:
        return f"There are more than {MOST_ARGUMENTS} arguments."
    if foreign_frontends({one["name"]: one["value"] for one in arguments}):
        return "BUILDKIT_SYNTAX may only name docker/dockerfile."
    if wrong := next((name for name in names if not ARGUMENT.fullmatch(name)), None):
        return f"“{wrong[:40]}” is no name of a build argument."
    if twice := next((name for name in names if names.count(name) > 1), None):
        return f"{twice} is there more than once."
    if long := next((one["name"] for one in arguments if len(one["value"]) > LONGEST_VALUE), None):
        return f"The value of {long} is longer than {LONGEST_VALUE} characters."
    return ""


def mount_problem(name: str) -> str:
    """Why a name cannot be the id of a mounted secret; empty when it can."""
    return "" if MOUNT.fullmatch(name) else "Write letters, digits, “.”, “_” and “-” only, e.g. npm-token."


def _token_problem(token: str) -> str:
    return "A token has no spaces." if any(c.isspace() or not c.isprintable() for c in token) else ""
