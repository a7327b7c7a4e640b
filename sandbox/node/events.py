"""Events as a kubelet posts them: the same one again raises the count of the first."""

from __future__ import annotations

import queue
import sys
import threading
import uuid
from collections import OrderedDict
from dataclasses import dataclass, field

from engine.types import Json
from sandbox.cluster.api import Api, ApiFailed
from sandbox.node.clock import stamp

_REMEMBERED = 2000
_WAITING = 5000


@dataclass
class Recorder:
    """Posts events in the background and in order, so that no pod waits for them. They may be lost, as real ones may."""

    api: Api
    _queue: queue.Queue[Json] = field(default_factory=lambda: queue.Queue(_WAITING))
    _posted: OrderedDict[tuple[str, ...], tuple[str, int]] = field(default_factory=OrderedDict)

    def start(self) -> None:
        """Returns at once; the thread ends with the process."""
        threading.Thread(target=self._for_ever, name="events", daemon=True).start()

    def post(self, about: Json, node: str, kind: str, reason: str, message: str) -> None:
        """`about` is an ObjectReference; `kind` is Normal or Warning."""
        event = {
            "involvedObject": about,
            "type": kind,
            "reason": reason,
            "message": message[:1024],
            "source": {"component": "kubelet", "host": node},
            "reportingComponent": "kubelet",
            "reportingInstance": node,
            "lastTimestamp": stamp(),
        }
        try:
            self._queue.put_nowait(event)
        except queue.Full:
            print("an event was dropped: too many are waiting", file=sys.stderr, flush=True)

    def _for_ever(self) -> None:
        while True:
            event = self._queue.get()
            try:
                self._send(event)
            except ApiFailed as error:  # most often the namespace is going away
                if error.status not in (403, 404):
                    print(f"an event was lost: {error.message}", file=sys.stderr, flush=True)

    def _send(self, event: Json) -> None:
        about = event["involvedObject"]
        path = f"/api/v1/namespaces/{about['namespace']}/events"
        key = (about["uid"], about.get("fieldPath", ""), event["reason"], event["message"])
        name, count = self._posted.get(key, ("", 0))
        if name:
            try:
                self.api.merge(
                    f"{path}/{name}", {"count": count + 1, "lastTimestamp": event["lastTimestamp"]}
                )
            except ApiFailed as error:
                if error.status != 404:  # events live for an hour only
                    raise
                name = ""
        if not name:
            name, count = f"{about['name'][:220]}.{uuid.uuid4().hex[:16]}", 0
            meta = {"name": name, "namespace": about["namespace"]}
            self.api.create(
                path, {"metadata": meta, "firstTimestamp": event["lastTimestamp"], "count": 1, **event}
            )
        self._posted[key] = (name, count + 1)
        self._posted.move_to_end(key)
        if len(self._posted) > _REMEMBERED:
            self._posted.popitem(last=False)
