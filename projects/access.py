"""Access control: the functions that fetch a project or environment also check the right. Views use no other way.

A person without a role gets a 404, so that names do not leak. A person whose role is too weak gets a refusal with the
reason and the people to ask (core/problems.py makes it a 403).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from django.db.models import Q
from django.http import Http404

from audit.actors import Actor
from audit.record import record
from core.errors import Refused
from people.models import User
from people.services import admins_text
from projects import secret_rights
from projects.current import Current
from projects.models import Environment, Image, Membership, Project, Role
from projects.secret_rights import Right

WORDS = {
    Role.VIEWER: "see this",
    Role.DEPLOYER: "deploy here",
    Role.MAINTAINER: "change settings here",
}


def role_in(
    user: Any, project: Project, environment: Environment | None = None, *, elsewhere: bool = True
) -> Role | None:
    """The strongest role of a user: on the project, or on this environment of it. Admins are maintainers everywhere.

    A role on another environment counts as viewer of the project, unless `elsewhere` is false. In what is archived everybody
    with a role is a viewer. None: no role.
    """
    return _while_current(held_role(user, project, environment, elsewhere=elsewhere), project, environment)


def held_role(
    user: Any, project: Project, environment: Environment | None = None, *, elsewhere: bool = True
) -> Role | None:
    """As `role_in`, also in what is archived: for archiving, restoring and removing."""
    if not user.is_authenticated or not user.is_active:
        return None
    if user.is_admin:
        return Role.MAINTAINER
    return strongest(Membership.objects.filter(user=user, project=project), environment, elsewhere=elsewhere)


def _while_current(role: Role | None, project: Project, environment: Environment | None) -> Role | None:
    is_archived = project.archived_at or (environment is not None and environment.archived_at)
    return Role.VIEWER if role is not None and is_archived else role


def strongest(
    memberships: Iterable[Membership], environment: Environment | None, *, elsewhere: bool = True
) -> Role | None:
    """The strongest role that a user's memberships of one project give, on the project or on this environment of it. A role
    on another environment counts as viewer, or not at all without `elsewhere`. None without memberships."""
    here = (None, environment.pk if environment else None)
    roles = [
        Role(m.role) if m.environment_id in here else Role.VIEWER
        for m in memberships
        if elsewhere or m.environment_id in here
    ]
    return max(roles, key=lambda role: role.rank, default=None)


def visible_projects(user: Any) -> Current[Project]:
    """The projects that a user may see, archived ones included: history is kept. Lists of what is in use add `.current()`."""
    if user.is_admin:
        return Project.objects.all()
    return Project.objects.filter(memberships__user=user).distinct()


def project_for(user: Any, slug: str, need: Role = Role.VIEWER) -> Project:
    """The project, if the user's role on the whole project covers `need`. Raises Http404 or Refused."""
    project = visible_projects(user).filter(slug=slug).first()
    if project is None:
        raise Http404("No such project.")
    check(held_role(user, project), need, project)
    if need != Role.VIEWER:
        require_current(project)
    return project


def environment_for(user: Any, project_slug: str, slug: str, need: Role = Role.VIEWER) -> Environment:
    """The environment with its project and cluster, if the user's role covers `need`. Raises Http404 or Refused."""
    environments = Environment.objects.select_related("project", "cluster")
    environment = environments.filter(
        project__in=visible_projects(user), project__slug=project_slug, slug=slug
    ).first()
    if environment is None:
        raise Http404("No such environment.")
    check(held_role(user, environment.project, environment), need, environment.project)
    if need != Role.VIEWER:
        require_current(environment.project, environment)
    return environment


def require_current(project: Project, part: Environment | Image | None = None) -> None:
    """Raises Refused when the project, or this environment or image of it, is archived. For `part` as it was read: a caller that
    must be sure under a lock uses `leaving.locking`."""
    if project.archived_at:
        raise archived(f"The project {project}")
    if part is not None and part.archived_at:
        raise archived(f"{part} of {project}")


def archived(what: str) -> Refused:
    """The error for acting on something archived."""
    return Refused(
        f"{what} is archived: its history can be read, and nothing is done with it.",
        hint="Restore it first; its page has the button.",
        code="archived",
    )


