"""Pushes images to a registry. The credential goes with the call; nothing is written to a file of the engine's client."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from adapters.docker.faults import REGISTRY, engine_errors
from adapters.docker.push_faults import push_fault
from adapters.docker.session import Login
from adapters.docker.wire import Stopper, Wire
from adapters.errors import Unavailable

Progress = Callable[[int, int], None]  # bytes sent, bytes to send


@dataclass(frozen=True)
class Pushed:
    """The registry's answer: the digest of the manifest."""

    digest: str


def push(
    wire: Wire,
    repository: str,
    tag: str,
    login: Login,
    stopper: Stopper,
    *,
    silence: float,
    progress: Progress,
) -> Pushed:
    """Pushes one tag. `repository`: with its host. Raises Denied, NotFound (no such repository), ImmutableTag, QuotaExceeded,
    Throttled, Unavailable, EngineLost, TimedOut."""
    with engine_errors(wire.host, "push", lambda text: push_fault(text, repository)):
        line = wire.open(
            f"/images/{repository}/push",
            params={"tag": tag},
            headers=credential(login),
            stopper=stopper,
            silence=silence,
        )
        try:
            return _read(line.objects(), repository, stopper, progress)
        finally:
            line.release()


def credential(login: Login) -> dict[str, str]:
    """The header that takes a credential for a registry to the engine."""
    auth = {"username": login[0], "password": login[1]}
    return {"X-Registry-Auth": base64.urlsafe_b64encode(json.dumps(auth).encode()).decode()}


def _read(objects: Iterable[dict[str, Any]], repository: str, stopper: Stopper, progress: Progress) -> Pushed:
    """Reads the answer to its end: a push that failed says so in there, not in its status."""
    sent: dict[str, tuple[int, int]] = {}
    done: dict[str, Any] = {}
    for one in objects:
        if "errorDetail" in one or "error" in one:
            text = str((one.get("errorDetail") or {}).get("message") or one.get("error") or "")
            raise push_fault(text, repository)
        detail = one.get("progressDetail") or {}
        if one.get("id") and detail.get("total"):
            sent[str(one["id"])] = (int(detail.get("current") or 0), int(detail["total"]))
            progress(sum(now for now, _ in sent.values()), sum(total for _, total in sent.values()))
        if isinstance(one.get("aux"), dict) and one["aux"].get("Digest"):
            done = one["aux"]
    stopper.check()
    if not done:
        raise Unavailable(
            f"The push to {repository} ended without an answer of the registry.", system=REGISTRY
        )
    return Pushed(str(done["Digest"]))
