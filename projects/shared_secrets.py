"""Naming a secret of AWS that another environment reads: whoever names it sees its keys, and a deploy takes its values."""

from __future__ import annotations

from django.db.models import Q

from audit.actors import Actor
from core.errors import Refused
from core.findings import FAILED, Finding
from projects.access import may_secret, note_refused
from projects.models import Environment, SecretsFile

_ARN, _IN_ARN, _SUFFIX = "arn:", ":secret:", 7  # an ARN ends with the name, a hyphen and six characters
_PROBLEM = "Another environment reads this secret, and you may not reveal its values there."
_HINT = "Ask an admin, or give each environment a secret of its own."


def others_naming(file: SecretsFile) -> list[Environment]:
    """The other environments whose settings name the same secret, by name or ARN, with whatever role."""
    rows = SecretsFile.objects.filter(_same(file.secret_id), region=file.region)
    rows = rows.exclude(environment=file.environment).select_related("environment__project")
    return list({row.environment_id: row.environment for row in rows}.values())


def _same(named: str) -> Q:
    if not named.startswith(_ARN):
        return Q(secret_id=named) | Q(secret_id__startswith=_ARN, secret_id__contains=f"{_IN_ARN}{named}-")
    name = named.rpartition(_IN_ARN)[2]
    return Q(secret_id=named) | Q(secret_id__in=(name, name[:-_SUFFIX]))


def require_where_named(actor: Actor, file: SecretsFile) -> None:
    """Raises Refused unless the actor may reveal values in every other environment that names the secret; audited."""
    if actor.kind == "system" or _may(actor, file):
        return
    note_refused(actor, file.environment, "reveal", what=file.secret_id)
    raise Refused(f"{_PROBLEM} Nothing was changed.", hint=_HINT, code="secret-right")


def problem(actor: Actor, file: SecretsFile) -> list[Finding]:
    """The same as a finding about the form's field; before AWS is asked what is in the secret."""
    return [] if _may(actor, file) else [Finding(FAILED, _PROBLEM, _HINT, "secret_id")]


def _may(actor: Actor, file: SecretsFile) -> bool:
    return all(may_secret(actor.user, place, "reveal") for place in others_naming(file))
