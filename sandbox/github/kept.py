"""The state of the GitHub end: lists of entries, in one file that only its owner can read."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sandbox.github.refusals import Json

_MOST = 1000  # entries of a list; the oldest go first
LISTS = ("statuses", "deployments", "deployment_statuses", "deliveries")


class Kept:
    """Entries by list, oldest first."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.RLock()
        held = json.loads(path.read_text()) if path.exists() else {}
        self._lists: dict[str, list[Json]] = {name: held.get(name, []) for name in LISTS}
        self._last_id: int = held.get("last_id", 1000)

    @contextmanager
    def changing(self) -> Iterator[None]:
        """The block changes entries; they are written after it."""
        with self._lock:
            yield
            self._write()

    def next_id(self) -> int:
        """A new id. Call it in `changing`."""
        self._last_id += 1
        return self._last_id

    def add(self, name: str, entry: Json) -> None:
        """Adds an entry to a list."""
        with self.changing():
            self._lists[name] = [*self._lists[name], entry][-_MOST:]

    def all(self, name: str) -> list[Json]:
        """The entries of a list, newest first."""
        with self._lock:
            return self._lists[name][::-1]

    def find(self, name: str, fits: Callable[[Json], bool]) -> Json | None:
        """The newest entry that fits, or None."""
        return next((entry for entry in self.all(name) if fits(entry)), None)

    def shown(self) -> Json:
        """All lists, newest first, as JSON."""
        with self._lock:
            copied: Json = json.loads(json.dumps(self._lists))
        return {name: entries[::-1] for name, entries in copied.items()}

    def _write(self) -> None:
        new = self.path.with_suffix(".new")
        with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump({**self._lists, "last_id": self._last_id}, file)
        new.replace(self.path)
