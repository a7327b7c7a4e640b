"""The variables of an environment, `[{"name", "value", "type"}, …]`, validated by the engine's rules."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from django.core.exceptions import ValidationError

from engine.errors import SlipwayError
from engine.manifests.variables import Variable

TYPES = (("string", "Text"), ("number", "Number"), ("boolean", "true or false"))
NAME = re.compile(r"[A-Z][A-Z0-9_]{0,62}")
# Every deploy sets these (docs/deploying.md, "Manifests"). An environment's variable of the same name would hide the
# value of the deploy.
BUILT_IN = frozenset({"REVISION", "REVISION_SHORT", "IMAGE_TAG", "ENVIRONMENT", "PROJECT", "NAMESPACE"})
BUILT_IN_PREFIX = "IMAGE_"
LONGEST_VALUE = 4000
MOST = 100


def name_problem(name: str) -> str:
    """The reason why `name` cannot be a variable's name; empty when it can."""
    if name in BUILT_IN or name.startswith(BUILT_IN_PREFIX):
        return f"{name} is filled in by every deploy itself; choose another name."
    if not NAME.fullmatch(name):
        return "Use capital letters, digits and “_”; begin with a letter, e.g. LOG_LEVEL."
    return ""


def value_problem(name: str, value: str, kind: str) -> str:
    """The reason why `value` does not fit the type; empty when it does."""
    if kind not in dict(TYPES):
        return "Choose one of the types."
    if len(value) > LONGEST_VALUE:
        return f"At most {LONGEST_VALUE} characters."
    try:
        Variable(name, value, kind)  # type: ignore[arg-type]  # checked above
    except SlipwayError:
        return "Write a number, e.g. 3 or 0.5." if kind == "number" else "Write true or false."
    return ""


def cleaned(rows: Iterable[Mapping[str, str]]) -> list[dict[str, str]]:
    """The rows in the stored form, in order. Raises ValidationError that names each invalid variable."""
    variables = [
        {"name": row["name"], "value": str(row.get("value", "")), "type": row.get("type", "string")}
        for row in rows
    ]
    problems = [
        f"{v['name']}: {problem}"
        for v in variables
        if (problem := name_problem(v["name"]) or value_problem(v["name"], v["value"], v["type"]))
    ]
    names = [v["name"] for v in variables]
    problems += [
        f"{name} is there more than once." for name in sorted({n for n in names if names.count(n) > 1})
    ]
    if len(variables) > MOST:
        problems.append(f"There are {len(variables)} variables; at most {MOST} fit.")
    if problems:
        raise ValidationError({"variables": problems})
    return variables
