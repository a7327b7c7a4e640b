"""Keeps secret values out of everything that is shown or kept.

A value is replaced by a keyed digest of it: equal digests mean "the same", different ones "changed". Without the key the
digest does not reveal the value. The digest also covers namespace, name and key, so that equal values in two places have
different digests: otherwise a person who may set one value could test guesses of another.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from engine.types import Json

Digest = Callable[[bytes], str]  # keyed hash, given by the caller: HMAC-SHA256, hex, 16 characters
BOUND = "bound"  # the field of a stored Secret that says that its digests are of its environment
LAST_APPLIED = (
    "kubectl.kubernetes.io/last-applied-configuration"  # holds a copy of the whole object, values included
)


@dataclass(frozen=True)
class Digests:
    """The two forms of digests in one environment. `here` is bound to the environment: the same value of the same Secret has
    another digest elsewhere, so nobody learns from one environment about another. `anywhere` is not bound: releases and pods
    of before have it. What has it is compared by it, so that an update of the portal changes nothing."""

    here: Digest
    anywhere: Digest

    def of(self, kept: Json) -> Digest:
        """The form in which a stored Secret has its digests."""
        return self.here if kept.get(BOUND) else self.anywhere

    def of_release(self, stored: Sequence[Json]) -> Digest:
        """The form in which a stored release has all its digests: it was stored by one version of the portal."""
        return next((self.of(entry["secret"]) for entry in stored if "secret" in entry), self.here)


def is_secret(body: Json) -> bool:
    """Whether the object is a core Secret, of whatever version."""
    return body.get("kind") == "Secret" and "/" not in str(body.get("apiVersion", "v1"))


def decode_value(text: Any) -> bytes:
    """The bytes behind a value of `data`. Text that is not base64 stands for itself: it is as secret."""
    raw = text if isinstance(text, str) else "" if text is None else str(text)
    try:
        return base64.b64decode("".join(raw.split()), validate=True)
    except (binascii.Error, ValueError):
        return raw.encode("utf-8", "surrogatepass")


def values_of(body: Json) -> Iterator[tuple[str, bytes]]:
    """Key and decoded value of a Secret; `stringData` wins over `data`, as the API server has it."""
    plain = _mapping(body.get("stringData"))
    for key, text in _mapping(body.get("data")).items():
        if key not in plain:
            yield key, decode_value(text)
    for key, text in plain.items():
        yield key, str("" if text is None else text).encode("utf-8", "surrogatepass")


def value_digest(digest: Digest, namespace: str, name: str, key: str, value: bytes) -> str:
    """The digest of one value of one Secret."""
    return digest(f"{namespace}/{name}/{key}".encode() + b"\0" + value)


def key_digests(body: Json, digest: Digest) -> dict[str, str]:
    """Digest by key of a Secret with its namespace set, sorted by key."""
    metadata = _mapping(body.get("metadata"))
    namespace, name = str(metadata.get("namespace") or ""), str(metadata.get("name") or "")
    return {key: value_digest(digest, namespace, name, key, value) for key, value in sorted(values_of(body))}


def mask(body: Json, digest: Digest) -> Json:
    """A copy that may be shown. Secret values become `#<digest>` under `data`; the copy that kubectl keeps in an
    annotation is left out. Other objects are returned with nothing else changed (shared parts are not copied)."""
    body = without_last_applied(body)
    if not is_secret(body):
        return body
    shown = {key: value for key, value in body.items() if key not in ("data", "stringData")}
    shown["data"] = {key: f"#{text}" for key, text in key_digests(body, digest).items()}
    return shown


def without_last_applied(body: Json) -> Json:
    """The object without the annotation in which `kubectl apply` keeps a copy of it; the same object if it has none."""
    metadata = body.get("metadata")
    annotations = metadata.get("annotations") if isinstance(metadata, dict) else None
    if not isinstance(annotations, dict) or LAST_APPLIED not in annotations:
        return body
    kept = {key: value for key, value in annotations.items() if key != LAST_APPLIED}
    return {**body, "metadata": {**_mapping(metadata), "annotations": kept}}


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
