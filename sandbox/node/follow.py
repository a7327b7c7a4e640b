"""Following one kind of objects: list, then watch, for ever, whatever happens to the API server meanwhile."""

from __future__ import annotations

import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from engine.types import Json
from sandbox.cluster.api import Api, ApiFailed

_WATCH_SECONDS = 300
_LONGEST_PAUSE = 3.0


@dataclass
class Follower:
    """Calls `seen(object)` for each object of a collection now and whenever it changes, `gone(uid)` when it is deleted.

    Also deletions that were missed while the API server was away are told. Both are called from one thread.
    """

    api: Api
    path: str
    seen: Callable[[Json], None]
    gone: Callable[[str], None] = lambda uid: None
    _known: set[str] = field(default_factory=set)

    def start(self) -> None:
        """Returns at once; the thread ends with the process."""
        threading.Thread(target=self._for_ever, name=f"follow {self.path}", daemon=True).start()

    def _for_ever(self) -> None:
        pause, told = 0.0, ""
        while True:
            try:
                version = self._list()
                pause, told = 0.0, ""
                while True:
                    version = self._watch(version)
            except ApiFailed as error:
                pause = min(_LONGEST_PAUSE, pause * 2 or 0.1)
                if pause == _LONGEST_PAUSE and told != error.message:
                    told = error.message
                    print(f"cannot follow {self.path}: {told}", file=sys.stderr, flush=True)
                time.sleep(pause)

    def _list(self) -> str:
        """Tells everything that is there and what went away; returns the version to watch from."""
        answer = self.api.get(self.path)
        items = answer.get("items") or []
        uids = {item["metadata"]["uid"] for item in items}
        missed, self._known = self._known - uids, uids
        for uid in missed:
            self._tell(self.gone, uid)
        for item in items:
            self._tell(self.seen, item)
        return str(answer["metadata"]["resourceVersion"])

    def _watch(self, version: str) -> str:
        """One watch until the server ends it; returns the version to go on from. Raises ApiFailed when it broke."""
        query = {
            "resourceVersion": version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(_WATCH_SECONDS),
        }
        for event in self.api.watch(self.path, query, silence=_WATCH_SECONDS + 15):
            kind, item = event["type"], event["object"]
            if kind == "ERROR":
                raise ApiFailed(f"the watch of {self.path} ended: {item.get('message')}", status=410)
            version = item["metadata"]["resourceVersion"]
            if kind == "DELETED":
                self._known.discard(item["metadata"]["uid"])
                self._tell(self.gone, item["metadata"]["uid"])
            elif kind != "BOOKMARK":
                self._known.add(item["metadata"]["uid"])
                self._tell(self.seen, item)
        return version

    def _tell(self, listener: Callable[[Any], None], what: Any) -> None:
        """A bug in a listener, met with one odd object, must not make it deaf to all others."""
        try:
            listener(what)
        except Exception:  # noqa: BLE001 - the edge of the thread
            traceback.print_exc(file=sys.stderr)
