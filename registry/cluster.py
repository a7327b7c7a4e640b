"""What the portal asks of a cluster for its pull secrets: namespaces, Secrets by name, writes with preconditions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from engine.cluster.client import (
    ACCEPT_METADATA,
    ACCEPT_METADATA_LIST,
    APPLY,
    JSON_PATCH,
    ApiError,
    Client,
    find,
    list_all,
)
from engine.cluster.parallel import THREADS
from engine.cluster.resources import built_in
from engine.types import Json
from registry.secrets import MANAGER, MARK, Seen, body_of, seen

_SECRETS, _NAMESPACES, _ACCOUNTS = built_in("Secret"), built_in("Namespace"), built_in("ServiceAccount")


Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Place:
    """One Secret that is to be there."""

    namespace: str
    name: str


@dataclass(frozen=True)
class Home:
    """A namespace of the cluster. `is_ending`: it is being deleted; `is_off`: its label says that it gets no credential."""

    name: str
    is_ending: bool
    is_off: bool

    @property
    def is_system(self) -> bool:
        """Whether it belongs to Kubernetes itself."""
        return self.name.startswith("kube-")


def read_homes(client: Client, selector: str = "") -> dict[str, Home]:
    """The namespaces by name; with a label selector, only those. Raises ApiError."""
    query = {"labelSelector": selector} if selector else {}
    items, _ = list_all(client, _NAMESPACES.path(), query=query, accept=ACCEPT_METADATA_LIST)
    return {home.name: home for home in map(_home, items)}


def _home(body: Json) -> Home:
    metadata = body.get("metadata") or {}
    name = str(metadata.get("name", ""))
    off = (metadata.get("labels") or {}).get(MARK) == "off"
    return Home(name, bool(metadata.get("deletionTimestamp")), off)


def read_secrets(client: Client, places: Sequence[Place]) -> dict[Place, Seen]:
    """Those of the Secrets that exist: by one list for each name, or one by one where the account may not list. Raises
    ApiError; RuntimeError without a redactor."""
    if len(places) == 1:
        return read_each(client, places)
    found: dict[Place, Seen] = {}
    for name in dict.fromkeys(place.name for place in places):
        wanted = [place for place in places if place.name == name]
        try:
            items, _ = list_all(client, _SECRETS.path(), query={"fieldSelector": f"metadata.name={name}"})
        except ApiError as error:
            if error.status != 403:
                raise
            found |= read_each(client, wanted)
            continue
        by_namespace = {str(item["metadata"]["namespace"]): item for item in items}
        found |= {p: seen(by_namespace[p.namespace]) for p in wanted if p.namespace in by_namespace}
    return found


def read_each(client: Client, places: Sequence[Place]) -> dict[Place, Seen]:
    """The same, with one request for each. Raises ApiError."""
    bodies = in_threads(lambda place: find(client, _path(place)), places)
    return {place: seen(body) for place, body in zip(places, bodies, strict=True) if body is not None}


def in_threads(work: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    """The results in the items' order; each thread has its caller's context, so that the redactor is in force there."""
    if not items:
        return []
    with ThreadPoolExecutor(max_workers=min(THREADS, len(items))) as pool:
        tasks = [pool.submit(copy_context().run, work, item) for item in items]
        return [task.result() for task in tasks]


def write(
    client: Client, place: Place, content: bytes, *, expires_at: datetime | None, live: Seen | None
) -> None:
    """Puts the content into the Secret: over exactly `live`, or as a new one where there is none. Raises ApiError; 409 when
    another writer was faster."""
    body = body_of(place.namespace, place.name, content, expires_at=expires_at, live=live)
    if live is None:
        # A creation, not an apply: an apply would silently write over a Secret that another worker of ours has just made.
        client.send(
            "POST",
            _SECRETS.path(place.namespace),
            query={"fieldManager": MANAGER},
            body=body,
            accept=ACCEPT_METADATA,
        )
        return
    query = {"fieldManager": MANAGER, "force": "true"}
    client.send("PATCH", _path(place), query=query, body=body, content_type=APPLY, accept=ACCEPT_METADATA)


def replace(client: Client, place: Place, content: bytes, *, expires_at: datetime | None, live: Seen) -> None:
    """Deletes exactly `live` and makes the Secret anew: the only way for a wrong type or an immutable one. Raises ApiError."""
    only = {"preconditions": {"uid": live.uid, "resourceVersion": live.version}}
    client.send("DELETE", _path(place), body=only, accept=ACCEPT_METADATA)
    write(client, place, content, expires_at=expires_at, live=None)


def let_account_pull(client: Client, namespace: str, account: str, name: str) -> bool:
    """Adds the Secret to a service account's imagePullSecrets, and leaves the others there. Returns whether it had to be added;
    False also where there is no such account. Raises ApiError."""
    path = _ACCOUNTS.path(namespace, account)
    body = find(client, path)
    if body is None or name in pull_secrets_of(body):
        return False
    version = body["metadata"]["resourceVersion"]
    there = "imagePullSecrets" in body
    patch: list[Json] = [{"op": "test", "path": "/metadata/resourceVersion", "value": version}]
    patch.append(
        {"op": "add", "path": "/imagePullSecrets/-", "value": {"name": name}}
        if there
        else {"op": "add", "path": "/imagePullSecrets", "value": [{"name": name}]}
    )
    client.send("PATCH", path, query={"fieldManager": MANAGER}, body=patch, content_type=JSON_PATCH)
    return True


def pull_secrets_of(account: Json) -> list[str]:
    """The names in a service account's imagePullSecrets."""
    return [str(one.get("name", "")) for one in account.get("imagePullSecrets") or []]


def accounts_without(client: Client, account: str, wanted: Mapping[str, str]) -> list[str]:
    """The namespaces of `wanted` (namespace → Secret) whose account of that name lacks the Secret. One list. Raises ApiError."""
    items, _ = list_all(client, _ACCOUNTS.path(), query={"fieldSelector": f"metadata.name={account}"})
    lacking = []
    for item in items:
        namespace = str(item["metadata"]["namespace"])
        if namespace in wanted and wanted[namespace] not in pull_secrets_of(item):
            lacking.append(namespace)
    return lacking


def _path(place: Place) -> str:
    return _SECRETS.path(place.namespace, place.name)
