"""The objects, each with its version, and the recent changes.

One counter gives every write its resource version. Stored objects are never changed in place: every change works on
a copy (`clone`).
"""

from __future__ import annotations

import json
import marshal
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeVar

from engine.types import Json
from sandbox.kubernetes.kinds import Kind

Key = tuple[tuple[str, str], str, str]  # (group, plural), namespace ("" for none), name
KindKey = tuple[str, str]
T = TypeVar("T")
_SELDOM_READ = {("", "events"), ("apps", "controllerrevisions"), ("coordination.k8s.io", "leases")}
_HISTORY = 1000  # changes kept for each kind, from which watches can go on


def clone(value: T) -> T:
    """A deep copy of plain JSON data, far faster than `copy.deepcopy`."""
    copied: T = marshal.loads(marshal.dumps(value))  # type: ignore[arg-type]
    return copied


class Stored:
    """One version of one object: as a dict and as JSON, each made from the other when it is asked for."""

    __slots__ = ("_body", "_data", "key", "version")

    def __init__(self, key: Key, version: int, body: Json) -> None:
        self.key = key
        self.version = version
        self._body: Json | None = body
        self._data: bytes | None = None

    @property
    def body(self) -> Json:
        return self._body if self._body is not None else json.loads(self.data)

    @property
    def data(self) -> bytes:
        if self._data is None:
            self._data = encode(self._body)
        return self._data

    def fold(self) -> None:
        """Keeps the JSON only, which takes a tenth of the room: for versions of the past."""
        self._data, self._body = self.data, None


def encode(body: object) -> bytes:
    """Compact JSON."""
    return json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()


class Change(NamedTuple):
    """A write. `kind` is ADDED, MODIFIED or DELETED (then `now` is the last version, under the new number)."""

    version: int
    kind: str
    now: Stored
    before: Stored | None


class Store:
    """All objects of the cluster. `put` and `remove` call the listeners with every change, in order, before they return."""

    def __init__(self) -> None:
        self.version = 1
        self._objects: dict[KindKey, dict[tuple[str, str], Stored]] = defaultdict(dict)
        self._owned: dict[str, dict[Key, None]] = defaultdict(dict)  # owner's uid: what it owns
        self._history: dict[KindKey, deque[Change]] = defaultdict(lambda: deque(maxlen=_HISTORY))
        self._floor = 0
        self._listeners: list[Callable[[Change], None]] = []

    def listen(self, listener: Callable[[Change], None]) -> None:
        self._listeners.append(listener)

    def load(self, stored: Stored) -> None:
        """An object of an earlier run."""
        self._objects[stored.key[0]][stored.key[1:]] = stored
        self._own(stored)
        self.version = max(self.version, stored.version)

    def forget_history(self) -> None:
        """Watches from any earlier version end with 410 from now on."""
        self.version += 1
        self._floor = self.version
        self._history.clear()

    def get(self, kind: KindKey, namespace: str, name: str) -> Stored | None:
        return self._objects[kind].get((namespace, name))

    def all(self, kind: KindKey, namespace: str = "") -> list[Stored]:
        """All objects of a kind, of one namespace or of all, ordered by namespace and name."""
        found = [s for k, s in self._objects[kind].items() if not namespace or k[0] == namespace]
        return sorted(found, key=lambda stored: stored.key)

    def bodies(self, kind: KindKey, namespace: str = "") -> list[Json]:
        """As `all`, in no order, and only the objects themselves."""
        return [s.body for k, s in self._objects[kind].items() if not namespace or k[0] == namespace]

    def everything(self) -> Iterator[Stored]:
        for objects in self._objects.values():
            yield from objects.values()

    def in_namespace(self, namespace: str) -> list[Stored]:
        return [s for s in self.everything() if s.key[1] == namespace]

    def orphans(self, kind: KindKey, namespace: str) -> Iterator[Stored]:
        """The objects of a kind without a controller."""
        for key, stored in self._objects[kind].items():
            owners = stored.body["metadata"].get("ownerReferences")
            if key[0] == namespace and not (owners and any(o.get("controller") for o in owners)):
                yield stored

    def owned_by(self, uid: str) -> list[Stored]:
        """The objects that name the object of this uid as an owner."""
        found = (self.get(*key) for key in self._owned.get(uid, ()))
        return [stored for stored in found if stored is not None]

    def put(self, kind: Kind, body: Json) -> Stored:
        """Stores an object as it is given, with the next version."""
        metadata = body["metadata"]
        key: Key = (kind.key, metadata.get("namespace", "") if kind.namespaced else "", metadata["name"])
        before = self._objects[kind.key].get(key[1:])
        stored = self._next(key, body)
        self._objects[kind.key][key[1:]] = stored
        if before is not None:
            self._disown(before)
        self._own(stored)
        self._tell(Change(self.version, "MODIFIED" if before else "ADDED", stored, before))
        return stored

    def remove(self, stored: Stored) -> None:
        """Deletes the object under that key."""
        before = self._objects[stored.key[0]].pop(stored.key[1:])
        self._disown(before)
        self._tell(Change(self.version + 1, "DELETED", self._next(stored.key, stored.body), before))

    def _next(self, key: Key, body: Json) -> Stored:
        self.version += 1
        metadata = {**body["metadata"], "resourceVersion": str(self.version)}
        ordered = {"kind": body["kind"], "apiVersion": body["apiVersion"], "metadata": metadata}
        return Stored(key, self.version, {**ordered, **{k: v for k, v in body.items() if k not in ordered}})

    def _tell(self, change: Change) -> None:
        self._history[change.now.key[0]].append(change)
        for listener in self._listeners:
            listener(change)
        if change.before is not None:
            change.before.fold()
        if change.now.key[0] in _SELDOM_READ:
            change.now.fold()

    def changes_since(self, kind: KindKey, version: int) -> list[Change]:
        """The changes of a kind after a version that is not before `oldest`, oldest first."""
        return [change for change in self._history[kind] if change.version > version]

    def oldest(self, kind: KindKey) -> int:
        """The version from which all changes are known."""
        history = self._history[kind]
        return max(self._floor, history[0].version - 1 if len(history) == _HISTORY else 0)

    def _own(self, stored: Stored) -> None:
        for uid in _owners(stored):
            self._owned[uid][stored.key] = None

    def _disown(self, stored: Stored) -> None:
        for uid in _owners(stored):
            self._owned[uid].pop(stored.key, None)
            if not self._owned[uid]:
                del self._owned[uid]


def _owners(stored: Stored) -> list[str]:
    return [owner["uid"] for owner in stored.body["metadata"].get("ownerReferences") or []]
