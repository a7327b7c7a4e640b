"""The API server's answers to refused requests: Status objects, in the real server's words.

(k8s.io/apimachinery/pkg/api/errors/errors.go and pkg/util/validation/field/errors.go.)
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from engine.types import Json
from sandbox.kubernetes.kinds import Kind

_STALE = "the object has been modified; please apply your changes to the latest version and try again"


class Refused(Exception):
    """An answer that is no success. `code` is the HTTP status, `reason` the machine's word for it."""

    def __init__(self, code: int, reason: str, message: str, details: Json | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.details = details

    def status(self) -> Json:
        """The Status object."""
        body: Json = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure"}
        more = {"message": self.message, "reason": self.reason or None, "details": self.details}
        return {**body, **{k: v for k, v in more.items() if v is not None}, "code": self.code}


# --- what is wrong with one field ------------------------------------------------------------------------------------

Cause = tuple[str, str, str]  # field, reason, message


def required(field: str, message: str = "") -> Cause:
    return field, "FieldValueRequired", f"Required value: {message}" if message else "Required value"


def invalid_value(field: str, value: Any, message: str) -> Cause:
    return field, "FieldValueInvalid", f"Invalid value: {_shown(value)}: {message}"


def forbidden_value(field: str, message: str) -> Cause:
    return field, "FieldValueForbidden", f"Forbidden: {message}"


def duplicate(field: str, value: Any) -> Cause:
    return field, "FieldValueDuplicate", f"Duplicate value: {_shown(value)}"


def unsupported(field: str, value: Any, choices: Sequence[str]) -> Cause:
    listed = ", ".join(f'"{choice}"' for choice in choices)
    return field, "FieldValueNotSupported", f"Unsupported value: {_shown(value)}: supported values: {listed}"


def too_long(field: str, limit: int) -> Cause:
    return field, "FieldValueTooLong", f"Too long: may not be more than {limit} bytes"


def _shown(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


# --- refusals --------------------------------------------------------------------------------------------------------


def bad_request(message: str) -> Refused:
    return Refused(400, "BadRequest", message)


def not_found(kind: Kind, name: str) -> Refused:
    return Refused(404, "NotFound", f'{kind.full_plural} "{name}" not found', about(kind, name))


def conflict(kind: Kind, name: str, why: str = _STALE) -> Refused:
    message = f'Operation cannot be fulfilled on {kind.full_plural} "{name}": {why}'
    return Refused(409, "Conflict", message, about(kind, name))


def uid_differs(kind: Kind, name: str, wanted: str, found: str) -> Refused:
    """Another object than the one that was meant."""
    why = f"the UID in the precondition ({wanted}) does not match the UID in record ({found}). "
    return conflict(kind, name, f"{why}The object might have been deleted and then recreated")


def invalid(kind: str, group: str, name: str, causes: Sequence[Cause]) -> Refused:
    """422 with every cause. `kind` and `group` of the object at fault."""
    full = f"{kind}.{group}" if group else kind
    texts = [f"{field}: {message}" if field else message for field, _, message in causes]
    joined = texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
    named = {k: v for k, v in {"name": name, "group": group, "kind": kind}.items() if v}
    details = {**named, "causes": [{"reason": r, "message": m, "field": f} for f, r, m in causes]}
    return Refused(422, "Invalid", f'{full} "{name}" is invalid: {joined}', details)


def expired(version: int, oldest: int) -> Refused:
    return Refused(410, "Expired", f"too old resource version: {version} ({oldest})")


def about(kind: Kind, name: str) -> Json:
    """The object at fault, for the details of a Status."""
    return {"name": name, **({"group": kind.group} if kind.group else {}), "kind": kind.plural}
