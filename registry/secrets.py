"""The Secret itself: its content, how it is read, and its last writer. No requests here.

Every function that sees a Secret registers its content with the current redactor first.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from core.secret_values import digest, register, register_objects
from engine.types import Json

TYPE = "kubernetes.io/dockerconfigjson"
KEY = ".dockerconfigjson"
MANAGER = "slipway-registry"  # our field manager; it is on clusters and never changes
MARK = "slipway.dev/pull-credential"  # label: `managed` on our Secrets, `off` on namespaces that are left out
EXPIRES = "slipway.dev/token-expires-at"


@dataclass(frozen=True)
class PullCredential:
    """User and password for one registry's host."""

    host: str
    username: str
    password: str = field(repr=False)

    @property
    def pair(self) -> str:
        """`user:password` in Base64, as Docker and HTTP Basic write it."""
        return base64.b64encode(f"{self.username}:{self.password}".encode()).decode()

    @property
    def fingerprint(self) -> str:
        """A keyed digest, to compare it without storing it."""
        return digest(self.pair.encode())


@dataclass(frozen=True)
class Seen:
    """A Secret as the cluster has it. `credentials`: by host; `ours`: our field manager is among its writers; `writer`: the other
    manager that wrote its content last, and when; `fingerprint`: of the whole content, empty where there is none."""

    uid: str
    version: str
    type: str
    immutable: bool
    ours: bool
    writer: str
    fingerprint: str
    credentials: Mapping[str, PullCredential] = field(repr=False)

    @property
    def can_be_patched(self) -> bool:
        """Whether it can get other content in place: its type cannot change, nor anything of an immutable one."""
        return self.type == TYPE and not self.immutable


def seen(secret: Json) -> Seen:
    """What a Secret is. Raises RuntimeError without a redactor."""
    metadata = secret.get("metadata") or {}
    managers = metadata.get("managedFields") or []
    return Seen(
        uid=str(metadata.get("uid", "")),
        version=str(metadata.get("resourceVersion", "")),
        type=str(secret.get("type", "")),
        immutable=bool(secret.get("immutable")),
        ours=any(entry.get("manager") == MANAGER for entry in managers),
        writer=_writer(managers),
        fingerprint=fingerprint_of(secret),
        credentials=credentials_of(secret),
    )


def _writer(managers: Iterable[Json]) -> str:
    """The manager, other than ours, that owns the content or type; the newest when there are several."""
    owners = [
        entry
        for entry in managers
        if entry.get("manager") != MANAGER and {"f:data", "f:type"} & set(entry.get("fieldsV1") or {})
    ]
    last = max(owners, key=lambda entry: str(entry.get("time", "")), default=None)
    if last is None:
        return ""
    at = str(last.get("time", ""))[:16].replace("T", " ")
    return f"{last.get('manager', 'an unnamed writer')}{f' at {at} UTC' if at else ''}"[:200]


def fingerprint_of(secret: Json) -> str:
    """The keyed digest of a Secret's content; empty where it has none that can be read."""
    content = _content(secret)
    return digest(content) if content else ""


def credentials_of(secret: Json) -> dict[str, PullCredential]:
    """The credentials by host of a Secret of the type `kubernetes.io/dockerconfigjson`. Leaves out entries that it cannot
    read; a Secret of another type has none. Raises RuntimeError without a redactor."""
    register_objects([secret])
    if secret.get("type") != TYPE:
        return {}
    found = [_credential(host, entry) for host, entry in _auths(secret).items()]
    known = [credential for credential in found if credential is not None]
    register_credentials(known)
    return {credential.host: credential for credential in known}


def register_credentials(credentials: Iterable[PullCredential]) -> None:
    """Makes their passwords known to the current redactor. Raises RuntimeError when there is none."""
    register([text for one in credentials for text in (one.password, f"{one.username}:{one.password}")])


def _content(secret: Json) -> bytes:
    try:
        return base64.b64decode((secret.get("data") or {}).get(KEY, ""), validate=True)
    except (binascii.Error, ValueError, TypeError, AttributeError):
        return b""


def _auths(secret: Json) -> dict[str, Any]:
    try:
        return dict(json.loads(_content(secret))["auths"])
    except (ValueError, KeyError, TypeError):
        return {}


def _credential(host: str, entry: Any) -> PullCredential | None:
    try:
        user, _, password = base64.b64decode(entry["auth"], validate=True).decode().partition(":")
    except (binascii.Error, ValueError, KeyError, TypeError):
        return None
    return PullCredential(host, user, password)


def content_of(credentials: Mapping[str, PullCredential]) -> bytes:
    """The content that opens these registries: the same bytes for the same credentials."""
    auths = {
        host: {"username": one.username, "password": one.password, "auth": one.pair}
        for host, one in sorted(credentials.items())
    }
    return json.dumps({"auths": auths}, separators=(",", ":")).encode()


def body_of(
    namespace: str, name: str, content: bytes, *, expires_at: datetime | None, live: Seen | None
) -> Json:
    """The Secret to write. With `live` it is written only over exactly that object in exactly that version."""
    metadata: Json = {"name": name, "namespace": namespace, "labels": {MARK: "managed"}}
    if expires_at is not None:
        metadata["annotations"] = {EXPIRES: expires_at.isoformat(timespec="seconds")}
    if live is not None:
        metadata |= {"uid": live.uid, "resourceVersion": live.version}
    data = {KEY: base64.b64encode(content).decode()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": TYPE, "data": data}
