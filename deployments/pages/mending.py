"""What a page offers to mend the cause of a finding: a link, a button or a field, or whom to ask.

A new cause needs a row in `_MENDS`. The addresses lead back to the preview by `next`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.urls import reverse

from engine.errors import Cause
from projects.access import maintainers_text, may_secret, role_in
from projects.models import Environment, Role
from projects.variables import name_problem


@dataclass(frozen=True)
class Mend:
    """One offer. `url`: of the link or of the form (`posts`); `variable`: the form asks for the value of this variable; `ask`:
    whom to ask, for readers who may not do it themselves."""

    label: str = ""
    url: str = ""
    posts: bool = False
    variable: str = ""
    ask: str = ""


@dataclass(frozen=True)
class Reader:
    """The reader of a preview, and their rights. `back`: the address of the preview; `files`: primary keys of the secrets files
    by their path."""

    environment: Environment
    back: str
    is_maintainer: bool
    is_maintainer_here: bool
    edits_secrets: bool
    ask: str
    files: Mapping[str, int]

    @property
    def slugs(self) -> list[str]:
        """The arguments of addresses of the environment."""
        return [self.environment.project.slug, self.environment.slug]


def reader_of(user: Any, environment: Environment, back: str) -> Reader:
    """The reader. A few queries, however many findings there are."""
    whole, here = role_in(user, environment.project), role_in(user, environment.project, environment)
    return Reader(
        environment=environment,
        back=back,
        is_maintainer=whole == Role.MAINTAINER,
        is_maintainer_here=here == Role.MAINTAINER,
        edits_secrets=may_secret(user, environment, "edit"),
        ask=maintainers_text(environment.project),
        files=dict(environment.secrets_files.values_list("path", "pk")),
    )


def mends(cause: Cause | None, reader: Reader, revision: str = "") -> Mend | None:
    """What is offered; None where the page knows nothing better than the finding's own advice. `revision`: the chosen one."""
    make = _MENDS.get(cause.code) if cause is not None else None
    return make(cause, reader, revision) if make is not None and cause is not None else None


def _variable(cause: Cause, reader: Reader, revision: str) -> Mend | None:
    if name_problem(cause.name):
        return None
    if not reader.is_maintainer:
        return Mend(ask=reader.ask)
    url = reverse("projects:variable-add", args=reader.slugs)
    return Mend(f"Add {cause.name}", url, posts=True, variable=cause.name)


def _namespace(cause: Cause, reader: Reader, revision: str) -> Mend | None:
    if cause.name != reader.environment.namespace:
        return None
    if not reader.is_maintainer_here:
        return Mend(ask=reader.ask)
    return Mend("Create namespace", reverse("projects:namespace_create", args=reader.slugs), posts=True)


def _secret_keys(cause: Cause, reader: Reader, revision: str) -> Mend | None:
    return _secrets_file(cause, reader, revision, "Set the keys")


def _secret_missing(cause: Cause, reader: Reader, revision: str) -> Mend | None:
    return _secrets_file(cause, reader, revision, "Make the secret")


def _secrets_file(cause: Cause, reader: Reader, revision: str, label: str) -> Mend:
    if not reader.edits_secrets:
        return Mend(ask=reader.ask)
    query = urlencode(
        {"file": reader.files.get(cause.place, ""), "at": revision, "show": "attention", "next": reader.back}
    )
    return Mend(label, f"{reverse('secrets:environment', args=reader.slugs)}?{query}")


def _pull_secret(cause: Cause, reader: Reader, revision: str) -> Mend | None:
    return Mend("Pull credentials", reverse("registry:overview"))


_MENDS: Mapping[str, Callable[[Cause, Reader, str], Mend | None]] = {
    "variable": _variable,
    "namespace": _namespace,
    "secret-keys": _secret_keys,
    "placeholders": _secret_keys,
    "secret-missing": _secret_missing,
    "pull-secret": _pull_secret,
}
