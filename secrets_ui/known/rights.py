"""Rights on the secret behind a secrets file. A secret that several environments read needs the right in each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from audit.actors import Actor
from core.errors import Refused
from projects.access import may_secret, note_refused, require_secret
from projects.allotting.using import require_still
from projects.allotting.wishes import of_secret
from projects.models import Environment, SecretsFile
from projects.secret_rights import Right
from secrets_ui.known.secrets import files_elsewhere, secret_of
from secrets_ui.models import Secret


def environments_of(file: SecretsFile, secret: Secret | None = None) -> list[Environment]:
    """Every environment that reads the file's secret, the file's own first. `secret`: that of the file, where it is at
    hand."""
    files = files_elsewhere(file, secret or secret_of(file))
    others = {other.environment_id: other.environment for other in files}
    return [file.environment, *others.values()]


def require(
    actor: Actor, file: SecretsFile, right: Right, *, what: str = "", secret: Secret | None = None
) -> list[Environment]:
    """Raises Refused unless the actor has the right in every environment that reads the secret; returns those. `secret`: as for
    `environments_of`. Raises NotAllotted for a secret that is not allotted any more."""
    require_secret(actor, file.environment, right, what=what)
    require_still(file.environment.project, of_secret(file.secret_id, file.role_arn))
    environments = environments_of(file, secret)
    if actor.kind == "system":
        return environments
    for other in environments[1:]:
        if not may_secret(actor.user, other, right):
            note_refused(actor, file.environment, right, what=what)
            raise Refused(
                "Another environment reads this secret, too, and you do not have the right there. Nothing was changed.",
                hint="Ask an admin, or give each environment a secret of its own.",
                code="secret-right",
            )
    return environments


def may(user: Any, file: SecretsFile, *rights: Right) -> dict[Right, bool]:
    """Which of these rights a page offers: names by the file's own environment, all others as `require` has them."""
    return held_in(user, environments_of(file), *rights)


def held_in(user: Any, readers: Sequence[Environment], *rights: Right) -> dict[Right, bool]:
    """The same for the environments that read a secret, the one by whose page the person came first."""
    return {
        right: all(may_secret(user, place, right) for place in (readers[:1] if right == "names" else readers))
        for right in rights
    }


def may_test(user: Any, file: SecretsFile, secret: Secret | None) -> bool:
    """Whether the person may learn if a guess is the stored value: who may reveal or edit it anyway."""
    return any(held_in(user, environments_of(file, secret), "reveal", "edit").values())


def is_production(file: SecretsFile) -> bool:
    """Whether production reads the secret, through this file or another one."""
    return any(environment.is_production for environment in environments_of(file))
