"""What the cluster shows about a failure: the pod's reason, its events, and the last lines of its log.

Captured at once, since a rollback or a person deletes the pods. Whatever cannot be read is left out: a missing log must not
hide the verdict.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from engine.cluster.client import ApiError, Client, list_all
from engine.cluster.resources import built_in
from engine.health.crashes import statuses_of
from engine.health.events import event_time
from engine.health.trouble import Trouble, ended_state
from engine.types import ClusterEvent, Evidence, Json

LOG_LINES = 50
MAX_EVENTS = 20
MAX_LINE = 1000  # characters
_LOG_BYTES = 64 * 1024
_LOG_IS_GONE = "unable to retrieve container logs for "  # a kubelet's answer, as a log, when it has removed the container


def collect(client: Client, namespace: str, pod: Json, trouble: Trouble | None) -> Evidence:
    """The evidence about one pod. Without a trouble, the container is the first that is not ready."""
    metadata = pod["metadata"]
    container = trouble.container if trouble and trouble.container else _unready(pod)
    with ThreadPoolExecutor(max_workers=3) as pool:
        events = pool.submit(events_about, client, namespace, metadata.get("uid", ""))
        logs = pool.submit(log_of, client, namespace, metadata["name"], container, previous=False)
        previous = pool.submit(log_of, client, namespace, metadata["name"], container, previous=True)
    status = next((one for one, _ in statuses_of(pod) if one.get("name") == container), {})
    ended = ended_state(status)
    return Evidence(
        pod=metadata["name"],
        container=container,
        reason=(trouble.reason if trouble else "") or str(ended.get("reason") or ""),
        message=(trouble.message if trouble else "") or str(ended.get("message") or "")[:MAX_LINE],
        exit_code=trouble.exit_code if trouble and trouble.exit_code is not None else ended.get("exitCode"),
        restarts=int(status.get("restartCount") or 0),
        node=str((pod.get("spec") or {}).get("nodeName") or ""),
        events=tuple(event_of(event) for event in events.result()[-MAX_EVENTS:]),
        logs=logs.result(),
        previous_logs=previous.result(),
    )


def completed(newer: Evidence | None, older: Evidence | None) -> Evidence | None:
    """The newer evidence, with what only the older one still has: pods may be gone since."""
    if newer is None or older is None:
        return newer or older
    if newer.pod != older.pod:
        return newer if newer.logs or newer.previous_logs else older
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


def log_of(client: Client, namespace: str, pod: str, container: str, *, previous: bool) -> tuple[str, ...]:
    """The last lines of a container's log, or of the one before its last restart; none when there is none."""
    query = {"container": container, "tailLines": str(LOG_LINES), "limitBytes": str(_LOG_BYTES)}
    if previous:
        query["previous"] = "true"
    try:
        text = client.text(f"{built_in('Pod').path(namespace, pod)}/log", query=query)
    except ApiError:
        return ()
    if text.startswith(_LOG_IS_GONE):
        return ()
    return tuple(line[:MAX_LINE] for line in text.splitlines()[-LOG_LINES:])


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


def _unready(pod: Json) -> str:
    """The container worth a look: an init container that runs or waits, else the first that is not ready."""
    status = pod.get("status") or {}
    for container in status.get("initContainerStatuses") or []:
        ended = (container.get("state") or {}).get("terminated")
        if not container.get("ready") and not (ended and ended.get("exitCode") == 0):
            return str(container.get("name", ""))
    containers = status.get("containerStatuses") or []
    for container in containers:
        if not container.get("ready"):
            return str(container.get("name", ""))
    specs = containers or (pod.get("spec") or {}).get("containers") or []
    return str(specs[0].get("name", "")) if specs else ""
