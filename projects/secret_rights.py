"""Rights on the secrets of an environment. Each belongs to a role and to every stronger role.

`names`: see the names of keys. `reveal`: see a value. `edit`: change values. `approve`: accept a change that another
person requested. `Environment.secret_rights` stores them; an absent right has its default.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, get_args

from django.core.exceptions import ValidationError

from projects.models import Environment, Role, default_secret_rights

Right = Literal["names", "reveal", "edit", "approve"]
RIGHTS: tuple[Right, ...] = get_args(Right)
WORDS: dict[Right, str] = {
    "names": "see the names of secret keys",
    "reveal": "reveal secret values",
    "edit": "change secret values",
    "approve": "approve changes of secrets",
}


def role_for(environment: Environment, right: Right) -> Role:
    """The weakest role that has this right in the environment."""
    return Role(environment.secret_rights.get(right) or default_secret_rights()[right])


def covers(role: Role | None, environment: Environment, right: Right) -> bool:
    """Whether a person with this role (None: no role) has the right."""
    return role is not None and role.rank >= role_for(environment, right).rank


def cleaned(rights: Mapping[str, Any]) -> dict[str, str]:
    """All four rights in the stored form. Raises ValidationError.

    Revealing, editing and approving need the names, so no right may belong to a weaker role than `names`.
    """
    unknown = sorted(set(rights) - set(RIGHTS))
    if unknown:
        raise ValidationError({"secret_rights": [f"Unknown rights: {', '.join(unknown)}."]})
    given = {**default_secret_rights(), **rights}
    wrong = sorted(right for right, role in given.items() if role not in Role.values)
    if wrong:
        raise ValidationError({"secret_rights": [f"No role is called so: {', '.join(wrong)}."]})
    see = Role(given["names"])
    for right in RIGHTS[1:]:
        if Role(given[right]).rank < see.rank:
            raise ValidationError(
                {
                    "secret_rights": [
                        f"To {WORDS[right]} a person must see the names: give that to the same role or a weaker one."
                    ]
                }
            )
    return given
