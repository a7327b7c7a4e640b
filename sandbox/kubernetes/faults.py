"""Faults that can be ordered while the cluster runs, for demonstrations and tests.

`/sandbox/faults` is the control end, for the administrator's token only: `POST {"fault": "slow", "seconds": 5}`.
It goes on answering during every fault. `python -m sandbox fault NAME [SECONDS]` asks for it.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from uvicorn.server import ServerState

from sandbox.cluster.api import Api, ApiFailed
from sandbox.kubernetes.refusals import Refused
from sandbox.kubernetes.store import Store
from sandbox.kubernetes.watching import Watches

FAULTS = {  # how many seconds unless it is said, and what happens
    "api-down": (30.0, "Connections are closed without an answer for {seconds:g} s."),
    "slow": (2.0, "Each answer comes {seconds:g} s later, for 60 s."),
    "throttle": (30.0, "Two of three requests are answered 429 for {seconds:g} s."),
    "expire-watches": (0.0, "All watches end with 410; versions before now are forgotten."),
    "drop-node": (60.0, "{node} is silent for {seconds:g} s; its pods are replaced elsewhere."),
}
_SLOW_FOR = 60.0
PATH = "/sandbox/faults"


@dataclass
class Faults:
    """The present faults. `drop_node` silences a node for some seconds and returns its name."""

    store: Store
    watches: Watches
    connections: ServerState
    drop_node: Callable[[float], str]
    _until: dict[str, float] = field(default_factory=dict)
    _delay: float = 0.0
    _count: int = 0

    def order(self, fault: str, seconds: float | None) -> str:
        """Begins a fault. Returns a sentence about it. Raises Refused (422) for unknown ones."""
        if fault not in FAULTS:
            raise Refused(422, "Invalid", f"There is no fault {fault!r}. Known are: {', '.join(FAULTS)}.")
        usual, words = FAULTS[fault]
        amount = usual if seconds is None else seconds
        if not isinstance(amount, int | float) or not 0 <= amount <= 3600:
            raise Refused(422, "Invalid", "A fault lasts at most an hour.")
        node = self.drop_node(amount) if fault == "drop-node" else ""
        if fault == "expire-watches":
            self.store.forget_history()
            self.watches.end_all(because_expired=True)
        elif fault == "api-down":  # a moment later, so that the order itself is still answered
            asyncio.get_running_loop().call_later(0.1, self.hang_up)
        elif fault == "slow":
            self._delay = amount
        self._until[fault] = time.monotonic() + (_SLOW_FOR if fault == "slow" else amount)
        return words.format(node=node, seconds=amount)

    def _is(self, fault: str) -> bool:
        return self._until.get(fault, 0.0) > time.monotonic()

    def hang_up(self) -> None:
        """Closes every connection there is."""
        for connection in list(self.connections.connections):
            connection.transport.close()

    async def strike(self) -> None:
        """Called before every request is answered. Raises ConnectionError when it is not to be; Refused (429)."""
        if self._is("slow"):
            await asyncio.sleep(self._delay)
        if self._is("api-down"):
            self.hang_up()
            await asyncio.sleep(0.1)  # until the protocol has noticed
            raise ConnectionError
        self._count += 1
        if self._is("throttle") and self._count % 3:
            message = "the server has received too many requests and has asked us to try again later"
            raise Refused(429, "TooManyRequests", message, {"retryAfterSeconds": 1})


# --- who orders --------------------------------------------------------------------------------------------------------


def main(arguments: Sequence[str], directory: Path) -> int:
    """Orders the fault of the cluster in `directory`; 0 when it has begun, 1 when there is no such cluster or fault."""
    told = {name: words.format(node="A node", seconds=usual) for name, (usual, words) in FAULTS.items()}
    parser = argparse.ArgumentParser(
        prog="python -m sandbox fault",
        description="\n".join(f"  {name:15} {words}" for name, words in told.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("fault", choices=tuple(FAULTS))
    parser.add_argument("duration", nargs="?", type=duration, help="such as 5s or 2m: how long, or how slow")
    options = parser.parse_args(arguments)
    try:
        print(order_fault(directory / "kubeconfig", options.fault, options.duration))
        return 0
    except (OSError, ValueError):
        why = f"No simulated cluster was started in {directory}."
    except ApiFailed as error:
        words = {0: "it does not run", 404: "it is a real control plane, which takes no orders"}
        why = f"The cluster in {directory} cannot be told: {words.get(error.status, error.message)}."
    print(why, file=sys.stderr)
    return 1


def order_fault(kubeconfig: Path, fault: str, seconds: float | None = None) -> str:
    """Orders a fault of a running simulated cluster (see `faults.FAULTS`). Returns a sentence about it. Raises ApiFailed."""
    api = Api.from_kubeconfig(kubeconfig, user_agent="slipway-sandbox")
    return str(api.create(PATH, {"fault": fault, "seconds": seconds})["message"])


def duration(text: str) -> float:
    """Seconds. Raises ValueError, of which argparse makes a message."""
    return float(text.removesuffix("m")) * 60 if text.endswith("m") else float(text.removesuffix("s"))
