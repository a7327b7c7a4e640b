"""Containers that ended although they should run, or before they had done their work. Pure functions over the API's JSON.

Between two starts a kubelet shows `terminated` for most of the time, and `CrashLoopBackOff` for a moment only. So an end
is counted by the restart count and the last state, not by that word.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime

from engine.health.trouble import NEVER, Subject, Trouble, ended_state, times
from engine.limits import Limits
from engine.types import Json

_NO_PROGRAM = re.compile(
    r"no such file or directory|executable file not found|permission denied|exec format error|not a directory"
)
_START_FAILED = ("ContainerCannotRun", "StartError")
_AT_START = 60.0  # seconds of life up to which a crash is called one at start
_KILL_DELAY = (
    60.0  # seconds between a probe's last failure and the end of the container that it kills, at most
)


def exits_of(container: Json) -> int:
    """How often the container has ended, by its status."""
    state = container.get("state") or {}
    restarts = int(container.get("restartCount") or 0)
    if "terminated" in state:
        return restarts + 1
    waits_after_end = "waiting" in state and (container.get("lastState") or {}).get("terminated")
    return restarts + 1 if waits_after_end else restarts


def exits_of_pod(pod: Json) -> dict[str, int]:
    """By container, how often those that should run for ever have ended: all but init containers that are no sidecars."""
    return {
        str(status.get("name", "")): exits_of(status)
        for status, is_init in statuses_of(pod)
        if not is_init or is_sidecar(pod, status)
    }


def statuses_of(pod: Json) -> Iterator[tuple[Json, bool]]:
    """The status of each container, and whether it is an init container."""
    status = pod.get("status") or {}
    for section, is_init in (("initContainerStatuses", True), ("containerStatuses", False)):
        for container in status.get(section) or []:
            yield container, is_init


def is_sidecar(pod: Json, status: Json) -> bool:
    """Whether an init container runs for ever beside the others (`restartPolicy: Always`)."""
    inits = (pod.get("spec") or {}).get("initContainers") or []
    return any(c.get("name") == status.get("name") and c.get("restartPolicy") == "Always" for c in inits)


def crash_of(
    subject: Subject, events: Sequence[Json], limits: Limits, forgiven: Mapping[str, int]
) -> Trouble | None:
    """What is to be said of a container that has ended, or None. `forgiven`: ends, by container, that are no concern of
    this rollout."""
    container = subject.container
    ended = ended_state(container)
    exits = exits_of(container)
    fresh = exits - forgiven.get(str(container.get("name", "")), 0)
    if not ended or fresh <= 0 or _has_done_its_work(subject, ended):
        return None
    if ended.get("reason") in _START_FAILED:
        return start_failure(subject, limits, fresh)
    sentence, hint, reason = _words(subject, ended, exits, events)
    runs = "running" in (container.get("state") or {})
    grace = 0.0 if fresh >= limits.crash_exits else NEVER if runs else limits.first_exit
    return subject.trouble(
        "crash", reason, grace, sentence, hint, exit_code=ended.get("exitCode"), exits=fresh
    )


def _has_done_its_work(subject: Subject, ended: Json) -> bool:
    """An init container that ended well, or runs again after a failure that it has survived so far."""
    if not subject.is_init or is_sidecar(subject.pod, subject.container):
        return False
    return ended.get("exitCode") == 0


def start_failure(subject: Subject, limits: Limits, exits: int = 0) -> Trouble:
    """The runtime could not start the program: by the container's last end, or by the message of its waiting."""
    ended = ended_state(subject.container)
    waiting = (subject.container.get("state") or {}).get("waiting") or {}
    known = ended.get("reason") in _START_FAILED
    text = (
        (ended.get("message") if known else "") or subject.message or ended.get("reason") or "no reason given"
    )
    is_missing = bool(_NO_PROGRAM.search(text))
    again = exits >= limits.crash_exits
    grace = limits.program_missing if is_missing else 0.0 if again else limits.cannot_start
    reason = waiting.get("reason") or ended.get("reason") or "ContainerCannotRun"
    if reason == "CrashLoopBackOff" and known:
        reason = ended["reason"]
    hint = "Check its command, and that the image holds that program." if is_missing else "Check its command."
    code = ended.get("exitCode") if known else None
    words = f" (exit code {code})" if code is not None else ""
    sentence = f"{subject.name} cannot start: {_cause_of_start(text)}{words}"
    return subject.trouble("start", reason, grace, sentence, hint, exit_code=code, exits=exits)


