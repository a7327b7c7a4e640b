"""What pods waited for before the first write: an image, a volume.

A kubelet tries again after a pause, which grows up to minutes. Until then it shows the refusal of an earlier try, whatever
was mended since: a password, an image that was pushed later. So an old refusal counts only when a try after it was refused,
or when the kubelet's longest pause is over. Pure functions over the API's JSON.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from engine.health.containers import IMAGE_REASONS
from engine.health.crashes import statuses_of
from engine.health.trouble import Trouble
from engine.limits import Limits
from engine.types import Json

# The kubelet shows this word from the beginning of a try until it looks again, then the word of that try's refusal until the
# next try (recorded: wrong-tag, registry-down).
_TRIES = "ImagePullBackOff"


@dataclass(frozen=True)
class Waits:
    """`images`: by container that waits for its image, the word that the kubelet shows; `tried`: those for which it has begun
    to try again; `starts`: whether the pod has not begun to run."""

    images: Mapping[str, str] = field(default_factory=dict)
    tried: frozenset[str] = frozenset()
    starts: bool = False


def waits_of(pod: Json) -> Waits:
    """What a pod waits for now."""
    words = {str(status.get("name", "")): _word(status) for status, _ in statuses_of(pod)}
    images = {name: word for name, word in words.items() if word in IMAGE_REASONS}
    return Waits(images, starts=(pod.get("status") or {}).get("phase") == "Pending")


def still_waits(before: Waits, pod: Json) -> Waits:
    """What of it is still the refusal of a try before the first write."""
    now = waits_of(pod)
    kept = {name: word for name, word in now.images.items() if name in before.images}
    begun = {name for name, word in kept.items() if word == _TRIES != before.images[name]}
    refused = {name for name, word in kept.items() if word != _TRIES == before.images[name]} & before.tried
    images = {name: word for name, word in kept.items() if name not in refused}
    return Waits(images, before.tried | begun, before.starts and now.starts)


def old_refusal(trouble: Trouble, waits: Waits, limits: Limits) -> float | None:
    """For how long a trouble may last that was there before the first write; None for any other."""
    if trouble.topic == "image" and trouble.container in waits.images:
        return limits.old_image
    return limits.old_mount if trouble.topic == "mount" and waits.starts else None


def _word(status: Json) -> str:
    waiting = (status.get("state") or {}).get("waiting") or {}
    return str(waiting.get("reason", ""))
