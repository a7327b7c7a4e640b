"""What the cluster shows about a failure: the pod's reason, its events, and the last lines of its log.

Captured at once, since a rollback or a person deletes the pods. Whatever cannot be read is left out: a missing log must not
hide the verdict.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

from engine.cluster.client import ApiError, Client, list_all
from engine.cluster.resources import built_in
from engine.health.crashes import statuses_of
from engine.health.events import event_time
from engine.health.trouble import Trouble, ended_state
from engine.types import ClusterEvent, Evidence, Json

LOG_LINES = 50
MAX_EVENTS = 20
MAX_LINE = 1000  # characters
MAX_OTHERS = 20  # further containers of an object, of all its pods
_AT_ONCE = 4  # questions
_LOG_BYTES = 64 * 1024
# A kubelet's answers, as a log, when it has removed the container or its log file.
_LOG_IS_GONE = ("unable to retrieve container logs for ", "failed to try resolving symlinks in path ")


class Asker:
    """Asks the cluster about containers, several questions at once. Use it as a context manager."""

    def __init__(self, client: Client, namespace: str) -> None:
        self._client = client
        self._namespace = namespace
        self._pool = ThreadPoolExecutor(max_workers=_AT_ONCE)

    def __enter__(self) -> Asker:
        return self

    def __exit__(self, *error: object) -> None:
        self._pool.shutdown()

    def about(
        self,
        pod: Json,
        container: str,
        trouble: Trouble | None = None,
        *,
        lines: int = LOG_LINES,
        is_first: bool = True,
    ) -> Callable[[], Evidence]:
        """Asks about one container; the answer is had by a call. `trouble`: what is known of it; `lines`: how many of its
        log, none for 0; `is_first`: with the events about its pod."""
        name, uid = pod["metadata"]["name"], pod["metadata"].get("uid", "")
        base = base_of(pod, container, trouble)
        ask = partial(log_of, self._client, self._namespace, name, container, lines=lines)
        logs = self._pool.submit(ask, previous=False) if lines else None
        previous = self._pool.submit(ask, previous=True) if lines and (base.restarts or trouble) else None
        events = self._pool.submit(events_about, self._client, self._namespace, uid) if is_first else None
        return lambda: replace(
            base,
            events=tuple(event_of(event) for event in events.result()[-MAX_EVENTS:]) if events else (),
            logs=logs.result() if logs else (),
            previous_logs=previous.result() if previous else (),
        )


def base_of(pod: Json, container: str, trouble: Trouble | None) -> Evidence:
    """What the pod itself says of a container."""
    found = [(one, is_init) for one, is_init in statuses_of(pod) if one.get("name") == container]
    status, is_init = found[0] if found else ({}, False)
    ended, waits = ended_state(status), (status.get("state") or {}).get("waiting") or {}
    code = trouble.exit_code if trouble and trouble.exit_code is not None else ended.get("exitCode")
    shown = waits or ended
    return Evidence(
        pod=pod["metadata"]["name"],
        container=container,
        reason=(trouble.reason if trouble else "") or str(shown.get("reason") or ""),
        message=((trouble.message if trouble else "") or str(shown.get("message") or ""))[:MAX_LINE],
        exit_code=code,
        restarts=int(status.get("restartCount") or 0),
        node=str((pod.get("spec") or {}).get("nodeName") or ""),
        is_init=is_init,
        is_ready=bool(status.get("ready")),
        signal=signal_of(ended),
        limits=limits_of(pod, container),
    )


def signal_of(ended: Json) -> str:
    """The signal that ended a container: by its own field, else by the exit code, which runtimes make of it (128 + n)."""
    number = int(ended.get("signal") or 0) or int(ended.get("exitCode") or 0) - 128
    return signal.Signals(number).name if number in set(signal.Signals) else ""


def limits_of(pod: Json, container: str) -> tuple[str, ...]:
    """The limits that the pod sets for a container."""
    spec = pod.get("spec") or {}
    for one in [*(spec.get("initContainers") or []), *(spec.get("containers") or [])]:
        if one.get("name") == container:
            found = (one.get("resources") or {}).get("limits") or {}
            return tuple(f"{name} {amount}" for name, amount in sorted(found.items()))
    return ()


def completed(newer: Evidence | None, older: Evidence | None) -> Evidence | None:
    """The newer evidence, with what only the older one still has: pods may be gone since."""
    if newer is None or older is None:
        return newer or older
    first = newer
    if newer.pod != older.pod and not (newer.logs or newer.previous_logs):
        first = older
    known = {(one.pod, one.container): one for one in (*older.others, replace(older, others=()))}
    known |= {key: _filled(one, known.get(key)) for one in newer.others if (key := (one.pod, one.container))}
    others = tuple(one for key, one in known.items() if key != (first.pod, first.container))
    return replace(
        _filled(first, older), others=others[:MAX_OTHERS], more_pods=max(newer.more_pods, older.more_pods)
    )


def _filled(newer: Evidence, older: Evidence | None) -> Evidence:
    """With the texts of an older look at the same container, where the newer one found none."""
    if older is None or (newer.pod, newer.container) != (older.pod, older.container):
        return newer
    return replace(
        newer,
        events=newer.events or older.events,
        logs=newer.logs or older.logs,
        previous_logs=newer.previous_logs or older.previous_logs,
    )


def events_about(client: Client, namespace: str, uid: str) -> list[Json]:
    """The events about one object, oldest first; none when they cannot be read."""
    if not uid:
        return []
    query = {"fieldSelector": f"involvedObject.uid={uid}"}
    try:
        items, _ = list_all(client, built_in("Event").path(namespace), query=query)
    except ApiError:
        return []
    return sorted(items, key=event_time)


def event_of(event: Json) -> ClusterEvent:
    """What is kept of an event as the API gives it; its text in one line."""
    about = event.get("involvedObject") or {}
    return ClusterEvent(
        type=str(event.get("type") or "Normal"),
        reason=str(event.get("reason") or "Event"),
        text=" ".join(str(event.get("message") or "").split())[:MAX_LINE],
        count=int(event.get("count") or (event.get("series") or {}).get("count") or 1),
        object=f"{about.get('kind', '')}/{about.get('name', '')}".strip("/"),
    )


def log_of(
    client: Client, namespace: str, pod: str, container: str, *, previous: bool, lines: int = LOG_LINES
) -> tuple[str, ...]:
    """The last lines of a container's log, or of the one before its last restart; none when there is none."""
    query = {"container": container, "tailLines": str(lines), "limitBytes": str(_LOG_BYTES)}
    if previous:
        query["previous"] = "true"
    try:
        text = client.text(f"{built_in('Pod').path(namespace, pod)}/log", query=query)
    except ApiError:
        return ()
    if text.startswith(_LOG_IS_GONE):
        return ()
    return tuple(line[:MAX_LINE] for line in text.splitlines()[-lines:])


# As programs name what ended them: `KeyError: …`, `Error: …`, `panic: …`, `FATAL: …`, `error TS2304`, `Killed`.
_SAYS_WRONG = re.compile(
    r"\b\w*(error|exception|panic|fatal|failed|failure|refused|denied|missing|not found)\b", re.IGNORECASE
)


def last_word(evidence: Evidence) -> str:
    """The line of the log that most likely names the cause, of the container that ended: the last one that says
    that something is wrong and begins at the margin (a stack's frames are indented), else the last that is not
    empty."""
    lines: Sequence[str] = [line for line in evidence.previous_logs or evidence.logs if line.strip()]
    telling = [line for line in lines if _SAYS_WRONG.search(line)]
    named = [line for line in telling if not line[0].isspace()]
    text = (named or telling or lines or [""])[-1].strip()
    return text if len(text) <= 200 else text[:199] + "…"


def newest_text(events: Sequence[ClusterEvent], reason: str) -> str:
    """The text of the newest event with this reason, or empty."""
    return next((event.text for event in reversed(events) if event.reason == reason), "")