def check(role: Role | None, need: Role, project: Project) -> None:
    """Raises Refused, with the needed role and the people who can grant it, unless `role` covers `need`."""
    if role is not None and role.rank >= need.rank:
        return
    has = f"you are {role.label.lower()}" if role else "you have no role"
    raise Refused(
        f"To {WORDS[need]} you need the role {need.label.lower()} on {project}; {has}.",
        hint="Ask a maintainer of the project or an admin for the role.",
        code="role",
        ask=maintainers_text(project),
    )


def require(actor: Actor, environment: Environment, need: Role) -> None:
    """For services: raises Refused unless the actor is the portal itself or a person whose role covers `need`, and for what is
    archived."""
    if actor.kind != "system":
        role = held_role(actor.user, environment.project, environment) if actor.user is not None else None
        check(role, need, environment.project)
    require_current(environment.project, environment)


def require_project(actor: Actor, project: Project, need: Role) -> None:
    """Like `require`, for the role on the whole project."""
    if actor.kind != "system":
        check(held_role(actor.user, project) if actor.user is not None else None, need, project)
    require_current(project)


def may_secret(user: Any, environment: Environment, right: Right) -> bool:
    """Whether a user has a right on the secrets of an environment (projects/secret_rights.py).

    A role on another environment of the project lets its holder see names, as a viewer of the project, but no value. Of an
    archived environment nobody sees or changes values.
    """
    if right != "names" and environment.is_archived:
        return False
    role = role_in(user, environment.project, environment, elsewhere=right == "names")
    return secret_rights.covers(role, environment, right)


def require_secret(actor: Actor, environment: Environment, right: Right, *, what: str = "") -> None:
    """Raises Refused unless the actor has the right on the environment's secrets; the refused attempt is audited.

    `what`: the requested key or version, for the audit; never a value.
    """
    if actor.kind == "system" or (actor.user is not None and may_secret(actor.user, environment, right)):
        return
    note_refused(actor, environment, right, what=what)
    if right != "names":
        require_current(environment.project, environment)
    need = secret_rights.role_for(environment, right)
    raise Refused(
        f"To {secret_rights.WORDS[right]} of {environment.project} {environment.name} you need the role"
        f" {need.label.lower()} there. Nothing was changed.",
        hint="Ask a maintainer of the project or an admin for the role.",
        code="secret-right",
        ask=maintainers_text(environment.project),
    )


def note_refused(actor: Actor, environment: Environment, right: Right, *, what: str = "") -> None:
    """Audits an attempt for which the right is lacking."""
    record(
        actor, "secrets.refused", target_kind="environment", target_id=environment.pk, target_text=environment.label,
        project=environment.project.slug, data={"right": right, "what": what} if what else {"right": right},
    )  # fmt: skip


def maintainers_text(project: Project) -> str:
    """The names of the people to ask: the project's maintainers, else the admins."""
    rows = Membership.objects.filter(
        project=project, role=Role.MAINTAINER, environment=None, user__is_active=True
    )
    names = list(rows.values_list("user__username", flat=True)[:5])
    return ", ".join(names) or admins_text()


def roles_by_environment(
    user: Any, environments: Sequence[Environment], *, elsewhere: bool = True
) -> dict[int, Role | None]:
    """The user's role on each of many environments in one query, by the environment's pk (board, project page), as `role_in`
    has it. The environments come with their projects."""
    if user.is_admin:
        return {e.pk: _while_current(Role.MAINTAINER, e.project, e) for e in environments}
    held = list(Membership.objects.filter(user=user, project__in={e.project_id for e in environments}))
    return {
        e.pk: _while_current(
            strongest((m for m in held if m.project_id == e.project_id), e, elsewhere=elsewhere), e.project, e
        )
        for e in environments
    }


def visible_filter(user: Any, prefix: str = "environment__project") -> Q:
    """A condition for querysets of rows that belong to a project, e.g. deploys. `prefix`: the path to the project."""
    return Q() if user.is_admin else Q(**{f"{prefix}__in": visible_projects(user)})


def people_near(user: Any) -> list[str]:
    """Names of people who can have started something in projects that `user` may see: admins, members of these projects."""
    near = Q(is_admin=True) | Q(memberships__project__in=visible_projects(user))
    return list(User.objects.filter(near).order_by("username").values_list("username", flat=True).distinct())
