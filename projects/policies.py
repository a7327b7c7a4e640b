"""Policies of an environment as its form gives them: merged into the one column that keeps them."""

from __future__ import annotations

from typing import Any

from django.utils import timezone

from adapters.errors import ExternalError
from adapters.git.names import check_revision
from engine.limits import LONGEST_SETTLE
from projects import editing
from projects.models import LONGEST_WATCH

# Switches that are kept in Environment.policies.
POLICIES = ("automatic_rollback", "no_min_ready", "secret_requests")
# Seconds kept there, with the most that each may be; None means the default.
NUMBERS = {"settle_seconds": int(LONGEST_SETTLE), "watch_seconds": LONGEST_WATCH}
# The rule that deploys green builds: a pattern of branches, and since when it is in force. Builds before that are not meant.
RULE, RULE_SINCE = "auto_deploy", "auto_deploy_since"
LONGEST_PATTERN = 90


def with_policies(values: dict[str, Any], held: dict[str, Any]) -> dict[str, Any]:
    """`values` with its policies moved into `policies`, merged with the stored ones (`held`). A switch that is off and a
    number that has its default are absent, and so is a rule that is empty."""
    switched: dict[str, Any] = {name: bool(values[name]) or None for name in POLICIES if name in values}
    switched |= {name: _seconds(name, values[name]) for name in NUMBERS if name in values}
    if RULE in values:
        switched |= _rule(values[RULE], held)
    if not switched:
        return values
    others = {name: value for name, value in values.items() if name not in switched}
    merged = {**held, **values.get("policies", {}), **switched}
    return {
        **others, "policies": {name: value for name, value in merged.items() if value is not None and value is not False}
    }  # fmt: skip


def _seconds(name: str, value: Any) -> int | None:
    """A number of seconds as policies keep it. Raises ValidationError."""
    most = NUMBERS[name]
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= most):
        return value
    raise editing.refuse_field(**{name: f"Enter whole seconds from 0 to {most}, or nothing."})


def _rule(value: Any, held: dict[str, Any]) -> dict[str, str | None]:
    """The rule of automatic deploys as policies keep it. Raises ValidationError."""
    pattern = str(value or "").strip()
    if not pattern:
        return {RULE: None, RULE_SINCE: None}
    if pattern == held.get(RULE):
        return {RULE: pattern, RULE_SINCE: held.get(RULE_SINCE)}
    problem = editing.refuse_field(
        **{RULE: "Enter a branch, such as main, or a pattern with *, such as release/*."}
    )
    if len(pattern) > LONGEST_PATTERN:
        raise problem
    try:
        check_revision(pattern.replace("*", "x"))
    except ExternalError:
        raise problem from None
    return {RULE: pattern, RULE_SINCE: timezone.now().isoformat()}
