"""The evidence about all pods of an object that failed: which containers are asked about, in which order, and how much of it
is kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from engine.cluster.client import Client
from engine.health.crashes import exits_of, statuses_of
from engine.health.pods import is_ready
from engine.health.trouble import Trouble, ended_state
from engine.rollout.evidence import MAX_OTHERS, Asker
from engine.types import Evidence, Json

MAX_PODS = 5  # more explain nothing
OTHER_LINES = 20  # of each log but that of the container that decided
MAX_TEXT = 100_000  # characters of log lines of one object: all of them stand in one row


def collect(client: Client, namespace: str, pods: Sequence[Json], trouble: Trouble | None) -> Evidence | None:
    """The evidence about an object by its pods: of the container that decided, with that of the others. None without a pod.
    Without a trouble, the first is the first container of the newest pod that is not ready."""
    ranked = worst_first(pods, trouble)
    if not ranked:
        return None
    with Asker(client, namespace) as asker:
        first = decided(ranked[0], trouble)
        waiting = [asker.about(ranked[0], first, trouble)]
        for pod in ranked[:MAX_PODS]:
            names = [name for name in containers_of(pod) if pod is not ranked[0] or name != first]
            for name in names[: MAX_OTHERS + 1 - len(waiting)]:
                lines = OTHER_LINES if has_something_to_say(pod, name) else 0
                is_first = pod is not ranked[0] and name == names[0]
                waiting.append(asker.about(pod, name, lines=lines, is_first=is_first))
        found = [answer() for answer in waiting]
    left = max(0, len(ranked) - MAX_PODS)
    return within(replace(found[0], others=tuple(found[1:]), more_pods=left), MAX_TEXT)


def worst_first(pods: Sequence[Json], trouble: Trouble | None) -> list[Json]:
    """The pod that decided, then those that are not ready, of these the ones whose containers ended most often; the newest
    first where nothing else tells."""
    newest = sorted(pods, key=lambda pod: str(pod["metadata"].get("creationTimestamp")), reverse=True)
    if trouble is None:
        return sorted(newest, key=is_ready)
    return sorted(
        newest, key=lambda pod: (pod["metadata"]["name"] != trouble.pod, is_ready(pod), -most_ends(pod))
    )


def most_ends(pod: Json) -> int:
    """How often the container of a pod that ended most often has ended."""
    return max((exits_of(status) for status, _ in statuses_of(pod)), default=0)


def containers_of(pod: Json) -> list[str]:
    """Its containers' names: those that ended badly first, then those that are not ready, then the rest in their order."""
    spec = pod.get("spec") or {}
    names = [
        str(one["name"]) for one in [*(spec.get("initContainers") or []), *(spec.get("containers") or [])]
    ]
    known = {str(status.get("name")): status for status, _ in statuses_of(pod)}

    def badness(name: str) -> tuple[bool, bool]:
        status = known.get(name, {})
        return not ended_state(status).get("exitCode"), bool(status.get("ready"))

    return sorted(names, key=badness)


def decided(pod: Json, trouble: Trouble | None) -> str:
    """The container worth a look: that of the trouble; an init container that runs or waits; the first that is not ready."""
    if trouble and trouble.container:
        return trouble.container
    for status, is_init in statuses_of(pod):
        ended = (status.get("state") or {}).get("terminated") or {}
        if not status.get("ready") and not (is_init and ended.get("exitCode") == 0):
            return str(status.get("name", ""))
    names = [str(status.get("name", "")) for status, is_init in statuses_of(pod) if not is_init]
    spec = [str(one.get("name", "")) for one in (pod.get("spec") or {}).get("containers") or []]
    return (names or spec or [""])[0]


def has_something_to_say(pod: Json, container: str) -> bool:
    """Whether a container has a log that may explain something: it has run, and is not well."""
    for status, is_init in statuses_of(pod):
        if status.get("name") == container:
            ended = ended_state(status)
            has_run = bool(ended) or "running" in (status.get("state") or {})
            is_well = ended.get("exitCode") == 0 if is_init else bool(status.get("ready")) and not ended
            return has_run and not is_well
    return False


def within(evidence: Evidence, budget: int) -> Evidence:
    """The evidence with no more than `budget` characters of log lines: the oldest lines of the last containers go first."""
    cut: list[Evidence] = []
    for one in (replace(evidence, others=()), *evidence.others):
        previous = tuple(_newest(one.previous_logs, budget))
        budget -= sum(map(len, previous))
        logs = tuple(_newest(one.logs, budget))
        budget -= sum(map(len, logs))
        cut.append(replace(one, previous_logs=previous, logs=logs))
    return replace(cut[0], others=tuple(cut[1:]))


def _newest(lines: Sequence[str], budget: int) -> Iterator[str]:
    """The last lines that fit, in their order."""
    size, start = 0, len(lines)
    while start and size + len(lines[start - 1]) <= budget:
        start -= 1
        size += len(lines[start])
    yield from lines[start:]
