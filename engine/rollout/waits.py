"""What pods waited for before the first write: an image, a volume, the next start of a container that crashed.

A kubelet tries again after a pause, which grows up to minutes. Until then it shows how an earlier try ended, whatever was
mended since: a password, an image that was pushed later, a database that is back. So an old refusal counts only when a try
after it was refused, and old ends only when a start after them ended too, or when the kubelet's pause is over. Pure functions
over the API's JSON.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from engine.health.containers import IMAGE_REASONS
from engine.health.crashes import exits_of, statuses_of
from engine.health.trouble import NEVER, Trouble
from engine.limits import Limits, pause_after
from engine.types import Json

# The kubelet shows this word from the beginning of a try until it looks again, then the word of that try's refusal until the
# next try (recorded: wrong-tag, registry-down).
_TRIES = "ImagePullBackOff"

Graces = Mapping[tuple[str, str, str], float]  # seconds by the key of a trouble


@dataclass(frozen=True)
class Waits:
    """`images`: by container that waits for its image, the word that the kubelet shows; `tried`: those for which it has begun
    to try again; `starts`: whether the pod has not begun to run; `ends`: by container that had ended before, how many
    ends are of starts before the first write; `runs`: those of them that run again."""

    images: Mapping[str, str] = field(default_factory=dict)
    tried: frozenset[str] = frozenset()
    starts: bool = False
    ends: Mapping[str, int] = field(default_factory=dict)
    runs: frozenset[str] = frozenset()


def waits_of(pod: Json) -> Waits:
    """What a pod waits for now."""
    words = {str(status.get("name", "")): _word(status) for status, _ in statuses_of(pod)}
    images = {name: word for name, word in words.items() if word in IMAGE_REASONS}
    ended = {str(status.get("name", "")): exits_of(status) for status, _ in statuses_of(pod)}
    runs = _running(pod)
    # How a start from before the write ends says nothing about what was mended meanwhile.
    ends = {name: count + (name in runs) for name, count in ended.items() if count}
    return Waits(images, starts=(pod.get("status") or {}).get("phase") == "Pending", ends=ends, runs=runs)


def still_waits(before: Waits, pod: Json) -> Waits:
    """What of it is still the outcome of a try before the first write."""
    now = waits_of(pod)
    ended = {str(status.get("name", "")): exits_of(status) for status, _ in statuses_of(pod)}
    ends = {name: count for name, count in before.ends.items() if ended.get(name, 0) <= count}
    kept = {name: word for name, word in now.images.items() if name in before.images}
    begun = {name for name, word in kept.items() if word == _TRIES != before.images[name]}
    refused = {name for name, word in kept.items() if word != _TRIES == before.images[name]} & before.tried
    images = {name: word for name, word in kept.items() if name not in refused}
    return Waits(images, before.tried | begun, before.starts and now.starts, ends, now.runs)


def old_troubles(troubles: Sequence[Trouble], waits: Mapping[str, Waits], limits: Limits) -> Graces:
    """For how long the troubles may last that were there before the first write; the others are left out. `waits`: by the name
    of the pod. A container that ended again on one pod after a new start is not waited for on the others."""
    found = {}
    for trouble in troubles:
        grace = _grace(trouble, waits.get(trouble.pod, Waits()), limits)
        if grace is not None:
            found[trouble.key] = grace
    again = {t.container for t in troubles if t.key not in found and t.exits >= limits.crash_exits}
    tried = {t.key for t in troubles if t.topic == "crash" and t.container in again}
    return {key: grace for key, grace in found.items() if key not in tried}


def next_try(trouble: Trouble) -> str:
    """What is waited for, for the log."""
    return "its next start decides" if trouble.topic == "crash" else "the node has not tried again yet"


def _grace(trouble: Trouble, waits: Waits, limits: Limits) -> float | None:
    if trouble.topic == "image" and trouble.container in waits.images:
        return limits.old_image
    if trouble.topic == "crash" and trouble.container in waits.ends:
        pause = pause_after(waits.ends[trouble.container]) + limits.old_end
        return NEVER if trouble.container in waits.runs else max(trouble.grace, pause)
    return limits.old_mount if trouble.topic == "mount" and waits.starts else None


def _running(pod: Json) -> frozenset[str]:
    return frozenset(
        str(s.get("name", "")) for s, _ in statuses_of(pod) if "running" in (s.get("state") or {})
    )


def _word(status: Json) -> str:
    waiting = (status.get("state") or {}).get("waiting") or {}
    return str(waiting.get("reason", ""))
