"""Keeps the objects over restarts: a file to which every change is appended, written anew when it has grown.

One JSON line a change: `[version, group, plural, namespace, name, object or null]`. Only its owner may read it
(secrets are in it). Reading stops at a line that a crash cut off: later changes were never answered.
"""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

from sandbox.kubernetes.store import Change, Key, Store, Stored, encode

_GROWTH = 32 * 1024 * 1024  # bytes that are appended before the file is written anew


class Journal:
    """The file of one store."""

    def __init__(self, path: Path, store: Store) -> None:
        self._path = path
        self._store = store
        self._pending: list[bytes] = []
        self._appended = 0
        self._file = -1

    def open(self) -> None:
        """Reads the objects of an earlier run, and keeps all changes from now on."""
        if self._path.exists():
            self._read()
        self._rewrite()
        self._store.forget_history()
        self._store.listen(self._note)

    def close(self) -> None:
        """Writes pending changes."""
        self.flush()
        os.close(self._file)
        self._file = -1

    def flush(self) -> None:
        """Appends the changes of this round of the loop with one write."""
        if self._pending and self._file >= 0:
            self._appended += os.write(self._file, b"".join(self._pending))
            self._pending.clear()
            if self._appended > _GROWTH:
                self._rewrite()

    def _note(self, change: Change) -> None:
        if not self._pending:
            asyncio.get_running_loop().call_soon(self.flush)
        self._pending.append(_line(change.now, gone=change.kind == "DELETED"))

    def _read(self) -> None:
        found: dict[Key, Stored | None] = {}
        for line in self._path.read_bytes().split(b"\n")[:-1]:
            try:
                version, group, plural, namespace, name, body = json.loads(line)
            except ValueError:
                break
            key = ((group, plural), namespace, name)
            found[key] = Stored(key, version, body) if body else None
            self._store.version = max(self._store.version, version)
        for stored in filter(None, found.values()):
            self._store.load(stored)

    def _rewrite(self) -> None:
        """The objects as they are now, put in place of the old file at once."""
        part = self._path.with_suffix(".part")
        file = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
        os.write(file, b"".join(_line(stored) for stored in self._store.everything()))
        part.replace(self._path)
        if self._file >= 0:
            os.close(self._file)
        self._file, self._appended = file, 0


def _line(stored: Stored, *, gone: bool = False) -> bytes:
    (group, plural), namespace, name = stored.key
    head = encode([stored.version, group, plural, namespace, name])[:-1]
    return head + b"," + (b"null" if gone else stored.data) + b"]\n"
