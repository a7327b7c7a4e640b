"""Names and labels: what the server takes for one."""

from __future__ import annotations

import re
from collections.abc import Iterator

from engine.types import Json
from sandbox.kubernetes.kinds import Kind
from sandbox.kubernetes.refusals import (
    Cause,
    invalid_value,
    required,
    too_long,
)

Causes = Iterator[Cause]
LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_NAME_PART = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]")
SUBDOMAIN_WORDS = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start "
    "and end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
LABEL_WORDS = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end "
    "with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)
_NAME_PART_WORDS = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric "
    "character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
    "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)
_VALUE_WORDS = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and "
    "end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is "
    "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)
_FREE_NAMES = ("rbac.authorization.k8s.io",)  # groups whose names may hold colons


def metadata(body: Json, kind: Kind) -> Causes:
    """What is wrong with the name, labels and annotations of an object."""
    about = body["metadata"]
    name = about.get("name") or ""
    if not name:
        yield required("metadata.name", "name or generateName is required")
    elif kind.group in _FREE_NAMES:
        if "/" in name or "%" in name:
            yield invalid_value("metadata.name", name, "may not contain '/'")
    else:
        pattern, words = (LABEL, LABEL_WORDS) if kind.kind == "Namespace" else (SUBDOMAIN, SUBDOMAIN_WORDS)
        if not pattern.fullmatch(name):
            yield invalid_value("metadata.name", name, words)
        limit = 63 if kind.kind in ("Namespace", "Service") else 253
        if len(name) > limit:
            yield invalid_value("metadata.name", name, f"must be no more than {limit} bytes")
    yield from labels(about.get("labels") or {}, "metadata.labels")
    if sum(len(k) + len(v) for k, v in (about.get("annotations") or {}).items()) > 256 * 1024:
        yield too_long("metadata.annotations", 256 * 1024)


def labels(found: Json, field: str) -> Causes:
    """What is wrong with labels."""
    for key, value in found.items():
        part = key.rpartition("/")[2]
        if not _NAME_PART.fullmatch(part):
            yield invalid_value(field, key, _NAME_PART_WORDS)
        elif len(part) > 63:
            yield invalid_value(field, key, "name part must be no more than 63 bytes")
        if len(value) > 63:
            yield invalid_value(field, value, "must be no more than 63 bytes")
        elif value and not _NAME_PART.fullmatch(value):
            yield invalid_value(field, value, _VALUE_WORDS)
