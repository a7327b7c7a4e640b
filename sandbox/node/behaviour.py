"""What a played container does: words in labels of its image's configuration.

`slipway.sandbox/behaviour` holds one or more words, separated by commas; a number after a colon changes the word's
own one. Words for Jobs begin with `job-`, words for init containers with `init-`; the others are for containers that
serve. Each container takes the first word that is for it, so that `crash, job-slow:3` says both. A label with the
container's name behind it (`slipway.sandbox/behaviour.worker`) goes before the one without.

`slipway.sandbox/log` (also with `.CONTAINER`) holds the lines that the program prints when it starts;
a `\\n` in it, as a Dockerfile's LABEL keeps it, begins a new line.

A pod may carry the same words in an annotation `slipway.sandbox/behaviour`, for images of registries that are not on
this machine: those cannot be pulled and have no labels.
"""

from __future__ import annotations

import enum
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

BEHAVIOUR = "slipway.sandbox/behaviour"
LOG = "slipway.sandbox/log"


class Role(enum.StrEnum):
    """What a container is for; the value is the prefix of its words."""

    SERVICE = ""
    JOB = "job-"
    INIT = "init-"


@dataclass(frozen=True)
class Play:
    """One run of a container. Times are seconds after its start, at speed 1."""

    ready_after: float | None = (
        0.0  # None: its readiness probe never passes. Without a probe it is ready at once
    )
    ends_after: float | None = None  # None: it serves until it is stopped
    exit_code: int = 0
    reason: str = ""  # of the end; "" for the usual one of the exit code
    message: str = ""
    probe_kills: bool = False  # it hangs at `ends_after`, and ends because its liveness probe fails
    hears_term: bool = True  # ends when it is asked to, not only when it is killed

    @property
    def end_reason(self) -> str:
        return self.reason or ("Completed" if self.exit_code == 0 else "Error")


_NO_PROGRAM = (
    "failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create failed: "
    'unable to start container process: error during container init: exec: "/app/start": stat /app/start: '
    "no such file or directory"
)
_DEFAULTS = {
    Role.SERVICE: Play(),
    Role.JOB: Play(ends_after=0.1),
    Role.INIT: Play(ends_after=0.2),
}
_CRASH = Play(ends_after=0.0, exit_code=1)
_OOM = replace(_CRASH, exit_code=137, reason="OOMKilled")


def _exits(number: float | None) -> Play:
    return replace(_CRASH, exit_code=int(number or 0))


# Each word makes its play from the number behind the colon, or from None when there is none.
_WORDS: dict[str, Callable[[float | None], Play]] = {
    "ready": lambda _: _DEFAULTS[Role.SERVICE],
    "crash": lambda code: replace(_CRASH, exit_code=1 if code is None else int(code)),
    "crash-later": lambda seconds: Play(ends_after=10.0 if seconds is None else seconds, exit_code=1),
    "exits": _exits,
    "oom": lambda seconds: replace(_OOM, ends_after=0.5 if seconds is None else seconds),
    "never-ready": lambda _: Play(ready_after=None),
    "slow": lambda seconds: Play(ready_after=5.0 if seconds is None else seconds),
    "hangs-up": lambda seconds: Play(
        ends_after=20.0 if seconds is None else seconds, exit_code=137, probe_kills=True
    ),
    "ignores-term": lambda _: Play(hears_term=False),
    "cannot-start": lambda _: replace(_CRASH, exit_code=128, reason="StartError", message=_NO_PROGRAM),
    "job-ready": lambda _: _DEFAULTS[Role.JOB],
    "job-fails": lambda code: Play(ends_after=0.5, exit_code=1 if code is None else int(code)),
    "job-slow": lambda seconds: Play(ends_after=5.0 if seconds is None else seconds),
    "job-hangs": lambda _: Play(),
    "job-oom": lambda seconds: replace(_OOM, ends_after=0.5 if seconds is None else seconds),
    "init-fails": lambda code: Play(ends_after=0.2, exit_code=1 if code is None else int(code)),
    "init-slow": lambda seconds: Play(ends_after=5.0 if seconds is None else seconds),
}


def play_for(words: str, role: Role) -> Play:
    """The play of the first word that is for this role, else the role's usual one. Unknown words are told and skipped."""
    for text in filter(None, (w.strip() for w in words.split(","))):
        word, _, number = text.partition(":")
        if word not in _WORDS or (number and not _is_number(number)):
            print(f"unknown behaviour {text!r}: known are {', '.join(_WORDS)}", file=sys.stderr, flush=True)
        elif _role_of(word) is role:
            return _WORDS[word](float(number) if number else None)
    return _DEFAULTS[role]


def words_of(labels: Mapping[str, str], annotations: Mapping[str, str], container: str) -> str:
    """The words for one container: the pod's annotation, else the image's label."""
    for source in (annotations, labels):
        for key in (f"{BEHAVIOUR}.{container}", BEHAVIOUR):
            if source.get(key):
                return source[key]
    return ""


def log_lines(labels: Mapping[str, str], container: str) -> list[str] | None:
    """What the image's program prints at its start; None when the image does not say."""
    text = labels.get(f"{LOG}.{container}") or labels.get(LOG)
    return text.replace("\\n", "\n").splitlines() if text else None


def _role_of(word: str) -> Role:
    return next(r for r in (Role.JOB, Role.INIT, Role.SERVICE) if word.startswith(r.value))


def _is_number(text: str) -> bool:
    return text.replace(".", "", 1).isdigit()
