"""What is wrong with one container of a pod, by its status. Pure functions over the API's JSON.

The words (`ErrImagePull`, `CreateContainerConfigError`, …) are the kubelet's own. Each finding carries the grace for
which it may last before the pod counts as doomed: see `Limits`. Containers that ended: engine/health/crashes.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from engine.health.crashes import crash_of, start_failure
from engine.health.trouble import Subject, Trouble
from engine.limits import Limits
from engine.types import Json

_DENIED = re.compile(
    r"denie[ds]|unauthorized|authorization failed|no basic auth|not authorized|\b401\b|\b403\b|forbidden",
    re.I,
)
_MISSING = re.compile(
    r"not found|manifest unknown|name unknown|does not exist|no such (image|manifest)", re.I
)
_TRANSIENT_CONFIG = re.compile(r"failed to sync .* cache", re.I)
_CONFIG = re.compile(
    r'(secret|configmap) "([^"]+)" not found|couldn\'t find key (\S+) in (Secret|ConfigMap) (\S+)', re.I
)
IMAGE_REASONS = {
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
}


def troubles_of_container(
    pod: Json,
    container: Json,
    is_init: bool,
    events: Sequence[Json],
    limits: Limits,
    fresh: Mapping[tuple[str, str], float],
    forgiven: Mapping[str, int],
) -> Iterator[Trouble]:
    """What is wrong with one container, by its status: one trouble at most. `events`: those about its pod; `forgiven`:
    ends, by container, that are no concern of this rollout."""
    waiting = (container.get("state") or {}).get("waiting") or {}
    reason = waiting.get("reason", "")
    message = waiting.get("message") or ""
    subject = Subject(pod, container, is_init, message)
    if reason in ("InvalidImageName", "ErrImageNeverPull"):
        invalid = reason == "InvalidImageName"
        words = "is not a valid image name" if invalid else "is not on the node, and may not be pulled"
        yield subject.trouble("image", reason, 0, f"image {subject.image} {words}")
    elif reason in IMAGE_REASONS:
        yield _image_trouble(subject, reason, events, limits)
    elif reason == "CreateContainerConfigError" and not _TRANSIENT_CONFIG.search(message):
        yield _config_trouble(subject, limits, fresh)
    elif reason in _START:
        yield start_failure(subject, limits, int(container.get("restartCount") or 0))
    elif found := crash_of(subject, events, limits, forgiven):
        yield found


def is_denied(text: str) -> bool:
    """Whether these words about a pull say that the registry denies the image. It may be missing, too: some say no more."""
    return bool(_DENIED.search(text))


def is_missing(text: str) -> bool:
    """Whether these words about a pull say that the registry lacks the image."""
    return bool(_MISSING.search(text))


def _image_trouble(subject: Subject, reason: str, events: Sequence[Json], limits: Limits) -> Trouble:
    text, tries = _pulls(subject, events)
    image = subject.image
    if is_denied(text):
        sentence = f"image {image} may not be pulled: the registry denies it"
        hint = "Check that the image exists and that the namespace's pull secret is valid."
    elif is_missing(text):
        sentence = f"image {image} was not found in the registry"
        hint = "Check the tag: was this revision built and pushed?"
    else:
        short = _cause_of_pull(text)
        sentence = f"image {image} cannot be pulled" + (f": {short}" if short else "")
        grace = 0.0 if tries >= limits.image_tries else limits.image_other
        return subject.trouble("image", reason, grace, sentence, "Is the registry reachable from the nodes?")
    return subject.trouble("image", reason, limits.image_missing, sentence, hint)


def _cause_of_pull(text: str) -> str:
    """Without the words of the kubelet and the runtime before the cause."""
    cause = text.rpartition("failed to do request: ")[2]
    cause = cause.rpartition("ErrImagePull: ")[2]
    return cause if len(cause) <= 200 else "…" + cause[-199:]


def _pulls(subject: Subject, events: Sequence[Json]) -> tuple[str, int]:
    """Why the image cannot be pulled, and how often it was tried. The back-off state may lack the cause; the event of
    the failed pull has it."""
    field = f"{{{subject.container.get('name', '')}}}"
    pulls = [
        e
        for e in events
        if e.get("reason") == "Failed"
        and "pull" in (e.get("message") or "")
        and not str(e["message"]).startswith("Error: ")
        and ((e.get("involvedObject") or {}).get("fieldPath") or field).endswith(field)
    ]
    tries = sum(int(e.get("count") or (e.get("series") or {}).get("count") or 1) for e in pulls)
    texts = [subject.message, *(str(e["message"]) for e in reversed(pulls))]
    telling = [text for text in texts if is_missing(text) or is_denied(text)]
    text = next(iter(telling), subject.message or (texts[1] if pulls else ""))
    return text, tries


def grace_of(kind: str, name: str, fresh: Mapping[tuple[str, str], float], usual: float) -> float:
    """Seconds for which a Secret or ConfigMap may be missing. `kind` in small letters; `fresh`: other graces by kind and
    name."""
    return next((grace for (k, n), grace in fresh.items() if k.lower() == kind and n == name), usual)


def _config_trouble(subject: Subject, limits: Limits, fresh: Mapping[tuple[str, str], float]) -> Trouble:
    sentence = f"{subject.name} cannot start: {subject.message}"
    hint = "Add what is missing to the Secret or ConfigMap, or to the config directory."
    match = _CONFIG.search(subject.message)
    grace = limits.cannot_start
    if match:
        kind = (match[1] or match[4]).lower()
        name = match[2] or match[5].rpartition("/")[2]
        grace = grace_of(kind, name, fresh, limits.config_missing)
    return subject.trouble("config", "CreateContainerConfigError", grace, sentence, hint)
