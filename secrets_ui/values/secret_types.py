"""Types of Secrets, and the keys without which Kubernetes refuses a Secret of the type."""

from __future__ import annotations

from collections.abc import Mapping

from secrets_ui.values.kinds import is_json, text_of

OPAQUE, REGISTRY = "Opaque", "kubernetes.io/dockerconfigjson"
# The keys that a Secret of the type must have.
TYPES: Mapping[str, tuple[str, ...]] = {
    OPAQUE: (),
    REGISTRY: (".dockerconfigjson",),
    "kubernetes.io/tls": ("tls.crt", "tls.key"),
    "kubernetes.io/basic-auth": ("username", "password"),
    "kubernetes.io/ssh-auth": ("ssh-privatekey",),
}


def content_problem(type_: str, values: Mapping[str, bytes]) -> str:
    """Why a new Secret of the type cannot have these values only, or nothing; no value is repeated."""
    if not values:
        return "It has no key yet: add one."
    lacking = [key for key in TYPES.get(type_, ()) if not values.get(key)]
    if lacking:
        return f"A Secret of the type {type_} needs a value for {' and '.join(lacking)}."
    if type_ == REGISTRY and not is_json((text_of(values[".dockerconfigjson"]) or "").strip()):
        return "The value of .dockerconfigjson is no JSON, and Kubernetes refuses it."
    return ""
