"""All changes of projects and their parts. Each function checks the right and writes the audit event in one transaction.
For roles see projects/memberships.py.

All raise Refused (role too weak, or lost a race), Stale (a concurrent edit) and ValidationError (by field).
"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import transaction

from adapters.errors import ExternalError
from adapters.git.names import check_directory, check_revision, check_url
from audit.actors import Actor
from people.services import require_admin
from projects import editing, secret_rights, variables
from projects.access import require_current, require_project
from projects.allotting.services import allot_address, allot_proposed, require
from projects.allotting.wishes import of_place, of_repository, of_secret
from projects.credentials import missing_credential
from projects.leaving.locking import lock_used
from projects.models import (
    Environment,
    Image,
    Project,
    Registry,
    Role,
    SecretsFile,
    default_secret_rights,
)
from projects.policies import with_policies

ORDER_STEP = 10


@transaction.atomic
def create_project(
    actor: Actor, *, slug: str, name: str, repository_url: str, default_branch: str = "main",
    credential_kind: str = "", credential: str = "", slack_channel: str = "", group: str = "",
    allot_usual: bool = False,
) -> Project:  # fmt: skip
    """Creates a project without environments. Admins only. `allot_usual`: allots what projects usually own, by the short name,
    so that its maintainers can add environments."""
    require_admin(actor)
    _check_git(repository_url, default_branch)
    _require_credential(Project(), repository_url, credential_kind, credential)
    project = Project(
        slug=slug, name=name, repository_url=repository_url, default_branch=default_branch,
        credential_kind=credential_kind, credential=credential if credential_kind else "", slack_channel=slack_channel,
        group=group.strip(),
    )  # fmt: skip
    made = editing.create(actor, project, verb="project.created", text=name, project=slug)
    if credential_kind:
        allot_address(actor, made, repository_url)
    if allot_usual:
        allot_proposed(actor, made)
    return made


@transaction.atomic
def change_project(
    actor: Actor, *, project: Project, edited: int, name: str, repository_url: str, default_branch: str,
    credential_kind: str, credential: str = "", slack_channel: str = "", group: str = "",
) -> Project:  # fmt: skip
    """Changes a project. An empty `credential` keeps the stored one, as long as the address is allotted to the project."""
    require_project(actor, project, Role.MAINTAINER)
    _check_git(repository_url, default_branch)
    values: dict[str, Any] = {
        "name": name, "repository_url": repository_url, "default_branch": default_branch,
        "credential_kind": credential_kind, "slack_channel": slack_channel, "group": group.strip(),
    }  # fmt: skip
    if not credential_kind:
        values["credential"] = ""
    elif credential:
        values["credential"] = credential
    _require_credential(project, repository_url, credential_kind, credential)
    changed = editing.change(
        actor, project, values, edited=edited, verb="project.changed", text=project.name, project=project.slug
    )
    if credential_kind and credential:
        allot_address(actor, project, repository_url)
    return changed


def _require_credential(project: Project, url: str, kind: str, entered: str) -> None:
    """Raises ValidationError when the token or key must be entered."""
    if missing := missing_credential(project, url=url, kind=kind, entered=entered):
        raise editing.refuse_field(credential=missing)


def _check_git(url: str, branch: str) -> None:
    """Raises ValidationError for an address or branch that is unsafe to pass to Git."""
    problems: dict[str, str] = {}
    try:
        check_url(url, settings.GIT_PROTOCOLS)
    except ExternalError as error:
        problems["repository_url"] = f"{error.message} {error.hint}".strip()
    try:
        check_revision(branch)
    except ExternalError as error:
        problems["default_branch"] = error.message
    if problems:
        raise editing.refuse_field(**problems)


@transaction.atomic
def create_environment(
    actor: Actor, *, project: Project, slug: str, name: str = "", placeholders_stop: bool | None = None, **values: Any
) -> Environment:  # fmt: skip
    """Creates an environment. `values`: further fields of the model.

    Defaults: `order` is after the others, `placeholders_stop` is on in production only, deployers may edit secrets
    outside of production.
    """
    require_project(actor, project, Role.MAINTAINER)
    if "cluster" in values:
        lock_used(values["cluster"])
    is_production = bool(values.get("is_production"))
    values["variables"] = variables.cleaned(values.get("variables", []))
    values = with_policies(values, {})
    if values.get("order") is None:
        values["order"] = _next_order(project)
    usual = default_secret_rights() | ({} if is_production else {"reveal": "deployer", "edit": "deployer"})
    values["secret_rights"] = secret_rights.cleaned({**usual, **values.get("secret_rights", {})})
    stops = is_production if placeholders_stop is None else placeholders_stop
    environment = Environment(
        project=project, slug=slug, name=name or slug, placeholders_stop=stops, **values
    )
    text = f"{project.name} {environment.name}"
    editing.create(actor, environment, verb="environment.created", text=text, project=project.slug)
    require(actor, project, of_place(environment.cluster, environment.namespace))
    return environment


def _next_order(project: Project) -> int:
    last = project.environments.order_by("-order").values_list("order", flat=True).first()
    return ORDER_STEP if last is None else min(last + ORDER_STEP, 999)


@transaction.atomic
def change_environment(actor: Actor, *, environment: Environment, edited: int, **values: Any) -> Environment:
    """Changes fields of an environment; its slug and project never change."""
    project = environment.project
    require_project(actor, project, Role.MAINTAINER)
    require_current(project, environment)
    if values.get("cluster", environment.cluster) != environment.cluster:
        lock_used(values["cluster"])
    if values.keys() & {"slug", "project", "project_id", "id", "edited"}:
        raise ValidationError("The slug and the project of an environment never change.")
    if "variables" in values:
        values["variables"] = variables.cleaned(values["variables"])
    if "secret_rights" in values:
        values["secret_rights"] = secret_rights.cleaned(
            {**environment.secret_rights, **values["secret_rights"]}
        )
    values = with_policies(values, environment.policies)
    changed = editing.change(
        actor, environment, values, edited=edited,
        verb="environment.changed", text=f"{project.name} {environment.name}", project=project.slug,
    )  # fmt: skip
    if changed.place != environment.place:
        require(actor, project, of_place(changed.cluster, changed.namespace))
    return changed


@transaction.atomic
def move_environment(actor: Actor, *, environment: Environment) -> None:
    """Moves an environment one place forward; the first one stays. All get the numbers 10, 20, … in `order`."""
    project = environment.project
    require_project(actor, project, Role.MAINTAINER)
    require_current(project, environment)
    rows = list(project.environments.current().select_for_update(of=("self",)).order_by("order", "slug"))
    place = next(i for i, row in enumerate(rows) if row.pk == environment.pk)
    if place == 0:
        return
    rows.insert(place - 1, rows.pop(place))
    for number, row in enumerate(rows, start=1):
        Environment.objects.filter(pk=row.pk).update(order=number * ORDER_STEP, edited=row.edited + 1)
    editing.note(
        actor, environment, verb="environment.changed", text=f"{project.name} {environment.name}",
        project=project.slug, data={"order": [row.slug for row in rows]},
    )  # fmt: skip


@transaction.atomic
def create_image(
    actor: Actor, *, project: Project, name: str, registry: Registry, repository: str,
    dockerfile: str = "Dockerfile", context: str = ".",
) -> Image:  # fmt: skip
    """Adds an image that the project builds."""
    require_project(actor, project, Role.MAINTAINER)
    lock_used(registry)
    _check_context(context)
    image = Image(
        project=project, name=name, registry=registry, repository=repository,
        dockerfile=dockerfile, context=context or ".",
    )  # fmt: skip
    editing.create(actor, image, verb="image.created", text=f"{project.name} {name}", project=project.slug)
    require(actor, project, of_repository(registry, repository))
    return image


def _check_context(context: str) -> None:
    """Raises ValidationError for a build context outside the repository."""
    try:
        check_directory(context or ".")
    except ExternalError as error:
        raise editing.refuse_field(context=f"{error.message} {error.hint}".strip()) from error


@transaction.atomic
def change_image(
    actor: Actor, *, image: Image, edited: int, registry: Registry, repository: str, dockerfile: str, context: str
) -> Image:  # fmt: skip
    """Changes an image; its name stays, manifests use it as `${IMAGE_<NAME>}`."""
    project = image.project
    require_project(actor, project, Role.MAINTAINER)
    require_current(project, image)
    if registry != image.registry:
        lock_used(registry)
    _check_context(context)
    values = {
        "registry": registry, "repository": repository, "dockerfile": dockerfile, "context": context or ".",
    }  # fmt: skip
    changed = editing.change(
        actor, image, values, edited=edited,
        verb="image.changed", text=f"{project.name} {image.name}", project=project.slug,
    )  # fmt: skip
    if changed.reference != image.reference:
        require(actor, project, of_repository(registry, repository))
    return changed


@transaction.atomic
def create_secrets_file(
    actor: Actor, *, environment: Environment, path: str, secret_id: str, region: str = "eu-west-2", role_arn: str = ""
) -> SecretsFile:  # fmt: skip
    """Adds a secret of AWS that replaces a blank file in this environment."""
    project = environment.project
    require_project(actor, project, Role.MAINTAINER)
    require_current(project, environment)
    row = SecretsFile(
        environment=environment, path=path, secret_id=secret_id, region=region, role_arn=role_arn
    )
    editing.create(
        actor, row, verb="secrets_file.created", text=_file_text(environment, path), project=project.slug
    )
    require(actor, project, of_secret(secret_id, role_arn))
    return row


@transaction.atomic
def change_secrets_file(
    actor: Actor, *, secrets_file: SecretsFile, edited: int, path: str, secret_id: str, region: str, role_arn: str = ""
) -> SecretsFile:  # fmt: skip
    """Changes the path or the secret of a secrets file."""
    environment = secrets_file.environment
    require_project(actor, environment.project, Role.MAINTAINER)
    require_current(environment.project, environment)
    values = {"path": path, "secret_id": secret_id, "region": region, "role_arn": role_arn}
    changed = editing.change(
        actor, secrets_file, values, edited=edited, verb="secrets_file.changed",
        text=_file_text(environment, path), project=environment.project.slug,
    )  # fmt: skip
    if (secret_id, role_arn) != (secrets_file.secret_id, secrets_file.role_arn):
        require(actor, environment.project, of_secret(secret_id, role_arn))
    return changed


@transaction.atomic
def remove_secrets_file(actor: Actor, *, secrets_file: SecretsFile) -> None:
    """Removes the secrets file from the environment. The secret in AWS stays."""
    environment = secrets_file.environment
    require_project(actor, environment.project, Role.MAINTAINER)
    require_current(environment.project, environment)
    editing.remove(
        actor, secrets_file, verb="secrets_file.removed",
        text=_file_text(environment, secrets_file.path), project=environment.project.slug,
    )  # fmt: skip


def _file_text(environment: Environment, path: str) -> str:
    return f"{environment.project.name} {environment.name} {path}"
