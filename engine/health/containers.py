"""What is wrong with one container of a pod, by its status. Pure functions over the API's JSON.

The words (`CrashLoopBackOff`, `ErrImagePull`, …) are the kubelet's own. Each finding carries the grace for
which it may last before the pod counts as doomed: see `Limits`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from engine.limits import Limits
from engine.types import Json

NEVER = math.inf  # grace of what is worth a word, but dooms nothing

_MISSING = re.compile(
    r"not found|manifest unknown|denied|unauthorized|authorization failed|no such (image|manifest)", re.I
)
_DENIED = re.compile(r"denied|unauthorized|authorization failed|no basic auth", re.I)
_TRANSIENT_CONFIG = re.compile(r"failed to sync .* cache", re.I)
_CONFIG = re.compile(
    r'(secret|configmap) "([^"]+)" not found|couldn\'t find key (\S+) in (Secret|ConfigMap) (\S+)', re.I
)
_IMAGE = {
    "ErrImagePull",
    "ImagePullBackOff",
    "RegistryUnavailable",
    "ImageInspectError",
    "SignatureValidationFailed",
}
_START = {
    "RunContainerError",
    "CreateContainerError",
    "PostStartHookError",
    "PreStartHookError",
    "PreCreateHookError",
    "ContainerCannotRun",
    "StartError",
}


@dataclass(frozen=True)
class Trouble:
    """One thing wrong with one pod. `topic` names it over time: reasons that take turns share a topic."""

    pod: str
    uid: str
    topic: str
    reason: str
    grace: float
    sentence: str
    hint: str = ""
    container: str = ""
    message: str = ""
    exit_code: int | None = None
    restarts: int = 0
    warn_after: float = NEVER

    @property
    def key(self) -> tuple[str, str, str]:
        return self.uid, self.container, self.topic


def troubles_of_container(
    pod: Json,
    container: Json,
    is_init: bool,
    events: Sequence[Json],
    limits: Limits,
    fresh: Collection[tuple[str, str]],
) -> Iterator[Trouble]:
    """Everything wrong with one container, by its status; `events` are those about its pod."""
    state = container.get("state") or {}
    waiting = state.get("waiting") or {}
    reason = waiting.get("reason", "")
    message = waiting.get("message") or ""
    base = _Base(pod, container, is_init, message)
    if reason == "CrashLoopBackOff":
        yield base.crash(limits)
    elif reason in ("InvalidImageName", "ErrImageNeverPull"):
        words = (
            "is not a valid image name"
            if reason == "InvalidImageName"
            else "is not on the node, and may not be pulled"
        )
        yield base.trouble("image", reason, 0, f"image {base.image} {words}")
    elif reason in _IMAGE:
        yield base.image_trouble(reason, _image_text(message, events), limits)
    elif reason == "CreateContainerConfigError" and not _TRANSIENT_CONFIG.search(message):
        yield base.config_trouble(limits, fresh)
    elif reason in _START or _cannot_run(container):
        yield base.start_trouble(reason, limits)


@dataclass(frozen=True)
class _Base:
    """A container with a trouble, and the ways to put it."""

    pod: Json
    container: Json
    is_init: bool
    message: str

    @property
    def name(self) -> str:
        return f"{'init container' if self.is_init else 'container'} {self.container.get('name', '')}"

    @property
    def image(self) -> str:
        """The image as the pod asks for it: the status may show another name of it."""
        section = "initContainers" if self.is_init else "containers"
        for spec in (self.pod.get("spec") or {}).get(section) or []:
            if spec.get("name") == self.container.get("name"):
                return spec.get("image") or ""
        return self.container.get("image") or ""

    def trouble(
        self,
        topic: str,
        reason: str,
        grace: float,
        sentence: str,
        hint: str = "",
        exit_code: int | None = None,
    ) -> Trouble:
        metadata = self.pod["metadata"]
        return Trouble(
            metadata["name"],
            metadata.get("uid", ""),
            topic,
            reason,
            grace,
            sentence,
            hint,
            self.container.get("name", ""),
            self.message,
            exit_code,
            int(self.container.get("restartCount") or 0),
        )

    def crash(self, limits: Limits) -> Trouble:
        last = (self.container.get("lastState") or {}).get("terminated") or {}
        restarts = int(self.container.get("restartCount") or 0)
        code = last.get("exitCode")
        grace = 0.0 if restarts >= limits.crash_restarts else limits.crashing
        hint = "Look at the last lines of its log."
        if last.get("reason") == "OOMKilled":
            sentence = f"{self.name} was killed {times(restarts + 1)} for using more memory than its limit (OOMKilled)"
            hint = "Raise its memory limit, or make it use less."
        elif code == 0:
            sentence = f"{self.name} ended {times(restarts + 1)} without an error, but it should keep running"
            hint = "Check its command: a Deployment's containers must not end."
        else:
            start = " at start" if _seconds_alive(last) < 60 else ""
            sentence = f"{self.name} crashed {times(restarts + 1)}{start}" + (
                f" (exit code {code})" if code is not None else ""
            )
        return self.trouble("crash", "CrashLoopBackOff", grace, sentence, hint, code)

    def image_trouble(self, reason: str, text: str, limits: Limits) -> Trouble:
        if _DENIED.search(text):
            sentence = f"image {self.image} may not be pulled: the registry denies it"
            hint = "Check that the image exists and that the namespace's pull secret is valid."
        elif _MISSING.search(text):
            sentence = f"image {self.image} was not found in the registry"
            hint = "Check the tag: was this revision built and pushed?"
        else:
            short = text if len(text) <= 200 else text[:199] + "…"
            sentence = f"image {self.image} cannot be pulled" + (f": {short}" if short else "")
            return self.trouble(
                "image", reason, limits.image_other, sentence, "Is the registry reachable from the nodes?"
            )
        return self.trouble("image", reason, limits.image_missing, sentence, hint)

    def config_trouble(self, limits: Limits, fresh: Collection[tuple[str, str]]) -> Trouble:
        sentence = f"{self.name} cannot start: {self.message}"
        hint = "Add what is missing to the Secret or ConfigMap, or to the config directory."
        match = _CONFIG.search(self.message)
        if not match:
            return self.trouble("config", "CreateContainerConfigError", limits.cannot_start, sentence, hint)
        kind = (match[1] or match[4]).lower()
        name = match[2] or match[5].rpartition("/")[2]
        just_written = any(k.lower() == kind and n == name for k, n in fresh)
        grace = limits.config_missing if just_written else 0.0
        return self.trouble("config", "CreateContainerConfigError", grace, sentence, hint)

    def start_trouble(self, reason: str, limits: Limits) -> Trouble:
        ended = ended_state(self.container)
        text = self.message or ended.get("message") or ended.get("reason") or reason
        sentence = f"{self.name} cannot start: {text[:200]}"
        return self.trouble(
            "start",
            reason or "ContainerCannotRun",
            limits.cannot_start,
            sentence,
            "Check its command.",
            ended.get("exitCode"),
        )


def times(count: int) -> str:
    """`once`, `twice`, `3 times`."""
    return {1: "once", 2: "twice"}.get(count, f"{count} times")


def _image_text(message: str, events: Sequence[Json]) -> str:
    """The back-off state often lacks the cause; the event of the failed pull has it."""
    if _MISSING.search(message):
        return message
    pulls = [
        e.get("message") or ""
        for e in events
        if e.get("reason") == "Failed" and "pull" in (e.get("message") or "")
    ]
    return next(
        (text for text in reversed(pulls) if _MISSING.search(text)), message or (pulls[-1] if pulls else "")
    )


def _cannot_run(container: Json) -> bool:
    """Exit code 128 with this reason is the node's trouble, not the container's."""
    ended = ended_state(container)
    return ended.get("reason") in ("ContainerCannotRun", "StartError") and ended.get("exitCode") != 128


def ended_state(container: Json) -> Json:
    """How the container ended, now or last time; empty when it never did."""
    for section in ("state", "lastState"):
        if ended := (container.get(section) or {}).get("terminated"):
            return ended
    return {}


def _seconds_alive(ended: Json) -> float:
    try:
        start, end = (datetime.fromisoformat(ended[key]) for key in ("startedAt", "finishedAt"))
    except (KeyError, TypeError, ValueError):
        return 0.0
    return (end - start).total_seconds()
