"""What every piece of a pod's life needs: to sleep at the player's speed, to ask and to tell the API server."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TypeVar

from sandbox.cluster.api import Api, ApiFailed
from sandbox.node.events import Recorder
from sandbox.node.logs import Logs
from sandbox.node.loop import Life, Loop
from sandbox.node.pods import Container, Pod
from sandbox.node.references import References
from sandbox.node.store import ImageStore

RETRY_SECONDS = 1.0
T = TypeVar("T")


@dataclass(frozen=True)
class Tools:
    """The parts of the player that lives use. `speed` 2 makes every sleep half as long."""

    api: Api
    loop: Loop
    images: ImageStore
    references: References
    events: Recorder
    logs: Logs
    speed: float = 1.0


class Attendant:
    """Attends one pod. Methods that return a generator are pieces of a life: what they yield are seconds of sleep."""

    def __init__(self, pod: Pod, tools: Tools) -> None:
        self.pod = pod
        self.tools = tools

    def pace(self, seconds: float) -> float:
        """So many seconds of the played world, in real ones."""
        return seconds / self.tools.speed

    def event(self, kind: str, reason: str, message: str, container: Container | None = None) -> None:
        """Posts an event about the pod or one of its containers. `kind`: Normal or Warning."""
        self.tools.events.post(self.pod.reference(container), self.pod.node, kind, reason, message)

    def ask(self, question: Callable[[], T]) -> Generator[float, None, T]:
        """The answer of something that asks the API server, however long that takes to answer."""
        while True:
            try:
                return question()
            except ApiFailed:
                yield RETRY_SECONDS

    def report(self) -> Life:
        """Sends the pod's status if it has changed; goes on trying while the API server does not answer."""
        while (status := self.pod.unsent_status()) is not None:
            body = {"metadata": {"uid": self.pod.uid}, "status": status}
            try:
                self.tools.api.merge(f"{self.pod.path}/status", body)
                self.pod.sent(status)
            except ApiFailed as error:
                if not error.passing:
                    if error.status not in (404, 409):  # gone, or another pod of that name
                        print(f"a pod's status was refused: {error.message}", file=sys.stderr, flush=True)
                    return
                yield RETRY_SECONDS

    def delete(self) -> Life:
        """Removes the pod from the API server for good."""
        while True:
            try:
                self.tools.api.delete(self.pod.path, grace=0, uid=self.pod.uid)
                return
            except ApiFailed as error:
                if not error.passing:
                    return
                yield RETRY_SECONDS
