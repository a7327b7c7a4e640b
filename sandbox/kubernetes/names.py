"""Checks of single values, by name, and of the metadata of every object."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from engine.types import Json
from sandbox.kubernetes.kinds import Kind
from sandbox.kubernetes.refusals import Cause, invalid_value, required, too_long, unsupported

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
_SUBDOMAIN = f"a lowercase RFC 1123 subdomain is 1 to 253 of a-z, 0-9, '-' and '.', {_ENDS}"
# What holds for a good value, and what is said of another one.
_CHECKS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "label": (_is(_LABEL, 63), f"a lowercase RFC 1123 label is 1 to 63 of a-z, 0-9 and '-', {_ENDS}"),
    "subdomain": (_is_subdomain, _SUBDOMAIN),
    "host": (lambda v: _is_subdomain(v.removeprefix("*.")), _SUBDOMAIN),
    "path-segment": (_is("[^/%]+", 253), "may not contain '/' or '%'"),
    "label-key": (lambda v: _is_name(v.rpartition("/")[2]), f"the name part is {_NAME}"),
    "label-value": (lambda v: not v or _is_name(v), f"a valid label is empty or {_NAME}"),
    "data-key": (_is("[-._a-zA-Z0-9]+", 253), "a valid config key is of A-Z, a-z, 0-9, '-', '_' and '.'"),
    "count": (lambda v: v >= 0, "must be greater than or equal to 0"),
    "port": (lambda v: isinstance(v, str) or 0 < v < 65536, "must be between 1 and 65535, inclusive"),
    "trimmed": (lambda v: v == v.strip(), "must not have leading or trailing whitespace"),
    "variable": (lambda v: "=" not in v and v.isprintable(), "must be printable characters other than '='"),
    "schedule": (lambda v: v.startswith("@") or len(v.split()) == 5, "expected exactly 5 fields"),
}


def must_be(check: str, field: str, value: Any) -> Causes:
    """The faults of a value. `check`: one of `_CHECKS`, or choices (`Prefix|Exact`); a leading `!` makes the value required."""
    name = check.lstrip("!")
    if name != check and not value:
        yield required(field)
    elif value is None or not name:
        return
    elif name not in _CHECKS:
        if value not in name.split("|"):
            yield unsupported(field, value, name.split("|"))
    elif not _CHECKS[name][0](value):
        yield invalid_value(field, value, _CHECKS[name][1])


def metadata(body: Json, kind: Kind) -> Causes:
    """The faults of the name, labels and annotations of an object."""
    about = body["metadata"]
    check = "label" if kind.kind in ("Namespace", "Service") else "subdomain"
    if kind.group == "rbac.authorization.k8s.io":
        check = "path-segment"  # names of roles may hold colons
    if not about.get("name"):
        yield required("metadata.name", "name or generateName is required")
    yield from must_be(check, "metadata.name", about.get("name") or None)
    yield from labels(about, "metadata")
    if sum(len(k) + len(v) for k, v in (about.get("annotations") or {}).items()) > _MOST_ANNOTATIONS:
        yield too_long("metadata.annotations", _MOST_ANNOTATIONS)


def labels(about: Json, at: str) -> Causes:
    """The faults of the labels in `about`. Those of a template are called `spec.template.labels`."""
    field = f"{at.removesuffix('.metadata')}.labels"
    for key, value in (about.get("labels") or {}).items():
        yield from must_be("label-key", field, key)
        yield from must_be("label-value", field, value)