def _cause_of_start(text: str) -> str:
    """Without the names of the runtime's own layers before and the word `unknown` behind."""
    cause = text.rpartition("unable to start container process: ")[2].removesuffix(": unknown")
    return cause if len(cause) <= 200 else cause[:199] + "…"


def _words(subject: Subject, ended: Json, exits: int, events: Sequence[Json]) -> tuple[str, str, str]:
    """Sentence, hint and reason of an end."""
    name, code = subject.name, ended.get("exitCode")
    number = f"exit code {code}" if code is not None else "no exit code"
    if ended.get("reason") == "OOMKilled":
        limit = memory_limit(subject)
        of = f" of {limit}" if limit else ""
        sentence = (
            f"{name} was killed {times(exits)} for using more memory than its limit{of} (OOMKilled, {number})"
        )
        return sentence, "Raise its memory limit, or make it use less.", "OOMKilled"
    if killed := _probe_that_killed(subject, ended, events):
        kind, said = killed
        sentence = f"{name} was killed {times(exits)} because its {kind} probe failed ({number})"
        sentence += f": {said}" if said else ""
        return sentence, f"Check what its {kind} probe asks, and whether it has enough time.", "Unhealthy"
    looping = "CrashLoopBackOff" if exits > 1 else str(ended.get("reason") or "Error")
    if code == 0:
        sentence = f"{name} ended {times(exits)} without an error ({number}), but it should keep running"
        return sentence, "Check its command: what runs for ever must not end.", looping
    start = " at start" if _seconds_alive(ended) < _AT_START else ""
    return f"{name} crashed {times(exits)}{start} ({number})", "Look at the last lines of its log.", looping


def memory_limit(subject: Subject) -> str:
    """The container's memory limit as its specification writes it, or empty."""
    limits = (subject.spec.get("resources") or {}).get("limits") or {}
    return str(limits.get("memory") or "")


def _probe_that_killed(subject: Subject, ended: Json, events: Iterable[Json]) -> tuple[str, str] | None:
    """`liveness` or `startup` and what the probe said, when the kubelet's events show that it ended the container."""
    path = f"{{{subject.container.get('name', '')}}}"
    for event in reversed(list(events)):
        field = (event.get("involvedObject") or {}).get("fieldPath") or ""
        message = event.get("message") or ""
        if event.get("reason") != "Unhealthy" or not field.endswith(path):
            continue
        for kind in ("liveness", "startup"):
            start = f"{kind.capitalize()} probe failed"
            if message.startswith(start) and _is_near(event, ended):
                return kind, " ".join(message[len(start) :].removeprefix(":").split())[:200]
    return None


def _is_near(event: Json, ended: Json) -> bool:
    """Whether the container ended soon after the event; both times are the node's."""
    end = _time(ended.get("finishedAt"))
    first = _time(event.get("firstTimestamp")) or _time(event.get("lastTimestamp"))
    last = _time(event.get("lastTimestamp")) or first
    if end is None or first is None or last is None:
        return True
    return (first - end).total_seconds() <= 1 and (end - last).total_seconds() <= _KILL_DELAY


def _seconds_alive(ended: Json) -> float:
    start, end = _time(ended.get("startedAt")), _time(ended.get("finishedAt"))
    return (end - start).total_seconds() if start and end else 0.0


def _time(text: object) -> datetime | None:
    try:
        return datetime.fromisoformat(str(text))
    except ValueError:
        return None
