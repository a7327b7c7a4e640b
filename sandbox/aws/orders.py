"""Faults and settings that can be ordered while the AWS end runs, for demonstrations and tests.

`POST /sandbox/orders {"order": "throttle", "seconds": 60}`, with the end's own key as bearer token, is the control end. It goes
on answering during every fault. `python -m sandbox aws ORDER [SECONDS]` asks for it. Orders survive a restart.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

from werkzeug.wrappers import Request, Response

from sandbox.aws.tokens import LIFETIME, Tokens

PATH = "/sandbox/orders"
ECR = "AmazonEC2ContainerRegistry"
DENY, THROTTLE, SILENT, REGISTRY_SILENT = "deny", "throttle", "silent", "registry-silent"
ORDERS = {  # name: (usual seconds, what it says)
    "end-tokens": (0.0, "All registry tokens made so far have ended."),
    "token-life": (LIFETIME, "New registry tokens live for {seconds:g} s."),
    DENY: (60.0, "For {seconds:g} s ECR gives no token: access denied."),
    THROTTLE: (60.0, "For {seconds:g} s ECR answers that there are too many requests."),
    SILENT: (60.0, "For {seconds:g} s ECR's API does not answer."),
    REGISTRY_SILENT: (60.0, "For {seconds:g} s the registry does not answer."),
    "heal": (0.0, "All faults of AWS are over, and new tokens live for twelve hours."),
}
_LONGEST = 7 * 86400.0
_REFUSALS = {
    DENY: (
        "AccessDeniedException",
        "User: arn:aws:iam::123456789012:user/sandbox is not authorized to perform: ecr:GetAuthorizationToken on resource: *"
        " because no identity-based policy allows the ecr:GetAuthorizationToken action",
    ),
    THROTTLE: ("ThrottlingException", "Rate exceeded"),
}


@dataclass
class Orders:
    """The present orders, kept in a file of `directory`."""

    tokens: Tokens
    directory: Path
    clock: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep
    _until: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self._file.exists():
            kept = json.loads(self._file.read_text())
            self._until = kept["until"]
            self.tokens.lifetime = kept["lifetime"]
            self.tokens.ended_until = kept["ended_until"]

    @property
    def _file(self) -> Path:
        return self.directory / "orders.json"

    def answer(self, request: Request) -> Response:
        """The control end."""
        if request.headers.get("Authorization") != f"Bearer {self.tokens.key.hex()}":
            return _told(403, "Orders need the key of this AWS end.")
        given = request.get_json(force=True)
        if given.get("order") not in ORDERS:
            return _told(422, f"There is no such order. Known are: {', '.join(ORDERS)}.")
        seconds = given.get("seconds")
        if seconds is not None and not 0 < float(seconds) <= _LONGEST:
            return _told(422, "An order is for more than 0 s and at most a week.")
        return _told(200, self.order(given["order"], seconds))

    def order(self, name: str, seconds: float | None = None) -> str:
        """Carries one out. Returns a sentence about it."""
        usual, words = ORDERS[name]
        amount = usual if seconds is None else float(seconds)
        if name == "end-tokens":
            self.tokens.ended_until = self.clock()
        elif name == "token-life":
            self.tokens.lifetime = amount
        elif name == "heal":
            self._until, self.tokens.lifetime = {}, LIFETIME
        else:
            self._until = {**self._until, name: self.clock() + amount}
        self._keep()
        return words.format(seconds=amount)

    def _keep(self) -> None:
        state = {
            "until": self._until, "lifetime": self.tokens.lifetime, "ended_until": self.tokens.ended_until,
        }  # fmt: skip
        new = self._file.with_suffix(".new")
        new.write_text(json.dumps(state))
        new.replace(self._file)

    def is_on(self, name: str) -> bool:
        """Whether a fault is on now."""
        return self._until.get(name, 0.0) > self.clock()

    def strike(self, target: str) -> Response | None:
        """Called before ECR's API answers (`target`: of the request): its refusal, or None. Waits while it is to be silent."""
        if not target.startswith(ECR):
            return None
        self.hold(SILENT)
        if self.is_on(THROTTLE):
            return _refusal(THROTTLE)
        return _refusal(DENY) if self.is_on(DENY) and target.endswith(".GetAuthorizationToken") else None

    def hold(self, name: str) -> None:
        """Waits until a silence is over; the caller has mostly gone by then."""
        while self.is_on(name):
            self.sleep(0.1)


def _refusal(name: str) -> Response:
    code, message = _REFUSALS[name]
    body = json.dumps({"__type": code, "message": message})
    return Response(body, 400, {"x-amzn-ErrorType": code}, content_type="application/x-amz-json-1.1")


def _told(status: int, message: str) -> Response:
    return Response(json.dumps({"message": message}), status, content_type="application/json")


# --- who orders --------------------------------------------------------------------------------------------------------


def main(arguments: Sequence[str], directory: Path, url: str) -> int:
    """Orders something of the AWS end that keeps its state in `directory`; 0 when it is done, 1 when it does not run."""
    told = {name: words.format(seconds=usual) for name, (usual, words) in ORDERS.items()}
    parser = argparse.ArgumentParser(
        prog="python -m sandbox aws",
        description="\n".join(f"  {name:15} {words}" for name, words in told.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("order", choices=tuple(ORDERS))
    parser.add_argument("seconds", nargs="?", type=float, help="how long the fault lasts, or the tokens live")
    options = parser.parse_args(arguments)
    try:
        print(give_order(url, directory, options.order, options.seconds))
        return 0
    except HTTPError as error:
        why = json.loads(error.read())["message"]
    except (OSError, ValueError):
        why = f"No AWS end of a sandbox runs at {url}."
    print(why, file=sys.stderr)
    return 1


def give_order(url: str, directory: Path, order: str, seconds: float | None = None) -> str:
    """Orders something of a running AWS end (see ORDERS). Returns a sentence about it. Raises OSError (HTTPError: refused)."""
    key = (directory / "token.key").read_text()
    body: dict[str, Any] = {"order": order, "seconds": seconds}
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    request = urllib.request.Request(f"{url}{PATH}", json.dumps(body).encode(), headers, method="POST")
    with urllib.request.urlopen(request, timeout=5) as answer:
        return str(json.loads(answer.read())["message"])
