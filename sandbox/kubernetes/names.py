"""Rules of validation: tables of paths and checks, the checks themselves, and what every object's metadata must be."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from engine.types import Json
from sandbox.kubernetes.kinds import Kind
from sandbox.kubernetes.refusals import Cause, duplicate, invalid_value, required, too_long, unsupported

Causes = Iterator[Cause]
_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_ENDS = "a letter or digit at both ends"
_NAME = f"1 to 63 of A-Z, a-z, 0-9, '-', '_' and '.', {_ENDS}"
_MOST_ANNOTATIONS = 256 * 1024


def _is(pattern: str, most: int) -> Callable[[str], bool]:
    """A test of a whole text."""
    compiled = re.compile(pattern)
    return lambda text: len(text) <= most and bool(compiled.fullmatch(text))


_is_subdomain = _is(rf"{_LABEL}(\.{_LABEL})*", 253)
_is_name = _is("([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]", 63)
# What a check is called in a table: what holds for a good value, and what is said of another one.
_CHECKS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "label": (_is(_LABEL, 63), f"a lowercase RFC 1123 label is 1 to 63 of a-z, 0-9 and '-', {_ENDS}"),
    "subdomain": (
        _is_subdomain,
        f"a lowercase RFC 1123 subdomain is 1 to 253 of a-z, 0-9, '-' and '.', {_ENDS}",
    ),
    "host": (lambda v: _is_subdomain(v.removeprefix("*.")), "a host is a lowercase RFC 1123 subdomain"),
    "path-segment": (_is("[^/%]+", 253), "may not contain '/' or '%'"),
    "label-key": (lambda v: _is_name(v.rpartition("/")[2]), f"the name part is {_NAME}"),
    "label-value": (lambda v: not v or _is_name(v), f"a valid label is empty or {_NAME}"),
    "data-key": (_is("[-._a-zA-Z0-9]+", 253), "a valid config key is of A-Z, a-z, 0-9, '-', '_' and '.'"),
    "natural": (lambda v: v >= 0, "must be greater than or equal to 0"),
    "port": (lambda v: isinstance(v, str) or 0 < v < 65536, "must be between 1 and 65535, inclusive"),
    "trimmed": (lambda v: v == v.strip(), "must not have leading or trailing whitespace"),
    "variable": (lambda v: "=" not in v and v.isprintable(), "must be printable characters other than '='"),
    "schedule": (lambda v: v.startswith("@") or len(v.split()) == 5, "expected exactly 5 fields"),
}


def values_at(value: Any, path: str, at: str = "") -> Iterator[tuple[str, Any]]:
    """The values at a path such as `spec.initContainers|containers[*].name`, each with its own path; None for none.

    `|` stands between names, `[*]` for every item of a list.
    """
    step, _, rest = path.partition(".")
    for name in step.removesuffix("[*]").split("|"):
        here = f"{at}.{name}" if at else name
        below = value.get(name) if isinstance(value, dict) else None
        found = [(here, below)]
        if step.endswith("[*]"):
            found = [(f"{here}[{index}]", item) for index, item in enumerate(below or [])]
        for place, item in found:
            yield from values_at(item, rest, place) if rest else [(place, item)]


def broken(rules: str, value: Any, at: str = "") -> Causes:
    """What is wrong with a value by a table: in each line a path and its checks, the first that fails counts.

    A check is `required`, `unique` among all values of the line, `in:` with choices, or one of `_CHECKS`.
    """
    for line in rules.strip().splitlines():
        path, *checks = line.split()
        seen: set[Any] = set()
        for field, found in values_at(value, path, at):
            causes = (_cause(check, field, found, seen) for check in checks)
            if cause := next(filter(None, causes), None):
                yield cause


def _cause(check: str, field: str, value: Any, seen: set[Any]) -> Cause | None:
    if check == "required":
        return None if value else required(field)
    if value is None:
        return None
    if check == "unique":
        is_new = value not in seen
        seen.add(value)
        return None if is_new else duplicate(field, value)
    if check.startswith("in:"):
        choices = check.removeprefix("in:").split(",")
        return None if value in choices else unsupported(field, value, choices)
    is_good, words = _CHECKS[check]
    return None if is_good(value) else invalid_value(field, value, words)


def must_be(check: str, field: str, value: str) -> Causes:
    """One check of one value."""
    if cause := _cause(check, field, value, set()):
        yield cause


def metadata(body: Json, kind: Kind) -> Causes:
    """What is wrong with the name, labels and annotations of an object."""
    about = body["metadata"]
    check = "label" if kind.kind in ("Namespace", "Service") else "subdomain"
    if kind.group == "rbac.authorization.k8s.io":
        check = "path-segment"  # names of roles may hold colons
    if not about.get("name"):
        yield required("metadata.name", "name or generateName is required")
    else:
        yield from must_be(check, "metadata.name", about["name"])
    yield from labels(about.get("labels") or {}, "metadata.labels")
    if sum(len(k) + len(v) for k, v in (about.get("annotations") or {}).items()) > _MOST_ANNOTATIONS:
        yield too_long("metadata.annotations", _MOST_ANNOTATIONS)


def labels(found: Json, field: str) -> Causes:
    """What is wrong with labels."""
    for key, value in found.items():
        yield from must_be("label-key", field, key)
        yield from must_be("label-value", field, value)
